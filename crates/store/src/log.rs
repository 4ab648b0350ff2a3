//! The log itself: appending, ending, deleting, trimming. No lock and no clock: the time is an argument.

use crate::channel::Record;
use crate::entry::{EVENT_OVERHEAD, Entry, Ledger};
use crate::index::{Kind, Order};
use crate::keys::{Answer, Claim, Key, Keys, Sketch, Verdict};
use crate::policy::{Class, Policy};
use crate::records::{Id, Records, kept_as};
use crate::ring::{Item, Trash, What};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use switchboard_wire::event::Draft;
use switchboard_wire::{ChannelName, Code, Epoch, Event, Mark, Reason};

/// An event to append, an end, or both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    pub channel: ChannelName,
    /// `None` only where the channel is ended without a last event.
    pub draft: Option<Draft>,
    /// Ends the channel, after the event.
    pub end: bool,
    pub key: Option<Key>,
}

/// The answer to an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// The event's name; `None` where there was no event, and for a repeated line from the midst of a stream, whose
    /// name is not remembered.
    pub id: Option<Mark>,
    /// The position after the event. Of an end without one, what came last before it; of a repeated line from the
    /// midst of a stream, that of the stream's first line.
    pub position: Mark,
    /// The key was used before, for the same: nothing was appended.
    pub repeated: bool,
}

/// Why nothing was appended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// The channel has ended.
    Ended,
    /// The idempotency key was used for something else.
    KeyReused,
    /// As many idempotency keys are kept as may be, and none is old enough to go.
    KeysFull,
}

impl Refusal {
    pub fn code(self) -> Code {
        match self {
            Refusal::Ended => Code::ChannelEnded,
            Refusal::KeyReused => Code::KeyReused,
            Refusal::KeysFull => Code::Overloaded,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Ended => "the channel has ended",
            Refusal::KeyReused => "the idempotency key was used for something else",
            Refusal::KeysFull => "as many idempotency keys are kept as may be: try again later",
        })
    }
}

impl std::error::Error for Refusal {}

/// A channel, as a list of channels shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct ChannelInfo {
    pub name: ChannelName,
    pub class: Class,
    /// Events held.
    pub events: usize,
    /// Bytes of text and data held.
    pub bytes: usize,
    pub ended: bool,
    /// The newest event, held or not.
    pub newest: Option<Mark>,
}

/// What a log holds, and what it has done since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Channels known, deleted ones that are still remembered included.
    pub channels: usize,
    /// Events held.
    pub events: usize,
    /// Bytes held, overhead and encodings included.
    pub bytes: usize,
    pub head: u64,
    /// Idempotency keys remembered.
    pub keys: usize,
    /// Bytes of encodings, which are in `bytes` too.
    pub encodings: usize,
    /// Remembered places where events were lost.
    pub marks: usize,
    /// Items on the ring, and their bytes, overhead included.
    pub ring: usize,
    pub ring_bytes: usize,
    /// Events appended so far, as all that follow.
    pub appended: u64,
    /// Appends that were answered from an idempotency key.
    pub repeated: u64,
    /// Events removed because of a limit of count or bytes.
    pub trimmed: u64,
    /// Events removed because of their age.
    pub expired: u64,
    /// Channels deleted.
    pub deleted: u64,
    /// Records of channels dropped because there were too many.
    pub forgotten: u64,
    /// Events whose encodings were dropped because all took too much.
    pub shed: u64,
}

/// What queues besides the events themselves may take at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of encodings.
    pub encodings: usize,
    /// Remembered places where events were lost.
    pub marks: usize,
    /// Bytes on the ring.
    pub ring_bytes: usize,
}

impl Limits {
    /// Encodings, and what the ring holds longer than the channels do, take a quarter of what events may take each.
    pub fn of(policy: &Policy) -> Limits {
        let marks = crate::losses::MARKS.max(2 * policy.channels);
        Limits { encodings: policy.bytes / 4, marks, ring_bytes: policy.bytes / 4 }
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) epoch: Epoch,
    pub(crate) policy: Policy,
    pub(crate) head: u64,
    /// The latest time this log was told: it never goes back.
    pub(crate) now: u64,
    pub(crate) records: Records,
    pub(crate) order: Order,
    pub(crate) keys: Keys,
    /// Where the dropped record that knew of the newest place knew of it.
    pub(crate) forgotten: u64,
    /// The newest place that any channel ever lost.
    pub(crate) lost: u64,
    /// The newest mark of a loss that was dropped because there were too many. A reader from before it may be told of a
    /// loss later than where it was.
    pub(crate) vague: u64,
    /// The channel of each mark, in the order in which they were made. Marks that went in another way are still in it.
    pub(crate) marked: VecDeque<Id>,
    pub(crate) limits: Limits,
    /// The encodings of events up to here were dropped.
    shed_at: u64,
    /// When to look for expired events in which channel, at most one for each.
    timers: BTreeSet<(u64, Id)>,
    events: usize,
    /// Bytes of the events held with their overhead, without encodings.
    bytes: usize,
    ledger: Arc<Ledger>,
    stats: Stats,
    /// What was appended since it was last handed over.
    pub(crate) fresh: Vec<Item>,
    pub(crate) trash: Trash,
}

/// What is to become of an item of a batch.
enum Plan {
    Append,
    Repeat(Answer),
    /// As `Repeat`, but the answer has no event.
    Within(Answer),
}

impl Log {
    pub(crate) fn new(epoch: Epoch, policy: Policy) -> Log {
        Log {
            epoch,
            head: 0,
            now: 0,
            records: Records::default(),
            order: Order::default(),
            keys: Keys::new(policy.keys, policy.key_age),
            forgotten: 0,
            lost: 0,
            vague: 0,
            marked: VecDeque::new(),
            shed_at: 0,
            limits: Limits::of(&policy),
            timers: BTreeSet::new(),
            events: 0,
            bytes: 0,
            ledger: Arc::default(),
            stats: Stats::default(),
            fresh: Vec::new(),
            trash: Trash::default(),
            policy,
        }
    }

    pub(crate) fn mark(&self, seq: u64) -> Mark {
        Mark { epoch: self.epoch, seq }
    }

    /// Takes note of the time.
    pub(crate) fn clock(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// Appends all or nothing. `claims` has each item's; it is empty if no item has a key.
    pub(crate) fn append(
        &mut self,
        items: &[Append],
        claims: &[Option<Claim>],
    ) -> Result<Vec<Appended>, (usize, Refusal)> {
        let plans = self.judge(items, claims)?;
        let mut answers: Vec<Appended> = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let answer = match plans.get(i).unwrap_or(&Plan::Append) {
                Plan::Append => {
                    let answer = self.put(item);
                    if let Some(claim) = claims.get(i).and_then(Option::as_ref) {
                        self.keys.record(self.now, claim, item.draft.is_some(), Answer::of(&answer));
                    }
                    answer
                }
                Plan::Repeat(answer) => self.repeat(*answer, &answers),
                Plan::Within(answer) => Appended { id: None, ..self.repeat(*answer, &answers) },
            };
            answers.push(answer);
        }
        self.keep_to_the_limit();
        Ok(answers)
    }

    fn repeat(&mut self, answer: Answer, answers: &[Appended]) -> Appended {
        self.stats.repeated += 1;
        match answer {
            Answer::Given { event, position } => {
                Appended { id: event.map(|seq| self.mark(seq)), position: self.mark(position), repeated: true }
            }
            Answer::Item(i) => {
                let first = answers.get(i).copied();
                let first = first.unwrap_or(Appended { id: None, position: self.mark(0), repeated: true });
                Appended { repeated: true, ..first }
            }
        }
    }

    /// Checks a batch as a whole. The plan is empty if everything is to be appended.
    fn judge(&mut self, items: &[Append], claims: &[Option<Claim>]) -> Result<Vec<Plan>, (usize, Refusal)> {
        let mut plans = Vec::new();
        let mut sketch = Sketch::default();
        let mut ending: HashSet<&ChannelName> = HashSet::new();
        for (i, item) in items.iter().enumerate() {
            if let Some(claim) = claims.get(i).and_then(Option::as_ref) {
                let verdict = self.keys.judge(self.now, i, item, claim, &mut sketch).map_err(|refusal| (i, refusal))?;
                let plan = match verdict {
                    Verdict::Fresh => Plan::Append,
                    Verdict::Repeated(answer) => Plan::Repeat(answer),
                    Verdict::Within(answer) => Plan::Within(answer),
                };
                let repeated = !matches!(plan, Plan::Append);
                plans.resize_with(i, || Plan::Append);
                plans.push(plan);
                if repeated {
                    continue;
                }
            }
            let ended = self.records.named(&item.channel).is_some_and(|record| record.ended.is_some());
            if ended || (!ending.is_empty() && ending.contains(&item.channel)) {
                return Err((i, Refusal::Ended));
            }
            if item.end && i + 1 < items.len() {
                ending.insert(&item.channel);
            }
        }
        Ok(plans)
    }

    /// Appends one item that was judged.
    fn put(&mut self, item: &Append) -> Appended {
        let id = self.record_for(&item.channel);
        let before = self.head;
        if let Some(draft) = &item.draft {
            self.put_event(id, item, draft);
        }
        let position = self.mark(self.head);
        if item.end {
            self.put_end(id, item);
        }
        Appended { id: (self.head > before && item.draft.is_some()).then_some(position), position, repeated: false }
    }

    fn put_event(&mut self, id: Id, item: &Append, draft: &Draft) {
        let Some(record) = self.records.get_mut(id) else { return };
        self.head += 1;
        let seq = self.head;
        let held = !matches!(record.class, Class::Ephemeral);
        let channel = if record.is_shared() { item.channel.clone() } else { record.name.clone() };
        let event = Event {
            id: Mark { epoch: self.epoch, seq },
            resumable: held,
            channel: channel.clone(),
            time: self.now,
            draft: draft.clone(),
        };
        let entry = Arc::new(Entry::new(event, held, &self.ledger));
        let is_new = !record.exists() && !record.is_shared();
        record.last = seq;
        if held {
            record.bytes += entry.cost();
            self.bytes += entry.cost() + EVENT_OVERHEAD;
            self.events += 1;
            record.events.push_back(Arc::clone(&entry));
            self.order.events(record.is_state()).push(seq, Kind::Event, id);
        }
        self.fresh.push(Item { seq, channel, what: What::Event(entry) });
        self.stats.appended += 1;
        if is_new {
            self.records.list(&item.channel, id);
        }
        self.settle(id, seq);
    }

    /// Brings a channel back within its limits after an append.
    fn settle(&mut self, id: Id, seq: u64) {
        // First, so that what is both old and too much counts as old.
        self.expire_channel(id, usize::MAX);
        let Some(record) = self.records.get_mut(id) else { return };
        let surplus = record.surplus();
        match record.class {
            Class::Ephemeral => self.lose(id, seq, Reason::Skipped, true),
            Class::State => {
                self.remove(id, surplus, None);
                // The new state makes up for whatever was lost.
                self.find(id);
            }
            Class::History(_) => {
                if record.timer.is_none()
                    && let Some(expiry) = record.expiry()
                {
                    record.timer = Some(expiry);
                    self.timers.insert((expiry, id));
                }
                if surplus > 0 {
                    self.stats.trimmed += surplus as u64;
                    self.remove(id, surplus, Some(Reason::Trimmed));
                }
            }
        }
    }

    fn put_end(&mut self, id: Id, item: &Append) {
        let Some(record) = self.records.get_mut(id) else { return };
        self.head += 1;
        let is_new = !record.exists();
        record.ended = Some(self.head);
        self.order.lasting.push(self.head, Kind::End, id);
        self.fresh.push(Item { seq: self.head, channel: record.name.clone(), what: What::End });
        if is_new {
            self.records.list(&item.channel, id);
        }
    }

    /// The channel's record, made if there is none, and now the most recently used.
    fn record_for(&mut self, channel: &ChannelName) -> Id {
        if let Some(id) = self.records.id(channel) {
            self.records.touch(id);
            return id;
        }
        while self.records.len() >= self.policy.channels.max(1) {
            let Some(oldest) = self.records.oldest() else { break };
            self.forget(oldest);
        }
        let class = self.policy.class_of(channel);
        // Invariant: the first segment of a name is a name.
        let name = match kept_as(channel) {
            whole if whole == channel.as_str() => channel.clone(),
            first => ChannelName::new(first).unwrap_or_else(|_| channel.clone()),
        };
        self.records.insert(Record::new(name, class, self.forgotten))
    }

    /// Drops a channel's record.
    fn forget(&mut self, id: Id) {
        let Some(record) = self.records.get(id) else { return };
        self.forgotten = self.forgotten.max(record.latest());
        self.lost = self.lost.max(self.forgotten);
        self.stats.forgotten += 1;
        self.clear(id, None);
        self.find(id);
        if let Some(record) = self.records.remove(id)
            && let Some(timer) = record.timer
        {
            self.timers.remove(&(timer, id));
        }
    }

    /// Deletes a channel; `None` if there is none. Otherwise where in the log it was deleted.
    pub(crate) fn delete(&mut self, channel: &ChannelName) -> Option<u64> {
        let id = self.records.id(channel).filter(|id| self.records.get(*id).is_some_and(Record::exists))?;
        self.clear(id, Some(Reason::Deleted));
        self.head += 1;
        let record = self.records.get_mut(id)?;
        record.last = 0;
        self.fresh.push(Item { seq: self.head, channel: record.name.clone(), what: What::Deleted });
        self.lose(id, self.head, Reason::Deleted, true);
        self.records.touch(id);
        self.records.unlist(channel);
        self.stats.deleted += 1;
        Some(self.head)
    }

    /// Removes a channel's events and its end.
    fn clear(&mut self, id: Id, reason: Option<Reason>) {
        self.remove(id, usize::MAX, reason);
        if let Some(ended) = self.records.get_mut(id).and_then(|record| record.ended.take()) {
            self.order.lasting.set(ended, Kind::Gone);
        }
    }

    /// Removes up to `count` of a channel's oldest events. They are lost for this reason; without one they are not
    /// missed.
    fn remove(&mut self, id: Id, count: usize, reason: Option<Reason>) {
        for _ in 0..count {
            let Some(record) = self.records.get_mut(id) else { return };
            let Some(entry) = record.events.pop_front() else { break };
            record.bytes -= entry.cost();
            self.bytes -= entry.cost() + EVENT_OVERHEAD;
            self.events -= 1;
            entry.release();
            let seq = entry.seq();
            match reason {
                Some(reason) => self.lose(id, seq, reason, false),
                None => self.order.events(record.is_state()).set(seq, Kind::Gone),
            }
            self.trash.put(entry);
        }
        if let Some(record) = self.records.get_mut(id)
            && record.events.is_empty()
            && record.events.capacity() > 64
        {
            record.events.shrink_to_fit();
        }
    }

    /// Removes what has expired of a channel, at most `limit` events, and returns how many that were.
    pub(crate) fn expire_channel(&mut self, id: Id, limit: usize) -> usize {
        let Some(record) = self.records.get(id) else { return 0 };
        let count = record.expired(self.now, limit);
        if count > 0 {
            self.stats.expired += count as u64;
            self.remove(id, count, Some(Reason::Expired));
        }
        count
    }

    /// Removes what has expired anywhere, in about `limit` steps. Whether there may be more.
    pub(crate) fn expire(&mut self, mut limit: usize) -> bool {
        while let Some((time, id)) = self.timers.first().copied().filter(|(time, _)| *time <= self.now) {
            if limit == 0 {
                return true;
            }
            limit -= self.expire_channel(id, limit).max(1).min(limit);
            let Some(record) = self.records.get_mut(id) else {
                self.timers.remove(&(time, id));
                continue;
            };
            let next = record.expiry();
            if next.is_none_or(|next| next > self.now) {
                self.timers.remove(&(time, id));
                record.timer = next;
                self.timers.extend(next.map(|next| (next, id)));
            }
        }
        false
    }

    /// Removes the oldest events of all while the log holds more bytes than it may. The newest stays.
    pub(crate) fn keep_to_the_limit(&mut self) {
        self.shed();
        while self.events > 1 && self.bytes > self.policy.bytes {
            let Some(oldest) = self.order.oldest_event() else { return };
            if self.expire_channel(oldest.channel, usize::MAX) == 0 {
                self.stats.trimmed += 1;
                self.remove(oldest.channel, 1, Some(Reason::Trimmed));
            }
        }
    }

    /// Drops encodings, the oldest events' first, while they take more than their share. They have a limit of their own:
    /// who reads is not to make anyone's history shorter.
    ///
    /// Whether there may be more to drop further on.
    pub(crate) fn shed(&mut self) -> bool {
        /// Places looked at after each append, and with each read.
        const STEP: usize = 256;
        if self.ledger.bytes() <= self.limits.encodings {
            return false;
        }
        let mut places = self.order.after(self.shed_at, self.shed_at);
        for _ in 0..STEP {
            let Some(place) = places.next() else {
                self.shed_at = 0;
                return false;
            };
            self.shed_at = place.seq;
            if let Some(entry) = self.records.get(place.channel).and_then(|record| record.at(place.seq)) {
                entry.shed();
                self.stats.shed += 1;
            }
            if self.ledger.bytes() <= self.limits.encodings {
                return false;
            }
        }
        true
    }

    /// How many records were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.stats.forgotten
    }

    #[cfg(test)]
    pub(crate) fn timers(&self) -> usize {
        self.timers.len()
    }

    fn held(&self) -> usize {
        self.bytes + self.ledger.bytes()
    }

    /// When [`Log::expire`] or [`Keys::expire`] has something to do.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        let timer = self.timers.first().map(|(time, _)| *time);
        timer.into_iter().chain(self.keys.next_expiry()).min()
    }

    pub(crate) fn channels(&mut self, after: Option<&str>, limit: usize) -> Vec<ChannelInfo> {
        let ids: Vec<Id> = self.records.listed(after).take(limit).collect();
        let mut infos = Vec::with_capacity(ids.len());
        for id in ids {
            self.expire_channel(id, usize::MAX);
            let Some(record) = self.records.get(id) else { continue };
            infos.push(ChannelInfo {
                name: record.name.clone(),
                class: record.class,
                events: record.events.len(),
                bytes: record.bytes,
                ended: record.ended.is_some(),
                newest: (record.last > 0).then(|| self.mark(record.last)),
            });
        }
        infos
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            channels: self.records.len(),
            events: self.events,
            bytes: self.held(),
            head: self.head,
            keys: self.keys.len(),
            encodings: self.ledger.bytes(),
            marks: self.marked.len(),
            ..self.stats
        }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
