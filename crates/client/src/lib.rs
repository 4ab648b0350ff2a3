//! The Rust client of Switchboard.

pub mod backoff;
pub mod error;
pub mod event;
pub mod session;

pub use error::{Error, RpcError};
