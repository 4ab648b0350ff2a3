//! The connection limit: 503 with `Retry-After`, and for an EventSource a refusal that it comes back from.

use std::collections::BTreeSet;
use switchboard_testkit::{Config, Conn, Item, Server, config, eventually, json};

fn four() -> Config {
    let mut config = config();
    config.connections = Some(4);
    config
}

/// A server with four readers, which are all the connections that it takes.
fn full() -> (Server, Vec<switchboard_testkit::Sse>) {
    let server = Server::start(four());
    let readers = (0..4).map(|_| {
        let mut sse = server.sse("/channels/a");
        sse.notice("$open");
        sse
    });
    let readers = readers.collect();
    (server, readers)
}

#[test]
fn beyond_the_limit_a_request_is_503_with_retry_after() {
    let (server, _readers) = full();
    for (method, target) in [("GET", "/channels/a"), ("POST", "/channels/a"), ("GET", "/api/channels")] {
        let mut conn = server.connect();
        let answer = conn.request(method, target, &[], None).expect_problem(503, "overloaded");
        let after = answer.field("retry-after").unwrap_or_else(|| panic!("no Retry-After: {answer}"));
        assert!(after.parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{after}");
        assert!(!answer.head.keeps_alive(), "{answer}");
        conn.expect_close();
    }
    let refusal = server.handshake("/channels/a", &[]).unwrap_err().expect_problem(503, "overloaded");
    assert!(refusal.field("retry-after").is_some(), "{refusal}");
    let stream = server.stream("/channels/a", &[("Accept", "application/x-ndjson")]);
    assert!(matches!(stream.head.status, 200 | 503), "{}", stream.head.raw);
}

#[test]
fn beyond_the_limit_an_event_source_gets_200_a_jittered_retry_closing_and_the_end() {
    let (server, _readers) = full();
    let mut told = BTreeSet::new();
    for _ in 0..20 {
        let mut sse = server.sse("/channels/a");
        let Item::Retry(retry) = sse.next() else { panic!("a `retry:` first: {}", sse.stream.conn.seen()) };
        told.insert(retry);
        let closing = sse.block();
        assert_eq!((closing.event.as_str(), closing.id.as_deref()), ("$closing", None), "it moves no cursor");
        assert_eq!((&closing.json()["code"], &closing.json()["reconnect"]), (&json!("overloaded"), &json!(true)));
        assert_eq!(sse.next(), Item::End);
    }
    assert!(told.len() > 5, "they would all come back at once: {told:?}");
}

#[test]
fn the_connections_that_are_held_live_and_a_place_that_gets_free_is_taken() {
    let (server, mut readers) = full();
    server.get("/healthz").expect(503);
    drop(readers.pop());
    let mut conn: Option<Conn> = None;
    eventually("there is a place", || {
        let mut next = server.connect();
        let free = next.get("/healthz").status() != 503;
        if free {
            conn = Some(next);
        }
        free
    });
    conn.unwrap().publish("a", "still served");
    for sse in &mut readers {
        assert_eq!(sse.event().data, "still served");
    }
}

#[test]
fn refusals_do_not_add_up() {
    let (server, readers) = full();
    for _ in 0..200 {
        server.get("/healthz").expect(503);
    }
    // Nor does one that connects and says nothing keep others out for ever.
    let silent: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    server.get("/healthz").expect(503);
    drop(silent);
    drop(readers);
    eventually("all places are free", || server.get("/healthz").status() != 503);
}

#[test]
fn a_limit_of_one_still_serves() {
    let mut config = config();
    config.connections = Some(1);
    let server = Server::start(config);
    for _ in 0..10 {
        eventually("it serves", || server.get("/healthz").status() != 503);
    }
}
