//! Connections come and go; the session stays.

use crate::talk::{PROTOCOL, Talk, Way};
use serde_json::json;
use switchboard_testkit::{Message, Server, config, eventually, prometheus};

#[test]
fn what_a_client_missed_comes_when_it_is_back_over_any_transport() {
    for from in Way::ALL {
        for to in Way::ALL {
            let server = Server::new();
            let mut talk = Talk::open(&server, from);
            talk.call("subscribe", &json!({ "channel": "a" })).unwrap();
            server.publish("a", "1");
            assert_eq!(talk.event(), "1");
            let id = talk.id();
            let kept = talk.cut();
            server.publish("a", "2");
            server.post(&format!("/api/sessions/{id}/notify"), &[], r#"{"method":"news"}"#).expect(202);
            server.publish("a", "3");
            let mut talk = Talk::resume(&server, to, kept);
            let mut heard: Vec<_> = (0..3).map(|_| talk.next()).collect();
            let news = heard.iter().position(|message| message["method"] == "news").expect("the notification");
            heard.remove(news);
            let data: Vec<_> = heard.iter().map(|message| message["params"]["data"].clone()).collect();
            assert_eq!(data, ["2", "3"], "{from:?} {to:?}");
            talk.call("ping", &json!({})).unwrap();
        }
    }
}

#[test]
fn what_is_counted_as_events_are_events_and_no_notices() {
    for (way, transport) in [(Way::Sse, "sse"), (Way::Stream, "stream"), (Way::WebSocket, "websocket")] {
        let server = Server::new();
        let mut talk = Talk::open(&server, way);
        talk.call("subscribe", &json!({ "channel": "a" })).unwrap();
        server.publish("a", "1");
        assert_eq!(talk.event(), "1");
        server.end("a");
        assert_eq!(talk.next()["method"], "end", "{way:?}");
        let counter = format!("switchboard_read_events_total{{transport=\"{transport}\"}}");
        // The shard has counted what it sent before it answers what came after.
        talk.call("ping", &json!({})).unwrap();
        assert_eq!(prometheus::parse(&server.get("/metrics").text())[&counter], 1.0, "{way:?}");
    }
}

#[test]
fn a_later_connection_takes_over_and_an_earlier_one_is_refused() {
    let server = Server::new();
    let talk = Talk::open(&server, Way::Stream);
    let kept = talk.kept.clone();
    let mut second = Talk::resume(&server, Way::WebSocket, kept.clone());
    let mut first = talk;
    let rest = first.rest();
    assert_eq!(rest.last().unwrap()["params"]["code"], "stale_attempt");
    second.call("ping", &json!({})).unwrap();
    // The second's own number again: it was late.
    match Talk::try_resume(&server, Way::WebSocket, kept) {
        Err(response) => drop(response.expect_problem(409, "stale_attempt")),
        Ok(_) => panic!("a stale attempt was let in"),
    }
    second.call("ping", &json!({})).unwrap();
}

#[test]
fn messages_up_are_applied_once_and_in_order() {
    let server = Server::new();
    let mut talk = Talk::open(&server, Way::Sse);
    let at = talk.kept.location.clone();
    let up = |seq: &str, text: &str| server.post(&at, &[("Session-Seq", seq)], text);
    let publish = |n: u32| format!(r#"{{"jsonrpc":"2.0","method":"publish","params":{{"channel":"a","data":{n}}}}}"#);
    std::thread::scope(|scope| {
        let early = scope.spawn(|| up("2", &publish(2)));
        let earlier = scope.spawn(|| up("3", &publish(3)));
        up("1", &publish(1)).expect(202);
        early.join().unwrap().expect(202);
        earlier.join().unwrap().expect(202);
    });
    up("2", &publish(2)).expect(202);
    let page = server.page("/channels/a");
    let data: Vec<_> = page["events"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect();
    assert_eq!(data, [1, 2, 3]);
    let refused = up("9", &publish(9)).expect_problem(409, "out_of_order");
    assert_eq!(refused.json()["expected"], 4);
    server.post(&at, &[("Session-Seq", "x")], "{}").expect_problem(400, "invalid_parameter");
    server.post(&at, &[], "no JSON").expect(202);
    assert_eq!(talk.next()["error"]["code"], -32700);
}

#[test]
fn a_session_that_nobody_takes_up_is_gone_after_its_linger() {
    let mut config = config();
    config.session.linger = std::time::Duration::from_millis(300);
    let server = Server::start(config);
    let talk = Talk::open(&server, Way::WebSocket);
    let kept = talk.cut();
    eventually("the session is gone", || server.get("/api/sessions").json()["sessions"].as_array().unwrap().is_empty());
    server.get(&kept.location).expect_problem(404, "not_found");
    server.post(&kept.location, &[], "{}").expect_problem(404, "not_found");
}

#[test]
fn a_client_ends_its_session_by_delete_or_by_closing_in_good_order() {
    let server = Server::new();
    let talk = Talk::open(&server, Way::Sse);
    server.request("DELETE", &talk.kept.location, &[], None).expect(204);
    server.request("DELETE", &talk.kept.location, &[], None).expect_problem(404, "not_found");
    let mut talk = Talk::open(&server, Way::WebSocket);
    talk.websocket().send_close(1000);
    assert!(matches!(talk.websocket().next(), Message::Close(1000, _)));
    server.get(&talk.kept.location).expect_problem(404, "not_found");
}

#[test]
fn a_location_without_its_key_opens_nothing() {
    let server = Server::new();
    let talk = Talk::open(&server, Way::WebSocket);
    for foul in [
        format!("/session/{}", talk.id()),
        format!("/session/{}.", talk.id()),
        format!("/session/{}.AAAAAAAAAAAAAAAAAAAAAA", talk.id()),
        "/session/".to_owned(),
    ] {
        server.get(&foul).expect_problem(404, "not_found");
        server.post(&foul, &[], "{}").expect_problem(404, "not_found");
    }
}

#[test]
fn a_websocket_without_the_subprotocol_is_refused_and_binary_frames_close() {
    let server = Server::new();
    server.handshake("/session", &[]).unwrap_err().expect_problem(400, "bad_request");
    server.get("/session").expect_problem(400, "bad_request");
    let mut socket = server.handshake("/session", &[PROTOCOL]).unwrap();
    assert_eq!(socket.head.field("sec-websocket-protocol"), Some("switchboard.v1"));
    assert_eq!(socket.json()["method"], "session");
    socket.send_binary(b"{}");
    socket.expect_close(1003);
}

#[test]
fn a_websocket_that_never_acknowledges_by_itself_goes_on_for_ever() {
    let mut config = config();
    config.session.memory = 4096;
    let server = Server::start(config);
    let mut talk = Talk::open(&server, Way::WebSocket);
    for _ in 0..500 {
        talk.call("ping", &json!({})).unwrap();
    }
    assert!(talk.websocket().pings > 0);
}

#[test]
fn a_client_that_takes_nothing_loses_its_session_with_a_code() {
    let mut config = config();
    config.session.memory = 4096;
    let server = Server::start(config);
    let talk = Talk::open(&server, Way::Poll);
    let id = talk.id();
    for n in 0..100 {
        let body = json!({ "method": "news", "params": { "n": n, "text": "x".repeat(100) } }).to_string();
        let response = server.post(&format!("/api/sessions/{id}/notify"), &[], body);
        if response.status() != 202 {
            response.expect_problem(404, "not_found");
            return;
        }
    }
    panic!("more is kept than session.memory");
}

#[test]
fn a_page_of_another_origin_may_number_what_it_sends_and_read_where_its_session_is() {
    let server = Server::new();
    let page = ("Origin", "http://localhost:5173");
    let opened = server.request("POST", "/session", &[page], Some(b"")).expect(201);
    let exposed = opened.field("access-control-expose-headers").unwrap();
    assert!(exposed.split(", ").any(|name| name == "Location"), "{exposed}");
    let fields = [
        page,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "session-ack,session-seq"),
    ];
    let preflight = server.request("OPTIONS", opened.field("location").unwrap(), &fields, None).expect(204);
    let allowed = preflight.field("access-control-allow-headers").unwrap().to_ascii_lowercase();
    assert!(["session-seq", "session-ack"].iter().all(|name| allowed.split(", ").any(|one| one == *name)), "{allowed}");
    assert!(preflight.field("access-control-allow-methods").unwrap().contains("DELETE"));
}
