//! What a channel takes of all together, by the `[[channel]]` that says so: how large and how fast.

use super::limits::{metric, server};
use switchboard::auth::settings::ChannelLimit;
use switchboard_testkit::identity::{API_KEY, MASTER_KEY, bearer, token};
use switchboard_testkit::{Message, Pattern, Server, config, eventually};

fn limit(pattern: &str, publishes: Option<u32>, message: Option<usize>) -> ChannelLimit {
    ChannelLimit { pattern: Pattern::new(pattern).unwrap(), publishes, message }
}

fn limited() -> Server {
    server(|config| {
        config.auth.channel_limits =
            vec![limit("a/slow", Some(1), None), limit("a/**", Some(1000), Some(8)), limit("b", None, Some(1 << 30))];
    })
}

#[test]
fn a_channel_takes_so_many_events_a_second_of_all_together_and_others_are_not_touched() {
    let server = limited();
    let keys = [API_KEY.to_owned(), MASTER_KEY.to_owned(), token("ann", &["a/**"]), token("bob", &["a/**"])];
    let shown = keys.map(|key| bearer(&key));
    let publish = |who: usize, channel: &str| {
        server.post(&format!("/channels/{channel}"), &[("Authorization", &*shown[who % shown.len()])], "x")
    };
    // Two at once, one a second: whoever it is.
    let answers: Vec<_> = (0..20).map(|who| publish(who, "a/slow")).collect();
    assert!(answers[..2].iter().all(|answer| answer.status() == 201));
    let refused = answers.into_iter().find(|answer| answer.status() == 429).expect("one that is too fast");
    let refused = refused.expect_problem(429, "rate_limited");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("[[channel]]"), "{refused}");
    assert!((0..40).all(|who| publish(who, "a/fast").status() == 201));
    // Of a batch nothing is taken, and nothing appended, where one channel is full.
    let batch = r#"[{"channels":["a/new"],"data":1},{"channels":["a/slow"],"data":1}]"#;
    let master = [("Authorization", &*shown[1])];
    let full = || server.post("/api/publish", &master, batch).status() == 429;
    assert!((0..20).any(|_| full()), "the channel is never full");
    // Neither does a stream of events begin.
    let lines = [master[0], ("Content-Type", "application/x-ndjson")];
    let body = "{\"data\":1}\n".repeat(5);
    let late = (0..20).map(|_| server.post("/channels/a/slow", &lines, &body)).find(|answer| answer.status() == 429);
    assert_eq!(late.expect("one that is too fast").json()["code"], "rate_limited");
    assert!(metric(&server, "switchboard_refused_channel_total") >= 3.0);
    assert_eq!(metric(&server, "switchboard_refused_publishes_total"), 0.0);
}

#[test]
fn who_may_publish_no_more_uses_up_nothing_of_a_channel() {
    let server = server(|config| {
        config.limits.publishes = Some(1);
        config.auth.channel_limits = vec![limit("**", Some(5), None)];
    });
    let (ann, bob) = (bearer(&token("ann", &["**"])), bearer(&token("bob", &["**"])));
    let publish = |who: &str| server.post("/channels/a", &[("Authorization", who)], "x").status();
    // Two are let through, and what is refused leaves eight of the ten.
    let refused = (0..60).filter(|_| publish(&ann) == 429).count();
    assert!(refused >= 40, "{refused}");
    assert_eq!(publish(&bob), 201);
}

#[test]
fn a_channel_takes_messages_of_its_size_in_every_way_to_publish() {
    let server = limited();
    let shown = bearer(MASTER_KEY);
    let fields = [("Authorization", &*shown)];
    let lines = [fields[0], ("Content-Type", "application/x-ndjson")];
    let events = [fields[0], ("Content-Type", "text/event-stream")];
    for (channel, data, fine) in [("a/x", "12345678", true), ("a/x", "123456789", false), ("b", "123456789", true)] {
        let target = format!("/channels/{channel}");
        let (line, event) = (format!("{{\"data\":\"{data}\"}}\n"), format!("data: {data}\n\n"));
        let batch = format!("[{{\"channels\":[\"b\",\"{channel}\"],\"data\":\"{data}\"}}]");
        let batch = batch.replace("\"b\",\"b\"", "\"b\"");
        for answer in [
            server.post(&target, &fields, data),
            server.post(&target, &lines, line),
            server.post(&target, &events, event),
            server.post("/api/publish", &fields, batch),
        ] {
            match fine {
                true => drop(answer.expect(201)),
                false => drop(answer.expect_problem(413, "too_large")),
            }
        }
        let mut socket = server.connect().websocket(&target, &fields);
        socket.send_text(data);
        match fine {
            true => assert_eq!(socket.text(), data),
            false => drop(socket.expect_close(1009)),
        }
    }
}

#[test]
fn a_websocket_on_a_channel_that_is_full_closes_and_says_why() {
    let server = limited();
    let mut socket = server.connect().websocket("/channels/a/slow", &[("Authorization", &bearer(MASTER_KEY))]);
    (0..5).for_each(|n| socket.send_text(&n.to_string()));
    let mut heard = 0;
    loop {
        match socket.next() {
            Message::Text(_) => heard += 1,
            Message::Close(code, _) => break assert_eq!(code, 4429),
            other => panic!("{other:?}"),
        }
    }
    assert!((2..5).contains(&heard), "{heard}");
}

#[test]
fn limits_of_channels_hold_in_open_mode_and_are_forgotten_when_they_matter_no_more() {
    let mut config = config();
    config.auth.channel_limits = vec![limit("a", Some(2), None)];
    let server = Server::start(config);
    eventually("the channel is full, and known to be", || {
        server.post("/channels/a", &[], "x").status() == 429 && metric(&server, "switchboard_limited_channels") == 1.0
    });
    server.post("/channels/b", &[], "x").expect(201);
    eventually("the channel takes all again", || metric(&server, "switchboard_limited_channels") == 0.0);
}
