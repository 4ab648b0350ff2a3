//! HTTP/1.1 to others: the issuer of keys, and the application. One request after the other on a connection, with TLS
//! beneath where the address says so, an answer within limits, and a plain word about what went wrong.

mod address;
pub(crate) mod answer;
pub mod trust;

pub use address::Address;
pub(crate) use address::{Roots, Socket};
