//! A stream that lasts longer than its token, without a reconnect.

use super::server;
use serde_json::json;
use std::time::Duration;
use switchboard_testkit::identity::{API_KEY, bearer, token, token_for};

const LIFE: Duration = Duration::from_secs(3);

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
