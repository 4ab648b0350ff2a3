//! A subscriber's connection, and what opens it.

use super::carrier::Carrier;
use super::guests::Guest;
use super::sink::Sink;
use crate::limits::transit::Load;
use crate::listen::Admission;
use crate::session::Take;
use crate::traffic::Way;
use crate::transport::{Ending, Transport};
use bytes::Bytes;
use http::response::Parts;
use std::io;
use std::sync::Arc;
use switchboard_hub::Place;
use switchboard_wire::form::Encoded;
use switchboard_wire::gzip::Total;
use switchboard_wire::name::Selection;
use switchboard_wire::websocket::message::Reader;
use switchboard_wire::{Form, Message};

/// Everything needed to hold an answer open.
pub(crate) struct Answer {
    /// The head of the answer, where it is not sent as bytes.
    pub(crate) fields: Option<Box<Parts>>,
    /// What is sent at once: the head of the answer otherwise, and the notices that open the stream.
    pub(crate) head: Bytes,
    /// How much of that is the head.
    pub(crate) head_length: usize,
    pub(crate) transport: Transport,
    /// Whether the body is in the chunked coding.
    pub(crate) chunked: bool,
    /// The sum so far of a compressed body.
    pub(crate) gzip: Option<Total>,
    pub(crate) selection: Arc<Selection>,
    pub(crate) place: Place,
    /// Set if the stream ends as soon as it is open.
    pub(crate) ending: Option<Ending>,
    /// The session whose way down it is.
    pub(crate) take: Option<Take>,
    /// Whose it is, unless anyone's.
    pub(crate) guest: Option<Guest>,
}

/// In the place of a number of pings.
pub(crate) const HEARD: u8 = u8::MAX;

/// A subscriber's connection. While idle it owns nothing on the heap.
pub(crate) struct Held {
    pub(crate) sink: Sink,
    /// What a WebSocket's peer has sent, while it has only partly arrived or was not taken in.
    pub(crate) inbox: Option<Box<Inbox>>,
    pub(crate) serial: u32,
    pub(crate) transport: Transport,
    /// In the queue of those that may take more.
    pub(crate) queued: bool,
    /// In the queue of those that have more to read, or to take in.
    pub(crate) unread: bool,
    /// What a WebSocket's peer said last took long, or it has yet to say something.
    pub(crate) slow: bool,
    /// Pings that were sent in a row, with nothing heard since; [`HEARD`] where something was since the last heartbeat.
    pub(crate) pings: u8,
    /// Reading stopped, because the peer does not read its answers.
    pub(crate) paused: bool,
    /// The last words were said, or wait to be sent.
    pub(crate) closing: bool,
    /// The last words are all that was to be said: nothing is missing, and the body ends as it should.
    pub(crate) complete: bool,
    /// The peer has closed its WebSocket.
    pub(crate) peer_closed: bool,
    /// The WebSocket failed: the server hangs up without waiting for a close frame.
    pub(crate) hang_up: bool,
    /// Its place among the connections, where it is one.
    _admission: Option<Admission>,
}

/// What a connection took of messages that it was sent.
#[derive(Clone, Copy)]
pub(super) struct Took {
    pub(super) messages: usize,
    /// Bytes of these.
    pub(super) bytes: usize,
    /// It takes no more for now.
    pub(super) blocked: bool,
    pub(super) way: Way,
}

/// What has arrived.
pub(crate) struct Inbox {
    /// Of a message that is not whole.
    pub(crate) reader: Reader,
    /// What was read behind that, and is yet to be taken in.
    pub(crate) rest: Vec<u8>,
    /// What all that takes.
    pub(crate) load: Load,
}

impl Held {
    pub(crate) fn new(
        carrier: Carrier,
        transport: Transport,
        chunked: bool,
        gzip: Option<Total>,
        admission: Option<Admission>,
        serial: u32,
    ) -> Held {
        Held {
            sink: Sink::new(carrier, chunked, gzip),
            inbox: None,
            serial,
            transport,
            queued: false,
            unread: false,
            slow: transport.is_websocket(),
            pings: HEARD,
            paused: false,
            closing: false,
            complete: true,
            peer_closed: false,
            hang_up: false,
            _admission: admission,
        }
    }

    pub(crate) fn framing(&self) -> (Form, bool) {
        (self.transport.form(), self.sink.chunked)
    }

    /// Sends messages, each whole or not at all, as many as it takes.
    pub(super) fn send(&mut self, messages: &[Message]) -> io::Result<Took> {
        let sent = self.sink.send(messages);
        self.sink.active |= !messages.is_empty();
        let taken = sent?;
        let bytes = messages[..taken].iter().map(|message| message.bytes.len()).sum();
        Ok(Took { messages: taken, bytes, blocked: self.sink.is_blocked(), way: self.transport.into() })
    }

    /// The bytes of an encoding as this connection sends them.
    pub(crate) fn wrap(&self, encoded: &Encoded) -> Message {
        encoded.message(self.sink.chunked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle subscriber costs besides its cursor and its place in the fan-out list: 72 bytes in all.
    #[test]
    fn a_held_connection_is_a_sink_and_at_most_32_bytes() {
        assert!(size_of::<Held>() <= size_of::<Sink>() + 32, "{}", size_of::<Held>());
    }
}
