use super::*;
use http::header::ALLOW;
use serde_json::json;
use std::sync::Arc;
use switchboard_hub::presence::{Profile, Track, Tracking};
use switchboard_wire::Pattern;
use switchboard_wire::jsonrpc::Json;

#[test]
fn every_address_says_what_it_answers() {
    let node = node();
    let cases = [
        ("/channels/a", "GET, HEAD, POST, DELETE, OPTIONS", &["PUT", "PATCH", "TRACE", "X"][..]),
        ("/channels", "GET, HEAD, OPTIONS", &["POST", "DELETE"]),
        ("/api/publish", "POST, OPTIONS", &["GET", "HEAD", "PUT"]),
        ("/api/channels", "GET, HEAD, OPTIONS", &["POST", "DELETE"]),
        ("/api/presence/a", "GET, HEAD, OPTIONS", &["POST", "DELETE"]),
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
    for path in ["/", "/api", "/api/channels/", "/api/presence", "/channelsx", "/nowhere"] {
        let answer = ask(&node, &format!("POST {path}"), &[], &mut Body::default());
        assert_eq!(answer.code(), (404, "not_found"));
        assert!(answer.text("detail").contains("`GET /api`"), "{}", answer.json);
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

#[test]
fn who_is_on_a_channel_is_told_where_that_is_kept_track_of() {
    let rule = |pattern, track| (Pattern::new(pattern).unwrap(), Some(track));
    let tracking = Tracking { rules: vec![rule("room/*", Track::Members), rule("crowd", Track::Count)] };
    let node = node_with(|config| config.presence.tracking = tracking);
    let channel = |name| ChannelName::new(name).unwrap();
    for (id, user) in [(1, Some("ben")), (2, None), (3, Some("ann")), (4, Some("ann"))] {
        let mut profile = Profile::new(0, id, &format!("s{id}"), user);
        if id == 3 {
            profile = profile.with_info(Json::parse("{\"n\":\n 1.50}").unwrap()).unwrap();
        }
        let profile = Arc::new(profile);
        node.presence.join(&channel("room/\"1\""), &profile);
        node.presence.join(&channel("crowd"), &profile);
    }
    let see = |target: &str| ask(&node, &format!("GET /api/presence/{target}"), &[], &mut Body::default());
    let (ann, ben) =
        (json!({"session": "s3", "user": "ann", "info": {"n": 1.5}}), json!({"session": "s1", "user": "ben"}));
    let all = json!({"channel": "room/\"1\"", "count": 3, "members": [ann, ben, {"session": "s2"}]});
    assert_eq!(see("room/%221%22").json, all);
    assert_eq!(see("room/%221%22?limit=1").json, json!({"channel": "room/\"1\"", "count": 3, "members": [ann]}));
    assert_eq!(see("room/2").json, json!({"channel": "room/2", "count": 0, "members": []}));
    assert_eq!(see("crowd").json, json!({"channel": "crowd", "count": 3}));
    for (target, expected) in [
        ("other", (404, "not_found")),
        ("room/1?limit=0", (400, "invalid_parameter")),
        ("room/*", (400, "channel_name")),
        ("$presence/room/1", (400, "channel_name")),
    ] {
        assert_eq!(see(target).code(), expected, "{target}");
    }
}
