//! Whoever made a request, while it is not answered yet.

use super::BodySource;
use super::http2::Promise;
use http::{HeaderMap, StatusCode};
use std::io;

/// The other end of a request, before its answer.
pub(crate) trait Peer: BodySource {
    /// Says something ahead of the answer, such as `103 Early Hints` (RFC 8297).
    fn inform(&mut self, status: StatusCode, fields: &HeaderMap) -> impl Future<Output = io::Result<()>>;

    /// Promises the answer to a request that was not made: a GET of this path, with these fields (RFC 9113 section 8.4).
    /// `None` where the peer takes no promises, or has many already.
    fn promise(&mut self, path: &str, fields: HeaderMap) -> Option<Promise>;
}
