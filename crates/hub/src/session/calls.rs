//! Calls that wait for their answers.

use std::collections::{BTreeMap, BTreeSet};

/// Open calls by numbers of ours, which are never given twice, each until a deadline. Mostly there are none, and then they
/// take no memory; however many there are, each costs a look-up.
#[derive(Debug)]
pub(super) struct Calls<T> {
    last: u64,
    open: Option<Box<Open<T>>>,
}

#[derive(Debug)]
struct Open<T> {
    /// By their numbers: until when, and what.
    calls: BTreeMap<u64, (u64, T)>,
    /// The same by their deadlines.
    due: BTreeSet<(u64, u64)>,
}

impl<T> Calls<T> {
    pub(super) fn new() -> Calls<T> {
        Calls { last: 0, open: None }
    }

    /// Opens a call and gives its number.
    pub(super) fn open(&mut self, deadline: u64, what: T) -> u64 {
        self.last += 1;
        let open = self.open.get_or_insert_with(|| Box::new(Open { calls: BTreeMap::new(), due: BTreeSet::new() }));
        open.calls.insert(self.last, (deadline, what));
        open.due.insert((deadline, self.last));
        self.last
    }

    /// The call of this number is answered. `None` if it is not open: it was answered before, or is none of ours.
    pub(super) fn close(&mut self, number: u64) -> Option<T> {
        let open = self.open.as_mut()?;
        let (deadline, what) = open.calls.remove(&number)?;
        open.due.remove(&(deadline, number));
        if open.calls.is_empty() {
            self.open = None;
        }
        Some(what)
    }

    /// A call whose deadline has come, closed: the one that was due first.
    pub(super) fn expire(&mut self, now: u64) -> Option<(u64, T)> {
        let &(deadline, number) = self.open.as_ref()?.due.first()?;
        if deadline > now {
            return None;
        }
        self.close(number).map(|what| (number, what))
    }

    pub(super) fn is_open(&self, number: u64) -> bool {
        self.open.as_ref().is_some_and(|open| open.calls.contains_key(&number))
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.open.as_ref()?.due.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.calls.len())
    }

    /// Closes all calls and gives their numbers.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        self.open.take().map(|open| open.calls.into_keys().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Open(u64),
        Close(u64),
        Expire(u64),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..100u64).prop_map(Step::Open),
            4 => (0..40u64).prop_map(Step::Close),
            4 => (0..100u64).prop_map(Step::Expire),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        /// As a list that is looked through each time.
        #[test]
        fn calls_are_found_by_number_and_by_deadline(steps in proptest::collection::vec(step(), 0..60)) {
            let (mut calls, mut list, mut last) = (Calls::new(), Vec::<(u64, u64)>::new(), 0);
            for step in steps {
                match step {
                    Step::Open(deadline) => {
                        last += 1;
                        list.push((last, deadline));
                        prop_assert_eq!(calls.open(deadline, 10 * last), last);
                    }
                    Step::Close(number) => {
                        let at = list.iter().position(|(of, _)| *of == number);
                        prop_assert_eq!(calls.is_open(number), at.is_some());
                        prop_assert_eq!(calls.close(number), at.map(|at| 10 * list.remove(at).0));
                    }
                    Step::Expire(now) => {
                        let due = list.iter().copied().filter(|(_, at)| *at <= now).min_by_key(|(n, at)| (*at, *n));
                        list.retain(|one| Some(*one) != due);
                        prop_assert_eq!(calls.expire(now), due.map(|(number, _)| (number, 10 * number)));
                    }
                    Step::Clear => {
                        let numbers: Vec<u64> = list.drain(..).map(|(number, _)| number).collect();
                        prop_assert_eq!(calls.clear(), numbers);
                    }
                }
                prop_assert_eq!(calls.len(), list.len());
                prop_assert_eq!(calls.deadline(), list.iter().map(|(_, at)| *at).min());
                prop_assert_eq!(calls.open.is_some(), !list.is_empty());
            }
        }
    }
}
