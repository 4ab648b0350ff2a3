//! A subscriber's connection, and what opens it.

use super::guests::Guest;
use super::sink::Sink;
use crate::listen::Admission;
use crate::transport::{Ending, Transport};
use bytes::Bytes;
use mio::net::TcpStream;
use std::sync::Arc;
use switchboard_hub::Place;
use switchboard_wire::Form;
use switchboard_wire::form::Encoded;
use switchboard_wire::name::Selection;
use switchboard_wire::websocket::message::Reader;

/// Everything needed to hold an answer open.
pub(crate) struct Answer {
    /// What is sent at once: the head of the answer, and the notices that open the stream.
    pub(crate) head: Bytes,
    pub(crate) transport: Transport,
    /// Whether the body is in the chunked coding.
    pub(crate) chunked: bool,
    pub(crate) selection: Arc<Selection>,
    pub(crate) place: Place,
    /// Set if the stream ends as soon as it is open.
    pub(crate) ending: Option<Ending>,
    /// Whose it is, unless anyone's.
    pub(crate) guest: Option<Guest>,
}

/// A subscriber's connection. While idle it owns nothing on the heap.
pub(crate) struct Held {
    pub(crate) sink: Sink,
    /// A WebSocket's message reader, while a message or frame has only partly arrived.
    pub(crate) inbox: Option<Box<Reader>>,
    pub(crate) serial: u32,
    pub(crate) transport: Transport,
    pub(crate) chunked: bool,
    /// In the queue of those that may take more.
    pub(crate) queued: bool,
    /// In the queue of those that have more to read.
    pub(crate) unread: bool,
    /// Something was sent since the last heartbeat.
    pub(crate) active: bool,
    /// Something was heard since the last heartbeat.
    pub(crate) heard: bool,
    /// Pings that were sent in a row, with nothing heard since.
    pub(crate) pings: u8,
    /// Reading stopped, because the peer does not read its answers.
    pub(crate) paused: bool,
    /// The last words were said, or wait to be sent.
    pub(crate) closing: bool,
    /// The peer has closed its WebSocket.
    pub(crate) peer_closed: bool,
    /// The WebSocket failed: the server hangs up without waiting for a close frame.
    pub(crate) hang_up: bool,
    _admission: Admission,
}

impl Held {
    pub(crate) fn new(
        socket: TcpStream,
        transport: Transport,
        chunked: bool,
        admission: Admission,
        serial: u32,
    ) -> Held {
        Held {
            sink: Sink::new(socket),
            inbox: None,
            serial,
            transport,
            chunked,
            queued: false,
            unread: false,
            // What opens the stream is news enough until the first heartbeat.
            active: true,
            heard: true,
            pings: 0,
            paused: false,
            closing: false,
            peer_closed: false,
            hang_up: false,
            _admission: admission,
        }
    }

    pub(crate) fn framing(&self) -> (Form, bool) {
        (self.transport.form(), self.chunked)
    }

    /// The bytes of an encoding as this connection sends them.
    pub(crate) fn wrap(&self, encoded: &Encoded) -> Bytes {
        if self.chunked { encoded.chunk() } else { encoded.payload() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle subscriber costs besides its cursor and its place in the fan-out list.
    #[test]
    fn a_held_connection_is_at_most_48_bytes_and_its_socket() {
        assert!(size_of::<Held>() <= 48 + size_of::<TcpStream>().next_multiple_of(8), "{}", size_of::<Held>());
    }
}
