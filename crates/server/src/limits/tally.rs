//! Tallies: how many of something each of many has at present.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Somebodies that a tally has room for, however few there are.
const ROOM_MIN: usize = 64;

/// Counts what is held, by whom. Whoever has nothing is not kept.
#[derive(Debug)]
pub(crate) struct Tally<K>(Mutex<HashMap<K, usize>>);

/// A place in a tally, given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat<K: Eq + Hash> {
    tally: Arc<Tally<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> Tally<K> {
    pub(crate) fn new() -> Arc<Tally<K>> {
        Arc::new(Tally(Mutex::default()))
    }

    fn held(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more for somebody, if they have fewer than `most`.
    pub(crate) fn take(self: &Arc<Tally<K>>, key: &K, most: usize) -> Option<Seat<K>> {
        let mut held = self.held();
        match held.get_mut(key) {
            Some(count) if *count < most => *count += 1,
            None if most > 0 => drop(held.insert(key.clone(), 1)),
            _ => return None,
        }
        Some(Seat { tally: self.clone(), key: key.clone() })
    }

    /// How many have something.
    pub(crate) fn len(&self) -> usize {
        self.held().len()
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut held = self.tally.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
                // Room for many more than there are is given back, now and then.
                if held.capacity() > 4 * held.len().max(ROOM_MIN) {
                    let room = 2 * held.len().max(ROOM_MIN);
                    held.shrink_to(room);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_and_one_that_leaves_makes_room() {
        let tally = Tally::new();
        let mut seats: Vec<_> = (0..3).map_while(|_| tally.take(&"a", 3)).collect();
        assert_eq!(seats.len(), 3);
        assert!(tally.take(&"a", 3).is_none());
        let other = tally.take(&"b", 3);
        assert_eq!(tally.len(), 2);
        seats.pop();
        assert!(tally.take(&"a", 3).is_some());
        drop((seats, other));
        assert_eq!(tally.len(), 0);
        assert!(tally.take(&"a", 0).is_none());
    }

    #[test]
    fn a_crowd_that_has_left_leaves_no_room_behind() {
        let tally = Tally::new();
        let seats: Vec<_> = (0..10_000).map_while(|who| tally.take(&who, 1)).collect();
        assert!(tally.held().capacity() >= 10_000);
        drop(seats);
        assert!(tally.held().capacity() <= 4 * ROOM_MIN);
    }
}
