//! What the application is asked before it happens.

use super::{asked, asking, code, figure, serve};
use crate::talk::{Talk, Way};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use switchboard::application::Question;
use switchboard::auth::settings::ChannelLimit;
use switchboard_testkit::backend::{Backend, Reply};

/// Answers by the params.
fn by(answer: impl Fn(&Value) -> Result<Value, Value> + Send + Sync + 'static) -> Reply {
    Reply::Calls(Arc::new(move |_, params| answer(params)))
}

/// Grants everything, once it is let go.
fn granting_later() -> Reply {
    Reply::Later(Arc::new(|_, _| Ok(json!({}))))
}

/// The data of a channel's events.
fn published(server: &switchboard_testkit::Server, channel: &str) -> Vec<Value> {
    let page = server.page(&format!("/channels/{channel}"));
    page["events"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect()
}

#[test]
fn a_subscription_is_granted_refused_or_begun_elsewhere() {
    for way in Way::ALL {
        let refused = json!({"code": 7, "message": "members only", "data": {"price": 3}});
        let error = refused.clone();
        let backend = Backend::new(by(move |params| match params["channel"].as_str().unwrap() {
            "secret" => Err(error.clone()),
            "old" => Ok(json!({"since": "earliest"})),
            "new" => Ok(json!({"since": "latest"})),
            _ => Ok(Value::Null),
        }));
        let server = asking(&backend, &[Question::Subscribe]);
        server.publish("old", "before");
        let mut talk = Talk::open(&server, way);
        assert_eq!(talk.call("subscribe", &json!({"channel": "secret"})), Err(refused), "{way:?}");
        talk.call("subscribe", &json!({"channel": "old"})).unwrap();
        assert_eq!(talk.event(), "before", "{way:?}");
        talk.call("subscribe", &json!({"channel": ["open", "p/*"], "since": "latest"})).unwrap();
        let questions: Vec<_> = asked(&backend).into_iter().map(|(_, params)| params).skip(2).collect();
        assert_eq!(
            questions,
            [json!({"channel": "open", "since": "latest"}), json!({"channel": "p/*", "since": "latest"})]
        );
        server.publish("p/1", "heard");
        assert_eq!(talk.event(), "heard");
        assert_eq!(code(talk.call("subscribe", &json!({"channel": ["open", "secret"]}))), 7);
        assert_eq!(code(talk.call("subscribe", &json!({"channel": ["new", "old"]}))), 50200, "it cannot be both");
        server.publish("secret", "not heard");
        server.publish("open", "last");
        assert_eq!(talk.event(), "last");
    }
}

#[test]
fn what_the_rules_refuse_is_not_asked() {
    let backend = Backend::new(Reply::echo());
    let server = serve(&backend, |config, settings| {
        config.auth = switchboard_testkit::identity::settings();
        settings.asks = Question::ALL[1..].to_vec();
    });
    let mut talk = Talk::open(&server, Way::WebSocket);
    assert_eq!(code(talk.call("subscribe", &json!({"channel": "a"}))), 40100);
    assert_eq!(code(talk.call("publish", &json!({"channel": "a", "data": 1}))), 40100);
    assert!(backend.asked().is_empty());
}

#[test]
fn a_clients_order_is_kept_while_the_application_takes_its_time() {
    let backend = Backend::new(granting_later());
    let server = asking(&backend, &[Question::Subscribe, Question::Publish]);
    let mut talk = Talk::open(&server, Way::WebSocket);
    let begun: Vec<u64> = [
        ("subscribe", json!({"channel": "a"})),
        ("publish", json!({"channel": "a", "data": 1})),
        ("publish", json!({"channel": "a", "data": 2})),
        ("unsubscribe", json!({"channel": "a"})),
        ("publish", json!({"channel": "a", "data": 3})),
    ]
    .iter()
    .map(|(method, params)| talk.begin(method, params))
    .collect();
    talk.call("ping", &json!({})).unwrap();
    backend.await_asked(1);
    assert_eq!(backend.asked().len(), 1, "one at a time");
    backend.release();
    begun.into_iter().for_each(|id| drop(talk.answer_to(id).unwrap()));
    assert_eq!((talk.event(), talk.event()), (json!(1), json!(2)));
    assert_eq!(published(&server, "a"), [1, 2, 3]);
    talk.call("publish", &json!({"channel": "b", "data": "after"})).unwrap();
}

#[test]
fn what_is_published_is_taken_refused_or_replaced() {
    for way in Way::ALL {
        let backend = Backend::new(by(|params| match &params["data"] {
            Value::String(text) if text == "rude" => Err(json!({"code": 40300, "message": "be nice"})),
            Value::String(text) => Ok(json!({"data": text.to_uppercase()})),
            Value::Null => Ok(json!({"base64": "AQ=="})),
            _ => Ok(json!({})),
        }));
        let server = asking(&backend, &[Question::Publish]);
        let mut talk = Talk::open(&server, way);
        talk.call("subscribe", &json!({"channel": "a"})).unwrap();
        let mut publish = |params: Value| talk.call("publish", &params);
        assert_eq!(code(publish(json!({"channel": "a", "data": "rude"}))), 40300);
        publish(json!({"channel": "a", "data": "loud", "event": "said"})).unwrap();
        publish(json!({"channel": "a", "base64": "AAE=", "type": "image/png"})).unwrap();
        publish(json!({"channel": "a", "data": {"n": 1.0}, "echo": false})).unwrap();
        let questions: Vec<Value> = asked(&backend).into_iter().map(|(_, params)| params).collect();
        assert_eq!(questions[1], json!({"channel": "a", "event": "said", "data": "loud"}));
        assert_eq!(questions[2], json!({"channel": "a", "type": "image/png", "base64": "AAE="}));
        let (first, second) = (talk.notice("event"), talk.notice("event"));
        assert_eq!((&first["data"], &first["event"]), (&json!("LOUD"), &json!("said")), "{way:?}");
        assert_eq!((&second["base64"], &second["type"]), (&json!("AQ=="), &json!("image/png")));
        server.publish("a", "by HTTP, which is not asked about");
        assert_eq!(talk.event(), "by HTTP, which is not asked about");
        assert_eq!(backend.asked().len(), 4);
    }
}

#[test]
fn what_it_makes_of_it_has_to_be_something_to_publish() {
    let answers = [json!({"base64": "no base64"}), json!({"date": 1}), json!(true), json!({"data": "123456789"})];
    let backend = Backend::new(by(move |params| Ok(answers[params["data"].as_u64().unwrap() as usize].clone())));
    let server = serve(&backend, |config, settings| {
        let pattern = switchboard_testkit::Pattern::new("a").unwrap();
        config.auth.channel_limits = vec![ChannelLimit { pattern, publishes: None, message: Some(8) }];
        settings.asks = vec![Question::Publish];
    });
    let mut talk = Talk::open(&server, Way::WebSocket);
    let mut publish = |data: u64| code(talk.call("publish", &json!({"channel": "a", "data": data})));
    assert_eq!([0, 1, 2, 3].map(&mut publish), [50200, 50200, 50200, 41300]);
    assert!(published(&server, "a").is_empty());
}

#[test]
fn a_repetition_by_its_key_is_one_event_though_it_is_asked_about_again() {
    let backend = Backend::new(by(|_| Ok(json!({"data": "the same"}))));
    let server = asking(&backend, &[Question::Publish]);
    let mut talk = Talk::open(&server, Way::WebSocket);
    let mut publish = || talk.call("publish", &json!({"channel": "a", "data": 1, "key": "k"})).unwrap();
    assert_eq!(publish()["id"], publish()["id"]);
    assert_eq!(published(&server, "a"), ["the same"]);
}

#[test]
fn no_more_waits_in_line_than_may_and_what_was_given_up_is_not_done() {
    let backend = Backend::new(granting_later());
    let server = serve(&backend, |config, settings| {
        config.session.calls = 4;
        settings.asks = vec![Question::Publish];
    });
    let mut talk = Talk::open(&server, Way::WebSocket);
    for i in 0..50 {
        let params = json!({"channel": "quiet", "data": i});
        talk.send(&json!({"jsonrpc": "2.0", "method": "publish", "params": params}));
    }
    assert_eq!(code(talk.call("publish", &json!({"channel": "a", "data": 1}))), 50300);
    assert_eq!(figure(&server, "switchboard_session_calls_refused_total"), 47.0, "46 and the call");
    backend.release();
    backend.await_asked(4);
    talk.call("publish", &json!({"channel": "a", "data": 2})).unwrap();
    assert_eq!(published(&server, "quiet"), [0, 1, 2, 3]);

    let backend = Backend::new(granting_later());
    let server = serve(&backend, |config, settings| {
        // Long enough for the call that is answered in the end, also where the machine is busy.
        config.session.call_timeout = Duration::from_millis(1500);
        settings.asks = vec![Question::Publish];
    });
    let mut talk = Talk::open(&server, Way::WebSocket);
    let both = [1, 2].map(|data| talk.begin("publish", &json!({"channel": "a", "data": data})));
    assert_eq!(both.map(|id| code(talk.answer_to(id))), [50400, 50400]);
    backend.release();
    talk.call("publish", &json!({"channel": "a", "data": 3})).unwrap();
    assert_eq!(published(&server, "a"), [3], "who was told that it took too long is not surprised later");
}
