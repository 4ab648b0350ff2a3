//! A stream that lasts longer than its token, without a reconnect.

use super::server;
use serde_json::json;
use std::time::Duration;
use switchboard_testkit::identity::{API_KEY, MASTER_KEY, SECRET, bearer, claims, sign, token, token_for};
use switchboard_testkit::{Message, Server, WebSocket};

/// Long enough for two renewals, also where the machine is busy.
const LIFE: Duration = Duration::from_secs(4);

#[test]
fn a_renewed_stream_goes_on_past_the_end_of_its_first_token() {
    let server = server();
    let short = || token_for(LIFE, "ann", &["a/**"]);
    let fields = |shown: &str| vec![("Authorization".to_owned(), bearer(shown))];
    let first = fields(&short());
    let first: Vec<(&str, &str)> = first.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut sse = server.connect().sse("/channels/a/x", &first);
    let mut socket = server.connect().websocket("/channels?channel=a/x", &first);
    let mut witness = server.connect().sse("/channels/a/x", &first);
    let opened = [sse.notice("$open").json(), socket.notice("$open")];
    witness.notice("$open");
    for round in 0..3 {
        // Each token is there to take over from the one before it; the last lasts.
        let next = if round < 2 { short() } else { token("ann", &["a/**"]) };
        for open in &opened {
            let body = json!({"connection": open["connection"]}).to_string();
            let told = server.post("/api/token", &[("Authorization", &bearer(&next))], body).expect(200).json();
            assert!(told["expires"].as_u64() > open["expires"].as_u64(), "{told} {open}");
        }
    }
    assert_eq!(witness.notice("$closing").json()["code"], "token_expired");
    server.post("/channels/a/x", &[("Authorization", &bearer(API_KEY))], "still here").expect(201);
    assert_eq!(sse.event().data, "still here");
    assert_eq!(socket.event()["data"], "still here");
}

#[test]
fn a_stream_is_renewed_by_its_own_user_for_what_it_reads_and_by_nobody_else() {
    let server = server();
    let mut sse = server.connect().sse("/channels/a/x", &[("Authorization", &bearer(&token("ann", &["a/**"])))]);
    let open = sse.notice("$open").json();
    let renew = |shown: Option<&str>, connection: &serde_json::Value| {
        let shown = shown.map(bearer);
        let fields: Vec<(&str, &str)> = shown.iter().map(|shown| ("Authorization", shown.as_str())).collect();
        server.post("/api/token", &fields, json!({"connection": connection}).to_string())
    };
    let name = &open["connection"];
    renew(Some(&token("bob", &["a/**"])), name).expect_problem(403, "forbidden");
    renew(Some(&token("ann", &["b"])), name).expect_problem(403, "forbidden");
    renew(Some(API_KEY), name).expect_problem(403, "forbidden");
    renew(None, name).expect_problem(401, "unauthorized");
    renew(Some("x.y.z"), name).expect_problem(401, "unauthorized");
    renew(Some(&token("ann", &["a/**"])), &json!("0000000000000000")).expect_problem(404, "not_found");
    renew(Some(&token("ann", &["a/**"])), &json!("none")).expect_problem(400, "invalid_parameter");
    renew(Some(&token("ann", &["a/x"])), name).expect(200);
    // The narrower token counts from now on.
    server.post("/channels/a/x", &[("Authorization", &bearer(API_KEY))], "1").expect(201);
    assert_eq!(sse.event().data, "1");
}

#[test]
fn a_renewed_token_brings_its_own_rate_along_and_what_is_owed_stays_owed() {
    let server = super::limits::server(|config| config.limits.publishes = Some(1));
    let with = |publishes: u32| {
        let mut claims = claims("ann", &["a/**"]);
        claims["limits"] = json!({"publishes": publishes});
        bearer(&sign(&claims, SECRET))
    };
    let (slow, fast) = (with(1), with(1000));
    let open = |shown: &str| server.connect().websocket("/channels/a/x", &[("Authorization", shown)]);
    let renew = |socket: &WebSocket, shown: &str| {
        // Raw form has no `$open`: the connection is named in the head.
        let name = socket.head.field("switchboard-connection").expect("a name");
        let body = json!({"connection": name}).to_string();
        server.post("/api/token", &[("Authorization", shown)], body).expect(200);
    };
    let say = |socket: &mut WebSocket, count: usize| (0..count).for_each(|n| socket.send_text(&n.to_string()));
    let mut socket = open(&slow);
    renew(&socket, &fast);
    say(&mut socket, 500);
    (0..500).for_each(|n| assert_eq!(socket.text(), n.to_string()));
    renew(&socket, &slow);
    say(&mut socket, 10);
    let mut heard = 0;
    while let Message::Text(_) = socket.next() {
        heard += 1;
    }
    assert!(heard < 10, "{heard}");
    // How many streams a user may have is asked when one opens: a renewal opens none.
    let mut crowd = claims("ann", &["a/**"]);
    crowd["limits"] = json!({"streams": 1});
    let alone = bearer(&sign(&crowd, SECRET));
    let (one, mut two) = (open(&slow), open(&fast));
    renew(&one, &alone);
    renew(&two, &alone);
    server.handshake("/channels/a/x", &[("Authorization", &alone)]).unwrap_err().expect_problem(429, "too_many");
    two.ping();
}

#[test]
fn a_stream_of_bare_data_is_named_in_its_head_and_only_where_it_is_somebodys() {
    let server = server();
    let shown = bearer(&token("ann", &["a/**"]));
    let fields = [("Authorization", shown.as_str()), ("Accept", "application/x-ndjson")];
    let mut body = server.connect().stream("/channels/a/x?form=raw", &fields);
    let name = body.head.field("switchboard-connection").expect("a name").to_owned();
    let renewal = json!({"connection": name}).to_string();
    server.post("/api/token", &fields[..1], renewal.clone()).expect(200);
    server.post("/api/revoke", &[("Authorization", &bearer(MASTER_KEY))], renewal).expect(200);
    assert_eq!(body.rest(), (vec![], false));
    let lines = server.connect().stream("/channels/a/x", &fields);
    assert_eq!(lines.head.field("switchboard-connection"), None, "`$open` says it");
    let open = Server::new();
    let anyones = open.connect().websocket("/channels/a", &[]);
    assert_eq!(anyones.head.field("switchboard-connection"), None);
}
