//! WebSocket over HTTP/2 (RFC 8441).

use crate::{connect, goes_on};
use std::time::Duration;
use switchboard_testkit::http2::{Ended, data, error, fields, headers, rst_stream, websocket};
use switchboard_testkit::websocket::{BINARY, CLOSE, PING, PONG, TEXT, deflate, frame, frame_with, inflate, key};
use switchboard_testkit::{Field, Head, Http2, Server, Value, eventually, json};

/// Opens a WebSocket: the head of the answer.
#[track_caller]
pub(crate) fn open(client: &mut Http2, stream: u32, path: &str, rest: &[Field<'_>]) -> Head {
    client.send(headers(stream, &websocket(path, rest), false));
    let head = client.head(stream);
    assert_eq!(head.status, 200, "{}", head.raw);
    head
}

/// The next frame of a WebSocket: its first byte, and its payload.
#[track_caller]
pub(crate) fn next(client: &mut Http2, stream: u32) -> (u8, Vec<u8>) {
    let head = client.take(stream, 2);
    let length = match head[1] {
        126 => client.take(stream, 2).iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        127 => client.take(stream, 8).iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        short => {
            assert!(short < 126, "a server masks nothing");
            usize::from(short)
        }
    };
    (head[0], client.take(stream, length))
}

/// The next message, which is text.
#[track_caller]
pub(crate) fn text(client: &mut Http2, stream: u32) -> String {
    loop {
        match next(client, stream) {
            (0x81, text) => return String::from_utf8(text).unwrap(),
            (first, payload) if first == 0x80 | PING => client.send(data(stream, frame(true, PONG, &payload), false)),
            other => panic!("expected text: {other:?}"),
        }
    }
}

#[track_caller]
pub(crate) fn json_of(client: &mut Http2, stream: u32) -> Value {
    let text = text(client, stream);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_stream_is_not_reset_behind_the_answer_to_a_close() {
    let server = Server::new();
    let mut client = connect(&server);
    open(&mut client, 1, "/channels/a", &[]);
    client.send(data(1, frame(true, CLOSE, &1000_u16.to_be_bytes()), false));
    assert_eq!(next(&mut client, 1), (0x80 | CLOSE, vec![0x03, 0xe8]));
    assert_eq!(client.rest(1), Ok(vec![]));
    // Some clients take a reset for the loss of what came before it.
    assert!(client.is_silent_for(1, Duration::from_millis(300)));
    client.send(data(1, "", true));
    goes_on(&mut client, 3);
}

#[test]
fn one_that_opens_is_answered_200_and_talks_both_ways() {
    let server = Server::new();
    let mut client = connect(&server);
    let head = open(&mut client, 1, "/channels/a", &[]);
    for name in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
        assert_eq!(head.field(name), None, "{}", head.raw);
    }
    client.send(data(1, frame(true, TEXT, b"said"), false));
    assert_eq!(text(&mut client, 1), "said");
    server.publish("a", "heard");
    assert_eq!(text(&mut client, 1), "heard");
    client.send(data(1, frame(true, BINARY, &[0, 255]), false));
    assert_eq!(next(&mut client, 1), (0x80 | BINARY, vec![0, 255]));
}

#[test]
fn a_key_is_answered_where_one_came() {
    let server = Server::new();
    let mut client = connect(&server);
    let (key, accept) = key();
    let head = open(&mut client, 1, "/channels/a", &[("sec-websocket-key", &key)]);
    assert_eq!(head.field("sec-websocket-accept"), Some(accept.as_str()), "{}", head.raw);
}

#[test]
fn frames_may_come_byte_by_byte_and_several_at_once() {
    let server = Server::new();
    let mut client = connect(&server);
    open(&mut client, 1, "/channels/a", &[]);
    for byte in frame(true, TEXT, b"slow") {
        client.send(data(1, [byte], false));
    }
    client.send(data(1, [frame(true, TEXT, b"one"), frame(true, TEXT, b"two")].concat(), false));
    for expected in ["slow", "one", "two"] {
        assert_eq!(text(&mut client, 1), expected);
    }
    // What comes with the request.
    let said = [headers(3, &websocket("/channels/b", &[]), false), data(3, frame(true, TEXT, b"at once"), false)];
    client.send(said.concat());
    assert_eq!(client.head(3).status, 200);
    assert_eq!(text(&mut client, 3), "at once");
    client.send(data(3, frame(true, PING, b"are you there"), false));
    assert_eq!(next(&mut client, 3), (0x80 | PONG, b"are you there".to_vec()));
}

#[test]
fn a_large_message_passes_both_ways_through_many_windows() {
    let server = Server::new();
    let mut client = connect(&server);
    open(&mut client, 1, "/channels/a", &[]);
    let large: Vec<u8> = (0..900_000).map(|_| b'a' + fastrand::u8(..26)).collect();
    let said = frame(true, TEXT, &large);
    let mut rest = &said[..];
    while !rest.is_empty() {
        rest = &rest[client.put(1, rest, false)..];
    }
    assert_eq!(text(&mut client, 1).as_bytes(), large);
}

#[test]
fn subprotocols_are_chosen_as_over_http_1_1() {
    let server = Server::new();
    let mut client = connect(&server);
    let head = open(&mut client, 1, "/session", &[("sec-websocket-protocol", "chat, switchboard.v1")]);
    assert_eq!(head.field("sec-websocket-protocol"), Some("switchboard.v1"));
    assert_eq!(json_of(&mut client, 1)["method"], "session");
    let head = open(&mut client, 3, "/channels/a", &[("sec-websocket-protocol", "switchboard.raw.v1")]);
    assert_eq!(head.field("sec-websocket-protocol"), Some("switchboard.raw.v1"));
    client.send(headers(5, &websocket("/session", &[]), false));
    client.response(5).expect_problem(400, "bad_request");
}

#[test]
fn messages_are_deflated_where_that_is_offered() {
    let server = Server::new();
    let mut client = connect(&server);
    let offer = ("sec-websocket-extensions", "permessage-deflate; client_no_context_takeover");
    let head = open(&mut client, 1, "/channels/a", &[offer]);
    let taken = head.field("sec-websocket-extensions").unwrap_or_default();
    assert!(taken.starts_with("permessage-deflate"), "{}", head.raw);
    let long = "the same words again and again ".repeat(100);
    client.send(data(1, frame_with(0xc0 | TEXT, &deflate(long.as_bytes())), false));
    let (first, payload) = next(&mut client, 1);
    assert_eq!((first, payload.len() < 500), (0xc0 | TEXT, true));
    assert_eq!(inflate(&payload), long.as_bytes());
}

#[test]
fn a_version_that_is_not_13_and_a_path_that_is_none_are_refused_as_over_http_1_1() {
    let server = Server::new();
    let mut client = connect(&server);
    let old: Vec<Field<'_>> =
        fields("CONNECT", "/channels/a", &[(":protocol", "websocket"), ("sec-websocket-version", "8")]);
    client.send(headers(1, &old, false));
    let refused = client.response(1).expect_refusal(426);
    assert_eq!((refused.field("sec-websocket-version"), refused.field("upgrade")), (Some("13"), None));
    client.send(headers(3, &websocket("/no/such/path", &[]), false));
    client.response(3).expect_refusal(404);
    client.send(headers(5, &websocket("/channels//a", &[]), false));
    client.response(5).expect_refusal(400);
    goes_on(&mut client, 7);
}

#[test]
fn another_protocol_is_not_implemented() {
    let server = Server::new();
    let mut client = connect(&server);
    for (stream, protocol) in [(1, "connect-udp"), (3, "webtransport"), (5, "WebSocket/2")] {
        client.send(headers(stream, &fields("CONNECT", "/channels/a", &[(":protocol", protocol)]), false));
        client.response(stream).expect_refusal(501);
    }
    goes_on(&mut client, 7);
}

#[test]
fn the_closing_handshake_ends_the_stream() {
    let server = Server::new();
    let mut client = connect(&server);
    open(&mut client, 1, "/channels/a", &[]);
    client.send(data(1, frame(true, CLOSE, &1000u16.to_be_bytes()), false));
    assert_eq!(next(&mut client, 1), (0x80 | CLOSE, 1000u16.to_be_bytes().to_vec()));
    assert_eq!(client.rest(1), Ok(vec![]), "END_STREAM stands for the end of the connection (section 5)");
    server.await_readers("a", 0);
    goes_on(&mut client, 3);
}

#[test]
fn a_close_of_the_servers_is_answered_and_ends_the_stream() {
    let server = Server::new();
    let mut client = connect(&server);
    open(&mut client, 1, "/channels?channel=a", &[]);
    assert!(json_of(&mut client, 1).get("$open").is_some());
    // In event form nothing is published.
    client.send(data(1, frame(true, TEXT, b"no"), false));
    let (first, payload) = next(&mut client, 1);
    assert_eq!((first, &payload[..2]), (0x80 | CLOSE, &1003u16.to_be_bytes()[..]));
    client.send(data(1, frame(true, CLOSE, &payload[..2]), true));
    assert_eq!(client.rest(1), Ok(vec![]));
    goes_on(&mut client, 3);
}

#[test]
fn a_stream_that_ends_without_a_close_is_a_connection_that_was_cut() {
    let server = Server::new();
    let mut client = connect(&server);
    open(&mut client, 1, "/channels/a", &[]);
    open(&mut client, 3, "/channels/a", &[]);
    server.await_readers("a", 2);
    client.send(data(1, "", true));
    server.await_readers("a", 1);
    client.send(rst_stream(3, error::CANCEL));
    server.await_readers("a", 0);
    goes_on(&mut client, 5);
}

#[test]
fn frames_that_break_the_protocol_close_their_stream_alone() {
    let server = Server::new();
    let mut client = connect(&server);
    let unmasked = [0x81, 2, b'n', b'o'].to_vec();
    for (stream, foul, code) in [
        (1, unmasked, 1002u16),
        (3, frame_with(0x83, b"reserved"), 1002),
        (5, frame(true, TEXT, b"\xff\xfe"), 1007),
        (7, frame(false, PING, b"in pieces"), 1002),
    ] {
        open(&mut client, stream, "/channels/a", &[]);
        client.send(data(stream, foul, false));
        let (first, payload) = next(&mut client, stream);
        assert_eq!((first, &payload[..2]), (0x80 | CLOSE, &code.to_be_bytes()[..]));
    }
    goes_on(&mut client, 9);
    eventually("they are gone", || server.readers("a") == 0);
}

#[test]
fn a_handshake_without_connect_is_none() {
    let server = Server::new();
    let mut client = connect(&server);
    // A GET with the fields of a handshake is a read: `upgrade` itself would be malformed.
    let asked = [("sec-websocket-version", "13"), ("sec-websocket-key", "MDEyMzQ1Njc4OWFiY2RlZg==")];
    assert_eq!(client.request(1, "GET", "/channels/a", &asked).expect(200).json()["events"], json!([]));
    client.send(headers(3, &websocket("/channels/a", &[]), true));
    match client.try_head(3) {
        // A stream that the client has ended can hear, and its end is that of a connection.
        Ok((head, _)) => assert_eq!(head.status, 200, "{}", head.raw),
        Err(ended) => assert_eq!(ended, Ended::Reset(error::PROTOCOL_ERROR)),
    }
    server.await_readers("a", 0);
}
