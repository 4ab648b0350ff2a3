//! A share of each turn for what costs a thousand times what an event does, and whoever likes can ask for: the arithmetic of
//! handshakes, pages of megabytes.

use std::cell::Cell;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::yield_now;

/// What those who pass a gate may take of a turn, beyond which the rest of them wait for the next one.
pub(crate) const SHARE: Duration = Duration::from_micros(500);

/// Lets the tasks of a thread work, one after the other and so much a turn.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Of the present turn.
    spent: Cell<Duration>,
    queue: Semaphore,
}

/// Leave to work until it is dropped, which is not to be kept while waiting for anything.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    since: Instant,
    _place: Option<SemaphorePermit<'a>>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { spent: Cell::default(), queue: Semaphore::new(1) }
    }
}

impl Gate {
    /// Waits for one's turn. Whoever came first goes first.
    pub(crate) async fn pass(&self) -> Pass<'_> {
        // Never closed.
        let place = self.queue.acquire().await.ok();
        if self.is_spent() {
            // The thread goes once around: it looks at its sockets, and whoever they wake comes first, the shard among them.
            yield_now().await;
            self.spent.set(Duration::ZERO);
        }
        Pass { gate: self, since: Instant::now(), _place: place }
    }

    /// The same for whoever need not wait.
    pub(crate) fn pass_at_once(&self) -> Option<Pass<'_>> {
        let place = self.queue.try_acquire().ok().filter(|_| !self.is_spent())?;
        Some(Pass { gate: self, since: Instant::now(), _place: Some(place) })
    }

    fn is_spent(&self) -> bool {
        self.spent.get() >= SHARE
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;
    use tokio::io::AsyncReadExt;
    use tokio::task::{JoinHandle, LocalSet, spawn_local};

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, test);
    }

    /// A task that notes when it got through, and takes a whole share.
    fn worker(gate: &Rc<Gate>, name: u32, done: &Rc<RefCell<Vec<u32>>>) -> JoinHandle<()> {
        let (gate, done) = (gate.clone(), done.clone());
        spawn_local(async move {
            let pass = gate.pass().await;
            std::thread::sleep(SHARE);
            drop(pass);
            done.borrow_mut().push(name);
        })
    }

    #[test]
    fn one_share_a_turn_and_whoever_came_first_goes_first() {
        run(async {
            let (gate, done) = (Rc::<Gate>::default(), Rc::default());
            let workers: Vec<_> = (0..20).map(|name| worker(&gate, name, &done)).collect();
            let mut most = 0;
            while !workers.iter().all(JoinHandle::is_finished) {
                let before = done.borrow().len();
                yield_now().await;
                most = most.max(done.borrow().len() - before);
            }
            assert_eq!((most, &*done.borrow()), (1, &(0..20).collect::<Vec<u32>>()));
        });
    }

    /// A thread goes on with tasks that wake each other for a while, without a look at its sockets.
    #[test]
    fn sockets_are_looked_at_in_between() {
        run(async {
            let (gate, done) = (Rc::<Gate>::default(), Rc::<RefCell<Vec<u32>>>::default());
            let (mut peer, socket) = UnixStream::pair().unwrap();
            socket.set_nonblocking(true).unwrap();
            let mut socket = tokio::net::UnixStream::from_std(socket).unwrap();
            let (seen, reads) = (done.clone(), Rc::new(tokio::sync::Notify::new()));
            let reading = spawn_local({
                let reads = reads.clone();
                async move {
                    let mut byte = [0];
                    reads.notify_one();
                    socket.read_exact(&mut byte).await.unwrap();
                    seen.borrow().len()
                }
            });
            reads.notified().await;
            // Whatever the socket was asked before, there was nothing.
            yield_now().await;
            let workers: Vec<_> = (0..20).map(|name| worker(&gate, name, &done)).collect();
            peer.write_all(b"!").unwrap();
            assert!(reading.await.unwrap() <= 2);
            for worker in workers {
                worker.await.unwrap();
            }
        });
    }

    #[test]
    fn who_gives_up_while_waiting_holds_up_nobody() {
        run(async {
            let (gate, done) = (Rc::<Gate>::default(), Rc::default());
            let first = worker(&gate, 0, &done);
            let waits: Vec<_> = (0..3)
                .map(|_| {
                    let gate = gate.clone();
                    spawn_local(async move { drop(gate.pass().await) })
                })
                .collect();
            let last = worker(&gate, 1, &done);
            first.await.unwrap();
            // One that has its turn, and two behind it.
            waits.iter().for_each(JoinHandle::abort);
            last.await.unwrap();
            assert_eq!(*done.borrow(), [0, 1]);
            assert!(gate.pass_at_once().is_none(), "the last has used it up");
            drop(gate.pass().await);
            assert!(gate.pass_at_once().is_some());
        });
    }
}
