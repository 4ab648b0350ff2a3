//! Requests without end, each of which is as it should be: what a client is owed it is to take.

use crate::{connect, goes_on};
use std::io::Write;
use std::time::Duration;
use switchboard_testkit::http2::{data, fields, headers, setting};
use switchboard_testkit::{Http2, Server, config};

/// Writes as long as the server takes it, and reads nothing: whether all of it was taken.
fn is_taken(client: &Http2, times: u32, mut said: impl FnMut(u32) -> Vec<u8>) -> bool {
    let mut socket = client.socket();
    socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    (0..times).all(|n| socket.write_all(&said(n)).is_ok())
}

/// Beyond what the sockets hold, nothing more is read of who does not read, or the connection ends.
#[test]
fn requests_whose_answers_nobody_reads_are_not_taken_for_ever() {
    let server = Server::new();
    let client = connect(&server);
    let asked =
        |at: u32| (0..100).flat_map(move |n| headers(200 * at + 2 * n + 1, &fields("GET", "/healthz", &[]), true));
    assert!(!is_taken(&client, 20_000, |at| asked(at).collect()));
    goes_on(&mut connect(&server), 1);
}

/// Streams whose answers have no room in their windows count as open, so that there are never more of them than there may be.
#[test]
fn streams_whose_windows_are_nothing_are_refused_beyond_their_number() {
    let mut config = config();
    config.limits.streams = 16;
    let server = Server::start(config);
    server.publish("a", "held");
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
    client.grants = false;
    for n in 0..16 {
        client.ask(2 * n + 1, "GET", "/channels/a?since=earliest", &[], None);
        client.head(2 * n + 1);
    }
    for n in 16..200 {
        client.ask(2 * n + 1, "GET", "/channels/a?since=earliest", &[], None);
        let refused = switchboard_testkit::http2::error::REFUSED_STREAM;
        assert_eq!(client.ended(2 * n + 1), switchboard_testkit::http2::Ended::Reset(refused));
    }
    goes_on(&mut connect(&server), 1);
}

/// A body that has begun and does not go on is a stream, until its time is over.
#[test]
fn bodies_that_are_never_sent_are_given_up_in_time() {
    let mut config = config();
    config.timeouts.body = Duration::from_millis(300);
    let server = Server::start(config);
    let mut client = connect(&server);
    for n in 0..100 {
        client.send(headers(2 * n + 1, &fields("POST", "/channels/a", &[]), false));
        client.send(data(2 * n + 1, "a part", false));
    }
    for n in 0..100 {
        client.response(2 * n + 1).expect(408);
    }
    goes_on(&mut client, 301);
}
