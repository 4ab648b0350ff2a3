//! Runs in pairs: A B A B …, so that whatever else the machine does falls on both, and ratios within a round.

use crate::figures::median;
use crate::scenario::Outcome;

/// All rounds of one scenario: in each, every target once, in the order given.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    rounds: Vec<Vec<Outcome>>,
}

/// A median with what it came from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Option<Spread> {
        let min = values.iter().copied().reduce(f64::min)?;
        let max = values.iter().copied().reduce(f64::max)?;
        Some(Spread { median: median(values), min, max })
    }
}

impl Rounds {
    /// Adds a round.
    pub fn add(&mut self, round: Vec<Outcome>) {
        self.rounds.push(round);
    }

    pub fn len(&self) -> usize {
        self.rounds.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// Targets in their order.
    pub fn targets(&self) -> Vec<&str> {
        self.rounds.first().map(|round| round.iter().map(|one| one.target.as_str()).collect()).unwrap_or_default()
    }

    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.rounds.iter().flatten()
    }

    /// A figure of a target over all rounds.
    pub fn figure(&self, target: &str, figure: &str) -> Option<Spread> {
        let values: Vec<f64> = self.rounds.iter().filter_map(|round| value(round, target, figure)).collect();
        Spread::of(&values)
    }

    /// A figure of a target over that of another, each pair from one round.
    pub fn ratio(&self, target: &str, to: &str, figure: &str) -> Option<Spread> {
        let ratio = |round: &Vec<Outcome>| {
            let (over, under) = (value(round, target, figure)?, value(round, to, figure)?);
            (under != 0.0).then(|| over / under)
        };
        let ratios: Vec<f64> = self.rounds.iter().filter_map(ratio).collect();
        Spread::of(&ratios)
    }

    /// Whether every run of it was without faults.
    pub fn is_clean(&self) -> bool {
        self.outcomes().all(|outcome| outcome.faults.is_empty())
    }
}

fn value(round: &[Outcome], target: &str, figure: &str) -> Option<f64> {
    round.iter().find(|outcome| outcome.target == target)?.figure(figure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tally::Faults;
    use std::collections::BTreeMap;

    fn outcome(target: &str, cpu: f64) -> Outcome {
        Outcome {
            scenario: "fanout".into(),
            target: target.into(),
            transport: "sse".into(),
            subscribers: 1,
            channels: 1,
            size: 128,
            figures: BTreeMap::from([("cpu".to_owned(), cpu)]),
            faults: Faults::default(),
            first_fault: None,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut rounds = Rounds::default();
        for (ours, floor) in [(2.0, 1.0), (6.0, 5.0), (30.0, 10.0)] {
            rounds.add(vec![outcome("ours", ours), outcome("floor", floor)]);
        }
        // The ratio of medians would be 6 / 5; the median of ratios is that of the first round.
        assert_eq!(rounds.ratio("ours", "floor", "cpu"), Some(Spread { median: 2.0, min: 1.2, max: 3.0 }));
        assert_eq!(rounds.figure("floor", "cpu"), Some(Spread { median: 5.0, min: 1.0, max: 10.0 }));
        assert_eq!(rounds.ratio("ours", "nobody", "cpu"), None);
        assert_eq!(rounds.targets(), ["ours", "floor"]);
        assert!(rounds.is_clean());
        let mut lossy = outcome("ours", 1.0);
        lossy.faults.lost = 1;
        rounds.add(vec![lossy]);
        assert!(!rounds.is_clean());
    }
}
