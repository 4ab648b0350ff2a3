//! Readers on each transport that are cut, come back on another, and hear everything once and in order.

use crate::{Soak, count, work};
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use switchboard_testkit::{Follower, Heard, Said, Transport};

const TRANSPORTS: [Transport; 4] = [Transport::Sse, Transport::Stream, Transport::WebSocket, Transport::Poll];
const QUICK: u64 = 12;
const SLOW: u64 = 4;
/// The last event of each soak, on a channel that all read.
const LAST: &str = "soak/last";

pub(crate) fn start(soak: &Arc<Soak>) -> Vec<JoinHandle<()>> {
    let reader = |i: u64| {
        let slow = i >= QUICK;
        work(soak, if slow { "slow reader" } else { "reader" }, move |soak| read(soak, i, slow))
    };
    let readers: Vec<_> = (0..QUICK + SLOW).map(reader).collect();
    let last = work(soak, "last", |soak| {
        while !soak.is_over() {
            thread::sleep(Duration::from_millis(50));
        }
        // Until nobody publishes any more.
        let done = || {
            soak.published.lock().unwrap().len() as u64 == soak.publishers.load(std::sync::atomic::Ordering::Relaxed)
        };
        while !done() {
            thread::sleep(Duration::from_millis(50));
        }
        // Again and again: who is cut at the very end still hears one.
        for _ in 0..20 {
            soak.server.publish(LAST, "last");
            thread::sleep(Duration::from_millis(100));
        }
    });
    readers.into_iter().chain([last]).collect()
}

/// What a reader knows of each publisher: the number of the next event, and whether it has to be the next.
#[derive(Default)]
struct Known {
    next: HashMap<u64, (u64, bool)>,
    /// Something was lost, and told: whoever is heard for the first time after that may have been lost in part.
    lossy: bool,
}

impl Known {
    fn hear(&mut self, who: u64, heard: &Heard) {
        // What a WebSocket publishes is text.
        let text = heard.json["data"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let data = text.as_ref().unwrap_or(&heard.json["data"]);
        let (Some(p), Some(n)) = (data["p"].as_u64(), data["n"].as_u64()) else { return };
        match self.next.get_mut(&p) {
            Some((next, _)) if *next == n => *next += 1,
            Some((next, whole)) => {
                assert!(n > *next, "reader {who}: event {n} of {p} twice, or out of order: {next} was next");
                assert!(!*whole, "reader {who}: events {next}..{n} of {p} are lost, and nobody said so");
                (*next, *whole) = (n + 1, true);
            }
            None => {
                assert!(n == 0 || self.lossy, "reader {who}: {p} begins with {n}, and nobody said why");
                self.next.insert(p, (n + 1, true));
            }
        }
    }

    /// Something was lost: of any publisher, events may be missing from here on, once.
    fn lose(&mut self) {
        self.lossy = true;
        self.next.values_mut().for_each(|(_, whole)| *whole = false);
    }
}

fn read(soak: &Soak, who: u64, slow: bool) {
    let mut chance = soak.chance(who);
    let mut known = Known::default();
    let mut cursor: Option<String> = Some("earliest".to_owned());
    'again: loop {
        let transport = TRANSPORTS[chance.usize(..TRANSPORTS.len())];
        let mut follower = Follower::open(&soak.server, &["soak/*"], cursor.as_deref(), transport);
        let until = if soak.is_over() { u64::MAX } else { chance.u64(1..2000) };
        let mut heard = 0;
        while heard < until {
            match follower.next() {
                Said::Event(event) if event.channel == LAST => break 'again,
                Said::Event(event) => {
                    known.hear(who, &event);
                    heard += 1;
                    count(&soak.counts.heard);
                }
                Said::Gap(_) => {
                    count(&soak.counts.gaps);
                    known.lose();
                }
                Said::Open { .. } | Said::Position(_) => {}
                // Who stalls may be cut, and resumes.
                Said::Closed(0) if slow => break,
                other => panic!("reader {who}: {other:?}"),
            }
            if slow && !soak.is_over() {
                thread::sleep(Duration::from_millis(20));
            }
        }
        count(&soak.counts.cuts);
        let before = cursor.take();
        cursor = follower.cut().or(before);
    }
    check(soak, who, &known);
}

/// Whoever was told of no loss has heard all of everyone.
fn check(soak: &Soak, who: u64, known: &Known) {
    if known.lossy {
        return;
    }
    let published = soak.published.lock().unwrap().clone();
    for (publisher, published) in published {
        let heard = known.next.get(&publisher).map_or(0, |(next, _)| *next);
        assert_eq!(heard, published, "reader {who}, of publisher {publisher}");
    }
}
