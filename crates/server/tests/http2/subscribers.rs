//! Many streams on one connection: live all of them, gone when they are, and none the others' concern.

use crate::websocket::{self, json_of};
use crate::{connect, goes_on};
use std::time::Duration;
use switchboard_testkit::http2::{Ended, data, error, rst_stream, setting, window_update};
use switchboard_testkit::identity::{API_KEY, bearer, settings, token, token_for};
use switchboard_testkit::websocket::{TEXT, frame};
use switchboard_testkit::{Http2, Server, Value, config, json, prometheus};

fn gauge(server: &Server, name: &str) -> f64 {
    prometheus::parse(&server.get("/metrics").expect(200).text())[&format!("switchboard_{name}")]
}

#[test]
fn two_hundred_streams_of_one_connection_are_live_at_once_and_one_event_reaches_all() {
    const STREAMS: u32 = 200;
    let server = Server::new();
    let mut client = connect(&server);
    let streams = || (0..STREAMS).map(|n| 2 * n + 1);
    for stream in streams() {
        client.ask(stream, "GET", "/channels/a", &[("accept", "text/event-stream")], None);
    }
    for stream in streams() {
        assert_eq!(client.head(stream).status, 200);
        client.text_through(stream, "event: $open\n");
    }
    assert_eq!(server.readers("a"), u64::from(STREAMS));
    server.publish("a", "to all");
    for stream in streams() {
        client.text_through(stream, "data: to all\n\n");
    }
    assert_eq!(gauge(&server, "readers_sse"), f64::from(STREAMS));
    // One that is reset is gone alone, and all with the connection.
    client.send(rst_stream(7, error::CANCEL));
    server.await_readers("a", u64::from(STREAMS) - 1);
    server.publish("a", "to the others");
    client.text_through(9, "data: to the others\n");
    client.cut();
    server.await_readers("a", 0);
    assert_eq!(gauge(&server, "readers_sse"), 0.0);
}

#[test]
fn what_all_streams_of_a_connection_are_due_in_one_turn_leaves_in_one_write() {
    const STREAMS: u32 = 100;
    let mut config = config();
    config.shards = Some(1);
    config.heartbeat = Duration::from_secs(3600);
    let server = Server::start(config);
    // Opened in turn, so that in the order of their coming each is on another connection than the one before.
    let mut clients = [connect(&server), connect(&server)];
    let streams = || (0..STREAMS).map(|n| 2 * n + 1);
    // Room for all of it.
    clients.iter_mut().for_each(|client| client.send(window_update(0, 1 << 20)));
    for stream in streams() {
        for client in &mut clients {
            client.sse(stream, "/channels/a", &[]);
            client.text_through(stream, "event: $open\n");
        }
    }
    let all_hear = |clients: &mut [Http2], what: &str| {
        clients.iter_mut().for_each(|client| {
            streams().for_each(|stream| drop(client.text_through(stream, what)));
        });
    };
    for size in [10, 1_000] {
        // Windows are opened again by frames that are answered by nothing.
        clients.iter_mut().for_each(Http2::ping);
        let before = gauge(&server, "http2_writes_total");
        server.publish("a", format!("{size} {}", "x".repeat(size)));
        all_hear(&mut clients, &format!("data: {size} x"));
        let writes = gauge(&server, "http2_writes_total") - before;
        assert_eq!(writes, 2.0, "one for each connection, of {size} bytes for each stream");
    }
}

#[test]
fn every_transport_is_a_stream_and_all_hear_the_same() {
    let server = Server::new();
    let mut client = connect(&server);
    client.sse(1, "/channels/a", &[]);
    client.ask(3, "GET", "/channels?channel=a", &[("accept", "application/x-ndjson")], None);
    assert_eq!(client.head(3).status, 200);
    client.ask(5, "GET", "/channels/a?form=raw", &[("accept", "application/x-ndjson")], None);
    assert_eq!(client.head(5).status, 200);
    websocket::open(&mut client, 7, "/channels/a", &[]);
    client.ask(9, "GET", "/channels/a?wait=30&since=latest", &[], None);
    server.await_readers("a", 5);
    client.ask(11, "POST", "/channels/a", &[], Some(b"one for all"));
    client.response(11).expect(201);
    client.text_through(1, "data: one for all\n\n");
    client.text_through(3, "\"one for all\"");
    assert_eq!(client.take(5, 11), b"one for all");
    assert_eq!(websocket::text(&mut client, 7), "one for all");
    assert_eq!(client.response(9).expect(200).json()["events"][0]["data"], "one for all");
    // The end of the channel ends them.
    server.end("a");
    client.text_through(1, "event: $end\n");
    assert!(client.rest(1).is_ok());
    client.text_through(3, "$end");
    assert!(client.rest(3).is_ok());
    assert_eq!(client.rest(5), Ok(vec![]), "a body that is complete ends");
    server.await_readers("a", 0);
    goes_on(&mut client, 13);
}

#[test]
fn a_raw_body_that_breaks_off_is_reset_and_not_ended_and_nothing_of_it_is_taken_back() {
    let server = Server::new();
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 3)]);
    client.grants = false;
    for (stream, channel) in [(1, "a"), (3, "b")] {
        let path = format!("/channels/{channel}?form=raw");
        client.ask(stream, "GET", &path, &[("accept", "application/x-ndjson")], None);
        assert_eq!(client.head(stream).status, 200);
        server.publish(channel, "begun");
        assert_eq!(client.take(stream, 3), b"beg");
    }
    // What is due when it breaks off: an event in part, and nothing.
    client.send(window_update(3, 2));
    assert_eq!(client.take(3, 2), b"un");
    for (stream, channel, rest) in [(1, "a", &b"un"[..]), (3, "b", b"")] {
        server.delete(&format!("/channels/{channel}")).expect(204);
        client.send(window_update(stream, 100));
        assert_eq!(client.take(stream, rest.len()), rest);
        // Of another code some clients make no error, so that the body would look whole.
        assert_eq!(client.rest(stream), Err(Ended::Reset(error::INTERNAL_ERROR)));
    }
    goes_on(&mut client, 5);
}

#[test]
fn a_raw_body_that_lacks_its_beginning_has_a_head_and_breaks_off() {
    let server = Server::new();
    let position = server.publish("a", "gone");
    server.delete("/channels/a").expect(204);
    let mut client = connect(&server);
    let path = format!("/channels/a?form=raw&since={position}");
    for stream in (1..100).step_by(2) {
        client.ask(stream, "GET", &path, &[("accept", "application/x-ndjson")], None);
    }
    for stream in (1..100).step_by(2) {
        assert_eq!(client.head(stream).status, 200);
        assert_eq!(client.rest(stream), Err(Ended::Reset(error::INTERNAL_ERROR)));
    }
}

#[test]
fn a_poll_whose_stream_is_reset_waits_no_longer() {
    let server = Server::new();
    let mut client = connect(&server);
    client.ask(1, "GET", "/channels/a?wait=60&since=latest", &[], None);
    server.await_readers("a", 1);
    client.send(rst_stream(1, error::CANCEL));
    server.await_readers("a", 0);
    goes_on(&mut client, 3);
}

#[test]
fn a_token_that_expires_ends_its_stream_and_not_its_siblings() {
    let mut config = config();
    config.auth = settings();
    let server = Server::start(config);
    let mut client = connect(&server);
    let short = bearer(&token_for(Duration::from_secs(3), "ann", &["a/**"]));
    let long = bearer(&token("bob", &["a/**"]));
    client.sse(1, "/channels/a/x", &[("authorization", &short)]);
    client.sse(3, "/channels/a/x", &[("authorization", &long)]);
    websocket::open(&mut client, 5, "/channels/a/x", &[("authorization", &short)]);
    client.text_through(1, "token_expired");
    assert!(client.rest(1).is_ok());
    let (first, close) = websocket::next(&mut client, 5);
    assert_eq!((first, &close[..2]), (0x88, &4401u16.to_be_bytes()[..]));
    let key = bearer(API_KEY);
    client.ask(7, "POST", "/channels/a/x", &[("authorization", &key)], Some(b"still here"));
    client.response(7).expect(201);
    client.text_through(3, "data: still here\n");
    client.request(9, "GET", "/channels/a/x", &[("authorization", &short)]).expect_problem(401, "token_expired");
}

/// A session that is opened by POST: where it is.
fn open_session(client: &mut Http2, stream: u32) -> String {
    client.ask(stream, "POST", "/session", &[], Some(b""));
    client.response(stream).expect(201).field("location").unwrap().to_owned()
}

/// The next message of a session on a stream of events.
fn message(client: &mut Http2, stream: u32) -> Value {
    loop {
        client.text_through(stream, "data: ");
        let line = client.text_through(stream, "\n");
        if let Ok(message) = serde_json::from_str::<Value>(line.trim_end()) {
            return message;
        }
    }
}

fn call(id: u32, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

#[track_caller]
fn answer(client: &mut Http2, stream: u32, id: u32) -> Value {
    loop {
        let message = message(client, stream);
        if message["id"] == id {
            return message;
        }
    }
}

/// Talks in a session whose way down is one stream and whose way up are others.
#[track_caller]
fn talk(client: &mut Http2, server: &Server, location: &str, first: u32, channel: &str) {
    client.sse(first, location, &[]);
    let up = |client: &mut Http2, stream: u32, text: String| {
        client.ask(stream, "POST", location, &[], Some(text.as_bytes()));
        client.response(stream).expect(202);
    };
    up(client, first + 2, call(1, "subscribe", &json!({ "channel": channel })));
    assert!(answer(client, first, 1)["result"]["position"].is_string());
    server.publish(channel, "heard in a session");
    let event = loop {
        let message = message(client, first);
        if message["method"] == "event" {
            break message;
        }
    };
    assert_eq!(event["params"]["data"], "heard in a session");
    up(client, first + 4, call(2, "publish", &json!({ "channel": channel, "data": "said" })));
    assert!(answer(client, first, 2)["result"].is_object());
}

#[test]
fn a_session_has_its_ways_on_streams_of_one_connection() {
    let server = Server::new();
    let mut client = connect(&server);
    let location = open_session(&mut client, 1);
    talk(&mut client, &server, &location, 3, "a");
    // A stream that breaks loses nothing: the session waits, and is taken up on another.
    client.send(rst_stream(3, error::CANCEL));
    server.await_readers("a", 0);
    let again = format!("{location}?attempt=9");
    client.sse(21, &again, &[]);
    client.ask(23, "POST", &location, &[], Some(call(7, "ping", &json!({})).as_bytes()));
    client.response(23).expect(202);
    assert!(answer(&mut client, 21, 7)["result"].is_object());
    client.request(25, "DELETE", &location, &[]).expect(204);
    assert!(client.rest(21).is_ok());
}

#[test]
fn a_session_may_be_at_home_on_another_shard_than_its_connection() {
    const CONNECTIONS: usize = 4;
    let mut config = config();
    config.shards = Some(2);
    let server = Server::start(config);
    let mut clients: Vec<Http2> = (0..CONNECTIONS).map(|_| connect(&server)).collect();
    let locations: Vec<Vec<String>> = clients
        .iter_mut()
        .map(|client| (0..CONNECTIONS as u32).map(|n| open_session(client, 2 * n + 1)).collect())
        .collect();
    // Each connection has a session of each other one, so that whichever shards they are on, some are of the other.
    for (at, client) in clients.iter_mut().enumerate() {
        for (from, of) in locations.iter().enumerate() {
            talk(client, &server, &of[at], 101 + 10 * from as u32, &format!("c/{at}/{from}"));
        }
    }
    // All that is due to the other shard's streams in one turn, and the ends of all of them.
    clients.into_iter().for_each(Http2::cut);
    for location in locations.iter().flatten() {
        server.request("DELETE", location, &[], None).expect(204);
    }
    assert_eq!(server.page("/api/sessions")["sessions"], json!([]));
}

#[test]
fn a_session_is_a_websocket_over_one_stream() {
    let server = Server::new();
    let mut client = connect(&server);
    websocket::open(&mut client, 1, "/session", &[("sec-websocket-protocol", "switchboard.v1")]);
    assert_eq!(json_of(&mut client, 1)["method"], "session");
    let say = |client: &mut Http2, text: String| client.send(data(1, frame(true, TEXT, text.as_bytes()), false));
    say(&mut client, call(1, "subscribe", &json!({ "channel": "a" })));
    assert_eq!(json_of(&mut client, 1)["id"], 1);
    server.publish("a", "heard");
    let event =
        std::iter::repeat_with(|| json_of(&mut client, 1)).find(|message| message["method"] == "event").unwrap();
    assert_eq!(event["params"]["data"], "heard");
    for n in 2..200 {
        say(&mut client, call(n, "ping", &json!({})));
    }
    for n in 2..200 {
        assert_eq!(json_of(&mut client, 1)["id"], n);
    }
}
