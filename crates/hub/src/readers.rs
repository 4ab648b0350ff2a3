//! The readers of one shard: their cursors, and whom to hand an event to.

use crate::Token;
use crate::patterns::Patterns;
use std::collections::HashMap;
use std::sync::Arc;
use switchboard_wire::ChannelName;
use switchboard_wire::name::Selection;

/// Where a reader is, as the log says it: handed back to the log when it reads on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// It has everything up to here.
    pub cursor: u64,
    /// Up to here it needs to be told of no loss. Above the cursor in a reader that did not ask for events up to here,
    /// but for the values of `state` channels; below it in one that has yet to be told of an old loss.
    pub floor: u64,
}

impl Place {
    /// A reader that has everything up to here and was told of every loss.
    pub fn at(cursor: u64) -> Place {
        Place { cursor, floor: cursor }
    }
}

struct Reader {
    cursor: u64,
    floor: u64,
    /// Gets what the ring brings. Its cursor is then at least the shard's position, or about to be.
    live: bool,
    selection: Arc<Selection>,
}

/// The readers of one shard.
///
/// The shard's *position* is how far it has handed the ring's items to its live readers. A reader that is behind is
/// live again when its cursor reaches that position, not the log's head: what lies between the two is still to come
/// through the ring.
pub struct Readers {
    position: u64,
    slots: Vec<Option<Reader>>,
    count: usize,
    exact: HashMap<ChannelName, Vec<Token>>,
    patterns: Patterns,
}

impl Readers {
    /// No readers, with everything up to `position` handed over.
    pub fn new(position: u64) -> Readers {
        Readers { position, slots: Vec::new(), count: 0, exact: HashMap::new(), patterns: Patterns::new() }
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a reader at a place. It is live if it has everything that the shard handed over; `false` means it is
    /// behind. The token must not be in use.
    pub fn add(&mut self, token: Token, selection: Arc<Selection>, place: Place) -> bool {
        for channel in &selection.channels {
            self.exact.entry(channel.clone()).or_default().push(token);
        }
        for pattern in &selection.patterns {
            self.patterns.add(pattern, token);
        }
        let live = place.cursor >= self.position;
        let index = token as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        debug_assert!(self.slots[index].is_none());
        self.slots[index] = Some(Reader { cursor: place.cursor, floor: place.floor, live, selection });
        self.count += 1;
        live
    }

    /// Forgets a reader.
    pub fn remove(&mut self, token: Token) {
        let Some(reader) = self.slots.get_mut(token as usize).and_then(Option::take) else { return };
        self.count -= 1;
        for channel in &reader.selection.channels {
            let Some(list) = self.exact.get_mut(channel) else { continue };
            if let Some(at) = list.iter().position(|other| *other == token) {
                list.swap_remove(at);
            }
            if list.is_empty() {
                self.exact.remove(channel);
            }
        }
        for pattern in &reader.selection.patterns {
            self.patterns.remove(pattern, token);
        }
    }

    /// Calls `each` with every live reader that is due the item `seq` of `channel`, once each, in the order of the
    /// lists. A cursor that is already past the item is the seam between catching up and live: nothing is doubled
    /// there, nor where several patterns of one reader select the channel.
    pub fn fan_out(&mut self, channel: &ChannelName, seq: u64, mut each: impl FnMut(Token)) {
        let slots = &mut self.slots;
        let mut due = |token: Token| {
            if let Some(reader) = &mut slots[token as usize]
                && reader.live
                && seq > reader.cursor
            {
                reader.cursor = seq;
                each(token);
            }
        };
        if let Some(list) = self.exact.get(channel) {
            list.iter().copied().for_each(&mut due);
        }
        self.patterns.each_match(channel, due);
    }

    /// Everything up to `position` has been handed to the live readers.
    pub fn advance(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// The ring no longer holds what comes after the shard's position: every live reader falls behind there, and the
    /// shard goes on at `head`. Calls `each` with those readers.
    pub fn overrun(&mut self, head: u64, mut each: impl FnMut(Token)) {
        let from = std::mem::replace(&mut self.position, head);
        for (token, slot) in self.slots.iter_mut().enumerate() {
            if let Some(reader) = slot
                && reader.live
            {
                reader.cursor = reader.cursor.max(from);
                reader.floor = reader.cursor;
                reader.live = reader.cursor >= head;
                if !reader.live {
                    each(token as Token);
                }
            }
        }
    }

    /// The reader's peer took no more than what lies before this place.
    pub fn fall_behind(&mut self, token: Token, place: Place) {
        if let Some(reader) = self.get_mut(token) {
            (reader.cursor, reader.floor) = (place.cursor, place.floor);
            reader.live = false;
        }
    }

    /// A reader that was behind has everything before this place. `true` if it is live now.
    pub fn catch_up(&mut self, token: Token, place: Place) -> bool {
        let position = self.position;
        self.get_mut(token).is_some_and(|reader| {
            (reader.cursor, reader.floor) = (reader.cursor.max(place.cursor), place.floor);
            reader.live = reader.cursor >= position;
            reader.live
        })
    }

    /// Where a reader is that is behind; `None` if it is live.
    pub fn behind(&self, token: Token) -> Option<Place> {
        let reader = self.get(token)?;
        (!reader.live).then_some(Place { cursor: reader.cursor, floor: reader.floor })
    }

    /// Everything up to here was handed to the reader.
    #[cfg(test)]
    fn cursor(&self, token: Token) -> Option<u64> {
        self.get(token).map(|reader| if reader.live { reader.cursor.max(self.position) } else { reader.cursor })
    }

    /// Notes that a live reader is being told its cursor, and gives it if it moved since it was last told: by an event, or
    /// by this.
    pub fn tell(&mut self, token: Token) -> Option<u64> {
        let position = self.position;
        let reader = self.get_mut(token).filter(|reader| reader.live && reader.cursor < position)?;
        reader.cursor = position;
        Some(position)
    }

    pub fn selection(&self, token: Token) -> Option<&Arc<Selection>> {
        self.get(token).map(|reader| &reader.selection)
    }

    /// How many readers select the channel, by name or by pattern.
    pub fn count_of(&mut self, channel: &ChannelName) -> usize {
        let mut tokens: Vec<Token> = self.exact.get(channel).cloned().unwrap_or_default();
        self.patterns.each_match(channel, |token| tokens.push(token));
        tokens.sort_unstable();
        tokens.dedup();
        tokens.len()
    }

    /// The channels that some reader selects by name.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.exact.keys()
    }

    fn get(&self, token: Token) -> Option<&Reader> {
        self.slots.get(token as usize)?.as_ref()
    }

    fn get_mut(&mut self, token: Token) -> Option<&mut Reader> {
        self.slots.get_mut(token as usize)?.as_mut()
    }
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
