//! "Page and long poll".

use std::time::{Duration, Instant};
use switchboard_testkit::{Conn, Field, PATIENCE, Response, Server, Value, config, eventually, json, prometheus};

fn data(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap()).collect()
}

fn keys(page: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = page.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_page_is_events_and_a_position() {
    let server = Server::new();
    server.publish("a", "1");
    let id = server.publish("a", "2");
    let answer = server.get("/channels/a").expect(200);
    assert_eq!(answer.head.media_type(), "application/json");
    let page = answer.json();
    assert_eq!(keys(&page), ["events", "position"]);
    assert_eq!(data(&page), ["1", "2"]);
    assert_eq!(page["position"], id.as_str());
}

#[test]
fn position_is_that_of_the_last_event_given_else_the_resolved_since() {
    let server = Server::new();
    let ids: Vec<String> = (0..5).map(|i| server.publish("a", i.to_string())).collect();
    let page = server.page("/channels/a?limit=2");
    assert_eq!((data(&page), &page["position"]), (vec!["0", "1"], &json!(ids[1])));
    let page = server.page(&format!("/channels/a?limit=2&since={}", ids[1]));
    assert_eq!((data(&page), &page["position"]), (vec!["2", "3"], &json!(ids[3])));
    let page = server.page(&format!("/channels/a?since={}", ids[4]));
    assert_eq!((data(&page), &page["position"]), (vec![], &json!(ids[4])));
    let page = server.page("/channels/a?since=latest");
    assert_eq!((data(&page), &page["position"]), (vec![], &json!(ids[4])), "latest is resolved to the head");
    let page = server.page("/channels/other");
    let start = page["position"].as_str().unwrap().to_owned();
    server.publish("other", "x");
    assert_eq!(data(&server.page(&format!("/channels/other?since={start}"))), ["x"]);
}

#[test]
fn limit_bounds_a_page_and_is_100_by_default() {
    let mut config = config();
    config.limits.page = 120;
    let server = Server::start(config);
    let mut conn = server.connect();
    for i in 0..150 {
        conn.publish("a", i.to_string());
    }
    let count = |target: &str| data(&server.page(target)).len();
    assert_eq!(count("/channels/a"), 100);
    assert_eq!(count("/channels/a?limit=1"), 1);
    assert_eq!(count("/channels?channel=*&limit=110"), 110);
    assert_eq!(count("/channels/a?limit=100000"), 120, "the server's own limit holds");
    assert_eq!(count("/channels/a?limit=99999999999999999999999"), 120, "however large");
    for bad in ["x", "-1", "1.5", "", "%2B1"] {
        server.get(&format!("/channels/a?limit={bad}")).expect_problem(400, "invalid_parameter");
    }
}

#[test]
fn what_a_parameter_of_pages_cannot_be_is_refused_on_every_transport() {
    let server = Server::new();
    for bad in ["limit=-1", "limit=x", "wait=-1", "wait=1.5"] {
        for accept in ["application/json", "text/event-stream", "application/x-ndjson"] {
            let answer = server.get_with(&format!("/channels/a?{bad}"), &[("Accept", accept)]);
            answer.expect_problem(400, "invalid_parameter");
        }
        let refused = server.handshake(&format!("/channels/a?{bad}"), &[]).expect_err("a refusal");
        refused.expect_problem(400, "invalid_parameter");
    }
}

/// A poll that waits, and shows no answer before something happens.
fn waiting(server: &Server, target: &str, fields: &[Field<'_>]) -> Conn {
    let waiting = || prometheus::parse(&server.get("/metrics").expect(200).text())["switchboard_readers_poll"];
    let before = waiting();
    let mut conn = server.connect();
    conn.ask("GET", target, fields, None);
    eventually("it waits", || waiting() == before + 1.0);
    assert!(!conn.is_readable(), "it did not wait: {}", conn.seen());
    conn
}

#[test]
fn prefer_wait_and_the_wait_parameter_make_it_a_long_poll() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let since = format!("/channels/a?since={first}");
    let with_wait = format!("{since}&wait=60");
    let many = format!("/channels?channel=*&since={first}");
    let prefer = [("Prefer", "wait=60")];
    let listed = [("Prefer", "respond-async, wait=60; foo=bar")];
    let mut polls = [
        waiting(&server, &with_wait, &[]),
        waiting(&server, &since, &prefer),
        waiting(&server, &since, &listed),
        waiting(&server, &many, &prefer),
        waiting(&server, "/channels/a?since=latest&wait=60", &[]),
    ];
    let began = Instant::now();
    server.publish("a", "2");
    for poll in &mut polls {
        assert_eq!(data(&poll.response_to("GET").expect(200).json()), ["2"]);
    }
    assert!(began.elapsed() < PATIENCE, "a wait ends with the event");
}

#[test]
fn a_poll_with_something_to_read_does_not_wait() {
    let server = Server::new();
    server.publish("a", "1");
    let began = Instant::now();
    assert_eq!(data(&server.page("/channels/a?wait=60")), ["1"]);
    assert!(began.elapsed() < PATIENCE);
    assert!(server.page("/channels/a?since=nonsense&wait=60").get("gap").is_some());
}

#[test]
fn a_wait_that_runs_out_answers_an_empty_page() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let began = Instant::now();
    let page = server.get(&format!("/channels/a?since={first}&wait=1")).expect(200);
    assert!(began.elapsed() >= Duration::from_millis(950), "it waited {:?}", began.elapsed());
    assert_eq!(page.json(), json!({"events": [], "position": first}));
    let page = server.get_with(&format!("/channels/a?since={first}"), &[("Prefer", "wait=1")]).expect(200);
    assert_eq!(page.json(), json!({"events": [], "position": first}));
    server.get(&format!("/channels/a?since={first}&wait=0")).expect(200);
}

#[test]
fn no_wait_is_longer_than_the_servers_limit() {
    let mut config = config();
    config.timeouts.wait = Duration::from_millis(200);
    let server = Server::start(config);
    let first = server.publish("a", "1");
    for wait in ["3600", "4000000000"] {
        assert_eq!(data(&server.page(&format!("/channels/a?since={first}&wait={wait}"))), [""; 0]);
    }
}

#[test]
fn a_wait_that_is_no_number_is_refused_in_the_query_and_ignored_in_prefer() {
    let server = Server::new();
    for bad in ["x", "-1", "", "1s"] {
        server.get(&format!("/channels/a?wait={bad}")).expect_problem(400, "invalid_parameter");
    }
    // RFC 7240 section 2: what is not understood is ignored.
    for bad in ["wait=soon", "wait", "wait=", "hurry", ""] {
        server.get_with("/channels/a", &[("Prefer", bad)]).expect(200);
    }
}

fn etag(answer: &Response) -> String {
    let etag = answer.field("etag").unwrap_or_else(|| panic!("no ETag: {answer}")).to_owned();
    assert!(etag.starts_with("W/\"") && etag.len() > 4 && etag.ends_with('"'), "a weak ETag: {etag}");
    etag
}

#[test]
fn the_etag_is_weak_and_covers_position_and_ended() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let target = format!("/channels/a?since={first}");
    let empty = etag(&server.get(&target));
    assert_eq!(etag(&server.get(&target)), empty);
    server.publish("a", "2");
    let one = etag(&server.get(&target));
    assert_ne!(one, empty);
    server.end("a");
    let ended = server.get(&target);
    assert_eq!(ended.json()["ended"], true);
    assert_ne!(etag(&ended), one, "the end has no position of its own, so the ETag covers it");
}

#[test]
fn if_none_match_only_validates() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let second = server.publish("a", "2");
    let target = format!("/channels/a?since={first}");
    let tag = etag(&server.get(&target));
    let strong = tag.trim_start_matches("W/").to_owned();
    for value in [tag.clone(), strong, format!("\"x\", {tag}"), "*".to_owned()] {
        let answer = server.get_with(&target, &[("If-None-Match", &value)]).expect(304);
        assert!(answer.body.is_empty());
        assert_eq!(etag(&answer), tag);
        assert!(answer.head.lists("vary", "accept"), "Vary: Accept always: {answer}");
    }
    // It never moves the cursor: with another tag the same page comes.
    let other = etag(&server.get(&format!("/channels/a?since={second}")));
    server.publish("a", "3");
    let answer = server.get_with(&target, &[("If-None-Match", &other)]).expect(200);
    assert_eq!(data(&answer.json()), ["2", "3"]);
    let answer = server.get_with(&target, &[("If-None-Match", &tag)]).expect(200);
    assert_eq!(data(&answer.json()), ["2", "3"]);
    for foul in ["x", "\"", "W/", "W/\"\u{ff}\"", ",,,", ""] {
        server.get_with(&target, &[("If-None-Match", foul)]).expect(200);
    }
}

#[test]
fn a_wait_that_runs_out_answers_304_to_if_none_match() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let target = format!("/channels/a?since={first}");
    let tag = etag(&server.get(&target));
    let began = Instant::now();
    let answer = server.get_with(&format!("{target}&wait=1"), &[("If-None-Match", &tag)]).expect(304);
    assert!(began.elapsed() >= Duration::from_millis(950), "it waited {:?}", began.elapsed());
    assert!(answer.body.is_empty());
    let mut poll = waiting(&server, &format!("{target}&wait=60"), &[("If-None-Match", &tag)]);
    server.publish("a", "2");
    assert_eq!(data(&poll.response_to("GET").expect(200).json()), ["2"]);
}

fn is_private(answer: &Response) -> bool {
    answer.head.lists("cache-control", "no-store") && answer.head.lists("cache-control", "private")
}

fn is_cacheable(answer: &Response) -> bool {
    let lists = |word| answer.head.lists("cache-control", word);
    let age = answer.head.all("cache-control").join(",").contains("max-age=") || lists("public");
    age && !lists("no-store") && !lists("private") && !lists("no-cache")
}

#[test]
fn a_page_is_cacheable_by_others_only_where_it_is_the_same_for_everyone() {
    let server = Server::new();
    let first = server.publish("a", "1");
    for i in 2..6 {
        server.publish("a", i.to_string());
    }
    let get = |query: &str, fields: &[Field<'_>]| server.get_with(&format!("/channels/a?{query}"), fields).expect(200);
    let cut = format!("since={first}&limit=2");
    let polled = format!("since={first}&transport=poll");
    for query in [&cut, &polled] {
        let answer = get(query, &[]);
        assert!(is_cacheable(&answer), "{query}: {answer}");
        assert!(answer.head.lists("vary", "accept"), "{answer}");
        for credentials in [("Authorization", "Bearer x"), ("Cookie", "a=b")] {
            let answer = get(query, &[credentials]);
            assert!(is_private(&answer), "with {credentials:?}: {answer}");
        }
    }
    let last = server.page("/channels/a")["position"].as_str().unwrap().to_owned();
    for (query, why) in [
        (format!("since={first}"), "neither cut nor transport=poll"),
        (format!("since={first}&limit=100"), "the limit cut nothing"),
        ("limit=2".to_owned(), "no explicit position"),
        ("since=earliest&limit=2".to_owned(), "a word is no position"),
        ("since=latest&transport=poll".to_owned(), "a word is no position"),
        ("transport=poll".to_owned(), "no explicit position"),
        (format!("since={last}&transport=poll"), "empty"),
    ] {
        let answer = get(&query, &[]);
        assert!(is_private(&answer), "{why}: {answer}");
    }
    let many = server.get(&format!("/channels?channel=*&{polled}")).expect(200);
    assert!(is_cacheable(&many), "in open mode anyone may read any channel: {many}");
}

#[test]
fn vary_is_accept_always() {
    let server = Server::new();
    server.publish("a", "1");
    for answer in
        [server.get("/channels/a"), server.get("/channels?channel=a"), server.get("/channels/a?transport=poll")]
    {
        assert!(answer.head.lists("vary", "accept"), "{answer}");
    }
}

#[test]
fn a_gap_is_told_in_the_page_with_the_events_after_it() {
    let server = Server::new();
    let id = server.publish("a", "held");
    let page = server.page("/channels/a?since=nonsense");
    assert_eq!(keys(&page), ["events", "gap", "position"]);
    assert_eq!(page["gap"]["reason"], "unknown");
    assert_eq!(page["gap"]["from"], "nonsense");
    assert!(page["gap"]["to"].as_str().unwrap() < id.as_str());
    assert_eq!((data(&page), &page["position"]), (vec!["held"], &json!(id)));
}

#[test]
fn ended_is_given_with_the_last_event_only_and_an_end_wakes_polls() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let mut poll = waiting(&server, &format!("/channels/a?since={first}&wait=60"), &[]);
    server.end("a");
    let page = poll.response_to("GET").expect(200).json();
    assert_eq!(page, json!({"events": [], "position": first, "ended": true}));
    server.publish("b", "1");
    server.post("/channels/b?end=true", &[], "2").expect(201);
    assert!(server.page("/channels/b?limit=1").get("ended").is_none());
    let page = server.page("/channels/b?limit=2");
    assert_eq!((data(&page), &page["ended"]), (vec!["1", "2"], &json!(true)));
    let began = Instant::now();
    let last = page["position"].as_str().unwrap();
    assert_eq!(server.page(&format!("/channels/b?since={last}&wait=60"))["ended"], true);
    assert!(began.elapsed() < PATIENCE, "a poll of an ended channel does not wait");
}

#[test]
fn a_crowd_of_polls_is_woken_by_one_event_and_leaves_nothing_behind() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let target = format!("/channels/a?since={first}&wait=60");
    let mut polls: Vec<Conn> = (0..200)
        .map(|_| {
            let mut conn = server.connect();
            conn.ask("GET", &target, &[], None);
            conn
        })
        .collect();
    server.publish("a", "2");
    for poll in &mut polls {
        assert_eq!(data(&poll.response_to("GET").expect(200).json()), ["2"]);
    }
    eventually("no reader is left", || server.readers("a") == 0);
}
