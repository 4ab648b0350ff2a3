//! Methods that the server has none of.

use super::{asked, code, figure, request, serve, told};
use crate::talk::{Talk, Way};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use switchboard_testkit::backend::{Backend, Reply};
use switchboard_testkit::{Server, eventually, free_port};

#[test]
fn what_a_client_calls_is_answered_by_the_application_on_each_transport() {
    let backend = Backend::new(Reply::echo());
    let server = serve(&backend, |_, _| ());
    for way in Way::ALL {
        let mut talk = Talk::open(&server, way);
        assert_eq!(talk.call("move", &json!({"to": "e4"})), Ok(json!({"to": "e4"})), "{way:?}");
        let last = backend.asked().pop().unwrap();
        assert_eq!(last.field("switchboard-session"), talk.id());
        let before = backend.asked().len();
        talk.send(&json!({"jsonrpc": "2.0", "method": "typing", "params": [way as u8]}));
        let all = backend.await_asked(before + 1);
        assert_eq!(told(&all).pop().unwrap(), json!({"jsonrpc": "2.0", "method": "typing", "params": [way as u8]}));
        backend.next(Reply::refuse(7, "not your turn"));
        assert_eq!(talk.call("move", &json!([])), Err(json!({"code": 7, "message": "not your turn"})));
    }
}

#[test]
fn a_batch_is_answered_once_the_application_has_answered_all_of_it() {
    let backend = Backend::new(Reply::echo());
    let server = serve(&backend, |_, _| ());
    let mut talk = Talk::open(&server, Way::WebSocket);
    talk.send(&json!([request(1, "a", &json!([1])), request(2, "ping", &json!({})), request(3, "b", &json!([3]))]));
    let answers = talk.next();
    let mut ids: Vec<_> = answers.as_array().unwrap().iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn words_of_the_servers_own_never_go_there_from_a_client() {
    let backend = Backend::new(Reply::echo());
    let server = serve(&backend, |_, _| ());
    let mut talk = Talk::open(&server, Way::WebSocket);
    for method in ["connect", "disconnected", "channel.occupied", "channel.x", "session", "event", "closing", "rpc.x"] {
        talk.send(&json!({"jsonrpc": "2.0", "method": method, "params": {}}));
        assert_eq!(code(talk.call(method, &json!({}))), -32601, "{method}");
    }
    talk.call("move", &json!([])).unwrap();
    assert_eq!(backend.asked().len(), 1, "{:?}", backend.asked());
    let server = Server::new();
    let mut alone = Talk::open(&server, Way::WebSocket);
    assert_eq!(code(alone.call("move", &json!([]))), -32601, "there is no application");
}

#[test]
fn whatever_goes_wrong_there_is_said_and_harms_no_session() {
    let backend = Backend::new(Reply::echo());
    // Soon given up is only what is not answered, so that a machine that is busy is not taken for that.
    let (patient, hasty) = (
        serve(&backend, |_, _| ()),
        serve(&backend, |_, settings| settings.limits.timeout = Duration::from_millis(500)),
    );
    for (server, way) in Way::ALL.into_iter().flat_map(|way| [(&patient, way), (&hasty, way)]) {
        let mut talk = Talk::open(server, way);
        talk.call("subscribe", &json!({"channel": "a"})).unwrap();
        let answered = vec![
            (Reply::status(500, "oh"), 50200),
            (Reply::status(503, ""), 50300),
            (Reply::status(200, "no JSON"), 50200),
            (Reply::status(200, "{}"), 50200),
            (Reply::status(200, r#"{"jsonrpc":"2.0","id":"another","result":1}"#), 50200),
            (Reply::Raw("no HTTP\r\n\r\n".into()), 50200),
            (Reply::Ends(String::new()), 50200),
            (Reply::refuse(-32001, "no"), -32001),
        ];
        let is_hasty = std::ptr::eq(server, &hasty);
        for (reply, expected) in if is_hasty { vec![(Reply::Hangs, 50400)] } else { answered } {
            let story = format!("{way:?} {reply:?} {expected}");
            backend.next(reply);
            assert_eq!(code(talk.call("move", &json!([]))), expected, "{story}");
            talk.call("ping", &json!({})).unwrap();
            server.publish("a", &*story);
            assert_eq!(talk.event(), story);
        }
    }
}

#[test]
fn an_application_that_is_down_is_given_a_rest_and_found_again() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut settings = super::settings(&format!("http://{address}/"));
    (settings.limits.failures, settings.limits.pause) = (2, Duration::from_millis(50));
    let mut config = switchboard_testkit::config();
    config.application = super::Behind::Webhook(Box::new(settings));
    let server = Server::start(config);
    let mut talk = Talk::open(&server, Way::WebSocket);
    for _ in 0..5 {
        assert_eq!(code(talk.call("move", &json!([]))), 50300);
    }
    let _up = Backend::on(TcpListener::bind(address).unwrap(), Reply::echo());
    eventually("it is found again", || talk.call("move", &json!([1])) == Ok(json!([1])));
}

#[test]
fn a_slow_application_holds_up_nothing_else_and_no_more_waits_than_may() {
    let backend = Backend::new(Reply::Waits);
    let server = serve(&backend, |_, settings| {
        (settings.limits.concurrency, settings.limits.queue) = (1, 1);
    });
    let mut talk = Talk::open(&server, Way::WebSocket);
    let (first, second) = (talk.begin("slow", &json!([1])), talk.begin("slow", &json!([2])));
    backend.await_asked(1);
    assert_eq!(code(talk.call("slow", &json!([3]))), 50300, "one is asked, and one waits");
    talk.call("ping", &json!({})).unwrap();
    let mut other = Talk::open(&server, Way::Poll);
    other.call("subscribe", &json!({"channel": "a"})).unwrap();
    server.publish("a", "heard");
    assert_eq!(other.event(), "heard");
    assert_eq!(figure(&server, "switchboard_application_calls"), 2.0);
    backend.release();
    assert_eq!((talk.answer_to(first), talk.answer_to(second)), (Ok(json!([1])), Ok(json!([2]))));
    assert_eq!(asked(&backend).len(), 2, "what was refused was never sent");
}

#[test]
fn a_session_has_no_more_calls_open_than_it_may_and_outlives_a_cut_meanwhile() {
    let backend = Backend::new(Reply::Waits);
    let server = serve(&backend, |config, _| config.session.calls = 2);
    let mut talk = Talk::open(&server, Way::WebSocket);
    let first = talk.begin("slow", &json!([1]));
    talk.begin("slow", &json!([2]));
    assert_eq!(code(talk.call("slow", &json!([3]))), 50300);
    backend.await_asked(2);
    let kept = talk.cut();
    backend.release();
    let mut talk = Talk::resume(&server, Way::Sse, kept);
    assert_eq!(talk.answer_to(first), Ok(json!([1])), "it was answered while the client was away");
}
