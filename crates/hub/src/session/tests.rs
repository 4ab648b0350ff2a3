//! What a session does, one thing at a time.

use super::*;
use serde_json::{Value, json};

const LIMITS: Limits = Limits { memory: 4096, linger: 30_000, calls: 4, call_timeout: 10_000, ahead: 3, hole: 500 };

fn session() -> Session {
    let mut session = Session::new(LIMITS, 0);
    session.attach(Some(1)).unwrap();
    session
}

fn happened(session: &mut Session) -> Vec<Happening> {
    std::iter::from_fn(|| session.happening()).collect()
}

/// The control messages after a number, with their numbers.
fn down(session: &Session, after: u64) -> Vec<(u64, Value)> {
    session.unacknowledged(after).map(|(number, text)| (number, serde_json::from_slice(text).unwrap())).collect()
}

fn up(session: &mut Session, seq: Option<u64>, text: &str, now: u64) -> Arrival {
    session.arrive(seq, Bytes::copy_from_slice(text.as_bytes()), now).unwrap()
}

fn note(method: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\"}}")
}

fn request(id: &str, method: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"id\":{id}}}")
}

fn notified(method: &str) -> Happening {
    Happening::Notified { method: method.to_owned(), params: Params::ABSENT }
}

fn called(ticket: u64, method: &str) -> Happening {
    Happening::Called { ticket, method: method.to_owned(), params: Params::ABSENT }
}

fn one() -> Result<Json<'static>, ErrorObject<'static>> {
    Ok(Json::parse("1").unwrap())
}

#[test]
fn control_is_kept_until_it_is_acknowledged() {
    let mut session = session();
    for method in ["a", "b", "c"] {
        session.notify(method, Params::ABSENT).unwrap();
    }
    assert_eq!(down(&session, 0).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(down(&session, 2), [(3, json!({"jsonrpc": "2.0", "method": "c"}))]);
    session.acknowledge(4);
    assert_eq!(down(&session, 0).len(), 3, "a number that was never given drops nothing");
    session.acknowledge(2);
    session.acknowledge(1);
    assert_eq!(down(&session, 0).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3]);
    session.acknowledge(3);
    assert_eq!((down(&session, 0).len(), session.memory()), (0, 0));
    session.notify("d", Params::ABSENT).unwrap();
    assert_eq!(down(&session, 0)[0].0, 4);
}

#[test]
fn a_client_that_takes_nothing_loses_its_session_and_all_who_wait_are_told() {
    let mut session = session();
    let call = session.call("ask", Params::ABSENT, 1_000, 0).unwrap();
    assert_eq!(up(&mut session, Some(2), &note("late"), 0), Arrival::Held);
    let long = Json::of(&"x".repeat(500)).unwrap();
    let params = Params::new(Json::of(&[long.as_str()]).unwrap()).unwrap();
    let said = (0..100).take_while(|_| session.notify("n", params.clone()).is_ok()).count();
    assert_eq!(said, 7, "the seventh is one too many, and the eighth finds no session");
    let expected = [Happening::Failed { call, problem: Code::SessionFull.into() }, Happening::Ended(Code::SessionFull)];
    assert_eq!(happened(&mut session), expected);
    assert_eq!((session.memory(), session.deadline()), (0, None));
    assert_eq!(session.attach(None).unwrap_err().code, Code::NotFound);
    assert_eq!(session.arrive(None, Bytes::new(), 0).unwrap_err().code, Code::NotFound);
    session.end(Code::Internal);
    assert_eq!(session.happening(), None, "it ends once");
}

#[test]
fn a_rising_attempt_takes_over_and_a_stale_one_is_refused() {
    let mut session = Session::new(LIMITS, 0);
    assert_eq!(session.attach(Some(5)), Ok(1));
    for stale in [5, 4, 0] {
        assert_eq!(session.attach(Some(stale)).unwrap_err().code, Code::StaleAttempt, "{stale}");
    }
    assert_eq!(session.attach(None), Ok(2), "one without a number is the newest");
    session.detach(1, 0);
    assert_eq!(session.deadline(), None, "the end of a connection that was taken over changes nothing");
    session.detach(2, 0);
    assert_eq!(session.deadline(), Some(30_000));
    assert_eq!(session.attach(Some(6)), Ok(3), "one without a number takes none");
    assert_eq!(session.attach(Some(u64::MAX)), Ok(4));
    assert_eq!(session.attach(None), Ok(5));
}

#[test]
fn a_session_that_was_dropped_is_taken_up_again_or_gone_after_the_time() {
    let mut session = session();
    session.notify("a", Params::ABSENT).unwrap();
    session.detach(1, 1_000);
    session.tick(30_999);
    assert_eq!(session.attach(Some(2)), Ok(2));
    assert_eq!(down(&session, 0).len(), 1);
    session.tick(99_999);
    session.detach(2, 100_000);
    session.tick(130_000);
    assert_eq!(happened(&mut session), [Happening::Ended(Code::NotFound)]);
    assert_eq!(session.memory(), 0);

    let mut unused = Session::new(LIMITS, 0);
    unused.tick(30_000);
    assert_eq!(happened(&mut unused), [Happening::Ended(Code::NotFound)], "one that nobody ever came for, too");
}

#[test]
fn numbered_requests_are_applied_once_and_in_order() {
    let mut session = session();
    assert_eq!(up(&mut session, Some(2), &note("b"), 0), Arrival::Held);
    assert_eq!(up(&mut session, Some(2), &note("b"), 0), Arrival::Held);
    assert_eq!(up(&mut session, Some(3), &note("c"), 100), Arrival::Held);
    assert_eq!(happened(&mut session), []);
    assert_eq!(up(&mut session, Some(1), &note("a"), 200), Arrival::Applied);
    let applied = |seq| Happening::Applied { seq };
    assert_eq!(happened(&mut session), [notified("a"), applied(2), notified("b"), applied(3), notified("c")]);
    for again in [3, 1, 2] {
        assert_eq!(up(&mut session, Some(again), &note("x"), 300), Arrival::Applied);
    }
    assert_eq!(up(&mut session, None, &note("d"), 300), Arrival::Applied, "one without a number comes as it comes");
    assert_eq!(happened(&mut session), [notified("d")]);
    assert_eq!((session.memory(), session.deadline()), (0, None));
}

#[test]
fn a_hole_is_waited_for_within_bounds_and_then_the_client_is_told_where_to_go_on() {
    let mut session = session();
    for (seq, now) in [(3, 0), (4, 100), (5, 200)] {
        assert_eq!(up(&mut session, Some(seq), &note("x"), now), Arrival::Held);
    }
    assert_eq!(up(&mut session, Some(6), &note("x"), 200), Arrival::Conflict { expected: 1 }, "three are enough");
    assert_eq!(session.deadline(), Some(500));
    session.tick(499);
    assert_eq!(happened(&mut session), []);
    session.tick(600);
    let refused = |seq| Happening::Refused { seq, expected: 1 };
    assert_eq!(happened(&mut session), [refused(3), refused(4)]);
    assert_eq!(up(&mut session, Some(7), &"x".repeat(2_000), 600), Arrival::Conflict { expected: 1 }, "it is too long");
    assert_eq!(up(&mut session, Some(2), &note("b"), 600), Arrival::Held);
    assert_eq!(up(&mut session, Some(1), &note("a"), 600), Arrival::Applied);
    assert_eq!(up(&mut session, Some(3), &note("c"), 600), Arrival::Applied, "what was given up comes again");
    let applied = |seq| Happening::Applied { seq };
    assert_eq!(happened(&mut session), [notified("a"), applied(2), notified("b"), notified("c")]);
    assert_eq!(up(&mut session, Some(4), &note("d"), 600), Arrival::Applied);
    assert_eq!(happened(&mut session), [notified("d"), applied(5), notified("x")], "the fifth was still held");
}

#[test]
fn a_call_is_answered_once() {
    let mut session = session();
    let call = session.call("ask", Params::ABSENT, 1_000, 0).unwrap();
    let sent = down(&session, 0);
    assert_eq!(sent, [(1, json!({"jsonrpc": "2.0", "id": call, "method": "ask"}))]);
    let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{call},\"result\":1}}");
    for _ in 0..2 {
        up(&mut session, None, &answer, 10);
    }
    up(&mut session, None, "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":1}", 10);
    up(&mut session, None, "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":1}", 10);
    assert_eq!(happened(&mut session), [Happening::Answered { call, outcome: one() }]);
    assert_eq!(down(&session, 1), [], "what is no answer of ours is not answered");
}

#[test]
fn a_call_that_is_not_answered_fails_in_time_and_one_that_is_answered_badly_at_once() {
    let mut session = session();
    let (a, b) = (session.call("a", Params::ABSENT, 1_000, 0), session.call("b", Params::ABSENT, 2_000, 0));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_ne!(a, b);
    session.tick(1_000);
    assert_eq!(happened(&mut session), [Happening::Failed { call: a, problem: Code::CallTimeout.into() }]);
    up(&mut session, None, &format!("{{\"jsonrpc\":\"2.0\",\"id\":{a},\"result\":1}}"), 1_100);
    up(&mut session, None, &format!("{{\"jsonrpc\":\"2.0\",\"id\":{b},\"result\":1,\"error\":null}}"), 1_100);
    let failed = happened(&mut session);
    assert!(
        matches!(&failed[..], [Happening::Failed { call, problem }] if *call == b && problem.code == Code::ApplicationFailed)
    );
    for _ in 0..4 {
        session.call("c", Params::ABSENT, 1_000, 1_100).unwrap();
    }
    assert_eq!(session.call("d", Params::ABSENT, 1_000, 1_100).unwrap_err().code, Code::Overloaded);
}

#[test]
fn the_clients_calls_are_answered_once_under_its_ids() {
    let mut session = session();
    for id in ["\"a\"", "null", "1.50", "1.50"] {
        up(&mut session, None, &request(id, "m"), 0);
    }
    up(&mut session, None, &request("9", "m"), 0);
    assert_eq!(happened(&mut session), [1, 2, 3, 4].map(|ticket| called(ticket, "m")));
    assert_eq!(down(&session, 0)[0].1["error"]["code"], json!(50300), "four are enough");
    assert!(session.answer(2, one()) && session.answer(1, one()));
    assert!(!session.answer(1, one()) && !session.answer(99, one()));
    session.tick(10_000);
    assert!(!session.answer(3, one()));
    let ids: Vec<Value> = down(&session, 1).into_iter().map(|(_, answer)| answer["id"].clone()).collect();
    assert_eq!(ids, [json!(null), json!("a"), json!(1.5), json!(1.5)]);
    assert_eq!(down(&session, 3)[0].1["error"]["code"], json!(50400));
}

#[test]
fn a_batch_is_answered_with_a_batch_once_all_of_it_is() {
    let mut session = session();
    up(&mut session, None, &format!("[{},{},1,{}]", request("1", "a"), note("n"), request("2", "b")), 0);
    assert_eq!(happened(&mut session), [called(1, "a"), notified("n"), called(2, "b")]);
    session.answer(2, one());
    assert_eq!(down(&session, 0), []);
    session.answer(1, one());
    let sent = down(&session, 0);
    let ids: Vec<&Value> = sent[0].1.as_array().unwrap().iter().map(|answer| &answer["id"]).collect();
    assert_eq!((sent.len(), ids), (1, vec![&json!(null), &json!(2), &json!(1)]));

    up(&mut session, None, &format!("[{}]", note("n")), 0);
    assert_eq!(down(&session, 1), [], "notifications are not answered");
    up(&mut session, None, "[1]", 0);
    up(&mut session, None, "[]", 0);
    up(&mut session, None, "[", 0);
    let codes: Vec<Value> = down(&session, 1).into_iter().map(|(_, answer)| answer).collect();
    assert_eq!(codes[0][0]["error"]["code"], json!(-32600));
    assert_eq!([&codes[1], &codes[2]].map(|answer| answer["error"]["code"].clone()), [json!(-32600), json!(-32700)]);
    session.acknowledge(4);
    assert_eq!(session.memory(), 0);
}
