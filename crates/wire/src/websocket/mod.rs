//! The WebSocket protocol (RFC 6455) with `permessage-deflate` (RFC 7692), for both sides, sans I/O.
//!
//! [`handshake`] opens, [`message::Reader`] reads, [`mod@write`] and [`close`] write. Frames that go to many subscribers
//! are written once, by [`form`](crate::form). A whole conversation, without a socket:
//!
//! ```
//! use switchboard_wire::websocket::deflate::Inflaters;
//! use switchboard_wire::websocket::header::Opcode;
//! use switchboard_wire::websocket::message::{Incoming, Limits, Reader};
//! use switchboard_wire::websocket::{Role, close, handshake, write};
//!
//! // The client asks …
//! let offer = handshake::Offer::new(*b"sixteen random b", &["switchboard.v1"], true);
//! let fields = offer.fields();
//! let headers = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
//!
//! // … the server takes the offer …
//! assert!(handshake::is_websocket_request((1, 1), headers.clone()));
//! let accepted = handshake::accept("GET", (1, 1), headers, &["switchboard.raw.v1", "switchboard.v1"], true)?;
//! assert_eq!(accepted.protocol, Some("switchboard.v1"));
//!
//! // … and the client checks the answer.
//! let fields = accepted.fields();
//! let agreed = offer.check(101, fields.iter().map(|(name, value)| (*name, value.as_bytes())))?;
//! assert!(agreed.deflate.is_some());
//!
//! // The client sends a message and closes; its frames are masked.
//! let mut received = Vec::new();
//! write::write_message(Opcode::Text, b"hello", Some([1, 2, 3, 4]), &mut received);
//! close::write_close(close::NORMAL, "bye", Some([5, 6, 7, 8]), &mut received);
//!
//! // The server reads whatever has arrived, in pieces of any size.
//! let mut inflaters = Inflaters::new();
//! let mut reader = Reader::new(Role::Server, accepted.deflate.is_some(), Limits::default());
//! let mut events = Vec::new();
//! for piece in received.chunks_mut(4) {
//!     let mut rest = piece;
//!     while let Some(event) = reader.read(&mut rest, &mut inflaters)? {
//!         events.push(event);
//!     }
//! }
//! assert_eq!(events[0], Incoming::Text("hello".into()));
//! assert!(matches!(&events[1], Incoming::Close(close) if close.code == Some(1000)));
//! # Ok::<(), switchboard_wire::code::Problem>(())
//! ```

pub mod close;
pub mod deflate;
mod extension;
pub mod handshake;
pub mod header;
pub mod mask;
pub mod message;
pub mod write;

/// The side one is on. A server reads masked frames and writes unmasked ones, a client the reverse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    Server,
    Client,
}
