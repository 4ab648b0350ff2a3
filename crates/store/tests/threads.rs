//! The log among threads: whoever takes, follows or encodes sees every event once, in order.

// A test fails by panicking, also in what it is made of.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use switchboard_store::{Append, Budget, Class, Cursor, Item, Memory, Policy, Read, Retention, Taken, What};
use switchboard_wire::event::Draft;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Epoch, Form, Kind, Position};

const EACH: u64 = 20_000;
const TOTAL: u64 = 2 * EACH;

/// A bell that a thread can wait at.
#[derive(Default)]
struct Doorbell {
    rung: Mutex<u64>,
    changed: Condvar,
}

impl Doorbell {
    fn ring(&self) {
        *self.rung.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    fn wait_for_more_than(&self, seen: u64) -> u64 {
        *self.changed.wait_while(self.rung.lock().unwrap(), |rung| *rung <= seen).unwrap()
    }
}

fn item(channel: &str, text: String) -> Append {
    let draft = Draft::new(None, Kind::Text, None, text.into()).unwrap();
    Append { channel: ChannelName::new(channel).unwrap(), draft: Some(draft), end: false, key: None }
}

fn publish(log: &Memory, publisher: u64) {
    for i in 0..EACH {
        let channel = format!("p{publisher}/{}", i % 5);
        log.append(i, &[item(&channel, i.to_string())]).unwrap();
    }
}

fn log(events: usize, ring: usize) -> Memory {
    let default = Class::History(Retention { events, age: u64::MAX, bytes: usize::MAX });
    Memory::new(Epoch::new(1), Policy { default, ring, ..Policy::default() })
}

/// The items up to the end, as a shard takes them: asleep until the bell rings.
fn take_all(log: &Memory, bell: &Doorbell) -> Vec<Item> {
    let (mut items, mut at, mut rung) = (Vec::new(), 0, 0);
    while at < TOTAL {
        match log.take(at, 100, &mut items) {
            Taken::Upto(upto) if upto == at => rung = bell.wait_for_more_than(rung),
            Taken::Upto(upto) => at = upto,
            Taken::Overrun { head } => panic!("overrun at {at} by {head}"),
        }
    }
    items
}

#[test]
fn two_takers_get_every_item_of_two_publishers_once_in_order() {
    let log = log(10, TOTAL as usize);
    let bells = [Arc::new(Doorbell::default()), Arc::new(Doorbell::default())];
    for bell in &bells {
        let bell = Arc::clone(bell);
        log.on_append(Box::new(move || bell.ring()));
    }
    thread::scope(|scope| {
        let takers = bells.each_ref().map(|bell| scope.spawn(|| take_all(&log, bell)));
        let publishers = [0, 1].map(|publisher| {
            let log = &log;
            scope.spawn(move || publish(log, publisher))
        });
        for taker in takers {
            let items = taker.join().unwrap();
            assert!(items.iter().zip(1..=TOTAL).all(|(item, seq)| item.seq == seq));
            assert_eq!(items.len() as u64, TOTAL);
            for publisher in ["p0/", "p1/"] {
                let own = items.iter().filter(|item| item.channel.as_str().starts_with(publisher));
                let numbers = own.map(|item| match &item.what {
                    What::Event(entry) => String::from_utf8_lossy(entry.event().draft.data()).into_owned(),
                    other => panic!("{other:?}"),
                });
                assert!(numbers.eq((0..EACH).map(|i| i.to_string())), "in the order each published");
            }
        }
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    });
    assert_eq!((log.head(), log.stats().events), (TOTAL, 100));
}

/// What a follower was told: an event, or that a channel lost what lies between two places.
enum Told {
    Event(u64),
    Gap(Option<ChannelName>, u64, u64),
}

#[test]
fn a_follower_is_told_every_event_or_that_it_is_lost() {
    // So short a history that followers are passed by.
    let log = log(20, TOTAL as usize);
    let done = AtomicBool::new(false);
    let texts = ["p0/3", "p1/*"];
    let told = thread::scope(|scope| {
        let publishers = [0, 1].map(|publisher| {
            let log = &log;
            scope.spawn(move || publish(log, publisher))
        });
        let followers = texts.map(|text| {
            let (log, done) = (&log, &done);
            scope.spawn(move || follow(log, text, done))
        });
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        done.store(true, Ordering::Release);
        followers.map(|follower| follower.join().unwrap())
    });
    let mut items = Vec::new();
    assert_eq!(log.take(0, usize::MAX, &mut items), Taken::Upto(TOTAL));
    for (text, told) in texts.iter().zip(told) {
        check(&selection(text), &items, &told);
    }
}

fn selection(text: &str) -> Selection {
    let mut selection = Selection::default();
    selection.add(text).unwrap();
    selection
}

fn follow(log: &Memory, text: &str, done: &AtomicBool) -> Vec<Told> {
    let selection = selection(text);
    let (mut told, mut cursor) = (Vec::new(), Cursor::at(0));
    loop {
        // Asked first: what was published before is read below.
        let last = done.load(Ordering::Acquire);
        let piece = log.read(0, &selection, cursor, log.head(), Budget { items: 7, bytes: 1 << 20 });
        told.extend(piece.found.into_iter().map(|found| match found.what {
            Read::Event(entry) => Told::Event(entry.seq()),
            Read::Gap(gap) => {
                let from = gap.from.parse::<Position>().unwrap().in_log(log.epoch()).unwrap();
                Told::Gap(gap.channel, from, found.cursor.seq)
            }
            Read::End(channel) => panic!("{channel} has not ended"),
        }));
        cursor = piece.cursor;
        if piece.caught_up && last {
            assert_eq!(cursor, Cursor::at(TOTAL));
            return told;
        }
    }
}

fn check(selection: &Selection, items: &[Item], told: &[Told]) {
    let events: Vec<u64> =
        told.iter().filter_map(|told| if let Told::Event(seq) = told { Some(*seq) } else { None }).collect();
    assert!(events.is_sorted_by(|a, b| a < b), "once, in order");
    let events: HashSet<u64> = events.into_iter().collect();
    assert!(events.iter().all(|seq| selection.selects(&items[*seq as usize - 1].channel)));
    for item in items.iter().filter(|item| selection.selects(&item.channel) && !events.contains(&item.seq)) {
        let covered = told.iter().any(|told| {
            matches!(told, Told::Gap(channel, from, to) if channel.as_ref().is_none_or(|of| *of == item.channel) && (from + 1..=*to).contains(&item.seq))
        });
        assert!(covered, "{} of {} is missing", item.seq, item.channel);
    }
}

#[test]
fn an_event_is_encoded_once_whoever_asks() {
    let log = log(10, 10);
    log.append(0, &[item("a", "x".repeat(10_000))]).unwrap();
    let mut items = Vec::new();
    log.take(0, 1, &mut items);
    let What::Event(entry) = &items[0].what else { panic!("not an event") };
    let places = thread::scope(|scope| {
        let encoders =
            [(); 4].map(|()| scope.spawn(|| entry.encoded(Form::SseEvent { gzip: false }).payload().as_ptr() as usize));
        encoders.map(|encoder| encoder.join().unwrap())
    });
    assert!(places.iter().all(|place| *place == places[0]));
}

#[test]
fn encodings_have_a_limit_of_their_own_and_shorten_no_history() {
    let default = Class::History(Retention { events: 100, age: u64::MAX, bytes: usize::MAX });
    let log = Memory::new(Epoch::new(1), Policy { default, bytes: 20_000, ..Policy::default() });
    for _ in 0..10 {
        log.append(0, &[item("a", "x".repeat(1000))]).unwrap();
    }
    let before = log.stats();
    assert_eq!((before.events, before.trimmed), (10, 0));
    let piece = log.read(0, &selection("a"), Cursor::at(0), 10, Budget { items: 10, bytes: usize::MAX });
    for found in &piece.found {
        let Read::Event(entry) = &found.what else { panic!("not an event") };
        entry.encoded(Form::SseRaw { gzip: false });
        entry.encoded(Form::NdJson { gzip: false });
    }
    assert!(log.stats().bytes > before.bytes + 20_000);
    log.tick(0);
    let after = log.stats();
    assert!(after.bytes <= before.bytes + 5_000, "a quarter of what events may take: {after:?}");
    assert_eq!((after.events, after.trimmed), (10, 0));
    let Read::Event(entry) = &piece.found[0].what else { panic!("not an event") };
    assert!(!entry.encoded(Form::SseRaw { gzip: false }).payload().is_empty(), "it is made again");
    drop(piece);
    log.delete(0, &ChannelName::new("a").unwrap()).unwrap();
    assert_eq!((log.stats().bytes, log.stats().events), (0, 0));
}

#[test]
fn what_a_log_says_of_itself() {
    let log = log(2, 10);
    let name = ChannelName::new("a").unwrap();
    assert_eq!((log.content_type(&name), log.next_expiry()), (None, None));
    let rung = Arc::new(AtomicU64::new(0));
    let bell = Arc::clone(&rung);
    log.on_append(Box::new(move || {
        bell.fetch_add(1, Ordering::Relaxed);
    }));
    for _ in 0..3 {
        log.append(0, &[item("a", "x".into())]).unwrap();
    }
    assert_eq!(log.content_type(&name).as_deref(), Some("text/plain"));
    log.append(0, &[Append { draft: None, end: true, ..item("a", String::new()) }]).unwrap();
    log.delete(0, &name).unwrap();
    log.delete(0, &name);
    log.append(0, &[]).unwrap();
    assert_eq!(rung.load(Ordering::Relaxed), 5, "what changes nothing rings no bell");
    let stats = log.stats();
    assert_eq!((stats.appended, stats.trimmed, stats.deleted, stats.head), (3, 1, 1, 5));
}
