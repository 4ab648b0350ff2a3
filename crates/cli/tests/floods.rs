//! What clients of HTTP/2 may do to a server: its memory stays bounded, and others are served meanwhile.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::io::Write;
use std::time::Duration;
use switchboard_testkit::http2::{data, error, fields, flag, frame, headers, kind, rst_stream, setting, settings};
use switchboard_testkit::{Http2, Server, hpack};

/// What the server may grow by. A debugging build's allocator keeps more than it uses.
const GROWTH: u64 = 64 << 20;

/// Starts the program, does this to it, and checks what it has grown by at most while an honest client asks.
fn measure(what: &str, does: impl FnOnce(&Server) -> Vec<Http2>) {
    let transit = [("SWITCHBOARD_MEMORY_TRANSIT", "32MiB")];
    let program = env!("CARGO_BIN_EXE_switchboard");
    let server = Server::process_with(program, &["serve", "--listen", "127.0.0.1:0"], &transit);
    let mut honest = Http2::open(server.address());
    honest.sse(1, "/channels/honest", &[]);
    for n in 0..100 {
        server.publish("page", format!("{n} {}", "x".repeat(8_000)));
    }
    let before = server.resident();
    let open = does(&server);
    server.publish("honest", "served");
    honest.text_through(1, "data: served\n");
    honest.get(3, "/healthz").expect(200);
    let after = server.resident();
    assert!(after.saturating_sub(before) < GROWTH, "{what}: it grew from {before} to {after} bytes");
    drop(open);
}

/// Says this again and again, as long as the server takes it, and reads nothing.
fn flood(client: &Http2, times: usize, mut said: impl FnMut(usize) -> Vec<u8>) {
    let mut socket = client.socket();
    socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    for n in 0..times {
        if socket.write_all(&said(n)).is_err() {
            return;
        }
    }
}

#[test]
fn answers_that_nobody_takes_are_not_made_by_the_hundred() {
    measure("256 pages of 800 KB with windows of nothing", |server| {
        let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
        client.grants = false;
        for n in 0..256 {
            client.ask(2 * n + 1, "GET", "/channels/page?since=earliest&limit=1000", &[], None);
        }
        client.head(1);
        client.ping();
        vec![client]
    });
}

#[test]
fn pages_of_clients_that_have_gone_are_left() {
    measure("7,500 pages of 1,000 events that were asked for by clients that went", |server| {
        let lines = r#"{"data":"ten bytes!"}"#.to_owned() + "\n";
        server.post("/channels/long", &[("Content-Type", "application/x-ndjson")], lines.repeat(1_000)).expect(201);
        for _ in 0..30 {
            let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
            client.grants = false;
            let streams = (0..250).map(|n| 2 * n + 1);
            let long = fields("GET", "/channels/long?since=earliest&limit=1000", &[]);
            client.send(streams.flat_map(|stream| headers(stream, &long, true)).collect::<Vec<u8>>());
            // What was said before was read.
            client.ping();
            client.cut();
        }
        Vec::new()
    });
}

#[test]
fn bodies_that_are_never_whole_are_not_collected_by_the_hundred() {
    measure("200 uploads of 900 KB that stop before their end", |server| {
        let mut client = Http2::open(server.address());
        let body = vec![b'x'; 900_000];
        let streams = || (0..200).map(|n| 2 * n + 1);
        for stream in streams() {
            client.send(headers(stream, &fields("POST", "/channels/page", &[]), false));
        }
        for stream in streams() {
            let mut sent = 0;
            for _ in 0..10 {
                sent += client.put(stream, &body[sent..], false);
            }
        }
        vec![client]
    });
}

#[test]
fn streams_that_nobody_reads_hold_no_more_than_their_windows() {
    measure("250 stalled streams of a busy channel", |server| {
        let mut client = Http2::open(server.address());
        client.grants = false;
        for n in 0..250 {
            client.sse(2 * n + 1, "/channels/page", &[]);
        }
        for n in 0..200 {
            server.publish("page", format!("{n} {}", "y".repeat(20_000)));
        }
        vec![client]
    });
}

#[test]
fn streams_of_long_patterns_hold_no_more_than_patterns_may_take() {
    measure("250 streams of 60 patterns of 119 segments", |server| {
        let mut client = Http2::open(server.address());
        for n in 0..250 {
            let patterns: Vec<String> = (0..60).map(|i| format!("channel={n}.{i}{}/*", "/b".repeat(118))).collect();
            let path = format!("/channels?{}", patterns.join("&"));
            client.ask(2 * n + 1, "GET", &path, &[("accept", "text/event-stream")], None);
        }
        (0..250).for_each(|n| assert_eq!(client.head(2 * n + 1).status, 200));
        vec![client]
    });
}

#[test]
fn floods_of_frames_are_bounded() {
    measure("resets", |server| {
        let client = Http2::open(server.address());
        let pair = |n: u32| {
            let asked = headers(2 * n + 1, &fields("GET", "/channels/page?since=earliest", &[]), true);
            [asked, rst_stream(2 * n + 1, error::CANCEL)].concat()
        };
        flood(&client, 2_000, |at| (0..50).flat_map(|n| pair(50 * at as u32 + n)).collect());
        vec![client]
    });
    measure("settings", |server| {
        let client = Http2::open(server.address());
        flood(&client, 20_000, |_| settings(&[(setting::INITIAL_WINDOW_SIZE, 70_000)]).repeat(100));
        vec![client]
    });
    measure("pings", |server| {
        let client = Http2::open(server.address());
        flood(&client, 20_000, |_| frame(kind::PING, 0, 0, &[7; 8]).repeat(100));
        vec![client]
    });
    measure("small frames of a WebSocket that is not read", |server| {
        let mut client = Http2::open(server.address());
        client.send(headers(1, &fields("GET", "/channels/page", &[("accept", "text/event-stream")]), false));
        flood(&client, 5_000, |_| data(1, "x", false).repeat(100));
        vec![client]
    });
}

#[test]
fn heads_that_never_end_and_heads_that_swell_are_bounded() {
    measure("continuations", |server| {
        let clients: Vec<Http2> = (0..10).map(|_| Http2::open(server.address())).collect();
        for client in &clients {
            let mut socket = client.socket();
            let _ = socket.write_all(&frame(kind::HEADERS, 0, 1, &hpack::encode(&fields("GET", "/healthz", &[]))));
            flood(client, 1_000, |_| frame(kind::CONTINUATION, 0, 1, &[0x00, 1, b'a', 1, b'b']).repeat(100));
        }
        clients
    });
    measure("a field of 3,900 bytes, asked for 10,000 times", |server| {
        let mut bomb = hpack::encode(&fields("GET", "/healthz", &[]));
        bomb.push(0x40);
        hpack::string(&mut bomb, b"x-bomb");
        hpack::string(&mut bomb, &[b'x'; 3_900]);
        bomb.extend_from_slice(&[0xbe; 10_000]);
        let clients: Vec<Http2> = (0..10).map(|_| Http2::open(server.address())).collect();
        for client in &clients {
            let ends = flag::END_HEADERS | flag::END_STREAM;
            flood(client, 100, |n| frame(kind::HEADERS, ends, 2 * n as u32 + 1, &bomb));
        }
        clients
    });
}
