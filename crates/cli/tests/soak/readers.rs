//! Readers on each transport that are cut, come back on another, and hear everything once and in order.

use crate::publishers::Published;
use crate::{Soak, count, work};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use switchboard_testkit::{Follower, Gap, Heard, Said, Transport};

const TRANSPORTS: [Transport; 4] = [Transport::Sse, Transport::Stream, Transport::WebSocket, Transport::Poll];
const QUICK: usize = 12;
const SLOW: usize = 4;
/// The last event of each soak, on a channel that all read.
const LAST: &str = "soak/last";

pub(crate) fn start(soak: &Arc<Soak>) -> Vec<JoinHandle<()>> {
    let reader = |i: usize| {
        let slow = i >= QUICK;
        work(soak, if slow { "slow reader" } else { "reader" }, move |soak| read(soak, i, slow))
    };
    let readers: Vec<_> = (0..QUICK + SLOW).map(reader).collect();
    let last = work(soak, "last", |soak| {
        while !soak.is_over() {
            thread::sleep(Duration::from_millis(50));
        }
        // Until nobody publishes any more.
        let done = || soak.published.lock().unwrap().len() as u64 == soak.publishers.load(Ordering::Relaxed);
        while !done() {
            thread::sleep(Duration::from_millis(50));
        }
        // Again and again: who is cut at the very end still hears one.
        for _ in 0..20 {
            soak.server.publish(LAST, "last");
            count(&soak.counts.others);
            thread::sleep(Duration::from_millis(100));
        }
    });
    readers.into_iter().chain([last]).collect()
}

/// How far readers are that keep up, in milliseconds since the Unix epoch.
///
/// On a machine that does much else, publishers that wait for nobody leave readers further and further behind, until what they
/// have not read has expired. So they wait for those who are behind.
#[derive(Default)]
pub(crate) struct Progress {
    /// When the newest event was about to be published.
    published: AtomicU64,
    /// When what each of them heard last was.
    heard: [AtomicU64; QUICK],
}

impl Progress {
    /// How far behind a reader may be, and how long it is waited for: what it waits for may be what was not published.
    const BEHIND: u64 = 10_000;
    const PATIENCE: Duration = Duration::from_secs(5);

    /// An event is about to be published.
    pub(crate) fn publishing(&self) {
        let until = Instant::now() + Progress::PATIENCE;
        while self.is_behind() && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
        }
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
        self.published.fetch_max(now, Ordering::Relaxed);
    }

    fn is_behind(&self) -> bool {
        let published = self.published.load(Ordering::Relaxed);
        let heard = self.heard.iter().map(|heard| heard.load(Ordering::Relaxed));
        heard.filter(|heard| *heard > 0).any(|heard| published.saturating_sub(heard) > Progress::BEHIND)
    }

    fn heard(&self, who: usize, heard: &Heard) {
        if let (Some(mine), Some(time)) = (self.heard.get(who), heard.json["time"].as_u64()) {
            mine.store(time, Ordering::Relaxed);
        }
    }
}

/// What a reader knows of a publisher.
struct Known {
    channel: String,
    /// The number of its next event.
    next: u64,
    /// Whether the next that is heard has to be that one.
    is_whole: bool,
}

/// What a reader has heard.
#[derive(Default)]
struct Memory {
    publishers: HashMap<u64, Known>,
    /// Channels of which something was lost, and told: of whoever is heard there for the first time, the beginning may be.
    lossy: HashSet<String>,
    /// Something was lost of any channel.
    all_lossy: bool,
}

impl Memory {
    fn hear(&mut self, who: usize, heard: &Heard) {
        // What a WebSocket publishes is text.
        let text = heard.json["data"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let data = text.as_ref().unwrap_or(&heard.json["data"]);
        let (Some(p), Some(n)) = (data["p"].as_u64(), data["n"].as_u64()) else { return };
        let channel = &heard.channel;
        let is_lossy = self.is_lossy(channel);
        let known = self.publishers.entry(p).or_insert_with(|| {
            assert!(n == 0 || is_lossy, "reader {who}: {p} begins with {n} on {channel}, and nobody said why");
            Known { channel: channel.clone(), next: n, is_whole: true }
        });
        let next = known.next;
        assert!(n >= next, "reader {who}: event {n} of {p} twice, or out of order: {next} was next");
        assert!(n == next || !known.is_whole, "reader {who}: events {next}..{n} of {p} are lost, and nobody said so");
        (known.next, known.is_whole) = (n + 1, true);
    }

    /// Something was lost: of whoever publishes there, events may be missing from here on, once.
    fn lose(&mut self, gap: &Gap) {
        let is_meant = |channel: &String| gap.channel.as_ref().is_none_or(|lost| lost == channel);
        self.publishers.values_mut().filter(|known| is_meant(&known.channel)).for_each(|known| known.is_whole = false);
        match &gap.channel {
            Some(channel) => _ = self.lossy.insert(channel.clone()),
            None => self.all_lossy = true,
        }
    }

    fn is_lossy(&self, channel: &str) -> bool {
        self.all_lossy || self.lossy.contains(channel)
    }
}

fn read(soak: &Soak, who: usize, slow: bool) {
    let mut chance = soak.chance(who as u64);
    let mut memory = Memory::default();
    let mut cursor: Option<String> = Some("earliest".to_owned());
    'again: loop {
        let transport = TRANSPORTS[chance.usize(..TRANSPORTS.len())];
        let open = if chance.bool() { Follower::packed } else { Follower::over };
        let mut follower = open(soak.ways.connect(&mut chance), &["soak/*"], cursor.as_deref(), transport);
        let until = if soak.is_over() { u64::MAX } else { chance.u64(1..2000) };
        let mut heard = 0;
        while heard < until {
            match follower.next() {
                Said::Event(event) if event.channel == LAST => break 'again,
                Said::Event(event) => {
                    memory.hear(who, &event);
                    soak.progress.heard(who, &event);
                    heard += 1;
                    count(&soak.counts.heard);
                }
                Said::Gap(gap) => {
                    // Whoever keeps up is told of nothing: what it has not read is held.
                    assert!(slow, "reader {who}: {gap:?}");
                    count(&soak.counts.gaps);
                    memory.lose(&gap);
                }
                // A gap that it opens with follows by itself.
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
        soak.counts.unpacked.fetch_add(u64::from(follower.has_unpacked()), Ordering::Relaxed);
        let before = cursor.take();
        cursor = follower.cut().or(before);
    }
    check(soak, who, &memory);
}

/// Who was told of no loss on a channel has heard all of everyone there.
fn check(soak: &Soak, who: usize, memory: &Memory) {
    let published = soak.published.lock().unwrap().clone();
    for Published { number, channel, count } in published.iter().filter(|each| !memory.is_lossy(&each.channel)) {
        let heard = memory.publishers.get(number).map_or(0, |known| known.next);
        assert_eq!(heard, *count, "reader {who}, of publisher {number} on {channel}");
    }
}
