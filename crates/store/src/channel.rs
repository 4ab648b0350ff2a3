//! What the log knows of one channel.

use crate::entry::Entry;
use crate::policy::Class;
use std::collections::VecDeque;
use std::sync::Arc;
use switchboard_wire::{ChannelName, Reason};

/// A channel's record. Its events are those after `lost`, and `ended`, if it has ended, comes after them all.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: ChannelName,
    pub(crate) class: Class,
    /// The events held, oldest first, without a hole.
    pub(crate) events: VecDeque<Arc<Entry>>,
    /// Bytes of text and data in `events`.
    pub(crate) bytes: usize,
    /// Everything of the channel up to here is gone: the newest event removed, the deletion, or what was forgotten.
    /// 0 if nothing is.
    pub(crate) lost: u64,
    /// Why the newest is.
    pub(crate) reason: Reason,
    /// What the log as a whole had forgotten when this record was made.
    pub(crate) forgotten: u64,
    /// Where events were lost, oldest first, each with a slot in the order of the log. One mark stands for those
    /// before it, back to the mark before, if no event of any channel is held in between: a reader is told the same.
    pub(crate) marks: VecDeque<u64>,
    /// The newest event, held or not; 0 if there was none since the channel came into being.
    pub(crate) last: u64,
    pub(crate) ended: Option<u64>,
    /// When the log will look for expired events: never later than the oldest one expires.
    pub(crate) timer: Option<u64>,
}

impl Record {
    pub(crate) fn new(name: ChannelName, class: Class, forgotten: u64) -> Record {
        Record {
            name,
            class,
            events: VecDeque::new(),
            bytes: 0,
            lost: forgotten,
            reason: Reason::Forgotten,
            forgotten,
            marks: VecDeque::new(),
            last: 0,
            ended: None,
            timer: None,
        }
    }

    pub(crate) fn is_state(&self) -> bool {
        matches!(self.class, Class::State)
    }

    /// Whether it tells of several of the system's own channels.
    pub(crate) fn is_shared(&self) -> bool {
        self.name.is_reserved()
    }

    /// Whether the channel is there for its users: a deleted one only remembers that it was.
    pub(crate) fn exists(&self) -> bool {
        self.last > 0 || self.ended.is_some()
    }

    /// The newest place in the log that this record knows something of.
    pub(crate) fn latest(&self) -> u64 {
        self.last.max(self.lost).max(self.ended.unwrap_or(0))
    }

    /// The first place after `cursor` where something of the channel was lost, and why.
    pub(crate) fn lost_after(&self, cursor: u64) -> Option<(u64, Reason)> {
        if self.lost <= cursor {
            return None;
        }
        if self.forgotten > cursor {
            return Some((self.forgotten, Reason::Forgotten));
        }
        let next = self.marks.partition_point(|mark| *mark <= cursor);
        self.marks.get(next).map(|mark| (*mark, self.reason))
    }

    /// Where the first event after `cursor` stands in `events`.
    pub(crate) fn after(&self, cursor: u64) -> usize {
        match self.events.front() {
            Some(oldest) if oldest.seq() <= cursor => self.events.partition_point(|entry| entry.seq() <= cursor),
            _ => 0,
        }
    }

    pub(crate) fn at(&self, seq: u64) -> Option<&Arc<Entry>> {
        let i = self.events.binary_search_by_key(&seq, |entry| entry.seq()).ok()?;
        self.events.get(i)
    }

    /// How old an event may become, in milliseconds.
    pub(crate) fn age(&self) -> Option<u64> {
        match self.class {
            Class::History(retention) => Some(retention.age),
            Class::Ephemeral | Class::State => None,
        }
    }

    /// When the oldest event expires.
    pub(crate) fn expiry(&self) -> Option<u64> {
        Some(self.events.front()?.event().time.saturating_add(self.age()?))
    }

    /// How many events have expired, counted up to `limit`.
    pub(crate) fn expired(&self, now: u64, limit: usize) -> usize {
        let Some(age) = self.age() else { return 0 };
        let old = |entry: &&Arc<Entry>| entry.event().time.saturating_add(age) <= now;
        self.events.iter().take(limit).take_while(old).count()
    }

    /// How many events are too many by count and bytes. The newest always stays, however large it is: a limit that
    /// refuses what was just accepted would lose every such event.
    pub(crate) fn surplus(&self) -> usize {
        let spare = self.events.len().saturating_sub(1);
        let Class::History(retention) = self.class else { return spare };
        let by_count = self.events.len().saturating_sub(retention.events).min(spare);
        let (mut count, mut bytes) = (0, self.bytes);
        for entry in self.events.iter().take(spare) {
            if count >= by_count && bytes <= retention.bytes {
                break;
            }
            bytes -= entry.cost();
            count += 1;
        }
        count
    }
}
