//! Tasks that are kept for what comes next.
//!
//! A task is some KiB. Were it to come and go with each request, what a subscriber keeps would end up in the midst of what
//! tasks leave behind, and hold on to the memory around it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::sync::Notify;

/// Tasks that are kept once theirs is done.
const KEPT: usize = 256;

/// Tasks of one thread that all do the same, each to one thing at a time.
pub(crate) struct Crew<T> {
    /// What no task has taken up yet.
    handed: RefCell<VecDeque<T>>,
    news: Notify,
    /// Tasks that wait for news.
    idle: Cell<usize>,
}

impl<T> Default for Crew<T> {
    fn default() -> Crew<T> {
        Crew { handed: RefCell::default(), news: Notify::new(), idle: Cell::new(0) }
    }
}

impl<T: 'static> Crew<T> {
    /// Has this done to something, by an idle task if there is one.
    pub(crate) fn hand(self: &Rc<Self>, thing: T, does: impl AsyncFn(T) + 'static) {
        self.handed.borrow_mut().push_back(thing);
        match self.idle.get().checked_sub(1) {
            Some(idle) => {
                self.idle.set(idle);
                self.news.notify_one();
            }
            None => drop(tokio::task::spawn_local(self.clone().work(does))),
        }
    }

    /// Does one thing after the other.
    async fn work(self: Rc<Self>, does: impl AsyncFn(T)) {
        loop {
            // A statement of its own, so that the queue is not held meanwhile.
            let next = self.handed.borrow_mut().pop_front();
            if let Some(thing) = next {
                does(thing).await;
            } else if self.idle.get() < KEPT {
                self.idle.set(self.idle.get() + 1);
                self.news.notified().await;
            } else {
                return;
            }
        }
    }
}
