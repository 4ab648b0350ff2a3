use super::*;
use serde_json::json;

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn a_publish_appends_its_body_and_says_where() {
    let node = node();
    let first = ask(&node, "POST /channels/chat/room%2D1", &[], &mut Body::of("hello"));
    assert_eq!(first.status, 201);
    assert_eq!((first.text("channel"), first.text("id")), ("chat/room-1", first.text("position")));
    assert_eq!(first.json.as_object().unwrap().len(), 3);
    let second = ask(&node, "POST /channels/chat/room-1?event=a+b", &[JSON], &mut Body::pieces(&["{\"a\"", ": 1}"]));
    assert!(second.text("id") > first.text("id"));
    let events = held(&node, "chat/room-1");
    assert_eq!((&events[0]["id"], &events[0]["data"]), (&first.json["id"], &json!("hello")));
    assert_eq!((&events[1]["data"], &events[1]["event"]), (&json!({"a": 1}), &json!("a b")));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(ask(&node, "POST /channels/form", &form, &mut Body::of("hello")).status, 201);
    let binary = [("Content-Type", "image/png")];
    assert_eq!(ask(&node, "POST /channels/form", &binary, &mut Body::of([0xff, 0])).status, 201);
    assert_eq!(ask(&node, "POST /channels/form", &[], &mut Body::default()).status, 201);
    let events = held(&node, "form");
    assert_eq!((&events[0]["data"], &events[1]["base64"]), (&json!("hello"), &json!("/wA=")));
    assert_eq!((&events[1]["type"], &events[2]["data"]), (&json!("image/png"), &json!("")));
}

#[test]
fn what_is_kept_is_no_larger_than_it_need_be() {
    let node = node();
    let big = Bytes::from(vec![b'x'; 10_000]);
    let mut body = Body { pieces: VecDeque::from([big.slice(..10)]), ..Body::default() };
    ask(&node, "POST /channels/a", &[], &mut body);
    drop(body);
    assert!(big.is_unique(), "the buffer that the body was read into is free again");
}

#[test]
fn what_may_not_be_published_is_refused() {
    let node = node();
    let text = ("Content-Type", "text/plain");
    let long = "x".repeat(256);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], (u16, &'a str));
    let cases: &[Case<'_>] = &[
        ("/channels/", &[], b"", (400, "channel_name")),
        ("/channels/a//b", &[], b"", (400, "channel_name")),
        ("/channels/*", &[], b"", (400, "channel_name")),
        ("/channels/$sys/a", &[], b"", (400, "channel_name")),
        ("/channels/%FF", &[], b"", (400, "channel_name")),
        ("/channels/a?event=$end", &[], b"x", (400, "event_type")),
        ("/channels/a?event=", &[], b"x", (400, "event_type")),
        ("/channels/a?event=a&event=b", &[], b"x", (400, "invalid_parameter")),
        ("/channels/a?event=%FF", &[], b"x", (400, "invalid_parameter")),
        ("/channels/a?end=1", &[], b"x", (400, "invalid_parameter")),
        ("/channels/a?end", &[], b"x", (400, "invalid_parameter")),
        ("/channels/a", &[("Idempotency-Key", "")], b"x", (400, "invalid_parameter")),
        ("/channels/a", &[("Idempotency-Key", "a b")], b"x", (400, "invalid_parameter")),
        ("/channels/a", &[("Idempotency-Key", &long)], b"x", (400, "invalid_parameter")),
        ("/channels/a", &[("Content-Type", "\u{e9}")], b"x", (400, "invalid_parameter")),
        ("/channels/a", &[JSON], b"{", (400, "invalid_json")),
        ("/channels/a", &[JSON], b"", (400, "invalid_json")),
        ("/channels/a", &[text], b"\xff", (400, "invalid_text")),
        ("/channels/a", &[], &[b'x'; 101], (413, "too_large")),
    ];
    for (target, fields, body, code) in cases {
        let answer = ask(&node, &format!("POST {target}"), fields, &mut Body::of(body));
        assert_eq!(answer.code(), *code, "{target} {fields:?}");
        assert_eq!(answer.headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.json["status"], answer.status);
    }
    assert_eq!(node.log.head(), 0);
}

#[test]
fn a_body_that_says_it_is_too_large_is_not_read() {
    let node = node();
    let mut sized = Body::of([b'x'; 101]);
    assert_eq!(ask(&node, "POST /channels/a", &[], &mut sized).status, 413);
    assert!(sized.paces.is_empty());
    let mut unsized_ = Body::pieces(&[[b'x'; 40]; 4]);
    assert_eq!(ask(&node, "POST /channels/a", &[], &mut unsized_).status, 413);
    assert_eq!(unsized_.paces, [Pace::Steady; 3]);
    assert_eq!(ask(&node, "POST /channels/a", &[], &mut Body::of([b'x'; 100])).status, 201);
    assert_eq!(ask(&node, "POST /channels/a", &[], &mut Body::pieces(&["x"]).cut_off()).status, 400);
    assert_eq!(held(&node, "a").len(), 1);
}

#[test]
fn an_end_has_a_last_event_or_none() {
    let node = node();
    let last = ask(&node, "POST /channels/a?end=true", &[], &mut Body::of("bye"));
    assert_eq!((last.status, last.text("id")), (201, last.text("position")));
    assert!(has_ended(&node, "a"));
    for end in ["false", "true"] {
        let late = ask(&node, &format!("POST /channels/a?end={end}"), &[], &mut Body::of("x"));
        assert_eq!(late.code(), (409, "channel_ended"));
    }
    let silent = ask(&node, "POST /channels/b?end=true", &[("Content-Type", "text/plain")], &mut Body::default());
    assert_eq!((silent.status, silent.text("channel"), &silent.json["ended"]), (201, "b", &json!(true)));
    assert!(silent.json.get("id").is_none() && !silent.text("position").is_empty());
    assert!(has_ended(&node, "b") && held(&node, "b").is_empty());
    assert_eq!(ask(&node, "POST /channels/c?end=true&event=e", &[], &mut Body::default()).status, 201);
    assert!(has_ended(&node, "c"));
    assert_eq!(held(&node, "c")[0]["event"], "e");
    assert_eq!(ask(&node, "POST /channels/d?end=false", &[], &mut Body::default()).status, 201);
    assert!(!has_ended(&node, "d"));
}

#[test]
fn a_key_makes_a_publish_count_once() {
    let node = node();
    let key = ("Idempotency-Key", "k");
    let publish = |target: &str, fields: &[(&str, &str)], body: &str| {
        ask(&node, &format!("POST /channels/{target}"), fields, &mut Body::of(body))
    };
    let first = publish("a", &[key], "x");
    for repeat in [key, ("Idempotency-Key", "\"k\"")] {
        let again = publish("a", &[repeat], "x");
        assert_eq!((again.status, &again.json), (201, &first.json));
    }
    assert_eq!(held(&node, "a").len(), 1);
    assert_eq!(publish("a", &[key], "y").code(), (422, "idempotency_key_reused"));
    assert_eq!(publish("a?event=e", &[key], "x").code(), (422, "idempotency_key_reused"));
    assert_eq!(publish("a?end=true", &[key], "x").code(), (422, "idempotency_key_reused"));
    assert_eq!(publish("a", &[key, ("Content-Type", "text/html")], "x").code(), (422, "idempotency_key_reused"));
    assert_eq!(publish("b", &[key], "y").status, 201);
    let end = publish("b?end=true", &[("Idempotency-Key", "e")], "");
    assert_eq!(publish("b?end=true", &[("Idempotency-Key", "e")], "").json, end.json);
    assert_eq!(publish("b", &[key], "y").status, 201, "a key is looked at before the end of its channel");
    assert_eq!(publish("b", &[], "y").status, 409);
    assert_eq!(publish("b", &[("Idempotency-Key", "f")], "y").status, 409);
}
