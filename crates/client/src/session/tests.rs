//! What the documents say of a session, message by message.

use super::*;
use serde_json::{Value, json};

fn opened() -> Session {
    let mut session = Session::default();
    session.opened(said("s1", "0.p0", 1)).unwrap();
    session
}

fn said(id: &str, place: &str, seq: u64) -> Said {
    let said = json!({"id": id, "location": format!("/session/{id}.k"), "place": place, "seq": seq});
    serde_json::from_value(said).unwrap()
}

fn notice(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

fn event(id: &str) -> String {
    notice("event", json!({"id": id, "channel": "a", "data": id, "time": 1}))
}

fn answer(id: u64, result: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
}

/// The next message up: its number, and what it says.
fn up(session: &mut Session) -> Option<(u64, Value)> {
    session.next_up(0).map(|(number, text)| (number, serde_json::from_slice(&text).unwrap()))
}

fn happened(session: &mut Session) -> Vec<Happening> {
    std::iter::from_fn(|| session.happening()).collect()
}

/// Somebody listens to `a`, and is live.
fn listening(session: &mut Session) -> ListenerId {
    let listener = session.listen("a", None, false).unwrap();
    let (_, call) = up(session).unwrap();
    assert_eq!((&call["method"], &call["params"]), (&json!("subscribe"), &json!({"channel": "a"})));
    let id = call["id"].as_u64().unwrap();
    session.received(answer(id, json!({"position": "p1"})).as_bytes(), None, 0).unwrap();
    session.received(notice("caught_up", json!({"channel": "a", "position": "p1"})).as_bytes(), None, 0).unwrap();
    assert!(matches!(happened(session)[..], [Happening::Granted { listener: granted, .. }] if granted == listener));
    listener
}

#[test]
fn the_place_moves_with_each_lane() {
    let mut session = opened();
    listening(&mut session);
    for (text, place) in [
        (event("p2"), "1.p2"),
        (notice("event", json!({"id": "p3", "position": "p3.q1", "channel": "b", "data": 1, "time": 1})), "1.p3.q1"),
        (notice("gap", json!({"from": "p3", "to": "p9", "reason": "trimmed"})), "1.p9"),
        (notice("position", json!({"position": "p11"})), "1.p11"),
        (notice("end", json!({"channel": "x"})), "1.p11"),
        (notice("closing", json!({"code": "draining", "reason": "Bye.", "reconnect": true})), "1.p11"),
        (notice("news", json!([1])), "2.p11"),
        (notice("subscribed", json!({"channel": "b", "position": "p12"})), "3.p12"),
        ("[]".replace("[]", &format!("[{}]", answer(99, json!(1)))), "4.p12"),
    ] {
        session.received(text.as_bytes(), None, 0).unwrap();
        assert_eq!(session.place().to_string(), place, "{text}");
    }
    session.received(notice("news", json!([2])).as_bytes(), Some("5.p20"), 0).unwrap();
    assert_eq!(session.place().to_string(), "5.p20", "what the transport says counts");
    // What no address can have is not taken for a position.
    for foul in ["p 21", "p21&since=0", "../p21"] {
        session.received(notice("position", json!({"position": foul})).as_bytes(), None, 0).unwrap_err();
        session.received(event(foul).as_bytes(), None, 0).unwrap_err();
        assert_eq!(session.place().to_string(), "5.p20", "{foul}");
    }
}

#[test]
fn control_that_came_before_is_passed_over_and_a_hole_is_told() {
    let mut session = opened();
    session.received(notice("one", json!([])).as_bytes(), None, 0).unwrap();
    session.received(notice("two", json!([])).as_bytes(), None, 0).unwrap();
    assert_eq!(happened(&mut session).len(), 2);
    session.attempt();
    // The server begins earlier than the client has got.
    let again =
        serde_json::to_value(json!({"id": "s1", "location": "/session/s1.k", "place": "1.p0", "seq": 1})).unwrap();
    session.received(notice("session", again).as_bytes(), None, 0).unwrap();
    for (method, heard) in [("two", 0), ("three", 1)] {
        session.received(notice(method, json!([])).as_bytes(), None, 0).unwrap();
        assert_eq!(happened(&mut session).len(), heard, "{method}");
    }
    assert!(session.received(notice("five", json!([])).as_bytes(), Some("5.p0"), 0).is_err());
    assert!(session.received(b"no JSON", None, 0).is_err());
}

#[test]
fn a_page_is_messages_and_the_place_after_them() {
    let mut session = opened();
    listening(&mut session);
    let page = |place: &str| {
        format!(r#"{{"messages":[{},{}],"place":"{place}","seq":2}}"#, event("p2"), notice("news", json!([])))
    };
    let mut heard = 0;
    session.received_page(page("2.p5").as_bytes(), 0, |session| heard += happened(session).len()).unwrap();
    assert_eq!((heard, session.place().to_string()), (2, "2.p5".to_owned()));
    assert!(session.received_page(page("9.p5").as_bytes(), 0, |_| ()).is_err(), "it says more than it holds");
}

#[test]
fn what_is_missed_is_for_who_missed_it() {
    let mut session = opened();
    let live = listening(&mut session);
    session.received(event("p2").as_bytes(), None, 0).unwrap();
    happened(&mut session);
    let late = session.listen("a", Some("p1".into()), false).unwrap();
    let (_, call) = up(&mut session).unwrap();
    assert_eq!(call["params"], json!({"channel": "a", "since": "p1"}));
    let gap = json!({"channel": "a", "from": "p0", "to": "p1", "reason": "trimmed"});
    let granted = answer(call["id"].as_u64().unwrap(), json!({"position": "p1", "recovered": false, "gap": gap}));
    session.received(granted.as_bytes(), None, 0).unwrap();
    let heard = happened(&mut session);
    assert!(
        matches!(&heard[1], Happening::Heard { listeners, item: Item::Gap(_) } if *listeners == [late]),
        "{heard:?}"
    );
    for (text, hears) in [
        (event("p2"), vec![late]),
        (notice("caught_up", json!({"channel": "a", "position": "p2"})), vec![]),
        (event("p3"), vec![live, late]),
    ] {
        session.received(text.as_bytes(), None, 0).unwrap();
        let heard: Vec<ListenerId> = happened(&mut session)
            .into_iter()
            .flat_map(|happening| match happening {
                Happening::Heard { listeners, .. } => listeners,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(heard, hears, "{text}");
    }
}

#[test]
fn a_lost_session_is_subscribed_to_anew_where_each_was() {
    let mut session = opened();
    listening(&mut session);
    session.received(event("p5").as_bytes(), None, 0).unwrap();
    session.listen("b", Some("p2".into()), false).unwrap();
    let id = up(&mut session).unwrap().1["id"].as_u64().unwrap();
    session.received(answer(id, json!({"position": "p2"})).as_bytes(), None, 0).unwrap();
    session.received(event("p3").replace("\"a\"", "\"b\"").as_bytes(), None, 0).unwrap();
    session.lost();
    assert!(up(&mut session).is_none(), "there is nobody to say it to");
    session.opened(said("s2", "0.r9", 1)).unwrap();
    let (number, first) = up(&mut session).unwrap();
    assert_eq!((number, &first["params"]), (1, &json!({"channel": "a", "since": "p5"})));
    let id = first["id"].as_u64().unwrap();
    session.received(answer(id, json!({"position": "r1"})).as_bytes(), None, 0).unwrap();
    assert!(up(&mut session).is_none(), "one catches up at a time");
    session.received(notice("caught_up", json!({"channel": "a", "position": "r9"})).as_bytes(), None, 0).unwrap();
    assert_eq!(up(&mut session).unwrap().1["params"], json!({"channel": "b", "since": "p3"}));
}

#[test]
fn all_that_was_live_is_asked_for_in_one_call_and_alone_if_that_is_refused() {
    let mut session = opened();
    let first = listening(&mut session);
    let second = session.listen("b/*", Some("p1".into()), false).unwrap();
    let ids =
        |session: &mut Session| up(session).map(|(_, call)| (call["id"].as_u64().unwrap(), call["params"].clone()));
    let (id, _) = ids(&mut session).unwrap();
    session.received(answer(id, json!({"position": "p1"})).as_bytes(), None, 0).unwrap();
    session.received(notice("caught_up", json!({"channel": "b/*", "position": "p1"})).as_bytes(), None, 0).unwrap();
    session.lost();
    session.opened(said("s2", "0.r9", 1)).unwrap();
    happened(&mut session);
    let (id, params) = ids(&mut session).unwrap();
    assert_eq!(params, json!({"channel": ["a", "b/*"], "since": "p1"}));
    assert_eq!(session.deadline(0), None, "there is nothing to wait for");
    let refusal = json!({"jsonrpc": "2.0", "id": id, "error": {"code": 40300, "message": "no"}}).to_string();
    session.received(refusal.as_bytes(), None, 0).unwrap();
    assert!(happened(&mut session).is_empty(), "it is not said of which");
    let (id, params) = ids(&mut session).unwrap();
    assert_eq!(params, json!({"channel": "a", "since": "p1"}));
    session.received(answer(id, json!({"position": "r1"})).as_bytes(), None, 0).unwrap();
    session.received(event("r2").as_bytes(), None, 0).unwrap();
    assert!(matches!(&happened(&mut session)[..], [Happening::Heard { listeners, .. }] if *listeners == [first]));
    session.received(notice("caught_up", json!({"channel": "a", "position": "r9"})).as_bytes(), None, 0).unwrap();
    let (id, params) = ids(&mut session).unwrap();
    assert_eq!(params, json!({"channel": "b/*", "since": "p1"}));
    let refusal = json!({"jsonrpc": "2.0", "id": id, "error": {"code": 40300, "message": "no"}}).to_string();
    session.received(refusal.as_bytes(), None, 0).unwrap();
    assert!(matches!(happened(&mut session)[..], [Happening::Refused { listener, .. }] if listener == second));
}

#[test]
fn a_lost_session_fails_what_may_have_been_done_and_repeats_what_may_be() {
    let mut session = opened();
    let once = session.call("transfer", Params::ABSENT, false, None);
    let safe = session.call("history", Params::ABSENT, true, None);
    session.notify("said", Params::ABSENT);
    (0..3).for_each(|_| drop(up(&mut session)));
    let unsent = session.call("later", Params::ABSENT, false, None);
    session.lost();
    assert!(matches!(happened(&mut session)[..], [Happening::Failed { call, error: Error::Lost }] if call == once));
    session.opened(said("s2", "0.p0", 1)).unwrap();
    let ids: Vec<_> =
        std::iter::from_fn(|| up(&mut session)).map(|(number, call)| (number, call["id"].clone())).collect();
    assert_eq!(ids, [(1, json!(safe)), (2, json!(unsent))]);
}

#[test]
fn calls_end_by_their_time_and_late_answers_do_no_harm() {
    let mut session = opened();
    let call = session.call("slow", Params::ABSENT, false, Some(100));
    up(&mut session);
    assert_eq!(session.deadline(0), Some(100));
    session.tick(99);
    assert!(happened(&mut session).is_empty());
    session.tick(100);
    assert!(matches!(happened(&mut session)[..], [Happening::Failed { error: Error::TimedOut, .. }]));
    for _ in 0..2 {
        session.received(answer(call, json!(1)).as_bytes(), None, 0).unwrap();
    }
    assert!(happened(&mut session).is_empty());
    // One that was never sent is not sent any more.
    session.call("slow", Params::ABSENT, false, Some(200));
    session.tick(200);
    assert!(up(&mut session).is_none());
}

#[test]
fn too_much_that_is_unconfirmed_is_asked_after() {
    let mut session = opened();
    (0..UNCONFIRMED).for_each(|_| session.notify("said", Params::ABSENT));
    let sent: Vec<(u64, Value)> = std::iter::from_fn(|| up(&mut session)).collect();
    let (last, ping) = sent.last().unwrap();
    assert_eq!((*last, &ping["method"]), (UNCONFIRMED as u64 + 1, &json!("ping")));
    session.received(answer(ping["id"].as_u64().unwrap(), json!({"time": 1})).as_bytes(), None, 0).unwrap();
    assert_eq!(session.outbox.held(), (0, 0));
}

#[test]
fn a_listener_alone_on_the_way_up_acknowledges_now_and_then() {
    let mut session = opened();
    for n in 1..UNACKNOWLEDGED.0 {
        session.received(notice("news", json!([n])).as_bytes(), None, 0).unwrap();
        assert_eq!(session.acknowledgement(), None);
    }
    session.received(notice("news", json!(["x".repeat(10)])).as_bytes(), None, 0).unwrap();
    assert_eq!(session.acknowledgement(), Some(UNACKNOWLEDGED.0));
    session.acknowledged(UNACKNOWLEDGED.0);
    assert_eq!(session.acknowledgement(), None);
    session.received(notice("news", json!(["x".repeat(UNACKNOWLEDGED.1)])).as_bytes(), None, 0).unwrap();
    assert!(session.acknowledgement().is_some());
}

#[test]
fn the_location_is_not_in_what_is_printed() {
    assert!(!format!("{:?}", opened()).contains("/session/"));
}

#[test]
fn the_last_to_leave_unsubscribes() {
    let mut session = opened();
    let first = listening(&mut session);
    let second = session.listen("a", None, false).unwrap();
    let id = up(&mut session).unwrap().1["id"].as_u64().unwrap();
    session.received(answer(id, json!({"position": "p1"})).as_bytes(), None, 0).unwrap();
    session.received(notice("caught_up", json!({"channel": "a", "position": "p1"})).as_bytes(), None, 0).unwrap();
    session.leave(first);
    assert!(up(&mut session).is_none());
    session.leave(second);
    assert_eq!(up(&mut session).unwrap().1["method"], "unsubscribe");
}
