//! Reading: what a selection of channels has after a cursor, in the order of the log.
//!
//! Of each channel there is, after the cursor: where it lost events, if it did; the events held; where it ended, if
//! it did. A read merges these in the order of their places. Everything told moves the cursor, so a reader that
//! stops anywhere goes on from there, on whatever transport.

use crate::channel::Record;
use crate::entry::Entry;
use crate::filter::Filter;
use crate::index::{Kind, Place};
use crate::log::Log;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Gap, Position, Reason};

/// Where a reader is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    /// Everything up to here was read.
    pub seq: u64,
    /// Everything that was lost up to here was told, or is of no interest: gaps begin here, and nothing up to here is
    /// read but the events of channels that are states, and ends. It is above `seq` in a reader that wants only what
    /// is new, and below it in one from before marks of losses were dropped, which has yet to come to where the next mark
    /// tells of them. A reader that was told everything begins with [`Cursor::at`].
    pub floor: u64,
}

impl Cursor {
    /// A reader that has read everything up to here and was told of every loss.
    pub fn at(seq: u64) -> Cursor {
        Cursor { seq, floor: seq }
    }
}

/// How much one read may give. It gives at least one item if there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    pub items: usize,
    /// Bytes of text and data of the events.
    pub bytes: usize,
}

/// What a read gave.
#[derive(Clone, Debug)]
pub struct Piece {
    /// In the order of the log. Never empty unless `caught_up`, but for [`Memory::read_some`](crate::Memory::read_some).
    pub found: Vec<Found>,
    /// The reader's cursor after all of `found`, and past what it does not select. It can be beyond where the reading
    /// was to go: see [`Memory::read`](crate::Memory::read).
    pub cursor: Cursor,
    /// Whether there is nothing more to read up to where the reading was to go.
    pub caught_up: bool,
    /// Caught up, and every channel of the selection has ended. Never with patterns.
    pub ended: bool,
}

#[derive(Clone, Debug)]
pub struct Found {
    /// The cursor of a reader that read this and nothing after it.
    pub cursor: Cursor,
    pub what: Read,
}

/// What a reader is told, in the order of the log.
#[derive(Clone, Debug)]
pub enum Read {
    Event(Arc<Entry>),
    Gap(Gap),
    /// The channel has ended.
    End(ChannelName),
}

/// Something in the order of the log that a reader may be told.
enum Thing<'a> {
    Event(&'a Arc<Entry>),
    /// Of one channel, or of the whole selection.
    Lost(Option<&'a ChannelName>, Reason),
    End(&'a ChannelName),
}

/// A read under way: it can stop between two places of the log and go on, so that a long one need not hold the lock.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) selection: &'a Selection,
    /// Everything up to here was looked at.
    at: u64,
    upto: u64,
    floor: u64,
    budget: Budget,
    bytes: usize,
    found: Vec<Found>,
    /// Where the channel of the last thing found lost events: it is a gap, and how far it goes depends on what is next.
    open_gap: Option<u64>,
    /// The newest place where the selection lost events, or any channel with patterns; 0 where each loss has its mark.
    lost: u64,
    /// Whether each loss has its mark, decided where the reading began.
    exact: Option<bool>,
    full: bool,
    /// It goes no further, though there is room.
    stopped: bool,
    filter: Filter<'a>,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(selection: &'a Selection, cursor: Cursor, upto: u64, budget: Budget) -> Reading<'a> {
        Reading {
            selection,
            at: cursor.seq,
            upto,
            floor: cursor.floor,
            budget,
            bytes: 0,
            found: Vec::new(),
            open_gap: None,
            lost: 0,
            exact: None,
            full: false,
            stopped: false,
            filter: Filter::new(selection),
        }
    }

    /// What was lost after here is told, and of what passes, what comes after here is read.
    fn threshold(&self) -> u64 {
        self.at.max(self.floor)
    }

    /// Takes note of the newest place where the selection lost events. Whether there is anything to read.
    ///
    /// A reader that goes on from its shard's place must be told of everything lost before that, though the mark that
    /// tells of it may be further on, and its gap too: then so must the reader be. `vague` is up to where marks or whole
    /// records were dropped: a reader from before that is not known to have been told all until it is past every loss.
    fn reach(&mut self, lost: u64, vague: u64) -> bool {
        let exact = *self.exact.get_or_insert(self.at.max(self.floor) >= vague);
        self.lost = if exact { 0 } else { lost };
        let some = self.at < self.upto;
        if some {
            self.upto = self.upto.max(lost);
        }
        some
    }

    /// Takes the next thing, or finds that there is no room for it.
    fn offer(&mut self, log: &Log, seq: u64, thing: Thing<'_>) -> ControlFlow<()> {
        if self.open_gap.is_some() {
            if let Thing::Lost(channel, reason) = thing {
                self.widen(seq, channel, reason);
                return ControlFlow::Continue(());
            }
            self.close_gap(log, seq - 1);
        }
        let cost = if let Thing::Event(entry) = thing { entry.cost() } else { 0 };
        // The ends of channels that are named take no room: there are only so many, and who reads the last event of a
        // channel is to be told that it was the last.
        let free = matches!(thing, Thing::End(_)) && self.selection.patterns.is_empty();
        if !free
            && !self.found.is_empty()
            && (self.found.len() >= self.budget.items || self.bytes + cost > self.budget.bytes)
        {
            self.full = true;
            return ControlFlow::Break(());
        }
        self.bytes += cost;
        let what = match thing {
            Thing::Event(entry) => Read::Event(Arc::clone(entry)),
            Thing::End(channel) => Read::End(channel.clone()),
            Thing::Lost(channel, reason) => {
                self.open_gap = Some(seq);
                let from = log.mark(self.floor).to_string().into();
                Read::Gap(Gap { channel: channel.cloned(), from, to: Position::from(log.mark(seq)), reason })
            }
        };
        self.at = seq;
        let cursor = self.cursor();
        self.found.push(Found { cursor, what });
        ControlFlow::Continue(())
    }

    /// The cursor of a reader that has come this far: gaps begin here once none is still to come.
    fn cursor(&mut self) -> Cursor {
        if self.lost <= self.at {
            self.floor = self.floor.max(self.at);
        }
        Cursor { seq: self.at, floor: self.floor }
    }

    /// Something more was lost, and nothing is held in between: it is one gap, and of the whole stream if not of one
    /// channel. Whoever resumed after the first of two would miss what the second had lost before.
    fn widen(&mut self, seq: u64, channel: Option<&ChannelName>, reason: Reason) {
        self.open_gap = Some(seq);
        if let Some(Found { what: Read::Gap(gap), .. }) = self.found.last_mut() {
            gap.reason = reason;
            if gap.channel.as_ref() != channel {
                gap.channel = None;
            }
        }
    }

    /// The gap goes to just before what is next, so that the reader that was told it is where reading goes on.
    fn close_gap(&mut self, log: &Log, to: u64) {
        let Some(lost) = self.open_gap.take() else { return };
        let to = to.max(lost);
        self.at = to;
        let cursor = self.cursor();
        if let Some(Found { cursor: after, what: Read::Gap(gap) }) = self.found.last_mut() {
            *after = cursor;
            gap.to = Position::from(log.mark(to));
        }
    }

    /// How far it has come.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Goes no further than it has come.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Nothing more is found up to where the reading was to go, or there is no room for it.
    pub(crate) fn finish(mut self, log: &Log) -> Piece {
        if self.stopped {
            return self.break_off(log);
        }
        self.close_gap(log, self.upto);
        let caught_up = !self.full;
        if caught_up {
            self.at = self.at.max(self.upto);
        }
        let cursor = match self.found.last() {
            Some(last) if self.full => last.cursor,
            _ => self.cursor(),
        };
        let ended = caught_up && log.ended_by(self.selection, cursor.seq);
        Piece { found: self.found, cursor, caught_up, ended }
    }

    /// It goes on another time. A mark that is still to come may stand for losses that lie before here, as nothing is held in
    /// between: so a gap that is open is of the whole stream, and without one the next begins where all was told.
    fn break_off(mut self, log: &Log) -> Piece {
        if self.open_gap.is_some() {
            if let Some(Found { what: Read::Gap(gap), .. }) = self.found.last_mut() {
                gap.channel = None;
            }
            self.close_gap(log, self.at);
        }
        let cursor = Cursor { seq: self.at, floor: self.floor };
        Piece { found: self.found, cursor, caught_up: false, ended: false }
    }
}

impl Log {
    /// Most places looked at, or events expired, under one lock; and what it is to match a channel with the patterns, when it is
    /// first come upon, counts for as many as take that long. Few where assertions are on, so that tests come upon
    /// every seam.
    pub(crate) const STEP: usize = if cfg!(debug_assertions) { 16 } else { 8192 };

    /// Removes what has expired of the selection. Whether there may be more.
    pub(crate) fn expire_selected(&mut self, selection: &Selection) -> bool {
        if !selection.patterns.is_empty() {
            return self.expire(Log::STEP);
        }
        for channel in &selection.channels {
            if let Some(id) = self.records.id(channel) {
                self.expire_channel(id, usize::MAX);
            }
        }
        false
    }

    /// Goes on with a reading. Whether it is at its end.
    pub(crate) fn advance(&self, reading: &mut Reading<'_>) -> bool {
        if reading.selection.patterns.is_empty() {
            self.merge(reading);
            return true;
        }
        self.walk(reading)
    }

    /// Reads channels that are known by name: one after the other where each stands.
    fn merge(&self, reading: &mut Reading<'_>) {
        let selection = reading.selection;
        let mut lanes: Vec<Lane<'_>> = selection.channels.iter().map(|name| Lane::new(self, name, reading)).collect();
        if !reading.reach(selection.channels.iter().map(|name| self.lost_of(name)).max().unwrap_or(0), self.vague()) {
            return;
        }
        let heads = lanes.iter().enumerate().filter_map(|(i, lane)| Some(Reverse((lane.next()?, i))));
        let mut heads: BinaryHeap<Reverse<(u64, usize)>> = heads.collect();
        let mut before = None;
        while let Some(Reverse((seq, i))) = heads.pop().filter(|Reverse((seq, _))| *seq <= reading.upto) {
            let Some(thing) = lanes[i].thing() else { continue };
            // The same event again: a channel was named twice.
            let again = before.replace(seq) == Some(seq) && !matches!(thing, Thing::Lost(..));
            if !again && reading.offer(self, seq, thing).is_break() {
                return;
            }
            lanes[i].step();
            heads.extend(lanes[i].next().map(|next| Reverse((next, i))));
        }
    }

    /// Reads channels by pattern: along the order of the log.
    fn walk(&self, reading: &mut Reading<'_>) -> bool {
        if !reading.reach(self.lost, self.vague()) {
            return true;
        }
        let forgotten = self.forgotten.min(reading.upto);
        let mut owed = self.forgotten <= reading.upto && self.forgotten > reading.threshold();
        reading.filter.renew(self);
        let (mut steps, mut most) = (0, Log::STEP);
        let upto = reading.upto;
        let places = self.order.after(reading.at, reading.floor).take_while(|place| place.seq <= upto);
        for place in places {
            if owed && place.seq > forgotten {
                owed = false;
                if reading.offer(self, forgotten, Thing::Lost(None, Reason::Forgotten)).is_break() {
                    return true;
                }
            }
            steps += 1;
            if steps > most {
                return false;
            }
            if let Some(thing) = self.thing(place, reading)
                && reading.offer(self, place.seq, thing).is_break()
            {
                return true;
            }
            steps += reading.filter.take_work();
            most += reading.filter.take_spare();
            reading.at = place.seq;
        }
        if owed {
            let _ = reading.offer(self, forgotten, Thing::Lost(None, Reason::Forgotten));
        }
        true
    }

    /// What stands at a place, if the reader is to be told.
    fn thing(&self, place: Place, reading: &mut Reading<'_>) -> Option<Thing<'_>> {
        if place.kind == Kind::Lost && place.seq <= reading.floor {
            return None;
        }
        let record = reading.filter.selected(self, place.channel)?;
        match place.kind {
            Kind::Event => record.at(place.seq).map(Thing::Event),
            Kind::Lost => Some(Thing::Lost(Some(&record.name), record.reason)),
            Kind::End => Some(Thing::End(&record.name)),
            Kind::Gone => None,
        }
    }

    /// Up to where not every loss is known to have its own mark.
    fn vague(&self) -> u64 {
        self.vague.max(self.forgotten)
    }

    /// Where a channel lost events, which is where all records were forgotten if it has none.
    pub(crate) fn lost_of(&self, channel: &ChannelName) -> u64 {
        self.records.named(channel).map_or(self.forgotten, |record| record.lost)
    }

    /// The first place after `cursor` where a channel lost something, and why.
    pub(crate) fn lost_after(&self, channel: &ChannelName, cursor: u64) -> Option<(u64, Reason)> {
        match self.records.named(channel) {
            Some(record) => record.lost_after(cursor),
            None => (self.forgotten > cursor).then_some((self.forgotten, Reason::Forgotten)),
        }
    }

    /// Whether every channel had ended by then.
    pub(crate) fn ended_by(&self, selection: &Selection, seq: u64) -> bool {
        let ended = |channel| self.records.named(channel).and_then(|record| record.ended).is_some_and(|end| end <= seq);
        selection.patterns.is_empty() && !selection.channels.is_empty() && selection.channels.iter().all(ended)
    }
}

/// One channel of a merge, and how far it is.
struct Lane<'a> {
    channel: &'a ChannelName,
    /// Where the next loss to be told was.
    lost: Option<(u64, Reason)>,
    record: Option<&'a Record>,
    /// The next event, as its place among those held.
    event: usize,
    ended: Option<u64>,
}

impl<'a> Lane<'a> {
    fn new(log: &'a Log, channel: &'a ChannelName, reading: &Reading<'_>) -> Lane<'a> {
        let threshold = reading.threshold();
        let record = log.records.named(channel);
        let lost = log.lost_after(channel, threshold);
        let event = record.map_or(0, |record| record.after(if record.is_state() { reading.at } else { threshold }));
        let ended = record.and_then(|record| record.ended).filter(|ended| *ended > reading.at);
        Lane { channel, lost, record, event, ended }
    }

    fn entry(&self) -> Option<&'a Arc<Entry>> {
        self.record?.events.get(self.event)
    }

    /// The place of what is next.
    fn next(&self) -> Option<u64> {
        match self.lost {
            Some((lost, _)) => Some(lost),
            None => self.entry().map(|entry| entry.seq()).or(self.ended),
        }
    }

    fn thing(&self) -> Option<Thing<'a>> {
        match self.lost {
            Some((_, reason)) => Some(Thing::Lost(Some(self.channel), reason)),
            None => match self.entry() {
                Some(entry) => Some(Thing::Event(entry)),
                None => self.record.map(|record| Thing::End(&record.name)),
            },
        }
    }

    fn step(&mut self) {
        match self.lost {
            Some((lost, _)) => self.lost = self.record.and_then(|record| record.lost_after(lost)),
            None if self.entry().is_some() => self.event += 1,
            None => self.ended = None,
        }
    }
}
