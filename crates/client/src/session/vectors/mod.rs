//! Plays the conversations of `vectors/sessions` against the client's side of a session: the test is the server, and
//! whoever asks it. Each step is checked: what it makes the client hear and send, and where the client is after it.

mod answers;
mod listening;
mod player;

use player::Player;
use std::panic::{AssertUnwindSafe, catch_unwind};
use switchboard_vectors::sessions::{Case, Step, cases};

/// Plays a conversation. Its name, if the client did not keep to it: what it did instead is printed.
fn failure(case: &Case, over: &str, is_reversed: bool) -> Option<String> {
    let played = catch_unwind(AssertUnwindSafe(|| Player::new(case, over, is_reversed).play()));
    played.err().map(|_| format!("{:?} over {over}", case.name))
}

#[test]
fn the_client_keeps_to_every_conversation_over_every_transport() {
    let (mut failed, mut played) = (Vec::new(), 0);
    for case in cases() {
        let is_of_any_order = case.steps.iter().any(|step| matches!(step, Step::Down(messages) if messages.len() > 1));
        for over in &case.over {
            failed.extend(failure(&case, over, false));
            // What comes in any order comes in the other one, too.
            failed.extend(is_of_any_order.then(|| failure(&case, over, true)).flatten());
            played += 1;
        }
    }
    assert!(failed.is_empty(), "{} of {played} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(played > 200, "{played}");
}
