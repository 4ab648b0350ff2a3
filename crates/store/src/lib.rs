//! The log: append, read after a position, trim.
//!
//! A channel is a log and a reader is a cursor on it. All channels of a [`Memory`] share one order: each append takes
//! the next number, which names the event and is the position after it. What a channel keeps is its [`Class`]; what
//! it no longer keeps, a reader that had not got so far is told as a gap. The newest items of all channels are also on
//! a ring, from which those who push them to live readers take them in order.

mod channel;
mod entry;
mod filter;
mod index;
mod keys;
mod log;
mod losses;
mod memory;
mod open;
pub mod policy;
mod read;
mod records;
mod ring;
mod steps;
mod store;
#[cfg(test)]
mod tests;

pub use entry::Entry;
pub use keys::{Key, StreamKey, Sum};
pub use log::{Append, Appended, ChannelInfo, Limits, Refusal, Stats};
pub use memory::Memory;
pub use open::{Opened, Since};
pub use policy::{Class, Policy, Retention};
pub use read::{Budget, Cursor, Found, Piece, Read};
pub use ring::{Item, Taken, What};
pub use steps::Pause;
pub use store::Store;
