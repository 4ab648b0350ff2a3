//! The way up: numbered requests that may come late, twice, or in another order than they were sent in.

use super::control::OVERHEAD;
use bytes::Bytes;
use std::collections::BTreeMap;

/// What came ahead of its turn, and whose turn it is.
#[derive(Debug)]
pub(super) struct Upward {
    expected: u64,
    /// By number: until when it waits, and what it is.
    held: BTreeMap<u64, (u64, Bytes)>,
    bytes: usize,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It was applied, now or earlier.
    Applied,
    /// Those before it are on their way: [`Happening::Applied`](super::Happening::Applied) or
    /// [`Happening::Refused`](super::Happening::Refused) will tell.
    Held,
    /// It was not applied: the client goes on with this number.
    Conflict { expected: u64 },
}

impl Upward {
    pub(super) fn new() -> Upward {
        Upward { expected: 1, held: BTreeMap::new(), bytes: 0 }
    }

    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// Whether this one was applied already.
    pub(super) fn is_past(&self, seq: u64) -> bool {
        seq < self.expected
    }

    pub(super) fn holds(&self, seq: u64) -> bool {
        self.held.contains_key(&seq)
    }

    /// It is this one's turn. `false` if it is not.
    pub(super) fn turn(&mut self, seq: u64) -> bool {
        let is_next = seq == self.expected;
        self.expected += u64::from(is_next);
        is_next
    }

    /// Keeps one that came ahead of its turn.
    pub(super) fn hold(&mut self, seq: u64, until: u64, body: Bytes) {
        self.bytes += body.len() + OVERHEAD;
        self.held.insert(seq, (until, body));
    }

    /// The one whose turn it is, if it is held. Its turn is over then.
    pub(super) fn next(&mut self) -> Option<(u64, Bytes)> {
        let seq = self.expected;
        let (_, body) = self.held.remove(&seq)?;
        self.bytes -= body.len() + OVERHEAD;
        self.expected += 1;
        Some((seq, body))
    }

    /// One that has waited long enough, dropped.
    pub(super) fn expire(&mut self, now: u64) -> Option<u64> {
        let seq = *self.held.iter().find(|(_, (until, _))| *until <= now)?.0;
        let (_, body) = self.held.remove(&seq)?;
        self.bytes -= body.len() + OVERHEAD;
        Some(seq)
    }

    /// When the next has waited long enough.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.held.values().map(|(until, _)| *until).min()
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// What is held takes, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.bytes
    }

    /// Drops all that is held: whoever waits for it asked for something that is gone.
    pub(super) fn clear(&mut self) {
        self.bytes = 0;
        self.held.clear();
    }
}
