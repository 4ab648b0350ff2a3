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

/// What a crew does.
pub(crate) trait Work: 'static {
    async fn done(self);
}

/// Tasks of one thread that do work of one kind, each one piece at a time.
pub(crate) struct Crew<W> {
    /// What no task has taken up yet.
    handed: RefCell<VecDeque<W>>,
    news: Notify,
    /// Tasks that wait for news.
    idle: Cell<usize>,
}

impl<W> Default for Crew<W> {
    fn default() -> Crew<W> {
        Crew { handed: RefCell::default(), news: Notify::new(), idle: Cell::new(0) }
    }
}

impl<W: Work> Crew<W> {
    /// Has this done, by an idle task if there is one.
    pub(crate) fn hand(self: &Rc<Self>, work: W) {
        self.handed.borrow_mut().push_back(work);
        match self.idle.get().checked_sub(1) {
            Some(idle) => {
                self.idle.set(idle);
                self.news.notify_one();
            }
            None => drop(tokio::task::spawn_local(self.clone().work())),
        }
    }

    /// Does one piece after the other.
    async fn work(self: Rc<Self>) {
        loop {
            // A statement of its own, so that the queue is not held meanwhile.
            let next = self.handed.borrow_mut().pop_front();
            if let Some(work) = next {
                work.done().await;
            } else if self.idle.get() < KEPT {
                self.idle.set(self.idle.get() + 1);
                self.news.notified().await;
            } else {
                return;
            }
        }
    }
}
