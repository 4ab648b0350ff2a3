//! `permessage-deflate` (RFC 7692), without context takeover: every message stands alone.
//!
//! A compressed message then depends on nothing but its payload and the window size, so it is compressed once and
//! sent to every subscriber. The price is that nothing is learnt from one message to the next.

use crate::code::{Code, Problem};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Smallest and largest window this side compresses with, in bits. The extension also knows 8, which the usual
/// compressors cannot do: an offer that demands it is declined.
pub const WINDOW_MIN: u8 = 9;
pub const WINDOW_MAX: u8 = 15;

/// What a sync flush ends with, and what a sender leaves out (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// An empty final block. Read after the tail it ends the stream, unless a block was still open.
const END: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// Compresses messages, each on its own, so that a compressed message is the same bytes for everyone.
///
/// It holds some hundred KiB, made once: keep it between messages.
#[derive(Debug)]
pub struct Deflate {
    inner: Compress,
}

impl Deflate {
    /// A compressor with a window of `window` bits, brought into 9..=15.
    pub fn new(window: u8) -> Deflate {
        let window = window.clamp(WINDOW_MIN, WINDOW_MAX);
        Deflate { inner: Compress::new_with_window_bits(LEVEL, false, window) }
    }

    /// The payload compressed, as the frames of one message carry it: the first of them with RSV1 set. It can be
    /// longer than the payload was. `None` if the compressor fails, in which case the message is sent as it is.
    pub fn message(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        self.inner.reset();
        // Room for the worst the compressor does, so that one call is enough and nothing is moved.
        let mut out = Vec::with_capacity(payload.len() + payload.len() / 8 + 32);
        loop {
            let rest = payload.get(usize::try_from(self.inner.total_in()).ok()?..)?;
            self.inner.compress_vec(rest, &mut out, FlushCompress::Sync).ok()?;
            let whole = self.inner.total_in() == payload.len() as u64;
            // A flush is done when it has left room: a full buffer may hide a rest of it.
            if whole && out.len() < out.capacity() {
                break;
            }
            out.reserve(out.len().max(64));
        }
        let body = out.strip_suffix(&TAIL)?.len();
        out.truncate(body);
        Some(out)
    }
}

/// Most of what compression can save on small JSON messages is there at this level already.
const LEVEL: Compression = Compression::new(6);

/// Inflates messages, one after the other. It holds about 50 KiB: see [`Inflaters`].
///
/// Its window is always the largest, which takes what was compressed with any.
#[derive(Debug)]
pub struct Inflate {
    inner: Decompress,
    /// Whether the latest block was a final one, so that what follows is a new stream.
    ended: bool,
}

impl Default for Inflate {
    fn default() -> Inflate {
        Inflate::new()
    }
}

impl Inflate {
    pub fn new() -> Inflate {
        Inflate { inner: Decompress::new(false), ended: false }
    }

    /// Forgets what was read: the next piece begins a message.
    pub fn reset(&mut self) {
        self.inner.reset(false);
        self.ended = false;
    }

    /// Inflates a piece of a message's payload, of any length, and appends to `out` what it yields. `out` never
    /// becomes longer than `limit` bytes, nor is more than that allocated for it.
    ///
    /// # Errors
    ///
    /// [`Code::TooLarge`] if there is more than `limit` allows; [`Code::WsProtocol`] if this is not DEFLATE (RFC 1951).
    pub fn push(&mut self, mut piece: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Problem> {
        while !piece.is_empty() {
            if std::mem::take(&mut self.ended) {
                // A final block may stand anywhere (RFC 7692 section 7.2.3.4); DEFLATE begins anew after it.
                self.inner.reset(false);
            }
            piece = self.run(piece, limit, out)?;
        }
        Ok(())
    }

    /// Ends the message: puts back what its sender left out, appends what was still held back, and is ready for the
    /// next message.
    ///
    /// # Errors
    ///
    /// Those of [`Inflate::push`], and [`Code::WsProtocol`] if the message stops within a block.
    pub fn finish(&mut self, limit: usize, out: &mut Vec<u8>) -> Result<(), Problem> {
        // A sender that ends with a final block should append an empty one to leave out the tail of; some do not.
        if !self.ended {
            self.push(&TAIL, limit, out)?;
            let length = out.len();
            self.push(&END, limit, out)?;
            if !self.ended || out.len() != length {
                return Err(broken());
            }
        }
        self.reset();
        Ok(())
    }

    /// Inflates until the input is used up and nothing is held back, or a final block ends; gives the rest.
    fn run<'a>(&mut self, mut piece: &'a [u8], limit: usize, out: &mut Vec<u8>) -> Result<&'a [u8], Problem> {
        loop {
            let before = (self.inner.total_in(), self.inner.total_out());
            let room = limit.saturating_sub(out.len());
            let status = if room == 0 {
                // Whether there is more than the limit allows can only be seen by asking for one byte more.
                self.inner.decompress(piece, &mut [0], FlushDecompress::None)
            } else {
                if out.len() == out.capacity() {
                    out.reserve_exact(room.min((piece.len() * 3).max(out.len()).max(128)));
                }
                self.inner.decompress_vec(piece, out, FlushDecompress::None)
            };
            let status = status.map_err(|_| broken())?;
            let (taken, given) = (self.inner.total_in() - before.0, self.inner.total_out() - before.1);
            if room == 0 && given > 0 || out.len() > limit {
                return Err(Code::TooLarge.because("the message is larger than the limit once inflated"));
            }
            piece = piece.get(taken as usize..).unwrap_or_default();
            if status == Status::StreamEnd {
                self.ended = true;
                return Ok(piece);
            }
            let full = room > 0 && out.len() == out.capacity();
            if piece.is_empty() && !full {
                return Ok(piece);
            }
            if taken == 0 && given == 0 && !full {
                return Err(broken());
            }
        }
    }
}

fn broken() -> Problem {
    Code::WsProtocol.because("a compressed message does not inflate")
}

/// The inflater that the readers of one thread share.
///
/// A reader borrows it for as long as a compressed message takes to arrive, which for most is a single read: a
/// thread with any number of idle connections then holds one. Where several messages are on their way at once, more
/// are made, and one of them is kept.
#[derive(Debug, Default)]
pub struct Inflaters {
    spare: Option<Box<Inflate>>,
}

impl Inflaters {
    pub fn new() -> Inflaters {
        Inflaters::default()
    }

    /// An inflater that is at the beginning of a message.
    pub fn take(&mut self) -> Box<Inflate> {
        self.spare.take().unwrap_or_default()
    }

    /// Gives an inflater back, wherever it stopped.
    pub fn give_back(&mut self, mut inflate: Box<Inflate>) {
        inflate.reset();
        self.spare = Some(inflate);
    }
}
