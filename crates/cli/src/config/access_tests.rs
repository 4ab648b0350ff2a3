use super::*;
use crate::config::{file, meant};

const HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn of(text: &str) -> Result<meant::Meant, Vec<String>> {
    let (written, problems) = file::read("s.toml", text);
    assert_eq!(problems, [], "{text}");
    let meant = meant::resolve(&written.over(meant::defaults()));
    meant.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn keys_rules_and_names_are_taken_over() {
    let text = format!(
        "listen = \"0.0.0.0:80\"\n[auth]\nissuer = [\"i\"]\naudience = \"a, b\"\nskew = \"1s\"\ncookie = \"session\"\n\
         origins = [\"https://example.com\", \"http://localhost:3000\"]\nmetrics = true\n\
         [[auth.key]]\nid = \"k1\"\nalgorithm = \"HS256\"\nsecret = \"a secret of at least thirty-two bytes\"\n\
         [[auth.api_key]]\nname = \"shop\"\nhash = \"{HASH}\"\npublish = [\"orders/**\"]\nmanage = [\"**\"]\n\
         [[channel]]\npattern = \"news/**\"\nsubscribe = \"anyone\"\npublish = \"nobody\"\n\
         [[channel]]\npattern = \"price/*\"\nclass = \"state\"\nsubscribe = \"token\"\n"
    );
    let meant = of(&text).unwrap();
    assert_eq!(meant.warnings, []);
    let settings = meant.server.auth;
    assert!(!settings.is_open());
    assert_eq!((settings.keys.len(), settings.keys[0].id()), (1, Some("k1")));
    assert_eq!(
        (&settings.issuers[..], &settings.audiences[..]),
        (&["i".to_owned()][..], &["a".to_owned(), "b".into()][..])
    );
    assert_eq!(settings.cookie.as_deref(), Some("session"));
    assert_eq!(settings.api_keys[0].hash, auth::apikey::Hash::of("abc"));
    assert_eq!(settings.api_keys[0].scope.publish, [Pattern::new("orders/**").unwrap()]);
    let rules = &settings.access.rules;
    assert_eq!((rules.len(), rules[0].subscribe, rules[0].publish), (2, Some(Whom::Anyone), Some(Whom::Nobody)));
    assert_eq!((rules[1].subscribe, rules[1].publish), (Some(Whom::Token), None));
    // Who may do what does not change what a channel holds.
    assert_eq!(meant.server.policy.rules.len(), 1);
    assert!(!format!("{settings:?}").contains("thirty-two"));
}

#[test]
fn a_rule_limits_what_is_published_and_leaves_open_mode_and_the_class_as_they_are() {
    let text = "[limits]\nmessage = \"64KiB\"\n[[channel]]\npattern = \"chat/*\"\npublishes = 20\n\
                [[channel]]\npattern = \"**\"\nclass = \"history\"\nbytes = \"1MiB\"\nmessage = \"4KiB\"\n";
    let meant = of(text).unwrap();
    let settings = meant.server.auth;
    assert!(settings.is_open() && settings.access.rules.is_empty());
    assert_eq!(meant.server.policy.rules.len(), 1);
    let limit = |pattern: &str, publishes, message| ChannelLimit {
        pattern: Pattern::new(pattern).unwrap(),
        publishes,
        message,
    };
    assert_eq!(settings.channel_limits, [limit("chat/*", Some(20), None), limit("**", None, Some(4096))]);
    let held = |channel: &str| {
        let channel = switchboard_wire::ChannelName::new(channel).unwrap();
        let of = |what: fn(&ChannelLimit) -> Option<usize>| ChannelLimit::of(&settings.channel_limits, &channel, what);
        (of(|limit| limit.publishes.map(|most| most as usize)), of(|limit| limit.message))
    };
    assert_eq!((held("chat/a"), held("a")), ((Some(20), Some(4096)), (None, Some(4096))));
    assert_eq!(meant.warnings, [], "a message that is shorter than what the channel holds is fine");
    for (text, begins) in [
        ("[[channel]]\npattern = \"a\"\npublishes = 0", "s.toml:3: `publishes` is 0"),
        ("[[channel]]\npattern = \"a//b\"\npublishes = 1", "s.toml:2: pattern `a//b`"),
        ("[[channel]]\npattern = \"a//b\"\nclass = \"state\"\npublishes = 1", "s.toml:2: pattern `a//b`"),
        (
            "[[channel]]\npattern = \"a\"\nmessage = \"2MiB\"",
            "s.toml:3: `message` is 2MiB, more than `limits.message` with 1MiB",
        ),
    ] {
        let problems = of(text).unwrap_err();
        assert!(problems.len() == 1 && problems[0].starts_with(begins), "{text}: {problems:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    let key = |rest: &str| format!("[[auth.key]]\n{rest}\n");
    let cases = [
        (key("algorithm = \"none\"\nsecret = \"x\""), "s.toml:2: `algorithm`: `none` is none of HS256"),
        (key("algorithm = \"HS256\"\nsecret = \"short\""), "s.toml:3: a secret for HS256 has at least 32 bytes"),
        (key("algorithm = \"HS256\""), "s.toml:2: an [[auth.key]] has one of `secret`"),
        (key("algorithm = \"ES256\"\nsecret = \"x\""), "s.toml:3: ES256 is checked with a public key"),
        (key("algorithm = \"RS256\"\npublic_key = \"x\""), "s.toml:3: this is no public key in PEM for RS256"),
        (key("algorithm = \"RS256\"\npublic_key_file = \"/none/such\""), "s.toml:3: /none/such cannot be read"),
        ("[[auth.api_key]]\nname = \"a\"\nhash = \"x\"".into(), "s.toml:3: `hash` is `sha256:`"),
        (
            format!("[[auth.api_key]]\nname = \"a\"\nhash = \"{HASH}\"\npublish = [\"a//b\"]"),
            "s.toml:4: pattern `a//b`",
        ),
        (
            "[[channel]]\npattern = \"a\"\nsubscribe = \"anyon\"".into(),
            "s.toml:3: unknown word `anyon` in `subscribe`; did you mean `anyone`?",
        ),
        ("[[channel]]\npattern = \"a//b\"\nsubscribe = \"token\"".into(), "s.toml:2: pattern `a//b`"),
        (
            "[[channel]]\npattern = \"a\"\nsubscribe = \"token\"\nevents = 5".into(),
            "s.toml:4: `events` says how much history to hold, and goes with",
        ),
        ("[auth]\norigins = [\"example.com\"]".into(), "s.toml:2: `example.com` in `auth.origins` is no origin"),
        ("[auth]\njwks = \"keys\"".into(), "s.toml:2: `auth.jwks`: it begins with neither https:// nor http://"),
        ("[auth]\njwks = \"https://a..b/\"".into(), "s.toml:2: `auth.jwks`: `a..b` is no name of a host"),
        (
            "[auth]\njwks = \"https://a\"\njwks_ca = \"/nowhere/ca.pem\"".into(),
            "s.toml:3: `auth.jwks_ca`: /nowhere/ca.pem cannot be read",
        ),
        (
            "[auth]\njwks = \"http://a\"\njwks_ca = \"ca.pem\"".into(),
            "s.toml:3: `auth.jwks_ca`: it goes with an `auth.jwks` that begins with https://",
        ),
        ("[auth]\njwks_ca = \"ca.pem\"".into(), "s.toml:2: `auth.jwks_ca`: it goes with an `auth.jwks`"),
        ("[auth]\ncookie = \"a b\"".into(), "s.toml:2: `auth.cookie` is a name"),
        ("[auth]\nlifetime = \"0s\"".into(), "s.toml:2: `auth.lifetime` is 0"),
    ];
    for (text, expected) in cases {
        let problems = of(&text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(expected), "{expected}\n{}", problems[0]);
        assert!(!problems[0].contains("short"), "{}", problems[0]);
    }
}

#[test]
fn lists_are_read_with_a_suggestion_for_a_slip() {
    let problems = |text: &str| file::read("s.toml", text).1.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (text, expected) in [
        (
            "[[auth.key]]\nalgoritm = \"HS256\"\nalgorithm = \"HS256\"",
            "s.toml:2: unknown key `algoritm` in [[auth.key]]; did you mean `algorithm`?",
        ),
        ("[[auth.api_key]]\nname = \"a\"", "s.toml:1: this [[auth.api_key]] lacks `hash`"),
        ("[auth]\nkey = 5", "s.toml:2: `auth.key` is a number: it is written [[auth.key]]"),
        ("[auth]\nisuer = \"x\"", "s.toml:2: unknown key `auth.isuer`; did you mean `issuer` in [auth]?"),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn rules_that_nobody_can_satisfy_are_warned_of() {
    let meant = of("[[channel]]\npattern = \"a\"\nsubscribe = \"anyone\"").unwrap();
    assert_eq!(meant.warnings.len(), 1);
    assert!(meant.warnings[0].to_string().contains("nobody can show who they are"));
    assert!(!meant.server.auth.is_open());
}
