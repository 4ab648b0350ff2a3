//! The server's side: the real session, and a log of events that is dealt in between.

use super::LIMITS;
use super::events::Way;
use crate::session::Place;
use bytes::Bytes;
use std::collections::BTreeMap;
use switchboard_hub::session as hub;
use switchboard_wire::name::Selection;

/// What the server says, in the order in which it does, with the place after it.
pub(super) struct Entry {
    pub(super) text: Bytes,
    pub(super) after: Place,
}

/// The server's side: its session, and what it says.
pub(super) struct Server {
    pub(super) number: u64,
    pub(super) session: hub::Session,
    pub(super) said: Vec<Entry>,
    pub(super) place: Place,
    pub(super) subscribed: BTreeMap<String, Selection>,
    /// The connection: its name, its way, what of `said` was sent, the number of the next frame.
    pub(super) link: Option<(u64, Way, usize, u64)>,
}

impl Server {
    pub(super) fn new(number: u64, position: u64, now: u64) -> Server {
        let place = Place { control: 0, position: format!("p{position}") };
        let first = Entry { text: Bytes::new(), after: place.clone() };
        let session = hub::Session::new(LIMITS, now);
        Server { number, session, said: vec![first], place, subscribed: BTreeMap::new(), link: None }
    }

    pub(super) fn tell(&mut self, seq: u64) -> serde_json::Value {
        serde_json::json!({"id": self.number.to_string(), "location": format!("/session/{}.k", self.number),
            "place": self.place.to_string(), "seq": seq, "linger": 600_000})
    }

    /// Control that is new goes behind what was said. `position` is that of an answer to `subscribe`.
    pub(super) fn control(&mut self, position: Option<u64>) {
        let new: Vec<Bytes> = self.session.unacknowledged(self.place.control).map(|(_, text)| text.clone()).collect();
        for text in new {
            self.place.control += 1;
            if let Some(position) = position {
                self.place.position = format!("p{position}");
            }
            self.said.push(Entry { text, after: self.place.clone() });
        }
    }

    /// Something of the lane of events.
    pub(super) fn say(&mut self, method: &str, params: serde_json::Value, position: u64) {
        let text = serde_json::json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
        self.place.position = format!("p{position}");
        self.said.push(Entry { text: text.into(), after: self.place.clone() });
    }

    pub(super) fn event(&mut self, number: u64, channel: &str) {
        let id = format!("p{number}");
        self.say("event", serde_json::json!({"id": id, "channel": channel, "data": number, "time": 1}), number);
    }
}
