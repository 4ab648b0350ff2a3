//! The order of the log: what stands at which place, across all channels.
//!
//! A reader by pattern walks it, and so does the log when it is full and looks for its oldest event. Besides events
//! it has markers where a channel's removed events stood and one where a channel ended, so that a walk meets
//! gaps and ends in their places. It is cut into chunks of 256 places: adding and removing touch one chunk, and old
//! places that few channels still occupy cost little.

use crate::records::Id;
use std::collections::BTreeMap;
use std::iter::Peekable;

const CHUNK_BITS: u32 = 8;
/// Chunks of fewer slots are not worth tidying.
const SMALL: usize = 16;

/// What stands at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Nothing any more.
    Gone,
    /// An event that is held.
    Event,
    /// The channel lost what stood here, and whatever else of it stood before.
    Lost,
    /// The channel ended here.
    End,
}

/// A place and what stands there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) kind: Kind,
    pub(crate) channel: Id,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The low bits of the place.
    low: u8,
    kind: Kind,
    channel: Id,
}

#[derive(Debug, Default)]
struct Chunk {
    slots: Vec<Slot>,
    /// Slots that are not [`Kind::Gone`].
    live: usize,
}

/// Places in rising order.
#[derive(Debug, Default)]
pub(crate) struct Index {
    chunks: BTreeMap<u64, Chunk>,
    /// No event is held before this place. It only rises, so that looking for the oldest event passes each slot once.
    oldest: u64,
}

impl Index {
    /// Adds a place, which is after all others.
    pub(crate) fn push(&mut self, seq: u64, kind: Kind, channel: Id) {
        let chunk = self.chunks.entry(seq >> CHUNK_BITS).or_default();
        chunk.slots.push(Slot { low: seq as u8, kind, channel });
        chunk.live += 1;
    }

    /// Changes what stands at a place.
    pub(crate) fn set(&mut self, seq: u64, kind: Kind) {
        let number = seq >> CHUNK_BITS;
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        let Ok(i) = chunk.slots.binary_search_by_key(&(seq as u8), |slot| slot.low) else { return };
        chunk.slots[i].kind = kind;
        if kind != Kind::Gone {
            return;
        }
        chunk.live -= 1;
        if chunk.live == 0 {
            self.chunks.remove(&number);
        } else if chunk.slots.len() >= SMALL && chunk.live * 4 <= chunk.slots.len() {
            chunk.slots.retain(|slot| slot.kind != Kind::Gone);
            chunk.slots.shrink_to(SMALL);
        }
    }

    /// What stands after a place.
    fn after(&self, seq: u64) -> impl Iterator<Item = Place> + '_ {
        let next = seq.saturating_add(1);
        self.chunks.range(next >> CHUNK_BITS..).flat_map(move |(number, chunk)| {
            let base = number << CHUNK_BITS;
            let skip =
                if base >= next { 0 } else { chunk.slots.partition_point(|slot| base + u64::from(slot.low) < next) };
            let live = chunk.slots[skip..].iter().filter(|slot| slot.kind != Kind::Gone);
            live.map(move |slot| Place { seq: base + u64::from(slot.low), kind: slot.kind, channel: slot.channel })
        })
    }

    fn oldest_event(&mut self) -> Option<Place> {
        let place = self.after(self.oldest.saturating_sub(1)).find(|place| place.kind == Kind::Event);
        if let Some(place) = place {
            self.oldest = place.seq;
        }
        place
    }

    #[cfg(test)]
    fn slots(&self) -> usize {
        self.chunks.values().map(|chunk| chunk.slots.len()).sum()
    }
}

/// The order of the whole log, in two parts: a reader that wants only what is new still wants the state of channels
/// and whether they ended, however long ago that was, without walking all that came since.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Events of channels that are histories, and where they were lost.
    pub(crate) passing: Index,
    /// Events of channels that are states, where they were lost, and every channel's end.
    pub(crate) lasting: Index,
}

impl Order {
    /// The part in which a channel's events are.
    pub(crate) fn events(&mut self, is_state: bool) -> &mut Index {
        if is_state { &mut self.lasting } else { &mut self.passing }
    }

    /// Whether no event or end stands between two places. `false` if that would take long to tell.
    pub(crate) fn holds_nothing_between(&self, a: u64, b: u64) -> bool {
        /// Places looked at.
        const FAR: usize = 16;
        let nothing_held = |index: &Index| {
            let between = index.after(a).take_while(|place| place.seq < b);
            between.enumerate().all(|(i, place)| i < FAR && place.kind == Kind::Lost)
        };
        a + 1 == b || (nothing_held(&self.passing) && nothing_held(&self.lasting))
    }

    /// The oldest event held.
    pub(crate) fn oldest_event(&mut self) -> Option<Place> {
        match (self.passing.oldest_event(), self.lasting.oldest_event()) {
            (Some(a), Some(b)) => Some(if a.seq < b.seq { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    /// What stands after `cursor`, but of what passes only what stands after `floor` too.
    pub(crate) fn after(&self, cursor: u64, floor: u64) -> impl Iterator<Item = Place> + '_ {
        let mut passing = self.passing.after(cursor.max(floor)).peekable();
        let mut lasting = self.lasting.after(cursor).peekable();
        std::iter::from_fn(move || earlier(&mut passing, &mut lasting))
    }

    /// What lasts and stands after `cursor`.
    pub(crate) fn lasting_after(&self, cursor: u64) -> impl Iterator<Item = Place> + '_ {
        self.lasting.after(cursor)
    }
}

fn earlier(
    a: &mut Peekable<impl Iterator<Item = Place>>,
    b: &mut Peekable<impl Iterator<Item = Place>>,
) -> Option<Place> {
    match (a.peek(), b.peek()) {
        (Some(x), Some(y)) if y.seq < x.seq => b.next(),
        (Some(_), _) => a.next(),
        (None, _) => b.next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_a_plain_map() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            let (mut index, mut twin, mut seq) = (Index::default(), BTreeMap::new(), 0);
            for _ in 0..2000 {
                seq += random.u64(1..4);
                index.push(seq, Kind::Event, seq as Id);
                twin.insert(seq, Kind::Event);
                if random.u8(..) < 200 {
                    let at = random.u64(1..=seq);
                    let kind = random.choice([Kind::Gone, Kind::Gone, Kind::Lost]).unwrap();
                    let was = twin.remove(&at);
                    if was.is_some() {
                        index.set(at, kind);
                    }
                    if was.is_some() && kind != Kind::Gone {
                        twin.insert(at, kind);
                    }
                }
            }
            let from = random.u64(..seq);
            let got: Vec<(u64, Kind)> = index.after(from).map(|place| (place.seq, place.kind)).collect();
            let expected: Vec<(u64, Kind)> = twin.range(from + 1..).map(|(seq, kind)| (*seq, *kind)).collect();
            assert_eq!(got, expected);
            let oldest = twin.iter().find(|(_, kind)| **kind == Kind::Event).map(|(seq, _)| *seq);
            assert_eq!(index.oldest_event().map(|place| place.seq), oldest);
            assert!(
                index.slots() <= 4 * twin.len() + SMALL * index.chunks.len(),
                "what is gone takes no room for long"
            );
        }
    }
}
