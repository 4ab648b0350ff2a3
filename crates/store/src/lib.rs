//! The log: append, read after a position, trim.

pub mod policy;

pub use policy::{Class, Policy, Retention};
