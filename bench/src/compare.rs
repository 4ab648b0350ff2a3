//! Runs in pairs: A B A B …, so that whatever else the machine does falls on both, and ratios within a round.

use crate::figures::median;
use crate::scenario::Outcome;
use std::collections::BTreeSet;

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

    /// What ran in a round, in its order: targets, or the transports of a target where there are several.
    pub fn names(&self) -> Vec<String> {
        self.rounds.first().map(|round| round.iter().map(|one| name(round, one)).collect()).unwrap_or_default()
    }

    /// The name of what the others are compared with: the first transport, or the floor, or the first target where there is
    /// no floor.
    pub fn base(&self) -> Option<String> {
        let round = self.rounds.first()?;
        let first = round.first()?;
        let floor = || round.iter().find(|one| one.target == "floor").unwrap_or(first);
        let base = if are_many(round.iter().map(|one| &one.transport)) { first } else { floor() };
        Some(name(round, base))
    }

    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.rounds.iter().flatten()
    }

    /// A figure over all rounds, by [name](Rounds::names).
    pub fn figure(&self, of: &str, figure: &str) -> Option<Spread> {
        let values: Vec<f64> = self.rounds.iter().filter_map(|round| value(round, of, figure)).collect();
        Spread::of(&values)
    }

    /// A figure of one over that of another, each pair from one round.
    pub fn ratio(&self, of: &str, to: &str, figure: &str) -> Option<Spread> {
        let ratio = |round: &Vec<Outcome>| {
            let (over, under) = (value(round, of, figure)?, value(round, to, figure)?);
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

fn value(round: &[Outcome], of: &str, figure: &str) -> Option<f64> {
    round.iter().find(|outcome| name(round, outcome) == of)?.figure(figure)
}

/// What tells one from the others of its round.
fn name(round: &[Outcome], one: &Outcome) -> String {
    let several = (are_many(round.iter().map(|one| &one.target)), are_many(round.iter().map(|one| &one.transport)));
    match several {
        (_, false) => one.target.clone(),
        (false, true) => one.transport.clone(),
        (true, true) => format!("{} {}", one.target, one.transport),
    }
}

fn are_many<'s>(words: impl Iterator<Item = &'s String>) -> bool {
    words.collect::<BTreeSet<_>>().len() > 1
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
        assert_eq!(rounds.names(), ["ours", "floor"]);
        assert_eq!(rounds.base().as_deref(), Some("floor"));
        assert!(rounds.is_clean());
        let mut lossy = outcome("ours", 1.0);
        lossy.faults.lost = 1;
        rounds.add(vec![lossy]);
        assert!(!rounds.is_clean());
    }

    #[test]
    fn transports_in_one_round_are_compared_with_the_first() {
        let over = |transport: &str, target, cpu| Outcome { transport: transport.into(), ..outcome(target, cpu) };
        let mut rounds = Rounds::default();
        for (one, other) in [(4.0, 1.0), (6.0, 3.0), (8.0, 3.0)] {
            rounds.add(vec![over("sse", "ours", one), over("sse-h2", "ours", other)]);
        }
        assert_eq!(rounds.names(), ["sse", "sse-h2"]);
        assert_eq!(rounds.base().as_deref(), Some("sse"));
        assert_eq!(rounds.ratio("sse-h2", "sse", "cpu"), Some(Spread { median: 0.375, min: 0.25, max: 0.5 }));
        let mut rounds = Rounds::default();
        rounds.add(vec![over("sse", "ours", 1.0), over("sse", "theirs", 1.0), over("sse-h2", "ours", 1.0)]);
        assert_eq!(rounds.names(), ["ours sse", "theirs sse", "ours sse-h2"]);
    }
}
