//! Peers that send or take a byte now and then.

use crate::figure;
use std::time::{Duration, Instant};
use switchboard_testkit::{Conn, Server, config, eventually};

/// How often a byte comes.
const DRIP: Duration = Duration::from_millis(20);
const BODY: Duration = Duration::from_millis(400);
/// For a client that has to be in time, and may get no turn for a while.
const LONG_BODY: Duration = Duration::from_millis(1500);

fn server() -> Server {
    server_with(BODY)
}

fn server_with(body: Duration) -> Server {
    let mut config = config();
    config.timeouts.body = body;
    Server::start(config)
}

/// Sends a byte now and then, each well in time, until there is an answer.
fn drip(conn: &mut Conn, byte: &[u8]) {
    let begun = Instant::now();
    while conn.is_silent_for(DRIP) {
        assert!(begun.elapsed() < 50 * BODY, "it goes on for ever");
        let _ = conn.try_send(byte);
    }
}

#[test]
fn a_body_that_drips_is_refused_though_each_byte_comes_in_time() {
    let server = server();
    let mut conn = server.connect();
    let begun = Instant::now();
    conn.send("POST /channels/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx");
    drip(&mut conn, b"x");
    conn.response_to("POST").expect_problem(408, "request_timeout");
    assert!(begun.elapsed() >= BODY / 2, "{:?}", begun.elapsed());
    assert_eq!(figure(&server, "channels"), 0);
}

#[test]
fn a_line_that_drips_is_refused_and_one_after_another_is_not() {
    let server = server_with(LONG_BODY);
    let mut conn = server.connect();
    conn.send("POST /channels/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n");
    conn.send("Transfer-Encoding: chunked\r\n\r\n");
    let begun = Instant::now();
    let mut lines = 0;
    // Each piece ends one line and begins the next, so that the body is within a line all the time.
    while begun.elapsed() < LONG_BODY * 3 / 2 {
        conn.send("a\r\n\n{\"data\":1\r\n1\r\n}\r\n");
        lines += 1;
        assert!(conn.is_silent_for(DRIP), "{}", conn.seen());
    }
    conn.send("9\r\n\n{\"data\":\r\n");
    drip(&mut conn, b"1\r\n1\r\n");
    let problem = conn.response_to("POST").expect_problem(408, "request_timeout").json();
    assert_eq!(problem["appended"], lines);
}

#[test]
fn what_is_left_of_a_refused_body_is_not_waited_for_for_long() {
    let server = server();
    let mut conn = server.connect();
    conn.send("POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\nx");
    conn.response_to("POST").expect_problem(404, "not_found");
    drip(&mut conn, b"x");
    conn.expect_close();
}

#[test]
fn an_answer_that_is_taken_in_drips_ends_its_connection() {
    let server = server();
    for _ in 0..4 {
        server.publish("a", "\u{1}".repeat(1 << 20));
    }
    let mut conn = server.connect();
    conn.ask("GET", "/channels/a?limit=100", &[], None);
    assert_eq!(conn.head().status, 200);
    let begun = Instant::now();
    let mut taken = 0;
    // Each bit of progress is in time, and all together are too little.
    while figure(&server, "connections") > 1 {
        assert!(begun.elapsed() < 60 * BODY, "it goes on for ever, {taken} bytes so far");
        taken += conn.take(16).map_or(0, |bytes| bytes.len());
        let _ = conn.socket().peer_addr();
    }
    let rest = conn.take_all().len();
    assert!(taken + rest < 24 << 20, "not all of it came");
}

#[test]
fn a_peer_that_pipelines_and_does_not_read_is_not_read() {
    let server = server();
    let mut conn = server.connect();
    let requests = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let mut sent = 0;
    // The answers are larger than the requests: soon nothing more is taken, until who takes no answer is let go.
    while conn.try_send(&requests).is_ok() {
        sent += 100;
        assert!(sent < 1_000_000, "it takes them for ever");
    }
    let asked = figure(&server, "requests_total");
    assert!(asked < sent + 100, "{asked}");
    eventually("who takes no answer is let go", || figure(&server, "connections") == 1);
}
