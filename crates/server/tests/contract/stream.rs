//! "HTTP stream": NDJSON in event form, and the data alone in raw form.

use std::time::Duration;
use switchboard_testkit::{Line, Server, Streamed, config, json};

const LINES: (&str, &str) = ("Accept", "application/x-ndjson");

#[test]
fn in_event_form_it_is_ndjson_that_opens_with_open() {
    let server = Server::new();
    let id = server.publish("a", "1");
    let mut lines = server.lines("/channels/a");
    assert_eq!(lines.json(), json!({"$open": {"position": id}}));
    let mut lines = server.lines(&format!("/channels/a?since={id}"));
    assert_eq!(lines.json(), json!({"$open": {"position": id, "recovered": true}}));
    assert!(lines.stream.head.lists("vary", "accept"));
}

#[test]
fn json_events_stand_one_to_a_line_in_the_contracts_words() {
    let server = Server::new();
    let mut lines = server.lines("/channels/a");
    lines.notice("$open");
    let line = |lines: &mut switchboard_testkit::Lines| {
        let text = lines.text();
        let (before, time) = text.split_once(",\"time\":").unwrap_or_else(|| panic!("no time: {text}"));
        let rest: String = time.chars().skip_while(char::is_ascii_digit).collect();
        format!("{before}{rest}")
    };
    let id = server.publish("a", "x\n\"y\"");
    assert_eq!(line(&mut lines), format!(r#"{{"id":"{id}","channel":"a","data":"x\n\"y\""}}"#));
    let id = server.post("/channels/a?event=e", &[("Content-Type", "text/css")], "").expect(201).json()["id"].clone();
    let id = id.as_str().unwrap();
    assert_eq!(line(&mut lines), format!(r#"{{"id":"{id}","channel":"a","event":"e","data":"","type":"text/css"}}"#));
    let id = server.post("/channels/a", &[], [0xff, 0]).expect(201).json()["id"].clone();
    let id = id.as_str().unwrap();
    assert_eq!(line(&mut lines), format!(r#"{{"id":"{id}","channel":"a","base64":"/wA="}}"#));
}

#[test]
fn json_is_kept_as_written_but_line_breaks_between_its_tokens_become_spaces() {
    let server = Server::new();
    let mut lines = server.lines("/channels/a");
    lines.notice("$open");
    for (written, told) in [
        ("{\"a\":1.50,\"a\":1E400}", "{\"a\":1.50,\"a\":1E400}"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("\"\\u00e9\\/\"", "\"\\u00e9\\/\""),
        ("[1,\n\t2,\r\n3\r]", "[1, \t2,  3 ]"),
        ("null", "null"),
        ("\n{}\n", " {} "),
    ] {
        server.publish_json("a", written);
        let line = lines.text();
        assert!(line.contains(&format!("\"data\":{told},\"time\"")), "{written:?}: {line}");
    }
}

#[test]
fn data_is_the_json_value_or_a_string_and_base64_takes_its_place_for_binary() {
    let server = Server::new();
    let mut lines = server.lines("/channels/a");
    lines.notice("$open");
    server.publish_json("a", "{\"x\":[1]}");
    assert_eq!(lines.event()["data"], json!({"x": [1]}));
    server.publish("a", "{\"x\":[1]}");
    assert_eq!(lines.event()["data"], "{\"x\":[1]}", "without a type it is text");
    server.post("/channels/a", &[("Content-Type", "application/octet-stream")], "text").expect(201);
    let event = lines.event();
    assert_eq!((&event["base64"], event.get("data"), event.get("type")), (&json!("dGV4dA=="), None, None));
}

#[test]
fn a_heartbeat_is_an_empty_line() {
    let mut config = config();
    config.heartbeat = Duration::from_millis(50);
    let server = Server::start(config);
    let mut lines = server.lines("/channels/a");
    assert!(matches!(lines.next(), Line::Json(_)));
    let mut beats = 0;
    while beats < 3 {
        match lines.next() {
            Line::Heartbeat => beats += 1,
            Line::Json(value) => assert!(value.get("$position").is_some(), "{value}"),
            end => panic!("{end:?}"),
        }
    }
}

fn raw(server: &Server, target: &str) -> Streamed {
    let body = server.stream(target, &[LINES]);
    assert_eq!(body.head.status, 200, "{}", body.head.raw);
    body
}

#[test]
fn with_form_raw_the_body_is_the_data_alone_in_the_channels_content_type() {
    let server = Server::new();
    let ogg = [("Content-Type", "audio/ogg")];
    server.post("/channels/a", &ogg, [1, 0, 2]).expect(201);
    let mut body = raw(&server, "/channels/a?form=raw&since=earliest");
    assert_eq!(body.head.field("content-type"), Some("audio/ogg"));
    assert_eq!(body.data_of(3), [1, 0, 2]);
    server.post("/channels/a", &ogg, [3; 70_000]).expect(201);
    assert_eq!(body.data_of(70_000), [3; 70_000]);
    server.end("a");
    assert_eq!(body.rest(), (vec![], true), "it ends cleanly where the channel ends");
}

#[test]
fn raw_bodies_carry_nosniff_and_a_sandboxing_csp() {
    let server = Server::new();
    server.post("/channels/a", &[("Content-Type", "text/html")], "<script>").expect(201);
    let body = raw(&server, "/channels/a?form=raw&since=earliest");
    assert_eq!(body.head.media_type(), "text/html");
    assert_eq!(body.head.field("x-content-type-options"), Some("nosniff"));
    let policy = body.head.field("content-security-policy").unwrap_or_default();
    assert!(policy.split(';').any(|directive| directive.trim() == "sandbox"), "{}", body.head.raw);
}

#[test]
fn tokens_arrive_as_they_are_published() {
    let server = Server::new();
    let mut body = raw(&server, "/channels/answer?form=raw");
    for token in ["Once", " upon", " a", " time"] {
        server.publish("answer", token);
        assert_eq!(body.data_of(token.len()), token.as_bytes());
    }
    server.post("/channels/answer?end=true", &[], ".").expect(201);
    assert_eq!(body.rest(), (b".".to_vec(), true));
}

#[test]
fn an_empty_event_does_not_end_a_raw_body() {
    let server = Server::new();
    let mut body = raw(&server, "/channels/a?form=raw");
    server.publish("a", "");
    server.publish("a", "x");
    assert_eq!(body.data_of(1), b"x");
}

#[test]
fn a_raw_body_ends_uncleanly_on_a_gap() {
    let server = Server::new();
    server.publish("a", "1");
    let mut body = raw(&server, "/channels/a?form=raw");
    server.delete("/channels/a").expect(204);
    let (rest, complete) = body.rest();
    assert!(rest.is_empty() && !complete, "no final chunk: {:?}", body.conn.seen());
    // A cursor that opens with a gap is no different.
    let id = server.publish("a", "2");
    let mut body = raw(&server, "/channels/a?form=raw&since=nonsense");
    assert!(!body.rest().1);
    server.publish("a", "3");
    assert_eq!(raw(&server, &format!("/channels/a?form=raw&since={id}")).data_of(1), b"3");
}

#[test]
fn closing_an_ended_stream_is_clean_and_says_end() {
    let server = Server::new();
    let mut lines = server.lines("/channels/a");
    lines.notice("$open");
    server.publish("a", "1");
    server.end("a");
    let (rest, complete) = lines.rest();
    assert_eq!(rest[0]["data"], "1");
    assert_eq!(rest[1], json!({"$end": {"channel": "a"}}));
    assert_eq!((rest.len(), complete), (2, true));
}
