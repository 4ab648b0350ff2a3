//! Long looks at the log, one step after the other.
//!
//! A reader by pattern may have to be looked for along all that the log holds, and find nothing. Each step of that is under
//! one lock; between two of them whoever looks may let others have their turn.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// What is waited for between two steps, under no lock.
pub trait Pause {
    fn pause(&self) -> impl Future<Output = ()>;
}

/// No pause at all.
pub(crate) struct AtOnce;

impl Pause for AtOnce {
    async fn pause(&self) {}
}

/// What a future comes to that waits for nothing.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
            return outcome;
        }
    }
}
