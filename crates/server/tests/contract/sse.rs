//! "SSE".

use std::time::Duration;
use switchboard_testkit::{Conn, Item, Piece, Server, config, json};

#[test]
fn the_head_is_an_event_stream_that_nobody_may_hold_back() {
    let server = Server::new();
    for target in ["/channels/a", "/channels?channel=a"] {
        let sse = server.sse(target);
        let head = &sse.stream.head;
        assert_eq!(head.media_type(), "text/event-stream");
        assert!(head.lists("cache-control", "no-cache") && head.lists("cache-control", "no-transform"), "{}", head.raw);
        assert_eq!(head.field("x-accel-buffering"), Some("no"));
        assert!(head.lists("vary", "accept"), "{}", head.raw);
    }
}

#[test]
fn it_opens_with_retry_and_open_whose_id_is_where_reading_starts() {
    let server = Server::new();
    let id = server.publish("a", "1");
    let mut sse = server.sse("/channels/a");
    assert!(matches!(sse.next(), Item::Retry(1..)), "{}", sse.stream.conn.seen());
    let open = sse.block();
    assert_eq!(open.event, "$open");
    assert_eq!(open.id.as_deref(), Some(id.as_str()), "the log's head is the last event");
    assert_eq!(open.json(), json!({"position": id}));
}

#[test]
fn recovered_is_there_only_if_a_position_was_given() {
    let server = Server::new();
    let id = server.publish("a", "1");
    server.publish("a", "2");
    for target in ["/channels/a", "/channels/a?since=earliest", "/channels/a?since=latest"] {
        assert!(server.sse(target).notice("$open").json().get("recovered").is_none(), "{target}");
    }
    let open = server.sse(&format!("/channels/a?since={id}")).notice("$open");
    assert_eq!(open.json(), json!({"position": id, "recovered": true}));
    assert_eq!(open.id.as_deref(), Some(id.as_str()));
    let open = server.sse("/channels/a?since=nonsense").notice("$open");
    assert_eq!(open.json()["recovered"], false);
}

#[test]
fn a_drop_before_the_first_event_loses_nothing() {
    let server = Server::new();
    let mut sse = server.sse("/channels/a");
    let cursor = sse.notice("$open").id.unwrap();
    sse.stream.conn.cut();
    server.publish("a", "missed");
    let mut sse = server.connect().sse("/channels/a", &[("Last-Event-ID", &cursor)]);
    assert_eq!(sse.notice("$open").json(), json!({"position": cursor, "recovered": true}));
    assert_eq!(sse.event().data, "missed");
}

#[test]
fn where_reading_opens_with_a_gap_open_carries_it_without_an_id_and_the_gap_block_moves_the_cursor() {
    let server = Server::new();
    let id = server.publish("a", "held");
    for target in ["/channels/a?since=nonsense", "/channels?channel=a&since=nonsense"] {
        let mut sse = server.sse(target);
        let open = sse.notice("$open");
        assert_eq!(open.id, None);
        let gap = open.json()["gap"].clone();
        assert_eq!((&gap["from"], &gap["reason"]), (&json!("nonsense"), &json!("unknown")));
        let block = sse.block();
        assert_eq!(block.event, "$gap");
        assert_eq!(block.json(), gap);
        assert_eq!(block.id.as_deref(), gap["to"].as_str());
        assert_eq!(sse.event().id.as_deref(), Some(id.as_str()), "reading goes on with what is held");
    }
}

#[test]
fn an_event_carries_its_id_its_type_and_a_data_line_per_line() {
    let server = Server::new();
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    let id = server.post("/channels/a?event=note", &[], "one\ntwo\r\nthree\rfour\n").expect(201).json()["id"].clone();
    let mut raw = String::new();
    while !raw.ends_with("\n\n") {
        raw.push_str(std::str::from_utf8(&sse.stream.data()).unwrap());
    }
    let data = ["one", "two", "three", "four", ""];
    let lines: Vec<String> = data.iter().map(|line| format!("data: {line}")).collect();
    let told: Vec<&str> = raw.lines().map(|line| if line == "data:" { "data: " } else { line }).collect();
    let start = told.iter().position(|line| line.starts_with("data:")).unwrap();
    assert_eq!(told[start..start + 5], lines);
    assert!(told.contains(&format!("id: {}", id.as_str().unwrap()).as_str()), "{raw}");
    assert!(told.contains(&"event: note"), "{raw}");
}

#[test]
fn what_a_reader_gets_is_what_was_published() {
    let server = Server::new();
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    for text in ["", " ", "  two spaces", "data: x", ":", "id: 7\n\nevent: $open", "\n", "a\0b", "\u{feff}bom", "é€😀"]
    {
        server.publish("a", text);
        let event = sse.event();
        assert_eq!((event.data.as_str(), event.event.as_str()), (text, ""), "{text:?}");
    }
    server.publish_json("a", "{\"a\" :\n [1.50]}");
    assert_eq!(sse.event().data, "{\"a\" :\n [1.50]}", "JSON is kept as written");
}

#[test]
fn an_event_without_a_type_has_no_event_line_and_one_after_a_typed_one_is_not_typed() {
    let server = Server::new();
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    server.post("/channels/a?event=x", &[], "1").expect(201);
    server.publish("a", "2");
    assert_eq!((sse.event().event, sse.event().event), ("x".into(), String::new()));
}

#[test]
fn binary_is_base64_text_in_event_form_under_base64() {
    let server = Server::new();
    let (mut raw, mut event) = (server.sse("/channels/a"), server.sse("/channels?channel=a"));
    server.post("/channels/a", &[("Content-Type", "image/png")], [0, 255, 7, 10]).expect(201);
    raw.notice("$open");
    assert_eq!(raw.event().data, "AP8HCg==");
    event.notice("$open");
    let json = event.event().json();
    assert_eq!((&json["base64"], json.get("data")), (&json!("AP8HCg=="), None));
    assert_eq!(json["type"], "image/png");
}

#[test]
fn event_form_is_the_json_event_on_one_data_line() {
    let server = Server::new();
    let mut sse = server.sse("/channels?channel=a");
    sse.notice("$open");
    let id = server
        .post("/channels/a?event=x", &[("Content-Type", "application/json")], "{\"a\":\r\n1.50}")
        .expect(201)
        .json()["id"]
        .clone();
    let block = sse.event();
    assert_eq!(block.id.as_deref(), id.as_str());
    assert_eq!(block.event, "x", "events carry their type");
    assert!(block.data.contains("\"data\":{\"a\":  1.50}"), "line breaks between tokens become spaces: {}", block.data);
    assert_eq!(block.json()["channel"], "a");
}

#[test]
fn a_heartbeat_is_a_comment_line_without_a_blank_line() {
    let mut config = config();
    config.heartbeat = Duration::from_millis(50);
    let server = Server::start(config);
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    let mut heartbeats = 0;
    while heartbeats < 3 {
        match sse.stream.next() {
            Piece::Data(data) if data.starts_with(b":") => {
                assert!(data.ends_with(b"\n") && !data.ends_with(b"\n\n"), "{:?}", String::from_utf8_lossy(&data));
                assert_eq!(data.iter().filter(|b| **b == b'\n').count(), 1);
                heartbeats += 1;
            }
            Piece::Data(data) => assert!(data.starts_with(b"id:") || data.starts_with(b"event: $position")),
            end => panic!("{end:?}"),
        }
    }
    server.publish("a", "still there");
    assert_eq!(sse.event().data, "still there");
}

#[test]
fn a_heartbeat_comes_between_blocks_and_never_within_one() {
    let mut config = config();
    config.heartbeat = Duration::from_millis(10);
    let server = Server::start(config);
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    let mut conn = server.connect();
    let text = "line\n".repeat(1000);
    for _ in 0..50 {
        conn.publish("a", &text);
        assert_eq!(sse.event().data, text);
    }
}

/// Cursors that nobody minted, ready for a query and for a header.
const FOUL: &[(&str, &str)] = &[
    ("x", "x"),
    ("0", "0"),
    ("-1", "-1"),
    ("null", "null"),
    ("undefined", "undefined"),
    ("%00", "%00"),
    ("%ff%fe", "\u{ff}\u{fe}"),
    ("%F0%9F%98%80", "😀"),
    ("Latest", "Latest"),
    ("earliest,latest", "earliest,latest"),
    ("a%20b", "a b"),
    ("../../etc", "../../etc"),
    ("%22%7D", "\"}"),
    ("%0d%0aid:%207", "id: 7"),
    ("*", "*"),
    ("99999999999999999999999999999999", "99999999999999999999999999999999"),
];

#[test]
fn no_cursor_however_foul_makes_any_reading_answer_4xx() {
    let server = Server::new();
    server.publish("a", "held");
    let long = "z".repeat(4000);
    let foul: Vec<(&str, &str)> = FOUL.iter().copied().chain([(long.as_str(), long.as_str())]).collect();
    for (query, header) in foul {
        for target in [format!("/channels/a?since={query}"), format!("/channels?channel=a&since={query}")] {
            let mut sse = server.sse(&target);
            assert_eq!(sse.notice("$open").json()["gap"]["reason"], "unknown", "{query}");
            sse.notice("$gap");
            sse.event();
            let mut lines = server.lines(&target);
            assert_eq!(lines.notice("$open")["gap"]["reason"], "unknown", "{query}");
            let page = server.page(&target);
            assert_eq!((&page["gap"]["reason"], &page["events"][0]["data"]), (&json!("unknown"), &json!("held")));
        }
        let mut sse = server.connect().sse("/channels/a", &[("Last-Event-ID", header)]);
        assert_eq!(sse.notice("$open").json()["gap"]["reason"], "unknown", "{header}");
        let mut socket = server.websocket(&format!("/channels?channel=a&since={query}"));
        assert_eq!(socket.notice("$open")["gap"]["reason"], "unknown", "{query}");
        // Raw form cannot say a gap: it closes with 4410.
        server.websocket(&format!("/channels/a?since={query}")).expect_close(4410);
        server.stream(&format!("/channels/a?form=raw&since={query}"), &[("Accept", "application/x-ndjson")]);
    }
    server.get("/channels/a?since=").expect(200);
    server.is_alive();
}

#[test]
fn a_client_of_http_1_0_gets_the_stream_until_the_connection_closes() {
    let server = Server::new();
    let mut conn: Conn = server.connect();
    conn.send("GET /channels/a HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    let stream = conn.into_streamed();
    assert!(stream.head.field("transfer-encoding").is_none(), "{}", stream.head.raw);
    let mut sse = switchboard_testkit::Sse::over(stream);
    sse.notice("$open");
    server.publish("a", "hello");
    assert_eq!(sse.event().data, "hello");
    server.end("a");
    sse.notice("$end");
    assert_eq!(sse.next(), Item::End);
}
