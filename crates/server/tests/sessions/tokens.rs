//! A session lasts as long as its token, which is renewed within it: on every transport, without a reconnect.

use crate::talk::{Talk, Way};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};
use switchboard_testkit::identity::{self, API_KEY, MASTER_KEY, SECRET, bearer, claims, now, sign, token, token_for};
use switchboard_testkit::{PATIENCE, Server, config, eventually};

/// Tokens of one session come one after the other: each lasts so much longer than the one before it.
const MORE: Duration = Duration::from_millis(600);
const RENEWALS: usize = 10;
/// So many tokens ahead of the one that ends next is a session, so that it is renewed in time also where the machine is busy.
const AHEAD: usize = 4;

fn server() -> Server {
    let mut config = config();
    config.auth = identity::settings();
    Server::start(config)
}

fn open(server: &Server, way: Way, token: &str) -> Talk {
    Talk::open_with(server, way, &[("Authorization", &bearer(token))])
}

/// A token of ann's that ends then, in seconds since the Unix epoch.
fn until(end: f64) -> String {
    let mut claims = claims("ann", &["a/**"]);
    claims["exp"] = json!(end);
    sign(&claims, SECRET)
}

fn publish(server: &Server, data: &str) {
    server.post("/channels/a/x", &[("Authorization", &bearer(API_KEY))], data).expect(201);
}

fn revoke(server: &Server, what: &Value) -> Value {
    server.post("/api/revoke", &[("Authorization", &bearer(MASTER_KEY))], what.to_string()).expect(200).json()
}

fn is_gone(server: &Server, location: &str) {
    server.get(location).expect_problem(404, "not_found");
    server.post(location, &[], "{}").expect_problem(404, "not_found");
}

/// Reads until the server closes. The last thing that it says is that, and why.
fn told_why(talk: &mut Talk) -> Value {
    let last = talk.rest().pop().expect("a notification before the end");
    assert_eq!(last["method"], "closing", "{last}");
    last["params"].clone()
}

/// Renews a session again and again. Each time another, of the same token and not renewed, ends with it: then the first
/// has outlived its token.
fn outlive_ten_tokens(server: &Server, way: Way) {
    let more = MORE.as_secs_f64();
    let mut end = now() + AHEAD as f64 * more;
    let mut token = until(end);
    let mut talk = open(server, way, &token);
    let kept = talk.kept.clone();
    let mut expires = (end * 1000.0) as u64;
    talk.call("subscribe", &json!({ "channel": "a/x" })).unwrap();
    let mut witnesses = VecDeque::new();
    for round in 0..RENEWALS + AHEAD {
        if round < RENEWALS {
            witnesses.push_back((open(server, Way::WebSocket, &token), expires));
            assert_eq!(talk.notice("expiring"), json!({ "expires": expires }), "{way:?} {round}");
            // The last lasts.
            end += if round + 1 < RENEWALS { more } else { PATIENCE.as_secs_f64() };
            token = until(end);
            let renewed = talk.call("refresh", &json!({ "token": token })).unwrap()["expires"].as_u64().unwrap();
            assert!(renewed > expires, "{way:?} {round}: {renewed} {expires}");
            expires = renewed;
        }
        if round >= AHEAD {
            let (mut witness, ended) = witnesses.pop_front().unwrap();
            assert_eq!(told_why(&mut witness)["code"], "token_expired", "{way:?} {round}");
            let time = talk.call("ping", &json!({})).unwrap()["time"].as_u64().unwrap();
            assert!(time >= ended, "{way:?} {round}: {time} {ended}");
        }
    }
    publish(server, "still here");
    assert_eq!(talk.notice("expiring"), json!({ "expires": expires }));
    assert_eq!(talk.event(), "still here", "{way:?}");
    assert_eq!((&talk.kept.location, talk.kept.attempt), (&kept.location, kept.attempt), "{way:?}");
}

#[test]
fn a_session_outlives_ten_tokens_on_each_transport_without_a_reconnect() {
    thread::scope(|scope| {
        for way in [Way::WebSocket, Way::Sse, Way::Poll] {
            // A server each, so that each hears its own.
            scope.spawn(move || outlive_ten_tokens(&server(), way));
        }
    });
}

#[test]
fn a_client_is_told_a_minute_before_its_token_ends() {
    let server = server();
    let mut talk = open(&server, Way::Sse, &token_for(Duration::from_millis(60_600), "ann", &["a/**"]));
    talk.call("ping", &json!({})).unwrap();
    let expires = talk.notice("expiring")["expires"].as_u64().unwrap();
    let time = talk.call("ping", &json!({})).unwrap()["time"].as_u64().unwrap();
    assert!(expires - time <= 60_000, "{expires} {time}");
}

#[test]
fn a_session_that_is_not_renewed_ends_with_its_token_and_says_so() {
    let server = server();
    // Long enough to open them all, also where the machine is busy.
    let token = token_for(Duration::from_secs(3), "ann", &["a/**"]);
    let mut held = [Way::WebSocket, Way::Sse, Way::Stream].map(|way| open(&server, way, &token));
    let away = open(&server, Way::Sse, &token).cut();
    let polling = open(&server, Way::Poll, &token);
    let mut poll = server.connect();
    let place = |control: u64| format!("{control}.{}", polling.kept.position);
    poll.ask("GET", &format!("{}?since={}&wait=20", polling.kept.location, place(0)), &[], None);
    let page = poll.response_to("GET").expect(200).json();
    assert_eq!(page["messages"][0]["method"], "expiring", "{page}");
    let since = page["place"].as_str().unwrap();
    poll.ask("GET", &format!("{}?since={since}&wait=20", polling.kept.location), &[], None);
    for talk in &mut held {
        assert_eq!(talk.next()["method"], "expiring");
        let closing = told_why(talk);
        assert_eq!((&closing["code"], &closing["reconnect"]), (&json!("token_expired"), &json!(false)));
        is_gone(&server, &talk.kept.location);
    }
    poll.response_to("GET").expect_problem(401, "token_expired");
    is_gone(&server, &polling.kept.location);
    // It is on a shard of its own, which may get its turn later.
    eventually("the one that is away is gone", || server.get(&away.location).status() == 404);
    is_gone(&server, &away.location);
}

#[test]
fn a_revoked_users_sessions_end_at_once_connected_or_not() {
    let server = server();
    // They last for so long that nobody is told of their end: that would answer the poll.
    let [ann, bob] = ["ann", "bob"].map(|user| token_for(Duration::from_secs(3600), user, &["a/**"]));
    let mut held = [Way::WebSocket, Way::Sse, Way::Stream].map(|way| open(&server, way, &ann));
    let away = open(&server, Way::WebSocket, &ann).cut();
    let never = open(&server, Way::Poll, &ann);
    let polling = open(&server, Way::Poll, &ann);
    let mut poll = server.connect();
    poll.ask("GET", &format!("{}?since={}&wait=20", polling.kept.location, polling.kept.place()), &[], None);
    let mut other = open(&server, Way::Sse, &bob);
    // All that is to end is known to the server to be as it is.
    let master = bearer(MASTER_KEY);
    eventually("four are connected and two are not", || {
        let listed = server.get_with("/api/sessions?user=ann", &[("Authorization", &master)]).expect(200).json();
        let connected = listed["sessions"].as_array().unwrap().iter().map(|one| one["connected"] == true);
        let connected: Vec<bool> = connected.collect();
        connected.iter().filter(|connected| **connected).count() == 4 && connected.len() == 6
    });
    let began = Instant::now();
    assert_eq!(revoke(&server, &json!({ "user": "ann" }))["ended"], 6);
    for talk in &mut held {
        let closing = told_why(talk);
        assert_eq!((&closing["code"], &closing["reconnect"]), (&json!("token_revoked"), &json!(false)));
    }
    poll.response_to("GET").expect_problem(401, "token_revoked");
    // Before anything else would have ended them: the poll's wait, or a heartbeat.
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    let held = held.iter().map(|talk| &talk.kept);
    for kept in held.chain([&away, &never.kept, &polling.kept]) {
        is_gone(&server, &kept.location);
    }
    other.call("ping", &json!({})).unwrap();
}

#[test]
fn a_session_is_renewed_by_its_own_user_for_what_it_reads_and_by_nobody_else() {
    for way in Way::ALL {
        let server = server();
        let mut talk = open(&server, way, &token("ann", &["a/**"]));
        talk.call("subscribe", &json!({ "channel": "a/x" })).unwrap();
        let mut claims = claims("ann", &["a/**"]);
        claims["jti"] = json!("taken-back");
        let taken_back = sign(&claims, SECRET);
        revoke(&server, &json!({ "token": "taken-back" }));
        let foreign = sign(&claims, identity::OTHER_SECRET);
        let refused = [
            (token("bob", &["a/**"]), 40300),
            (token("ann", &["b/**"]), 40300),
            (API_KEY.to_owned(), 40100),
            (token_for(Duration::ZERO, "ann", &["a/**"]), 40101),
            (taken_back, 40102),
            (foreign, 40100),
            ("x.y.z".to_owned(), 40100),
        ];
        for (token, code) in refused {
            let error = talk.call("refresh", &json!({ "token": token })).unwrap_err();
            assert_eq!(error["code"], code, "{way:?} {token} {error}");
        }
        let error = talk.call("refresh", &json!({})).unwrap_err();
        assert_eq!(error["code"], -32602);
        // None of that did harm; a narrower token counts from now on.
        talk.call("publish", &json!({ "channel": "a/y", "data": 1 })).unwrap();
        talk.call("refresh", &json!({ "token": token("ann", &["a/x"]) })).unwrap();
        let error = talk.call("publish", &json!({ "channel": "a/y", "data": 1 })).unwrap_err();
        assert_eq!(error["code"], 40300);
        talk.call("publish", &json!({ "channel": "a/x", "data": 1 })).unwrap();
        // Such a token lasts for a minute, and so the end of it was told at once.
        let told: Vec<Value> = (0..3).map(|_| talk.next()["method"].clone()).collect();
        assert_eq!(told.iter().filter(|method| **method == "expiring").count(), 2, "{told:?}");
        assert_eq!(told.iter().filter(|method| **method == "event").count(), 1, "{told:?}");
    }
}
