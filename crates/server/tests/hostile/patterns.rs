//! What the patterns and names of readers take is counted, refused where it is too much, and given back.

use crate::figure;
use switchboard_testkit::{Conn, Server, config, eventually};

/// A quarter of what may be on its way, which patterns have room in.
const ROOM: usize = 512 << 10;

/// Reads as many long patterns as a head has room for, none of which somebody else has.
fn target(reader: usize) -> String {
    let patterns = (0..60).map(|n| format!("channel={reader}.{n}{}/*", "/b".repeat(118)));
    format!("/channels?{}", patterns.collect::<Vec<_>>().join("&"))
}

#[test]
fn patterns_that_are_read_take_no_more_than_may_be_on_its_way() {
    let mut config = config();
    config.transit = 4 * ROOM;
    let server = Server::start(config);
    let taken = || figure(&server, "transit_bytes");
    let ask = |reader: usize| {
        let mut conn = server.connect();
        // Every other one waits for a page.
        let (wait, fields) = match reader % 2 {
            0 => ("", &[("Accept", "application/x-ndjson")][..]),
            _ => ("&wait=30", &[][..]),
        };
        conn.ask("GET", &format!("{}{wait}", target(reader)), fields, None);
        conn
    };
    let mut held: Vec<Conn> = Vec::new();
    for reader in 0..10 {
        held.push(ask(reader));
        eventually("they are counted", || taken() > 50_000 * held.len());
        assert!(taken() < 52_000 * held.len() && taken() <= ROOM);
    }
    for reader in [10, 11] {
        let refused = ask(reader).response_to("GET").expect_problem(503, "overloaded");
        assert!(refused.field("retry-after").is_some());
    }
    // Few of them are not counted, and a page that does not wait keeps none.
    server.lines("/channels?channel=a/**&channel=b/*").notice("$open");
    server.get(&target(12)).expect(200);
    let mut stream = server.sse(&target(13));
    stream.notice("$closing");
    drop(held);
    eventually("who goes gives it back", || taken() == 0);
    server.is_alive();
}

/// As many long names as a reader may read and a head has room for.
fn names(reader: usize) -> String {
    let names = (0..128).map(|n| format!("channel={reader}.{n:03}{}", "x".repeat(90)));
    format!("/channels?{}", names.collect::<Vec<_>>().join("&"))
}

#[test]
fn names_that_are_read_take_no_more_than_may_be_on_its_way() {
    let mut config = config();
    (config.transit, config.shards) = (4 * ROOM, Some(1));
    let server = Server::start(config);
    let taken = || figure(&server, "transit_bytes");
    let ask = |reader: usize, wait: &str| {
        let mut conn = server.connect();
        // Every other one waits for a page.
        let fields = if wait.is_empty() { &[("Accept", "application/x-ndjson")][..] } else { &[] };
        conn.ask("GET", &format!("{}{wait}", names(reader)), fields, None);
        conn
    };
    // Each is 128 times 240 bytes and a name of 95 or 96; the first 16 KiB of a shard count for nothing.
    let each = 128 * (240 + 96);
    let most = (ROOM + (16 << 10)) / (each - 128);
    let mut held: Vec<Conn> = Vec::new();
    for reader in 0..most {
        held.push(ask(reader, ["", "&wait=30"][reader % 2]));
        eventually("they are counted", || taken() + (20 << 10) > each * held.len() - 128 * held.len());
        assert!(taken() <= each * held.len() && taken() <= ROOM);
    }
    for wait in ["", "&wait=30"] {
        let refused = ask(most + 1, wait).response_to("GET").expect_problem(503, "overloaded");
        assert!(refused.field("retry-after").is_some());
    }
    // Names that others have cost nothing more, and few are never too many.
    server.lines(&names(0)).notice("$open");
    server.lines("/channels?channel=a&channel=b").notice("$open");
    drop(held);
    eventually("who goes gives it back", || taken() == 0);
    server.is_alive();
}

#[test]
fn names_of_readers_that_come_at_once_take_no_more() {
    let mut config = config();
    (config.transit, config.shards) = (4 * ROOM, Some(1));
    let server = Server::start(config);
    server
        .post("/channels/big", &[("Content-Type", "application/x-ndjson")], "{\"data\":1}\n".repeat(1_000))
        .expect(201);
    let page = server.page("/channels/big?since=earliest&limit=1");
    let since = page["position"].as_str().unwrap();
    let most = (ROOM + (16 << 10)) / (127 * (240 + 95)) + 1;
    // All are let in before any of them has looked along the log, which they take turns at, and is counted.
    let asked = |reader: usize| {
        let mut conn = server.connect();
        let names = names(reader);
        let (_, but_one) = names.split_once('&').unwrap();
        conn.ask("GET", &format!("/channels?{but_one}&channel=z/*&wait=30&since={since}"), &[], None);
        conn
    };
    let held: Vec<Conn> = (0..4 * most).map(asked).collect();
    let waiting = || figure(&server, "readers_poll");
    eventually("each waits or is refused", || waiting() + figure(&server, "refused_transit_total") == held.len());
    assert!(figure(&server, "transit_bytes") <= ROOM && waiting() <= most, "{} of {most}", waiting());
    drop(held);
    eventually("who goes gives it back", || figure(&server, "transit_bytes") == 0);
}
