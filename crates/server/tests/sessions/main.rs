//! Sessions from the outside: one conversation over each transport.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do: by panicking"
)]

mod application;
mod calls;
mod chat;
mod cuts;
mod limits;
mod link;
mod methods;
mod presence;
mod seams;
mod talk;
mod tokens;
mod vectors;
