//! The client's side of HTTP/2 (RFC 9113), as much of it as many streams of events need: requests without bodies, responses
//! that do not end.
//!
//! - [`frame`]: frames; [`hpack`]: the header blocks in them;
//! - [`session`]: one connection: bytes in, what happened out, no socket.

pub mod frame;
pub mod hpack;
pub mod session;

pub use session::{Event, Session, Windows};
