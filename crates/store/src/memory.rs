//! The log that threads share.

use crate::entry::Entry;
use crate::keys::{Claim, StreamKey, Sum};
use crate::log::{Append, Appended, ChannelInfo, Limits, Log, Refusal, Stats};
use crate::open::{Opened, Since};
use crate::policy::Policy;
use crate::read::{Budget, Cursor, Piece, Reading};
use crate::ring::{Item, Ring, Taken, Trash};
use crate::steps::{AtOnce, Pause, at_once};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Epoch, Mark, Position};

/// Called after everything that is appended.
type Bell = Box<dyn Fn() + Send + Sync>;

/// A log in memory. It is gone with the process, and so are its positions: each has its own epoch.
///
/// Times are milliseconds since the Unix epoch. A time before one that was given earlier counts as that one.
pub struct Memory {
    epoch: Epoch,
    /// The log's head as far as the ring has it.
    head: AtomicU64,
    log: Mutex<Log>,
    /// Locked after the log, never before it, so that its order is the log's. On its own because shards take from
    /// it while others read the log.
    ring: Mutex<Ring>,
    bells: RwLock<Vec<Bell>>,
}

impl Memory {
    pub fn new(epoch: Epoch, policy: Policy) -> Memory {
        let ring = Ring::new(policy.ring, Limits::of(&policy).ring_bytes);
        Memory {
            epoch,
            head: AtomicU64::new(0),
            log: Mutex::new(Log::new(epoch, policy)),
            ring: Mutex::new(ring),
            bells: RwLock::default(),
        }
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest place of the log. [`Memory::take`] has everything up to here.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::SeqCst)
    }

    /// A place of this log as clients are told it.
    pub fn position(&self, seq: u64) -> Position {
        Position::from(Mark { epoch: self.epoch, seq })
    }

    /// Appends all of a batch, each after the one before, or nothing: then the number of the item that is refused,
    /// and why. A key is looked at before anything else about its channel.
    pub fn append(&self, now: u64, items: &[Append]) -> Result<Vec<Appended>, (usize, Refusal)> {
        let keyed = items.iter().any(|item| item.key.is_some());
        let claims: Vec<Option<Claim>> = if keyed { items.iter().map(Claim::of).collect() } else { Vec::new() };
        self.change(now, |log| log.append(items, &claims))
    }

    /// The stream of events with this key came to its clean end. What it came to, if it is still remembered: the
    /// same for each repetition. Refused as [`Refusal::KeyReused`] if an earlier one had more lines.
    pub fn finish(&self, now: u64, channel: &ChannelName, key: &StreamKey) -> Result<Option<Sum>, Refusal> {
        let mut log = self.lock();
        log.clock(now);
        let (now, epoch) = (log.now, log.epoch);
        log.keys.finish(now, epoch, channel, key)
    }

    /// Deletes a channel, with its events and its end; its name is free again. Where in the log that was, or `None`
    /// if there was no such channel.
    pub fn delete(&self, now: u64, channel: &ChannelName) -> Option<u64> {
        self.change(now, |log| log.delete(channel))
    }

    /// Where a reader begins.
    ///
    /// By pattern this may have to look at all that the log holds: [`Memory::open_in_steps`] lets others have their turn.
    pub fn open(&self, now: u64, selection: &Selection, since: Since<'_>, page: bool) -> Opened {
        at_once(self.open_at(now, selection, since, page, &AtOnce))
    }

    /// As [`Memory::open`], with a pause after each step of at most some thousand places of the log.
    pub async fn open_in_steps(
        &self,
        now: u64,
        selection: &Selection,
        since: Since<'_>,
        page: bool,
        pause: &impl Pause,
    ) -> Opened {
        self.open_at(now, selection, since, page, pause).await
    }

    /// What a selection has after a cursor, up to `upto`: the log's head, or where a shard is. Where a channel lost
    /// events before `upto` and more after it, the reading goes on beyond `upto`, so that the gap tells of them all: a
    /// shard must not hand such a reader items that are not after its cursor.
    ///
    /// By pattern this may have to look at all that the log holds: [`Memory::read_in_steps`] and [`Memory::read_some`] let
    /// others have their turn.
    pub fn read(&self, now: u64, selection: &Selection, cursor: Cursor, upto: u64, budget: Budget) -> Piece {
        at_once(self.read_at(now, selection, cursor, upto, budget, &AtOnce))
    }

    /// As [`Memory::read`], with a pause after each step of at most some thousand places of the log.
    pub async fn read_in_steps(
        &self,
        now: u64,
        selection: &Selection,
        cursor: Cursor,
        upto: u64,
        budget: Budget,
        pause: &impl Pause,
    ) -> Piece {
        self.read_at(now, selection, cursor, upto, budget, pause).await
    }

    /// As [`Memory::read`], but one step of it: the piece may be empty where the reader is not caught up, and its cursor is
    /// then past what was looked at.
    pub fn read_some(&self, now: u64, selection: &Selection, cursor: Cursor, upto: u64, budget: Budget) -> Piece {
        let mut log = self.expired(now, selection);
        let upto = upto.min(log.head);
        let mut reading = Reading::new(selection, cursor, upto, budget);
        while !log.advance(&mut reading) {
            if reading.at() < upto {
                reading.stop();
                break;
            }
            // What lies beyond is there to tell of a loss whole, and whoever stopped in it would be caught up without that.
            drop(log);
            log = self.expired(now, selection);
        }
        reading.finish(&log)
    }

    pub(crate) async fn read_at(
        &self,
        now: u64,
        selection: &Selection,
        cursor: Cursor,
        upto: u64,
        budget: Budget,
        pause: &impl Pause,
    ) -> Piece {
        let mut reading = None;
        loop {
            {
                let log = self.expired(now, selection);
                let mut under_way =
                    reading.take().unwrap_or_else(|| Reading::new(selection, cursor, upto.min(log.head), budget));
                if log.advance(&mut under_way) {
                    return under_way.finish(&log);
                }
                reading = Some(under_way);
            }
            pause.pause().await;
        }
    }

    /// Appends the items after `after` to `out`, at most `max`.
    pub fn take(&self, after: u64, max: usize, out: &mut Vec<Item>) -> Taken {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).take(after, max, out)
    }

    /// Whether every channel of the selection has ended by this place. Never with patterns, nor of no channel at all.
    pub fn ended_by(&self, selection: &Selection, seq: u64) -> bool {
        self.lock().ended_by(selection, seq)
    }

    /// Whether every channel of the selection has ended. Never with patterns, nor of no channel at all.
    pub fn all_ended(&self, selection: &Selection) -> bool {
        self.lock().ended_by(selection, u64::MAX)
    }

    /// The content type of the newest event held.
    pub fn content_type(&self, channel: &ChannelName) -> Option<String> {
        let newest: Option<Arc<Entry>> = self.lock().records.named(channel)?.events.back().cloned();
        newest.map(|entry| entry.event().draft.content_type().to_owned())
    }

    /// The channels that exist, sorted by name, after `after`, at most `limit`.
    pub fn channels(&self, now: u64, after: Option<&str>, limit: usize) -> Vec<ChannelInfo> {
        let mut log = self.lock();
        log.clock(now);
        log.channels(after, limit)
    }

    /// Removes what has expired, and what is too much since encodings were made.
    pub fn tick(&self, now: u64) {
        loop {
            let mut log = self.lock();
            log.clock(now);
            let now = log.now;
            let more = log.expire(Log::STEP) | log.keys.expire(now, Log::STEP) | log.shed();
            log.keep_to_the_limit();
            let trash = std::mem::take(&mut log.trash);
            drop(log);
            drop(trash);
            if !more {
                return;
            }
        }
    }

    /// When [`Memory::tick`] has something to do, at the earliest.
    pub fn next_expiry(&self) -> Option<u64> {
        self.lock().next_expiry()
    }

    pub fn stats(&self) -> Stats {
        let stats = self.lock().stats();
        let (ring, ring_bytes) = self.ring.lock().unwrap_or_else(PoisonError::into_inner).held();
        Stats { ring, ring_bytes, ..stats }
    }

    /// Has `bell` called after everything that is appended, on the thread that appended it, under no lock of the log.
    /// It must be quick, and must not call this.
    pub fn on_append(&self, bell: Bell) {
        self.bells.write().unwrap_or_else(PoisonError::into_inner).push(bell);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log, once nothing of the selection is in it that has expired.
    pub(crate) fn expired(&self, now: u64, selection: &Selection) -> MutexGuard<'_, Log> {
        loop {
            let mut log = self.lock();
            log.clock(now);
            let more = log.expire_selected(selection);
            // Whoever reads has encodings made, also where nothing is appended.
            log.shed();
            let trash = std::mem::take(&mut log.trash);
            if !more && trash.is_empty() {
                return log;
            }
            drop(log);
        }
    }

    /// Changes the log and hands what that appended to the ring: one step for all who look.
    fn change<T>(&self, now: u64, change: impl FnOnce(&mut Log) -> T) -> T {
        let mut fallen = Trash::default();
        let mut log = self.lock();
        log.clock(now);
        let result = change(&mut log);
        let trash = std::mem::take(&mut log.trash);
        let changed = !log.fresh.is_empty();
        if changed {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            ring.extend(log.fresh.drain(..), &mut fallen);
            // In one order with what shards say of whether they attend, which the bells look at after this.
            self.head.store(log.head, Ordering::SeqCst);
        }
        drop(log);
        drop((trash, fallen));
        if changed {
            for bell in self.bells.read().unwrap_or_else(PoisonError::into_inner).iter() {
                bell();
            }
        }
        result
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("epoch", &self.epoch).field("head", &self.head()).finish_non_exhaustive()
    }
}
