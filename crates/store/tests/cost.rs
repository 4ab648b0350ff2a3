//! What an append costs. Not run among the tests: `cargo test --release -p switchboard-store --test cost -- --ignored
//! --nocapture`.

// A test fails by panicking, also in what it is made of.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::time::Instant;
use switchboard_store::{Append, Budget, Class, Cursor, Memory, Policy, Retention};
use switchboard_wire::event::Draft;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Epoch, Kind, Pattern};

const COUNT: u64 = 2_000_000;

fn item(channel: &str) -> Append {
    let draft = Draft::new(None, Kind::Text, None, "x".repeat(128).into()).unwrap();
    Append { channel: ChannelName::new(channel).unwrap(), draft: Some(draft), end: false, key: None }
}

fn measure(what: &str, log: &Memory, items: &[Append]) {
    let start = Instant::now();
    for i in 0..COUNT {
        log.append(i / 1000, std::slice::from_ref(&items[i as usize % items.len()])).unwrap();
    }
    println!("{what}: {} ns an append, {:?}", start.elapsed().as_nanos() as u64 / COUNT, log.stats());
}

#[test]
#[ignore = "it measures"]
fn appending_and_trimming() {
    let new = |policy| Memory::new(Epoch::new(1), policy);
    measure("one channel, trimmed by count", &new(Policy::default()), &[item("chat/room-1")]);
    let many: Vec<Append> = (0..10_000).map(|i| item(&format!("chat/room-{i}"))).collect();
    measure("10,000 channels, trimmed by the log's bytes", &new(Policy::default()), &many);
    let default = Class::History(Retention { age: 500, ..Retention::default() });
    measure("10,000 channels, expiring", &new(Policy { default, ..Policy::default() }), &many);
    measure("10,000 states", &new(Policy { default: Class::State, ..Policy::default() }), &many);
    measure("one ephemeral channel", &new(Policy { default: Class::Ephemeral, ..Policy::default() }), &many[..1]);
    measure("10,000 channels of which 1,000 are kept", &new(Policy { channels: 1000, ..Policy::default() }), &many);
}

#[test]
#[ignore = "it measures"]
fn reading() {
    let log = Memory::new(Epoch::new(1), Policy { bytes: 1 << 30, ..Policy::default() });
    let many: Vec<Append> = (0..1000).map(|i| item(&format!("chat/room-{i}"))).collect();
    measure("1,000 channels", &log, &many);
    let budget = Budget { items: 64, bytes: 1 << 20 };
    let by_name = Selection::one(many[7].channel.clone());
    let several =
        Selection { channels: many[..100].iter().map(|item| item.channel.clone()).collect(), patterns: vec![] };
    let by_pattern = |text| Selection { channels: vec![], patterns: vec![Pattern::new(text).unwrap()] };
    let (everything, nothing) = (by_pattern("**"), by_pattern("nothing/*"));
    for (what, selection) in
        [("1 channel", by_name), ("100 channels", several), ("**", everything), ("nothing/*", nothing)]
    {
        let start = Instant::now();
        let (rounds, mut found) = (200, 0);
        for i in 0..rounds {
            found += log.read(COUNT / 1000, &selection, Cursor::at(COUNT / 2 + i), COUNT, budget).found.len();
        }
        let each = start.elapsed().as_nanos() as u64 / rounds;
        println!("{what}: {each} ns a piece of {}", found as u64 / rounds);
    }
}
