//! `permessage-deflate` (RFC 7692).

/// Compresses messages, each on its own, so that a compressed message is the same bytes for everyone.
#[derive(Debug)]
pub struct Deflate;

impl Deflate {
    pub fn new(_window: u8) -> Deflate {
        Deflate
    }

    pub fn message(&mut self, _payload: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
