//! Slow readers among fast ones: bounded memory, nothing lost that history holds, nobody delayed.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::collections::BTreeSet;
use switchboard_testkit::{Follower, Said, Server, Transport};

const SLOW: usize = 60;
const EVENTS: usize = 2000;
const SIZE: usize = 20_000;
/// What the server may grow by: the channel's history of 8 MiB several times over, for its encodings and the
/// allocator's slack, and far from the gigabytes that a queue for each slow reader would come to.
const GROWTH: u64 = 160 << 20;

#[test]
fn slow_readers_cost_bounded_memory_lose_nothing_that_history_holds_and_delay_nobody() {
    // A WebSocket that takes nothing for three heartbeats is given up, which slow readers here are not to be.
    let args = ["serve", "--listen", "127.0.0.1:0", "--heartbeat", "10m"];
    let server = Server::process(env!("CARGO_BIN_EXE_switchboard"), &args);
    let streams = [Transport::Sse, Transport::Stream, Transport::WebSocket];
    let mut slow: Vec<Follower> =
        (0..SLOW).map(|i| Follower::open(&server, &["a"], None, streams[i % streams.len()])).collect();
    let mut fast: Vec<Follower> = streams.map(|transport| Follower::open(&server, &["a"], None, transport)).into();
    let mut publisher = server.connect();
    publisher.publish("a", "first");
    for follower in &mut fast {
        follower.event();
    }
    let before = server.resident();
    let mut most = before;
    let mut ids = Vec::new();
    for i in 0..EVENTS {
        let id = publisher.publish("a", format!("{i} {}", "x".repeat(SIZE)));
        // Each event is heard before the next is published, while the slow ones read nothing.
        for follower in &mut fast {
            assert_eq!(follower.event().id, id);
        }
        ids.push(id);
        if i % 100 == 0 {
            most = most.max(server.resident());
        }
    }
    most = most.max(server.resident());
    assert!(most - before < GROWTH, "it grew from {before} to {most} bytes");

    let held: BTreeSet<String> = held(&server);
    assert!(held.len() > 100, "{} events are held", held.len());
    let last = ids.last().unwrap();
    for follower in slow.iter_mut().take(6) {
        let (mut heard, mut gaps) = (BTreeSet::new(), Vec::new());
        while !heard.contains(last) {
            match follower.next() {
                Said::Event(event) => {
                    assert!(heard.last().is_none_or(|before| *before < event.id), "in order and once");
                    heard.insert(event.id);
                }
                Said::Gap(gap) => gaps.push(gap),
                Said::Open { .. } | Said::Position(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(held.is_subset(&heard), "what the history holds is not lost");
        assert!(!gaps.is_empty(), "what it does not hold is told");
        for id in &ids {
            let told = gaps.iter().any(|gap| gap.from < *id && *id <= gap.to);
            assert!(heard.contains(id) != told, "{id}: heard or told as lost, and not both: {gaps:?}");
        }
    }
    let live = publisher.publish("a", "live again");
    for follower in slow.iter_mut().take(6).chain(&mut fast) {
        assert_eq!(follower.event().id, live);
    }
}

/// The ids of what the channel holds.
fn held(server: &Server) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut since = "earliest".to_owned();
    loop {
        let page = server.page(&format!("/channels/a?limit=100&since={since}"));
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            return ids;
        }
        ids.extend(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        page["position"].as_str().unwrap().clone_into(&mut since);
    }
}
