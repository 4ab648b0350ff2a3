//! Taking tokens back before they expire.

use super::limits::metric;
use super::server;
use serde_json::{Value, json};
use std::time::Instant;
use switchboard_testkit::identity::{API_KEY, MASTER_KEY, SECRET, bearer, claims, sign, token};
use switchboard_testkit::{PATIENCE, Server, Sse, WebSocket, eventually};

fn revoke(server: &Server, what: &Value) -> Value {
    server.post("/api/revoke", &[("Authorization", &bearer(MASTER_KEY))], what.to_string()).expect(200).json()
}

fn sse(server: &Server, token: &str) -> (Sse, String) {
    let mut sse = server.connect().sse("/channels/a/x", &[("Authorization", &bearer(token))]);
    let open = sse.notice("$open").json();
    (sse, open["connection"].as_str().unwrap().to_owned())
}

fn socket(server: &Server, token: &str) -> WebSocket {
    let mut socket = server.connect().websocket("/channels?channel=a/**", &[("Authorization", &bearer(token))]);
    socket.notice("$open");
    socket
}

fn ends(sse: &mut Sse) {
    assert_eq!(sse.notice("$closing").json()["code"], "token_revoked");
    assert_eq!(sse.rest(), (vec![], true));
}

#[test]
fn a_revoked_user_is_out_at_once_on_every_connection() {
    let server = server();
    let ann: Vec<String> = ["a/**", "a/x"].map(|pattern| token("ann", &["a/**", pattern])).into();
    let bob = token("bob", &["a/**"]);
    let mut streams: Vec<Sse> = (0..8).map(|i| sse(&server, &ann[i % 2]).0).collect();
    let mut sockets: Vec<WebSocket> = (0..8).map(|i| socket(&server, &ann[i % 2])).collect();
    let (mut other, _) = sse(&server, &bob);
    let at = server.post("/channels/a/x", &[("Authorization", &bearer(API_KEY))], "1").expect(201).json();
    let mut poll = server.connect();
    poll.ask(
        "GET",
        &format!("/channels/a/x?since={}&wait=30", at["id"].as_str().unwrap()),
        &[("Authorization", &bearer(&ann[0]))],
        None,
    );
    eventually("the poll waits", || metric(&server, "switchboard_readers_poll") == 1.0);

    let began = Instant::now();
    let told = revoke(&server, &json!({"user": "ann"}));
    for stream in &mut streams {
        assert_eq!(stream.event().data, "1");
        ends(stream);
    }
    for socket in &mut sockets {
        socket.event();
        assert_eq!(socket.notice("$closing")["code"], "token_revoked");
        socket.expect_close(4401);
    }
    poll.response_to("GET").expect_problem(401, "token_revoked");
    // Before anything else would have ended them: the poll's wait, or a heartbeat.
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(told["ended"], 17, "{told}");
    for token in &ann {
        server.get_with("/channels/a/x", &[("Authorization", &bearer(token))]).expect_problem(401, "token_revoked");
    }
    server.post("/channels/a/x", &[("Authorization", &bearer(API_KEY))], "2").expect(201);
    assert_eq!((other.event().data, other.event().data), ("1".into(), "2".into()), "nobody else is concerned");
    // A token of a later second is another matter: she has shown again who she is.
    let mut later = claims("ann", &["a/**"]);
    later["iat"] = json!(switchboard_testkit::identity::now() + 0.001);
    eventually("a token that was issued later", || {
        later["iat"] = json!(switchboard_testkit::identity::now());
        server.get_with("/channels/a/x", &[("Authorization", &bearer(&sign(&later, SECRET)))]).status() == 200
    });
}

#[test]
fn a_token_is_revoked_by_its_id_and_by_the_connection_it_opened() {
    let server = server();
    let with_id = |id: &str| {
        let mut claims = claims("ann", &["a/**"]);
        claims["jti"] = json!(id);
        sign(&claims, SECRET)
    };
    let (first, second) = (with_id("t-1"), with_id("t-2"));
    let nameless =
        sign(&json!({"exp": claims("", &[])["exp"], "aud": "tests", "channels": {"subscribe": ["a/**"]}}), SECRET);
    let (mut one, _) = sse(&server, &first);
    let (mut two, _) = sse(&server, &second);
    let (mut three, name) = sse(&server, &nameless);
    let (mut four, _) = sse(&server, &nameless);
    assert_eq!(revoke(&server, &json!({"token": "t-1"}))["ended"], 1);
    ends(&mut one);
    assert_eq!(revoke(&server, &json!({"connection": name}))["ended"], 2, "all that the token has opened");
    ends(&mut three);
    ends(&mut four);
    for token in [&first, &nameless] {
        server.get_with("/channels/a/x", &[("Authorization", &bearer(token))]).expect_problem(401, "token_revoked");
    }
    server.post("/channels/a/x", &[("Authorization", &bearer(API_KEY))], "still there").expect(201);
    assert_eq!(two.event().data, "still there");
    let gone = json!({"connection": name}).to_string();
    server.post("/api/revoke", &[("Authorization", &bearer(MASTER_KEY))], gone).expect_problem(404, "not_found");
}

#[test]
fn to_revoke_is_for_those_who_manage_and_names_one_thing() {
    let server = server();
    let post = |shown: &str, body: &str| server.post("/api/revoke", &[("Authorization", &bearer(shown))], body);
    post(API_KEY, "{\"user\":\"ann\"}").expect_problem(403, "forbidden");
    server.post("/api/revoke", &[], "{\"user\":\"ann\"}").expect_problem(401, "unauthorized");
    for body in ["{}", r#"{"user":"a","token":"b"}"#, r#"{"connection":"x"}"#] {
        post(MASTER_KEY, body).expect_problem(400, "invalid_parameter");
    }
    for body in ["", "[]", r#"{"usr":"a"}"#, r#"{"user":1}"#] {
        post(MASTER_KEY, body).expect_problem(400, "invalid_json");
    }
    server.get_with("/api/revoke", &[("Authorization", &bearer(MASTER_KEY))]).expect_problem(405, "method_not_allowed");
}

#[test]
fn revocations_are_bounded_and_what_is_beyond_is_said() {
    let mut settings = switchboard_testkit::identity::settings();
    settings.revocations = 2;
    let server = super::server_with(settings);
    let before = bearer(&token("a", &["a/**"]));
    revoke(&server, &json!({"user": "a"}));
    revoke(&server, &json!({"token": "b"}));
    revoke(&server, &json!({"token": "b"}));
    let body = json!({"user": "c"}).to_string();
    let full =
        server.post("/api/revoke", &[("Authorization", &bearer(MASTER_KEY))], body).expect_problem(503, "overloaded");
    assert!(full.field("retry-after").is_some());
    server.get_with("/channels/a/x", &[("Authorization", &before)]).expect_problem(401, "token_revoked");
}
