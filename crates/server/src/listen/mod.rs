//! How bytes arrive. Nothing in here knows what a request is for.

pub mod http1;
mod source;

pub use source::{BodyError, BodySource, Pace};
