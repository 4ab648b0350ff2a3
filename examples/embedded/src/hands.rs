//! The hands that are up. Nothing in here knows of axum, and of Switchboard only how to publish.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use switchboard::Publisher;
use switchboard::application::{Code, ErrorObject, Problem, Taken};

/// Where the count is told whenever it changes.
pub(crate) const CHANNEL: &str = "hands";

/// The params of `raise`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hand {
    /// What it is raised for.
    answer: String,
}

/// How many hands are up for what.
#[derive(Serialize)]
pub(crate) struct Count {
    answers: BTreeMap<String, usize>,
}

/// Who has a hand up, and for what.
#[derive(Debug, Default)]
pub struct Hands {
    up: Mutex<BTreeMap<String, String>>,
    publisher: OnceLock<Publisher>,
}

impl Hands {
    pub(crate) fn publish_by(&self, publisher: Publisher) {
        // Said once, at the start.
        let _ = self.publisher.set(publisher);
    }

    /// Puts up a hand, in place of the one that its owner had up before.
    pub(crate) async fn raise(&self, who: Option<&str>, hand: Hand) -> Result<Count, ErrorObject<'static>> {
        let who = who.ok_or_else(|| refusal(Code::Unauthorized, "say your name first"))?;
        if !["yes", "no"].contains(&&*hand.answer) {
            return Err(refusal(Code::InvalidParams, "the answer is `yes` or `no`"));
        }
        self.up.lock().unwrap_or_else(PoisonError::into_inner).insert(who.to_owned(), hand.answer);
        let count = self.count();
        if let Some(publisher) = self.publisher.get() {
            publisher.publish(CHANNEL, None, &count).await.map_err(|problem| ErrorObject::from(&problem))?;
        }
        Ok(count)
    }

    pub(crate) fn count(&self) -> Count {
        let mut answers = BTreeMap::new();
        for answer in self.up.lock().unwrap_or_else(PoisonError::into_inner).values() {
            *answers.entry(answer.clone()).or_default() += 1;
        }
        Count { answers }
    }
}

/// Whether a client may publish to a channel.
pub(crate) fn may_publish(channel: &str) -> Result<Taken, ErrorObject<'static>> {
    match channel {
        CHANNEL => Err(refusal(Code::Forbidden, "raise your hand instead")),
        _ => Ok(Taken::AsItIs),
    }
}

fn refusal(code: Code, why: &'static str) -> ErrorObject<'static> {
    let problem: Problem = code.because(why);
    (&problem).into()
}
