//! From the ring to the sockets: the fast path.

use super::{Shard, Slot};
use crate::transport::Ending;
use bytes::Bytes;
use std::mem;
use std::sync::Arc;
use switchboard_hub::{Place, Token};
use switchboard_store::{Entry, Item, Taken, What};
use switchboard_wire::{Form, Notice, form};

/// Items taken from the ring at once: all that is due to one connection among them leaves in one write.
const BATCH: usize = 64;
/// Batches in one turn, so that laggards, heartbeats and new connections get theirs.
const BATCHES_PER_TURN: usize = 16;

/// The items in hand, who is due what, and the bytes of each item, looked up once per form.
#[derive(Default)]
pub(super) struct Batch {
    items: Vec<Item>,
    due: Vec<(Token, u16)>,
    encoded: Vec<Vec<(Form, bool, Bytes)>>,
    out: Vec<Bytes>,
}

impl Batch {
    fn clear(&mut self) {
        self.items.clear();
        self.due.clear();
        self.encoded.iter_mut().for_each(Vec::clear);
    }

    /// The bytes of an event in a form; `None` for an item that is not an event.
    fn bytes(&mut self, item: u16, form: Form, chunked: bool) -> Option<Bytes> {
        let index = usize::from(item);
        if self.encoded.len() <= index {
            self.encoded.resize_with(index + 1, Vec::new);
        }
        if let Some((_, _, bytes)) = self.encoded[index].iter().find(|(f, c, _)| (*f, *c) == (form, chunked)) {
            return Some(bytes.clone());
        }
        let encoded = self.event(item)?.encoded(form);
        let bytes = if chunked { encoded.chunk() } else { encoded.payload() };
        self.encoded[index].push((form, chunked, bytes.clone()));
        Some(bytes)
    }

    fn event(&self, item: u16) -> Option<&Arc<Entry>> {
        match &self.items[usize::from(item)].what {
            What::Event(entry) => Some(entry),
            What::End | What::Deleted => None,
        }
    }
}

impl Shard {
    /// Hands the ring's next items to the live readers. `true` if the ring may hold more.
    pub(super) fn deliver_live(&mut self) -> bool {
        if self.readers.is_empty() {
            return false;
        }
        for _ in 0..BATCHES_PER_TURN {
            self.batch.clear();
            match self.node.log.take(self.readers.position(), BATCH, &mut self.batch.items) {
                Taken::Upto(position) => {
                    if self.batch.items.is_empty() {
                        return false;
                    }
                    self.fan_out();
                    self.readers.advance(position);
                }
                Taken::Overrun { head } => self.overrun(head),
            }
            self.node.figures.shard(self.index).reached(self.readers.position());
        }
        true
    }

    fn fan_out(&mut self) {
        let Batch { items, due, .. } = &mut self.batch;
        for (i, item) in items.iter().enumerate() {
            self.readers.fan_out(&item.channel, item.seq, |token| due.push((token, i as u16)));
        }
        if items.len() > 1 {
            due.sort_unstable();
        }
        let due = mem::take(&mut self.batch.due);
        for run in due.chunk_by(|a, b| a.0 == b.0) {
            self.deliver(run[0].0, run);
        }
        self.batch.due = due;
    }

    /// Sends one reader its share of the batch, in one write.
    fn deliver(&mut self, token: Token, run: &[(Token, u16)]) {
        let held = match self.slots.get_mut(token as usize) {
            Some(Slot::Held(held)) => held,
            Some(Slot::Waiting(_)) => {
                let events = run.iter().map_while(|(_, item)| self.batch.event(*item)).cloned().collect();
                return self.wake(token, events);
            }
            None => return,
        };
        let mut out = mem::take(&mut self.batch.out);
        let (form, chunked) = (held.transport.form(), held.chunked);
        out.extend(run.iter().map_while(|(_, item)| self.batch.bytes(*item, form, chunked)));
        let ending = if out.len() < run.len() { self.say_rest(token, run, &mut out) } else { None };
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        let sent = held.sink.send(&out);
        held.active = true;
        let (blocked, way) = (held.sink.is_blocked(), held.transport.into());
        let bytes = sent.as_ref().map_or(0, |taken| out[..*taken].iter().map(Bytes::len).sum());
        out.clear();
        self.batch.out = out;
        let Ok(taken) = sent else { return self.remove(token) };
        self.node.figures.shard(self.index).delivered(taken);
        let events = run[..taken].iter().filter(|(_, item)| self.batch.event(*item).is_some()).count();
        self.traffic().sent(way, events, bytes);
        if blocked {
            // What was not taken is read from the log, by the peer's pace.
            let seq_of = |at: usize| self.batch.items[usize::from(run[at].1)].seq;
            let cursor = if taken < run.len() { seq_of(taken) - 1 } else { seq_of(taken - 1) };
            self.readers.fall_behind(token, Place::at(cursor));
            self.node.figures.shard(self.index).fell_behind();
        } else if let Some(ending) = ending {
            self.begin_close(token, ending);
        }
    }

    /// The rest of a run, from the first thing in it that is not an event: an end or a deletion is said here and now,
    /// because an ephemeral event behind it is nowhere but in the run. Whether the stream ends with what was said.
    fn say_rest(&mut self, token: Token, run: &[(Token, u16)], out: &mut Vec<Bytes>) -> Option<Ending> {
        let Some(Slot::Held(held)) = self.slots.get(token as usize) else { return None };
        let form = held.transport.form();
        for &(_, item) in &run[out.len()..] {
            if let Some(bytes) = self.batch.bytes(item, form, held.chunked) {
                out.push(bytes);
                continue;
            }
            let (notice, over) = self.node.say(&self.batch.items[usize::from(item)], self.readers.selection(token));
            if matches!(notice, Notice::Gap(_)) && !form.says_gaps() {
                return Some(Ending::Broken);
            }
            out.push(held.wrap(&form::notice(&notice, form)));
            if over {
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
                _ => self.queue(token),
            }
        }
    }
}
