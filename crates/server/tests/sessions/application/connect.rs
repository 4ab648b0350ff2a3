//! Sessions that open.

use super::{asked, asking, code, serve, told};
use crate::talk::{PROTOCOL, Talk, Way};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchboard::application::{Kind, Question};
use switchboard_testkit::backend::{Backend, Reply};
use switchboard_testkit::identity::{bearer, settings as access, token};
use switchboard_testkit::{Server, eventually, history, is_not_held_up};

fn grants(granted: Value) -> Reply {
    Reply::Calls(Arc::new(move |method, params| match method {
        "connect" => Ok(granted.clone()),
        _ => Ok(params.clone()),
    }))
}

#[test]
fn it_says_who_it_is_what_it_may_and_what_it_is_subscribed_to() {
    let granted = json!({
        "user": "ann",
        "info": {"name": "Ann"},
        "channels": {"subscribe": ["room/**"], "publish": ["room/1"]},
        "subscriptions": ["own/ann", {"channel": "old/*", "since": "earliest"}, "own/all"],
    });
    for way in Way::ALL {
        let backend = Backend::new(grants(granted.clone()));
        let server = serve(&backend, |config, settings| {
            config.auth = access();
            (settings.asks, settings.fields) = (vec![Question::Connect], vec!["cookie".into()]);
        });
        let owner = bearer(&token("backend", &["**"]));
        let publish = |channel: &str, data: &str| {
            server.post(&format!("/channels/{channel}"), &[("Authorization", &*owner)], data).expect(201);
        };
        publish("old/1", "before");
        let mut talk = Talk::open_with(&server, way, &[("Cookie", "a=b")]);
        let session = talk.id();
        let question = json!({"session": session, "address": "127.0.0.1", "fields": {"cookie": "a=b"}});
        assert_eq!(asked(&backend), [("connect".to_owned(), question)], "{way:?}");
        assert_eq!(talk.notice("subscribed")["channel"], json!(["own/ann", "own/all"]));
        assert_eq!(talk.notice("subscribed")["channel"], "old/*");
        assert_eq!(talk.event(), "before", "{way:?}");
        publish("own/ann", "now");
        assert_eq!(talk.event(), "now");
        talk.call("subscribe", &json!({"channel": "room/1"})).unwrap();
        assert_eq!(code(talk.call("subscribe", &json!({"channel": "other"}))), 40300);
        talk.call("publish", &json!({"channel": "room/1", "data": "said"})).unwrap();
        assert_eq!(talk.event(), "said");
        assert_eq!(code(talk.call("publish", &json!({"channel": "room/2", "data": 1}))), 40300);
        talk.call("move", &json!([])).unwrap();
        assert_eq!(backend.asked().pop().unwrap().field("switchboard-user"), "ann");
        let master = bearer(switchboard_testkit::identity::MASTER_KEY);
        let listed = server.get_with("/api/sessions?user=ann", &[("Authorization", &*master)]).expect(200).json();
        assert_eq!(listed["sessions"][0]["id"], session);
        // What the rules say may be looked at again, and takes away nothing that the application gave.
        let gone = json!({"user": "somebody"}).to_string();
        server.post("/api/revoke", &[("Authorization", &*master)], gone).expect(200);
        publish("own/ann", "still");
        assert_eq!(talk.event(), "still");
    }
}

#[test]
fn a_token_is_told_and_stays_what_it_is_where_nothing_is_said() {
    let backend = Backend::new(grants(json!({})));
    let server = serve(&backend, |config, settings| {
        config.auth = access();
        settings.asks = vec![Question::Connect];
    });
    let shown = bearer(&token("ben", &["a/**"]));
    let mut talk = Talk::open_with(&server, Way::WebSocket, &[("Authorization", &*shown)]);
    assert_eq!(asked(&backend)[0].1["user"], "ben");
    talk.call("subscribe", &json!({"channel": "a/1"})).unwrap();
    assert_eq!(code(talk.call("subscribe", &json!({"channel": "b"}))), 40300);
    talk.call("refresh", &json!({"token": token("ben", &["a/**", "b"])})).unwrap();
    talk.call("subscribe", &json!({"channel": "b"})).unwrap();
    assert_eq!(code(talk.call("refresh", &json!({"token": token("ann", &["**"])}))), 40300);
}

#[test]
fn what_it_said_holds_after_a_renewal() {
    let backend = Backend::new(grants(json!({"user": "captain", "channels": {"subscribe": ["bridge"]}})));
    let server = serve(&backend, |config, settings| {
        config.auth = access();
        settings.asks = vec![Question::Connect];
    });
    let shown = bearer(&token("ben", &["a"]));
    let mut talk = Talk::open_with(&server, Way::Sse, &[("Authorization", &*shown)]);
    talk.call("refresh", &json!({"token": token("ben", &["a"])})).unwrap();
    talk.call("subscribe", &json!({"channel": "bridge"})).unwrap();
    assert_eq!(code(talk.call("subscribe", &json!({"channel": "a"}))), 40300);
    talk.call("move", &json!([])).unwrap();
    assert_eq!(backend.asked().pop().unwrap().field("switchboard-user"), "captain");
}

/// What it has a session begin with may be far back, and much of it: others are answered meanwhile.
#[test]
fn a_session_that_begins_by_pattern_long_ago_holds_up_nobody() {
    const EVENTS: usize = 20_000;
    let backend = Backend::new(grants(json!({})));
    let server = serve(&backend, |config, settings| {
        config.shards = Some(1);
        config.policy.default = history(EVENTS, 64 << 20);
        settings.asks = vec![Question::Connect];
    });
    // Each from another place that is none, so that all that is held is looked at for each.
    let begin = |i: usize| json!({"channel": format!("nothing/{i}/*"), "since": format!("nowhere{i}")});
    let subscriptions: Vec<Value> = (0..40).map(begin).collect();
    backend.reply(grants(json!({"subscriptions": subscriptions})));
    let lines = "{\"data\":1}\n".repeat(1000);
    for _ in 0..EVENTS / 1000 {
        server.post("/channels/x/1", &[("Content-Type", "application/x-ndjson")], &lines).expect(201);
    }
    let mut bystander = server.connect();
    bystander.get("/healthz").expect(200);
    let begun = Instant::now();
    let mut opening = server.connect();
    opening.ask("POST", "/session", &[], None);
    let mut waits = Vec::new();
    while !opening.is_readable() {
        let asked = Instant::now();
        bystander.publish("live", "now");
        waits.push(asked.elapsed());
    }
    let took = begun.elapsed();
    let opened = opening.response_to("POST").expect(201).json();
    is_not_held_up(waits, took);
    let listed = server.page("/api/sessions");
    assert_eq!(listed["sessions"][0]["id"], opened["id"]);
    assert_eq!(listed["sessions"][0]["channels"].as_array().map(Vec::len), Some(40));
}

fn refused(server: &Server, status: u16, name: &str) {
    server.handshake("/session", &[PROTOCOL]).unwrap_err().expect_problem(status, name);
    server.post("/session", &[], "").expect_problem(status, name);
}

#[test]
fn it_refuses_with_a_status_before_anything_opens() {
    let backend = Backend::new(Reply::refuse(40100, "who are you?"));
    let server = asking(&backend, &[Question::Connect]);
    refused(&server, 401, "unauthorized");
    backend.reply(Reply::refuse(7, "not today"));
    refused(&server, 403, "forbidden");
    let problem = server.post("/session", &[], "").expect(403).json();
    assert_eq!(problem["detail"], "not today");
    backend.reply(grants(json!({})));
    for foul in [
        Reply::status(500, ""),
        Reply::status(200, "no JSON"),
        grants(json!({"usr": "ann"})),
        grants(json!({"info": "x".repeat(2000)})),
        grants(json!({"subscriptions": ["$presence/a"]})),
        grants(json!(7)),
    ] {
        (0..2).for_each(|_| backend.next(foul.clone()));
        refused(&server, 502, "application_failed");
    }
    (0..2).for_each(|_| backend.next(Reply::status(503, "")));
    refused(&server, 503, "overloaded");
    assert_eq!(figure_of_sessions(&server), 0.0);
    drop(Talk::open(&server, Way::Stream));
}

fn figure_of_sessions(server: &Server) -> f64 {
    super::figure(server, "switchboard_sessions")
}

#[test]
fn a_slow_one_is_not_waited_for_beyond_its_time() {
    let backend = Backend::new(Reply::Hangs);
    let server = serve(&backend, |_, settings| {
        (settings.asks, settings.limits.timeout) = (vec![Question::Connect], Duration::from_millis(200));
    });
    refused(&server, 504, "call_timeout");
    server.publish("a", "others are served meanwhile");
}

#[test]
fn a_yes_that_comes_to_nothing_is_taken_back() {
    let backend = Backend::new(grants(json!({"user": "ann"})));
    let server = serve(&backend, |config, settings| {
        config.limits.user = Some(1);
        (settings.asks, settings.tells) = (vec![Question::Connect], vec![Kind::Disconnected]);
    });
    let _first = Talk::open(&server, Way::WebSocket);
    server.post("/session", &[], "").expect_problem(429, "too_many");
    eventually("it is told that there is no session", || !told(&backend.asked()).is_empty());
    let notice = &told(&backend.asked())[0];
    assert_eq!((&notice["method"], &notice["params"]["reason"]), (&json!("disconnected"), &json!("too_many")));
    assert_eq!(notice["params"]["session"], asked(&backend)[1].1["session"]);
}
