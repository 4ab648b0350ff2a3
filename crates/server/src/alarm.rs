//! A timer that is set again and again, and seldom goes off.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Tells when a deadline is reached, of one wait after the other.
///
/// The runtime's timer stays where it is as long as it goes off no later than the deadline, and is set again when it
/// does: most deadlines only ever move away, and moving the timer along at each step would cost more than most steps.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether `deadline` is reached; if not, wakes the task then. Only the deadline given last counts.
    pub(crate) fn poll_at(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() == deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }

    /// Waits for the deadline; without one, for ever.
    pub(crate) async fn reach(&mut self, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) => poll_fn(|cx| self.poll_at(deadline, cx)).await,
            None => std::future::pending().await,
        }
    }

    /// Waits for what `poll` asks for, but no longer than `limit` in all: then `None`. Does not look at the clock where
    /// there is nothing to wait for.
    pub(crate) async fn within<T>(
        &mut self,
        limit: Duration,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        let mut deadline = None;
        poll_fn(|cx| match poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + limit);
                self.poll_at(deadline, cx).map(|()| None)
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deadline_is_kept_whatever_was_set_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut alarm = Alarm::default();
            let far = Instant::now() + Duration::from_secs(1000);
            // Far away, nearer, there already, and further again than the timer that went off.
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll_at(far, cx).is_pending())).await);
            for milliseconds in [20, 10, 0, 30] {
                let deadline = Instant::now() + Duration::from_millis(milliseconds);
                poll_fn(|cx| alarm.poll_at(deadline, cx)).await;
                assert!(Instant::now() >= deadline);
            }
            assert_eq!(alarm.within(Duration::ZERO, |_| Poll::Ready(7)).await, Some(7));
            assert_eq!(alarm.within(Duration::from_millis(1), |_| Poll::<()>::Pending).await, None);
        });
    }
}
