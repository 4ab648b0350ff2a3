//! Positions: cursors into the logs, as strings that clients hand back and never look into.
//!
//! A [`Mark`] is a place in one log: the log's epoch and a sequence number. A [`Position`] has a mark for each log
//! that a node reads. In text a mark is ten characters of epoch, one that counts the digits, and the digits, all in
//! the alphabet `0-9a-v` (base 32 in byte order, RFC 4648 section 7 in lower case); marks are joined by `.`.
//! Because the count comes first, marks of one epoch sort as bytes in log order:
//!
//! ```
//! # use switchboard_wire::{Epoch, Mark, Position};
//! let at = |seq| Position::from(Mark { epoch: Epoch::new(42), seq }).to_string();
//! assert_eq!(at(1000), "000000001a2v8");
//! assert!(at(9) < at(10) && at(31) < at(32) && at(1023) < at(1024));
//! ```

use crate::limits::{LOGS_MAX, MARK_MAX, POSITION_MAX};
use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
const EPOCH_CHARS: usize = 10;
const SEQ_DIGITS_MAX: usize = 13;

/// Names one life of one log: 50 random bits. A log that lost its contents starts a new epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Epoch(u64);

impl Epoch {
    /// Keeps the low 50 bits of `bits`.
    pub const fn new(bits: u64) -> Epoch {
        Epoch(bits & ((1 << (5 * EPOCH_CHARS)) - 1))
    }
}

/// A place in one log: everything up to and including `seq` lies before it. `seq` 0 is before the first event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Mark {
    pub epoch: Epoch,
    pub seq: u64,
}

impl Mark {
    fn text(self) -> MarkText {
        let (mut bytes, digits) = ([0; MARK_MAX], seq_digits(self.seq));
        write_digits(self.epoch.0, &mut bytes[..EPOCH_CHARS]);
        bytes[EPOCH_CHARS] = ALPHABET[digits];
        write_digits(self.seq, &mut bytes[EPOCH_CHARS + 1..][..digits]);
        MarkText { bytes, length: EPOCH_CHARS + 1 + digits }
    }

    /// Appends the mark's text, at most [`MARK_MAX`] bytes.
    pub fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text().as_bytes());
    }

    fn parse(text: &[u8]) -> Option<Mark> {
        let (epoch, seq) = text.split_at_checked(EPOCH_CHARS)?;
        let (count, digits) = seq.split_first()?;
        let canonical = value(*count)? == digits.len() as u64
            && (1..=SEQ_DIGITS_MAX).contains(&digits.len())
            && (digits.len() == 1 || digits[0] != b'0')
            // Thirteen digits hold 65 bits, so the first may only be 0..=15.
            && (digits.len() < SEQ_DIGITS_MAX || digits[0] <= b'f');
        if !canonical {
            return None;
        }
        Some(Mark { epoch: Epoch(number(epoch)?), seq: number(digits)? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

/// The text of a [`Mark`], in no memory but its own.
struct MarkText {
    bytes: [u8; MARK_MAX],
    length: usize,
}

impl MarkText {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn as_str(&self) -> &str {
        // Invariant: the alphabet is ASCII.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

fn seq_digits(seq: u64) -> usize {
    ((64 - seq.leading_zeros() as usize).div_ceil(5)).max(1)
}

/// Writes the last digits of a number, as many as there is room for.
fn write_digits(mut number: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = ALPHABET[(number & 31) as usize];
        number >>= 5;
    }
}

fn value(digit: u8) -> Option<u64> {
    match digit {
        b'0'..=b'9' => Some(u64::from(digit - b'0')),
        b'a'..=b'v' => Some(u64::from(digit - b'a') + 10),
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |n: u64, d| Some(n << 5 | value(*d)?))
}

/// A cursor: "everything after this", with a mark for each log it covers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    first: Mark,
    rest: Vec<Mark>,
}

/// The text is not a position. It is answered with a gap of reason `unknown`, never with an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable;

impl Position {
    /// `None` without marks, or with more than [`LOGS_MAX`].
    pub fn of(marks: &[Mark]) -> Option<Position> {
        let (first, rest) = marks.split_first()?;
        (marks.len() <= LOGS_MAX).then(|| Position { first: *first, rest: rest.to_vec() })
    }

    /// The marks, in the order they were given.
    pub fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }

    /// The place in the log whose epoch this is, if the position covers that log.
    pub fn in_log(&self, epoch: Epoch) -> Option<u64> {
        self.marks().find(|mark| mark.epoch == epoch).map(|mark| mark.seq)
    }

    /// Appends the text, at most [`POSITION_MAX`] bytes.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.first.write_to(out);
        for mark in &self.rest {
            out.push(b'.');
            mark.write_to(out);
        }
    }
}

impl From<Mark> for Position {
    fn from(first: Mark) -> Position {
        Position { first, rest: Vec::new() }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.first, f)?;
        self.rest.iter().try_for_each(|mark| write!(f, ".{mark}"))
    }
}

impl FromStr for Position {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Position, Unreadable> {
        if text.len() > POSITION_MAX {
            return Err(Unreadable);
        }
        let marks: Option<Vec<Mark>> = text.as_bytes().split(|b| *b == b'.').map(Mark::parse).collect();
        Position::of(&marks.ok_or(Unreadable)?).ok_or(Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark() -> impl Strategy<Value = Mark> {
        (any::<u64>(), any::<u64>(), 0..64u32)
            .prop_map(|(epoch, seq, shift)| Mark { epoch: Epoch::new(epoch), seq: seq >> shift })
    }

    proptest! {
        #[test]
        fn what_is_minted_reads_back(marks in prop::collection::vec(mark(), 1..=LOGS_MAX)) {
            let position = Position::of(&marks).unwrap();
            let text = position.to_string();
            prop_assert!(text.len() <= POSITION_MAX);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
            prop_assert_eq!(text.parse::<Position>().unwrap(), position);
        }

        #[test]
        fn one_mark_is_at_most_32_bytes_and_sorts_in_log_order(a in mark(), seq in any::<u64>()) {
            let b = Mark { seq, ..a };
            let (x, y) = (a.to_string(), b.to_string());
            prop_assert!(x.len() <= 32);
            prop_assert_eq!(a.seq.cmp(&b.seq), x.as_bytes().cmp(y.as_bytes()));
        }

        #[test]
        fn any_text_is_refused_or_canonical(text in "[0-9a-w.]{0,40}|.{0,300}") {
            if let Ok(position) = text.parse::<Position>() {
                prop_assert_eq!(position.to_string(), text);
            }
        }
    }

    #[test]
    fn neither_overflow_nor_padding_is_read() {
        let epoch = "0000000000";
        assert!(format!("{epoch}dfvvvvvvvvvvvv").parse::<Position>().is_ok());
        assert!(format!("{epoch}dg000000000000").parse::<Position>().is_err());
        assert!(format!("{epoch}201").parse::<Position>().is_err());
        assert!(format!("{epoch}10").parse::<Position>().is_ok());
        for word in ["", ".", "earliest", "latest", "0000000000", "00000000001", "0000000000e0000000000000000"] {
            assert_eq!(word.parse::<Position>(), Err(Unreadable), "{word}");
        }
    }
}
