//! Section 3.4: the connection preface.

use crate::connect;
use std::time::Duration;
use switchboard_testkit::http2::{Ended, PREFACE, data, error, fields, flag, frame, headers, kind, setting, settings};
use switchboard_testkit::{Http2, Server, config};

#[test]
fn a_client_may_begin_with_it_at_once() {
    let server = Server::new();
    let mut client = connect(&server);
    let answer = client.get(1, "/healthz").expect(200);
    assert!(answer.field("date").is_some() && answer.field("content-length").is_some(), "{answer}");
}

#[test]
fn it_may_come_byte_by_byte() {
    let server = Server::new();
    let mut client = Http2::silent(server.address());
    for byte in [PREFACE, &settings(&[(setting::HEADER_TABLE_SIZE, 0)])].concat() {
        client.send([byte]);
    }
    client.greet();
    for byte in headers(1, &fields("GET", "/healthz", &[]), true) {
        client.send([byte]);
    }
    client.response(1).expect(200);
}

#[test]
fn requests_may_come_with_it() {
    let server = Server::new();
    let mut client = Http2::silent(server.address());
    let asked = headers(1, &fields("POST", "/channels/a", &[]), false);
    client.send([PREFACE, &settings(&[(setting::HEADER_TABLE_SIZE, 0)]), &asked, &data(1, "hello", true)].concat());
    client.greet();
    client.response(1).expect(201);
    assert_eq!(server.page("/channels/a")["events"][0]["data"], "hello");
}

#[test]
fn one_that_breaks_off_into_something_else_is_answered_as_http_1_1() {
    let server = Server::new();
    for broken in
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", "PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n", "PRX * HTTP/2.0\r\n\r\n"]
    {
        let mut conn = server.connect();
        conn.send(broken);
        assert_eq!(conn.head().status, 505, "{broken:?}");
    }
}

#[test]
fn one_that_is_not_finished_is_not_waited_for_longer_than_for_a_head() {
    let mut config = config();
    config.timeouts.head = Duration::from_millis(300);
    let server = Server::start(config);
    let mut conn = server.connect();
    conn.send(&PREFACE[..20]);
    assert_eq!(conn.head().status, 408, "what it would have been is not known");
}

#[test]
fn a_client_that_follows_it_with_something_else_is_refused_or_served_and_harms_nobody() {
    let server = Server::new();
    let first = [
        frame(kind::PING, 0, 0, &[0; 8]),
        headers(1, &fields("GET", "/healthz", &[]), true),
        frame(kind::SETTINGS, flag::ACK, 0, &[]),
    ];
    for first in first {
        let mut client = Http2::silent(server.address());
        client.send([PREFACE, &first, &settings(&[])].concat());
        let answered = client.find(0, |frame| frame.kind == kind::SETTINGS && frame.flags == flag::ACK);
        let refused = matches!(answered, Err(Ended::GoAway(error::PROTOCOL_ERROR) | Ended::Closed));
        assert!(answered.is_ok() || refused, "{first:?}: {answered:?}");
    }
    server.is_alive();
}

#[test]
fn the_servers_own_says_what_it_takes() {
    let mut config = config();
    config.limits.streams = 77;
    config.limits.head = 12_345;
    let server = Server::start(config);
    let client = connect(&server);
    assert_eq!(client.setting(setting::MAX_CONCURRENT_STREAMS), Some(77));
    assert_eq!(client.setting(setting::MAX_HEADER_LIST_SIZE), Some(12_345));
    assert_eq!(client.setting(setting::ENABLE_CONNECT_PROTOCOL), Some(1));
    assert_eq!(client.setting(setting::INITIAL_WINDOW_SIZE), Some(64 << 10));
    assert_eq!(client.setting(setting::ENABLE_PUSH), None, "section 6.5.2: a server never allows it");
}
