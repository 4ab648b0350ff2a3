//! What happens between the two ends, and when.

use crate::session::{ListenerId, Place};
use bytes::Bytes;

/// A 64-bit xorshift generator.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Way {
    /// A WebSocket.
    Duplex,
    /// A stream, whose messages say their places, and POSTs.
    Stream,
    /// The same, and they do not.
    Lines,
    Poll,
}

/// What reaches one end or the other, at its time.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection reaches the server.
    Reach {
        session: u64,
        attempt: u64,
        way: Way,
        place: Place,
    },
    /// A message reaches the client, or a page.
    Down {
        link: u64,
        text: Bytes,
        place: Option<String>,
    },
    Page {
        link: u64,
        text: Bytes,
    },
    /// The client hears that there is no such session.
    Gone {
        link: u64,
    },
    /// A frame reaches the server, or a POST.
    Frame {
        link: u64,
        text: Bytes,
    },
    Post {
        session: u64,
        seq: u64,
        ack: u64,
        text: Bytes,
    },
    /// The client hears what became of it: the number to go on with where it was not applied.
    Posted {
        session: u64,
        seq: u64,
        expected: Option<u64>,
    },
    /// It hears nothing.
    Again {
        session: u64,
        seq: u64,
    },
    Cut {
        link: u64,
    },
    /// The server loses the session.
    Lose,
    Publish,
    ClientSays,
    ServerSays,
    Listen,
    /// The application is done with a call.
    Answer {
        session: u64,
        ticket: u64,
        number: u64,
    },
    Drained(ListenerId),
}
