//! The load generator: one thread, one poll, a table of connections.
//!
//! - [`frames`]: takes apart what comes down, cut anywhere;
//! - [`dialogue`]: how a connection becomes a subscriber, as data that a target provides;
//! - [`sequence`]: what one subscriber has received: order, loss, doubles;
//! - [`connections`]: the table and its loop; [`publisher`]: kept-alive connections that publish;
//! - [`tally`]: what all of them came to.

pub mod connections;
pub mod dialogue;
pub mod frames;
pub mod publisher;
pub mod sequence;
pub mod tally;

pub use connections::Load;
pub use dialogue::{Dialogue, Expect, Framing, Link, Step};
pub use tally::Tally;
