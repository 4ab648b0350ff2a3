//! From the ring to the sockets: the fast path.
//!
//! What the ring brings goes out in *passes*: a batch of items on its way to all who are due some of it. A pass over
//! many readers takes several turns, so that publishers are answered, laggards served and connections accepted
//! meanwhile; and what was published meanwhile leaves together in the next pass, in one write for each reader.

use super::held::Took;
use super::{Shard, Slot};
use crate::transport::Ending;
use std::time::Instant;
use std::{io, mem};
use switchboard_hub::{Due, Place, Token};
use switchboard_store::{Item, Taken};
use switchboard_wire::{Message, Notice, form};

/// Items of one pass, at most.
const BATCH: usize = 64;
/// What is delivered in one turn, so that everything else gets its share: a write to a socket takes so much of it, and what is
/// said on a stream, which is a part of one, 1.
pub(super) const SHARE: usize = 64 * WRITE;
const WRITE: usize = 4;
/// Streams of a connection that are served beyond that, so that all that they are due leaves together.
const BEYOND: usize = 256;
/// Steps of matching channels with patterns that are as much as 1 of a share.
const STEPS: usize = 64;
/// Bytes that are encoded for the first of those who are due them, likewise.
pub(super) const ENCODED: usize = 2048;
/// Passes that are made at once where all connections are told to go, and batches for one reader whose words must not be
/// overtaken.
const PASSES_AT_ONCE: usize = 16;

/// What a reader took of what it is due.
pub(super) struct Delivered {
    pub(super) items: usize,
    /// It takes no more for now.
    pub(super) blocked: bool,
}

impl Shard {
    /// Goes on with the pass, and begins the next ones while the turn lasts. `true` if there is more to do.
    pub(super) fn deliver_live(&mut self, now: Instant) -> bool {
        let mut left = SHARE;
        while left > 0 {
            if !self.readers.pass().is_on() {
                // Between passes is the time for heartbeats.
                if self.beat_is_due(now) {
                    return true;
                }
                match self.begin_pass() {
                    Some(work) => left = left.saturating_sub(work / STEPS),
                    None => return false,
                }
            }
            // A pass that nobody is due anything of is not free either.
            left = self.serve_pass(left).saturating_sub(1);
            left = left.saturating_sub(self.match_on() / STEPS);
        }
        true
    }

    /// Delivers what the ring holds to all who are due it, at once.
    pub(super) fn deliver_all(&mut self) {
        for _ in 0..PASSES_AT_ONCE {
            if !self.readers.pass().is_on() && self.begin_pass().is_none() {
                return;
            }
            while self.readers.pass().is_on() {
                self.serve_pass(usize::MAX);
                self.match_on();
            }
        }
    }

    /// Delivers what the ring holds to one reader alone, before something is said or done that must come after it. All others get
    /// it by passes, in their turns: what one peer does is not to hold up a shard.
    pub(super) fn deliver_ahead(&mut self, token: Token) {
        self.deliver_due(token);
        let aside = mem::take(&mut self.batch);
        for _ in 0..PASSES_AT_ONCE {
            if !self.deliver_batch_ahead(token) {
                break;
            }
        }
        self.batch = aside;
    }

    /// Delivers the items that follow a reader's cursor on the ring, a batch of them. `false` if there are none, or it is behind,
    /// as all others are before long where the ring has overrun it: then it reads the log.
    fn deliver_batch_ahead(&mut self, token: Token) -> bool {
        if self.readers.behind(token).is_some() {
            return false;
        }
        let Some(cursor) = self.readers.cursor(token) else { return false };
        self.batch.clear();
        let Taken::Upto(upto) = self.node.log.take(cursor, BATCH, &mut self.batch.items) else { return false };
        if self.batch.items.is_empty() {
            return false;
        }
        let batch = &self.batch;
        // Nobody but this reader leaves before the pass goes on.
        let aside = self.readers.begin_ahead(token, batch.items.len(), upto, |i| batch.place(i));
        while let Some(due) = self.readers.next_due() {
            self.deliver_out_of_turn(due);
        }
        self.readers.resume(aside);
        true
    }

    /// Delivers what a reader is still due of the present pass.
    pub(super) fn deliver_due(&mut self, token: Token) {
        let batch = &self.batch;
        for due in self.readers.take_due(token, |i| batch.place(i)) {
            self.deliver_out_of_turn(due);
        }
    }

    fn deliver_out_of_turn(&mut self, due: Due) {
        let delivered = self.deliver(due);
        self.node.figures.shard(self.index).delivered(delivered);
    }

    /// Takes the ring's next items, and says what work it was to match them with patterns. `None` if there are none.
    fn begin_pass(&mut self) -> Option<usize> {
        if self.readers.is_empty() {
            return None;
        }
        loop {
            self.batch.clear();
            match self.node.log.take(self.readers.position(), BATCH, &mut self.batch.items) {
                Taken::Upto(_) if self.batch.items.is_empty() => return None,
                Taken::Upto(position) => {
                    let batch = &self.batch;
                    let begun = self.readers.begin(batch.items.len(), position, |i| batch.place(i));
                    self.batch.items.truncate(begun.items);
                    if !self.links.is_empty() {
                        self.readers.arrange(|token| self.links.of(token));
                    }
                    self.beats.gave_way();
                    return Some(begun.work);
                }
                Taken::Overrun { head } => self.overrun(head),
            }
        }
    }

    /// Goes on matching where that was cut, once all who are due something by it so far have it, and says what work it was.
    fn match_on(&mut self) -> usize {
        let batch = &self.batch;
        let work = self.readers.go_on(|i| batch.place(i));
        if work.is_some() && !self.links.is_empty() {
            self.readers.arrange(|token| self.links.of(token));
        }
        work.unwrap_or(0)
    }

    /// Serves readers of the pass, as long as there is something left of their share, and returns what is left.
    fn serve_pass(&mut self, mut left: usize) -> usize {
        let (mut delivered, mut beyond) = (0, BEYOND);
        // Where nobody is left the pass is over, also if nothing is left of the share: what waits for that has its turn.
        while left > 0 || self.readers.pass().peek().is_none() {
            let Some(due) = self.readers.next_due() else {
                self.node.figures.shard(self.index).reached(self.readers.position());
                break;
            };
            let link = self.links.of(due.token);
            delivered += self.deliver(due);
            self.links.said();
            let made = self.batch.take_made() / ENCODED;
            left = left.saturating_sub(made + if link.is_some() { 1 } else { WRITE });
            beyond = beyond.saturating_sub(made);
            let next = || self.links.of(self.readers.pass().peek()?.token);
            if left == 0 && beyond > 0 && link.is_some() && next() == link {
                (left, beyond) = (1, beyond - 1);
            }
        }
        self.node.figures.shard(self.index).delivered(delivered);
        left
    }

    /// Sends one reader what it is due, in one write. Returns how many events it took.
    fn deliver(&mut self, due: Due) -> usize {
        let pass = self.readers.pass();
        let items = pass.items(due.run);
        match self.slots.get_mut(due.token as usize) {
            Some(Slot::Held(held)) if held.transport.has_places() => self.deliver_with_places(due),
            Some(Slot::Held(held)) if pass.is_shared(due.run) => {
                let Some(joined) = self.batch.joined(due.run, items, held.framing()) else {
                    return self.deliver_apart(due);
                };
                let sent = held.sink.send_joined(joined);
                held.sink.active = true;
                if let Ok(taken) = sent {
                    let (bytes, _) = joined.upto(taken);
                    self.node.figures.shard(self.index).traffic.sent(held.transport.into(), taken, bytes);
                    if !held.sink.is_blocked() {
                        return taken;
                    }
                }
                self.fall_behind(due, sent)
            }
            Some(Slot::Held(_)) => self.deliver_apart(due),
            Some(Slot::Waiting(_)) => {
                let events = items.iter().map_while(|item| self.batch.event(*item)).cloned().collect();
                self.wake(due.token, events);
                0
            }
            Some(Slot::Polling) => {
                let events: Vec<_> = items.iter().map_while(|item| self.batch.event(*item)).cloned().collect();
                self.poll_due(due.token, &events);
                0
            }
            None => 0,
        }
    }

    /// As [`Shard::deliver`], of what cannot be sent in one piece.
    fn deliver_apart(&mut self, due: Due) -> usize {
        let Some(Slot::Held(held)) = self.slots.get_mut(due.token as usize) else { return 0 };
        let framing = held.framing();
        let items = self.readers.pass().items(due.run);
        let mut out: Vec<Message> = items.iter().map_while(|item| self.batch.message(*item, framing)).collect();
        let ending = if out.len() < items.len() { self.say_rest(due, &mut out) } else { None };
        let Some(Slot::Held(held)) = self.slots.get_mut(due.token as usize) else { return 0 };
        let sent = held.send(&out);
        match self.count_delivered(due, sent, 1) {
            Ok(Delivered { items, blocked: false }) => {
                if let Some(ending) = ending {
                    self.begin_close(due.token, ending);
                }
                items
            }
            sent => self.fall_behind(due, sent.map(|delivered| delivered.items)),
        }
    }

    /// Counts what a reader took of what it is due, where each item is so many messages.
    pub(super) fn count_delivered(&self, due: Due, sent: io::Result<Took>, each: usize) -> io::Result<Delivered> {
        let Took { messages, bytes, blocked, way } = sent?;
        let items = messages / each;
        let taken = self.readers.pass().items(due.run).iter().take(items);
        let events = taken.filter(|item| self.batch.event(**item).is_some()).count();
        self.traffic().sent(way, events, bytes);
        Ok(Delivered { items, blocked })
    }

    /// What was not taken is read from the log, by the peer's pace.
    pub(super) fn fall_behind(&mut self, due: Due, sent: io::Result<usize>) -> usize {
        let Ok(taken) = sent else {
            self.remove(due.token);
            return 0;
        };
        let items = self.readers.pass().items(due.run);
        let cursor = match (items.get(taken), items.last()) {
            (Some(next), _) => self.batch.seq(*next) - 1,
            (None, Some(last)) => self.batch.seq(*last),
            (None, None) => return 0,
        };
        self.readers.fall_behind(due.token, Place::at(cursor));
        self.node.figures.shard(self.index).fell_behind();
        self.weigh(due.token);
        taken
    }

    /// The rest of a run, from the first thing in it that is not an event: an end or a deletion is said here and now,
    /// because an ephemeral event behind it is nowhere but in the run. Whether the stream ends with what was said.
    fn say_rest(&mut self, due: Due, out: &mut Vec<Message>) -> Option<Ending> {
        let Some(Slot::Held(held)) = self.slots.get(due.token as usize) else { return None };
        let form = held.transport.form();
        for &item in &self.readers.pass().items(due.run)[out.len()..] {
            if let Some(message) = self.batch.message(item, held.framing()) {
                out.push(message);
                continue;
            }
            let item: &Item = &self.batch.items[usize::from(item)];
            let (notice, over) = self.node.say(item, self.readers.selection(due.token));
            if matches!(notice, Notice::Gap(_)) && !form.says_gaps() {
                return Some(Ending::Broken);
            }
            out.push(held.wrap(&form::notice(&notice, form)));
            // A session goes on without its channels.
            if over && !held.transport.is_session() {
                return Some(Ending::Complete);
            }
        }
        None
    }

    /// The ring has gone on without the shard: its readers lag like any other.
    fn overrun(&mut self, head: u64) {
        let mut fallen = Vec::new();
        self.readers.overrun(head, |token| fallen.push(token));
        self.node.figures.shard(self.index).overrun();
        for token in fallen {
            match self.slots.get(token as usize) {
                Some(Slot::Waiting(_)) => self.wake(token, Vec::new()),
                Some(Slot::Polling) => self.poll_due(token, &[]),
                _ => self.queue(token),
            }
        }
    }
}
