//! What a client may do to a connection is bounded, and an honest one on another is served meanwhile. That memory is
//! bounded too is measured where the server has a process of its own: `crates/cli/tests/floods.rs`.

use crate::{connect, goes_on};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use switchboard_testkit::http2::{
    Ended, data, error, fields, flag, frame, headers, kind, rst_stream, settings, window_update,
};
use switchboard_testkit::{Http2, PATIENCE, Server, hpack};

const SOON: Duration = Duration::from_millis(500);

/// What became of a flood.
#[derive(PartialEq, Eq, Debug)]
enum Flood {
    /// All of it was taken.
    Taken,
    /// The server reads no more of it until the client reads what it is owed.
    Held,
    /// The server has closed the connection.
    Closed,
}

/// Writes as long as the server takes it, and reads nothing. `patience` is how long it may take nothing before it is said to
/// be held up: so short only where it is no matter whether it is, or the server got no turn.
fn flood(socket: &mut TcpStream, patience: Duration, times: usize, mut said: impl FnMut(usize) -> Vec<u8>) -> Flood {
    socket.set_write_timeout(Some(patience)).unwrap();
    for n in 0..times {
        match socket.write_all(&said(n)) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                return Flood::Held;
            }
            Err(_) => return Flood::Closed,
        }
    }
    Flood::Taken
}

/// How the connection of a flood ends. A reset may overtake the words of why.
#[track_caller]
fn is_calmed(client: &mut Http2) {
    let ended = client.ended(0);
    assert!(matches!(ended, Ended::GoAway(error::ENHANCE_YOUR_CALM) | Ended::Closed), "{ended:?}");
}

/// An honest client on another connection is served.
#[track_caller]
fn others_are_served(server: &Server) {
    let mut other = connect(server);
    goes_on(&mut other, 1);
    other.sse(3, "/channels/other", &[]);
    server.publish("other", "served");
    other.text_through(3, "data: served\n");
    server.is_alive();
}

#[test]
fn rapid_resets_end_the_connection() {
    let server = Server::new();
    let mut client = connect(&server);
    let pair = |n: usize| {
        let stream = 2 * n as u32 + 1;
        [
            headers(stream, &fields("GET", "/channels/a?wait=60&since=latest", &[]), true),
            rst_stream(stream, error::CANCEL),
        ]
        .concat()
    };
    // As many as fit into a segment at once.
    let burst = |at: usize| (0..100).flat_map(|n| pair(100 * at + n)).collect();
    let sent = flood(&mut client.socket(), PATIENCE, 1_000, burst);
    assert_ne!(sent, Flood::Held);
    is_calmed(&mut client);
    server.await_readers("a", 0);
    others_are_served(&server);
}

#[test]
fn a_client_that_resets_now_and_then_is_no_flood() {
    let server = Server::new();
    let mut client = connect(&server);
    for n in 0..300 {
        let stream = 2 * n + 1;
        client.sse(stream, "/channels/a", &[]);
        client.send(rst_stream(stream, error::CANCEL));
    }
    goes_on(&mut client, 1001);
    server.await_readers("a", 0);
}

#[test]
fn resets_that_the_client_makes_the_server_send_end_the_connection() {
    let server = Server::new();
    let client = connect(&server);
    // Each opens a stream, and then breaks a rule that costs the stream alone.
    let foul = |n: usize| {
        let stream = 2 * n as u32 + 1;
        [headers(stream, &fields("GET", "/channels/a?wait=60", &[]), true), window_update(stream, 0)].concat()
    };
    let burst = |at: usize| (0..100).flat_map(|n| foul(100 * at + n)).collect();
    assert_ne!(flood(&mut client.socket(), SOON, 200, burst), Flood::Taken);
    others_are_served(&server);
}

#[test]
fn a_head_in_endless_pieces_ends_the_connection() {
    let server = Server::new();
    for piece in [&b""[..], b"\x00\x01a\x01b"] {
        let mut client = connect(&server);
        client.send(frame(kind::HEADERS, 0, 1, &hpack::encode(&fields("GET", "/healthz", &[]))));
        let pieces = |_: usize| frame(kind::CONTINUATION, 0, 1, piece).repeat(100);
        let sent = flood(&mut client.socket(), PATIENCE, 1_000, pieces);
        assert_ne!(sent, Flood::Held, "{piece:?}");
        is_calmed(&mut client);
    }
    others_are_served(&server);
}

#[test]
fn a_head_that_is_too_large_is_431_or_ends_in_calm() {
    let server = Server::new();
    // A field of 4,000 bytes goes into the table, and is asked for again and again by a byte each.
    let mut bomb = hpack::encode(&fields("GET", "/healthz", &[]));
    bomb.push(0x40);
    hpack::string(&mut bomb, b"x-bomb");
    hpack::string(&mut bomb, &[b'x'; 3_900]);
    bomb.extend_from_slice(&[0xbe; 10_000]);
    let mut client = connect(&server);
    client.send(frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &bomb));
    match client.try_response(1) {
        Ok(answer) => assert_eq!(answer.status(), 431, "{answer}"),
        Err(ended) => assert!(matches!(ended, Ended::Reset(_) | Ended::GoAway(error::ENHANCE_YOUR_CALM)), "{ended:?}"),
    }
    // One that is just as large, said in plain.
    let long = "x".repeat(8_000);
    let mut client = connect(&server);
    let block = hpack::encode(&fields("GET", "/healthz", &[("x-a", &long), ("x-b", &long), ("x-c", &long)]));
    let (first, rest) = block.split_at(16_000);
    client.send(
        [frame(kind::HEADERS, flag::END_STREAM, 1, first), frame(kind::CONTINUATION, flag::END_HEADERS, 1, rest)]
            .concat(),
    );
    match client.try_response(1) {
        Ok(answer) => assert_eq!(answer.status(), 431, "{answer}"),
        Err(ended) => assert!(matches!(ended, Ended::Reset(_)), "{ended:?}"),
    }
    goes_on(&mut client, 3);
    others_are_served(&server);
}

#[test]
fn settings_and_pings_that_are_not_read_are_not_answered_for_ever() {
    let server = Server::new();
    for said in [settings(&[]), settings(&[(4, 70_000)]), frame(kind::PING, 0, 0, &[7; 8])] {
        let client = connect(&server);
        let sent = flood(&mut client.socket(), SOON, 20_000, |_| said.repeat(200));
        assert_ne!(sent, Flood::Taken, "{said:?}");
        others_are_served(&server);
    }
}

#[test]
fn settings_and_pings_that_are_read_are_answered_each() {
    let server = Server::new();
    let mut client = connect(&server);
    for _ in 0..100 {
        client.send([settings(&[]).repeat(10), frame(kind::PING, 0, 0, &[7; 8]).repeat(10)].concat());
        for _ in 0..10 {
            client.find(0, |frame| frame.kind == kind::PING && frame.flags == flag::ACK).unwrap();
        }
    }
    goes_on(&mut client, 1);
}

#[test]
fn empty_frames_of_data_end_the_connection() {
    let server = Server::new();
    let mut client = connect(&server);
    // In the life of a connection, whichever of its streams they are on.
    for (stream, empty) in [(1, 60), (3, 40)] {
        client.send(headers(stream, &fields("POST", "/channels/a", &[]), false));
        client.send(data(stream, "", false).repeat(empty));
        client.send(data(stream, "x", true));
        client.response(stream).expect(201);
    }
    client.send(headers(5, &fields("POST", "/channels/a", &[]), false));
    client.send(data(5, "", false));
    is_calmed(&mut client);
    others_are_served(&server);
}

#[test]
fn small_frames_that_lie_unread_end_the_connection() {
    let server = Server::new();
    let mut client = connect(&server);
    // A stream that is held hears nothing: what is said on it lies there.
    client.send(headers(1, &fields("GET", "/channels/a", &[("accept", "text/event-stream")]), false));
    let sent = flood(&mut client.socket(), PATIENCE, 5_000, |_| data(1, "x", false).repeat(200));
    assert_eq!(sent, Flood::Closed);
    let ended = client.ended(1);
    assert!(!matches!(ended, Ended::Reset(error::INTERNAL_ERROR) | Ended::GoAway(error::INTERNAL_ERROR)), "{ended:?}");
    others_are_served(&server);
}

#[test]
fn data_that_lies_unread_is_no_more_than_the_window_of_a_connection() {
    const WINDOW: usize = 256 << 10;
    let server = Server::new();
    let mut client = connect(&server);
    let streams = || (0..20).map(|n| 2 * n + 1);
    // What is sent with the question of a long poll nobody reads before it is answered.
    for stream in streams() {
        client.send(headers(stream, &fields("GET", "/channels/a?wait=60&since=latest", &[]), false));
    }
    server.await_readers("a", 20);
    let unread: usize = streams().map(|stream| client.put(stream, &[b'x'; WINDOW], false)).sum();
    assert_eq!(unread, WINDOW);
    others_are_served(&server);
    // It is given back with the streams, and then others have room.
    server.publish("a", "to all");
    for stream in streams() {
        client.head(stream);
    }
    client.send(headers(101, &fields("POST", "/channels/b", &[]), false));
    let mut left = &[b'y'; 2 * WINDOW][..];
    while !left.is_empty() {
        left = &left[client.put(101, left, true)..];
    }
    client.response(101).expect(201);
}

#[test]
fn priorities_and_unknown_frames_are_bounded_work() {
    let server = Server::new();
    for said in [frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 1]), frame(0x7f, 0, 0, b"whatever"), window_update(0, 1)] {
        let mut client = connect(&server);
        let sent = flood(&mut client.socket(), PATIENCE, 500, |_| said.repeat(200));
        assert_eq!(sent, Flood::Taken);
        goes_on(&mut client, 3);
        others_are_served(&server);
    }
}

#[test]
fn an_answer_that_is_not_taken_is_given_up() {
    let mut config = switchboard_testkit::config();
    config.timeouts.body = Duration::from_millis(300);
    let server = Server::start(config);
    server.publish("a", "x".repeat(500_000));
    let mut client = connect(&server);
    client.grants = false;
    client.ask(1, "GET", "/channels/a?since=earliest", &[], None);
    client.head(1);
    assert_eq!(client.ended(1), Ended::Reset(error::CANCEL));
    // The windows are the client's to open: a small one that it has room for is served.
    client.send(window_update(0, 1 << 20));
    goes_on(&mut client, 3);
    others_are_served(&server);
}
