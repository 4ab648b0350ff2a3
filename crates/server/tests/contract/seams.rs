//! What a look at the whole with fresh eyes found: seams between rooms.

use std::time::Instant;
use switchboard_store::Class;
use switchboard_testkit::websocket::{TEXT, frame};
use switchboard_testkit::{Config, Conn, Line, PATIENCE, Server, config};
use switchboard_wire::Pattern;

fn with(class: Class, pattern: &str, config: Config) -> Config {
    let mut config = config;
    config.policy.rules = vec![(Pattern::new(pattern).unwrap(), class)];
    config
}

#[test]
fn a_page_by_pattern_gets_past_the_ends_of_channels() {
    let server = Server::new();
    for channel in ["j/a", "j/b", "j/c"] {
        server.post(&format!("/channels/{channel}?end=true"), &[], "").expect(201);
    }
    server.publish("j/d", "1");
    let page = server.page("/channels?channel=j/**&limit=2");
    assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
}

#[test]
fn a_quick_reader_of_an_ephemeral_channel_misses_nothing_where_another_channel_ends() {
    let mut config = with(Class::Ephemeral, "e", config());
    config.shards = Some(1);
    let server = Server::start(config);
    let mut lines = server.lines("/channels?channel=e&channel=h/*");
    lines.notice("$open");
    let mut conn = server.connect();
    let one = |i: usize| {
        format!(
            "POST /channels/h/{i}?end=true HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n\
             POST /channels/e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
        )
    };
    conn.send((0..20).map(one).collect::<String>());
    for _ in 0..20 {
        lines.notice("$end");
        lines.event();
    }
}

#[test]
fn however_fast_a_websocket_publishes_it_outruns_no_shard() {
    let mut config = config();
    config.shards = Some(2);
    // Enough for a reader that is slow because the machine is busy: what matters is that no shard is.
    config.policy.default = Class::History(switchboard_store::Retention { events: 100_000, ..Default::default() });
    let server = Server::start(config);
    let mut lines = server.lines("/channels/f");
    lines.notice("$open");
    let mut publisher = server.websocket("/channels/f");
    let mut socket = publisher.conn.socket().try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        use std::io::Write as _;
        let _ = socket.write_all(&frame(true, TEXT, b"x").repeat(50_000));
    });
    let hearing = std::thread::spawn(move || while publisher.conn.take_some().is_some() {});
    for _ in 0..50_000 {
        lines.event();
    }
    sending.join().unwrap();
    let metrics = switchboard_testkit::prometheus::parse(&server.get("/metrics").expect(200).text());
    assert_eq!(metrics["switchboard_ring_overruns_total"], 0.0);
    drop((server, hearing));
}

#[test]
fn idle_connections_beyond_the_limit_do_not_keep_the_next_from_its_503() {
    let mut config = config();
    config.connections = Some(1);
    let server = Server::start(config);
    let _idle: Vec<Conn> = (0..33).map(|_| server.connect()).collect();
    let begun = Instant::now();
    server.get("/channels/a").expect(503);
    assert!(begun.elapsed() < PATIENCE, "long before the idle ones are given up");
}

#[test]
fn a_reader_of_a_state_and_what_is_new_elsewhere_resumes_without_a_false_gap() {
    let mut config = with(Class::State, "s", config());
    config.policy.default = Class::History(switchboard_store::Retention { events: 2, ..Default::default() });
    let server = Server::start(config);
    server.publish("s", "state");
    for i in 0..5 {
        server.publish("h", i.to_string());
    }
    let mut lines = server.lines("/channels?channel=s&channel=h");
    lines.notice("$open");
    assert_eq!(lines.event()["data"], "state");
    let Line::Json(now_at) = lines.next() else { panic!("the stream goes on") };
    let cursor = now_at["$position"]["position"].as_str().unwrap().to_owned();
    let page = server.page(&format!("/channels?channel=s&channel=h&since={cursor}"));
    assert_eq!(page.get("gap"), None, "nothing was lost: {page}");
}

#[test]
fn the_body_of_a_handshake_is_no_frame() {
    let server = Server::new();
    let mut conn = server.connect();
    let smuggled = frame(true, TEXT, b"smuggled");
    let head = format!(
        "GET /channels/w HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nContent-Length: {}\r\n\r\n",
        smuggled.len()
    );
    conn.send([head.as_bytes(), &smuggled].concat());
    conn.head();
    let page = server.page("/channels/w");
    assert_eq!(page["events"].as_array().unwrap().len(), 0, "{page}");
}
