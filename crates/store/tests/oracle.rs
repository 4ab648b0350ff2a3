//! The log against its slow twin, which keeps everything that ever happened and looks through all of it each time.

// A test fails by panicking, also in what it is made of.
#![allow(clippy::unwrap_used, clippy::panic)]

mod twin;

use fastrand::Rng;
use switchboard_store::{
    Append, Budget, Class, Cursor, Found, Item, Memory, Opened, Policy, Read, Retention, Since, Taken, What,
};
use switchboard_wire::event::Draft;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Epoch, Kind, Mark, Pattern, Position, Reason};
use twin::{Past, Twin, name};

const EPOCH: Epoch = Epoch::new(0x1234_5678_9abc);
const CHANNELS: [&str; 9] = ["h/a", "h/b", "h/c/d", "s/a", "s/b", "e/a", "e/b", "b/a", "b/b"];
const PATTERNS: [&str; 6] = ["**", "h/*", "h/**", "s/*", "*/a", "e/**"];

fn policy(random: &mut Rng) -> (Policy, bool) {
    let age = random.choice([20, 100, 1_000_000]).unwrap();
    let history = Retention { events: random.usize(1..8), age, bytes: 1 << 20 };
    let by_bytes = Retention { events: 100, age: 50, bytes: random.usize(0..60) };
    // Without ticks nothing expires but what is looked at, and the log would evict others' events for want of it.
    let ticks = random.bool();
    let policy = Policy {
        rules: vec![
            (Pattern::new("s/**").unwrap(), Class::State),
            (Pattern::new("e/**").unwrap(), Class::Ephemeral),
            (Pattern::new("b/**").unwrap(), Class::History(by_bytes)),
        ],
        default: Class::History(history),
        bytes: if ticks && random.bool() { random.usize(1..3000) } else { 1 << 30 },
        channels: random.choice([2, 4, 100, 100]).unwrap(),
        ring: random.choice([1, 5, 1000]).unwrap(),
        ..Policy::default()
    };
    (policy, ticks)
}

fn selection(random: &mut Rng) -> Selection {
    let mut selection = Selection::default();
    for _ in 0..random.usize(1..5) {
        selection.channels.push(name(random.choice(CHANNELS).unwrap()));
    }
    if random.bool() {
        selection.channels.truncate(1);
    }
    if random.u8(..) < 100 {
        selection.channels.truncate(random.usize(..2));
        selection.patterns.push(Pattern::new(random.choice(PATTERNS).unwrap()).unwrap());
    }
    selection
}

fn budget(random: &mut Rng) -> Budget {
    Budget { items: random.choice([1, 2, 3, 100]).unwrap(), bytes: random.choice([0, 30, 1 << 20]).unwrap() }
}

/// A reader as the server has one: it reads, and it is checked against everything that ever happened.
struct Reader {
    selection: Selection,
    start: u64,
    cursor: Cursor,
    told: Vec<Found>,
    /// Opened without a position, so that it may be given the state of channels from before.
    fresh: bool,
}

struct World {
    random: Rng,
    now: u64,
    ticks: bool,
    log: Memory,
    twin: Twin,
    readers: Vec<Reader>,
    ring: u64,
    items: Vec<Item>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Rng::with_seed(seed);
        let (policy, ticks) = policy(&mut random);
        World {
            now: 1000,
            ticks,
            log: Memory::new(EPOCH, policy.clone()),
            twin: Twin::new(EPOCH, policy),
            readers: Vec::new(),
            ring: 0,
            items: Vec::new(),
            random,
        }
    }

    fn step(&mut self) {
        match self.random.u8(..100) {
            0..45 => self.append(),
            45..50 => self.delete(),
            50..60 => {
                self.now += self.random.u64(..30);
                self.twin.advance(self.now);
                if self.ticks {
                    self.log.tick(self.now);
                    let stats = self.log.stats();
                    assert_eq!((stats.events, stats.bytes), self.twin.held());
                }
            }
            60..72 => self.open(),
            72..95 => self.read(),
            _ => self.look(),
        }
    }

    fn append(&mut self) {
        let items: Vec<Append> = (0..self.random.choice([1, 1, 3]).unwrap())
            .map(|_| {
                let end = self.random.u8(..) < 10;
                let data = vec![b'x'; self.random.usize(..40)];
                let draft = Draft::new(None, Kind::Text, None, data.into()).unwrap();
                let draft = if end && self.random.bool() { None } else { Some(draft) };
                Append { channel: name(self.random.choice(CHANNELS).unwrap()), draft, end, key: None }
            })
            .collect();
        let got = self.log.append(self.now, &items).map_err(|(i, _)| i);
        assert_eq!(got, self.twin.append(self.now, &items));
        assert_eq!(self.log.head(), self.twin.head());
    }

    fn delete(&mut self) {
        let channel = name(self.random.choice(CHANNELS).unwrap());
        assert_eq!(self.log.delete(self.now, &channel), self.twin.delete(self.now, &channel));
    }

    fn open(&mut self) {
        let selection = selection(&mut self.random);
        let page = self.random.bool();
        let seq = self.random.u64(..=self.twin.head() + 2);
        let foreign = Position::of(&[Mark { epoch: Epoch::new(5), seq: 3 }]).unwrap().to_string();
        let both = format!("{foreign}.{}", Mark { epoch: EPOCH, seq });
        let garbage = "\u{fc}".repeat(200);
        let mine = self.log.position(seq).to_string();
        let texts = [&*foreign, &both, &garbage, &mine, &mine, &mine, &mine];
        let since = match self.random.u8(..10) {
            0 | 1 => Since::Default,
            2 => Since::Earliest,
            3 => Since::Latest,
            _ => Since::At(self.random.choice(texts).unwrap()),
        };
        let opened = self.log.open(self.now, &selection, since, page);
        assert_eq!(opened, self.twin.open(&selection, since, page), "{selection:?} {since:?} page {page}");
        self.follow(selection, since, opened);
    }

    fn follow(&mut self, selection: Selection, since: Since<'_>, opened: Opened) {
        let mut told = Vec::new();
        let mut start = opened.cursor.floor;
        if let Some(gap) = opened.gap {
            let mine = gap.from.parse::<Position>().ok().and_then(|from| from.in_log(EPOCH));
            start = mine.filter(|from| *from <= start).unwrap_or(start);
            told.push(Found { cursor: opened.cursor, what: Read::Gap(gap) });
        }
        let fresh = since == Since::Default;
        let reader = Reader { selection, start, cursor: opened.cursor, told, fresh };
        if self.readers.len() < 4 {
            self.readers.push(reader);
        } else {
            let i = self.random.usize(..4);
            self.end(i);
            self.readers[i] = reader;
        }
    }

    fn read(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let i = self.random.usize(..self.readers.len());
        let upto = self.twin.head() - self.random.choice([0, 0, 1, 5]).unwrap().min(self.twin.head());
        let budget = budget(&mut self.random);
        self.read_piece(i, upto, budget);
    }

    fn read_piece(&mut self, i: usize, upto: u64, budget: Budget) -> bool {
        let reader = &mut self.readers[i];
        let got = self.log.read(self.now, &reader.selection, reader.cursor, upto, budget);
        let expected = self.twin.read(&reader.selection, reader.cursor, upto, budget);
        assert_eq!(twin::plain(&got), twin::plain(&expected), "{:?} {:?} {upto}", reader.selection, reader.cursor);
        assert!(got.caught_up || !got.found.is_empty());
        // Half of the time the socket takes only some of it.
        let taken = if self.random.bool() { got.found.len() } else { self.random.usize(..=got.found.len()) };
        if taken == got.found.len() {
            reader.cursor = got.cursor;
        } else if taken > 0 {
            reader.cursor = got.found[taken - 1].cursor;
        }
        reader.told.extend(got.found.into_iter().take(taken));
        got.caught_up
    }

    fn look(&mut self) {
        let selection = selection(&mut self.random);
        assert_eq!(self.log.all_ended(&selection), self.twin.all_ended(&selection));
        let after = self.random.bool().then(|| self.random.choice(CHANNELS).unwrap());
        let limit = self.random.usize(..10);
        assert_eq!(self.log.channels(self.now, after, limit), self.twin.channels(after, limit));
        if self.ticks {
            let stats = self.log.stats();
            assert_eq!((stats.events, stats.bytes), self.twin.held());
            assert!(self.log.next_expiry().is_none_or(|expiry| expiry > self.now));
        }
        let from = self.items.len();
        match self.log.take(self.ring, self.random.usize(..20), &mut self.items) {
            Taken::Upto(upto) => {
                self.twin.check_items(self.ring, upto, &self.items[from..]);
                self.ring = upto;
            }
            Taken::Overrun { head } => {
                assert_eq!((head, self.items.len()), (self.twin.head(), from));
                self.ring = head;
            }
        }
    }

    /// Has a reader read all there is, and looks back.
    fn end(&mut self, i: usize) {
        while self.readers[i].cursor.seq < self.twin.head() {
            self.read_piece(i, self.twin.head(), Budget { items: 3, bytes: 100 });
        }
        check(&self.twin, &self.readers[i]);
    }

    fn finish(&mut self) {
        for i in 0..self.readers.len() {
            self.end(i);
        }
    }
}

/// Every event from where the reader began to where it is was told once, in order, or is in a gap; and every gap is
/// of something that was lost.
fn check(twin: &Twin, reader: &Reader) {
    let mut at = 0;
    for found in &reader.told {
        assert!(
            found.cursor.seq > at || (found.cursor.seq == at && matches!(found.what, Read::Gap(_))),
            "positions rise"
        );
        at = found.cursor.seq;
    }
    let told = |seq| reader.told.iter().any(|found| matches!(&found.what, Read::Event(entry) if entry.seq() == seq));
    let gaps: Vec<(Option<ChannelName>, u64, u64, Reason)> = reader
        .told
        .iter()
        .filter_map(|found| match &found.what {
            Read::Gap(gap) => {
                let from = gap.from.parse::<Position>().ok().and_then(|from| from.in_log(EPOCH)).unwrap_or(0);
                Some((gap.channel.clone(), from, gap.to.in_log(EPOCH).unwrap(), gap.reason))
            }
            _ => None,
        })
        .collect();
    let past = twin.past.iter().filter(|past| past.seq <= reader.cursor.seq && reader.selection.selects(&past.channel));
    for past in past.clone().filter(|past| past.seq > reader.start && past.is_event()) {
        let of = |channel: &Option<ChannelName>| channel.as_ref().is_none_or(|channel| *channel == past.channel);
        let covered = gaps.iter().any(|(channel, from, to, _)| of(channel) && (from + 1..=*to).contains(&past.seq));
        let is_state = matches!(twin.policy.class_of(&past.channel), Class::State);
        assert!(told(past.seq) || covered || is_state, "{} of {} is missing: {gaps:?}", past.seq, past.channel);
    }
    for found in &reader.told {
        if let Read::Event(entry) = &found.what {
            let is_state = matches!(twin.policy.class_of(&entry.event().channel), Class::State);
            assert!(entry.seq() > reader.start || (reader.fresh && is_state), "{} was not asked for", entry.seq());
        }
    }
    for (channel, from, to, reason) in &gaps {
        if matches!(reason, Reason::Epoch | Reason::Ahead | Reason::Unknown | Reason::Forgotten) {
            continue;
        }
        let within = |seq| *from < seq && seq <= *to;
        let of = |past: &&Past| channel.as_ref().is_none_or(|channel| *channel == past.channel);
        let mut lost = past.clone().filter(|past| of(past) && within(past.seq));
        assert!(lost.clone().any(|past| !told(past.seq)), "a gap of nothing: {channel:?} {from} {to} {reason:?}");
        if reader.selection.len() == 1 && reader.selection.patterns.is_empty() {
            assert!(!lost.any(|past| told(past.seq)), "a gap of what was told: {channel:?} {from} {to} {reason:?}");
        }
    }
}

#[test]
fn it_agrees_with_its_slow_twin() {
    let base = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = base.map_or(0..2500, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..100 {
                world.step();
            }
            world.finish();
        });
        assert!(run.is_ok(), "run this alone with SEED={seed}");
    }
}

#[test]
fn items_follow_each_other() {
    let log = Memory::new(EPOCH, Policy::default());
    let draft = Draft::new(None, Kind::Text, None, "x".into()).unwrap();
    let item = Append { channel: name("a"), draft: Some(draft), end: true, key: None };
    log.append(0, &[item]).unwrap();
    log.delete(0, &name("a")).unwrap();
    let mut out = Vec::new();
    assert_eq!(log.take(0, 10, &mut out), Taken::Upto(3));
    assert!(matches!((&out[0].what, &out[1].what, &out[2].what), (What::Event(_), What::End, What::Deleted)));
}
