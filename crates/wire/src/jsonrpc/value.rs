//! Values that are kept as they were written.

use crate::code::{Code, Problem};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;

/// A JSON value as it was written, number formats and the order of members included. Two are equal if they are written
/// alike.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Json<'a>(Cow<'a, str>);

impl<'a> Json<'a> {
    /// The value that the text is, without what is blank around it; `None` if it is none.
    pub fn parse(text: &'a str) -> Option<Json<'a>> {
        serde_json::from_str::<&RawValue>(text).ok().map(Json::from)
    }

    /// The value as JSON. It fails where JSON has no such value, such as a map with keys that are no strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Json<'static>, serde_json::Error> {
        to_raw_value(value).map(|raw| Json(Cow::Owned(String::from(Box::<str>::from(raw)))))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the value says.
    pub fn read<'b, T: Deserialize<'b>>(&'b self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// The same, to be kept.
    pub fn into_owned(self) -> Json<'static> {
        Json(Cow::Owned(self.0.into_owned()))
    }

    fn is_structured(&self) -> bool {
        self.0.starts_with(['[', '{'])
    }
}

impl From<&serde_json::Value> for Json<'static> {
    fn from(value: &serde_json::Value) -> Json<'static> {
        Json(Cow::Owned(value.to_string()))
    }
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(raw: &'a RawValue) -> Json<'a> {
        Json(Cow::Borrowed(raw.get()))
    }
}

/// As it was written, where it becomes part of something else.
impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json<'static>, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Json(Cow::Owned(Box::<str>::from(raw).into())))
    }
}

/// What a method is called with: an array (by position), an object (by name), or nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Params<'a>(Option<Json<'a>>);

impl<'a> Params<'a> {
    /// None at all: the member is not there.
    pub const ABSENT: Params<'static> = Params(None);

    /// `None` if the value is neither an array nor an object.
    pub fn new(value: Json<'a>) -> Option<Params<'a>> {
        value.is_structured().then_some(Params(Some(value)))
    }

    /// As written; `None` if they are absent.
    pub fn as_json(&self) -> Option<&Json<'a>> {
        self.0.as_ref()
    }

    /// What the params say. A struct can be given by name or, in the order of its fields, by position. Absent ones are
    /// read as an object without members.
    pub fn read<'b, T: Deserialize<'b>>(&'b self) -> Result<T, Problem> {
        let text = self.0.as_ref().map_or("{}", Json::as_str);
        serde_json::from_str(text).map_err(|error| {
            // Where in the params it is says little to a caller that had a library write them.
            let text = error.to_string();
            Code::InvalidParams.because(text.split(" at line ").next().unwrap_or_default().to_owned())
        })
    }

    /// The same, to be kept.
    pub fn into_owned(self) -> Params<'static> {
        Params(self.0.map(Json::into_owned))
    }
}
