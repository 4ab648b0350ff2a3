//! The contract, sentence by sentence, from the outside: over real sockets, with clients that know only the
//! specifications. Each file is a section; each test is named by what it shows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do: by panicking"
)]

mod api;
mod bad_input;
mod batch;
mod classes;
mod deflate;
mod documents;
mod drain;
mod end_delete;
mod gaps;
mod gzip;
mod heartbeat;
mod keep_alive;
mod limits;
mod negotiation;
mod open_mode;
mod poll;
mod publish;
mod publish_stream;
mod seams;
mod sse;
mod stream;
mod strictness;
mod traffic;
mod websocket;
mod websocket_protocol;
mod websocket_vectors;
mod words;
