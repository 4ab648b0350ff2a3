//! HTTP/1.1 (RFC 9110, RFC 9112), with one parser for every head that arrives: no second one can disagree with it about
//! where a request ends.
//!
//! [`head`] and [`body`] are pure: bytes in, words out. [`connection`] holds a socket and drives them.

pub mod body;
pub mod connection;
pub mod head;
pub mod response;

pub use body::{BodyDecoder, Decoded};
pub use connection::{Connection, Next};
