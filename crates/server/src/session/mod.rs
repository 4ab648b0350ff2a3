//! Sessions, as requests ask for them: their names, and what is asked of the shard that has one.
//!
//! A session lives on one shard, whatever connections it is taken up by: its name says on which. What belongs to it is
//! touched by that shard's thread alone, so it has no lock, and what other threads want of it they ask.

pub(crate) mod manage;
pub(crate) mod opening;

use crate::auth::Identity;
use crate::limits::Seats;
use crate::limits::bucket::Allowance;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use subtle::ConstantTimeEq;
use switchboard_hub::session::Known;
use switchboard_store::Memory;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{ErrorObject, Json, Params};
use switchboard_wire::{Code, Position};
use tokio::sync::oneshot;

/// What a session is called: it may be shown, and opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Id {
    pub(crate) shard: u16,
    pub(crate) number: u64,
}

impl Id {
    pub(crate) fn parse(text: &str) -> Option<Id> {
        let (shard, number) = text.split_at_checked(4).filter(|_| text.len() == 20)?;
        let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        hex.then(|| Some(Id { shard: from_hex(shard)? as u16, number: from_hex(number)? })).flatten()
    }
}

fn from_hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}{:016x}", self.shard, self.number)
    }
}

/// What a session is opened with by its client alone. It has no `Debug`, so that it gets into no log.
#[derive(Clone, Copy)]
pub(crate) struct Key([u8; 16]);

impl Key {
    pub(crate) fn new(random: [u8; 16]) -> Key {
        Key(random)
    }

    pub(crate) fn is(&self, other: &Key) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The path of a session.
pub(crate) const PATH: &str = "/session/";

/// Where a session is reached by its client.
#[derive(Clone, Copy)]
pub(crate) struct Location {
    pub(crate) id: Id,
    pub(crate) key: Key,
}

impl Location {
    /// Reads what follows [`PATH`].
    pub(crate) fn parse(text: &str) -> Option<Location> {
        let (id, key) = text.split_once('.')?;
        let key = BASE64_URL_SAFE_NO_PAD.decode(key).ok()?.try_into().ok()?;
        Some(Location { id: Id::parse(id)?, key: Key(key) })
    }

    /// The path, with the key in it.
    pub(crate) fn secret(&self) -> String {
        format!("{PATH}{}.{}", self.id, BASE64_URL_SAFE_NO_PAD.encode(self.key.0))
    }
}

/// A path as it may be shown: the location of a session without its key.
pub(crate) fn shown(path: &str) -> &str {
    match path.strip_prefix(PATH).and_then(|rest| rest.find('.')) {
        Some(dot) => &path[..PATH.len() + dot],
        None => path,
    }
}

/// Writes a place: the number of a control message, and a position.
pub(crate) fn write_place(control: u64, position: &Position, out: &mut Vec<u8>) {
    out.extend_from_slice(control.to_string().as_bytes());
    out.push(b'.');
    position.write_to(out);
}

/// Reads a place. One that is none says nothing: then the session goes on from where all is sure to be.
pub(crate) fn read_place(text: &str, log: &Memory) -> Option<Known> {
    let (control, position) = text.split_once('.')?;
    let position = position.parse::<Position>().ok()?.in_log(log.epoch())?;
    Some(Known { control: control.parse().ok()?, position: position.min(log.head()), caught_up: false })
}

/// Whoever opens a session.
pub(crate) struct Opener {
    pub(crate) identity: Identity,
    pub(crate) allowance: Allowance,
    pub(crate) seats: Seats,
    /// Where they are.
    pub(crate) address: IpAddr,
    /// What it is subscribed to from the beginning.
    pub(crate) subscriptions: opening::Beginning,
}

/// A session that was opened.
pub(crate) struct Opened {
    pub(crate) location: Location,
    /// Where its client begins.
    pub(crate) place: String,
}

/// A connection that takes a session up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Take {
    pub(crate) id: Id,
    pub(crate) known: Option<Known>,
    pub(crate) attempt: Option<u64>,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Problem>>;

/// What a call came to, on either side.
pub(crate) type Outcome = Result<Json<'static>, ErrorObject<'static>>;

/// What a poll is answered with.
pub(crate) struct Page {
    pub(crate) messages: Vec<Bytes>,
    /// How many of them are events.
    pub(crate) events: usize,
    pub(crate) place: String,
    pub(crate) seq: u64,
    /// Whether there may be more at once.
    pub(crate) cut: bool,
}

impl Page {
    pub(crate) fn says_nothing(&self) -> bool {
        self.messages.is_empty() && !self.cut
    }

    /// `{"messages":[…],"place","seq"}`
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::from(b"{\"messages\":[");
        for (i, message) in self.messages.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(message.strip_suffix(b"\n").unwrap_or(message));
        }
        out.extend_from_slice(format!("],\"place\":\"{}\",\"seq\":{}}}\n", self.place, self.seq).as_bytes());
        out
    }
}

/// What other threads ask of a session. Whose question is dropped without an answer asked for a session that is not
/// there, or for one whose key they do not have.
pub(crate) enum Ask {
    /// Whether a connection of this attempt may take it up.
    Check {
        attempt: Option<u64>,
        reply: Reply<()>,
    },
    /// Take in a message. Answers with the number to go on with, if it came too early.
    Up {
        seq: Option<u64>,
        ack: Option<u64>,
        body: Bytes,
        reply: Reply<Option<u64>>,
    },
    /// Say what there is to say, if need be once there is something.
    Poll {
        take: Take,
        /// What the poll is called, if it waits.
        waits: Option<u64>,
        reply: Reply<Page>,
    },
    /// The poll of this name is over: it waited long enough, or its client went away.
    Unpoll {
        name: u64,
    },
    /// End it, for this reason.
    End {
        code: Code,
        /// Whether its client wants it.
        closed: bool,
        reply: Reply<()>,
    },
    /// Call the client.
    Call {
        method: String,
        params: Params<'static>,
        timeout: u64,
        reply: Reply<Outcome>,
    },
    /// Say something to the client.
    Notify {
        method: String,
        params: Params<'static>,
        reply: Reply<()>,
    },
    /// Let it read a channel, or no longer.
    Subscribe {
        params: Params<'static>,
        reply: Reply<Json<'static>>,
    },
    Unsubscribe {
        params: Params<'static>,
        reply: Reply<Json<'static>>,
    },
    /// Tell what there is to tell of it.
    Look {
        reply: Reply<Listed>,
    },
}

/// What is told of a session.
#[derive(Serialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    pub(crate) connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transport: Option<&'static str>,
    pub(crate) channels: Vec<String>,
    /// Milliseconds since the Unix epoch.
    pub(crate) opened: u64,
}

/// What is asked for a session that is not there.
pub(crate) fn not_found() -> Problem {
    Code::NotFound.because("there is no such session, or no longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_back_and_shown_without_its_key() {
        let location = Location { id: Id { shard: 1, number: 0xc4f0 }, key: Key::new([0xab; 16]) };
        let path = location.secret();
        assert_eq!(shown(&path), "/session/0001000000000000c4f0");
        let read = Location::parse(&path[PATH.len()..]).unwrap();
        assert!(read.id == location.id && read.key.is(&location.key));
        assert!(!read.key.is(&Key::new([0xac; 16])));
        assert_eq!(shown("/channels/a.b"), "/channels/a.b");
    }

    #[test]
    fn what_is_no_location_is_refused() {
        for foul in ["", ".", "x.y", "0001000000000000c4f0", "0001000000000000c4f0.", "0001000000000000C4F0.AAAA"] {
            assert!(Location::parse(foul).is_none(), "{foul}");
        }
        let long = format!("0001000000000000c4f0.{}", BASE64_URL_SAFE_NO_PAD.encode([0; 17]));
        assert!(Location::parse(&long).is_none());
    }
}
