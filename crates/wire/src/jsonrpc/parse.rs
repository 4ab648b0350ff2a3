//! From bytes to messages.

use super::members::Members;
use super::message::{Invalid, Message};
use super::{Id, Response};
use crate::code::{Code, Problem};
use crate::limits::{BATCH_MAX, DEPTH_MAX};
use serde::Deserializer;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What arrived together.
#[derive(Clone, Debug)]
pub enum Incoming<'a> {
    /// A message, to be answered by itself.
    One(Member<'a>),
    /// Several, whose answers go into one batch (section 6 of the specification).
    Batch(Batch<'a>),
}

/// A message, or JSON that is none.
pub type Member<'a> = Result<Message<'a>, Invalid<'a>>;

/// The members of a batch, at least one and at most [`BATCH_MAX`], each read when it is asked for.
#[derive(Clone, Debug)]
pub struct Batch<'a>(Vec<&'a RawValue>);

impl<'a> Batch<'a> {
    /// The members, in their order.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Member<'a>> + '_ {
        self.0.iter().map(|value| member(value))
    }
}

/// Reads a message or a batch. The text is as long as the caller allows.
///
/// A problem concerns the whole: it is answered with one [`Response::refusal`] under [`Id::NULL`], also where the text
/// begins like a batch.
pub fn parse(text: &[u8]) -> Result<Incoming<'_>, Problem> {
    let broken = |error: serde_json::Error| Code::ParseError.because(error.to_string());
    let text =
        simdutf8::basic::from_utf8(text).map_err(|_| Code::ParseError.because("JSON is UTF-8, and this is not"))?;
    if is_deep(text) {
        return Err(Code::ParseError.because(format!("arrays and objects are nested deeper than {DEPTH_MAX}")));
    }
    match text.trim_start_matches([' ', '\t', '\r', '\n']).as_bytes().first() {
        Some(b'[') => batch(text).map_err(broken)?.map(Incoming::Batch),
        _ => match Members::read(text) {
            Ok(members) => Ok(Incoming::One(members.message())),
            // It may be JSON, and no message all the same.
            Err(_) => serde_json::from_str(text).map(|value| Incoming::One(member(value))).map_err(broken),
        },
    }
}

impl Incoming<'_> {
    /// What a whole that was refused is answered with.
    pub fn refusal(problem: &Problem) -> Response<'static> {
        Response::refusal(Id::NULL, problem)
    }
}

/// What a value that parses is as a message.
fn member(value: &RawValue) -> Member<'_> {
    match Members::read(value.get()) {
        Ok(members) => members.message(),
        Err(_) => Err(Invalid::Request { id: Id::NULL, why: "it is no object, or the name of a member is no text" }),
    }
}

/// Cuts a batch into its members.
fn batch(text: &str) -> Result<Result<Batch<'_>, Problem>, serde_json::Error> {
    struct Few;

    impl<'de> Visitor<'de> for Few {
        type Value = Option<Vec<&'de RawValue>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a batch")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(value) = values.next_element()? {
                if members.len() == BATCH_MAX {
                    // Whether the rest is JSON at all counts for more than its length.
                    while values.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(None);
                }
                members.push(value);
            }
            Ok(Some(members))
        }
    }

    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_seq(Few)?;
    json.end()?;
    Ok(match members {
        None => Err(Code::TooLarge.because(format!("a batch has at most {BATCH_MAX} members"))),
        Some(members) if members.is_empty() => Err(Code::InvalidRequest.because("the batch is empty")),
        Some(members) => Ok(Batch(members)),
    })
}

/// Whether arrays and objects nest deeper than [`DEPTH_MAX`]. It takes the text for JSON, which is seen later.
fn is_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}
