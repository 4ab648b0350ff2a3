//! What every log can do, wherever it keeps its events.

use crate::keys::{StreamKey, Sum};
use crate::log::{Append, Appended, ChannelInfo, Refusal};
use crate::memory::Memory;
use crate::open::{Opened, Since};
use crate::read::{Budget, Cursor, Piece};
use crate::ring::{Item, Taken};
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Epoch};

/// A log. [`Memory`] is the one that says what each of these means.
pub trait Store: Send + Sync {
    fn epoch(&self) -> Epoch;
    fn head(&self) -> u64;
    fn append(&self, now: u64, items: &[Append]) -> Result<Vec<Appended>, (usize, Refusal)>;
    fn finish(&self, now: u64, channel: &ChannelName, key: &StreamKey) -> Result<Option<Sum>, Refusal>;
    fn delete(&self, now: u64, channel: &ChannelName) -> Option<u64>;
    fn open(&self, now: u64, selection: &Selection, since: Since<'_>, page: bool) -> Opened;
    fn read(&self, now: u64, selection: &Selection, cursor: Cursor, upto: u64, budget: Budget) -> Piece;
    fn take(&self, after: u64, max: usize, out: &mut Vec<Item>) -> Taken;
    fn all_ended(&self, selection: &Selection) -> bool;
    fn channels(&self, now: u64, after: Option<&str>, limit: usize) -> Vec<ChannelInfo>;
    fn tick(&self, now: u64);
}

impl Store for Memory {
    fn epoch(&self) -> Epoch {
        self.epoch()
    }

    fn head(&self) -> u64 {
        self.head()
    }

    fn append(&self, now: u64, items: &[Append]) -> Result<Vec<Appended>, (usize, Refusal)> {
        self.append(now, items)
    }

    fn finish(&self, now: u64, channel: &ChannelName, key: &StreamKey) -> Result<Option<Sum>, Refusal> {
        self.finish(now, channel, key)
    }

    fn delete(&self, now: u64, channel: &ChannelName) -> Option<u64> {
        self.delete(now, channel)
    }

    fn open(&self, now: u64, selection: &Selection, since: Since<'_>, page: bool) -> Opened {
        self.open(now, selection, since, page)
    }

    fn read(&self, now: u64, selection: &Selection, cursor: Cursor, upto: u64, budget: Budget) -> Piece {
        self.read(now, selection, cursor, upto, budget)
    }

    fn take(&self, after: u64, max: usize, out: &mut Vec<Item>) -> Taken {
        self.take(after, max, out)
    }

    fn all_ended(&self, selection: &Selection) -> bool {
        self.all_ended(selection)
    }

    fn channels(&self, now: u64, after: Option<&str>, limit: usize) -> Vec<ChannelInfo> {
        self.channels(now, after, limit)
    }

    fn tick(&self, now: u64) {
        self.tick(now);
    }
}
