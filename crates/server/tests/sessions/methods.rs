//! What clients call.

use crate::talk::{Talk, Way};
use serde_json::json;
use switchboard_testkit::Server;

#[test]
fn a_client_subscribes_and_hears_on_each_transport() {
    for way in Way::ALL {
        let server = Server::new();
        let mut talk = Talk::open(&server, way);
        server.publish("a", "before");
        let answer = talk.call("subscribe", &json!({ "channel": "a" })).unwrap();
        assert!(answer["position"].is_string(), "{way:?} {answer}");
        let id = server.publish("a", "after");
        let event = talk.notice("event");
        assert_eq!(
            (&event["id"], &event["channel"], &event["data"]),
            (&json!(id), &json!("a"), &json!("after")),
            "{way:?}"
        );
    }
}

#[test]
fn what_was_missed_comes_after_the_answer_and_joins_what_is_live() {
    for way in Way::ALL {
        let server = Server::new();
        let mut talk = Talk::open(&server, way);
        talk.call("subscribe", &json!(["b"])).unwrap();
        for i in 0..300 {
            server.publish("a", i.to_string());
        }
        let answer = talk.call("subscribe", &json!({ "channel": "a", "since": "earliest" })).unwrap();
        assert_eq!(answer.get("gap"), None);
        for i in 300..310 {
            server.publish("a", i.to_string());
            server.publish("b", format!("b{i}"));
        }
        let heard: Vec<String> = (0..320).map(|_| talk.event().as_str().unwrap().to_owned()).collect();
        let of_a: Vec<String> = (0..310).map(|i| i.to_string()).collect();
        assert_eq!(heard.iter().filter(|data| !data.starts_with('b')).cloned().collect::<Vec<_>>(), of_a, "{way:?}");
    }
}

#[test]
fn no_event_comes_after_the_answer_to_unsubscribe() {
    for way in Way::ALL {
        let server = Server::new();
        let mut talk = Talk::open(&server, way);
        talk.call("subscribe", &json!({ "channel": "a" })).unwrap();
        talk.call("subscribe", &json!({ "channel": "*" })).unwrap();
        server.publish("a", "both select it, and it comes once");
        assert_eq!(talk.event(), "both select it, and it comes once");
        talk.call("unsubscribe", &json!({ "channel": "a" })).unwrap();
        server.publish("a", "the pattern still does");
        assert_eq!(talk.event(), "the pattern still does");
        talk.call("unsubscribe", &json!({ "channel": "*" })).unwrap();
        server.publish("a", "nothing does");
        let error = talk.call("unsubscribe", &json!({ "channel": "a" })).unwrap_err();
        assert_eq!(error["code"], -32602);
        // Positions only rise: it would have come before this.
        talk.call("subscribe", &json!({ "channel": "b" })).unwrap();
        server.publish("b", "then");
        assert_eq!(talk.event(), "then", "{way:?}");
    }
}

#[test]
fn a_client_publishes_and_need_not_hear_itself() {
    for way in Way::ALL {
        let server = Server::new();
        let mut talk = Talk::open(&server, way);
        talk.call("subscribe", &json!({ "channel": "a" })).unwrap();
        let published = talk.call("publish", &json!({ "channel": "a", "data": { "n": 1 } })).unwrap();
        assert_eq!(published["channel"], "a");
        assert_eq!(talk.notice("event")["id"], published["id"]);
        talk.call("publish", &json!({ "channel": "a", "data": "quiet", "echo": false })).unwrap();
        talk.call("publish", &json!({ "channel": "a", "base64": "AAE=", "event": "typed" })).unwrap();
        let event = talk.notice("event");
        assert_eq!((&event["base64"], &event["event"]), (&json!("AAE="), &json!("typed")), "{way:?}");
        talk.call("publish", &json!(["b", { "n": 2 }, "typed"])).unwrap();
        assert_eq!(server.page("/channels/b")["events"][0]["event"], "typed", "by position");
        let page = server.page("/channels/a");
        assert_eq!(page["events"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn history_is_a_page() {
    let server = Server::new();
    let mut talk = Talk::open(&server, Way::WebSocket);
    for i in 0..5 {
        server.publish("a", i.to_string());
    }
    let page = talk.call("history", &json!({ "channel": "a", "limit": 2 })).unwrap();
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
    let rest = talk.call("history", &json!({ "channel": "a", "since": page["position"] })).unwrap();
    assert_eq!(rest["events"].as_array().unwrap().len(), 3);
    let all = talk.call("history", &json!({ "channel": "*" })).unwrap();
    assert_eq!(all["events"].as_array().unwrap().len(), 5);
}
