//! "Classes by pattern": how channels are kept.

use std::collections::BTreeSet;
use switchboard_testkit::{
    Class, Config, Follower, Heard, Pattern, Policy, Retention, Said, Server, Transport, Value, config, eventually,
    json,
};

fn kept(pattern: &str, class: Class) -> Config {
    let mut config = config();
    config.policy.rules.push((Pattern::new(pattern).unwrap(), class));
    config
}

fn history(retention: Retention) -> Config {
    let mut config = config();
    config.policy.default = Class::History(retention);
    config
}

fn data(server: &Server, target: &str) -> Vec<String> {
    let page = server.page(target);
    page["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_default_class_is_history_with_the_contracts_limits() {
    let policy = Policy::default();
    let Class::History(retention) = policy.default else { panic!("{:?}", policy.default) };
    assert_eq!((retention.events, retention.age, retention.bytes), (1000, 600_000, 8 << 20));
    assert_eq!((policy.bytes, policy.channels), (256 << 20, 100_000));
    assert!(policy.key_age >= 600_000, "an idempotency key is kept at least 10 minutes");
    let config = Config::default();
    assert_eq!(config.listen, ["127.0.0.1:8000".parse().unwrap()]);
    assert_eq!((config.limits.message, config.insecure), (1 << 20, false));
    assert_eq!((config.heartbeat.as_secs(), config.drain.as_secs()), (15, 10));
}

#[test]
fn history_holds_a_thousand_events_of_a_channel_by_default() {
    let server = Server::new();
    let mut conn = server.connect();
    let ids: Vec<String> = (0..1010).map(|i| conn.publish("a", i.to_string())).collect();
    let page = server.page("/channels/a?limit=1000");
    let told: Vec<&str> =
        page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(told, ids[10..]);
    assert!(page.get("gap").is_none(), "earliest is what is held");
}

#[test]
fn history_is_trimmed_by_count() {
    let server = Server::start(history(Retention { events: 3, ..Retention::default() }));
    for i in 0..10 {
        server.publish("a", i.to_string());
        server.publish("b", i.to_string());
    }
    assert_eq!(data(&server, "/channels/a"), ["7", "8", "9"]);
    assert_eq!(data(&server, "/channels?channel=*").len(), 6, "each channel by itself");
}

#[test]
fn history_is_trimmed_by_bytes() {
    let server = Server::start(history(Retention { bytes: 100_000, ..Retention::default() }));
    let mut conn = server.connect();
    let first = conn.publish("a", "first");
    for _ in 0..100 {
        conn.publish("a", "x".repeat(10_000));
    }
    let held = data(&server, "/channels/a?limit=1000").len();
    assert!((1..=10).contains(&held), "{held} events of 10,000 bytes");
    assert_eq!(server.page(&format!("/channels/a?since={first}"))["gap"]["reason"], "trimmed");
}

#[test]
fn history_is_trimmed_by_age() {
    let server = Server::start(history(Retention { age: 300, ..Retention::default() }));
    let first = server.publish("a", "1");
    server.publish("a", "2");
    eventually("the events have expired", || data(&server, "/channels/a").is_empty());
    let page = server.page(&format!("/channels/a?since={first}"));
    assert_eq!(page["gap"]["reason"], "expired", "{page}");
    let mut lines = server.lines(&format!("/channels/a?since={first}"));
    assert_eq!(lines.notice("$open")["gap"]["reason"], "expired");
}

#[test]
fn the_node_holds_so_many_bytes_in_all_the_oldest_going_first_told_as_gaps() {
    let mut config = config();
    config.policy.bytes = 1 << 20;
    let server = Server::start(config);
    let mut conn = server.connect();
    let first = conn.publish("c/0", "first");
    let sent: Vec<(String, String)> = (0..100)
        .map(|i| {
            let channel = format!("c/{}", i % 20);
            let id = conn.publish(&channel, format!("{i} {}", "x".repeat(50_000)));
            (channel, id)
        })
        .collect();
    let mut follower = Follower::open(&server, &["c/*"], Some(&first), Transport::Stream);
    let (mut heard, mut gaps) = (BTreeSet::new(), Vec::new());
    while !heard.contains(&sent[99].1) {
        match follower.next() {
            Said::Event(Heard { id, .. }) => assert!(heard.insert(id)),
            Said::Gap(gap) => gaps.push(gap),
            Said::Open { .. } | Said::Position(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=20).contains(&heard.len()), "{} events of 50,000 bytes", heard.len());
    let oldest = heard.first().unwrap();
    assert!(sent.iter().all(|(_, id)| heard.contains(id) == (id >= oldest)), "the oldest go first");
    let covers = |channel: &str, id: &str| {
        gaps.iter().any(|gap| {
            gap.channel.as_deref().is_none_or(|of| of == channel) && gap.from.as_str() < id && id <= gap.to.as_str()
        })
    };
    for (channel, id) in &sent {
        assert!(heard.contains(id) || covers(channel, id), "{channel} {id} is neither heard nor told: {gaps:?}");
    }
}

#[test]
fn the_node_keeps_so_many_channels_the_oldest_going_first_told_as_gaps() {
    let mut config = config();
    config.policy.channels = 10;
    let server = Server::start(config);
    let first = server.publish("c/first", "1");
    let lost = server.publish("c/0", "2");
    for i in 1..30 {
        server.publish(&format!("c/{i}"), "x");
    }
    let held = data(&server, "/channels?channel=c/*").len();
    assert!((1..=10).contains(&held), "{held} channels");
    for selection in ["c/*", "c/0"] {
        let page = server.page(&format!("/channels?channel={selection}&since={first}"));
        let gap = &page["gap"];
        let reason = gap["reason"].as_str().unwrap_or_else(|| panic!("{selection}: {page}"));
        assert!(["forgotten", "trimmed"].contains(&reason), "{selection}: {page}");
        assert!(gap["to"].as_str().unwrap() >= lost.as_str(), "{selection}: {page}");
    }
    server.is_alive();
}

#[test]
fn an_ephemeral_event_reaches_connected_readers_and_has_no_position() {
    let server = Server::start(kept("typing/*", Class::Ephemeral));
    let mut sse = server.sse("/channels/typing/a");
    let mut event = server.sse("/channels?channel=typing/*");
    let mut lines = server.lines("/channels/typing/a");
    let mut socket = server.websocket("/channels/typing/a");
    let open = sse.notice("$open").id;
    event.notice("$open");
    lines.notice("$open");
    server.publish("typing/a", "ann");
    let heard = sse.event();
    assert_eq!((heard.id.as_deref(), heard.data.as_str()), (None, "ann"), "no SSE id");
    assert_eq!(heard.last_id, open.unwrap(), "the EventSource keeps its cursor");
    assert_eq!(event.event().id, None);
    assert_eq!(lines.event()["data"], "ann");
    assert_eq!(socket.text(), "ann");
    assert!(data(&server, "/channels/typing/a").is_empty(), "nothing is held");
    let mut late = server.lines("/channels/typing/a?since=earliest");
    assert!(late.notice("$open").get("gap").is_none());
    server.publish("typing/a", "bob");
    assert_eq!(late.event()["data"], "bob");
}

#[test]
fn a_waiting_poll_is_connected_and_hears_an_ephemeral_event() {
    let server = Server::start(kept("typing/*", Class::Ephemeral));
    let start = server.page("/channels/typing/a?since=latest")["position"].as_str().unwrap().to_owned();
    let mut poll = server.connect();
    poll.ask("GET", &format!("/channels/typing/a?since={start}&wait=60"), &[], None);
    server.await_readers("typing/a", 1);
    server.publish("typing/a", "ann");
    let page = poll.response_to("GET").expect(200).json();
    assert_eq!(page["events"][0]["data"], "ann", "{page}");
}

#[test]
fn an_ephemeral_channel_beside_a_history_loses_the_history_nothing() {
    let server = Server::start(kept("typing/*", Class::Ephemeral));
    for transport in Transport::ALL {
        let first = server.publish("a", "1");
        server.publish("typing/a", "x");
        let second = server.publish("a", "2");
        let mut follower = Follower::open(&server, &["a", "typing/*"], Some(&first), transport);
        // A reader that was away hears nothing of what is not held, and misses nothing of what is.
        loop {
            match follower.next() {
                Said::Event(heard) if heard.channel == "a" => break assert_eq!(heard.id, second),
                Said::Event(heard) => panic!("{heard:?}"),
                Said::Gap(gap) => {
                    assert_eq!((gap.reason.as_str(), gap.channel.as_deref()), ("skipped", Some("typing/a")));
                }
                _ => {}
            }
        }
    }
}

/// Publishes more than the sockets of a reader that does not read take, and gives the last id.
fn flood(server: &Server, channel: &str) -> (Vec<String>, String) {
    let mut conn = server.connect();
    let ids: Vec<String> = (0..200).map(|i| conn.publish(channel, format!("{i} {}", "x".repeat(100_000)))).collect();
    let last = ids[199].clone();
    (ids, last)
}

#[test]
fn what_a_connected_reader_of_an_ephemeral_channel_skips_is_a_skipped_gap() {
    let server = Server::start(kept("typing/*", Class::Ephemeral));
    for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket] {
        let channel = format!("typing/{transport:?}");
        let mut slow = Follower::open(&server, &[&channel], None, transport);
        let mut fast = server.websocket(&format!("/channels/{channel}"));
        let mut conn = server.connect();
        let ids: Vec<String> = (0..200)
            .map(|i| {
                let id = conn.publish(&channel, format!("{i} {}", "x".repeat(100_000)));
                assert!(fast.text().starts_with(&format!("{i} ")), "who reads misses nothing");
                id
            })
            .collect();
        let (mut heard, mut gaps) = (BTreeSet::new(), Vec::new());
        let accounted = |heard: &BTreeSet<String>, gaps: &[switchboard_testkit::Gap]| {
            let told = |id: &String| gaps.iter().any(|gap| gap.from < *id && *id <= gap.to);
            ids.iter().filter(|id| heard.contains(*id) || told(id)).count()
        };
        while accounted(&heard, &gaps) < ids.len() {
            match slow.next() {
                Said::Event(event) => assert!(heard.insert(event.id), "once"),
                Said::Gap(gap) => {
                    assert_eq!((gap.reason.as_str(), gap.channel.as_deref()), ("skipped", Some(channel.as_str())));
                    gaps.push(gap);
                }
                Said::Open { .. } | Said::Position(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(!gaps.is_empty() && heard.len() < ids.len(), "{transport:?}: {} heard", heard.len());
        let told = |id: &String| gaps.iter().any(|gap| gap.from < *id && *id <= gap.to);
        assert!(heard.iter().all(|id| !told(id)), "heard or skipped, and not both");
        let live = conn.publish(&channel, "live again");
        assert_eq!(slow.event().id, live);
    }
}

#[test]
fn a_slow_reader_of_a_state_skips_to_the_newest_without_a_gap() {
    let server = Server::start(kept("state/*", Class::State));
    for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket] {
        let channel = format!("state/{transport:?}");
        let mut slow = Follower::open(&server, &[&channel], None, transport);
        let (ids, last) = flood(&server, &channel);
        let mut heard = Vec::new();
        while heard.last() != Some(&last) {
            match slow.next() {
                Said::Event(event) => heard.push(event.id),
                Said::Open { gap: None, .. } | Said::Position(_) => {}
                other => panic!("{transport:?}: never a gap: {other:?}"),
            }
        }
        assert!(heard.is_sorted() && heard.len() < ids.len(), "{transport:?}: {} of {}", heard.len(), ids.len());
    }
    let mut socket = server.websocket("/channels/state/raw");
    flood(&server, "state/raw");
    while !socket.text().starts_with("199 ") {}
}

#[test]
fn state_holds_the_newest_event_only() {
    let server = Server::start(kept("state/*", Class::State));
    for i in 0..5 {
        server.publish("state/a", i.to_string());
    }
    assert_eq!(data(&server, "/channels/state/a"), ["4"]);
}

#[test]
fn state_is_read_from_earliest_by_default_on_streams_too() {
    let server = Server::start(kept("state/*", Class::State));
    server.publish("state/a", "old");
    server.publish("state/a", "now");
    for target in ["/channels/state/a", "/channels?channel=state/a"] {
        let mut lines = server.lines(target);
        lines.notice("$open");
        assert_eq!(lines.event()["data"], "now");
    }
    let mut sse = server.sse("/channels/state/a");
    sse.notice("$open");
    assert_eq!(sse.event().data, "now");
    let mut socket = server.websocket("/channels/state/a");
    assert_eq!(socket.text(), "now");
    server.publish("state/a", "then");
    assert_eq!(sse.event().data, "then");
    assert_eq!(socket.text(), "then");
    let mut lines = server.lines("/channels/state/a?since=latest");
    lines.notice("$open");
    server.publish("state/a", "later");
    assert_eq!(lines.event()["data"], "later", "latest is latest if it is asked for");
}

#[test]
fn state_never_has_a_gap_of_what_newer_events_replaced() {
    let server = Server::start(kept("state/*", Class::State));
    let first = server.publish("state/a", "0");
    for i in 1..50 {
        server.publish("state/a", i.to_string());
    }
    for transport in Transport::ALL {
        let mut follower = Follower::open(&server, &["state/a"], Some(&first), transport);
        assert_eq!(follower.event().json["data"], "49", "{transport:?}");
    }
    let mut sse = server.sse(&format!("/channels/state/a?since={first}"));
    assert!(sse.notice("$open").json().get("gap").is_none());
    assert_eq!(sse.event().data, "49");
    let mut body =
        server.stream(&format!("/channels/state/a?form=raw&since={first}"), &[("Accept", "application/x-ndjson")]);
    assert_eq!(body.data_of(2), b"49");
}

#[test]
fn the_newest_state_does_not_expire() {
    let mut config = kept("state/*", Class::State);
    config.policy.default = Class::History(Retention { age: 100, ..Retention::default() });
    let server = Server::start(config);
    server.publish("state/a", "kept");
    server.publish("a", "expires");
    eventually("the other has expired", || data(&server, "/channels/a").is_empty());
    assert_eq!(data(&server, "/channels/state/a"), ["kept"]);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let mut config = kept("x/state/*", Class::State);
    config.policy.rules.push((Pattern::new("x/**").unwrap(), Class::Ephemeral));
    let server = Server::start(config);
    for channel in ["x/state/a", "x/b", "y"] {
        server.publish(channel, "1");
        server.publish(channel, "2");
    }
    let held = |channel: &str| data(&server, &format!("/channels/{channel}")).len();
    assert_eq!([held("x/state/a"), held("x/b"), held("y")], [1, 0, 2]);
}

#[test]
fn the_list_of_channels_counts_what_is_held() {
    let server = Server::start(history(Retention { events: 3, ..Retention::default() }));
    for i in 0..5 {
        server.publish("a", i.to_string());
    }
    let told: Value = server.channel("a").expect("a channel that holds events is listed");
    assert!(told.as_object().unwrap().values().any(|value| *value == json!(3)), "{told}");
}
