//! Nothing grows without bound, and nothing is remembered of what is gone.

use crate::entry::EVENT_OVERHEAD;
use crate::filter::Filter;
use crate::keys::Claim;
use crate::log::Log;
use crate::ring::{Item, Ring, Taken, Trash, What};
use crate::steps::at_once;
use crate::{Append, Budget, Class, Cursor, Key, Memory, Pause, Policy, Read, Retention, Since, StreamKey};
use switchboard_wire::event::Draft;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Epoch, Form, Kind};

fn item(channel: &str, size: usize) -> Append {
    let draft = Draft::new(None, Kind::Text, None, "x".repeat(size).into()).unwrap();
    Append { channel: ChannelName::new(channel).unwrap(), draft: Some(draft), end: false, key: None }
}

fn log(policy: Policy) -> Log {
    let default = Class::History(Retention { events: 3, age: 1000, bytes: 1 << 20 });
    Log::new(Epoch::new(1), Policy { default, ..policy })
}

fn put(log: &mut Log, now: u64, item: Append) {
    log.clock(now);
    let claims = [Claim::of(&item)];
    log.append(&[item], &claims).unwrap();
}

#[test]
fn a_channel_has_one_timer_and_takes_it_along() {
    let mut log = log(Policy { channels: 5, ..Policy::default() });
    let mut random = fastrand::Rng::with_seed(1);
    let mut now = 0;
    for _ in 0..2000 {
        now += random.u64(..300);
        put(&mut log, now, item(&format!("c{}", random.u8(..7)), 0));
        log.expire(usize::MAX);
        assert!(log.timers() <= 5);
    }
    log.clock(now + 1000);
    assert!(!log.expire(usize::MAX));
    assert_eq!((log.timers(), log.stats().events, log.next_expiry()), (0, 0, None));
}

#[test]
fn old_keys_make_way_as_new_ones_come() {
    let mut log = log(Policy { key_age: 100, ..Policy::default() });
    for now in 0..2000 {
        let key = Some(Key::whole("me", &now.to_string()));
        put(&mut log, now, Append { key, ..item("a", 0) });
    }
    assert!(log.keys.len() <= 101, "{}", log.keys.len());
}

#[test]
fn a_key_leaves_nothing_behind() {
    let mut log = log(Policy { key_age: 100, ..Policy::default() });
    let mut stream = StreamKey::new("me", "stream");
    for now in (0..1000).step_by(30) {
        let append = item("a", 0);
        let key = Some(stream.line(append.draft.as_ref(), false));
        put(&mut log, now, Append { key, ..append });
        // The same key again and again, each time when it is no longer kept, before anything looks for old ones.
        if now % 90 == 0 {
            put(&mut log, now, Append { key: Some(Key::whole("me", "whole")), ..item("b", 0) });
        }
        assert!(log.keys.len() <= 2 && log.keys.queued() <= 4);
    }
    while log.keys.expire(2000, 1) {}
    while log.keys.expire(3000, 1) {}
    assert_eq!((log.keys.len(), log.keys.queued()), (0, 0));
}

#[test]
fn the_ring_is_bounded_by_bytes_too() {
    let mut log = log(Policy::default());
    let mut ring = Ring::new(1000, 10 * (500 + EVENT_OVERHEAD));
    for _ in 0..100 {
        put(&mut log, 0, item("a", 500));
    }
    ring.extend(log.fresh.drain(..), &mut Trash::default());
    let mut out: Vec<Item> = Vec::new();
    assert_eq!(ring.take(89, 1000, &mut out), Taken::Overrun { head: 100 });
    assert_eq!(ring.take(90, 1000, &mut out), Taken::Upto(100));
    put(&mut log, 0, item("a", 1 << 20));
    ring.extend(log.fresh.drain(..), &mut Trash::default());
    assert_eq!(ring.take(99, 1000, &mut out), Taken::Overrun { head: 101 });
    assert_eq!(ring.take(100, 1000, &mut out), Taken::Upto(101), "one always stays");
    assert!(matches!(&out[10].what, What::Event(entry) if entry.seq() == 101));
}

#[test]
fn a_filter_does_not_take_a_new_channel_for_the_one_whose_place_it_has() {
    let mut log = log(Policy { channels: 1, ..Policy::default() });
    put(&mut log, 0, item("a", 0));
    let id = log.records.id(&ChannelName::new("a").unwrap()).unwrap();
    let selection = Selection::one(ChannelName::new("a").unwrap());
    let mut filter = Filter::new(&selection);
    filter.renew(&log);
    assert!(filter.selected(&log, id).is_some());
    put(&mut log, 0, item("b", 0));
    assert!(log.records.get(id).is_some());
    filter.renew(&log);
    assert!(filter.selected(&log, id).is_none());
}

/// Where nothing is appended any more, whoever reads it all in each form has much encoded.
#[test]
fn readers_alone_have_no_more_encoded_than_encodings_may_take() {
    let policy = Policy { bytes: 1 << 20, ..Policy::default() };
    let limit = crate::Limits::of(&policy).encodings;
    let log = Memory::new(Epoch::new(1), policy);
    for n in 0..1000 {
        log.append(n, &[item("a", 300)]).unwrap();
    }
    let mut selection = Selection::default();
    selection.add("a").unwrap();
    let forms = [Form::NdJson { gzip: false }, Form::SseRaw { gzip: false }, Form::SseEvent { gzip: false }];
    for form in forms {
        let mut cursor = Cursor::at(0);
        loop {
            let piece = log.read(1000, &selection, cursor, log.head(), Budget { items: 64, bytes: 1 << 20 });
            for found in &piece.found {
                if let Read::Event(entry) = &found.what {
                    entry.encoded(form);
                }
            }
            let most = limit + 64 * 1024;
            assert!(log.stats().encodings <= most, "{} of {most}", log.stats().encodings);
            cursor = piece.cursor;
            if piece.caught_up {
                break;
            }
        }
    }
    log.tick(1000);
    assert!(log.stats().encodings <= limit, "{} of {limit}", log.stats().encodings);
}

/// A reader by pattern that goes step by step, past much that it does not select, finds what one that goes at once finds.
#[test]
fn steps_find_what_one_long_look_finds() {
    let default = Class::History(Retention { events: 40, age: 1000, bytes: 1 << 20 });
    let log = Memory::new(Epoch::new(1), Policy { default, ..Policy::default() });
    for n in 0..600_u64 {
        // Of some channels much is lost, of others nothing.
        let channel = if n % 37 == 0 { format!("b/{}", n % 3) } else { format!("a/{}", n % 4) };
        log.append(0, &[item(&channel, 10)]).unwrap();
    }
    for pattern in ["b/*", "a/1", "*/1", "none/*", "**"] {
        let mut selection = Selection::default();
        selection.add(pattern).unwrap();
        let budget = Budget { items: 1000, bytes: 1 << 20 };
        let events = |found: &[crate::Found]| -> Vec<u64> {
            found.iter().filter_map(|found| matches!(found.what, Read::Event(_)).then_some(found.cursor.seq)).collect()
        };
        let whole = log.read(0, &selection, Cursor::at(0), log.head(), budget);
        let (mut cursor, mut found, mut steps) = (Cursor::at(0), Vec::new(), 0);
        loop {
            let piece = log.read_some(0, &selection, cursor, log.head(), budget);
            steps += 1;
            assert!(piece.caught_up || piece.cursor.seq > cursor.seq, "{pattern}: no step forward from {cursor:?}");
            (cursor, found) = (piece.cursor, [found, piece.found].concat());
            if piece.caught_up {
                break;
            }
        }
        assert_eq!(events(&found), events(&whole.found), "{pattern}");
        assert_eq!(cursor, whole.cursor, "{pattern}");
        let lost = |found: &[crate::Found]| found.iter().any(|found| matches!(found.what, Read::Gap(_)));
        assert_eq!(lost(&found), lost(&whole.found), "{pattern}");
        // A name alone is looked up, and not walked to.
        assert_eq!(steps > 1, pattern.contains('*'), "{pattern}: {steps} steps");
    }
}

/// Counts the rests of a look.
#[derive(Default)]
struct Rests(std::cell::Cell<usize>);

impl Pause for Rests {
    async fn pause(&self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_long_look_rests_after_each_step_of_so_many_places() {
    const STEPS: usize = 20;
    let default = Class::History(Retention { events: 1 << 20, age: 1000, bytes: 1 << 30 });
    let log = Memory::new(Epoch::new(1), Policy { default, ..Policy::default() });
    log.append(0, &[item("b/y", 1)]).unwrap();
    for _ in 0..STEPS * Log::STEP {
        log.append(0, &[item("a/x", 1)]).unwrap();
    }
    log.append(0, &[item("b/y", 1)]).unwrap();
    let mut selection = Selection::default();
    selection.add("b/*").unwrap();
    let (rests, budget) = (Rests::default(), Budget { items: 10, bytes: 1 << 20 });
    let piece = at_once(log.read_in_steps(0, &selection, Cursor::at(0), log.head(), budget, &rests));
    assert_eq!(piece.found.iter().filter(|found| matches!(found.what, Read::Event(_))).count(), 2);
    // One is longer, in which the pattern is made ready.
    assert!(rests.0.get() + 1 >= STEPS, "{} rests in {STEPS} steps", rests.0.get());
}

#[test]
fn a_long_look_rests_sooner_where_patterns_make_much_work() {
    const CHANNELS: usize = 100;
    let default = Class::History(Retention { events: 10, age: 1000, bytes: 1 << 30 });
    let log = Memory::new(Epoch::new(1), Policy { default, ..Policy::default() });
    for number in 0..CHANNELS {
        log.append(0, &[item(&format!("{}{number}", "a/".repeat(30)), 1)]).unwrap();
    }
    let mut selection = Selection::default();
    for number in 0..10 {
        selection.add(&format!("**/a/*/a/**/{number}/b")).unwrap();
    }
    let (rests, budget) = (Rests::default(), Budget { items: 10, bytes: 1 << 20 });
    at_once(log.read_in_steps(0, &selection, Cursor::at(0), log.head(), budget, &rests));
    // To look a segment of a name up takes as long as to look at a place, or longer; to match it as it is, longer by far.
    let each = 31;
    // A step is longer, in which patterns are made ready: by twice what that takes for some 70 segments.
    let longer = 1 + 2 * 70 * 7 / each;
    assert!(rests.0.get() + longer >= CHANNELS * each.min(Log::STEP) / Log::STEP, "{} rests", rests.0.get());
    rests.0.set(0);
    at_once(log.open_in_steps(0, &selection, Since::Earliest, false, &rests));
    assert!(rests.0.get() + longer >= CHANNELS * each.min(Log::STEP) / Log::STEP, "{} rests", rests.0.get());
}

/// Who is behind begins anew at each step: what its patterns take then is not to be all of it.
#[test]
fn however_long_its_patterns_a_reader_that_is_behind_comes_far_at_each_step() {
    const EVENTS: usize = 1000;
    let default = Class::History(Retention { events: EVENTS, age: 1000, bytes: 1 << 30 });
    let log = Memory::new(Epoch::new(1), Policy { default, ..Policy::default() });
    let deep = "a/".repeat(40);
    for number in 0..EVENTS {
        log.append(0, &[item(&format!("{deep}{}", number % 2), 1)]).unwrap();
    }
    let long = vec![format!("none/{}*", "a/".repeat(120))];
    let many = (0..20).map(|number| format!("**/{}b{number}/**", "a/".repeat(20))).collect();
    for (patterns, most) in [(long, 2 * EVENTS / Log::STEP + 1), (many, 3)] {
        let mut selection = Selection::default();
        patterns.iter().for_each(|pattern: &String| selection.add(pattern).unwrap());
        let (mut cursor, mut steps) = (Cursor::at(0), 0);
        let budget = Budget { items: 10, bytes: 1 << 20 };
        while cursor.seq < log.head() {
            cursor = log.read_some(0, &selection, cursor, log.head(), budget).cursor;
            steps += 1;
        }
        assert!(steps <= most, "{steps} steps past {EVENTS} events, by {}", patterns[0]);
    }
}

#[test]
fn reading_in_steps_tells_of_every_loss_wherever_a_step_ends() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let default = Class::History(Retention { events: 1 + random.usize(..6), age: 1000, bytes: 1 << 20 });
        let log = Memory::new(Epoch::new(1), Policy { default, ..Policy::default() });
        let mut published = Vec::new();
        for _ in 0..300 {
            let channel = format!("{}/{}", ["r", "s"][random.usize(..2)], random.usize(..4).min(random.usize(..4)));
            log.append(0, &[item(&channel, 1)]).unwrap();
            published.push((log.head(), ChannelName::new(&channel).unwrap()));
        }
        let mut selection = Selection::default();
        selection.add("r/*").unwrap();
        let budget = Budget { items: 1 + random.usize(..20), bytes: 1 << 20 };
        let (mut cursor, mut found) = (Cursor::at(random.u64(..100)), Vec::new());
        let begun = cursor.seq;
        loop {
            let piece = log.read_some(0, &selection, cursor, log.head(), budget);
            (cursor, found) = (piece.cursor, [found, piece.found].concat());
            if piece.caught_up {
                break;
            }
        }
        assert_eq!(cursor, Cursor::at(log.head()));
        for (seq, channel) in published.iter().filter(|(seq, of)| *seq > begun && selection.selects(of)) {
            let id = log.position(*seq).to_string();
            let tells = |found: &&crate::Found| match &found.what {
                Read::Event(entry) => entry.seq() == *seq,
                Read::Gap(gap) => {
                    gap.channel.as_ref().is_none_or(|of| of == channel) && *gap.from < *id && id <= gap.to.to_string()
                }
                Read::End(_) => false,
            };
            assert_eq!(found.iter().filter(tells).count(), 1, "seed {seed}: {seq} of {channel}: {found:?}");
        }
    }
}
