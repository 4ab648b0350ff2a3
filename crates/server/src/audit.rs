//! What is told of refusals. Whoever sends many requests that are refused must not fill the log with them: they are told one
//! by one up to a rate, and beyond it by their number. The metric counts all.

use crate::limits::bucket::{Bucket, Rate};
use std::sync::{Mutex, PoisonError};
use switchboard_wire::Code;

/// How many are told one by one.
const RATE: Rate = Rate { per_second: 10, burst: 50 };

/// Whether a refusal is told: one for who somebody is, for the page that asks, or for a limit.
pub(crate) fn is_told(code: Code) -> bool {
    matches!(code.row().http, 401 | 403 | 421 | 429)
}

/// A token bucket, and what it turned away.
#[derive(Debug)]
pub(crate) struct Audit(Mutex<State>);

#[derive(Debug)]
struct State {
    bucket: Bucket,
    /// Refusals that were not told, one by one or by number.
    untold: u64,
}

impl Audit {
    pub(crate) fn new() -> Audit {
        Audit(Mutex::new(State { bucket: Bucket::full(RATE, 0), untold: 0 }))
    }

    /// Whether a refusal at this time (in milliseconds) is to be told; if not it is counted.
    pub(crate) fn admits(&self, now: u64) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = state.bucket.take(1, RATE, now).is_ok();
        state.untold += u64::from(!told);
        told
    }

    /// How many refusals were not told since this was last asked.
    pub(crate) fn take_untold(&self) -> u64 {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).untold)
    }

    /// Tells how many were not told, if any.
    pub(crate) fn sum_up(&self) {
        match self.take_untold() {
            0 => {}
            more => tracing::info!(target: "switchboard::audit", more, "more were denied than are told one by one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_SECOND: u64 = RATE.per_second as u64;
    const BURST: u64 = RATE.burst as u64;

    fn admitted(audit: &Audit, times: impl Iterator<Item = u64>) -> u64 {
        times.filter(|now| audit.admits(*now)).count() as u64
    }

    #[test]
    fn a_few_are_all_told() {
        let audit = Audit::new();
        // As many a second as are told, for an hour.
        let times = (0..3600 * PER_SECOND).map(|i| 1_000_000 + i * 1000 / PER_SECOND);
        assert_eq!(admitted(&audit, times), 3600 * PER_SECOND);
        assert_eq!(audit.take_untold(), 0);
    }

    #[test]
    fn of_a_flood_some_are_told_and_the_rest_is_counted() {
        let audit = Audit::new();
        let start = 1_000_000;
        assert_eq!(admitted(&audit, std::iter::repeat_n(start, 100_000)), BURST);
        assert_eq!(audit.take_untold(), 100_000 - BURST);
        assert_eq!(audit.take_untold(), 0, "each is told once");
        // A thousand a second for a minute.
        let told = admitted(&audit, (1..=60_000).map(|i| start + i));
        assert_eq!((told, audit.take_untold()), (60 * PER_SECOND, 60_000 - 60 * PER_SECOND));
        // After a while of quiet there is room for a burst again, and for no more than one.
        assert_eq!(admitted(&audit, std::iter::repeat_n(start + 10_000_000, 1000)), BURST);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let audit = Audit::new();
        admitted(&audit, std::iter::repeat_n(9_000_000, 1000));
        assert_eq!(admitted(&audit, (0..1000).map(|i| 1_000_000 + i)), PER_SECOND - 1, "and gives nothing away");
        assert_eq!(admitted(&audit, std::iter::once(1_001_000)), 1);
    }
}
