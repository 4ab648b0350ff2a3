//! Files that are read whole and in part, over every way, while they are replaced; and certificates that are.

use crate::{Soak, count, work};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use switchboard_testkit::issuer::Authority;
use switchboard_testkit::{Response, Signal};

/// Files, and how long they are at least: one is sent at once, the other in pieces.
const FILES: [(&str, usize); 2] = [("short.txt", 3_000), ("long.txt", 900_000)];
const VISITORS: u64 = 4;
/// Between two of them.
const RENEWAL: Duration = Duration::from_secs(4);

pub(crate) fn start(soak: &Arc<Soak>, authority: Authority) -> Vec<JoinHandle<()>> {
    let visitors = (0..VISITORS).map(|i| work(soak, "visitor", move |soak| visit(soak, i)));
    let renewal = work(soak, "renewal", move |soak| {
        let mut chance = soak.chance(4000);
        while !soak.is_over() {
            soak.files.replace(&authority);
            replace(soak, &mut chance);
            soak.server.signal(Signal::HUP);
            count(&soak.counts.renewals);
            soak.pause(RENEWAL);
        }
    });
    visitors.chain([renewal]).collect()
}

/// Puts new files in place of the old ones: each is of one letter.
pub(crate) fn replace(soak: &Soak, chance: &mut fastrand::Rng) {
    let directory = soak.files.directory().join("site");
    for (name, length) in FILES {
        let text = vec![chance.u8(b'a'..=b'z'); length + chance.usize(..500)];
        std::fs::write(directory.join("new"), text).unwrap();
        std::fs::rename(directory.join("new"), directory.join(name)).unwrap();
    }
}

fn visit(soak: &Soak, who: u64) {
    let mut chance = soak.chance(5000 + who);
    while !soak.is_over() {
        let mut conn = soak.ways.connect(&mut chance);
        let (name, length) = FILES[chance.usize(..FILES.len())];
        let target = format!("/{name}");
        match chance.u8(..4) {
            0 => {
                // It goes in the midst of it.
                let mut stream = conn.stream(&target, &[]);
                stream.data();
                stream.conn.cut();
                count(&soak.counts.cuts);
            }
            1 => {
                let from = chance.usize(..length - 100);
                let to = chance.usize(from..length);
                let range = format!("bytes={from}-{to}");
                let part = conn.request("GET", &target, &[("Range", &range)], None);
                match part.status() {
                    // It was replaced just then, so it is given whole.
                    200 => check(&part, length, length + 500),
                    _ => check(&part.expect(206), to - from + 1, to - from + 1),
                }
            }
            _ => {
                let whole = conn.get(&target).expect(200);
                check(&whole, length, length + 500);
                let tag = whole.head.field("etag").expect("a file has a tag").to_owned();
                let mut conn = soak.ways.connect(&mut chance);
                let again = conn.request("GET", &target, &[("If-None-Match", &tag)], None);
                // Or it was replaced in between.
                assert!(matches!(again.status(), 200 | 304), "{again}");
            }
        }
        count(&soak.counts.files);
        thread::sleep(Duration::from_millis(30));
    }
}

/// What came is of one file, and all of it.
fn check(response: &Response, least: usize, most: usize) {
    let body = &response.body;
    assert!((least..=most).contains(&body.len()), "{} bytes where {least} to {most} were due", body.len());
    assert!(body.iter().all(|byte| *byte == body[0]), "of two files: {}", response.head.raw);
}
