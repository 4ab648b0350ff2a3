//! What may be published to one channel, whoever publishes: how large and how fast, by the `[[channel]]` that says so.

use super::bucket::{Buckets, Rate, Whose};
use crate::auth::settings::ChannelLimit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;
use switchboard_wire::ChannelName;

/// The limits of channels, and how much of them is used up.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Whether there are any, so that nothing is looked up where there are none.
    any: AtomicBool,
    rules: RwLock<Vec<ChannelLimit>>,
    buckets: Buckets,
}

impl Channels {
    pub(super) fn new(rules: Vec<ChannelLimit>) -> Channels {
        let any = AtomicBool::new(!rules.is_empty());
        Channels { any, rules: RwLock::new(rules), buckets: Buckets::new() }
    }

    /// Puts other limits in place of those that hold.
    pub(crate) fn replace(&self, rules: Vec<ChannelLimit>) {
        let any = !rules.is_empty();
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        self.any.store(any, Ordering::Relaxed);
    }

    pub(super) fn are_limited(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// The longest message that a channel takes, where a rule says so.
    pub(super) fn message(&self, channel: &ChannelName) -> Option<usize> {
        if !self.are_limited() {
            return None;
        }
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        ChannelLimit::of(&rules, channel, |limit| limit.message)
    }

    fn rate(&self, channel: &ChannelName) -> Option<(Whose, Rate)> {
        if !self.are_limited() {
            return None;
        }
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let per_second = ChannelLimit::of(&rules, channel, |limit| limit.publishes)?;
        Some((self.buckets.whose(channel.as_str()), Rate::of(per_second)))
    }

    /// Takes nothing, and says how long until a channel takes something.
    pub(super) fn ready(&self, channel: &ChannelName, now: u64) -> Result<(), Duration> {
        self.rate(channel).map_or(Ok(()), |(whose, rate)| self.buckets.take(whose, 0, rate, now))
    }

    /// Takes so many events in any case, and says how long to wait before the next.
    pub(super) fn spend(&self, channel: &ChannelName, events: usize, now: u64) -> Duration {
        self.rate(channel).map_or(Duration::ZERO, |(whose, rate)| self.buckets.spend(whose, events, rate, now))
    }

    pub(super) fn sweep(&self, now: u64) {
        self.buckets.sweep(now);
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }
}
