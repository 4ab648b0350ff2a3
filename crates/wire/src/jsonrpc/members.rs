//! An object, taken apart into the members that the specification knows.

use super::message::{Invalid, Message, Notification, Request, Response};
use super::parse::Member;
use super::{ErrorObject, Id, Json, Params};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The members, by [`Key`], as written.
#[derive(Default)]
pub(super) struct Members<'a> {
    values: [Option<&'a RawValue>; 6],
    /// Those that are there more than once.
    twice: [bool; 6],
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Jsonrpc,
    Method,
    Params,
    Id,
    Result,
    Error,
    #[serde(other)]
    Other,
}

impl<'a> Members<'a> {
    /// Fails where the text is no JSON object, or the name of a member is no text.
    pub(super) fn read(text: &'a str) -> Result<Members<'a>, serde_json::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members::default();
                while let Some(key) = map.next_key::<Key>()? {
                    match members.values.get_mut(key as usize) {
                        Some(value) => members.twice[key as usize] |= value.replace(map.next_value()?).is_some(),
                        None => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(members)
            }
        }

        let mut json = serde_json::Deserializer::from_str(text);
        let members = json.deserialize_map(Object)?;
        json.end()?;
        Ok(members)
    }

    /// What the object is as a message.
    pub(super) fn message(&self) -> Member<'a> {
        let is_call = self.get(Key::Method).is_some();
        let is_answer = self.get(Key::Result).or(self.get(Key::Error)).is_some();
        match (is_call, is_answer) {
            (true, false) => self.call().map_err(|why| {
                let id = self.id().ok().flatten().unwrap_or(Id::NULL);
                Invalid::Request { id, why }
            }),
            (false, true) => match self.response() {
                Ok(response) => Ok(Message::Response(response)),
                Err(why) => Err(Invalid::Response { id: self.id().ok().flatten(), why }),
            },
            (false, false) => Err(Invalid::Request { id: Id::NULL, why: "there is no `method`" }),
            (true, true) => {
                Err(Invalid::Request { id: Id::NULL, why: "there is a `method`, and a `result` or an `error`" })
            }
        }
    }

    fn call(&self) -> Result<Message<'a>, &'static str> {
        self.check()?;
        let (id, params) = (self.id()?, self.params()?);
        let method = self.get(Key::Method).and_then(text).ok_or("the `method` is no string")?;
        Ok(match id {
            Some(id) => Message::Request(Request { id, method, params }),
            None => Message::Notification(Notification { method, params }),
        })
    }

    fn response(&self) -> Result<Response<'a>, &'static str> {
        self.check()?;
        let id = self.id()?.ok_or("the answer has no `id`")?;
        let outcome = match (self.get(Key::Result), self.get(Key::Error)) {
            (Some(result), None) => Ok(Json::from(result)),
            (None, Some(error)) => Err(error_object(error)?),
            _ => return Err("the answer has both a `result` and an `error`"),
        };
        Ok(Response { id, outcome })
    }

    /// What holds of any message.
    fn check(&self) -> Result<(), &'static str> {
        if self.twice.contains(&true) {
            return Err("a member is there twice");
        }
        match self.get(Key::Jsonrpc).and_then(text).as_deref() {
            Some("2.0") => Ok(()),
            _ => Err("`jsonrpc` is not the string \"2.0\""),
        }
    }

    fn id(&self) -> Result<Option<Id<'a>>, &'static str> {
        if self.twice[Key::Id as usize] {
            return Err("a member is there twice");
        }
        self.get(Key::Id).map(Id::read).transpose()
    }

    fn params(&self) -> Result<Params<'a>, &'static str> {
        let Some(value) = self.get(Key::Params) else { return Ok(Params::ABSENT) };
        Params::new(value.into()).ok_or("the `params` are neither an array nor an object")
    }

    fn get(&self, key: Key) -> Option<&'a RawValue> {
        self.values.get(key as usize).copied().flatten()
    }
}

/// The text of a string; `None` if the value is no string, or the string no text.
fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

fn error_object(value: &RawValue) -> Result<ErrorObject<'_>, &'static str> {
    #[derive(Deserialize)]
    struct Written<'a> {
        code: i64,
        #[serde(borrow)]
        message: Cow<'a, str>,
        #[serde(borrow, default, deserialize_with = "some")]
        data: Option<&'a RawValue>,
    }

    /// Tells a `null` from a member that is not there.
    fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Some)
    }

    // A struct would be read from an array as well.
    let written = if value.get().starts_with('{') { serde_json::from_str(value.get()).ok() } else { None };
    let Written { code, message, data } =
        written.ok_or("the `error` is no object with a whole `code` and a string as `message`")?;
    Ok(ErrorObject { code, message, data: data.map(Json::from) })
}
