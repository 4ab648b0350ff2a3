//! The items of a pass and their bytes, looked up or put together once for all who are due the same.

use bytes::Bytes;
use std::mem;
use std::sync::Arc;
use switchboard_store::{Entry, Item, What};
use switchboard_wire::form::Encoded;
use switchboard_wire::gzip::Sum;
use switchboard_wire::{ChannelName, Form, Message};

/// Several messages are put together up to this many bytes of data. Beyond, copying them costs more than it saves.
const JOINED_MAX: usize = 64 << 10;

/// To compress what is encoded takes so many times as long as to write it.
const COMPRESSION: usize = 12;

/// How a connection is sent its events: the form, and whether in the chunked coding.
pub(super) type Framing = (Form, bool);

/// Messages in one piece, so that one plain write sends them all.
pub(super) struct Joined {
    pub(super) bytes: Bytes,
    /// Where each message ends, and what it and those before it add to the sum of a compressed body.
    pub(super) ends: Vec<(u32, Sum)>,
}

impl Joined {
    /// How many bytes the first messages have together, and what they add to the sum.
    pub(super) fn upto(&self, count: usize) -> (usize, Sum) {
        let last = count.checked_sub(1).and_then(|last| self.ends.get(last));
        last.map_or((0, Sum::default()), |(end, sum)| (*end as usize, *sum))
    }
}

/// An event in a form, and how many bytes can be encoded while that is: as many as it has, and more where they are compressed as
/// well; none where it was done before.
pub(super) fn encode(entry: &Entry, form: Form) -> (Encoded, usize) {
    let (encoded, is_new) = entry.encode(form);
    let each = if form.is_compressed() { COMPRESSION } else { 1 };
    (encoded, if is_new { each * entry.event().draft.cost() } else { 0 })
}

/// The items in hand, with the bytes of each and of each run that many are due.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    encoded: Vec<Vec<(Framing, Message)>>,
    /// By run; `None` where a run cannot be put together.
    joined: Vec<Vec<(Framing, Option<Joined>)>>,
    /// Bytes that were encoded, or would have been in the time that it took.
    made: usize,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        // What was made is of these items, and of no more runs than they have channels.
        let count = self.items.len();
        self.encoded.iter_mut().take(count).for_each(Vec::clear);
        self.joined.iter_mut().take(count).for_each(Vec::clear);
        self.items.clear();
    }

    /// The channel of an item, and its number in the log.
    pub(super) fn place(&self, item: u16) -> (&ChannelName, u64) {
        let item = &self.items[usize::from(item)];
        (&item.channel, item.seq)
    }

    pub(super) fn seq(&self, item: u16) -> u64 {
        self.items[usize::from(item)].seq
    }

    pub(super) fn event(&self, item: u16) -> Option<&Arc<Entry>> {
        match &self.items[usize::from(item)].what {
            What::Event(entry) => Some(entry),
            What::End | What::Deleted => None,
        }
    }

    /// An event as it is sent; `None` for an item that is not an event.
    pub(super) fn message(&mut self, item: u16, framing: Framing) -> Option<Message> {
        let index = usize::from(item);
        if self.encoded.len() <= index {
            self.encoded.resize_with(index + 1, Vec::new);
        }
        if let Some((_, message)) = self.encoded[index].iter().find(|(made, _)| *made == framing) {
            return Some(message.clone());
        }
        let (form, chunked) = framing;
        let (encoded, effort) = encode(self.event(item)?, form);
        let message = encoded.message(chunked);
        self.made += effort;
        self.encoded[index].push((framing, message.clone()));
        Some(message)
    }

    /// How many bytes were [encoded](encode) since this was last asked.
    pub(super) fn take_made(&mut self) -> usize {
        mem::take(&mut self.made)
    }

    /// The bytes of a run in one piece; `None` if not all of it is events, or too much to copy.
    pub(super) fn joined(&mut self, run: u32, items: &[u16], framing: Framing) -> Option<&Joined> {
        let index = run as usize;
        let made = self.joined.get(index).and_then(|made| made.iter().position(|(made, _)| *made == framing));
        let at = made.unwrap_or_else(|| self.add_joined(index, items, framing));
        self.joined.get(index)?.get(at)?.1.as_ref()
    }

    fn add_joined(&mut self, index: usize, items: &[u16], framing: Framing) -> usize {
        let joined = self.join(items, framing);
        if self.joined.len() <= index {
            self.joined.resize_with(index + 1, Vec::new);
        }
        self.joined[index].push((framing, joined));
        self.joined[index].len() - 1
    }

    fn join(&mut self, items: &[u16], framing: Framing) -> Option<Joined> {
        if let [item] = items {
            // As the log keeps it: nothing is copied.
            let Message { bytes, sum } = self.message(*item, framing)?;
            return Some(Joined { ends: vec![(u32::try_from(bytes.len()).ok()?, sum)], bytes });
        }
        let cost: Option<usize> = items.iter().map(|item| Some(self.event(*item)?.event().draft.cost())).sum();
        if cost? > JOINED_MAX {
            return None;
        }
        let (mut bytes, mut sum) = (Vec::new(), Sum::default());
        let mut ends = Vec::with_capacity(items.len());
        for item in items {
            let message = self.message(*item, framing)?;
            bytes.extend_from_slice(&message.bytes);
            sum = sum.then(message.sum);
            ends.push((bytes.len() as u32, sum));
        }
        Some(Joined { bytes: Bytes::from(bytes), ends })
    }
}
