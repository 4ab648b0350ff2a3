//! Much that is on its way at once: bodies and messages that arrive, answers and events that are not taken.

use crate::figure;
use std::time::Duration;
use switchboard::Config;
use switchboard_testkit::{Conn, Follower, Server, Transport, config, eventually, history, websocket};

/// What is free of each.
const FREE: usize = 16 << 10;
/// Takes six bytes as JSON.
const LARGE: &str = "\u{1}";

/// What comes has room for half of it, and what goes and what stalls for a quarter each.
fn server(transit: usize, change: impl FnOnce(&mut Config)) -> Server {
    let mut config = config();
    config.transit = transit;
    change(&mut config);
    Server::start(config)
}

/// Begins a publish, and sends so much of it.
fn begin(server: &Server, target: &str, length: usize, sent: usize) -> Conn {
    let mut conn = server.connect();
    let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    // What is refused may be closed while it is sent.
    let _ = conn.try_send(head.into_bytes().into_iter().chain(std::iter::repeat_n(b' ', sent)).collect::<Vec<u8>>());
    conn
}

#[test]
fn bodies_that_have_arrived_in_part_take_no_more_than_may_be_on_its_way() {
    let server = server(2 << 20, |_| ());
    for target in ["/channels/a", "/api/publish", "/session"] {
        let held: Vec<Conn> = (0..3).map(|_| begin(&server, target, 400_000, 300_000)).collect();
        eventually("what has arrived is counted", || figure(&server, "transit_bytes") == 3 * (300_000 - FREE));
        begin(&server, target, 400_000, 300_000).response_to("POST").expect_problem(503, "overloaded");
        assert!(figure(&server, "transit_bytes") <= 1 << 20);
        server.is_alive();
        drop(held);
        eventually("who goes gives it back", || figure(&server, "transit_bytes") == 0);
    }
    server.post("/channels/a", &[], "x".repeat(400_000)).expect(201);
    assert!(figure(&server, "refused_transit_total") >= 3);
}

#[test]
fn a_line_that_has_arrived_in_part_counts_as_on_its_way() {
    let server = server(2 << 20, |_| ());
    let line = |server: &Server| {
        let mut conn = server.connect();
        let fields = "Host: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n";
        let _ = conn.try_send(format!("POST /channels/a HTTP/1.1\r\n{fields}\r\n"));
        let _ = conn.try_send(format!("{:x}\r\n{{\"data\":\"{}\r\n", 500_009, "x".repeat(500_000)));
        conn
    };
    let held = line(&server);
    eventually("it is counted", || figure(&server, "transit_bytes") >= 500_000 - FREE);
    line(&server).response_to("POST").expect_problem(503, "overloaded");
    server.is_alive();
    drop(held);
    eventually("who goes gives it back", || figure(&server, "transit_bytes") == 0);
}

#[test]
fn a_websocket_message_that_has_arrived_in_part_counts_as_on_its_way() {
    let server = server(2 << 20, |_| ());
    let part = |server: &Server| {
        let mut socket = server.websocket("/channels/a");
        let _ = socket.conn.try_send(websocket::frame(false, 2, &[7; 600_000]));
        socket
    };
    let mut held = part(&server);
    eventually("it is counted", || figure(&server, "transit_bytes") >= 600_000 - FREE);
    part(&server).expect_close(1013);
    server.is_alive();
    held.conn.send(websocket::frame(true, 0, b"!"));
    assert_eq!(held.binary().len(), 600_001);
    eventually("what is whole gives it back", || figure(&server, "transit_bytes") == 0);
}

#[test]
fn pages_that_nobody_takes_take_no_more_than_may_be_on_its_way() {
    let server = server(1 << 20, |config| config.timeouts.body = Duration::from_secs(60));
    for _ in 0..4 {
        server.publish("a", LARGE.repeat(1 << 20));
    }
    let ask = || {
        let mut conn = server.connect();
        conn.ask("GET", "/channels/a?limit=100", &[], None);
        conn
    };
    // One has room however large it is.
    let mut first = ask();
    assert_eq!(first.head().status, 200);
    ask().response_to("GET").expect_problem(503, "overloaded");
    assert_eq!(server.page("/channels/a?limit=1&since=latest")["events"].as_array().unwrap().len(), 0);
    first.cut();
    eventually("who goes gives it back", || figure(&server, "transit_bytes") == 0);
    ask().response_to("GET").expect(200);
}

#[test]
fn readers_that_stall_in_large_events_are_cut_where_that_is_too_much_and_lose_nothing() {
    let server = server(16 << 20, |config| {
        config.shards = Some(1);
        config.policy.default = history(1000, 256 << 20);
    });
    let stalling = |since: Option<&str>| {
        let mut conn = server.connect();
        conn.ask("GET", &format!("/channels/a{}", since.unwrap_or("")), &[("Accept", "text/event-stream")], None);
        conn
    };
    let mut quick = server.sse("/channels/a");
    quick.notice("$open");
    let _stalled: Vec<Conn> = (0..20).map(|_| stalling(None)).collect();
    server.await_readers("a", 21);
    let mut publisher = server.connect();
    for i in 0..30 {
        publisher.publish("a", format!("{i} {}", "y".repeat(1_000_000)));
        assert!(quick.event().data.starts_with(&format!("{i} ")), "who reads is not cut");
        // The last that stalls may have room that all together have not.
        assert!(figure(&server, "transit_bytes") <= (4 << 20), "{}", figure(&server, "transit_bytes"));
    }
    assert!(figure(&server, "refused_transit_total") > 0);
    eventually("some were cut", || server.readers("a") < 21);
    let mut again = Follower::open(&server, &["a"], Some("earliest"), Transport::Sse);
    for i in 0..30 {
        assert!(again.event().json["data"].as_str().unwrap().starts_with(&format!("{i} ")), "what it missed is there");
    }
}
