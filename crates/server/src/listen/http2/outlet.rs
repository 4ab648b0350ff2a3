//! When a connection sends what its streams have to say.
//!
//! Streams that are written one after the other leave together: while a shard has its turn, the connections of its thread
//! that have something to send are noted, and sent when the turn ends. At any other time the connection's own task is woken.

use std::mem;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use tokio::sync::Notify;

/// The connections of one thread that have something to send.
#[derive(Debug, Default)]
pub(crate) struct Outlets {
    /// By their numbers; there only while the shard has its turn.
    noted: Mutex<Option<Vec<u32>>>,
}

impl Outlets {
    /// From here on connections are noted.
    pub(crate) fn begin(&self) {
        lock(&self.noted).get_or_insert_default();
    }

    /// Moves those that were noted since this was last asked for into `numbers`, which is empty.
    pub(crate) fn take(&self, numbers: &mut Vec<u32>) {
        if let Some(noted) = &mut *lock(&self.noted)
            && !noted.is_empty()
        {
            mem::swap(noted, numbers);
        }
    }

    /// From here on tasks are woken. `false` if something was noted yet, and then not.
    pub(crate) fn end(&self) -> bool {
        let mut noted = lock(&self.noted);
        let done = noted.as_ref().is_none_or(Vec::is_empty);
        if done {
            *noted = None;
        }
        done
    }
}

/// What the streams of a connection share: how they have it send what they say, and how they learn that it has.
///
/// As a [`Waker`] it is what they wake when they have said something.
#[derive(Debug)]
pub(crate) struct Outlet {
    outlets: Arc<Outlets>,
    number: u32,
    task: Mutex<Waker>,
    /// Not all that was said is on its way: the client takes no more for now.
    full: AtomicBool,
    looks: Mutex<Looks>,
    over: Notify,
}

/// How often the connection has looked at what its streams have said, and who waits for that.
#[derive(Debug)]
struct Looks {
    begun: NonZeroU32,
    /// The last look after which nothing was left.
    last: NonZeroU32,
    waiting: Vec<Waker>,
    closed: bool,
}

/// A wait for a look that begins later, after which nothing is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait(NonZeroU32);

impl Outlet {
    pub(super) fn new(outlets: Arc<Outlets>, number: u32, task: &Waker) -> Arc<Outlet> {
        let (task, full) = (Mutex::new(task.clone()), AtomicBool::new(false));
        let looks = Looks { begun: NonZeroU32::MIN, last: NonZeroU32::MIN, waiting: Vec::new(), closed: false };
        Arc::new(Outlet { outlets, number, task, full, looks: Mutex::new(looks), over: Notify::new() })
    }

    /// Which of these connections it belongs to, if to any.
    pub(super) fn number_among(&self, outlets: &Arc<Outlets>) -> Option<u32> {
        Arc::ptr_eq(&self.outlets, outlets).then_some(self.number)
    }

    /// Whether the connection takes nothing more for now.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Waits until all that was said before is on its way, and wakes this then.
    pub(super) fn wait(self: &Arc<Self>, waker: &Waker) -> Wait {
        let mut looks = lock(&self.looks);
        looks.waiting.push(waker.clone());
        let wait = Wait(looks.begun);
        drop(looks);
        // There may be nothing left to say, and then nobody else would have the connection look.
        self.wake_by_ref();
        wait
    }

    /// Whether the wait is over.
    pub(super) fn is_over(&self, Wait(begun): Wait) -> bool {
        let looks = lock(&self.looks);
        // They are counted round and round, and nobody waits for half of a round.
        looks.closed || looks.last.get().wrapping_sub(begun.get()).cast_signed() > 0
    }

    /// Begins a look. Those who wait for it are to be given to [`Outlet::settle`] behind it.
    pub(super) fn look(&self) -> Vec<Waker> {
        let mut looks = lock(&self.looks);
        looks.begun = looks.begun.checked_add(1).unwrap_or(NonZeroU32::MIN);
        mem::take(&mut looks.waiting)
    }

    /// All that was said before the last look is on its way, unless the connection is full.
    pub(super) fn settle(&self, full: bool, waiting: Vec<Waker>) {
        self.full.store(full, Ordering::Release);
        let mut looks = lock(&self.looks);
        if full {
            return looks.waiting.extend(waiting);
        }
        looks.last = looks.begun;
        drop(looks);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The connection is no more: nobody waits for it.
    pub(super) fn close(&self) {
        lock(&self.looks).closed = true;
        self.settle(false, self.look());
        self.over.notify_waiters();
    }

    /// Waits until the connection is no more.
    pub(super) async fn closed(&self) {
        let over = self.over.notified();
        if !lock(&self.looks).closed {
            over.await;
        }
    }

    /// Has this task woken from now on.
    pub(super) fn follow(&self, task: &Waker) {
        let mut followed = lock(&self.task);
        if !followed.will_wake(task) {
            followed.clone_from(task);
        }
    }
}

impl Wake for Outlet {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(noted) = &mut *lock(&self.outlets.noted) {
            return noted.push(self.number);
        }
        lock(&self.task).wake_by_ref();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::<Count>::default();
        (count.clone(), Waker::from(count))
    }

    fn woken(count: &Count) -> usize {
        count.0.load(Ordering::Relaxed)
    }

    #[test]
    fn within_a_turn_a_connection_is_noted_and_else_its_task_is_woken() {
        let outlets = Arc::<Outlets>::default();
        let (count, task) = counted();
        let nudge = Waker::from(Outlet::new(outlets.clone(), 7, &task));
        nudge.wake_by_ref();
        assert_eq!(woken(&count), 1);
        outlets.begin();
        nudge.wake_by_ref();
        assert!(!outlets.end(), "it was noted and nobody has looked");
        let mut noted = Vec::new();
        outlets.take(&mut noted);
        assert_eq!((noted, outlets.end(), woken(&count)), (vec![7], true, 1));
        nudge.wake_by_ref();
        assert_eq!(woken(&count), 2);
    }

    #[test]
    fn who_waits_is_told_by_a_look_that_began_later_and_left_nothing() {
        let (_, task) = counted();
        let outlet = Outlet::new(Arc::default(), 0, &task);
        let (count, waker) = counted();
        let before = outlet.look();
        let wait = outlet.wait(&waker);
        outlet.settle(false, before);
        assert_eq!((outlet.is_over(wait), woken(&count)), (false, 0));
        for (full, over) in [(true, false), (true, false), (false, true), (true, true)] {
            let waiting = outlet.look();
            outlet.settle(full, waiting);
            assert_eq!((outlet.is_full(), outlet.is_over(wait), woken(&count)), (full, over, usize::from(over)));
        }
        let wait = outlet.wait(&waker);
        outlet.close();
        assert!(outlet.is_over(wait) && outlet.is_over(outlet.wait(&waker)) && !outlet.is_full());
        assert_eq!(woken(&count), 2);
    }
}
