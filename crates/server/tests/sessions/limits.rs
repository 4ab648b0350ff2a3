//! What sessions take up of limits, and for how long; and what they may publish.

use crate::talk::{PROTOCOL, Talk, Way};
use serde_json::{Value, json};
use std::time::Duration;
use switchboard::Config;
use switchboard::auth::settings::ChannelLimit;
use switchboard_testkit::identity::{MASTER_KEY, SECRET, bearer, claims, settings, sign, token};
use switchboard_testkit::{Pattern, Server, config, eventually, prometheus};

fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = config();
    config.auth = settings();
    // Whoever is told to go may stay for as long as a test lasts.
    config.timeouts.close = Duration::from_secs(60);
    change(&mut config);
    Server::start(config)
}

/// A token of `ann` for everything, who may publish so many events a second.
fn publishing(most: u32) -> String {
    let mut claims = claims("ann", &["**"]);
    claims["limits"] = json!({"publishes": most});
    sign(&claims, SECRET)
}

/// How many connections there are, with the one that asks.
fn connections(server: &Server) -> f64 {
    prometheus::parse(&server.get("/metrics").expect(200).text())["switchboard_connections"]
}

fn code(answer: Result<Value, Value>) -> i64 {
    answer.unwrap_err()["code"].as_i64().unwrap()
}

#[test]
fn a_session_that_is_over_has_its_place_until_its_socket_is_gone() {
    let server = server(|config| config.limits.user = Some(1));
    let (ann, master) = (bearer(&token("ann", &["**"])), bearer(MASTER_KEY));
    let fields = [("Authorization", &*ann)];
    let mut talk = Talk::open_with(&server, Way::WebSocket, &fields);
    let path = format!("/api/sessions/{}", talk.id());
    server.request("DELETE", &path, &[("Authorization", &*master)], None).expect(204);
    let socket = talk.websocket();
    while socket.next_frame().is_some_and(|frame| frame.opcode != 8) {}
    let again = || server.handshake("/session", &[fields[0], PROTOCOL]);
    again().unwrap_err().expect_problem(429, "too_many");
    drop(talk);
    eventually("there is room again", || again().is_ok());
}

#[test]
fn the_connection_of_a_session_has_a_place_among_those_of_its_address() {
    // Over SSE it takes one to open it, which may be there until after the ways down and up are.
    let server = server(|config| config.limits.address = Some(3));
    let ann = bearer(&token("ann", &["**"]));
    let fields = [("Authorization", &*ann)];
    for (way, its_own) in [(Way::WebSocket, 1), (Way::Sse, 2)] {
        let talk = Talk::open_with(&server, way, &fields);
        let mut all = Vec::new();
        eventually("others have what is left", || {
            let mut conn = server.connect();
            conn.ask("GET", "/channels/a", &fields, None);
            let let_in = conn.head().status == 200;
            if let_in {
                all.push(conn);
            }
            !let_in
        });
        assert!(all.len() <= 3 - its_own, "{way:?}: {} besides", all.len());
        drop((talk, all));
        eventually("there is room again", || connections(&server) == 1.0);
    }
}

/// What one may keep, as many may as there are sessions: together that is more than a server has.
#[test]
fn what_sessions_keep_for_clients_that_do_not_come_takes_no_more_than_may_be_on_its_way() {
    const MEBIBYTE: usize = 1 << 20;
    let mut config = config();
    config.transit = MEBIBYTE;
    let server = Server::start(config);
    let id = "i".repeat(200);
    let calls: Vec<Value> =
        (0..100).map(|n| json!({"jsonrpc": "2.0", "id": format!("{id}{n}"), "method": "ping"})).collect();
    let calls = json!(calls).to_string();
    let figure = |name: &str| prometheus::parse(&server.get("/metrics").expect(200).text())[name];
    let sessions: Vec<String> = (0..20)
        .map(|_| {
            let opened = server.post("/session", &[], "").expect(201);
            let location = opened.field("location").unwrap().to_owned();
            // Its answers are taken by nobody.
            for _ in 0..3 {
                server.post(&location, &[], &calls);
            }
            assert!(figure("switchboard_transit_bytes") <= MEBIBYTE as f64 / 4.0);
            location
        })
        .collect();
    let full = figure("switchboard_sessions_full_total");
    assert!((10.0..20.0).contains(&full), "{full} of 20 are at an end");
    assert_eq!(figure("switchboard_sessions"), 20.0 - full, "the others are there");
    for location in sessions {
        server.delete(&location);
    }
    eventually("all is given back", || figure("switchboard_transit_bytes") == 0.0);
}

#[test]
fn a_refreshed_session_publishes_by_its_new_token() {
    let server = server(|config| config.limits.publishes = Some(1));
    let ann = bearer(&publishing(1));
    let mut talk = Talk::open_with(&server, Way::WebSocket, &[("Authorization", &*ann)]);
    let publish = |talk: &mut Talk| talk.call("publish", &json!({"channel": "a", "data": 1}));
    talk.call("refresh", &json!({"token": publishing(1000)})).unwrap();
    assert!((0..200).all(|_| publish(&mut talk).is_ok()));
    talk.call("refresh", &json!({"token": publishing(1)})).unwrap();
    let refused = (0..10).map(|_| publish(&mut talk)).find(Result::is_err).expect("one that is too fast");
    assert_eq!(code(refused), 42900);
}

#[test]
fn what_a_channel_takes_holds_for_sessions_too() {
    let server = server(|config| {
        let pattern = Pattern::new("a").unwrap();
        config.auth.channel_limits = vec![ChannelLimit { pattern, publishes: Some(1), message: Some(8) }];
    });
    let shown = bearer(MASTER_KEY);
    for way in Way::ALL {
        let mut talk = Talk::open_with(&server, way, &[("Authorization", &*shown)]);
        let mut publish = |channel: &str, data: &str| talk.call("publish", &json!({"channel": channel, "data": data}));
        assert_eq!(code(publish("a", "123456789")), 41300, "{way:?}");
        publish("b", "123456789").unwrap();
        let refused = (0..20).map(|_| publish("a", "x")).find(Result::is_err).expect("one that is too fast");
        assert_eq!(code(refused), 42900, "{way:?}");
    }
}

#[test]
fn patterns_of_sessions_take_no_more_than_may_be_on_its_way() {
    const MEBIBYTE: usize = 1 << 20;
    let server = server(|config| config.transit = MEBIBYTE);
    let shown = bearer(MASTER_KEY);
    let taken = || prometheus::parse(&server.get("/metrics").expect(200).text())["switchboard_transit_bytes"] as usize;
    let patterns = |n: usize| -> Vec<String> { (0..128).map(|i| format!("{n}.{i}{}/*", "/b".repeat(118))).collect() };
    let mut talks: Vec<Talk> =
        (0..2).map(|_| Talk::open_with(&server, Way::WebSocket, &[("Authorization", &*shown)])).collect();
    let mut subscribe =
        |n: usize| talks[n].call("subscribe", &json!({"channel": patterns(n)})).map_err(|error| error["code"].as_i64());
    subscribe(0).unwrap();
    assert!(taken() > 120_000, "{}", taken());
    // Two of them would be more than a quarter of all.
    assert_eq!(subscribe(1), Err(Some(50300)));
    assert!(taken() <= MEBIBYTE / 4);
    talks[1].call("subscribe", &json!({"channel": "a/**"})).expect("who was refused has its session");
}

/// Each is looked for among the others, which for so many would take a shard a minute.
#[test]
fn a_list_of_more_names_than_a_session_may_have_is_refused_for_its_length() {
    let server = Server::new();
    let mut talk = Talk::open(&server, Way::WebSocket);
    let names = |count: usize| -> Vec<String> { (0..count).map(|n| n.to_string()).collect() };
    for list in [names(80_000), names(129), vec!["a".to_owned(); 129]] {
        for method in ["subscribe", "unsubscribe"] {
            let error = talk.call(method, &json!({ "channel": list })).unwrap_err();
            assert_eq!(error["code"], -32602);
            assert!(error.to_string().contains("at most 128"), "{method}: {error}");
        }
    }
    talk.call("subscribe", &json!({ "channel": names(128) })).unwrap();
    talk.call("unsubscribe", &json!({ "channel": names(128) })).unwrap();
}

/// What is given up meanwhile may yet come with its answer.
#[test]
fn what_a_session_is_about_to_read_counts_as_what_it_reads() {
    let server = Server::new();
    let mut talk = Talk::open(&server, Way::WebSocket);
    let names = |of: &str| -> Vec<String> { (0..100).map(|n| format!("{of}{n}")).collect() };
    let call = |id: u64, method: &str, of: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": { "channel": names(of) } });
    let mut told = call(0, "unsubscribe", "a");
    told.as_object_mut().unwrap().remove("id");
    let again = json!({ "jsonrpc": "2.0", "id": 1002, "method": "subscribe", "params": { "channel": "b0" } });
    talk.send(&json!([call(1000, "subscribe", "a"), told, call(1001, "subscribe", "b"), again]));
    let mut said = Vec::new();
    while !said.iter().any(|one: &Value| one["id"] == 1002) {
        match talk.websocket().json() {
            Value::Array(several) => said.extend(several),
            one => said.push(one),
        }
    }
    let answers = said.iter().filter(|one| one.get("method").is_none());
    let refused: Vec<bool> = answers.map(|answer| answer.get("error").is_some()).collect();
    assert_eq!(refused, [false, true, false], "{said:?}");
    // Once it has left, the next may bring others.
    talk.call("unsubscribe", &json!({ "channel": names("a") })).unwrap();
    talk.call("subscribe", &json!({ "channel": names("b") })).unwrap();
}
