//! What one address and one user may take up, and how fast: each refusal, and that others are not touched by it.

use serde_json::json;
use std::time::{Duration, Instant};
use switchboard::Config;
use switchboard_hub::access::{Rule, Whom};
use switchboard_testkit::identity::{MASTER_KEY, SECRET, bearer, claims, settings, sign, token};
use switchboard_testkit::websocket::{CLOSE, TEXT, frame};
use switchboard_testkit::{Item, Pattern, Server, WebSocket, config, eventually};

pub(crate) fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = config();
    config.auth = settings();
    change(&mut config);
    Server::start(config)
}

pub(crate) fn metric(server: &Server, name: &str) -> f64 {
    let told = server.get("/metrics").expect(200).text();
    *switchboard_testkit::prometheus::parse(&told).get(name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn an_address_has_so_many_connections_and_one_that_goes_makes_room() {
    let mut config = config();
    config.limits.address = Some(3);
    let server = Server::start(config);
    let mut readers: Vec<_> = (0..3)
        .map(|_| {
            let mut sse = server.sse("/channels/a");
            sse.notice("$open");
            sse
        })
        .collect();
    let answer = server.get("/channels/a").expect_problem(429, "too_many");
    assert!(answer.field("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{answer}");
    // An EventSource that is refused for now comes back: any status but 200 would stop it for good.
    let mut refused = server.sse("/channels/a");
    assert!(matches!(refused.next(), Item::Retry(_)));
    let closing = refused.block();
    assert_eq!((closing.event.as_str(), &closing.json()["code"]), ("$closing", &json!("too_many")));
    assert!(server.handshake("/channels/a", &[]).unwrap_err().field("retry-after").is_some());
    readers.pop();
    eventually("there is room again", || server.get("/channels/a").status() == 200);
    drop(readers);
    eventually("those who left are not counted", || metric(&server, "switchboard_limited_addresses") <= 1.0);
    assert!(metric(&server, "switchboard_refused_address_total") >= 3.0);
}

#[test]
fn a_user_has_so_many_streams_and_waiting_polls_on_all_transports_together() {
    let server = server(|config| config.limits.user = Some(4));
    let ann = bearer(&token("ann", &["**"]));
    let fields = [("Authorization", &*ann)];
    let mut sse = server.connect().sse("/channels/a", &fields);
    sse.notice("$open");
    let mut lines = server.connect().lines("/channels/a", &fields);
    lines.notice("$open");
    let websocket = server.handshake("/channels/a", &fields).unwrap();
    let mut poll = server.connect();
    poll.ask("GET", "/channels/a?since=latest&wait=30", &fields, None);
    let master = bearer(MASTER_KEY);
    let readers = || {
        let all = server.get_with("/api/channels", &[("Authorization", &*master)]).expect(200).json();
        all["channels"].as_array().and_then(|all| all.first()).map_or(0, |one| one["readers"].as_u64().unwrap())
    };
    eventually("all four are there", || readers() == 4);
    let wait = server.get_with("/channels/a?since=latest&wait=1", &fields).expect_problem(429, "too_many");
    assert!(wait.field("retry-after").is_some());
    let mut refused = server.connect().sse("/channels/a", &fields);
    assert!(matches!(refused.next(), Item::Retry(_)));
    assert_eq!(refused.block().json()["code"], "too_many");
    server.handshake("/channels/a", &fields).unwrap_err().expect_problem(429, "too_many");
    // What does not stay takes up nothing, and others have places of their own.
    server.get_with("/channels/a", &fields).expect(200);
    let bob = bearer(&token("bob", &["**"]));
    server.connect().sse("/channels/a", &[("Authorization", &*bob)]).notice("$open");
    let many: Vec<_> = (0..10)
        .map(|_| {
            let mut sse = server.connect().sse("/channels/a", &[("Authorization", &*master)]);
            sse.notice("$open");
            sse
        })
        .collect();
    drop(many);
    assert_eq!(metric(&server, "switchboard_refused_user_total"), 3.0);
    drop(websocket);
    eventually("there is room again", || server.handshake("/channels/a", &fields).is_ok());
}

#[test]
fn a_token_may_say_how_many_streams_its_user_has() {
    let server = server(|config| config.limits.user = Some(1));
    let mut more = claims("ann", &["**"]);
    more["limits"] = json!({"streams": 3});
    let shown = bearer(&sign(&more, SECRET));
    let open = || {
        let mut sse = server.connect().sse("/channels/a", &[("Authorization", &*shown)]);
        sse.notice("$open");
        sse
    };
    let _three = [open(), open(), open()];
    let answer = server.handshake("/channels/a", &[("Authorization", &*shown)]).unwrap_err();
    answer.expect_problem(429, "too_many");
}

#[test]
fn who_publishes_too_fast_is_told_when_to_go_on() {
    let server = server(|config| config.limits.publishes = Some(2));
    let shown = |token: &str| bearer(token);
    let (ann, bob) = (shown(&token("ann", &["**"])), shown(&token("bob", &["**"])));
    let publish = |who: &str| server.post("/channels/a", &[("Authorization", who)], "x");
    let statuses: Vec<u16> = (0..40).map(|_| publish(&ann).status()).collect();
    assert!(statuses[..4].iter().all(|status| *status == 201), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let refused = (0..40).map(|_| publish(&ann)).find(|answer| answer.status() == 429).unwrap();
    assert_eq!(refused.expect_problem(429, "rate_limited").field("retry-after"), Some("1"));
    publish(&bob).expect(201);
    // A batch counts each event for each channel, and is let in whole or not at all.
    let batch = br#"[{"channels":["a","b"],"data":1},{"channels":["a"],"data":2}]"#;
    let fields = |who| [("Authorization", who), ("Content-Type", "application/json")];
    server.post("/api/publish", &fields(&bob), batch).expect(201);
    let refused =
        (0..40).map(|_| server.post("/api/publish", &fields(&bob), batch)).find(|answer| answer.status() == 429);
    refused.expect("one that is too fast").expect_problem(429, "rate_limited");
    // Backends that show an API key are as fast as they like.
    let master = bearer(MASTER_KEY);
    assert!((0..40).all(|_| publish(&master).status() == 201));
    assert!(metric(&server, "switchboard_refused_publishes_total") >= 2.0);
}

#[test]
fn a_stream_of_events_that_comes_too_fast_is_slowed_and_not_refused() {
    let server = server(|config| config.limits.publishes = Some(50));
    let mut more = claims("ann", &["**"]);
    more["limits"] = json!({"publishes": 100});
    let ann = bearer(&sign(&more, SECRET));
    let fields = [("Authorization", &*ann), ("Content-Type", "application/x-ndjson")];
    let body = "{\"data\":1}\n".repeat(100);
    // 200 at once, and the rest at 100 a second.
    let started = Instant::now();
    let counts =
        (0..3).map(|_| server.post("/channels/a", &fields, &body).expect(201).json()["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 300);
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
}

#[test]
fn a_websocket_that_publishes_too_fast_closes_and_says_why() {
    let server = server(|config| config.limits.publishes = Some(1));
    let ann = bearer(&token("ann", &["**"]));
    let mut websocket = server.handshake("/channels/a", &[("Authorization", &*ann)]).unwrap();
    say_at_once(&mut websocket, 5);
    assert_eq!([websocket.text(), websocket.text()], ["0", "1"]);
    websocket.expect_close(4429);
}

/// Says so many messages in one go, so that the server hears them as fast as it can.
fn say_at_once(websocket: &mut WebSocket, count: usize) {
    let frames: Vec<u8> = (0..count).flat_map(|n| frame(true, TEXT, n.to_string().as_bytes())).collect();
    websocket.conn.send(frames);
}

#[test]
fn anyone_who_publishes_is_counted_by_address() {
    let server = server(|config| {
        config.limits.publishes = Some(1);
        config.auth.access.rules = vec![Rule {
            pattern: Pattern::new("open").unwrap(),
            subscribe: Some(Whom::Anyone),
            publish: Some(Whom::Anyone),
            presence: None,
        }];
    });
    assert!((0..10).any(|_| server.post("/channels/open", &[], "x").status() == 429));
    let mut websocket = server.websocket("/channels/open");
    say_at_once(&mut websocket, 5);
    // Since the last that was refused there may have been time for some of them, and not for all.
    let heard = std::iter::from_fn(|| websocket.next_frame()).take_while(|frame| frame.opcode != CLOSE).count();
    assert!(heard < 5, "{heard}");
}

#[test]
fn newcomers_come_in_at_their_rate_and_nobody_is_refused() {
    let mut config = config();
    config.limits.accepts = Some(40);
    let server = Server::start(config);
    let started = Instant::now();
    let mut all: Vec<_> = (0..50).map(|_| server.connect()).collect();
    all.iter_mut().for_each(|conn| conn.ask("GET", "/channels/a", &[], None));
    for conn in &mut all {
        conn.response_to("GET").expect(200);
    }
    // Ten at once, and 40 a second.
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    assert!(metric(&server, "switchboard_accepts_paced_total") > 0.0);
    assert_eq!(metric(&server, "switchboard_refused_total"), 0.0);
}

#[test]
fn a_reader_names_as_many_channels_as_it_may() {
    let mut config = config();
    config.limits.channels = 2;
    let server = Server::start(config);
    server.get("/channels?channel=a&channel=b/**").expect(200);
    server.get("/channels?channel=a&channel=b&channel=c").expect_problem(400, "invalid_parameter");
}

#[test]
fn streams_of_events_do_not_get_past_the_rate_one_by_one() {
    let server = server(|config| config.limits.publishes = Some(10));
    let ann = bearer(&token("ann", &["**"]));
    let fields = [("Authorization", &*ann), ("Content-Type", "application/x-ndjson")];
    let body = "{\"data\":1}\n".repeat(1000);
    let first = server.post("/channels/a", &fields, &body).expect_problem(429, "rate_limited");
    assert_eq!(first.json()["appended"], 1000, "what came before it was told is kept");
    for _ in 0..5 {
        let next = server.post("/channels/a", &fields, &body).expect_problem(429, "rate_limited");
        assert_eq!(next.json()["appended"], 0);
        assert!(next.field("retry-after").is_some_and(|after| after.parse::<u32>().is_ok_and(|after| after > 60)));
    }
}

#[test]
fn an_address_that_is_full_is_told_so_in_a_way_that_pages_can_read_and_watched_all_the_same() {
    let mut config = config();
    config.limits.address = Some(1);
    let server = Server::start(config);
    let mut reader = server.sse("/channels/a");
    reader.notice("$open");
    let origin = ("Origin", "http://localhost:3000");
    let asks = [origin, ("Access-Control-Request-Method", "POST")];
    server.request("OPTIONS", "/channels/a", &asks, None).expect(204);
    let answer = server.request("POST", "/channels/a", &[origin], Some(b"x")).expect_problem(429, "too_many");
    assert_eq!(answer.field("access-control-allow-origin"), Some("http://localhost:3000"));
    assert!(answer.field("access-control-expose-headers").is_some_and(|fields| fields.contains("Retry-After")));
    for target in ["/healthz", "/readyz", "/metrics"] {
        server.get(target).expect(200);
    }
}

#[test]
fn an_address_that_is_full_takes_up_nothing_more_however_often_it_connects() {
    let mut config = config();
    config.connections = Some(20);
    config.limits.address = Some(2);
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    let server = Server::start(config);
    let _silent: Vec<_> = (0..60).map(|_| server.connect()).collect();
    // From another address of this machine.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    socket.connect(&server.address().into()).unwrap();
    let mut other = switchboard_testkit::Conn::over(socket.into());
    other.ask("GET", "/channels/a", &[], None);
    other.response_to("GET").expect(200);
}
