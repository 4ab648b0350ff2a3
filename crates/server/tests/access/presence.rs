//! Who may see who is there.

use serde_json::json;
use switchboard_hub::access::{Rule, Whom};
use switchboard_hub::presence::{Track, Tracking};
use switchboard_testkit::identity::{API_KEY, MASTER_KEY, SECRET, bearer, claims, settings, sign};
use switchboard_testkit::{Pattern, Server, config};

fn server() -> Server {
    let rule = |pattern, presence| Rule {
        pattern: Pattern::new(pattern).unwrap(),
        subscribe: None,
        publish: None,
        presence: Some(presence),
    };
    let mut config = config();
    config.auth = settings();
    config.auth.access.rules =
        vec![rule("a/open", Whom::Anyone), rule("a/token", Whom::Token), rule("a/nobody", Whom::Nobody)];
    config.presence.tracking = Tracking { rules: vec![(Pattern::new("a/**").unwrap(), Some(Track::Members))] };
    Server::start(config)
}

#[test]
fn whoever_may_see_who_is_there_is_told_and_nobody_else() {
    let server = server();
    let with = |action: &str| {
        let mut claims = claims("ann", &[]);
        claims["channels"] = json!({action: ["a/**"]});
        Some(sign(&claims, SECRET))
    };
    for (channel, shown, expected) in [
        ("a/x", None, 401),
        ("a/x", with("presence"), 200),
        ("a/x", with("manage"), 200),
        ("a/x", with("subscribe"), 403),
        ("a/x", with("publish"), 403),
        ("a/x", Some(API_KEY.to_owned()), 200),
        ("a/x", Some(MASTER_KEY.to_owned()), 200),
        ("a/open", None, 200),
        ("a/token", None, 401),
        ("a/token", with("publish"), 200),
        ("a/nobody", None, 403),
        ("a/nobody", with("presence"), 403),
        ("a/nobody", with("manage"), 200),
        // Whether somebody keeps track of it is for those to know who may see it.
        ("b", None, 401),
        ("b", with("presence"), 403),
        ("b", Some(API_KEY.to_owned()), 403),
        ("b", Some(MASTER_KEY.to_owned()), 404),
    ] {
        let fields = shown.as_ref().map(|shown| bearer(shown));
        let fields: Vec<(&str, &str)> = fields.iter().map(|shown| ("Authorization", shown.as_str())).collect();
        let answer = server.get_with(&format!("/api/presence/{channel}"), &fields);
        assert_eq!(answer.status(), expected, "{channel} {shown:?}: {answer}");
        if expected == 200 {
            assert_eq!(answer.json(), json!({"channel": channel, "count": 0, "members": []}));
            assert!(answer.head.lists("cache-control", "no-store"), "{answer}");
        }
    }
}
