//! Backends call clients, and manage their sessions.

use crate::talk::{Talk, Way};
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;
use switchboard_testkit::identity::{MASTER_KEY, bearer, settings, token_for};
use switchboard_testkit::{Server, config, eventually};

fn call(server: &Server, id: &str, body: &Value) -> switchboard_testkit::Response {
    server.post(&format!("/api/sessions/{id}/call"), &[], body.to_string())
}

#[test]
fn a_client_is_called_on_each_transport_and_its_answer_given_back() {
    for way in Way::ALL {
        let server = Server::new();
        let mut talk = Talk::open(&server, way);
        let id = talk.id();
        thread::scope(|scope| {
            let calling = scope.spawn(|| call(&server, &id, &json!({ "method": "add", "params": [1, 2] })));
            let called = talk.next();
            assert_eq!((&called["method"], &called["params"]), (&json!("add"), &json!([1, 2])), "{way:?}");
            talk.reply(&called, &json!({ "sum": 3 }));
            talk.reply(&called, &json!("a second answer"));
            let answer = calling.join().unwrap().expect(200).json();
            assert_eq!(answer, json!({ "result": { "sum": 3 } }), "{way:?}");
            let calling = scope.spawn(|| call(&server, &id, &json!({ "method": "fail" })));
            let called = talk.next();
            let error = json!({ "code": 7, "message": "no", "data": [1] });
            talk.send(&json!({ "jsonrpc": "2.0", "id": called["id"], "error": error }));
            assert_eq!(calling.join().unwrap().expect(200).json(), json!({ "error": error }));
        });
        // The second answer did no harm.
        talk.call("ping", &json!({})).unwrap();
    }
}

#[test]
fn a_client_that_never_answers_times_out() {
    let server = Server::new();
    let mut talk = Talk::open(&server, Way::WebSocket);
    let body = json!({ "method": "slow", "timeout": 50 });
    call(&server, &talk.id(), &body).expect_problem(504, "call_timeout");
    let called = talk.next();
    talk.reply(&called, &json!("late"));
    talk.call("ping", &json!({})).unwrap();
    call(&server, "0000000000000000abcd", &body).expect_problem(404, "not_found");
    call(&server, "no-id", &body).expect_problem(404, "not_found");
    call(&server, &talk.id(), &json!({ "method": "x", "params": 7 })).expect_problem(400, "invalid_parameter");
    call(&server, &talk.id(), &json!({ "what": 1 })).expect_problem(400, "invalid_json");
}

#[test]
fn a_timeout_is_a_whole_number_however_it_is_written() {
    let server = Server::new();
    let mut talk = Talk::open(&server, Way::WebSocket);
    let id = talk.id();
    for timeout in ["-1", "1.5"] {
        let body = format!(r#"{{"method":"x","timeout":{timeout}}}"#);
        server.post(&format!("/api/sessions/{id}/call"), &[], &body).expect_problem(400, "invalid_parameter");
        server.post("/api/users/ann/call", &[], &body).expect_problem(400, "invalid_parameter");
    }
    server.post(&format!("/api/sessions/{id}/call"), &[], r#"{"method":"x","timeout":5e1}"#).expect(504);
    talk.next();
    thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let body = r#"{"method":"x","timeout":99999999999999999999999}"#;
            server.post(&format!("/api/sessions/{id}/call"), &[], body).expect(200).json()
        });
        let called = talk.next();
        talk.reply(&called, &json!("here"));
        assert_eq!(calling.join().unwrap(), json!({ "result": "here" }));
    });
}

#[test]
fn a_call_reaches_a_client_that_is_away_when_it_comes_back() {
    let server = Server::new();
    let talk = Talk::open(&server, Way::WebSocket);
    let id = talk.id();
    let kept = talk.cut();
    eventually("the session is known to be without a connection", || {
        server.get(&format!("/api/sessions/{id}")).json()["connected"] == false
    });
    thread::scope(|scope| {
        let calling = scope.spawn(|| call(&server, &id, &json!({ "method": "where" })));
        let mut talk = Talk::resume(&server, Way::Sse, kept);
        let called = talk.next();
        talk.reply(&called, &json!("here"));
        assert_eq!(calling.join().unwrap().expect(200).json(), json!({ "result": "here" }));
    });
}

#[test]
fn backends_say_subscribe_list_and_end() {
    let server = Server::new();
    let mut talk = Talk::open(&server, Way::Stream);
    let at = format!("/api/sessions/{}", talk.id());
    server.post(&format!("{at}/notify"), &[], r#"{"method":"news","params":{"n":1}}"#).expect(202);
    assert_eq!(talk.notice("news"), json!({ "n": 1 }));
    server.post(&format!("{at}/subscribe"), &[], r#"{"channel":"a"}"#).expect(200);
    assert_eq!(talk.notice("subscribed")["channel"], "a");
    server.publish("a", "heard");
    assert_eq!(talk.event(), "heard");
    let listed = server.get(&at).expect(200).json();
    assert_eq!((&listed["connected"], &listed["transport"]), (&json!(true), &json!("stream")));
    assert_eq!(listed["channels"], json!(["a"]));
    let all = server.get("/api/sessions").expect(200).json();
    assert_eq!(all["sessions"], json!([listed]));
    server.post(&format!("{at}/unsubscribe"), &[], r#"{"channel":"a"}"#).expect(200);
    assert_eq!(talk.notice("unsubscribed")["channel"], "a");
    server.request("PUT", &at, &[], None).expect(405);
    server.request("DELETE", &at, &[], None).expect(204);
    let rest = talk.rest();
    let closing = rest.last().unwrap();
    assert_eq!((&closing["method"], &closing["params"]["code"]), (&json!("closing"), &json!("session_ended")));
    server.get(&at).expect_problem(404, "not_found");
}

#[test]
fn every_session_of_a_user_is_called_and_told() {
    let mut config = config();
    config.auth = settings();
    let server = Server::start(config);
    let of = |sub: &str| bearer(&token_for(Duration::from_secs(3600), sub, &["**"]));
    let (ann, bob, master) = (of("ann"), of("bob"), bearer(MASTER_KEY));
    let fields = [("Authorization", &*ann)];
    let mut talks = [Way::WebSocket, Way::Sse, Way::Poll].map(|way| Talk::open_with(&server, way, &fields));
    let mut other = Talk::open_with(&server, Way::WebSocket, &[("Authorization", &*bob)]);
    let ask = |deed: &str, body: &Value| {
        let body = body.to_string();
        let path = format!("/api/users/ann/{deed}");
        server.request("POST", &path, &[("Authorization", &master)], Some(body.as_bytes()))
    };
    let told = ask("notify", &json!({"method": "news", "params": [1]})).expect(202).json();
    assert_eq!(told, json!({"sessions": 3}));
    talks.iter_mut().for_each(|talk| assert_eq!(talk.notice("news"), json!([1])));
    thread::scope(|scope| {
        let calling = scope.spawn(|| ask("call", &json!({"method": "where"})).expect(200).json());
        for talk in &mut talks {
            let called = talk.next();
            let id = talk.id();
            talk.reply(&called, &json!(id));
        }
        let answers = calling.join().unwrap();
        let answers = answers["answers"].as_array().unwrap();
        assert_eq!(answers.len(), 3);
        assert!(answers.iter().all(|answer| answer["result"] == answer["session"]), "{answers:?}");
    });
    let nobody =
        server.request("POST", "/api/users/eve/call", &[("Authorization", &master)], Some(br#"{"method":"x"}"#));
    assert_eq!(nobody.expect(200).json(), json!({"answers": []}));
    other.call("ping", &json!({})).unwrap();
}
