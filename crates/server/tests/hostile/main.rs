//! Peers that mean harm, each alone and many together: what they cost is bounded, and everyone else is served. The rows of
//! `docs/security.md` name these tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do: by panicking"
)]

mod ambiguous;
mod bodies;
mod floods;
mod patterns;
mod slow;
mod walks;

use switchboard_testkit::{Server, prometheus};

/// A figure of `/metrics`, without its prefix.
fn figure(server: &Server, name: &str) -> usize {
    prometheus::parse(&server.get("/metrics").expect(200).text())[&format!("switchboard_{name}")] as usize
}
