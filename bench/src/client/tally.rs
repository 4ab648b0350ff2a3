//! What all connections of a run came to.

use crate::figures::latency::Histogram;
use serde::{Deserialize, Serialize};

/// Counts over all connections.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub live: usize,
    /// Connections that were closed from this side.
    pub dismissed: u64,
    /// Events received, each by each.
    pub delivered: u64,
    /// Reads that brought at least one.
    pub reads: u64,
    pub faults: Faults,
    /// The first fault, in words.
    pub first_fault: Option<String>,
    /// From publish to receipt, of events published since the last [`Tally::begin`].
    pub latency: Histogram,
    /// From a publish to its answer.
    pub publishing: Histogram,
    /// Publishes that were answered.
    pub published: u64,
    since: u64,
}

/// Whatever makes a run fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Faults {
    /// Connections that did not become live.
    pub refused: u64,
    /// Connections that ended while they were live.
    pub dropped: u64,
    /// Connections that received what cannot be read, and payloads that are not what was sent.
    pub damaged: u64,
    /// Events that did not come.
    pub lost: u64,
    /// Events that came again.
    pub doubled: u64,
    /// Events that came after later ones.
    pub disordered: u64,
    /// Publishes that were refused.
    pub unpublished: u64,
}

impl Faults {
    pub fn is_empty(&self) -> bool {
        *self == Faults::default()
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = [
            ("refused", self.refused),
            ("dropped", self.dropped),
            ("damaged", self.damaged),
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("out of order", self.disordered),
            ("publishes refused", self.unpublished),
        ];
        let said: Vec<String> =
            named.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(if said.is_empty() { "none" } else { "" })?;
        f.write_str(&said.join(", "))
    }
}

impl Tally {
    /// Latency is counted from here on: for events published at `nanos` or later.
    pub fn begin(&mut self, nanos: u64) {
        self.since = nanos;
        self.latency.clear();
        self.publishing.clear();
        self.delivered = 0;
        self.reads = 0;
        self.published = 0;
    }

    /// Rises with everything that is waited for.
    pub(super) fn progress(&self) -> u64 {
        self.delivered + self.published + self.live as u64 + self.faults.refused + self.faults.dropped
    }

    pub(super) fn arrived(&mut self, sent: u64, now: u64) {
        self.delivered += 1;
        if sent >= self.since {
            self.latency.record(now.saturating_sub(sent));
        }
    }

    pub(super) fn fault(&mut self, which: impl FnOnce(&mut Faults), what: impl FnOnce() -> String) {
        which(&mut self.faults);
        if self.first_fault.is_none() {
            self.first_fault = Some(what());
        }
    }
}
