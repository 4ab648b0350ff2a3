//! How long to wait before the next attempt: full jitter, so that a crowd that lost its server does not return as one.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(20);

/// Counts the attempts since something last succeeded.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Something succeeded: the next wait is short again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait before the next attempt: anything from nothing to a ceiling that doubles from 0.5 s to 20 s.
    pub fn next(&mut self) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_under_a_ceiling_that_doubles_and_ends() {
        for _ in 0..100 {
            let mut backoff = Backoff::default();
            for ceiling in [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000] {
                assert!(backoff.next() <= Duration::from_millis(ceiling));
            }
            for _ in 0..100 {
                backoff.next();
            }
            backoff.reset();
            assert!(backoff.next() <= FIRST);
        }
    }
}
