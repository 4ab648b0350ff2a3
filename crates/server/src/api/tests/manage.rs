use super::*;
use http::header::ALLOW;
use serde_json::json;

#[test]
fn every_address_says_what_it_answers() {
    let node = node();
    let cases = [
        ("/channels/a", "GET, HEAD, POST, DELETE, OPTIONS", &["PUT", "PATCH", "TRACE", "X"][..]),
        ("/channels", "GET, HEAD, OPTIONS", &["POST", "DELETE"]),
        ("/api/publish", "POST, OPTIONS", &["GET", "HEAD", "PUT"]),
        ("/api/channels", "GET, HEAD, OPTIONS", &["POST", "DELETE"]),
        ("*", "GET, HEAD, POST, DELETE, OPTIONS", &[]),
    ];
    for (path, allow, refused) in cases {
        let options = ask(&node, &format!("OPTIONS {path}"), &[], &mut Body::default());
        assert_eq!((options.status, options.headers[ALLOW].to_str().unwrap()), (204, allow));
        for method in refused {
            let answer = ask(&node, &format!("{method} {path}"), &[], &mut Body::default());
            assert_eq!(answer.code(), (405, "method_not_allowed"), "{method} {path}");
            assert_eq!(answer.headers[ALLOW], allow);
        }
    }
    for path in ["/", "/api", "/api/channels/", "/channelsx", "/nowhere"] {
        assert_eq!(ask(&node, &format!("POST {path}"), &[], &mut Body::default()).code(), (404, "not_found"));
    }
}

#[test]
fn a_deleted_channel_is_free_again() {
    let node = node();
    ask(&node, "POST /channels/a?end=true", &[], &mut Body::of("x"));
    for _ in 0..2 {
        assert_eq!(ask(&node, "DELETE /channels/a", &[], &mut Body::default()).status, 204);
    }
    assert!(held(&node, "a").is_empty() && !has_ended(&node, "a"));
    assert_eq!(ask(&node, "POST /channels/a", &[], &mut Body::of("x")).status, 201);
    assert_eq!(ask(&node, "DELETE /channels/$a", &[], &mut Body::default()).code(), (400, "channel_name"));
}

#[test]
fn channels_are_listed_in_pages() {
    let node = node();
    for channel in ["b", "a/c", "d"] {
        ask(&node, &format!("POST /channels/{channel}"), &[], &mut Body::of("four"));
    }
    ask(&node, "POST /channels/d?end=true", &[], &mut Body::of("12"));
    let list = |query: &str| ask(&node, &format!("GET /api/channels{query}"), &[], &mut Body::default());
    let line = |channel: &str, events: u32, bytes: u32| json!({"channel": channel, "readers": 0, "events": events, "bytes": bytes, "class": "history"});
    let mut d = line("d", 2, 6);
    d["ended"] = json!(true);
    assert_eq!(list("").json, json!({"channels": [line("a/c", 1, 4), line("b", 1, 4), d]}));
    assert_eq!(list("?limit=1").json, json!({"channels": [line("a/c", 1, 4)], "next": "a/c"}));
    assert_eq!(list("?after=a%2Fc&limit=1").json, json!({"channels": [line("b", 1, 4)], "next": "b"}));
    assert_eq!(list("?after=b&limit=99999999").json, json!({"channels": [d]}));
    assert_eq!(list("?after=zzz").json, json!({"channels": []}));
    for bad in ["?limit=0", "?limit=x", "?limit=1&limit=2"] {
        assert_eq!(list(bad).code(), (400, "invalid_parameter"), "{bad}");
    }
}
