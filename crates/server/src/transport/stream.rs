//! HTTP streaming: NDJSON, or with `form=raw` the data alone.

/// An empty line, which NDJSON readers skip.
pub(crate) const HEARTBEAT: &[u8] = b"\n";

/// The content type of NDJSON.
pub(crate) const NDJSON: &str = "application/x-ndjson";
