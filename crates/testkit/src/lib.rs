//! What the black-box tests are written with: a server on port 0, and clients that see every byte.
//!
//! The clients are written from the specifications and share no code with the server, so that a mistake in the
//! server's codecs cannot hide behind the same mistake here. They panic: a broken promise is a failed test. Nothing
//! waits for longer than [`PATIENCE`], and what was received until then is part of the panic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "these are tests' helpers, and a failed expectation is a failed test"
)]
#![allow(clippy::should_implement_trait, reason = "`next` reads a socket, and how a stream ends is told, not `None`")]

pub mod backend;
pub mod bridge;
pub mod conn;
pub mod crowd;
pub mod follow;
pub mod head;
pub mod hpack;
pub mod http2;
pub mod identity;
pub mod issuer;
pub mod lines;
pub mod mob;
pub mod port;
pub mod prometheus;
pub mod reach;
pub mod server;
pub mod sse;
pub mod tls;
pub mod wait;
pub mod websocket;

pub use conn::{Conn, Piece, Streamed};
pub use follow::{Follower, Gap, Heard, Said, Transport};
pub use head::{Head, Response};
pub use http2::Http2;
pub use lines::{Line, Lines};
pub use port::free_port;
pub use server::{Server, config, history};
pub use sse::{Block, Item, Sse};
pub use wait::{PATIENCE, Stop, eventually, is_not_held_up, seed};
pub use websocket::{Frame, Message, WebSocket};

pub use rustix::process::Signal;
pub use serde_json::{Value, json};
pub use switchboard::Config;
pub use switchboard_store::{Class, Policy, Retention};
pub use switchboard_wire::Pattern;

/// A field of a request or a response: its name and its value.
pub type Field<'a> = (&'a str, &'a str);
