//! When to stop asking somebody who does not answer. Pure: time is an argument, in milliseconds by any clock that does not
//! go back.
//!
//! ```text
//!            `limit` failures in a row
//!    CLOSED ---------------------------> OPEN: nothing is asked
//!      ^                                  |  ^
//!      |            `pause` has passed    |  | it fails
//!      |                                  v  |
//!      '------- it is answered ------ HALF OPEN: one request is the probe
//! ```

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: u64,
    },
    /// A probe that has come to nothing by `until` is given up, so that none that is lost can keep this shut for ever.
    HalfOpen {
        until: u64,
    },
}

/// What an outcome changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Nothing,
    Opened,
    Closed,
}

/// A circuit breaker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breaker {
    limit: u32,
    pause: u64,
    state: State,
}

impl Breaker {
    /// Opens after `limit` failures in a row, for `pause`.
    pub(crate) fn new(limit: u32, pause: u64) -> Breaker {
        Breaker { limit, pause, state: State::Closed { failures: 0 } }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// Whether a request may be made now. Whoever is told so says what came of it.
    pub(crate) fn admits(&mut self, now: u64) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } | State::HalfOpen { until } if now < until => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { until: now.saturating_add(self.pause) };
                true
            }
        }
    }

    /// A request was answered, whatever with.
    pub(crate) fn answered(&mut self) -> Change {
        let was_open = self.is_open();
        self.state = State::Closed { failures: 0 };
        if was_open { Change::Closed } else { Change::Nothing }
    }

    /// A request was not answered.
    pub(crate) fn failed(&mut self, now: u64) -> Change {
        match self.state {
            State::Closed { failures } if failures + 1 < self.limit => {
                self.state = State::Closed { failures: failures + 1 };
                Change::Nothing
            }
            // One that was made before this opened says nothing new.
            State::Open { .. } => Change::Nothing,
            State::Closed { .. } | State::HalfOpen { .. } => {
                let opened = matches!(self.state, State::Closed { .. });
                self.state = State::Open { until: now.saturating_add(self.pause) };
                if opened { Change::Opened } else { Change::Nothing }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAUSE: u64 = 1000;

    fn opened_at(now: u64) -> Breaker {
        let mut breaker = Breaker::new(3, PAUSE);
        for _ in 0..2 {
            assert_eq!(breaker.failed(now), Change::Nothing);
        }
        assert_eq!(breaker.failed(now), Change::Opened);
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_alone() {
        let mut breaker = Breaker::new(3, PAUSE);
        for _ in 0..100 {
            breaker.failed(0);
            breaker.failed(0);
            assert!(!breaker.is_open() && breaker.admits(0));
            assert_eq!(breaker.answered(), Change::Nothing);
        }
        let mut breaker = opened_at(7);
        assert!(!breaker.admits(7) && !breaker.admits(7 + PAUSE - 1));
    }

    #[test]
    fn after_the_pause_one_is_asked_and_its_answer_counts() {
        let mut breaker = opened_at(0);
        assert!(breaker.admits(PAUSE) && !breaker.admits(PAUSE) && !breaker.admits(2 * PAUSE - 1));
        assert_eq!(breaker.failed(1500), Change::Nothing);
        assert!(!breaker.admits(2499) && breaker.admits(2500) && !breaker.admits(2500));
        assert_eq!(breaker.answered(), Change::Closed);
        assert!(!breaker.is_open() && breaker.admits(2500) && breaker.admits(2500));
    }

    #[test]
    fn what_was_asked_before_it_opened_makes_the_pause_no_longer() {
        let mut breaker = opened_at(0);
        assert_eq!(breaker.failed(900), Change::Nothing);
        assert!(breaker.admits(PAUSE));
    }

    #[test]
    fn a_probe_that_is_lost_is_followed_by_another() {
        let mut breaker = opened_at(0);
        assert!(breaker.admits(PAUSE));
        assert!(!breaker.admits(2 * PAUSE - 1) && breaker.admits(2 * PAUSE));
    }

    proptest! {
        #[test]
        fn while_nothing_is_answered_each_pause_has_one_request(steps in prop::collection::vec(0..700u64, 1..200)) {
            let (mut breaker, mut now, mut asked) = (opened_at(0), 0, 0);
            for step in steps {
                now += step;
                if breaker.admits(now) {
                    asked += 1;
                    breaker.failed(now);
                }
            }
            prop_assert!(asked <= now / PAUSE, "{asked} by {now}");
        }
    }
}
