//! JSON-RPC 2.0 (the specification of 2013-01-04, jsonrpc.org): requests, notifications, responses and batches, read and
//! written. Both peers of a session call each other, so both halves are here.
//!
//! ```
//! use switchboard_wire::jsonrpc::{Incoming, Json, Message, Response, parse};
//!
//! let text = br#"{"jsonrpc":"2.0","method":"add","params":[1,2],"id":"a-7"}"#;
//! let Ok(Incoming::One(Ok(Message::Request(request)))) = parse(text) else { panic!("a request") };
//! let (a, b): (u64, u64) = request.params.read().unwrap();
//! let answer = Response { id: request.id, outcome: Ok(Json::of(&(a + b)).unwrap()) };
//! let mut out = Vec::new();
//! answer.write(&mut out);
//! assert_eq!(out, br#"{"jsonrpc":"2.0","id":"a-7","result":3}"#);
//! ```
//!
//! Ids, params, results and an error's data are kept as they were written, and borrowed from what arrived. What is
//! written is one line, so that any framing can carry it.
//!
//! What the specification leaves open is decided here, and `vectors/jsonrpc` has an example of each:
//!
//! - `jsonrpc` is the string `2.0` and nothing else, in calls and in answers.
//! - A member of the specification's that is there twice makes the message invalid: two readers could take it for two
//!   messages. Members that the specification does not know are passed over.
//! - An id is a string, a number or null. `"id": null` makes a request, to be answered with null. One longer than
//!   [`ID_MAX`](crate::limits::ID_MAX) is refused.
//! - `params`, where it is there, is an array or an object; null is neither.
//! - An invalid request is answered under its id, where that can be read, else under null.
//! - A message that has neither `method` nor `result` nor `error`, or has `method` and one of the others, could be meant
//!   as a call or as an answer. Its id may be the caller's or ours, so it is answered under null.
//! - An answer that breaks the rules is not answered. The call that it names has failed.
//! - A batch has 1 to [`BATCH_MAX`](crate::limits::BATCH_MAX) members; none is an invalid request, more are `too_large`.
//! - Text that nests deeper than [`DEPTH_MAX`](crate::limits::DEPTH_MAX) is refused as text that does not parse is.
//! - A string may hold half a surrogate pair (`"\ud800"`) where it is kept as written; names of members, methods and
//!   messages of errors have to be text.

mod error;
mod id;
mod members;
mod message;
mod parse;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use error::ErrorObject;
pub use id::Id;
pub use message::{Invalid, Message, Notification, Request, Response};
pub use parse::{Batch, Incoming, Member, parse};
pub use value::{Json, Params};
pub use write::BatchWriter;
