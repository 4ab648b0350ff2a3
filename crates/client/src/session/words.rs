//! What the methods take and answer, and what the notifications say.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What `session` says, and the answer to `POST /session`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Said {
    pub id: String,
    pub location: String,
    pub place: String,
    /// The number of the next message up.
    #[serde(default = "one")]
    pub seq: u64,
    /// How long the session is kept without a connection, in milliseconds.
    #[serde(default)]
    pub linger: Option<u64>,
    /// How often something is heard of a connection that lives, in milliseconds.
    #[serde(default)]
    pub heartbeat: Option<u64>,
    /// When its token ends, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub expires: Option<u64>,
}

/// Whoever has the location is the client: it is kept out of logs.
impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Said").field("id", &self.id).field("place", &self.place).finish_non_exhaustive()
    }
}

fn one() -> u64 {
    1
}

/// A name or a pattern, or an array of them.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

#[derive(Serialize)]
pub(super) struct Subscribe<'a> {
    pub(super) channel: OneOrMore<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) presence: bool,
}

#[derive(Deserialize)]
pub(super) struct Subscribed {
    pub(super) position: String,
    /// What is told here and by no notification.
    pub(super) gap: Option<crate::event::Gap>,
    #[serde(default)]
    pub(super) ended: bool,
}

#[derive(Serialize)]
pub(super) struct Channel<'a> {
    pub(super) channel: &'a str,
}

#[derive(Serialize)]
pub(super) struct Token<'a> {
    pub(super) token: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Positioned {
    pub(super) position: String,
}

#[derive(Deserialize)]
pub(super) struct CaughtUp {
    pub(super) channel: OneOrMore<String>,
    pub(super) position: String,
}

#[derive(Deserialize)]
pub(super) struct End {
    pub(super) channel: String,
}

#[derive(Deserialize)]
pub(super) struct Expires {
    pub(super) expires: u64,
}

/// A page of a long poll.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    pub(super) messages: Vec<&'a serde_json::value::RawValue>,
    pub(super) place: String,
    pub(super) seq: u64,
}
