//! Bytes and words: every format Switchboard speaks, and the vocabulary they share.
//!
//! Everything here is pure. Nothing does I/O, reads a clock, waits or panics, whatever the input; a decoder takes
//! a slice, and "not enough yet" consumes nothing. The rooms:
//!
//! - [`name`], [`position`], [`event`], [`notice`]: the words;
//! - [`sse`], [`ndjson`], [`websocket`]: the framings;
//! - [`jsonrpc`]: JSON-RPC 2.0, what a session speaks; [`presence`]: who is on a channel, and what is said of that;
//! - [`form`]: an event in each framing, as the bytes that every subscriber shares; [`gzip`]: the same, compressed;
//! - [`code`]: the one table of errors; [`limits`]: the one table of numbers.

pub mod code;
mod cover;
pub mod event;
pub mod form;
pub mod forwarded;
pub mod gzip;
pub mod json;
pub mod jsonrpc;
pub mod limits;
pub mod name;
pub mod ndjson;
pub mod notice;
pub mod places;
pub mod position;
pub mod presence;
pub mod proxy;
pub mod sse;
pub mod websocket;

pub use code::Code;
pub use event::{Event, Kind};
pub use form::{Encoded, Form, Message};
pub use name::{ChannelName, Pattern};
pub use notice::{Gap, Lease, Notice, Reason};
pub use position::{Epoch, Mark, Position};
