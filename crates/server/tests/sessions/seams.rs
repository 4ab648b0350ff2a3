//! Where things meet: acknowledgements and cuts, batches and subscriptions, notifications and places, limits.

use crate::talk::{Kept, Talk, Way};
use serde_json::{Value, json};
use switchboard_testkit::identity::{MASTER_KEY, bearer, settings, token};
use switchboard_testkit::{Server, config};

fn subscribe(id: u64, channel: &str, since: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "subscribe", "params": {"channel": channel, "since": since}})
}

/// What one polls of a session, from no place or from one.
fn page(server: &Server, kept: &Kept, since: &str) -> Vec<Value> {
    let page = server.get(&format!("{}?{since}", kept.location)).expect(200).json();
    page["messages"].as_array().unwrap().clone()
}

fn data(messages: &[Value]) -> Vec<Value> {
    let events = messages.iter().filter(|message| message["method"] == "event");
    events.map(|event| event["params"]["data"].clone()).collect()
}

#[test]
fn a_client_without_its_place_gets_what_it_has_not_acknowledged_and_goes_on() {
    for way in [Way::Sse, Way::Stream] {
        let server = Server::new();
        let mut talk = Talk::open(&server, way);
        talk.call("subscribe", &json!({"channel": "a"})).unwrap();
        talk.call("ping", &json!({})).unwrap();
        server.publish("a", "1");
        assert_eq!(talk.event(), "1");
        let mut kept = talk.cut();
        server.post(&kept.location, &[("Session-Ack", "1")], "").expect(202);
        let messages = page(&server, &kept, "wait=0");
        let answers = messages.iter().filter(|message| message.get("result").is_some()).count();
        assert_eq!((answers, data(&messages)), (1, vec![json!("1")]), "{way:?}: the answer to ping is left");
        kept.position.clear();
        let mut talk = Talk::resume(&server, way, kept);
        server.publish("a", "2");
        while talk.next()["params"]["data"] != "2" {}
        talk.call("ping", &json!({})).unwrap();
    }
}

#[test]
fn what_is_subscribed_to_without_a_call_is_told_and_comes_once() {
    for way in Way::ALL {
        let server = Server::new();
        server.publish("a", "1");
        let mut talk = Talk::open(&server, way);
        talk.send(&json!({"jsonrpc": "2.0", "method": "subscribe", "params": {"channel": "a", "since": "earliest"}}));
        assert_eq!(talk.notice("subscribed")["channel"], "a", "{way:?}");
        assert_eq!(talk.event(), "1");
        server.publish("a", "2");
        assert_eq!(talk.event(), "2");
        let mut talk = Talk::resume(&server, Way::Stream, talk.cut());
        server.publish("a", "3");
        assert_eq!(talk.event(), "3", "{way:?}");
        talk.send(&json!({"jsonrpc": "2.0", "method": "unsubscribe", "params": ["a"]}));
        assert_eq!(talk.notice("unsubscribed")["channel"], "a");
    }
}

#[test]
fn the_events_of_each_subscription_of_a_batch_come_after_what_says_so() {
    for way in Way::ALL {
        let server = Server::new();
        (0..3).for_each(|i| drop(server.publish("a", format!("a{i}"))));
        (0..3).for_each(|i| drop(server.publish("b", format!("b{i}"))));
        let mut talk = Talk::open(&server, way);
        talk.send(&json!([subscribe(1, "a", "earliest"), subscribe(2, "b", "earliest")]));
        assert_eq!(talk.next().as_array().map(Vec::len), Some(2), "{way:?}");
        let heard: Vec<Value> = (0..3).map(|_| talk.event()).collect();
        assert_eq!(heard, ["a0", "a1", "a2"]);
        let mut talk = Talk::resume(&server, way, talk.cut());
        assert_eq!(talk.notice("subscribed")["channel"], json!(["b"]));
        let heard: Vec<Value> = (0..3).map(|_| talk.event()).collect();
        assert_eq!(heard, ["b0", "b1", "b2"]);
        talk.call("ping", &json!({})).unwrap();
    }
}

#[test]
fn a_batch_subscribes_to_no_more_than_may_be_named_and_its_calls_see_each_other() {
    let mut config = config();
    config.limits.channels = 3;
    let server = Server::start(config);
    let mut talk = Talk::open(&server, Way::WebSocket);
    let call = |id: u64, method: &str, channel: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"channel": channel}});
    talk.send(&json!([
        call(1, "subscribe", json!(["a", "b"])),
        call(2, "subscribe", json!(["c", "d"])),
        call(3, "unsubscribe", json!("a")),
        call(4, "subscribe", json!(["c", "d"])),
    ]));
    let answers = talk.next();
    let failed = |i: usize| answers[i].get("error").is_some();
    assert_eq!([0, 1, 2, 3].map(failed), [false, true, false, false], "{answers}");
    talk.call("ping", &json!({})).unwrap();
    let listed = server.get(&format!("/api/sessions/{}", talk.id())).expect(200).json();
    assert_eq!(listed["channels"].as_array().map(Vec::len), Some(3), "{listed}");
}

#[test]
fn a_batch_may_have_more_calls_than_may_be_open() {
    let server = Server::new();
    let mut talk = Talk::open(&server, Way::WebSocket);
    let pings: Vec<Value> = (0..100).map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"})).collect();
    talk.send(&json!(pings));
    let answers = talk.next();
    assert!(answers.as_array().unwrap().iter().all(|answer| answer.get("result").is_some()), "{answers}");
}

#[test]
fn history_is_cut_to_what_a_session_may_keep_and_goes_on_from_its_position() {
    let mut config = config();
    config.session.memory = 16 << 10;
    let server = Server::start(config);
    (0..30).for_each(|_| drop(server.publish("a", "x".repeat(1000))));
    let mut talk = Talk::open(&server, Way::Poll);
    let (mut since, mut got) = ("earliest".to_owned(), 0);
    while got < 30 {
        let page = talk.call("history", &json!({"channel": "a", "since": since})).unwrap();
        let events = page["events"].as_array().unwrap().len();
        assert!(events > 0, "{page}");
        got += events;
        since = page["position"].as_str().unwrap().to_owned();
    }
    assert_eq!(got, 30);
}

#[test]
fn what_was_revoked_while_its_request_was_read_opens_no_session() {
    let mut config = config();
    config.auth = settings();
    let server = Server::start(config);
    let (ann, master) = (bearer(&token("ann", &["**"])), bearer(MASTER_KEY));
    let mut conn = server.connect();
    let head =
        format!("POST /session HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ann}\r\nContent-Length: 2\r\n\r\n");
    conn.send(head);
    // The head is known to have been read once another request of it would be; a first byte of the body says as much.
    conn.send("{");
    let revoked = server.request("POST", "/api/revoke", &[("Authorization", &master)], Some(br#"{"user":"ann"}"#));
    revoked.expect(200);
    conn.send("}");
    conn.response_to("POST").expect_problem(401, "token_revoked");
}

#[test]
fn backends_cannot_say_what_the_server_says_itself() {
    let server = Server::new();
    let talk = Talk::open(&server, Way::WebSocket);
    for method in ["event", "session", "closing", "position", "caught_up", "rpc.x", ""] {
        for deed in ["notify", "call"] {
            let at = format!("/api/sessions/{}/{deed}", talk.id());
            server.post(&at, &[], json!({"method": method}).to_string()).expect_problem(400, "invalid_parameter");
        }
    }
}
