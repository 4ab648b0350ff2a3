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
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

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

/// On messages of some hundred bytes to some KiB, levels 2 to 6 take the same time within a tenth, while level 1 makes
/// JSON half as long again.
const LEVEL: Compression = Compression::new(6);

/// What an [`Inflate`] takes, in bytes, rounded up.
pub const INFLATER: usize = 50 << 10;

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
        // A sender that ends with a final block should append an empty one to leave out the tail of, and one that has
        // nothing to say should send a byte; some do not.
        if !self.ended && self.inner.total_in() > 0 {
            self.push(&TAIL, limit, out)?;
            let length = out.len();
            // What this gives is not the message's, nor too much of it: a block was open.
            self.push(&END, limit, out).map_err(|_| broken())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inflate(pieces: &[&[u8]], limit: usize) -> Result<Vec<u8>, Problem> {
        let (mut inflate, mut out) = (Inflate::new(), Vec::new());
        for piece in pieces {
            inflate.push(piece, limit, &mut out)?;
        }
        inflate.finish(limit, &mut out)?;
        assert!(out.len() <= limit && out.capacity() <= limit);
        Ok(out)
    }

    #[test]
    fn the_examples_of_rfc_7692_inflate_whole_and_byte_by_byte() {
        let examples: [(&[u8], &str); 5] = [
            (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], "one block (7.2.3.1)"),
            (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], "stored (7.2.3.3)"),
            (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "a final block (7.2.3.4)"),
            (&[0xf2, 0x48, 0x05, 0, 0, 0, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], "two blocks (7.2.3.5)"),
            (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], "a final block with nothing behind it"),
        ];
        for (example, name) in examples {
            assert_eq!(inflate(&[example], 5).unwrap(), b"Hello", "{name}");
            let bytes: Vec<&[u8]> = example.chunks(1).collect();
            assert_eq!(inflate(&bytes, 5).unwrap(), b"Hello", "{name}");
            assert_eq!(inflate(&bytes, 4).unwrap_err().code, Code::TooLarge, "{name}");
        }
        assert_eq!(Deflate::new(15).message(b"Hello").unwrap(), examples[0].0);
    }

    #[test]
    fn an_empty_message_is_one_byte() {
        assert_eq!(Deflate::new(15).message(b"").unwrap(), [0x00]);
        assert_eq!(inflate(&[&[0x00]], 0).unwrap(), b"");
    }

    #[test]
    fn what_does_not_inflate_is_refused() {
        let cases: [(&[u8], &str); 5] = [
            (&[0x06], "a reserved block type"),
            (&[0x00, 0x05, 0x00, 0x00, 0x00], "a stored block with unlike lengths"),
            (&[0x00, 0x09, 0x00, 0xf6, 0xff, 0x48], "a stored block cut short"),
            (&[0xf2, 0x00, 0x11, 0x00, 0x00], "a reference to the message before (7.2.3.2)"),
            (&[0xf2, 0x48, 0xcd], "a compressed block cut short"),
        ];
        for (payload, name) in cases {
            assert_eq!(inflate(&[payload], 100).unwrap_err().code, Code::WsProtocol, "{name}");
        }
    }

    #[test]
    fn a_message_that_ends_within_a_stored_block_is_broken_and_not_too_large() {
        // Four bytes, a final block's end, and a stored block of 65,535 bytes, whose length what was left out completes.
        let message = [0x7b, 0x7b, 0x7b, 0x7b, 0x00, 0x00, 0x00, 0xff, 0xff];
        for limit in [6, 7, 11, 100] {
            assert_eq!(inflate(&[&message], limit).unwrap_err().code, Code::WsProtocol, "at most {limit}");
        }
        assert_eq!(inflate(&[&message], 5).unwrap_err().code, Code::TooLarge);
    }

    #[test]
    fn a_bomb_takes_no_more_memory_than_the_limit() {
        let bomb = Deflate::new(15).message(&vec![0; 16 << 20]).unwrap();
        assert!(bomb.len() < 20_000);
        let (mut inflate, mut out) = (Inflate::new(), Vec::new());
        assert_eq!(inflate.push(&bomb, 100_000, &mut out).unwrap_err().code, Code::TooLarge);
        assert!(out.len() == 100_000 && out.capacity() == 100_000);
    }

    #[test]
    fn an_inflater_given_back_begins_anew() {
        let mut inflaters = Inflaters::new();
        let (mut first, mut out) = (inflaters.take(), Vec::new());
        first.push(&[0xf2, 0x48, 0xcd], 100, &mut out).unwrap();
        inflaters.give_back(first);
        let (mut second, mut out) = (inflaters.take(), Vec::new());
        second.push(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 100, &mut out).unwrap();
        second.finish(100, &mut out).unwrap();
        assert_eq!(out, b"Hello");
    }

    /// Text that repeats itself at all distances, noise, and both.
    fn payloads() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::collection::vec("[a-f]{1,9}", 0..40);
        let noise = prop::collection::vec(any::<u8>(), 0..3000);
        (words, noise, 0usize..40).prop_map(|(words, noise, times)| {
            let mut payload = words.concat().into_bytes();
            payload.extend_from_slice(&noise);
            payload.repeat(times)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn compressed_messages_depend_on_the_payload_and_the_window_alone(
            before in payloads(),
            payload in payloads(),
            window in 9u8..=15,
        ) {
            let fresh = Deflate::new(window).message(&payload).unwrap();
            let mut used = Deflate::new(window);
            used.message(&before).unwrap();
            prop_assert_eq!(&used.message(&payload).unwrap(), &fresh);
            prop_assert!(fresh.len() <= payload.len() + payload.len() / 8 + 32);
            prop_assert_eq!(inflate(&[&fresh], payload.len()).unwrap(), payload);
        }

        #[test]
        fn a_small_window_suffices_for_what_was_compressed_with_it(payload in payloads(), window in 9u8..=15) {
            let mut compressed = Deflate::new(window).message(&payload).unwrap();
            compressed.extend_from_slice(&TAIL);
            let mut narrow = Decompress::new_with_window_bits(false, window);
            let mut out = Vec::new();
            // A buffer smaller than any window, so that references are resolved in the inflater's own window.
            while narrow.total_out() < payload.len() as u64 {
                let from = narrow.total_in() as usize;
                let mut piece = Vec::with_capacity(200);
                narrow.decompress_vec(&compressed[from..], &mut piece, FlushDecompress::None).unwrap();
                prop_assert!(!piece.is_empty());
                out.extend_from_slice(&piece);
            }
            prop_assert_eq!(out, payload);
        }

        #[test]
        fn pieces_inflate_as_the_whole(payload in payloads(), size in 1usize..50, less in 0usize..9) {
            let compressed = Deflate::new(15).message(&payload).unwrap();
            let pieces: Vec<&[u8]> = compressed.chunks(size).collect();
            match inflate(&pieces, payload.len().saturating_sub(less)) {
                Ok(out) => prop_assert!(out == payload && (less == 0 || payload.is_empty())),
                Err(problem) => prop_assert!(less > 0 && problem.code == Code::TooLarge),
            }
        }

        #[test]
        fn any_bytes_inflate_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1usize..50) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let whole = inflate(&[&bytes], 1000);
            prop_assert_eq!(inflate(&pieces, 1000), whole);
        }
    }
}
