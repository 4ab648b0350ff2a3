//! A share of each turn for what costs a thousand times what an event does, and whoever likes can ask for: the arithmetic of
//! handshakes, pages of megabytes.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What those who pass a gate may take of a turn, beyond which the rest of them wait for the next one.
pub(crate) const SHARE: Duration = Duration::from_micros(500);

/// Lets the tasks of a thread work, one after the other and so much a turn.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Of the present turn.
    spent: Cell<Duration>,
    waiting: Cell<usize>,
    opened: Notify,
    /// Rung where somebody waits for the next turn: there may be no other reason for one.
    bell: Arc<Notify>,
}

/// Leave to work until it is dropped, which is not to be kept while waiting for anything.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    since: Instant,
}

impl Gate {
    pub(crate) fn new(bell: Arc<Notify>) -> Gate {
        Gate { spent: Cell::default(), waiting: Cell::default(), opened: Notify::new(), bell }
    }

    /// Waits for one's turn. Whoever came first goes first.
    pub(crate) async fn pass(&self) -> Pass<'_> {
        let mut called = false;
        while self.is_spent() || (self.waiting.get() > 0 && !called) {
            let _waiting = Waiting::new(self);
            self.bell.notify_one();
            self.opened.notified().await;
            called = true;
        }
        Pass { gate: self, since: Instant::now() }
    }

    /// A new turn has begun.
    pub(crate) fn open(&self) {
        self.spent.set(Duration::ZERO);
        self.call();
    }

    /// Whether somebody waits for the next turn.
    pub(crate) fn is_waited_at(&self) -> bool {
        self.waiting.get() > 0
    }

    fn is_spent(&self) -> bool {
        self.spent.get() >= SHARE
    }

    fn call(&self) {
        if self.waiting.get() > 0 && !self.is_spent() {
            self.opened.notify_one();
        }
    }
}

impl Pass<'_> {
    /// Gives it back, and tells how long it was had.
    pub(crate) fn end(self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.spent.set(self.gate.spent.get() + self.since.elapsed());
        self.gate.call();
    }
}

struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn new(gate: &'a Gate) -> Waiting<'a> {
        gate.waiting.set(gate.waiting.get() + 1);
        Waiting(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        LocalSet::new().block_on(&runtime, test);
    }

    /// A task that notes when it got through, and takes a whole share each time.
    fn worker(gate: &Rc<Gate>, name: u32, done: &Rc<std::cell::RefCell<Vec<u32>>>) {
        let (gate, done) = (gate.clone(), done.clone());
        spawn_local(async move {
            let pass = gate.pass().await;
            std::thread::sleep(SHARE);
            drop(pass);
            done.borrow_mut().push(name);
        });
    }

    #[test]
    fn one_share_a_turn_and_whoever_came_first_goes_first() {
        run(async {
            let (gate, done) = (Rc::new(Gate::new(Arc::default())), Rc::default());
            (0..4).for_each(|name| worker(&gate, name, &done));
            for turn in 1..=4 {
                for _ in 0..8 {
                    yield_now().await;
                }
                assert_eq!(*done.borrow(), (0..turn).collect::<Vec<u32>>());
                assert_eq!(gate.is_waited_at(), turn < 4);
                gate.open();
            }
        });
    }

    #[test]
    fn who_gives_up_while_waiting_holds_up_nobody() {
        run(async {
            let (gate, done) = (Rc::new(Gate::new(Arc::default())), Rc::default());
            worker(&gate, 0, &done);
            yield_now().await;
            let waits = tokio::task::spawn_local({
                let gate = gate.clone();
                async move { drop(gate.pass().await) }
            });
            yield_now().await;
            worker(&gate, 1, &done);
            yield_now().await;
            gate.open();
            waits.abort();
            for _ in 0..8 {
                yield_now().await;
            }
            assert_eq!(*done.borrow(), [0, 1]);
            assert!(!gate.is_waited_at());
        });
    }
}
