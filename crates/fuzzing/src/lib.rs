//! What the fuzz targets check, as plain functions of bytes.
//!
//! Each target asserts what must be true of any input, mostly by comparing the code with a *twin*: the same thing
//! written again, from the standard, as slowly and plainly as can be. `fuzz/` runs the targets under libFuzzer; the
//! tests of this crate replay what that found, and need nothing but a stable compiler.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a target fails by panicking: that is how a fuzzer is told"
)]

mod answers;
mod bodies;
pub mod choices;
pub mod corpus;
mod deflate;
mod events;
mod forwarded;
mod frames;
mod heads;
mod jsonrpc;
mod lines;
mod log;
mod messages;
mod names;
mod positions;
mod proxy;
mod queries;
mod readers;
mod slow_inflate;
mod sse;
mod tls;
mod tokens;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("answers", answers::run),
    ("bodies", bodies::run),
    ("deflate", deflate::run),
    ("events", events::run),
    ("forwarded", forwarded::run),
    ("frames", frames::run),
    ("heads", heads::run),
    ("jsonrpc", jsonrpc::run),
    ("lines", lines::run),
    ("log", log::run),
    ("messages", messages::run),
    ("names", names::run),
    ("positions", positions::run),
    ("proxy", proxy::run),
    ("queries", queries::run),
    ("readers", readers::run),
    ("sse", sse::run),
    ("tls", tls::run),
    ("tokens", tokens::run),
];

/// Runs one input of the target of this name.
pub fn run(target: &str, input: &[u8]) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    run(input);
}
