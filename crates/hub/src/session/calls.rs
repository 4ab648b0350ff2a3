//! Calls that wait for their answers.

use std::collections::{BTreeMap, BTreeSet};

/// Open calls by numbers of ours, which are never given twice, each until a deadline.
#[derive(Debug)]
pub(super) struct Calls<T> {
    last: u64,
    open: BTreeMap<u64, (u64, T)>,
    due: BTreeSet<(u64, u64)>,
}

impl<T> Calls<T> {
    pub(super) fn new() -> Calls<T> {
        Calls { last: 0, open: BTreeMap::new(), due: BTreeSet::new() }
    }

    /// Opens a call and gives its number.
    pub(super) fn open(&mut self, deadline: u64, what: T) -> u64 {
        self.last += 1;
        self.open.insert(self.last, (deadline, what));
        self.due.insert((deadline, self.last));
        self.last
    }

    /// The call of this number is answered. `None` if it is not open: it was answered before, or is none of ours.
    pub(super) fn close(&mut self, number: u64) -> Option<T> {
        let (deadline, what) = self.open.remove(&number)?;
        self.due.remove(&(deadline, number));
        Some(what)
    }

    /// A call whose deadline has come, closed.
    pub(super) fn expire(&mut self, now: u64) -> Option<(u64, T)> {
        let number = self.due.first().filter(|(deadline, _)| *deadline <= now)?.1;
        self.close(number).map(|what| (number, what))
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Closes all calls and gives their numbers.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        self.due.clear();
        std::mem::take(&mut self.open).into_keys().collect()
    }
}
