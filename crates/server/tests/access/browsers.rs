//! What web pages may: those of the server's own origin, and those that are listed.

use switchboard_testkit::identity::{bearer, settings, token};
use switchboard_testkit::{Server, json};

const SHOP: &str = "https://shop.example";

fn server(origins: &[&str]) -> Server {
    let mut settings = settings();
    settings.origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    super::server_with(settings)
}

#[test]
fn a_strange_page_does_not_ride_on_a_cookie() {
    let server = server(&[SHOP]);
    let cookie = format!("session={}", token("ann", &["a/**"]));
    let own = format!("http://{}", server.address());
    for (origin, fine) in [
        (SHOP, true),
        (&*own, true),
        ("https://evil.example", false),
        ("https://shop.example.evil.example", false),
        ("http://shop.example", false),
        ("https://shop.example:8443", false),
        ("null", false),
    ] {
        // Cross-site WebSocket hijacking: a handshake carries cookies whatever page makes it.
        let fields = [("Origin", origin), ("Cookie", cookie.as_str())];
        match server.handshake("/channels/a/x", &fields) {
            Ok(_) => assert!(fine, "{origin}"),
            Err(refused) => {
                assert!(!fine, "{origin}: {refused}");
                refused.expect_problem(403, "forbidden_origin");
            }
        }
        for (method, target) in [("GET", "/channels/a/x"), ("POST", "/channels/a/x"), ("DELETE", "/channels/a/x")] {
            let body = (method == "POST").then_some(&b"x"[..]);
            let answer = server.request(method, target, &fields, body);
            let allowed = answer.field("access-control-allow-origin");
            if fine {
                assert!(answer.status() < 300, "{origin}: {answer}");
                assert_eq!((allowed, answer.field("access-control-allow-credentials")), (Some(origin), Some("true")));
            } else {
                assert_eq!(allowed, None, "{origin}: {answer}");
                answer.expect_problem(403, "forbidden_origin");
            }
        }
    }
}

#[test]
fn a_star_lists_every_page_but_for_cookies() {
    let server = server(&["*", SHOP]);
    let token = token("ann", &["a/**"]);
    let (shown, cookie) = (bearer(&token), format!("session={token}"));
    let answer =
        server.get_with("/channels/a/x", &[("Origin", "https://any.example"), ("Authorization", &shown)]).expect(200);
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://any.example"));
    assert_eq!(answer.field("access-control-allow-credentials"), None);
    let fields = [("Origin", "https://any.example"), ("Cookie", cookie.as_str())];
    server.get_with("/channels/a/x", &fields).expect_problem(403, "forbidden_origin");
    server.handshake("/channels/a/x", &fields).unwrap_err().expect_problem(403, "forbidden_origin");
    server.get_with("/channels/a/x", &[("Origin", SHOP), ("Cookie", &cookie)]).expect(200);
}

#[test]
fn a_preflight_is_answered_for_all_methods_and_fields_of_ours_without_a_token() {
    let server = server(&[SHOP]);
    for method in ["GET", "POST", "DELETE"] {
        let fields = [("Origin", SHOP), ("Access-Control-Request-Method", method)];
        let answer = server.request("OPTIONS", "/channels/a/x", &fields, None).expect(204);
        assert!(answer.head.lists("access-control-allow-methods", method), "{answer}");
        for field in ["Authorization", "Idempotency-Key", "Last-Event-ID", "Content-Type"] {
            assert!(answer.head.lists("access-control-allow-headers", field), "{field}: {answer}");
        }
        assert_eq!(answer.field("access-control-allow-credentials"), Some("true"));
        assert!(answer.head.lists("vary", "Origin"), "{answer}");
    }
    let fields = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")];
    let refused = server.request("OPTIONS", "/channels/a/x", &fields, None).expect_problem(403, "forbidden_origin");
    assert_eq!(refused.field("access-control-allow-origin"), None);
}

#[test]
fn an_answer_is_no_part_of_a_strange_page() {
    let server = server(&[SHOP]);
    let shown = bearer(&token("ann", &["a/**"]));
    for (target, origin, policy) in [
        ("/channels/a/x", None, "same-origin"),
        ("/channels/b", None, "same-origin"),
        ("/api/channels", Some("https://evil.example"), "same-origin"),
        ("/channels/a/x", Some(SHOP), "cross-origin"),
    ] {
        let mut fields = vec![("Authorization", shown.as_str())];
        fields.extend(origin.map(|origin| ("Origin", origin)));
        let answer = server.get_with(target, &fields);
        assert_eq!(answer.field("cross-origin-resource-policy"), Some(policy), "{answer}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{answer}");
    }
}

#[test]
fn a_stream_says_to_a_listed_page_that_it_may_be_read() {
    let server = server(&[SHOP]);
    let cookie = format!("session={}", token("ann", &["a/**"]));
    let mut sse = server.connect().sse("/channels/a/x", &[("Origin", SHOP), ("Cookie", &cookie)]);
    assert_eq!(sse.stream.head.field("access-control-allow-origin"), Some(SHOP));
    assert_eq!(sse.stream.head.field("access-control-allow-credentials"), Some("true"));
    let open = sse.notice("$open").json();
    let body = json!({"connection": open["connection"]}).to_string();
    // A page whose token is in a cookie renews by asking, from a listed origin alone.
    server.post("/api/token", &[("Origin", SHOP), ("Cookie", &cookie)], &body).expect(200);
    let foreign = [("Origin", "https://evil.example"), ("Cookie", cookie.as_str())];
    server.post("/api/token", &foreign, &body).expect_problem(403, "forbidden_origin");
}
