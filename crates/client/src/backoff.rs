//! How long to wait before the next attempt: full jitter, so that a crowd that lost its server does not return as one.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(20);

/// Counts the failures since something last succeeded.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Something succeeded: the next wait is short again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait before the next attempt: anything from nothing to a ceiling that doubles from 0.5 s to 20 s.
    pub fn next_wait(&mut self) -> Duration {
        self.wait(fastrand::f64())
    }

    /// The same, with the random number given: from 0 up to 1.
    pub fn wait(&mut self, chance: f64) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_those_of_the_vectors() {
        let text = std::fs::read_to_string(switchboard_vectors::folder().join("client/backoff.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert!(cases.len() >= 10);
        for case in cases {
            let mut backoff = Backoff { failures: case["failures"].as_u64().unwrap() as u32 };
            let wait = backoff.wait(case["chance"].as_f64().unwrap());
            assert_eq!(wait.as_millis(), u128::from(case["wait"].as_u64().unwrap()), "{case}");
        }
    }

    #[test]
    fn waits_stay_under_a_ceiling_that_doubles_and_ends() {
        for _ in 0..100 {
            let mut backoff = Backoff::default();
            for ceiling in [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000] {
                assert!(backoff.next_wait() <= Duration::from_millis(ceiling));
            }
            backoff.reset();
            assert!(backoff.next_wait() <= FIRST);
        }
    }
}
