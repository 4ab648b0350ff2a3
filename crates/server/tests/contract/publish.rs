//! "Writing": one event to one channel.

use std::time::Duration;
use switchboard_testkit::{Field, Response, Server, Value, config, json};

fn events(server: &Server, channel: &str) -> Vec<Value> {
    server.page(&format!("/channels/{channel}"))["events"].as_array().unwrap().clone()
}

/// Publishes and reads the event back.
fn published(server: &Server, fields: &[Field<'_>], body: impl AsRef<[u8]>) -> Value {
    let id = server.post("/channels/a", fields, body).expect(201).json()["id"].clone();
    let event = events(server, "a").last().unwrap().clone();
    assert_eq!(event["id"], id);
    event
}

const fn of(content_type: &str) -> [Field<'_>; 1] {
    [("Content-Type", content_type)]
}

#[test]
fn the_answer_is_201_with_id_channel_and_position() {
    let server = Server::new();
    let answer = server.post("/channels/chat/room-1", &[], "hello").expect(201);
    assert_eq!(answer.head.media_type(), "application/json");
    let told = answer.json();
    let mut keys: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["channel", "id", "position"]);
    assert_eq!(told["channel"], "chat/room-1");
    assert_eq!(events(&server, "chat/room-1")[0]["id"], told["id"]);
}

#[test]
fn application_json_must_parse() {
    let server = Server::new();
    for bad in ["", " ", "{", "{\"a\":}", "nul", "1 2", "{'a':1}", "[1,]", "\"\t\"", "\u{feff}1", "NaN", "01"] {
        server.post("/channels/a", &of("application/json"), bad).expect_problem(400, "invalid_json");
    }
    server.post("/channels/a", &of("application/json"), b"\"\xff\"").expect_problem(400, "invalid_json");
    let deep = "[".repeat(100_000);
    server.post("/channels/a", &of("application/json"), deep).expect_problem(400, "invalid_json");
    assert!(events(&server, "a").is_empty());
    assert_eq!(published(&server, &of("application/json"), "{\"a\":[1,null]}")["data"], json!({"a": [1, null]}));
    let event = published(&server, &of("Application/JSON; charset=utf-8"), "7");
    assert_eq!(event["data"], 7);
    server.is_alive();
}

#[test]
fn text_must_be_utf_8() {
    let server = Server::new();
    for bad in [&b"\xff"[..], b"ok\xc3", b"\xed\xa0\x80"] {
        server.post("/channels/a", &of("text/plain"), bad).expect_problem(400, "invalid_text");
        server.post("/channels/a", &of("text/html; charset=utf-8"), bad).expect_problem(400, "invalid_text");
    }
    assert!(events(&server, "a").is_empty());
    let event = published(&server, &of("text/html"), "<b>é</b>");
    assert_eq!((&event["data"], &event["type"]), (&json!("<b>é</b>"), &json!("text/html")));
    let event = published(&server, &of("text/plain"), "plain");
    assert_eq!((&event["data"], event.get("type")), (&json!("plain"), None), "the kind implies text/plain");
}

#[test]
fn no_type_or_a_form_type_is_text_if_it_is_utf_8() {
    let server = Server::new();
    let form = of("application/x-www-form-urlencoded");
    let multipart = of("multipart/form-data; boundary=x");
    for fields in [&[][..], &form, &multipart] {
        let event = published(&server, fields, "hello=1&x");
        assert_eq!((&event["data"], event.get("type")), (&json!("hello=1&x"), None), "{fields:?}");
        let event = published(&server, fields, b"\xff\xfe");
        assert_eq!((&event["base64"], event.get("type")), (&json!("//4="), None), "{fields:?}");
    }
    assert_eq!(published(&server, &[], "")["data"], "");
}

#[test]
fn anything_else_is_binary() {
    let server = Server::new();
    for content_type in ["image/png", "application/octet-stream", "application/xml", "video/mp4; codecs=\"avc1\""] {
        let event = published(&server, &of(content_type), "text");
        assert_eq!((&event["base64"], event.get("data")), (&json!("dGV4dA=="), None), "{content_type}");
        let named = (content_type != "application/octet-stream").then(|| json!(content_type));
        assert_eq!(event.get("type"), named.as_ref());
    }
}

#[test]
fn the_event_parameter_names_the_type() {
    let server = Server::new();
    let told = server.post("/channels/a?event=note%2Fadded%20%E2%82%AC", &[], "x").expect(201).json();
    let event = &events(&server, "a")[0];
    assert_eq!((&event["event"], &event["id"]), (&json!("note/added €"), &told["id"]));
    server.post(&format!("/channels/a?event={}", "x".repeat(256)), &[], "x").expect_problem(400, "event_type");
    server.post(&format!("/channels/a?event={}", "x".repeat(255)), &[], "x").expect(201);
}

#[test]
fn the_end_parameter_ends_the_channel_with_or_without_a_last_event() {
    let server = Server::new();
    let told = server.post("/channels/a?end=true", &[], "last").expect(201).json();
    let page = server.page("/channels/a");
    assert_eq!((&page["events"][0]["id"], &page["ended"]), (&told["id"], &json!(true)));
    server.publish("b", "1");
    let told = server.post("/channels/b?end=true", &[], "").expect(201).json();
    assert_eq!((&told["channel"], &told["ended"]), (&json!("b"), &json!(true)));
    assert!(told["position"].is_string() && told.get("id").is_none(), "{told}");
    let page = server.page("/channels/b");
    assert_eq!((page["events"].as_array().unwrap().len(), &page["ended"]), (1, &json!(true)));
    server.post("/channels/c?end=false", &[], "x").expect(201);
    assert!(server.page("/channels/c").get("ended").is_none());
    server.post("/channels/c?end=maybe", &[], "x").expect_problem(400, "invalid_parameter");
}

#[test]
fn a_message_is_1_mib_at_most_by_default() {
    let server = Server::new();
    let most = vec![b'x'; 1 << 20];
    server.post("/channels/a", &[], &most).expect(201);
    let more = vec![b'x'; (1 << 20) + 1];
    let mut conn = server.connect();
    conn.ask("POST", "/channels/a", &[("Content-Length", "1048577")], None);
    // The server may answer at once, and close while the body is on its way.
    let _ = conn.try_send(&more);
    conn.response_to("POST").expect_problem(413, "too_large");
    assert_eq!(events(&server, "a").len(), 1);
    let mut conn = server.connect();
    conn.ask("POST", "/channels/a", &[("Transfer-Encoding", "chunked")], None);
    for _ in 0..17 {
        let _ = conn.try_send([b"10000\r\n".to_vec(), vec![b'x'; 1 << 16], b"\r\n".to_vec()].concat());
    }
    conn.response_to("POST").expect_problem(413, "too_large");
    assert_eq!(events(&server, "a").len(), 1);
    server.is_alive();
}

#[test]
fn a_chunked_body_is_put_together() {
    let server = Server::new();
    let mut conn = server.connect();
    conn.ask("POST", "/channels/a", &[("Transfer-Encoding", "chunked")], None);
    for part in ["1\r\nh\r\n", "3;ext=\"x\"\r\nell\r\n", "00A\r\no, chunks!\r\n", "0\r\nTrailer: ignored\r\n\r\n"] {
        conn.send(part);
    }
    conn.response_to("POST").expect(201);
    assert_eq!(events(&server, "a")[0]["data"], "hello, chunks!");
    conn.get("/healthz").expect(200);
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let server = Server::new();
    let mut conn = server.connect();
    conn.ask("POST", "/channels/a", &[("Content-Length", "5"), ("Expect", "100-continue")], None);
    assert_eq!(conn.head().status, 100);
    conn.send("hello");
    conn.response_to("POST").expect(201);
    conn.ask("POST", "/channels/a/..", &[("Content-Length", "5"), ("Expect", "100-continue")], None);
    conn.response_to("POST").expect_problem(400, "channel_name");
}

fn with_key(server: &Server, target: &str, key: &str, fields: &[Field<'_>], body: &str) -> Response {
    let mut all = vec![("Idempotency-Key", key)];
    all.extend_from_slice(fields);
    server.post(target, &all, body)
}

#[test]
fn a_repeat_of_an_idempotency_key_answers_the_firsts_status_and_body_and_appends_nothing() {
    let server = Server::new();
    let first = with_key(&server, "/channels/a", "k1", &[], "hello").expect(201);
    server.publish("a", "between");
    for _ in 0..3 {
        let again = with_key(&server, "/channels/a", "k1", &[], "hello").expect(201);
        assert_eq!(again.body, first.body);
        assert_eq!(again.head.media_type(), first.head.media_type());
    }
    assert_eq!(events(&server, "a").len(), 2);
    let other = with_key(&server, "/channels/a", "k2", &[], "hello").expect(201);
    assert_ne!(other.body, first.body);
}

#[test]
fn the_same_key_with_another_body_is_422_content_type_event_and_end_included() {
    let server = Server::new();
    let typed = of("text/plain");
    with_key(&server, "/channels/a?event=x", "k", &typed, "hello").expect(201);
    for (target, fields, body) in [
        ("/channels/a?event=x", of("text/plain"), "hello!"),
        ("/channels/a?event=x", of("text/html"), "hello"),
        ("/channels/a?event=y", of("text/plain"), "hello"),
        ("/channels/a", of("text/plain"), "hello"),
        ("/channels/a?event=x&end=true", of("text/plain"), "hello"),
    ] {
        let refusal = with_key(&server, target, "k", &fields, body);
        refusal.expect_problem(422, "idempotency_key_reused");
    }
    with_key(&server, "/channels/a?event=x", "k", &typed, "hello").expect(201);
    assert_eq!(events(&server, "a").len(), 1);
}

#[test]
fn a_key_is_scoped_to_its_channel() {
    let server = Server::new();
    with_key(&server, "/channels/a", "k", &[], "one").expect(201);
    with_key(&server, "/channels/b", "k", &[], "two").expect(201);
    assert_eq!((events(&server, "a").len(), events(&server, "b").len()), (1, 1));
}

#[test]
fn a_key_is_checked_before_anything_else_about_the_channel() {
    let server = Server::new();
    let first = with_key(&server, "/channels/a?end=true", "k", &[], "last").expect(201);
    let again = with_key(&server, "/channels/a?end=true", "k", &[], "last").expect(201);
    assert_eq!(again.body, first.body, "though the channel has ended");
    with_key(&server, "/channels/a", "k", &[], "last").expect_problem(422, "idempotency_key_reused");
    with_key(&server, "/channels/a", "other", &[], "last").expect_problem(409, "channel_ended");
}

#[test]
fn only_a_2xx_is_kept_with_a_key() {
    let server = Server::new();
    with_key(&server, "/channels/a", "k", &of("application/json"), "{").expect(400);
    with_key(&server, "/channels/a", "k", &of("application/json"), "{}").expect(201);
    server.end("b");
    with_key(&server, "/channels/b", "k", &[], "x").expect(409);
    server.delete("/channels/b").expect(204);
    with_key(&server, "/channels/b", "k", &[], "y").expect(201);
    assert_eq!((events(&server, "a").len(), events(&server, "b").len()), (1, 1));
}

#[test]
fn one_of_many_concurrent_repeats_appends() {
    let server = Server::new();
    for round in 0..20 {
        let key = format!("k{round}");
        let bodies: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let posts: Vec<_> = (0..6)
                .map(|_| scope.spawn(|| with_key(&server, "/channels/a", &key, &[], "x").expect(201).body))
                .collect();
            posts.into_iter().map(|post| post.join().unwrap()).collect()
        });
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(events(&server, "a").len(), round + 1);
    }
}

#[test]
fn a_key_that_cannot_be_is_400() {
    let server = Server::new();
    for bad in ["", &"k".repeat(256)] {
        with_key(&server, "/channels/a", bad, &[], "x").expect_problem(400, "invalid_parameter");
    }
    let twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    server.post("/channels/a", &twice, "x").expect_refusal(400);
    assert!(events(&server, "a").is_empty());
}

#[test]
fn publishing_to_an_ended_channel_is_409() {
    let server = Server::new();
    server.end("a");
    server.post("/channels/a", &[], "x").expect_problem(409, "channel_ended");
    server.post("/channels/a?end=true", &[], "").expect_problem(409, "channel_ended");
}

#[test]
fn a_publish_that_stops_in_the_middle_of_its_body_appends_nothing() {
    let server = Server::new();
    let mut conn = server.connect();
    conn.ask("POST", "/channels/a", &[("Content-Length", "10")], None);
    conn.send("hello");
    conn.cut();
    let mut conn = server.connect();
    conn.ask("POST", "/channels/a", &[("Content-Length", "10")], None);
    conn.send("hello");
    conn.finish();
    let rest = conn.take_all();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{:?}", String::from_utf8_lossy(&rest));
    assert!(events(&server, "a").is_empty());
    server.is_alive();
    // And one that does no more than stop, where the server is soon tired of it.
    let mut config = config();
    config.timeouts.body = Duration::from_millis(200);
    let server = Server::start(config);
    let mut conn = server.connect();
    conn.send("POST /channels/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    conn.response_to("POST").expect_problem(408, "request_timeout");
    conn.expect_close();
    assert!(events(&server, "a").is_empty());
    server.is_alive();
}

#[test]
fn a_body_in_a_content_coding_is_415() {
    let server = Server::new();
    let answer = server.post("/channels/a", &[("Content-Encoding", "gzip")], "x").expect(415);
    assert_eq!(answer.json()["code"], "unsupported_encoding");
    assert_eq!(answer.field("Accept-Encoding"), Some("identity"));
    server.post("/channels/a", &[("Content-Encoding", "identity")], "x").expect(201);
}

#[test]
fn a_type_that_says_no_more_than_the_kind_is_not_told() {
    let server = Server::new();
    server.post("/channels/a", &[("Content-Type", "text/plain;charset=UTF-8")], "as fetch says it").expect(201);
    server.post("/channels/a", &[("Content-Type", "text/plain; charset=latin1")], "x").expect(201);
    let page = server.page("/channels/a");
    assert_eq!(page["events"][0].get("type"), None);
    assert_eq!(page["events"][1]["type"], "text/plain; charset=latin1");
}
