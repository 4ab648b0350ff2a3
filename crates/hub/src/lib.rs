//! Decides who hears what, and touches nothing: no sockets, no clock, no log.
//!
//! Each shard of a server has one [`Readers`]: its readers' cursors, and for each channel the list of those to hand
//! an event to. What a shard does with a reader follows from one number:
//!
//! ```text
//!              cursor >= the shard's position          cursor < the shard's position
//!   reader:    LIVE, gets what the ring brings   <-->  BEHIND, reads the log in pieces
//!                     |                                        ^
//!                     '--- its socket did not take it all -----'
//! ```

pub mod access;
mod pass;
mod patterns;
pub mod presence;
mod readers;
pub mod session;

pub use pass::{Due, Pass};
pub use patterns::cost;
pub use readers::{Begun, Place, Readers, Turn};

/// The shard's own number for a reader, below the number of readers it ever held at once.
pub type Token = u32;
