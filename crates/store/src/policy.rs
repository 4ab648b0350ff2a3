//! How channels are kept.

use switchboard_wire::{ChannelName, Pattern};

/// What a channel's log is for. Chosen by pattern; see [`Policy`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Recent events are held, within limits.
    History(Retention),
    /// Nothing is held: what a reader was not there for, or too slow for, is skipped and told.
    Ephemeral,
    /// The newest event is held, whatever its age; older ones are not missed.
    State,
}

/// What a channel of class `history` holds at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    pub events: usize,
    /// Milliseconds.
    pub age: u64,
    pub bytes: usize,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { events: 1000, age: 10 * 60 * 1000, bytes: 8 << 20 }
    }
}

/// How all channels of a log are kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    /// The first pattern that matches decides.
    pub rules: Vec<(Pattern, Class)>,
    /// What no pattern matches.
    pub default: Class,
    /// Bytes of events held in all, some overhead of each included. On top of it come their encodings, at most a quarter
    /// of it, and what the ring holds longer than the channels do, at most another.
    pub bytes: usize,
    /// Channels kept in all.
    pub channels: usize,
    /// Idempotency keys kept in all; beyond it a publish with a new key is refused.
    pub keys: usize,
    /// How long an idempotency key is kept, in milliseconds.
    pub key_age: u64,
    /// Recent items that shards are handed: a shard further behind reads from the channels' logs.
    pub ring: usize,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            rules: Vec::new(),
            default: Class::History(Retention::default()),
            bytes: 256 << 20,
            channels: 100_000,
            keys: 1_000_000,
            key_age: 10 * 60 * 1000,
            ring: 16_384,
        }
    }
}

impl Policy {
    /// The class of a channel. The system's own hold nothing.
    pub fn class_of(&self, channel: &ChannelName) -> Class {
        if channel.is_reserved() {
            return Class::Ephemeral;
        }
        self.rules.iter().find(|(pattern, _)| pattern.matches(channel)).map_or(self.default, |(_, class)| *class)
    }
}
