//! Rules by pattern: what anyone may, what any token may, and what nobody may.

use serde_json::json;
use switchboard::auth::apikey::{ApiKey, Hash};
use switchboard::auth::settings::ChannelLimit;
use switchboard_hub::access::{Rule, Whom};
use switchboard_testkit::identity::{API_KEY, MASTER_KEY, SECRET, bearer, claims, settings, sign, token};
use switchboard_testkit::{Conn, Pattern, Server, config};

fn rule(pattern: &str, subscribe: Whom, publish: Whom) -> Rule {
    Rule { pattern: Pattern::new(pattern).unwrap(), subscribe: Some(subscribe), publish: Some(publish), presence: None }
}

fn server() -> Server {
    let mut settings = settings();
    settings.access.rules = vec![
        rule("news/secret", Whom::Nobody, Whom::Nobody),
        rule("news/**", Whom::Anyone, Whom::Claim),
        rule("lobby", Whom::Token, Whom::Token),
    ];
    super::server_with(settings)
}

fn status(server: &Server, method: &str, target: &str, shown: Option<&str>) -> u16 {
    let shown = shown.map(bearer);
    let fields: Vec<(&str, &str)> = shown.iter().map(|shown| ("Authorization", shown.as_str())).collect();
    let body = (method == "POST").then_some(&b"x"[..]);
    server.request(method, target, &fields, body).status()
}

#[test]
fn a_rule_opens_or_closes_the_channels_of_its_pattern() {
    let server = server();
    let (some, all) = (token("ann", &["x"]), token("ann", &["**"]));
    for (method, target, shown, expected) in [
        ("GET", "/channels/news/today", None, 200),
        ("POST", "/channels/news/today", None, 401),
        ("POST", "/channels/news/today", Some(&*some), 403),
        ("POST", "/channels/news/today", Some(&*all), 201),
        ("GET", "/channels/news/secret", None, 403),
        ("GET", "/channels/news/secret", Some(MASTER_KEY), 403),
        ("POST", "/channels/news/secret", Some(&*all), 403),
        ("GET", "/channels/lobby", None, 401),
        ("GET", "/channels/lobby", Some(&*some), 200),
        ("POST", "/channels/lobby", Some(&*some), 201),
        ("GET", "/channels/lobby", Some(API_KEY), 403),
        ("GET", "/channels?channel=news/*/**", None, 403),
        ("GET", "/channels?channel=news/today/**", None, 200),
        ("GET", "/channels?channel=news/today&channel=lobby", None, 401),
        ("GET", "/channels?channel=news/today&channel=lobby", Some(&*some), 200),
    ] {
        assert_eq!(status(&server, method, target, shown), expected, "{method} {target} {shown:?}");
    }
}

#[test]
fn with_authentication_any_address_may_be_listened_on_and_any_host_asked_for() {
    let mut config = config();
    config.listen = vec!["0.0.0.0:0".parse().unwrap()];
    config.auth = settings();
    let running = switchboard::start(config).unwrap();
    let port = running.addresses()[0].port();
    let mut conn = Conn::open(([127, 0, 0, 1], port).into());
    let fields = [("Host", "example.com"), ("Authorization", &*bearer(API_KEY))];
    conn.request("GET", "/channels/a/x", &fields, None).expect(200);
    running.drain();
    let mut open = switchboard_testkit::config();
    open.listen = vec!["0.0.0.0:0".parse().unwrap()];
    assert!(switchboard::start(open).is_err(), "open mode stays where it was");
}

#[test]
fn the_scope_of_an_api_key_is_what_a_reload_says_of_it() {
    let mut config = config();
    config.auth = settings();
    let running = switchboard::start(config).unwrap();
    let address = running.addresses()[0];
    let fields = [("Authorization", &*bearer(API_KEY))];
    let mut stream = Conn::open(address).sse("/channels/a/x", &fields);
    stream.notice("$open");
    let mut narrower = settings();
    narrower.api_keys[0].scope.subscribe = vec![Pattern::new("a/y").unwrap()];
    running.reload(narrower).unwrap();
    assert_eq!(stream.notice("$closing").json()["code"], "forbidden");
    Conn::open(address).request("GET", "/channels/a/x", &fields, None).expect_problem(403, "forbidden");
    Conn::open(address).request("GET", "/channels/a/y", &fields, None).expect(200);
    running.drain();
}

#[test]
fn tokens_that_name_nobody_share_no_idempotency_keys() {
    let server = super::server();
    let nameless = |life: f64| {
        let mut claims = claims("", &["a/**"]);
        claims.as_object_mut().unwrap().remove("sub");
        claims["exp"] = json!(switchboard_testkit::identity::now() + life);
        bearer(&sign(&claims, SECRET))
    };
    let (one, other) = (nameless(50.0), nameless(40.0));
    let publish = |shown: &str| {
        let fields = [("Authorization", shown), ("Idempotency-Key", "\"k\"")];
        server.post("/channels/a/x", &fields, "x").expect(201).json()["id"].clone()
    };
    let first = publish(&one);
    assert_eq!(publish(&one), first);
    assert_ne!(publish(&other), first);
}

#[test]
fn one_api_key_takes_over_from_another_of_its_name() {
    const NEXT: &str = "swk_an-api-key-of-tests-that-comes-after-the-first";
    let mut config = config();
    config.auth = settings();
    let old = config.auth.api_keys[0].clone();
    config.auth.api_keys.push(ApiKey { hash: Hash::of(NEXT), ..old });
    let mut without = config.auth.clone();
    without.api_keys.remove(0);
    let running = switchboard::start(config).unwrap();
    let address = running.addresses()[0];
    let publish = |key: &str| {
        let fields = [("Authorization", &*bearer(key)), ("Idempotency-Key", "k")];
        Conn::open(address).request("POST", "/channels/a/x", &fields, Some(b"x"))
    };
    let first = publish(API_KEY).expect(201).json();
    assert_eq!(publish(NEXT).expect(201).json(), first, "both are one publisher");
    let stream = |key: &str| {
        let mut stream = Conn::open(address).sse("/channels/a/x", &[("Authorization", &*bearer(key))]);
        stream.notice("$open");
        stream
    };
    let (mut earlier, mut later) = (stream(API_KEY), stream(NEXT));
    running.reload(without).unwrap();
    assert_eq!(earlier.notice("$closing").json()["code"], "token_revoked");
    publish(API_KEY).expect_problem(401, "unauthorized");
    let fields = [("Authorization", &*bearer(NEXT))];
    Conn::open(address).request("POST", "/channels/a/x", &fields, Some(b"on")).expect(201);
    assert_eq!(later.event().data, "on");
    running.drain();
}

#[test]
fn what_a_channel_takes_is_what_a_reload_says_of_it() {
    let mut config = config();
    config.auth = settings();
    let running = switchboard::start(config).unwrap();
    let address = running.addresses()[0];
    let publish = |data: &[u8]| {
        let fields = [("Authorization", &*bearer(API_KEY))];
        Conn::open(address).request("POST", "/channels/a/x", &fields, Some(data)).status()
    };
    let limited = |message: Option<usize>, publishes: Option<u32>| {
        let mut settings = settings();
        settings.channel_limits = vec![ChannelLimit { pattern: Pattern::new("a/*").unwrap(), publishes, message }];
        running.reload(settings).unwrap();
    };
    assert_eq!(publish(b"12345"), 201);
    limited(Some(4), None);
    assert_eq!((publish(b"12345"), publish(b"1234")), (413, 201));
    limited(None, Some(1));
    assert_eq!(publish(b"12345"), 201);
    assert!((0..20).any(|_| publish(b"x") == 429));
    running.reload(settings()).unwrap();
    assert!((0..20).all(|_| publish(b"12345") == 201));
    running.drain();
}

#[test]
fn who_may_publish_nothing_is_refused_before_a_batch_is_read() {
    let begin = |server: &Server, length: usize| {
        let mut conn = server.connect();
        conn.send(format!("POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"));
        conn
    };
    begin(&server(), 16_000_000).response_to("POST").expect_problem(401, "unauthorized");
    // Where some channels are anyone's, it depends on the items.
    let mut settings = settings();
    settings.access.rules = vec![rule("open", Whom::Anyone, Whom::Anyone)];
    let server = super::server_with(settings);
    for (channel, status) in [("open", 201), ("other", 401)] {
        let batch = json!([{"channels": [channel], "data": 1}]).to_string();
        let mut conn = begin(&server, batch.len());
        conn.send(batch);
        assert_eq!(conn.response_to("POST").status(), status, "{channel}");
    }
}
