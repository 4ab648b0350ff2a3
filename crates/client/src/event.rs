//! What a subscription brings.

use crate::error::RpcError;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::sync::Arc;
use switchboard_wire::event::from_base64;

/// An event, as the server named it.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub channel: String,
    /// Its type, if it was given one.
    pub event: Option<String>,
    pub data: Data,
    /// Milliseconds since the Unix epoch, by the server's clock.
    pub time: u64,
    /// The content type, where the data does not imply it.
    pub content_type: Option<String>,
    position: Option<String>,
}

/// The data of an event.
#[derive(Clone, Debug)]
pub enum Data {
    /// JSON as it was published; text is a string.
    Json(Box<RawValue>),
    /// Anything else.
    Bytes(Bytes),
}

impl Event {
    /// The position after it: what `since` takes.
    pub fn position(&self) -> &str {
        self.position.as_deref().unwrap_or(&self.id)
    }

    /// What the data says. Bytes say nothing that JSON could read.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        match &self.data {
            Data::Json(json) => serde_json::from_str(json.get()),
            Data::Bytes(bytes) => serde_json::from_slice(bytes),
        }
    }

    /// The data as bytes: text as its UTF-8, JSON as it is written.
    pub fn bytes(&self) -> Bytes {
        match &self.data {
            Data::Json(json) => match serde_json::from_str::<String>(json.get()) {
                Ok(text) => text.into(),
                Err(_) => Bytes::copy_from_slice(json.get().as_bytes()),
            },
            Data::Bytes(bytes) => bytes.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Event, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            id: String,
            channel: String,
            event: Option<String>,
            #[serde(default, deserialize_with = "present")]
            data: Option<Box<RawValue>>,
            base64: Option<String>,
            time: u64,
            #[serde(rename = "type")]
            content_type: Option<String>,
            position: Option<String>,
        }

        let Written { id, channel, event, data, base64, time, content_type, position } =
            Written::deserialize(deserializer)?;
        let data = match (data, base64) {
            (Some(json), None) => Data::Json(json),
            (None, Some(text)) => {
                Data::Bytes(from_base64(&text).ok_or_else(|| serde::de::Error::custom("`base64` is not base64"))?)
            }
            _ => return Err(serde::de::Error::custom("an event has either `data` or `base64`")),
        };
        Ok(Event { id, channel, event, data, time, content_type, position })
    }
}

/// A member that is there is something, `null` too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// What lay between two positions is no longer held.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Gap {
    /// The channel; `None` where it concerns all that is subscribed to.
    pub channel: Option<String>,
    pub from: String,
    pub to: String,
    /// One of the words of the protocol: `trimmed`, `expired`, `deleted`, `epoch`, `ahead`, `unknown`, `skipped`,
    /// `forgotten`.
    pub reason: String,
}

/// Somebody comes or goes.
#[derive(Clone, Debug, Deserialize)]
pub struct Presence {
    pub channel: String,
    /// `join` or `leave`.
    pub event: String,
    pub member: Member,
}

/// Who is on a channel: a user, with however many sessions, or a session without a user.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Member {
    pub session: String,
    pub user: Option<String>,
    /// What it shows of itself.
    pub info: Option<serde_json::Value>,
}

/// One item of a subscription.
#[derive(Clone, Debug)]
pub enum Item {
    Event(Arc<Event>),
    /// Events were lost: what to do about it is the application's choice.
    Gap(Arc<Gap>),
    /// Only where the subscription is [with presence](crate::client::Subscribe::presence).
    Presence(Arc<Presence>),
    /// The channel has ended. Of a subscription to one channel it is the last item.
    End(Arc<str>),
    /// The server did not renew the subscription in a new session. It is the last item.
    Refused(RpcError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_in_all_their_forms() {
        let read = |text: &str| serde_json::from_str::<Event>(text);
        let event = read(r#"{"id":"p1","channel":"a","event":"said","data":"hi","time":7,"new":{}}"#).unwrap();
        assert_eq!((event.position(), event.bytes().as_ref(), event.time), ("p1", &b"hi"[..], 7));
        assert_eq!(event.json::<String>().unwrap(), "hi");
        let event = read(r#"{"id":"p1","channel":"a","data":{"n": 1.50},"time":7,"position":"p1.q2"}"#).unwrap();
        assert_eq!((event.position(), event.bytes().as_ref()), ("p1.q2", &br#"{"n": 1.50}"#[..]));
        assert_eq!(read(r#"{"id":"p","channel":"a","data":null,"time":1}"#).unwrap().bytes(), "null");
        let event = read(r#"{"id":"p","channel":"a","base64":"AAEC","time":1,"type":"image/x"}"#).unwrap();
        assert_eq!((event.bytes().as_ref(), event.content_type.as_deref()), (&[0, 1, 2][..], Some("image/x")));
        for foul in [r#"{"id":"p","channel":"a","time":1}"#, r#"{"id":"p","channel":"a","base64":"!","time":1}"#] {
            assert!(read(foul).is_err());
        }
    }
}
