//! The ways in which a token may come.

use super::server;
use switchboard_testkit::identity::{API_KEY, bearer, token};

#[test]
fn a_token_comes_in_authorization_a_cookie_the_query_or_a_subprotocol_entry() {
    let server = server();
    let token = token("ann", &["a/**"]);
    let cookie = format!("theme=dark; session={token}");
    for (query, field) in [
        (String::new(), ("Authorization", bearer(&token))),
        (String::new(), ("Cookie", cookie.clone())),
        (format!("?token={token}"), ("X-Nothing", "x".into())),
    ] {
        let fields = [(field.0, field.1.as_str())];
        server.get_with(&format!("/channels/a/x{query}"), &fields).expect(200);
        server.post(&format!("/channels/a/x{query}"), &fields, "1").expect(201);
        let mut sse = server.connect().sse(&format!("/channels/a/x{query}"), &fields);
        sse.notice("$open");
    }
    let entry = format!("switchboard.token.{token}");
    for offered in [entry.clone(), format!("{entry}, switchboard.raw.v1"), format!("chat, switchboard.raw.v1, {entry}")]
    {
        let socket = server.connect().websocket("/channels/a/x", &[("Sec-WebSocket-Protocol", &offered)]);
        let selected = socket.head.field("sec-websocket-protocol");
        let expected = offered.contains("raw").then_some("switchboard.raw.v1");
        assert_eq!(selected, expected, "the token is never the subprotocol that is selected");
    }
    let offered = format!("switchboard.event.v1, {entry}");
    let mut socket = server.connect().websocket("/channels?channel=a/x", &[("Sec-WebSocket-Protocol", &offered)]);
    assert_eq!(socket.head.field("sec-websocket-protocol"), Some("switchboard.event.v1"));
    socket.notice("$open");
    let forged = format!("switchboard.token.{token}x");
    let refused = server.handshake("/channels/a/x", &[("Sec-WebSocket-Protocol", &forged)]).unwrap_err();
    refused.expect_problem(401, "unauthorized");
}

#[test]
fn a_bad_token_is_refused_even_where_anyone_may_and_where_another_way_has_a_good_one() {
    let mut settings = switchboard_testkit::identity::settings();
    settings.access.rules.push(switchboard_hub_rule("news/**"));
    let server = super::server_with(settings);
    server.get("/channels/news/today").expect(200);
    server.get("/channels/news/today?token=x.y.z").expect_problem(401, "unauthorized");
    let good = token("ann", &["**"]);
    let fields = [("Authorization", "Bearer x.y.z")];
    server.get_with(&format!("/channels/news/today?token={good}"), &fields).expect_problem(401, "unauthorized");
}

fn switchboard_hub_rule(pattern: &str) -> switchboard_hub::access::Rule {
    use switchboard_hub::access::{Rule, Whom};
    let pattern = switchboard_testkit::Pattern::new(pattern).unwrap();
    Rule { pattern, subscribe: Some(Whom::Anyone), publish: None, presence: None }
}

#[test]
fn an_api_key_comes_in_authorization_alone() {
    let server = server();
    server.get_with("/channels/a/x", &[("Authorization", &bearer(API_KEY))]).expect(200);
    server.get(&format!("/channels/a/x?token={API_KEY}")).expect_problem(401, "unauthorized");
    server.get_with("/channels/a/x", &[("Cookie", &format!("session={API_KEY}"))]).expect_problem(401, "unauthorized");
}

#[test]
fn what_is_read_with_credentials_is_kept_by_nobody_between() {
    let server = server();
    let token = token("ann", &["a/**"]);
    let id = server.post("/channels/a/x", &[("Authorization", &bearer(&token))], "1").expect(201).json()["id"].clone();
    for _ in 0..2 {
        server.post("/channels/a/x", &[("Authorization", &bearer(&token))], "2").expect(201);
    }
    let target = format!("/channels/a/x?since={}&limit=1&token={token}", id.as_str().unwrap());
    let page = server.get(&target).expect(200);
    assert!(page.head.lists("cache-control", "no-store"), "{page}");
}

#[test]
fn without_any_configuration_a_token_is_neither_asked_for_nor_looked_at() {
    let server = switchboard_testkit::Server::new();
    server.get_with("/channels/a?token=x.y.z", &[("Authorization", "Bearer nonsense")]).expect(200);
    let mut lines = server.lines("/channels/a");
    let open = lines.notice("$open");
    assert!(open.get("connection").is_none() && open.get("expires").is_none(), "{open}");
}
