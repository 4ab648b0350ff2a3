//! What reading costs on the wire, by transport: so that anyone can see it in `/metrics`, and the page at `/` show it.
//!
//! Bytes are those of HTTP and WebSocket, framing included; what TCP, IP and TLS put around them is not known here.

use crate::transport::{Over, Transport};
use std::sync::atomic::{AtomicU64, Ordering};

/// A way to read, as `/metrics` tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Poll,
    LongPoll,
    Stream,
    Sse,
    WebSocket,
}

impl Way {
    pub(crate) const ALL: [Way; 5] = [Way::Poll, Way::LongPoll, Way::Stream, Way::Sse, Way::WebSocket];

    /// The value of the label `transport`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Way::Poll => "poll",
            Way::LongPoll => "long_poll",
            Way::Stream => "stream",
            Way::Sse => "sse",
            Way::WebSocket => "websocket",
        }
    }
}

impl From<Transport> for Way {
    fn from(transport: Transport) -> Way {
        match transport {
            Transport::Sse { .. } | Transport::Session(Over::Sse) => Way::Sse,
            Transport::Stream { .. } | Transport::Session(Over::Stream) => Way::Stream,
            Transport::WebSocket { .. } | Transport::Session(Over::WebSocket { .. }) => Way::WebSocket,
        }
    }
}

/// What is counted, with its name and what it says.
pub(crate) const COUNTED: [(&str, &str, Field); 5] = [
    ("reads", "Requests to read that were answered, by transport", |counts| &counts.reads),
    ("read_events", "Events sent to readers, by transport", |counts| &counts.events),
    ("read_request_bytes", "Bytes received of readers: heads of requests, WebSocket frames", |counts| &counts.asked),
    ("read_head_bytes", "Bytes of the heads of answers to readers", |counts| &counts.heads),
    ("read_body_bytes", "Bytes sent to readers after the head: events, notices, framing", |counts| &counts.bodies),
];

pub(crate) type Field = fn(&Counts) -> &AtomicU64;

/// The counts of one transport on one shard.
#[derive(Default)]
pub(crate) struct Counts {
    reads: AtomicU64,
    events: AtomicU64,
    asked: AtomicU64,
    heads: AtomicU64,
    bodies: AtomicU64,
}

/// What one shard's readers asked and were sent. Only the shard's own thread counts here.
#[derive(Default)]
pub(crate) struct Traffic([Counts; Way::ALL.len()]);

impl Traffic {
    pub(crate) fn of(&self, way: Way) -> &Counts {
        &self.0[way as usize]
    }

    /// Bytes came from a reader.
    pub(crate) fn asked(&self, way: Way, bytes: usize) {
        add(&self.of(way).asked, bytes);
    }

    /// A reader's request was answered: with a head, and with what followed it at once.
    pub(crate) fn answered(&self, way: Way, head: usize, body: usize) {
        let counts = self.of(way);
        add(&counts.reads, 1);
        add(&counts.heads, head);
        add(&counts.bodies, body);
    }

    /// A reader's connection took so many events, and so many bytes in all.
    pub(crate) fn sent(&self, way: Way, events: usize, bytes: usize) {
        let counts = self.of(way);
        add(&counts.events, events);
        add(&counts.bodies, bytes);
    }
}

/// One thread writes, so that this need not be one step, which would cost more on the way of every event.
fn add(counter: &AtomicU64, more: usize) {
    counter.store(counter.load(Ordering::Relaxed) + more as u64, Ordering::Relaxed);
}
