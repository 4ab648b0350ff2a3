//! What the server tells the application: in order, several at once where several wait, and again until it is taken.

use super::Inner;
use super::post::{Failure, Letter};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Most that go in one request.
const BATCH: usize = 100;
/// How often notices are sent that are answered with something else than success.
const TRIES: u32 = 3;
/// The longest pause after the first failure, and after any; it doubles in between.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MOST: Duration = Duration::from_secs(20);

/// Sends notices for as long as they come. While the application is not there they wait; such as it will not take are given
/// up. When the server stops, a failure is the last.
pub(super) async fn tell(inner: &Inner, stopping: &mut watch::Receiver<Option<Duration>>) {
    let (mut failures, mut refusals) = (0, 0);
    loop {
        // One that is refused is not to take others with it.
        let batch = inner.notices.front(if refusals == 0 { BATCH } else { 1 }).await;
        let Some((last, _)) = batch.last() else { continue };
        let letter = Letter::new("", None, body(&batch), true).unasked();
        let deadline = Instant::now() + inner.settings.limits.timeout;
        let outcome = match inner.make(&letter, deadline).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(Failure::Status(answer.status)),
            Err(failure) => Err(failure),
        };
        let Err(failure) = outcome else {
            inner.notices.done(*last);
            (failures, refusals) = (0, 0);
            continue;
        };
        failures += 1;
        refusals += u32::from(matches!(failure, Failure::Status(_) | Failure::Foul(_)));
        if !matches!(failure, Failure::Resting) {
            inner.complain(&failure, "");
        }
        let over = stopping.borrow().is_some();
        if refusals >= TRIES || over {
            inner.notices.give_up(if over { u64::MAX } else { *last });
            (failures, refusals) = (0, 0);
            continue;
        }
        tokio::select! {
            () = sleep(pause(failures)) => {}
            // Then there is time for one more.
            _ = stopping.changed() => {}
        }
    }
}

/// How long to wait after so many failures, at least one.
fn pause(failures: u32) -> Duration {
    let longest = PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(PAUSE_MOST);
    longest.mul_f64(fastrand::f64())
}

/// One notification, or a batch of them.
fn body(batch: &[(u64, Arc<[u8]>)]) -> Vec<u8> {
    let notices: Vec<&[u8]> = batch.iter().map(|(_, notice)| &**notice).collect();
    match notices[..] {
        [one] => one.to_vec(),
        _ => [b"[", &*notices.join(&b','), b"]"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_alone_and_several_in_a_batch() {
        let notice = |text: &str| (0, Arc::from(text.as_bytes()));
        assert_eq!(body(&[notice("{}")]), b"{}");
        assert_eq!(body(&[notice("{}"), notice("{\"a\":1}")]), b"[{},{\"a\":1}]");
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        for failures in 1..100 {
            let longest = Duration::from_millis(500 << (failures - 1).min(6)).min(PAUSE_MOST);
            assert!((0..100).all(|_| pause(failures) <= longest));
        }
    }
}
