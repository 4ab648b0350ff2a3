//! The control lane: numbered messages on their way down.

use bytes::Bytes;
use std::collections::VecDeque;

/// Messages in the order of their numbers, which begin at 1 and have no holes, kept until they are acknowledged.
#[derive(Debug, Default)]
pub(super) struct Control {
    kept: VecDeque<Bytes>,
    /// The number of the newest.
    last: u64,
    bytes: usize,
}

/// What a message that is kept costs besides its bytes, near enough to bound it by.
pub(super) const OVERHEAD: usize = 64;

impl Control {
    /// Appends a message and names it.
    pub(super) fn push(&mut self, message: Bytes) -> u64 {
        self.bytes += message.len() + OVERHEAD;
        self.kept.push_back(message);
        self.last += 1;
        self.last
    }

    /// The client has everything up to this number. One that was never given means nothing: it drops no message.
    pub(super) fn acknowledge(&mut self, number: u64) {
        if number > self.last {
            return;
        }
        while self.last - (self.kept.len() as u64) < number {
            let Some(message) = self.kept.pop_front() else { return };
            self.bytes -= message.len() + OVERHEAD;
        }
        if self.kept.is_empty() {
            // Most sessions are idle, and an idle one is to cost little.
            self.kept = VecDeque::new();
        }
    }

    /// What is kept with higher numbers, in order.
    pub(super) fn after(&self, number: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        let before = self.last - self.kept.len() as u64;
        let skipped = number.saturating_sub(before).min(self.kept.len() as u64);
        (before + skipped + 1..).zip(self.kept.range(skipped as usize..))
    }

    /// The number up to which everything was acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.last - self.kept.len() as u64
    }

    /// The number of the newest message; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// What the messages take, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }
}
