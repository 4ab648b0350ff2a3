//! What the requests of one connection may have the server hold of their bodies, together.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use tokio::sync::Notify;

/// Bytes of bodies that are not whole: while there are more, only the first of those requests is read on.
const LIMIT: usize = 16 << 20;

/// The bodies of one connection.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    held: Cell<usize>,
    next: Cell<u64>,
    /// Requests of which something is held, in the order they came in.
    line: RefCell<BTreeSet<u64>>,
    moved: Notify,
}

impl Intake {
    pub(super) fn share(self: &Rc<Intake>) -> Share {
        let number = self.next.get();
        self.next.set(number + 1);
        Share { intake: self.clone(), number, held: 0 }
    }
}

/// What is held of one request's body, until dropped.
#[derive(Debug)]
pub(super) struct Share {
    intake: Rc<Intake>,
    number: u64,
    held: usize,
}

impl Share {
    /// Returns once the body may be read on. One always may, so that what is held is whole some time.
    pub(super) async fn room(&self) {
        while self.intake.held.get() > LIMIT && self.intake.line.borrow().first() != Some(&self.number) {
            self.intake.moved.notified().await;
        }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        if self.held == 0 && bytes > 0 {
            self.intake.line.borrow_mut().insert(self.number);
        }
        self.held += bytes;
        self.intake.held.set(self.intake.held.get() + bytes);
    }

    /// Nothing of what came is held any more.
    pub(super) fn clear(&mut self) {
        if self.held > 0 {
            self.intake.held.set(self.intake.held.get() - self.held);
            self.held = 0;
            self.intake.line.borrow_mut().remove(&self.number);
            self.intake.moved.notify_waiters();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn may_go_on(share: &Share) -> bool {
        pin!(share.room()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn beyond_the_limit_the_first_is_read_on_and_the_others_once_it_is_whole() {
        let intake = Rc::new(Intake::default());
        let mut shares: Vec<Share> = (0..3).map(|_| intake.share()).collect();
        shares[1].add(LIMIT);
        assert!(shares.iter().all(may_go_on));
        shares[2].add(1);
        assert_eq!(shares.iter().map(may_go_on).collect::<Vec<_>>(), [false, true, false]);
        shares.remove(1);
        assert!(shares.iter().all(may_go_on));
        shares[1].add(LIMIT);
        assert_eq!(shares.iter().map(may_go_on).collect::<Vec<_>>(), [false, true]);
        shares[1].clear();
        assert!(shares.iter().all(may_go_on));
    }
}
