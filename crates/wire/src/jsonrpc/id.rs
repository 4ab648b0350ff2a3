//! What an answer is known by.

use super::Json;
use crate::limits::ID_MAX;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The id of a request and of its answer: a string, a number or null, as it was written. Two ids are equal if they are
/// written alike: a peer hands an id back, and has no reason to write it anew.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Id<'a>(Cow<'a, str>);

impl<'a> Id<'a> {
    /// What is answered where the request's id could not be read.
    pub const NULL: Id<'static> = Id(Cow::Borrowed("null"));

    /// A string; `None` if it is longer than [`ID_MAX`] when it is written.
    pub fn string(text: &str) -> Option<Id<'static>> {
        let written = Json::of(text).ok()?;
        (written.as_str().len() <= ID_MAX).then(|| Id(Cow::Owned(written.as_str().to_owned())))
    }

    /// Takes a value for an id, if it is one.
    pub(super) fn read(value: &'a RawValue) -> Result<Id<'a>, &'static str> {
        let written = value.get();
        match written.as_bytes().first() {
            Some(b'"' | b'-' | b'0'..=b'9' | b'n') if written.len() <= ID_MAX => Ok(Id(Cow::Borrowed(written))),
            Some(b'"' | b'-' | b'0'..=b'9') => Err("the id is longer than 255 bytes"),
            _ => Err("the id is neither a string nor a number nor null"),
        }
    }

    /// The JSON value, as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// The number, if it is written as a whole one: what [`From<u64>`](Id::from) made.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The same, to be kept.
    pub fn into_owned(self) -> Id<'static> {
        Id(Cow::Owned(self.0.into_owned()))
    }
}

impl From<u64> for Id<'static> {
    fn from(number: u64) -> Id<'static> {
        Id(Cow::Owned(number.to_string()))
    }
}
