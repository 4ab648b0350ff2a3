//! Publishers of each kind. What one has got into the log it numbers without a hole: `{"p":publisher,"n":number}`.

use crate::{Soak, count, work};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Channels that are published to, and read by pattern.
const CHANNELS: u64 = 8;
/// Between two publishes of one.
const PACE: Duration = Duration::from_millis(16);

/// What one publisher has got into the log, once it is done.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) number: u64,
    pub(crate) channel: String,
    pub(crate) count: u64,
}

#[derive(Clone, Copy)]
enum Way {
    Post,
    Batch,
    Stream,
    WebSocket,
}

pub(crate) fn start(soak: &Arc<Soak>) -> Vec<JoinHandle<()>> {
    let ways = [Way::Post, Way::Post, Way::Batch, Way::Stream, Way::Stream, Way::WebSocket, Way::WebSocket];
    let publishers = ways.into_iter().enumerate().map(|(i, way)| {
        let publish = move |soak: &Soak| {
            let mut chance = soak.chance(1000 + i as u64);
            while !soak.is_over() {
                let number = soak.publishers.fetch_add(1, Ordering::Relaxed);
                let published = match way {
                    Way::Post | Way::Batch => post(soak, number, matches!(way, Way::Batch), &mut chance),
                    Way::Stream => stream(soak, number, &mut chance),
                    Way::WebSocket => websocket(soak, number, &mut chance),
                };
                let channel = if matches!(way, Way::WebSocket) { own(number) } else { channel(number) };
                soak.published.lock().unwrap().push(Published { number, channel, count: published });
            }
        };
        work(soak, "publisher", publish)
    });
    let quiet = work(soak, "states", |soak| {
        let mut chance = soak.chance(2000);
        let mut conn = soak.ways.connect(&mut chance);
        while !soak.is_over() {
            conn.publish(&format!("state/{}", chance.u8(..)), "now");
            conn.publish("state/loud", "x".repeat(100_000));
            conn.publish("passing/by", "then");
            // Channels that come and go.
            let name = format!("brief/{}", chance.u32(..));
            conn.publish(&name, "soon gone");
            soak.counts.others.fetch_add(4, Ordering::Relaxed);
            conn.request("DELETE", &format!("/channels/{name}"), &[], None).expect(204);
            thread::sleep(4 * PACE);
        }
    });
    publishers.chain([quiet]).collect()
}

fn channel(number: u64) -> String {
    format!("soak/{}", number % CHANNELS)
}

/// Some are worth compressing.
fn event(number: u64, n: u64) -> Value {
    json!({"p": number, "n": n, "of": "this and that, ".repeat(if n.is_multiple_of(5) { 40 } else { 0 })})
}

/// An event or some in a batch, each with a key. A connection that is cut leaves open what became of them, and they are
/// published again.
fn post(soak: &Soak, number: u64, batch: bool, chance: &mut fastrand::Rng) -> u64 {
    let channel = channel(number);
    let mut conn = soak.ways.connect(chance);
    let mut n = 0;
    while !soak.is_over() && n < 2000 {
        let many = if batch { chance.u64(1..10) } else { 1 };
        soak.progress.publishing();
        let keys: Vec<String> = (n..n + many).map(|n| format!("{}-{number}-{n}", soak.seed)).collect();
        loop {
            let (target, field, body) = match batch {
                false => {
                    let field = [("Idempotency-Key", &*keys[0]), ("Content-Type", "application/json")];
                    (format!("/channels/{channel}"), field.to_vec(), event(number, n).to_string())
                }
                true => {
                    let item = |(i, key): (usize, &String)| json!({"channels": [channel], "data": event(number, n + i as u64), "key": key});
                    let items: Vec<Value> = keys.iter().enumerate().map(item).collect();
                    ("/api/publish".to_owned(), Vec::new(), Value::from(items).to_string())
                }
            };
            conn.ask("POST", &target, &field, Some(body.as_bytes()));
            if chance.u8(..) < 250 {
                conn.response_to("POST").expect(201);
                break;
            }
            // Whether it got there, nobody knows.
            conn.cut();
            count(&soak.counts.cuts);
            conn = soak.ways.connect(chance);
        }
        n += many;
        thread::sleep(PACE * many as u32);
    }
    n
}

/// A stream of events with a key, which is cut and sent again from its start.
fn stream(soak: &Soak, number: u64, chance: &mut fastrand::Rng) -> u64 {
    let (channel, lines) = (channel(number), chance.u64(50..500));
    let key = format!("{}-{number}", soak.seed);
    let head = format!(
        "POST /channels/{channel} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
         Idempotency-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    loop {
        // Not within it: who pauses there is cut.
        soak.progress.publishing();
        let mut conn = soak.ways.connect(chance);
        conn.send(&head);
        let cut = if chance.bool() { chance.u64(0..lines) } else { lines };
        for n in 0..cut {
            let line = format!("{{\"data\":{}}}\n", event(number, n));
            conn.send(format!("{:x}\r\n{line}\r\n", line.len()));
            thread::sleep(PACE / 2);
        }
        if cut < lines {
            conn.send("20\r\n{\"data\":{\"half");
            conn.cut();
            count(&soak.counts.cuts);
            continue;
        }
        conn.send("0\r\n\r\n");
        let told = conn.response_to("POST").expect(201).json();
        assert_eq!(told["count"], lines, "{told}");
        return lines;
    }
}

/// A raw WebSocket that hears itself: what it has heard is in the log.
fn websocket(soak: &Soak, number: u64, chance: &mut fastrand::Rng) -> u64 {
    soak.progress.publishing();
    let mut socket = soak.ways.connect(chance).websocket(&format!("/channels/{}?form=raw", own(number)), &[]);
    let lines = chance.u64(20..400);
    for n in 0..lines {
        socket.send_text(&event(number, n).to_string());
        let heard: Value = serde_json::from_str(&socket.text()).unwrap();
        assert_eq!(heard, event(number, n));
        thread::sleep(PACE);
    }
    match chance.bool() {
        true => socket.cut(),
        false => {
            socket.send_close(1000);
            socket.expect_close(1000);
        }
    }
    lines
}

/// A channel of its own, so that it hears nobody else; it is read with the others.
fn own(number: u64) -> String {
    format!("soak/own-{number}")
}
