//! A run of named steps: each is announced, timed and counted, and the first that fails ends the run.

use std::fmt;
use std::time::{Duration, Instant};

/// Why a step failed, and what the person who ran it can do.
#[derive(Debug)]
pub(crate) struct Failure {
    pub what: String,
    pub hint: String,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { what: what.into(), hint: hint.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed: {}\n    do: {}", self.what, self.hint)
    }
}

/// What a step came to, when nothing was wrong.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Passed,
    /// The step could not be run on this machine, and the reason.
    NotRun(String),
}

/// The steps run so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Outcome, Duration)>,
}

impl Steps {
    /// Runs one step.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<Outcome, Failure>,
    ) -> Result<(), Failure> {
        println!("\n==> {name}");
        let start = Instant::now();
        let outcome = step();
        let took = start.elapsed();
        match &outcome {
            Ok(Outcome::Passed) => println!("    {name}: passed in {}", seconds(took)),
            Ok(Outcome::NotRun(why)) => println!("    {name}: NOT RUN: {why}"),
            Err(_) => println!("    {name}: FAILED after {}", seconds(took)),
        }
        self.done.push((name, outcome?, took));
        Ok(())
    }

    /// Prints what was run and for how long, and what was not.
    pub(crate) fn summary(&self) {
        println!();
        for (name, outcome, took) in &self.done {
            match outcome {
                Outcome::Passed => println!("{:>9}  {name}", seconds(*took)),
                Outcome::NotRun(why) => println!("{:>9}  {name}: {why}", "not run"),
            }
        }
        println!("{:>9}  in all", seconds(self.done.iter().map(|(_, _, took)| *took).sum()));
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_says_what_and_what_to_do() {
        let mut steps = Steps::default();
        steps.run("one", || Ok(Outcome::Passed)).unwrap();
        let failure = steps.run("two", || Err(Failure::new("it broke", "mend it"))).unwrap_err();
        assert_eq!(failure.to_string(), "failed: it broke\n    do: mend it");
        assert_eq!(steps.done.len(), 1);
    }
}
