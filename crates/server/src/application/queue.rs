//! A queue of what is told in order, to somebody who may be slow or away: bounded, and when it is full the oldest goes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Things by numbers that have no holes but for those that were dropped.
#[derive(Debug)]
pub(super) struct Queue<T> {
    limit: usize,
    state: Mutex<State<T>>,
    came: Notify,
    emptied: Notify,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(u64, T)>,
    last: u64,
    dropped: u64,
}

impl<T: Clone> Queue<T> {
    pub(super) fn new(limit: usize) -> Queue<T> {
        let state = State { items: VecDeque::new(), last: 0, dropped: 0 };
        Queue { limit: limit.max(1), state: Mutex::new(state), came: Notify::new(), emptied: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what is made of its number.
    pub(super) fn push(&self, make: impl FnOnce(u64) -> T) {
        let mut state = self.state();
        if state.items.len() == self.limit {
            state.items.pop_front();
            state.dropped += 1;
        }
        state.last += 1;
        let item = (state.last, make(state.last));
        state.items.push_back(item);
        drop(state);
        self.came.notify_one();
    }

    /// The oldest, at most so many, which stay until they are [`done`](Queue::done). Waits until there is one. For one
    /// task.
    pub(super) async fn front(&self, most: usize) -> Vec<(u64, T)> {
        loop {
            let items: Vec<(u64, T)> = self.state().items.iter().take(most).cloned().collect();
            if !items.is_empty() {
                return items;
            }
            self.came.notified().await;
        }
    }

    /// Those up to this number are told.
    pub(super) fn done(&self, number: u64) {
        self.remove(number);
    }

    /// Those up to this number are given up.
    pub(super) fn give_up(&self, number: u64) {
        let removed = self.remove(number);
        self.state().dropped += removed;
    }

    fn remove(&self, number: u64) -> u64 {
        let mut state = self.state();
        let before = state.items.len();
        while state.items.front().is_some_and(|(front, _)| *front <= number) {
            state.items.pop_front();
        }
        let removed = before - state.items.len();
        if state.items.is_empty() {
            self.emptied.notify_waiters();
        }
        removed as u64
    }

    /// Waits until nothing is left.
    pub(super) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            let mut emptied = std::pin::pin!(emptied);
            // From here on it hears, so that nothing is missed between the look and the wait.
            emptied.as_mut().enable();
            if self.state().items.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.state().items.len()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn the_oldest_go_where_it_is_full_and_numbers_tell() {
        let queue = Queue::new(3);
        for _ in 0..5 {
            queue.push(|number| number * 10);
        }
        assert_eq!(run(queue.front(2)), [(3, 30), (4, 40)]);
        assert_eq!((queue.len(), queue.dropped()), (3, 2));
        // What is being told may be dropped meanwhile: what comes behind it is not taken for told.
        queue.push(|number| number * 10);
        queue.done(4);
        assert_eq!(run(queue.front(9)), [(5, 50), (6, 60)]);
        queue.give_up(6);
        assert_eq!((queue.len(), queue.dropped()), (0, 5));
        run(queue.empty());
    }

    #[test]
    fn whoever_waits_is_woken() {
        let queue = std::sync::Arc::new(Queue::new(3));
        run(async {
            let (front, push) = tokio::join!(queue.front(1), async { queue.push(|number| number) });
            assert_eq!((front, push), (vec![(1, 1)], ()));
            tokio::join!(queue.empty(), async { queue.done(1) });
        });
    }
}
