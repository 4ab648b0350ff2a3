//! The WebSocket protocol (RFC 6455) with `permessage-deflate` (RFC 7692), sans I/O.

pub mod deflate;
pub mod header;
