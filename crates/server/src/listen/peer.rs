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

    /// Waits until there is nobody any more to take an answer, where that shows while nothing is read or written: what has
    /// no effect but its answer may then be left. A peer that has closed its side may take one.
    fn left(&self) -> impl Future<Output = ()> + use<Self> {
        std::future::pending()
    }
}
