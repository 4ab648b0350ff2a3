//! Everybody, and everything that can be done: each cell its documented answer.

use super::server;
use serde_json::json;
use switchboard::auth::apikey::{ApiKey, Hash};
use switchboard_hub::access::Grants;
use switchboard_testkit::identity::{
    API_KEY, MASTER_KEY, OTHER_SECRET, SECRET, bearer, claims, now, settings, sign, token,
};
use switchboard_testkit::{Pattern, Server, eventually};

/// An API key for channels that nothing is done to here.
const OUTSIDE: &str = "swk_an-api-key-of-tests-for-the-channels-below-c";

/// What is done, to the channel `a/x` unless it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Page,
    Poll,
    SseRaw,
    SseEvent,
    Lines,
    Body,
    SocketRaw,
    SocketEvent,
    /// A pattern that `a/**` covers, and one that it does not.
    PatternWithin,
    PatternBeyond,
    Publish,
    PublishLines,
    End,
    Delete,
    Batch,
    /// A batch with one channel that is out of scope.
    BatchBeyond,
    List,
    Revoke,
}

use Deed::*;

const READS: [Deed; 9] = [Page, Poll, SseRaw, SseEvent, Lines, Body, SocketRaw, SocketEvent, PatternWithin];
const WRITES: [Deed; 5] = [Publish, PublishLines, End, Delete, Batch];
const REST: [Deed; 4] = [PatternBeyond, BatchBeyond, List, Revoke];

/// The status that a deed is answered with.
fn status(server: &Server, deed: Deed, shown: Option<&str>) -> u16 {
    let shown = shown.map(bearer);
    let mut fields: Vec<(&str, &str)> = shown.iter().map(|shown| ("Authorization", shown.as_str())).collect();
    let mut head = |target: &str, accept: &'static str| {
        fields.push(("Accept", accept));
        let mut conn = server.connect();
        conn.ask("GET", target, &fields, None);
        conn.head().status
    };
    let lines = ("Content-Type", "application/x-ndjson");
    match deed {
        Page => head("/channels/a/x", "application/json"),
        Poll => head("/channels/a/x?since=earliest&wait=1", "application/json"),
        SseRaw => head("/channels/a/x", "text/event-stream"),
        SseEvent => head("/channels?channel=a/x", "text/event-stream"),
        Lines => head("/channels/a/x", "application/x-ndjson"),
        Body => head("/channels/a/x?form=raw", "application/x-ndjson"),
        PatternWithin => head("/channels?channel=a/x&channel=a/*/**", "text/event-stream"),
        PatternBeyond => head("/channels?channel=**", "application/x-ndjson"),
        SocketRaw => server.handshake("/channels/a/x", &fields).map_or_else(|refusal| refusal.status(), |_| 101),
        SocketEvent => {
            server.handshake("/channels?channel=a/x", &fields).map_or_else(|refusal| refusal.status(), |_| 101)
        }
        Publish => server.post("/channels/a/x", &fields, "hi").status(),
        PublishLines => server.post("/channels/a/x", &[&fields[..], &[lines]].concat(), "{\"data\":1}").status(),
        End => server.post("/channels/a/end?end=true", &fields, "bye").status(),
        Delete => server.request("DELETE", "/channels/a/end", &fields, None).status(),
        Batch => server.post("/api/publish", &fields, r#"[{"channels":["a/x","a/y"],"data":1}]"#).status(),
        BatchBeyond => server.post("/api/publish", &fields, r#"[{"channels":["a/x","b"],"data":1}]"#).status(),
        List => server.get_with("/api/channels", &fields).status(),
        Revoke => server.post("/api/revoke", &fields, r#"{"user":"nobody"}"#).status(),
    }
}

#[test]
fn each_cell_of_who_and_what_has_its_answer() {
    let mut settings = settings();
    let patterns = vec![Pattern::new("c/**").unwrap()];
    let scope =
        Grants { subscribe: patterns.clone(), publish: patterns.clone(), presence: patterns.clone(), manage: patterns };
    settings.api_keys.push(ApiKey { name: "c".into(), hash: Hash::of(OUTSIDE), scope });
    let server = super::server_with(settings);
    let with = |over: serde_json::Value| {
        let mut claims = claims("ann", &["a/**"]);
        over.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
        claims
    };
    let revoked = sign(&with(json!({"jti": "t-1"})), SECRET);
    let master = bearer(MASTER_KEY);
    server.post("/api/revoke", &[("Authorization", &master)], r#"{"token":"t-1"}"#).expect(200);
    // Not even the first of these is in the log if any of it may not be.
    server
        .post(
            "/api/publish",
            &[("Authorization", &bearer(API_KEY))],
            r#"[{"channels":["a/z"],"data":1},{"channels":["b"],"data":1}]"#,
        )
        .expect_problem(403, "forbidden");

    // Who, what reading answers if not as usual, what writing does, and what the rest does.
    let usual = |deed: Deed| match deed {
        SocketRaw | SocketEvent => 101,
        Publish | PublishLines | End | Batch | BatchBeyond => 201,
        Delete => 204,
        _ => 200,
    };
    type Row<'a> = (&'a str, Option<String>, Option<u16>, Option<u16>, Option<u16>);
    let rows: [Row<'_>; 13] = [
        ("anyone", None, Some(401), Some(401), Some(401)),
        ("expired", Some(sign(&with(json!({"exp": now() - 1.0})), SECRET)), Some(401), Some(401), Some(401)),
        (
            "not yet",
            Some(sign(&with(json!({"nbf": now() + 600.0, "exp": now() + 660.0})), SECRET)),
            Some(401),
            Some(401),
            Some(401),
        ),
        ("of another key", Some(sign(&with(json!({})), OTHER_SECRET)), Some(401), Some(401), Some(401)),
        ("for another audience", Some(sign(&with(json!({"aud": "x"})), SECRET)), Some(401), Some(401), Some(401)),
        ("no token at all", Some("a.b.c".into()), Some(401), Some(401), Some(401)),
        ("revoked", Some(revoked), Some(401), Some(401), Some(401)),
        ("an unknown API key", Some("swk_unknown".into()), Some(401), Some(401), Some(401)),
        ("a token with the pattern", Some(token("ann", &["a/**"])), None, None, Some(403)),
        ("a token without it", Some(token("ann", &["c/**"])), Some(403), Some(403), Some(403)),
        ("an API key in scope", Some(API_KEY.into()), None, None, Some(403)),
        ("an API key out of scope", Some(OUTSIDE.into()), Some(403), Some(403), Some(403)),
        ("an API key for everything", Some(MASTER_KEY.into()), None, None, None),
    ];
    let mut cells = 0;
    for (who, shown, reads, writes, rest) in &rows {
        for (deeds, expected) in [(&READS[..], reads), (&WRITES, writes), (&REST, rest)] {
            for deed in deeds {
                let answered = status(&server, *deed, shown.as_deref());
                assert_eq!(answered, expected.unwrap_or(usual(*deed)), "{who}: {deed:?}");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 13 * 18);
    assert_eq!(server.get_with("/channels/a/z", &[("Authorization", &bearer(MASTER_KEY))]).json()["events"], json!([]));
}

#[test]
fn a_raw_websocket_that_may_listen_and_not_publish_closes_with_4403() {
    let server = server();
    let mut claims = claims("ann", &["a/**"]);
    claims["channels"]["publish"] = json!([]);
    let mut socket = server.connect().websocket("/channels/a/x", &[("Authorization", &bearer(&sign(&claims, SECRET)))]);
    let mut other = server.connect().websocket("/channels/a/x", &[("Authorization", &bearer(API_KEY))]);
    other.send_text("heard");
    assert_eq!(socket.text(), "heard");
    socket.send_text("not heard");
    socket.expect_close(4403);
    other.send_text("heard too");
    assert_eq!((other.text(), other.text()), ("heard".into(), "heard too".into()));
}

#[test]
fn to_end_and_to_delete_takes_more_than_to_publish() {
    let server = server();
    let mut claims = claims("ann", &["a/**"]);
    claims["channels"]["manage"] = json!([]);
    let shown = bearer(&sign(&claims, SECRET));
    let fields = [("Authorization", shown.as_str())];
    server.post("/channels/a/x", &fields, "1").expect(201);
    server.post("/channels/a/x?end=true", &fields, "2").expect_problem(403, "forbidden");
    let lines = [fields[0], ("Content-Type", "application/x-ndjson")];
    server.post("/channels/a/x?end=true", &lines, "{\"data\":1}\n").expect_problem(403, "forbidden");
    server.request("DELETE", "/channels/a/x", &fields, None).expect_problem(403, "forbidden");
    assert_eq!(server.get_with("/channels/a/x", &fields).expect(200).json()["events"].as_array().unwrap().len(), 1);
}

#[test]
fn idempotency_keys_are_each_publishers_own() {
    let server = server();
    let publish = |shown: &str, data: &str| {
        let shown = bearer(shown);
        server.post("/channels/a/x", &[("Authorization", &shown), ("Idempotency-Key", "k")], data)
    };
    let (ann, bob) = (token("ann", &["a/**"]), token("bob", &["a/**"]));
    let first = publish(&ann, "1").expect(201).json();
    assert_eq!(
        publish(&token("ann", &["a/x"]), "1").expect(201).json(),
        first,
        "a renewed token is the same publisher"
    );
    publish(&bob, "2").expect(201);
    publish(API_KEY, "3").expect(201);
    publish(&ann, "2").expect_problem(422, "idempotency_key_reused");
    let page = server.get_with("/channels/a/x", &[("Authorization", &bearer(API_KEY))]).json();
    assert_eq!(page["events"].as_array().unwrap().len(), 3, "{page}");
}

#[test]
fn health_and_metrics_are_anyones_and_metrics_need_not_be() {
    let server = server();
    for target in ["/healthz", "/readyz", "/metrics", "/"] {
        server.get(target).expect(200);
    }
    let mut settings = switchboard_testkit::identity::settings();
    settings.metrics = true;
    let guarded = super::server_with(settings);
    guarded.get("/metrics").expect_problem(401, "unauthorized");
    guarded.get_with("/metrics", &[("Authorization", &bearer(API_KEY))]).expect_problem(403, "forbidden");
    guarded.get_with("/metrics", &[("Authorization", &bearer(MASTER_KEY))]).expect(200);
    guarded.get("/healthz").expect(200);
}

#[test]
fn a_refusal_says_how_to_authenticate_and_nothing_of_what_was_shown() {
    let server = server();
    let plain = server.get("/channels/a").expect_problem(401, "unauthorized");
    assert_eq!(plain.field("www-authenticate"), Some("Bearer"));
    let forged = sign(&claims("ann", &["a/**"]), OTHER_SECRET);
    let refused =
        server.get_with("/channels/a", &[("Authorization", &bearer(&forged))]).expect_problem(401, "unauthorized");
    assert_eq!(refused.field("www-authenticate"), Some("Bearer"));
    for part in forged.split('.') {
        assert!(!refused.to_string().contains(part), "{refused}");
    }
    eventually("the refusals are counted", || {
        switchboard_testkit::prometheus::parse(&server.get("/metrics").text())["switchboard_problems_total"] >= 2.0
    });
}
