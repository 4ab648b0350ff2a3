//! What the client makes of answers over HTTP, and of how connections end.

use crate::http::Problem;
use crate::session::{Closing, Next};
use crate::transport::{Cut, Posted};
use std::time::Duration;
use switchboard_vectors::sessions::Answer;
use switchboard_wire::code::TABLE;
use switchboard_wire::websocket::close::Close;

/// An answer that is an error, as the client reads it. Its status is the one of the table.
pub(super) fn problem(answer: &Answer) -> Option<Problem> {
    let name = answer.problem.as_ref()?;
    let row = TABLE.iter().map(|(_, row)| row).find(|row| row.name == name);
    let row = row.unwrap_or_else(|| panic!("the table has no {name}"));
    assert_eq!(answer.status, row.http, "the status of {name}");
    let mut body = answer.with.clone();
    body.extend([("code".to_owned(), name.as_str().into()), ("title".to_owned(), row.sentence.into())]);
    let mut problem: Problem = serde_json::from_value(body.into()).unwrap();
    problem.status = answer.status;
    // The vectors leave open for how long.
    problem.retry_after = answer.fields.iter().any(|(name, _)| name == "retry-after").then_some(7);
    Some(problem)
}

/// The way down, or the opening of a session, was refused so. Whether the session is gone.
pub(super) fn is_gone(problem: &Problem, is_known: bool) -> bool {
    let cut = Cut::of(problem.clone(), is_known);
    let is_read_right = match (problem.code.as_str(), &cut) {
        ("not_found", Cut::Gone) => is_known,
        ("not_found", Cut::Refused(_)) => !is_known,
        // Another connection has the session: the client looks again whether it is there.
        ("stale_attempt", Cut::Lost { wait, .. }) => wait.is_none(),
        ("overloaded", Cut::Lost { wait, .. }) => *wait == problem.retry_after.map(Duration::from_secs),
        // So would a proxy answer that does not know what it was asked.
        ("bad_request", Cut::Unfit(_)) => true,
        ("invalid_parameter" | "method_not_allowed" | "token_expired", Cut::Refused(read)) => **read == *problem,
        _ => false,
    };
    assert!(is_read_right, "{problem:?} is taken for {cut:?}");
    matches!(cut, Cut::Gone)
}

/// A message was refused so on its way up. Whether the session is gone.
pub(super) fn is_gone_up(problem: &Problem) -> bool {
    let posted = Posted::of(problem.clone());
    let is_read_right = match (problem.code.as_str(), &posted) {
        ("not_found", Posted::Gone) => true,
        ("out_of_order", Posted::Expected(seq)) => Some(*seq) == problem.expected,
        ("too_large" | "invalid_parameter", Posted::Refused(read)) => read == problem,
        _ => false,
    };
    assert!(is_read_right, "{problem:?} is taken for {posted:?}");
    matches!(posted, Posted::Gone)
}

/// The server closed the connection after it said so. Over a WebSocket the code alone says the same.
pub(super) fn closed(said: &Closing, code: Option<u16>) {
    let (next, renewing) = match said.code.as_str() {
        "stale_attempt" => (Next::Again, Next::Again),
        "session_full" => (Next::Again, Next::Again),
        "session_ended" => (Next::Over, Next::Over),
        "token_expired" | "token_revoked" => (Next::Over, Next::Anew),
        other => panic!("what is to be done after {other}?"),
    };
    assert_eq!((said.next(false), said.next(true)), (next, renewing), "after {said:?}");
    let Some(code) = code else { return };
    let row = TABLE.iter().map(|(_, row)| row).find(|row| row.name == said.code).unwrap();
    assert_eq!(code, row.close, "the close code of {}", row.name);
    for (renews, next) in [(false, next), (true, renewing)] {
        let alone = Closing::of(&Close { code: Some(code), reason: "".into() });
        assert_eq!(alone.map_or(Next::Again, |alone| alone.next(renews)), next, "after {code}");
    }
}
