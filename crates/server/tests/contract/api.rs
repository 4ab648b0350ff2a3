//! "Fixed names and answers": health, metrics, the list of channels.

use std::collections::BTreeSet;
use switchboard::Config;
use switchboard_testkit::{Server, config, json, prometheus};

#[test]
fn healthz_and_readyz_answer() {
    let server = Server::new();
    for target in ["/healthz", "/readyz"] {
        let answer = server.get(target);
        assert!(matches!(answer.status(), 200 | 204), "{answer}");
        assert!(answer.head.lists("cache-control", "no-store"), "health is not cached: {answer}");
        let head = server.request("HEAD", target, &[], None);
        assert_eq!(head.status(), answer.status());
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let server = Server::new();
    let metrics = || {
        let answer = server.get("/metrics").expect(200);
        let kind = answer.head.media_type();
        assert!(["text/plain", "application/openmetrics-text"].contains(&kind.as_str()), "{kind}");
        prometheus::parse(&answer.text())
    };
    let before = metrics();
    assert!(before.keys().all(|name| name.starts_with("switchboard_") || name.starts_with("process_")), "{before:?}");
    let mut reader = server.lines("/channels/a");
    reader.notice("$open");
    server.publish("a", "1");
    reader.event();
    let after = metrics();
    let rose = after.iter().filter(|(name, value)| before.get(*name).is_none_or(|was| was < value)).count();
    assert!(rose >= 2, "what happens shows: {before:?} {after:?}");
    for (name, was) in before.iter().filter(|(name, _)| name.split('{').next().unwrap_or_default().ends_with("_total"))
    {
        assert!(after[name] >= *was, "a counter never goes back: {name}");
    }
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let document = std::fs::read_to_string(path).unwrap();
    // The first cells of the rows of the tables of metrics.
    let rows = document.split("## Gauges").nth(1).unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split_once(" |")).map(|(cell, _)| cell);
    let documented: BTreeSet<String> =
        cells.flat_map(|cell| cell.split(['`', ',', ' '])).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let metrics = prometheus::parse(&Server::new().get("/metrics").expect(200).text());
    let there: BTreeSet<String> = metrics
        .keys()
        .filter_map(|name| name.split('{').next()?.strip_prefix("switchboard_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, there);
    let queues = document.split("## Gauges").next().unwrap();
    let named = queues.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next());
    for name in named.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        assert!(there.contains(name), "{name}");
    }
}

#[test]
fn the_list_of_channels_tells_readers_events_held_and_bytes() {
    let server = Server::new();
    assert_eq!(server.page("/api/channels")["channels"], json!([]));
    server.publish("a/b", "12345");
    server.publish("a/b", "67890");
    let _readers = [server.sse("/channels/a/b").stream, server.lines("/channels/a/b").stream];
    let _socket = server.websocket("/channels/a/b");
    server.await_readers("a/b", 3);
    let told = server.channel("a/b").unwrap();
    assert_eq!(told["events"], 2, "{told}");
    assert!(told["bytes"].as_u64().is_some_and(|bytes| bytes >= 10), "{told}");
    let answer = server.get("/api/channels");
    assert_eq!(answer.head.media_type(), "application/json");
    assert!(answer.head.lists("cache-control", "no-store"), "{answer}");
}

#[test]
fn a_channel_that_is_only_read_is_listed_with_its_readers() {
    let server = Server::new();
    let _reader = server.sse("/channels/quiet");
    server.await_readers("quiet", 1);
    assert_eq!(server.channel("quiet").unwrap()["events"], 0);
}

/// Also where those who read it by a pattern are on other shards than the one who names it.
#[test]
fn readers_by_pattern_are_counted_wherever_they_are() {
    let server = Server::start(Config { shards: Some(4), ..config() });
    let _named = server.sse("/channels/quiet/one");
    let _by_pattern: Vec<_> = (0..8).map(|_| server.sse("/channels?channel=quiet/*")).collect();
    server.await_readers("quiet/one", 9);
}

#[test]
fn every_error_is_a_problem_with_its_name_as_code() {
    let server = Server::new();
    server.get("/nowhere").expect_problem(404, "not_found");
    server.get("/channels/..").expect_problem(400, "channel_name");
    server.request("PUT", "/channels/a", &[], None).expect_problem(405, "method_not_allowed");
    server.get_with("/channels/a", &[("Host", "example.com")]).expect_problem(421, "misdirected");
}

#[test]
fn the_root_is_a_page() {
    let server = Server::new();
    let page = server.get("/").expect(200);
    assert_eq!(page.head.media_type(), "text/html");
    assert!(page.text().to_ascii_lowercase().contains("<!doctype html"));
    server.request("HEAD", "/", &[], None).expect(200);
}
