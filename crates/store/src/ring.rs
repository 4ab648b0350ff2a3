//! The ring: the newest items of the log in order, for the shards that hand them on.

use crate::entry::{EVENT_OVERHEAD, Entry};
use std::collections::VecDeque;
use std::sync::Arc;
use switchboard_wire::ChannelName;

/// What the ring hands to shards, in the order of the log.
#[derive(Clone, Debug)]
pub struct Item {
    pub seq: u64,
    pub channel: ChannelName,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Event(Arc<Entry>),
    /// The channel has ended.
    End,
    /// The channel was deleted.
    Deleted,
}

/// What came of [`Memory::take`](crate::Memory::take).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Everything up to here was handed over.
    Upto(u64),
    /// The ring has gone on too far: what follows is in the channels' logs, if anywhere. Nothing was handed over.
    Overrun { head: u64 },
}

/// Holds the items `head - len + 1 ..= head`, without a hole.
#[derive(Debug)]
pub(crate) struct Ring {
    items: VecDeque<Item>,
    head: u64,
    bytes: usize,
    /// Most items.
    limit: usize,
    /// Most bytes, so that large events do not outlive their channels here in great number. One item always stays.
    bytes_limit: usize,
}

impl Ring {
    pub(crate) fn new(limit: usize, bytes_limit: usize) -> Ring {
        Ring { items: VecDeque::new(), head: 0, bytes: 0, limit: limit.max(1), bytes_limit }
    }

    /// Adds items, which follow the head. What falls off and is worth freeing outside the lock goes to `trash`.
    pub(crate) fn extend(&mut self, items: impl Iterator<Item = Item>, trash: &mut Trash) {
        for item in items {
            self.head = item.seq;
            self.bytes += cost(&item);
            self.items.push_back(item);
            while self.items.len() > self.limit || (self.bytes > self.bytes_limit && self.items.len() > 1) {
                let Some(item) = self.items.pop_front() else { break };
                self.bytes -= cost(&item);
                if let What::Event(entry) = item.what {
                    trash.put(entry);
                }
            }
        }
    }

    /// Items held, and their bytes.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.items.len(), self.bytes)
    }

    pub(crate) fn take(&self, after: u64, max: usize, out: &mut Vec<Item>) -> Taken {
        let before = self.head - self.items.len() as u64;
        let Some(skip) = after.checked_sub(before) else { return Taken::Overrun { head: self.head } };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.items.len());
        let count = max.min(self.items.len() - skip);
        out.extend(self.items.range(skip..skip + count).cloned());
        Taken::Upto(if count == 0 { after } else { after + count as u64 })
    }
}

fn cost(item: &Item) -> usize {
    match &item.what {
        What::Event(entry) => entry.cost() + EVENT_OVERHEAD,
        What::End | What::Deleted => EVENT_OVERHEAD,
    }
}

/// Large events on their way out: giving much memory back takes longer than a lock should be held.
#[derive(Debug, Default)]
pub(crate) struct Trash(Vec<Arc<Entry>>);

impl Trash {
    const LARGE: usize = 4096;

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn put(&mut self, entry: Arc<Entry>) {
        if entry.cost() >= Trash::LARGE {
            self.0.push(entry);
        }
    }
}
