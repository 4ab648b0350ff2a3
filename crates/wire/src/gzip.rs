//! gzip (RFC 1952) for bodies without end that many share.
//!
//! Each message is compressed on its own and ends at a byte, so it is the same bytes for every reader, whatever they
//! were sent before. What differs between them is the sum at the very end, of everything that went before. [`Sum`]s of
//! messages are made once, and joining one to a reader's [`Total`] takes no look at the bytes.

use crate::websocket::deflate::{Deflate, TAIL, WINDOW_MAX};
use flate2::Crc;
use std::cell::RefCell;

/// What a body begins with: deflate, no name, no time, an unknown system (RFC 1952 section 2.3).
pub const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Shorter messages are not worth the compressor's time; they are sent as they are, in a block that says so.
const COMPRESSED_MIN: usize = 256;

/// Most bytes in a stored block (RFC 1951 section 3.2.4).
const STORED_MAX: usize = 0xffff;

/// What a message adds to the sum of those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    crc: u32,
    length: u32,
    /// What moving a sum past the message multiplies it by.
    shift: u32,
}

/// Of no bytes at all.
impl Default for Sum {
    fn default() -> Sum {
        Sum { crc: 0, length: 0, shift: ONE }
    }
}

impl Sum {
    fn of(payload: &[u8]) -> Sum {
        let mut crc = Crc::new();
        crc.update(payload);
        Sum { crc: crc.sum(), length: payload.len() as u32, shift: power_of_x(payload.len() as u64 * 8) }
    }

    /// The sum of this and what follows it.
    #[must_use]
    pub fn then(self, next: Sum) -> Sum {
        Sum {
            crc: multiply(self.crc, next.shift) ^ next.crc,
            length: self.length.wrapping_add(next.length),
            shift: multiply(self.shift, next.shift),
        }
    }
}

/// The sum of all that a reader was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Total {
    crc: u32,
    length: u32,
}

impl Total {
    pub fn add(&mut self, sum: Sum) {
        self.crc = multiply(self.crc, sum.shift) ^ sum.crc;
        self.length = self.length.wrapping_add(sum.length);
    }

    /// What a body ends with: an empty final block and the sum of everything before it.
    pub fn end(&self) -> [u8; 10] {
        let (crc, length) = (self.crc.to_le_bytes(), self.length.to_le_bytes());
        [0x03, 0, crc[0], crc[1], crc[2], crc[3], length[0], length[1], length[2], length[3]]
    }
}

/// Appends a message's blocks, which end at a byte. Empty messages have none.
pub fn write(payload: &[u8], out: &mut Vec<u8>) -> Sum {
    let compressed = (payload.len() >= COMPRESSED_MIN).then(|| compress(payload)).flatten();
    match compressed.filter(|compressed| compressed.len() < payload.len()) {
        Some(compressed) => {
            out.extend_from_slice(&compressed);
            out.extend_from_slice(&TAIL);
        }
        None => {
            for piece in payload.chunks(STORED_MAX) {
                let length = piece.len() as u16;
                out.push(0);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&(!length).to_le_bytes());
                out.extend_from_slice(piece);
            }
        }
    }
    Sum::of(payload)
}

/// Each thread keeps a compressor: setting one up costs more than a small message.
fn compress(payload: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<Deflate>> = const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|kept| kept.get_or_insert_with(|| Deflate::new(WINDOW_MAX)).message(payload))
}

// A sum is a polynomial over GF(2), its highest power of x in the lowest bit (RFC 1952 section 8). Appending n bits to
// what it sums multiplies it by x^n, modulo this:
const POLYNOMIAL: u32 = 0xedb8_8320;
const ONE: u32 = 1 << 31;

fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    for power in (0..32).rev() {
        product ^= b & 0u32.wrapping_sub(a >> power & 1);
        b = b >> 1 ^ POLYNOMIAL & 0u32.wrapping_sub(b & 1);
    }
    product
}

fn power_of_x(mut exponent: u64) -> u32 {
    let (mut power, mut square) = (ONE, ONE >> 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = multiply(power, square);
        }
        square = multiply(square, square);
        exponent >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use proptest::prelude::*;
    use std::io::Read as _;

    fn body(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut out = HEAD.to_vec();
        let mut total = Total::default();
        for message in messages {
            total.add(write(message, &mut out));
        }
        out.extend_from_slice(&total.end());
        out
    }

    fn unpacked(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        GzDecoder::new(body).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn long_and_empty_messages_come_back() {
        let noise: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let messages = [Vec::new(), noise, b"again ".repeat(50_000), Vec::new()];
        assert_eq!(unpacked(&body(&messages)), messages.concat());
        assert_eq!(unpacked(&body(&[])), b"");
    }

    #[test]
    fn what_repeats_gets_shorter_and_what_is_short_grows_by_five_bytes() {
        let mut out = Vec::new();
        write(&b"{\"price\":1}".repeat(100), &mut out);
        assert!(out.len() < 100, "{}", out.len());
        out.clear();
        write(b"hello", &mut out);
        assert_eq!(out.len(), 10);
    }

    proptest! {
        #[test]
        fn whatever_is_joined_comes_back_with_a_true_sum(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..8),
            compressible in any::<bool>(),
        ) {
            let messages: Vec<Vec<u8>> = match compressible {
                true => messages.iter().map(|message| message.iter().map(|b| b % 3).collect()).collect(),
                false => messages,
            };
            prop_assert_eq!(unpacked(&body(&messages)), messages.concat());
        }

        #[test]
        fn sums_join_as_their_texts_do(a: Vec<u8>, b: Vec<u8>, c: Vec<u8>) {
            let whole = Sum::of(&[&a[..], &b, &c].concat());
            prop_assert_eq!(Sum::of(&a).then(Sum::of(&b)).then(Sum::of(&c)), whole);
            prop_assert_eq!(Sum::of(&a).then(Sum::of(&b).then(Sum::of(&c))), whole);
        }
    }
}
