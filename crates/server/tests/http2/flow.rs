//! Streams that do not read: each lags by itself, and nothing is lost.

use crate::connect;
use std::time::Duration;
use switchboard_store::{Class, Retention};
use switchboard_testkit::http2::{headers, setting, websocket, window_update};
use switchboard_testkit::{Http2, Server, config, eventually, prometheus};

/// A server that keeps all that these tests publish, on a ring that is soon overrun.
fn server() -> Server {
    let mut config = config();
    config.policy.ring = 128;
    config.policy.default = Class::History(Retention { events: 100_000, bytes: 64 << 20, ..Retention::default() });
    Server::start(config)
}

fn behind(server: &Server) -> f64 {
    prometheus::parse(&server.get("/metrics").expect(200).text())["switchboard_readers_behind"]
}

#[test]
fn a_stalled_stream_lags_its_siblings_do_not_and_it_catches_up_with_everything() {
    const EVENTS: usize = 600;
    let server = server();
    let mut client = connect(&server);
    client.stalled.insert(1);
    client.sse(1, "/channels/a", &[]);
    client.sse(3, "/channels/a", &[]);
    client.sse(5, "/channels/b", &[]);
    let mut publisher = server.connect();
    for n in 0..EVENTS {
        publisher.publish("a", format!("{n} {}", "x".repeat(1000)));
        // Its sibling is live throughout.
        client.text_through(3, &format!("data: {n} x"));
    }
    publisher.publish("b", "on another channel");
    client.text_through(5, "data: on another channel\n");
    eventually("one reader is behind", || behind(&server) == 1.0);
    client.stalled.clear();
    client.send(window_update(1, 1 << 20));
    for n in 0..EVENTS {
        let heard = client.text_through(1, &format!("data: {n} x"));
        assert!(!heard.contains("$gap") && heard.matches("data: ").count() <= 2, "out of order: {heard}");
    }
    publisher.publish("a", "live again");
    client.text_through(1, "data: live again\n");
    client.text_through(3, "data: live again\n");
    eventually("nobody is behind", || behind(&server) == 0.0);
}

#[test]
fn where_the_connections_window_is_used_up_streams_open_and_go_on_once_there_is_room() {
    const EVENTS: usize = 200;
    let server = server();
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 1 << 24)]);
    client.grants = false;
    client.sse(1, "/channels/a", &[]);
    let mut publisher = server.connect();
    for n in 0..EVENTS {
        publisher.publish("a", format!("{n} {}", "x".repeat(1000)));
    }
    let mut heard = client.take(1, 65_535);
    // Nothing that is said has room any more: heads do, and what behind them is due waits.
    client.sse(3, "/channels/a?since=earliest", &[]);
    client.send(headers(5, &websocket("/channels/a", &[]), false));
    assert_eq!(client.head(5).status, 200);
    client.ask(7, "POST", "/channels/a", &[], Some(b"the last"));
    assert_eq!(client.head(7).status, 201);
    for stream in [1, 3, 5, 7] {
        assert!(client.is_silent_for(stream, Duration::from_millis(50)), "{stream}");
    }
    client.grants = true;
    client.send(window_update(0, 1 << 16));
    heard.extend_from_slice(client.text_through(1, "data: the last\n").as_bytes());
    let heard = String::from_utf8(heard).unwrap();
    let again = client.text_through(3, "data: the last\n");
    for n in 0..EVENTS {
        for heard in [&heard, &again] {
            assert_eq!(heard.matches(&format!("data: {n} x")).count(), 1, "{n}");
        }
    }
    assert_eq!(crate::websocket::text(&mut client, 5), "the last");
    assert!(!client.rest(7).unwrap().is_empty());
}

#[test]
fn a_stalled_stream_that_is_reset_leaves_its_room_to_the_others() {
    let server = server();
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 1 << 24)]);
    client.grants = false;
    client.sse(1, "/channels/a", &[]);
    client.sse(3, "/channels/b", &[]);
    let mut publisher = server.connect();
    for n in 0..100 {
        publisher.publish("a", format!("{n} {}", "x".repeat(1000)));
    }
    client.take(1, 60_000);
    client.send(switchboard_testkit::http2::rst_stream(1, switchboard_testkit::http2::error::CANCEL));
    server.await_readers("a", 0);
    publisher.publish("b", "heard");
    client.grants = true;
    client.send(window_update(0, 1 << 16));
    client.text_through(3, "data: heard\n");
}

#[test]
fn tiny_windows_on_many_streams_are_served_as_they_open() {
    const STREAMS: u32 = 50;
    let server = server();
    server.publish("a", "x".repeat(2_000));
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 1)]);
    client.grants = false;
    let streams = (0..STREAMS).map(|n| 2 * n + 1);
    for stream in streams.clone() {
        client.ask(stream, "GET", "/channels/a?since=earliest", &[], None);
    }
    for stream in streams.clone() {
        client.head(stream);
        client.take(stream, 1);
    }
    for stream in streams.clone() {
        client.send([window_update(stream, 100_000), window_update(0, 3_000)].concat());
    }
    for stream in streams {
        assert!(client.rest(stream).unwrap().len() > 2_000);
    }
}
