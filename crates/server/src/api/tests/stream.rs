use super::*;
use proptest::prelude::*;
use serde_json::json;

const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
const SSE: (&str, &str) = ("content-type", "Text/Event-Stream; charset=utf-8");
const KEY: (&str, &str) = ("Idempotency-Key", "k");

fn post(node: &Node, fields: &[(&str, &str)], mut body: Body) -> Answer {
    ask(node, "POST /channels/a", fields, &mut body)
}

#[test]
fn each_line_is_an_event() {
    let node = node();
    let lines = "{\"data\":\"one\",\"event\":\"e\"}\n\n{\"data\":{\"n\": 2}}\r\n{\"base64\":\"AP8=\"}";
    let answer = post(&node, &[NDJSON], Body::of(lines));
    let events = held(&node, "a");
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json, json!({"count": 3, "first": events[0]["id"], "last": events[2]["id"]}));
    assert_eq!((&events[0]["data"], &events[0]["event"]), (&json!("one"), &json!("e")));
    assert_eq!((&events[1]["data"], &events[2]["base64"]), (&json!({"n": 2}), &json!("AP8=")));
    for empty in ["", "\n\n"] {
        let answer = post(&node, &[NDJSON], Body::of(empty));
        assert_eq!((answer.status, answer.json), (201, json!({"count": 0, "first": null, "last": null})));
    }
}

#[test]
fn an_event_stream_is_published_as_it_is_read() {
    let node = node();
    let stream = ": hi\n\nid: 7\nevent: e\ndata: one\ndata: two\n\nretry: 5\r\rdata\n\ndata: dropped\n";
    let answer = post(&node, &[SSE], Body::of(stream));
    let events = held(&node, "a");
    assert_eq!((answer.status, &answer.json["count"]), (201, &json!(2)));
    assert_eq!((&events[0]["data"], &events[0]["event"]), (&json!("one\ntwo"), &json!("e")));
    assert_eq!((&events[1]["data"], events[1].get("event")), (&json!(""), None));
    assert_eq!(answer.text("last"), events[1]["id"]);
}

#[test]
fn a_bad_line_is_named_and_those_before_it_count() {
    let node = node();
    let long = format!("{{\"data\":\"{}\"}}\n", "x".repeat(101));
    let endless = "x".repeat(10_000);
    let cases: &[((&str, &str), &str, u16, u64)] = &[
        (NDJSON, "{\"id\":1}\n", 400, 3),
        (NDJSON, "\n{\"data\":1,\"event\":\"$end\"}\n{\"data\":2}", 400, 4),
        (NDJSON, "nonsense", 400, 3),
        (NDJSON, "{\"data\":\"\u{0}\"}\n", 400, 3),
        (NDJSON, &long, 413, 3),
        (NDJSON, &endless, 413, 3),
        (SSE, "event: $end\ndata: x\n\n", 400, 4),
        (SSE, ":\ndata: a\nevent: $a\n\ndata: x\n\n", 400, 5),
        (SSE, &format!("data: {}\n\n", "x".repeat(101)), 413, 4),
        (SSE, &endless, 413, 4),
    ];
    for (format, bad, status, line) in cases {
        let good = if *format == NDJSON { "\n{\"data\":\"good\"}\n" } else { "\ndata: good\n\n" };
        let before = held(&node, "a").len();
        let answer = post(&node, &[*format], Body::of(format!("{good}{bad}")));
        assert_eq!((answer.status, &answer.json["line"]), (*status, &json!(line)), "{bad:.40} {}", answer.json);
        assert_eq!(answer.json["appended"], 1);
        assert_eq!(held(&node, "a").len(), before + 1);
    }
    let answer = post(&node, &[SSE], Body::of(b"data: a\n\ndata: \xff\n\n"));
    assert_eq!((answer.code(), &answer.json["line"]), ((400, "invalid_text"), &json!(3)));
    let answer = post(&node, &[NDJSON], Body::of(b"{\"data\":\"\xff\"}"));
    assert_eq!((answer.code(), &answer.json["line"]), ((400, "invalid_text"), &json!(1)));
}

#[test]
fn json_may_take_more_bytes_than_what_it_says() {
    let node = node();
    let line = format!("{{\"data\":\"{}\"}}\n", "\\u00e9".repeat(50));
    assert_eq!(post(&node, &[NDJSON], Body::of(line)).status, 201);
    assert_eq!(data(&node, "a"), ["\u{e9}".repeat(50)]);
}

#[test]
fn what_is_cut_off_keeps_its_finished_lines() {
    let node = node();
    let answer = post(&node, &[NDJSON], Body::pieces(&["{\"data\":1}\n{\"da", "ta\":2}\n{\"data\":3}"]).cut_off());
    assert_eq!((answer.status, &answer.json["appended"], &answer.json["line"]), (400, &json!(2), &json!(3)));
    assert_eq!(data(&node, "a"), [1, 2]);
    let answer = post(&node, &[SSE], Body::pieces(&["data: 3\n\ndata: 4\n"]).cut_off());
    assert_eq!((answer.status, &answer.json["appended"]), (400, &json!(1)));
    assert_eq!(data(&node, "a"), [json!(1), json!(2), json!("3")]);
}

#[test]
fn between_events_there_is_no_hurry() {
    use Pace::{Steady, Unhurried};
    let node = node();
    let mut lines = Body::pieces(&["{\"data\"", ":1}\n", "{\"data\":2}\n{", "\"data\":3}\n\n", " \n"]);
    ask(&node, "POST /channels/a", &[NDJSON], &mut lines);
    assert_eq!(lines.paces, [Unhurried, Steady, Unhurried, Steady, Unhurried, Unhurried]);
    let mut events = Body::pieces(&["data: 1", "\n", "\ndata: 2\n\n", ": beat\n", ":"]);
    ask(&node, "POST /channels/a", &[SSE], &mut events);
    assert_eq!(events.paces, [Unhurried, Steady, Steady, Unhurried, Unhurried, Steady]);
}

#[test]
fn the_end_comes_with_the_clean_end() {
    let node = node();
    let end = |body: &mut Body, fields: &[(&str, &str)]| ask(&node, "POST /channels/a?end=true", fields, body);
    assert_eq!(end(&mut Body::pieces(&["{\"data\":1}\n"]).cut_off(), &[NDJSON]).status, 400);
    assert_eq!(end(&mut Body::of("{\"data\":2}\nnonsense\n"), &[NDJSON]).status, 400);
    assert!(!has_ended(&node, "a"));
    let answer = end(&mut Body::of("{\"data\":3}\n"), &[NDJSON, KEY]);
    assert_eq!((answer.status, &answer.json["count"]), (201, &json!(1)));
    assert!(has_ended(&node, "a"));
    assert_eq!(end(&mut Body::of("{\"data\":3}\n"), &[NDJSON, KEY]).json, answer.json);
    let late = end(&mut Body::of("\n{\"data\":4}\n"), &[NDJSON]);
    assert_eq!((late.code(), &late.json["line"]), ((409, "channel_ended"), &json!(2)));
    assert_eq!(late.json["appended"], 0);
    assert_eq!(end(&mut Body::of(""), &[NDJSON]).status, 409);
    assert_eq!(data(&node, "a"), [1, 2, 3]);
    let only = ask(&node, "POST /channels/b?end=true", &[NDJSON], &mut Body::of(""));
    assert_eq!((only.status, &only.json["count"]), (201, &json!(0)));
    assert!(has_ended(&node, "b"));
}

#[test]
fn a_stream_names_its_types_itself() {
    let answer = ask(&node(), "POST /channels/a?event=e", &[NDJSON], &mut Body::of("{\"data\":1}\n"));
    assert_eq!(answer.code(), (400, "invalid_parameter"));
}

#[test]
fn with_a_key_a_retry_goes_on_where_it_stopped() {
    let node = node();
    let line = |n: u32| format!("{{\"data\":{n}}}\n");
    let cut = post(&node, &[NDJSON, KEY], Body::pieces(&[line(1), line(2), "{\"da".into()]).cut_off());
    assert_eq!(cut.json["appended"], 2);
    let whole = line(1) + &line(2) + &line(3);
    let retry = post(&node, &[NDJSON, KEY], Body::of(&whole));
    let events = held(&node, "a");
    assert_eq!(data(&node, "a"), [1, 2, 3]);
    assert_eq!(retry.json, json!({"count": 3, "first": events[0]["id"], "last": events[2]["id"]}));
    let again = post(&node, &[NDJSON, KEY], Body::of(&whole));
    assert_eq!((again.status, &again.json), (201, &retry.json));
    for other in [line(1) + &line(2), whole.clone() + &line(4), line(1) + &line(5) + &line(3), line(5)] {
        let answer = post(&node, &[NDJSON, KEY], Body::of(&other));
        assert_eq!(answer.code(), (422, "idempotency_key_reused"), "{other}");
    }
    assert_eq!(data(&node, "a"), [1, 2, 3]);
}

#[test]
fn many_lines_in_one_piece_are_all_appended() {
    let node = node();
    let lines: String = (0..1000).map(|n| format!("{{\"data\":{n}}}\n")).collect();
    assert_eq!(post(&node, &[NDJSON], Body::of(&lines)).json["count"], 1000);
    assert_eq!(data(&node, "a"), (0..1000).collect::<Vec<_>>());
    let answer = post(&node, &[NDJSON], Body::of(lines + "{"));
    assert_eq!((&answer.json["appended"], &answer.json["line"]), (&json!(1000), &json!(1001)));
}

proptest! {
    #[test]
    fn however_it_is_cut_a_stream_comes_to_the_same(
        lines in prop::collection::vec("(\\{\"data\":[0-9]\\}|\\{\"data\":\"\u{e9}{0,3}\"\\}|x)?\r?", 0..6),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let whole = lines.join("\n").into_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (whole.len() + 1)).chain([0, whole.len()]).collect();
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &whole[cut[0]..cut[1]]).collect();
        let (one, other) = (node(), node());
        let a = post(&one, &[NDJSON], Body::of(&whole));
        let b = post(&other, &[NDJSON], Body::pieces(&pieces));
        prop_assert_eq!(a.code(), b.code());
        prop_assert_eq!((&a.json["count"], &a.json["line"]), (&b.json["count"], &b.json["line"]));
        prop_assert_eq!(data(&one, "a"), data(&other, "a"));
    }
}
