//! The load generator: one thread, one poll, a table of connections.
//!
//! - [`frames`]: takes apart what comes down, cut anywhere; [`http2`]: the same where many streams share a connection;
//! - [`dialogue`]: how a connection becomes a subscriber, as data that a target provides;
//! - [`subscriber`]: one of them, whatever carries it; [`sequence`]: what it has received: order, loss, doubles;
//! - [`channel`]: what was published, and how much of it is on its way;
//! - [`connections`]: the table and its loop, [`streams`] for HTTP/2; [`publisher`]: kept-alive connections that publish;
//! - [`line`]: a connection's bytes, with TLS or without;
//! - [`tally`]: what all of them came to.

pub mod channel;
pub mod connections;
pub mod dialogue;
pub mod frames;
pub mod http2;
pub mod line;
pub mod publisher;
pub mod sequence;
mod streams;
mod subscriber;
pub mod tally;

pub use connections::Load;
pub use dialogue::{Dialogue, Expect, Framing, Link, Step};
pub use tally::Tally;
