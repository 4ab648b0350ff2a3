//! "gap": `{channel?, from, to, reason}`, told the same on every transport.

use switchboard_testkit::{Class, Follower, Gap, Retention, Said, Server, Transport, config, json};
use switchboard_wire::{Mark, Position};

/// Opens at a cursor, and gives the gap that reading opens with, having checked all that holds of every such gap.
#[track_caller]
fn opening_gap(server: &Server, selection: &[&str], cursor: &str, transport: Transport) -> (Gap, Follower) {
    let mut follower = Follower::open(server, selection, Some(cursor), transport);
    let mut carried = None;
    if transport != Transport::Poll {
        let said = follower.next();
        let Said::Open { recovered: Some(false), gap: Some(gap), .. } = said else {
            panic!("{transport:?}: `$open` carries the gap: {said:?}")
        };
        carried = Some(gap);
        assert_eq!(follower.cursor.as_deref(), Some(cursor), "`$open` with a gap does not move the cursor");
    }
    let said = follower.next();
    let Said::Gap(gap) = said else { panic!("{transport:?}: `$gap` follows: {said:?}") };
    assert!(carried.is_none_or(|carried| carried == gap));
    // Of a text too long for any position, what it begins with is told.
    assert!(gap.from == cursor || cursor.len() > 255 && cursor.starts_with(&gap.from), "{transport:?}: {gap:?}");
    assert!(gap.to.parse::<Position>().is_ok(), "`to` is a position: {gap:?}");
    assert_eq!(follower.cursor.as_deref(), Some(gap.to.as_str()));
    // Of several channels it is the whole stream that lost events, unless it is said which.
    assert!(gap.channel.is_none() || selection.contains(&gap.channel.as_deref().unwrap_or_default()), "{gap:?}");
    (gap, follower)
}

fn ahead(of: &str) -> String {
    let mark = of.parse::<Position>().unwrap().marks().next().unwrap();
    Mark { seq: mark.seq + 1_000_000, ..mark }.to_string()
}

/// What a page after a position tells, and whether it has a gap.
fn after(server: &Server, position: &str) -> (Vec<String>, bool) {
    let page = server.page(&format!("/channels/a?since={position}"));
    let ids = page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned());
    (ids.collect(), page.get("gap").is_some())
}

#[test]
fn trimmed_is_told_and_to_is_just_before_the_oldest_event_held() {
    let mut config = config();
    config.policy.default = Class::History(Retention { events: 3, ..Retention::default() });
    let server = Server::start(config);
    let ids: Vec<String> = (0..10).map(|i| server.publish("a", i.to_string())).collect();
    for transport in Transport::ALL {
        let (gap, mut follower) = opening_gap(&server, &["a"], &ids[2], transport);
        assert_eq!(gap.reason, "trimmed");
        assert!(gap.to >= ids[6] && gap.to < ids[7], "{gap:?}");
        for id in &ids[7..] {
            assert_eq!(follower.event().id, *id);
        }
        assert_eq!(after(&server, &gap.to), (ids[7..].to_vec(), false), "reading goes on there");
    }
    // The cursor just before the oldest held loses nothing, and neither does one within.
    assert_eq!(after(&server, &ids[6]), (ids[7..].to_vec(), false));
    assert_eq!(after(&server, &ids[8]), (ids[9..].to_vec(), false));
    assert!(after(&server, &ids[5]).1);
}

#[test]
fn deleted_is_told_with_the_head_as_to_where_nothing_is_held() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let second = server.publish("a", "2");
    server.delete("/channels/a").expect(204);
    for transport in Transport::ALL {
        let (gap, _) = opening_gap(&server, &["a"], &first, transport);
        assert_eq!(gap.reason, "deleted");
        assert!(gap.to >= second, "{gap:?}");
        assert_eq!(after(&server, &gap.to), (vec![], false));
    }
}

#[test]
fn a_restart_is_told_as_an_epoch_gap() {
    let old = Server::new();
    old.publish("a", "lost");
    let cursor = old.publish("a", "lost too");
    old.drain();
    let server = Server::new();
    for transport in Transport::ALL {
        let (gap, _) = opening_gap(&server, &["a"], &cursor, transport);
        assert_eq!(gap.reason, "epoch");
    }
    let id = server.publish("a", "held");
    for transport in Transport::ALL {
        let (gap, mut follower) = opening_gap(&server, &["a", "b/**"], &cursor, transport);
        assert!(gap.to < id);
        assert_eq!(follower.event().id, id);
    }
}

#[test]
fn ahead_is_told_of_a_position_beyond_the_head() {
    let server = Server::new();
    let id = server.publish("a", "held");
    for transport in Transport::ALL {
        let (gap, mut follower) = opening_gap(&server, &["a"], &ahead(&id), transport);
        assert_eq!(gap.reason, "ahead");
        assert!(gap.to < id, "just before the oldest event held");
        assert_eq!(follower.event().id, id);
    }
}

#[test]
fn unknown_is_told_of_a_position_that_cannot_be_read() {
    let server = Server::new();
    let id = server.publish("a", "held");
    for transport in Transport::ALL {
        for cursor in ["nonsense", "0", "Latest", &"z".repeat(300), &format!("{id}x")] {
            let (gap, mut follower) = opening_gap(&server, &["a"], cursor, transport);
            assert_eq!(gap.reason, "unknown");
            assert!(gap.to < id);
            assert_eq!(follower.event().id, id);
        }
    }
}

#[test]
fn a_foul_cursor_on_an_empty_server_is_a_gap_up_to_the_head() {
    let server = Server::new();
    for transport in Transport::ALL {
        let (gap, mut follower) = opening_gap(&server, &["a"], "nonsense", transport);
        server.publish("a", "x");
        assert_eq!(follower.event().json["data"], "x", "after {gap:?}");
        server.delete("/channels/a").expect(204);
    }
}

#[test]
fn a_gap_of_one_channel_among_several_names_it_and_costs_the_others_nothing() {
    let mut config = config();
    config.policy.default = Class::History(Retention { events: 5, ..Retention::default() });
    let server = Server::start(config);
    let start = server.publish("quiet", "start");
    let mut kept = vec![server.publish("quiet", "between")];
    for i in 0..20 {
        server.publish("busy", i.to_string());
        if i % 10 == 5 {
            kept.push(server.publish("quiet", "in the midst"));
        }
    }
    let busy = server.page("/channels/busy");
    kept.extend(busy["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
    kept.sort_unstable();
    for transport in Transport::ALL {
        let mut follower = Follower::open(&server, &["quiet", "busy"], Some(&start), transport);
        let (mut heard, mut gaps) = (Vec::new(), Vec::new());
        while heard.len() < kept.len() {
            match follower.next() {
                Said::Event(event) => heard.push(event.id),
                Said::Gap(gap) => gaps.push(gap),
                Said::Open { .. } | Said::Position(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, kept, "{transport:?}");
        assert!(!gaps.is_empty());
        for gap in gaps {
            assert_eq!((gap.channel.as_deref(), gap.reason.as_str()), (Some("busy"), "trimmed"), "{transport:?}");
        }
    }
}

#[test]
fn a_cut_after_any_notice_loses_no_other_channel_anything() {
    let mut config = config();
    config.policy.default = Class::History(Retention { events: 5, ..Retention::default() });
    let server = Server::start(config);
    let start = server.publish("quiet", "start");
    let mut kept = vec![server.publish("quiet", "before")];
    for i in 0..20 {
        server.publish("busy", i.to_string());
    }
    kept.push(server.publish("quiet", "after"));
    for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket] {
        // Reads one thing more each time, is cut, and goes on where its cursor is.
        for things in 1..6 {
            let mut follower = Follower::open(&server, &["quiet", "busy"], Some(&start), transport);
            let mut heard = Vec::new();
            for _ in 0..things {
                if let Said::Event(event) = follower.next() {
                    heard.push(event);
                }
            }
            let cursor = follower.cut().unwrap();
            let mut follower = Follower::open(&server, &["quiet", "busy"], Some(&cursor), transport);
            while heard.last().is_none_or(|event| event.id != kept[1]) {
                if let Said::Event(event) = follower.next() {
                    heard.push(event);
                }
            }
            let quiet: Vec<String> =
                heard.into_iter().filter(|event| event.channel == "quiet").map(|event| event.id).collect();
            assert_eq!(quiet, kept, "{transport:?} cut after {things}");
        }
    }
}

/// Reads several channels from `start`, is cut after each number of things, goes on at the cursor, and checks that what
/// is lost was told and what is held was heard: each a channel and an id, in order.
///
/// A reader that is cut between the events of one channel and the gap of another hears of the gap from where it
/// resumed. So up to `to` is lost what it has not heard; `exactly` asks for it after `from` besides.
fn cut_everywhere(
    server: &Server,
    start: &str,
    transports: &[Transport],
    lost: &[(&str, String)],
    held: &[(&str, String)],
    exactly: bool,
) {
    let ids: Vec<&String> = held.iter().map(|(_, id)| id).collect();
    for transport in transports {
        for things in 1..8 {
            let (mut heard, mut gaps, mut cursor) = (Vec::new(), Vec::new(), start.to_owned());
            // Cut after so many things the first time, and then read to the end.
            for most in [things, usize::MAX] {
                let mut follower = Follower::open(server, &["x", "y", "z"], Some(&cursor), *transport);
                follower.limit = 1;
                let mut read = 0;
                while read < most && heard.last() != ids.last().copied() {
                    read += 1;
                    match follower.next() {
                        Said::Event(event) => heard.push(event.id),
                        // What `$open` carries is told too.
                        Said::Gap(gap) | Said::Open { gap: Some(gap), .. } => gaps.push(gap),
                        Said::Open { .. } | Said::Position(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
                cursor = follower.cut().unwrap();
            }
            let told = |channel: &str, id: &str, exactly: bool| {
                let of = |gap: &Gap| gap.channel.as_deref().is_none_or(|of| of == channel);
                let lies = |gap: &Gap| id <= gap.to.as_str() && (!exactly || gap.from.as_str() < id);
                gaps.iter().any(|gap| of(gap) && lies(gap))
            };
            let what = format!("{transport:?} cut after {things}: {gaps:#?}");
            assert_eq!(heard.iter().collect::<Vec<_>>(), ids, "{what}");
            let missed = lost.iter().find(|(channel, id)| !told(channel, id, exactly));
            assert_eq!(missed, None, "a loss is never missed: {what}");
            let excess = held.iter().find(|(channel, id)| told(channel, id, true));
            assert_eq!(excess, None, "what is held is not told as lost: {what}");
        }
    }
}

/// Publishes to channels that hold one event each: a start, and then in this order, in which the last of each channel
/// is held and the others are lost.
fn held_last<'a>(order: &[&'a str]) -> (Server, String, [Vec<(&'a str, String)>; 2]) {
    let mut config = config();
    config.policy.default = Class::History(Retention { events: 1, ..Retention::default() });
    let server = Server::start(config);
    let start = server.publish("x", "start");
    let (mut lost, mut held) = (Vec::new(), Vec::new());
    for (i, channel) in order.iter().enumerate() {
        let id = server.publish(channel, i.to_string());
        let to = if order[i + 1..].contains(channel) { &mut lost } else { &mut held };
        to.push((*channel, id));
    }
    (server, start, [lost, held])
}

#[test]
fn a_cut_between_the_events_of_one_channel_swallows_no_gap_of_another() {
    let orders: [&[&str]; 5] =
        [&["x", "y", "x"], &["x", "y", "x", "x"], &["x", "x", "y", "x", "x"], &["y", "x", "z", "x"], TWO_GAPS];
    for order in orders {
        let (server, start, [lost, held]) = held_last(order);
        cut_everywhere(&server, &start, &Transport::ALL, &lost, &held, false);
    }
}

/// Two channels lose events before and after one of a third.
const TWO_GAPS: &[&str] = &["x", "z", "y", "x", "z", "x", "z"];

#[test]
fn a_cut_swallows_no_gap_and_shortens_none() {
    let (server, start, [lost, held]) = held_last(TWO_GAPS);
    cut_everywhere(&server, &start, &[Transport::Sse, Transport::Stream, Transport::WebSocket], &lost, &held, true);
}

#[test]
fn pages_of_several_channels_shorten_no_gap() {
    let (server, start, [lost, held]) = held_last(&["x", "y", "x", "x"]);
    cut_everywhere(&server, &start, &[Transport::Poll], &lost, &held, true);
}

#[test]
fn a_position_resumes_without_a_gap_where_nothing_was_lost() {
    let mut config = config();
    config.policy.default = Class::History(Retention { events: 5, ..Retention::default() });
    let server = Server::start(config);
    let cursor = server.publish("quiet", "1");
    for i in 0..50 {
        server.publish("busy", i.to_string());
    }
    let next = server.publish("quiet", "2");
    for transport in Transport::ALL {
        let mut follower = Follower::open(&server, &["quiet"], Some(&cursor), transport);
        if transport != Transport::Poll {
            let said = follower.next();
            assert!(matches!(said, Said::Open { recovered: Some(true), gap: None, .. }), "{said:?}");
        }
        assert_eq!(follower.event().id, next);
    }
}

#[test]
fn a_live_reader_of_a_deleted_channel_is_told_on_pages_too() {
    let server = Server::new();
    let first = server.publish("a", "1");
    server.publish("b", "x");
    server.delete("/channels/a").expect(204);
    let page = server.page(&format!("/channels?channel=a&channel=b&since={first}"));
    assert_eq!(page["events"][0]["channel"], "b");
    // The cursor stood at the channel's last event: nothing after it was lost, and being told is not wrong.
    assert!(page.get("gap").is_none_or(|gap| gap["channel"] == json!("a") && gap["reason"] == "deleted"), "{page}");
}
