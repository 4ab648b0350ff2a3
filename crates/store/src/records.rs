//! The records of all channels: by name, in the order of names, and in the order of their last use.

use crate::channel::Record;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use switchboard_wire::ChannelName;

/// Names a record while it is kept; reused afterwards.
pub(crate) type Id = u32;

const NONE: Id = Id::MAX;

/// What the record is called that tells of a channel. The system's own channels that begin alike share one: they come with
/// whatever they are about, hold nothing, and are not to take the room of channels that do.
pub(crate) fn kept_as(name: &ChannelName) -> &str {
    match name.is_reserved() {
        true => name.segments().next().unwrap_or_default(),
        false => name.as_str(),
    }
}

/// A record and its neighbours in the list from the least to the most recently used.
#[derive(Debug)]
struct Slot {
    record: Option<Record>,
    older: Id,
    newer: Id,
}

#[derive(Debug)]
pub(crate) struct Records {
    slots: Vec<Slot>,
    free: Vec<Id>,
    names: HashMap<ChannelName, Id>,
    /// Only the channels that exist: deleted ones are kept but not listed.
    listed: BTreeMap<ChannelName, Id>,
    oldest: Id,
    newest: Id,
}

impl Default for Records {
    fn default() -> Records {
        Records {
            slots: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            listed: BTreeMap::new(),
            oldest: NONE,
            newest: NONE,
        }
    }
}

impl Records {
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// All ids are below this.
    pub(crate) fn places(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn id(&self, name: &ChannelName) -> Option<Id> {
        self.names.get(kept_as(name)).copied()
    }

    pub(crate) fn get(&self, id: Id) -> Option<&Record> {
        self.slots.get(id as usize)?.record.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Record> {
        self.slots.get_mut(id as usize)?.record.as_mut()
    }

    pub(crate) fn named(&self, name: &ChannelName) -> Option<&Record> {
        self.get(self.id(name)?)
    }

    /// Adds a record as the most recently used.
    pub(crate) fn insert(&mut self, record: Record) -> Id {
        let name = record.name.clone();
        debug_assert_eq!(kept_as(&name), name.as_str());
        let slot = Slot { record: Some(record), older: NONE, newer: NONE };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as Id
            }
        };
        self.names.insert(name, id);
        self.link(id);
        id
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<Record> {
        let record = self.slots.get_mut(id as usize)?.record.take()?;
        self.unlink(id);
        self.names.remove(&record.name);
        self.listed.remove(&record.name);
        self.free.push(id);
        Some(record)
    }

    /// Makes the record the most recently used.
    pub(crate) fn touch(&mut self, id: Id) {
        if self.newest != id {
            self.unlink(id);
            self.link(id);
        }
    }

    /// The record that was not used for longest.
    pub(crate) fn oldest(&self) -> Option<Id> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    pub(crate) fn list(&mut self, name: &ChannelName, id: Id) {
        self.listed.insert(name.clone(), id);
    }

    pub(crate) fn unlist(&mut self, name: &ChannelName) {
        self.listed.remove(name);
    }

    /// The channels that exist, sorted by name, from the first after `after`.
    pub(crate) fn listed(&self, after: Option<&str>) -> impl Iterator<Item = Id> + '_ {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.listed.range::<str, _>((from, Bound::Unbounded)).map(|(_, id)| *id)
    }

    fn link(&mut self, id: Id) {
        let older = std::mem::replace(&mut self.newest, id);
        let slot = &mut self.slots[id as usize];
        (slot.older, slot.newer) = (older, NONE);
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = id,
            None => self.oldest = id,
        }
    }

    fn unlink(&mut self, id: Id) {
        let Slot { older, newer, .. } = self.slots[id as usize];
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Class;

    fn record(name: &str) -> Record {
        Record::new(ChannelName::new(name).unwrap(), Class::State, 0)
    }

    #[test]
    fn the_least_recently_used_comes_first() {
        let mut records = Records::default();
        let ids: Vec<Id> = ["a", "b", "c"].iter().map(|name| records.insert(record(name))).collect();
        records.touch(ids[0]);
        records.touch(ids[0]);
        let mut order = Vec::new();
        while let Some(id) = records.oldest() {
            order.push(records.remove(id).unwrap().name.to_string());
        }
        assert_eq!(order, ["b", "c", "a"]);
        assert_eq!((records.len(), records.newest), (0, NONE));
        assert_eq!(records.insert(record("d")), ids[0], "places are used again");
    }
}
