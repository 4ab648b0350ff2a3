//! Section 6.9: flow control, by the letter.

use crate::{connect, ends_the_connection, ends_the_connection_as, goes_on, resets};
use std::time::Duration;
use switchboard_testkit::http2::{Ended, data, error, fields, frame, headers, kind, setting, settings, window_update};
use switchboard_testkit::{Http2, Server};

const QUIET: Duration = Duration::from_millis(150);
const MOST: u32 = (1 << 31) - 1;

/// A server with a page that is longer than any window that is not opened, and a stream on which nothing is due.
fn server() -> Server {
    let server = Server::new();
    server.publish("a", "x".repeat(200_000));
    server
}

fn page(stream: u32) -> Vec<u8> {
    headers(stream, &fields("GET", "/channels/a?since=earliest", &[]), true)
}

fn quiet(stream: u32) -> Vec<u8> {
    headers(stream, &fields("GET", "/channels/quiet", &[("accept", "text/event-stream")]), true)
}

#[test]
fn s6_9_an_increment_of_nothing_is_an_error() {
    let server = server();
    ends_the_connection(&server, error::PROTOCOL_ERROR, window_update(0, 0));
    let mut client = connect(&server);
    client.send([quiet(1), window_update(1, 0)].concat());
    let ended = client.ended(1);
    assert!(matches!(ended, Ended::Reset(error::PROTOCOL_ERROR) | Ended::GoAway(error::PROTOCOL_ERROR)), "{ended:?}");
}

#[test]
fn s6_9_an_update_has_four_bytes_and_a_stream_that_is_not_idle() {
    let server = server();
    ends_the_connection_as(&server, error::FRAME_SIZE_ERROR, frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3]));
    ends_the_connection_as(
        &server,
        error::FRAME_SIZE_ERROR,
        [quiet(1), frame(kind::WINDOW_UPDATE, 0, 1, &[1; 5])].concat(),
    );
    ends_the_connection(&server, error::PROTOCOL_ERROR, window_update(1, 1));
}

#[test]
fn s6_9_1_no_window_grows_beyond_31_bits() {
    let server = server();
    ends_the_connection(&server, error::FLOW_CONTROL_ERROR, window_update(0, MOST));
    resets(&server, 1, error::FLOW_CONTROL_ERROR, [quiet(1), window_update(1, MOST)].concat());
    let mut client = connect(&server);
    client.send(window_update(0, MOST - 65_535));
    goes_on(&mut client, 1);
}

#[test]
fn s6_9_2_nor_by_a_setting() {
    let server = server();
    let most = settings(&[(setting::INITIAL_WINDOW_SIZE, MOST)]);
    let mut client = connect(&server);
    // The stream's window is one larger than the initial one when that grows.
    client.send([quiet(1), window_update(1, 1), most].concat());
    let ended = client.ended(1);
    assert!(
        matches!(ended, Ended::GoAway(error::FLOW_CONTROL_ERROR) | Ended::Reset(error::FLOW_CONTROL_ERROR)),
        "{ended:?}"
    );
}

#[test]
fn s6_9_1_the_server_sends_what_a_window_lets_it_and_no_more() {
    let server = server();
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 10)]);
    client.grants = false;
    client.send(page(1));
    client.head(1);
    assert_eq!(client.take(1, 10).len(), 10);
    assert!(client.is_silent_for(1, QUIET));
    client.send(window_update(1, 5));
    client.take(1, 5);
    assert!(client.is_silent_for(1, QUIET));
    // The connection's is the smaller one now.
    client.send(window_update(1, 1 << 20));
    client.take(1, 65_535 - 15);
    assert!(client.is_silent_for(1, QUIET));
    client.send(window_update(0, 1 << 20));
    assert!(client.rest(1).unwrap().len() > 100_000);
}

#[test]
fn s6_9_1_windows_of_nothing_hold_up_neither_heads_nor_empty_bodies() {
    let server = server();
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
    client.grants = false;
    client.request(1, "HEAD", "/channels/a", &[]).expect(200);
    client.send(page(3));
    client.head(3);
    assert!(client.is_silent_for(3, QUIET));
    client.request(5, "OPTIONS", "/channels/a", &[]).expect(204);
}

#[test]
fn s6_9_2_a_setting_changes_the_windows_of_streams_that_are_open() {
    let server = server();
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
    client.grants = false;
    client.send(page(1));
    client.head(1);
    assert!(client.is_silent_for(1, QUIET));
    client.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 3)]));
    client.take(1, 3);
    assert!(client.is_silent_for(1, QUIET));
    // Below zero: by two, and nothing comes before it is above again.
    client.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 1)]));
    client.send(window_update(1, 2));
    client.ping();
    assert!(client.is_silent_for(1, QUIET));
    client.send(window_update(1, 1));
    assert_eq!(client.part(1).unwrap().payload.len(), 1);
    assert!(client.is_silent_for(1, QUIET));
}

#[test]
fn s6_9_2_a_window_of_one_byte_carries_everything() {
    let server = Server::new();
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 1)]);
    client.sse(1, "/channels/b", &[]);
    server.publish("b", "byte by byte");
    let heard = client.text_through(1, "data: byte by byte\n\n");
    assert!(heard.contains("event: $open"), "{heard}");
    client.get(3, "/channels/b?since=earliest").expect(200);
}

#[test]
fn s6_9_1_data_beyond_the_servers_window_is_an_error() {
    let server = Server::new();
    let mut client = connect(&server);
    // A stream that nobody reads: the request is answered, or waits for a body that is within its limit.
    let post = fields("POST", "/channels/a", &[("content-length", "99999999")]);
    client.send(headers(1, &post, false));
    let window = client.setting(setting::INITIAL_WINDOW_SIZE).unwrap();
    for _ in 0..=window / 16_384 {
        // It may have closed by now, which is read below.
        let _ = client.try_send(data(1, vec![b'x'; 16_384], false));
    }
    let ended = client.ended(1);
    // It refuses so large a body before it reads it, and then nothing more is wanted of it.
    assert!(matches!(ended, Ended::GoAway(error::FLOW_CONTROL_ERROR) | Ended::Reset(_)), "{ended:?}");
    server.is_alive();
}

#[test]
fn s6_9_1_padding_counts() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send(headers(1, &fields("POST", "/channels/a", &[]), false));
    // More padding than the window has room for, were it not given back as it comes.
    let padded =
        frame(kind::DATA, switchboard_testkit::http2::flag::PADDED, 1, &[&[255], &b"x"[..], &[0; 255]].concat());
    for _ in 0..20 {
        client.send(padded.repeat(100));
        client.note_sent(1, 25_700);
        while client.room(1) < 25_700 {
            client.next().expect("room");
        }
    }
    client.send(data(1, "", true));
    client.response(1).expect(201);
    assert_eq!(server.page("/channels/a")["events"][0]["data"].as_str().map(str::len), Some(2_000));
}
