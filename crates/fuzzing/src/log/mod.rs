//! Sequences of calls on the log, compared with its slow twin call by call, and a look back on what readers were told.

mod check;
mod keys;
mod twin;

use crate::choices::Choices;
use keys::{Claim, Line, Sender, Told};
use switchboard_store::{
    Append, Budget, Class, Cursor, Found, Item, Key, Memory, Opened, Policy, Read, Retention, Since, StreamKey, Taken,
};
use switchboard_wire::event::Draft;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Epoch, Kind, Mark, Pattern, Position};
use twin::Twin;

const EPOCH: Epoch = Epoch::new(0x1234_5678_9abc);
const CHANNELS: [&str; 9] = ["h/a", "h/b", "h/c/d", "s/a", "s/b", "e/a", "e/b", "b/a", "b/b"];
const PATTERNS: [&str; 6] = ["**", "h/*", "h/**", "s/*", "*/a", "e/**"];
/// Publishers, and keys of each: few, so that they meet again.
const KEYS: usize = 3;

pub(crate) fn run(input: &[u8]) {
    let mut world = World::new(Choices::new(input));
    while !world.choices.is_empty() {
        world.step();
    }
    world.finish();
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn policy(choices: &mut Choices<'_>) -> (Policy, bool) {
    let age = choices.pick(&[20, 100, 1_000_000]);
    let history = Retention { events: 1 + choices.below(7), age, bytes: 1 << 20 };
    let by_bytes = Retention { events: 100, age: 50, bytes: choices.below(60) };
    // Without ticks nothing expires but what is looked at, and the log would evict others' events for want of it.
    let ticks = choices.flag();
    let policy = Policy {
        rules: vec![
            (Pattern::new("s/**").unwrap(), Class::State),
            (Pattern::new("e/**").unwrap(), Class::Ephemeral),
            (Pattern::new("b/**").unwrap(), Class::History(by_bytes)),
        ],
        default: Class::History(history),
        bytes: if ticks && choices.flag() { 1 + choices.below(3000) } else { 1 << 30 },
        channels: choices.pick(&[2, 4, 100, 100]),
        keys: choices.pick(&[1, 2, 5, 100]),
        key_age: choices.pick(&[10, 60, 1_000_000]),
        ring: choices.pick(&[1, 5, 1000]),
    };
    (policy, ticks)
}

fn selection(choices: &mut Choices<'_>) -> Selection {
    let mut selection = Selection::default();
    for _ in 0..1 + choices.below(4) {
        selection.channels.push(name(choices.pick(&CHANNELS)));
    }
    if choices.flag() {
        selection.channels.truncate(1);
    }
    if choices.byte() < 100 {
        selection.channels.truncate(choices.below(2));
        selection.patterns.push(Pattern::new(choices.pick(&PATTERNS)).unwrap());
    }
    selection
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

struct World<'a> {
    choices: Choices<'a>,
    now: u64,
    ticks: bool,
    log: Memory,
    twin: Twin,
    readers: Vec<Reader>,
    senders: Vec<Sender>,
    ring: u64,
    items: Vec<Item>,
}

impl<'a> World<'a> {
    fn new(mut choices: Choices<'a>) -> World<'a> {
        let (policy, ticks) = policy(&mut choices);
        World {
            now: 1000,
            ticks,
            log: Memory::new(EPOCH, policy.clone()),
            twin: Twin::new(EPOCH, policy),
            readers: Vec::new(),
            senders: Vec::new(),
            ring: 0,
            items: Vec::new(),
            choices,
        }
    }

    fn step(&mut self) {
        match self.choices.below(100) {
            0..35 => self.append(),
            35..45 => self.stream(),
            45..50 => self.delete(),
            50..60 => self.pass_time(),
            60..72 => self.open(),
            72..95 => self.read(),
            _ => self.look(),
        }
    }

    fn draft(&mut self) -> Draft {
        // Few lengths, so that what is published again may be the same.
        let length = self.choices.pick(&[0, 1, 5, 39]);
        Draft::new(None, Kind::Text, None, vec![b'x'; length].into()).unwrap()
    }

    fn append(&mut self) {
        let count = self.choices.pick(&[1, 1, 3]);
        let items: Vec<Told> = (0..count).map(|_| self.item()).collect();
        self.publish(&items);
    }

    fn item(&mut self) -> Told {
        let end = self.choices.one_in(25);
        let draft = if end && self.choices.flag() { None } else { Some(self.draft()) };
        let channel = name(self.choices.pick(&CHANNELS));
        let claim = self.choices.one_in(3).then(|| Claim {
            publisher: self.choices.below(KEYS) as u8,
            key: self.choices.below(KEYS) as u8,
            lines: None,
        });
        let key = claim.as_ref().map(|claim| Key::whole(&claim.publisher.to_string(), &claim.key.to_string()));
        Told { append: Append { channel, draft, end, key }, claim }
    }

    fn publish(&mut self, items: &[Told]) {
        let appends: Vec<Append> = items.iter().map(|told| told.append.clone()).collect();
        let got = self.log.append(self.now, &appends);
        let expected = self.twin.append(self.now, items, got.as_ref().err().copied());
        assert_eq!(got, expected, "{items:?}");
        assert_eq!(self.log.head(), self.twin.head());
    }

    /// A stream of events with a key goes on, ends, or is begun anew: as a retry, or as another with the same key.
    fn stream(&mut self) {
        let (at, what) = (self.choices.below(3), self.choices.below(8));
        match (self.senders.get_mut(at), what) {
            (Some(sender), 0) => {
                let (now, channel) = (self.now, &sender.channel);
                assert_eq!(self.log.finish(now, channel, &sender.stream), self.twin.keys.finish(now, sender));
            }
            (Some(sender), 1) => {
                sender.stream = StreamKey::new(&sender.publisher.to_string(), &sender.key.to_string());
                sender.lines.clear();
            }
            (Some(sender), _) => {
                // Few kinds of lines, so that a retry is likely to send the same.
                let (end, length) = (what == 7 && self.choices.flag(), usize::from(what == 6));
                let draft = Draft::new(None, Kind::Text, None, vec![b'x'; length].into()).unwrap();
                let line: Line = (if end && self.choices.flag() { None } else { Some(draft) }, end);
                let key = sender.stream.line(line.0.as_ref(), line.1);
                sender.lines.push(line.clone());
                assert_eq!(sender.stream.lines(), sender.lines.len() as u64);
                let Sender { channel, publisher, key: name, lines, .. } = sender.clone();
                let append = Append { channel, draft: line.0, end: line.1, key: Some(key) };
                self.publish(&[Told { append, claim: Some(Claim { publisher, key: name, lines: Some(lines) }) }]);
            }
            (None, _) => {
                let channel = name(self.choices.pick(&CHANNELS[..2]));
                let (publisher, key) = (self.choices.below(KEYS) as u8, self.choices.below(KEYS) as u8);
                let stream = StreamKey::new(&publisher.to_string(), &key.to_string());
                self.senders.push(Sender { channel, publisher, key, stream, lines: Vec::new() });
            }
        }
    }

    fn delete(&mut self) {
        let channel = name(self.choices.pick(&CHANNELS));
        assert_eq!(self.log.delete(self.now, &channel), self.twin.delete(self.now, &channel));
    }

    fn pass_time(&mut self) {
        self.now += self.choices.below(30) as u64;
        self.twin.advance(self.now);
        if self.ticks {
            self.log.tick(self.now);
            self.count();
        }
    }

    /// What is held, once what has expired is gone.
    fn count(&mut self) {
        let stats = self.log.stats();
        assert_eq!((stats.events, stats.bytes, stats.head), (self.twin.held().0, self.twin.held().1, self.twin.head()));
        assert!(stats.keys >= self.twin.keys.known(self.now) && stats.keys <= self.twin.policy.keys);
        assert!(stats.channels <= self.twin.policy.channels);
        assert!(self.log.next_expiry().is_none_or(|expiry| expiry > self.now));
    }

    fn open(&mut self) {
        let selection = selection(&mut self.choices);
        let page = self.choices.flag();
        let seq = self.choices.below(self.twin.head() as usize + 3) as u64;
        let foreign = Position::of(&[Mark { epoch: Epoch::new(5), seq: 3 }]).unwrap().to_string();
        let both = format!("{foreign}.{}", Mark { epoch: EPOCH, seq });
        let garbage = "\u{fc}".repeat(200);
        let mine = self.log.position(seq).to_string();
        let (which, length) = (self.choices.below(10), self.choices.below(12));
        let any = String::from_utf8_lossy(if which == 9 { self.choices.take(length) } else { b"" }).into_owned();
        let since = match which {
            0 | 1 => Since::Default,
            2 => Since::Earliest,
            3 => Since::Latest,
            9 => Since::At(&any),
            _ => Since::At(self.choices.pick(&[&*mine, &mine, &mine, &mine, &both, &foreign, &garbage])),
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
            let i = self.choices.below(4);
            self.end(i);
            self.readers[i] = reader;
        }
    }

    fn read(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let i = self.choices.below(self.readers.len());
        let upto = self.twin.head().saturating_sub(self.choices.pick(&[0, 0, 1, 5]));
        let budget = Budget { items: self.choices.pick(&[1, 2, 3, 100]), bytes: self.choices.pick(&[0, 30, 1 << 20]) };
        self.read_piece(i, upto, budget);
    }

    fn read_piece(&mut self, i: usize, upto: u64, budget: Budget) -> bool {
        let reader = &mut self.readers[i];
        let got = self.log.read(self.now, &reader.selection, reader.cursor, upto, budget);
        let expected = self.twin.read(&reader.selection, reader.cursor, upto, budget);
        assert_eq!(twin::plain(&got), twin::plain(&expected), "{:?} {:?} {upto}", reader.selection, reader.cursor);
        assert!(got.caught_up || !got.found.is_empty());
        // Half of the time the socket takes only some of it.
        let some = self.choices.flag();
        let taken = if some { self.choices.below(got.found.len() + 1) } else { got.found.len() };
        if taken == got.found.len() {
            reader.cursor = got.cursor;
        } else if taken > 0 {
            reader.cursor = got.found[taken - 1].cursor;
        }
        reader.told.extend(got.found.into_iter().take(taken));
        got.caught_up
    }

    fn look(&mut self) {
        let selection = selection(&mut self.choices);
        assert_eq!(self.log.all_ended(&selection), self.twin.all_ended(&selection));
        let after = self.choices.flag().then(|| self.choices.pick(&CHANNELS));
        let limit = self.choices.below(10);
        assert_eq!(self.log.channels(self.now, after, limit), self.twin.channels(after, limit));
        if self.ticks {
            self.count();
        }
        let from = self.items.len();
        match self.log.take(self.ring, self.choices.below(20), &mut self.items) {
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
        check::check(&self.twin, &self.readers[i]);
    }

    fn finish(&mut self) {
        for i in 0..self.readers.len() {
            self.end(i);
        }
    }
}
