//! "Writing": the end of a channel, and its deletion.

use switchboard_testkit::{Follower, Message, Said, Server, Transport, json};
use switchboard_wire::{Mark, Position};

/// A position far beyond the head.
fn ahead(of: &str) -> String {
    let mark = of.parse::<Position>().unwrap().marks().next().unwrap();
    Mark { seq: mark.seq + 1_000_000, ..mark }.to_string()
}

/// The status of a GET for each of the streams over HTTP.
fn statuses(server: &Server, target: &str) -> [u16; 2] {
    ["text/event-stream", "application/x-ndjson"].map(|accept| server.stream(target, &[("Accept", accept)]).head.status)
}

#[test]
fn readers_get_end_and_the_response_closes_on_every_transport() {
    let server = Server::new();
    let mut sse = server.sse("/channels/a");
    let mut lines = server.lines("/channels/a");
    let mut raw = server.websocket("/channels/a");
    let mut event = server.websocket("/channels/a?form=event");
    let mut body = server.stream("/channels/a?form=raw", &[("Accept", "application/x-ndjson")]);
    server.post("/channels/a?end=true", &[], "last").expect(201);
    sse.notice("$open");
    assert_eq!(sse.event().data, "last");
    let end = sse.notice("$end");
    assert_eq!((end.id.as_deref(), end.json()), (None, json!({"channel": "a"})), "it has no position of its own");
    assert_eq!(sse.rest(), (vec![], true));
    lines.notice("$open");
    lines.event();
    assert_eq!(lines.notice("$end"), json!({"channel": "a"}));
    assert_eq!(lines.rest(), (vec![], true));
    assert_eq!(raw.text(), "last");
    raw.expect_close(1000);
    event.notice("$open");
    event.event();
    assert_eq!(event.notice("$end"), json!({"channel": "a"}));
    event.expect_close(1000);
    assert_eq!(body.rest(), (b"last".to_vec(), true));
}

#[test]
fn an_event_source_stops_for_good_at_204_when_the_cursor_is_at_the_last_event() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let last = server.publish("a", "2");
    server.end("a");
    assert_eq!(statuses(&server, &format!("/channels/a?since={last}")), [204, 204]);
    assert_eq!(statuses(&server, &format!("/channels?channel=a&since={last}")), [204, 204]);
    assert_eq!(statuses(&server, "/channels/a?since=latest"), [204, 204], "latest is at the last event");
    let mut conn = server.connect();
    let fields = [("Accept", "text/event-stream"), ("Last-Event-ID", last.as_str())];
    let answer = conn.request("GET", "/channels/a", &fields, None).expect(204);
    assert!(answer.head.lists("vary", "accept"), "{answer}");
    conn.get("/healthz").expect(200);
    // Past the last event: a position that another channel's event gave.
    let later = server.publish("b", "x");
    assert_eq!(statuses(&server, &format!("/channels/a?since={later}")), [204, 204]);
    let mut sse = server.sse(&format!("/channels/a?since={first}"));
    sse.notice("$open");
    assert_eq!(sse.event().data, "2");
    sse.notice("$end");
    assert_eq!(sse.rest(), (vec![], true));
}

#[test]
fn a_websocket_at_the_last_event_of_an_ended_channel_closes_with_1000() {
    let server = Server::new();
    let last = server.publish("a", "1");
    server.end("a");
    server.websocket(&format!("/channels/a?since={last}")).expect_close(1000);
    let mut socket = server.websocket(&format!("/channels?channel=a&since={last}"));
    loop {
        match socket.next() {
            Message::Text(text) => assert!(text.starts_with("{\"$"), "only notices: {text}"),
            Message::Close(code, _) => break assert_eq!(code, 1000),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn no_cursor_reads_an_ended_channel_from_earliest() {
    let server = Server::new();
    server.publish("a", "1");
    server.publish("a", "2");
    server.end("a");
    for target in ["/channels/a?form=event", "/channels?channel=a"] {
        let mut sse = server.sse(target);
        let open = sse.notice("$open").json();
        assert!(open.get("recovered").is_none() && open.get("gap").is_none(), "{open}");
        assert_eq!([sse.event().json()["data"].clone(), sse.event().json()["data"].clone()], ["1", "2"]);
        sse.notice("$end");
        assert_eq!(sse.rest(), (vec![], true));
        let mut lines = server.lines(target);
        lines.notice("$open");
        assert_eq!((lines.rest().0.len(), server.page(target)["ended"].clone()), (3, json!(true)));
    }
    let mut socket = server.websocket("/channels/a");
    assert_eq!([socket.text(), socket.text()], ["1", "2"]);
    socket.expect_close(1000);
}

#[test]
fn an_epoch_ahead_or_unknown_cursor_gets_its_gap_the_events_held_then_end() {
    let server = Server::new();
    server.publish("a", "1");
    let last = server.publish("a", "2");
    server.end("a");
    let foreign = Server::new().publish("a", "x");
    for (cursor, reason) in [(foreign, "epoch"), (ahead(&last), "ahead"), ("nonsense".into(), "unknown")] {
        for transport in Transport::ALL {
            let mut follower = Follower::open(&server, &["a"], Some(&cursor), transport);
            if transport != Transport::Poll {
                assert!(matches!(follower.next(), Said::Open { gap: Some(gap), .. } if gap.reason == reason));
            }
            assert!(matches!(follower.next(), Said::Gap(gap) if gap.reason == reason && gap.from == cursor));
            let heard = [follower.event(), follower.event()].map(|heard| heard.json["data"].clone());
            assert_eq!(heard, ["1", "2"], "{transport:?} {reason}");
            loop {
                match follower.next() {
                    Said::Position(_) => {}
                    Said::End(_) => break,
                    other => panic!("{transport:?} {reason}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn with_several_channels_end_names_the_channel_and_the_response_closes_once_all_have_ended() {
    let server = Server::new();
    for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket] {
        let (a, b) = (format!("{transport:?}/a"), format!("{transport:?}/b"));
        let mut follower = Follower::open(&server, &[&a, &b], None, transport);
        assert!(matches!(follower.next(), Said::Open { .. }));
        server.end(&a);
        assert_eq!(follower.next(), Said::End(a.clone()));
        server.publish(&b, "still open");
        assert_eq!(follower.event().channel, b);
        server.end(&b);
        assert_eq!(follower.next(), Said::End(b.clone()));
        assert!(matches!(follower.next(), Said::Closed(200 | 1000)));
    }
}

#[test]
fn with_several_channels_204_applies_once_all_have_ended() {
    let server = Server::new();
    server.publish("a", "1");
    let last = server.publish("b", "2");
    server.end("a");
    let target = format!("/channels?channel=a&channel=b&since={last}");
    assert_eq!(statuses(&server, &target), [200, 200]);
    assert!(server.page(&target).get("ended").is_none());
    server.end("b");
    assert_eq!(statuses(&server, &target), [204, 204]);
    assert_eq!(server.page(&target)["ended"], true);
}

#[test]
fn a_pattern_never_ends() {
    let server = Server::new();
    let mut sse = server.sse("/channels?channel=a&channel=p/*");
    let mut lines = server.lines("/channels?channel=**");
    sse.notice("$open");
    lines.notice("$open");
    let last = server.publish("p/1", "1");
    server.end("a");
    server.end("p/1");
    sse.event();
    lines.event();
    let mut ended = [sse.notice("$end").json(), sse.notice("$end").json()].map(|end| end["channel"].clone());
    ended.sort_by_key(ToString::to_string);
    assert_eq!(ended, ["a", "p/1"]);
    lines.notice("$end");
    lines.notice("$end");
    server.publish("p/2", "later");
    assert_eq!(sse.event().json()["channel"], "p/2");
    assert_eq!(lines.event()["channel"], "p/2");
    assert_eq!(statuses(&server, &format!("/channels?channel=p/*&since={last}")), [200, 200]);
    assert!(server.page(&format!("/channels?channel=p/1&channel=q/*&since={last}")).get("ended").is_none());
}

#[test]
fn delete_tells_readers_a_deleted_gap_and_the_name_is_free_again() {
    let server = Server::new();
    server.publish("a", "1");
    let mut followers = [Transport::Sse, Transport::Stream, Transport::WebSocket].map(|transport| {
        let mut follower = Follower::open(&server, &["a"], None, transport);
        assert!(matches!(follower.next(), Said::Open { .. }));
        follower
    });
    let mut single = server.sse("/channels/a");
    single.notice("$open");
    server.delete("/channels/a").expect(204);
    assert_eq!(server.page("/channels/a")["events"], json!([]));
    let id = server.publish("a", "new");
    for follower in &mut followers {
        let Said::Gap(gap) = follower.next() else { panic!("a deleted gap") };
        assert_eq!((gap.reason.as_str(), gap.channel.as_deref()), ("deleted", Some("a")));
        assert!(gap.to < id);
        assert_eq!(follower.event().id, id);
    }
    let gap = single.notice("$gap");
    assert_eq!((&gap.json()["reason"], gap.id.as_deref()), (&json!("deleted"), gap.json()["to"].as_str()));
    assert_eq!(single.event().data, "new");
}

#[test]
fn a_cursor_from_before_a_deletion_gets_the_gap_when_it_comes_back() {
    let server = Server::new();
    let first = server.publish("a", "1");
    server.publish("a", "lost");
    server.delete("/channels/a").expect(204);
    let id = server.publish("a", "new");
    for transport in Transport::ALL {
        let mut follower = Follower::open(&server, &["a"], Some(&first), transport);
        if transport != Transport::Poll {
            assert!(matches!(follower.next(), Said::Open { gap: Some(_), recovered: Some(false), .. }));
        }
        let said = follower.next();
        assert!(matches!(&said, Said::Gap(gap) if gap.reason == "deleted" && gap.from == first), "{said:?}");
        assert_eq!(follower.event().id, id);
    }
    assert!(server.page("/channels/a").get("gap").is_none(), "who never was there lost nothing");
}

#[test]
fn delete_answers_204_whether_or_not_there_was_anything() {
    let server = Server::new();
    let answer = server.delete("/channels/never").expect(204);
    assert!(answer.body.is_empty());
    server.publish("a", "1");
    server.delete("/channels/a").expect(204);
    server.delete("/channels/a").expect(204);
}

#[test]
fn an_ended_channel_that_is_deleted_can_be_published_to_again() {
    let server = Server::new();
    server.publish("a", "1");
    server.end("a");
    server.post("/channels/a", &[], "x").expect(409);
    server.delete("/channels/a").expect(204);
    server.publish("a", "2");
    let page = server.page("/channels/a");
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert!(page.get("ended").is_none(), "{page}");
}

#[test]
fn a_deletion_wakes_polls() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let mut poll = server.connect();
    poll.ask("GET", &format!("/channels/a?since={first}&wait=60"), &[], None);
    server.await_readers("a", 1);
    server.delete("/channels/a").expect(204);
    let page = poll.response_to("GET").expect(200).json();
    assert_eq!(page["gap"]["reason"], "deleted", "{page}");
}
