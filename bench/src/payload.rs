//! What an event carries: who it is, when it was sent, and filler of the size asked for.
//!
//! `@SSSSSSSSSS.NNNNNNNNNNNNNNNNNN.CCCCCC.` and filler: sequence number within the channel, nanoseconds on the load
//! generator's own clock, and the channel's index. All of it is ASCII that needs no escaping in JSON, so that it goes
//! through every transport as it is.

use std::time::Instant;

const SEQ: std::ops::Range<usize> = 1..11;
const NANOS: std::ops::Range<usize> = 12..30;
const CHANNEL: std::ops::Range<usize> = 31..37;

/// Bytes before the filler, and so the smallest payload.
pub const SMALLEST: usize = 38;

/// What a payload says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The event's number within its channel, from 0.
    pub seq: u32,
    /// When it was sent, by [`Clock`].
    pub nanos: u64,
    pub channel: u32,
}

/// The clock of one load generator. It publishes and receives, so no two clocks are compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    pub fn nanos(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// Writes and checks payloads of one size.
#[derive(Clone, Debug)]
pub struct Payloads {
    filler: Vec<u8>,
}

impl Payloads {
    /// Payloads of `size` bytes, [`SMALLEST`] at least. The filler looks like text: letters in words, so that it
    /// compresses about as well as text does.
    pub fn new(size: usize) -> Payloads {
        let mut random = fastrand::Rng::with_seed(0x5eed);
        let mut filler = Vec::with_capacity(size);
        while filler.len() < size.saturating_sub(SMALLEST) {
            for _ in 0..random.usize(2..9) {
                filler.push(b"etaoinshrdlucmfw"[random.usize(0..16).min(random.usize(0..16))]);
            }
            filler.push(b' ');
        }
        filler.truncate(size.saturating_sub(SMALLEST));
        Payloads { filler }
    }

    /// Bytes of one payload.
    pub fn size(&self) -> usize {
        SMALLEST + self.filler.len()
    }

    pub fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(b"@0000000000.000000000000000000.000000.");
        digits(u64::from(stamp.seq), &mut out[start..][SEQ]);
        digits(stamp.nanos, &mut out[start..][NANOS]);
        digits(u64::from(stamp.channel), &mut out[start..][CHANNEL]);
        out.extend_from_slice(&self.filler);
    }

    /// Finds the payloads in a piece of what was received: gives each stamp, or `None` for one that is damaged.
    pub fn find(&self, piece: &[u8], mut found: impl FnMut(Option<Stamp>)) {
        let mut rest = piece;
        while let Some(at) = memchr::memchr(b'@', rest) {
            rest = &rest[at..];
            let (head, filler) = rest.split_at(rest.len().min(SMALLEST));
            let whole = filler.get(..self.filler.len()) == Some(self.filler.as_slice());
            found(read(head).filter(|_| whole));
            rest = rest.get(self.size()..).unwrap_or_default();
        }
    }
}

fn digits(mut value: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn read(head: &[u8]) -> Option<Stamp> {
    if head.len() < SMALLEST || [head[0], head[11], head[30], head[37]] != *b"@..." {
        return None;
    }
    Some(Stamp {
        seq: u32::try_from(number(&head[SEQ])?).ok()?,
        nanos: number(&head[NANOS])?,
        channel: number(&head[CHANNEL])? as u32,
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_in_whatever_surrounds_it() {
        for size in [0, SMALLEST, 39, 128, 1024] {
            let payloads = Payloads::new(size);
            let stamps =
                [Stamp { seq: 7, nanos: 123_456_789_012, channel: 42 }, Stamp { seq: 8, nanos: 1, channel: 0 }];
            let mut text = b"id: 06jk\ndata: ".to_vec();
            for stamp in stamps {
                let before = text.len();
                payloads.write(stamp, &mut text);
                assert_eq!(text.len() - before, size.max(SMALLEST));
                text.extend_from_slice(b"\",\"next\":\"");
            }
            let mut found = Vec::new();
            payloads.find(&text, |stamp| found.push(stamp));
            assert_eq!(found, stamps.map(Some));
        }
    }

    #[test]
    fn damage_is_found() {
        let payloads = Payloads::new(100);
        let mut text = Vec::new();
        payloads.write(Stamp { seq: 1, nanos: 2, channel: 3 }, &mut text);
        for at in 1..text.len() {
            let mut damaged = text.clone();
            damaged[at] = b'#';
            payloads.find(&damaged, |stamp| assert_eq!(stamp, None, "at {at}"));
            payloads.find(&text[..at], |stamp| assert_eq!(stamp, None, "cut at {at}"));
        }
    }
}
