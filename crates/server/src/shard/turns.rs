//! Turns for what takes long, so that it holds up nobody.
//!
//! Reading by pattern may have to look at all that the log holds. It does so step by step, and between two steps the shard
//! has its turn and so has everyone else; and of all who are in the midst of it, one goes on in each round. So however many
//! want it, it takes a shard one step a round.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use switchboard_store::Pause;
use tokio::sync::Semaphore;

/// The turns of one shard.
#[derive(Debug)]
pub(crate) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Turns {
        Turns(Semaphore::new(1))
    }
}

impl Pause for Turns {
    /// Waits for a round in which nobody else goes on. Whoever came first goes on first.
    async fn pause(&self) {
        // Never closed.
        let _turn = self.0.acquire().await;
        tokio::task::yield_now().await;
    }
}

/// What something comes to that takes no turn; `None` if it takes one.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    #[test]
    fn of_many_one_goes_on_in_each_round_and_each_in_its_turn() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async {
            const WALKERS: usize = 20;
            let (turns, round) = (Rc::new(Turns::default()), Rc::new(Cell::new(0)));
            let steps: Rc<RefCell<Vec<(usize, usize)>>> = Rc::default();
            let walks: Vec<_> = (0..WALKERS)
                .map(|who| {
                    let (turns, round, steps) = (turns.clone(), round.clone(), steps.clone());
                    tokio::task::spawn_local(async move {
                        for _ in 0..5 {
                            turns.pause().await;
                            steps.borrow_mut().push((round.get(), who));
                        }
                    })
                })
                .collect();
            while walks.iter().any(|walk| !walk.is_finished()) {
                round.set(round.get() + 1);
                tokio::task::yield_now().await;
            }
            let steps = steps.borrow();
            assert_eq!(steps.len(), WALKERS * 5);
            for pair in steps.windows(2) {
                assert!(pair[0].0 < pair[1].0, "two in one round: {pair:?}");
            }
            for turn in steps.chunks(WALKERS) {
                let mut who: Vec<usize> = turn.iter().map(|(_, who)| *who).collect();
                who.sort_unstable();
                assert_eq!(who, (0..WALKERS).collect::<Vec<_>>(), "each has had its turn");
            }
        });
    }
}
