//! `cargo xtask instructions`: counts what the CPU does for an event, so that a change that makes the fast path longer is
//! noticed without timing anything. Valgrind counts; the numbers to compare with are in the repository.

use crate::program::{ask_stderr, cargo, root, run, target_directory};
use crate::steps::{Failure, Outcome};
use std::fmt::Write as _;

const EXPECTED: &str = "bench/instructions/expected.txt";
/// How far a count may lie above what is expected, in percent: the system's own memory routines differ between CPUs.
const TOLERANCE: u64 = 5;
/// How often the work is done in the shorter and in the longer run. Their difference leaves out what is done once.
const TIMES: (u64, u64) = (50, 450);

/// Counts, and compares with what is expected; or writes down what was counted as what is expected from now on.
pub(crate) fn instructions(accept: bool) -> Result<Outcome, Failure> {
    let build = ["build", "--release", "--quiet", "-p", "switchboard-instructions"];
    run(&cargo(), &build, "mend what does not compile")?;
    let path = root().join(EXPECTED);
    let text =
        std::fs::read_to_string(&path).map_err(|error| Failure::new(format!("{EXPECTED}: {error}"), "restore it"))?;
    let mut counted = String::new();
    let mut worse = Vec::new();
    for line in text.lines() {
        let Some((work, expected)) = parse(line) else {
            let _ = writeln!(counted, "{line}");
            continue;
        };
        let count = count(work)?;
        let change = (count as f64 / expected as f64 - 1.0) * 100.0;
        println!("    {work:<18}{count:>8} instructions, {change:+.1} % of the {expected} expected");
        let _ = writeln!(counted, "{work} {count}");
        if count * 100 > expected * (100 + TOLERANCE) {
            worse.push(work);
        }
    }
    if accept {
        std::fs::write(&path, counted)
            .map_err(|error| Failure::new(format!("{EXPECTED}: {error}"), "make it writable"))?;
        return Ok(Outcome::Passed);
    }
    if worse.is_empty() {
        return Ok(Outcome::Passed);
    }
    let hint =
        "make it shorter again; or, where it is worth it, `cargo xtask instructions accept`, and say why in the commit";
    Err(Failure::new(format!("{} takes more than {TOLERANCE} % more instructions than before", worse.join(", ")), hint))
}

/// A line `WORK INSTRUCTIONS`; others are comments.
fn parse(line: &str) -> Option<(&str, u64)> {
    let (work, expected) = line.split_once(' ')?;
    Some((work, expected.trim().parse().ok().filter(|expected| *expected > 0)?))
}

/// Instructions that doing it once takes.
fn count(work: &str) -> Result<u64, Failure> {
    let (few, many) = (total(work, TIMES.0)?, total(work, TIMES.1)?);
    Ok(many.saturating_sub(few) / (TIMES.1 - TIMES.0))
}

fn total(work: &str, times: u64) -> Result<u64, Failure> {
    let program = target_directory().join("release/switchboard-instructions");
    let (program, times) = (program.display().to_string(), times.to_string());
    let arguments = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", &program, work, &times];
    let said = ask_stderr("valgrind", &arguments);
    said.as_deref().and_then(references).ok_or_else(|| {
        let what = format!("valgrind did not count {work}: {}", said.unwrap_or_default());
        Failure::new(what, "run `valgrind --tool=cachegrind` by hand to see why")
    })
}

/// The number behind `I refs:`.
fn references(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("refs:"))?;
    line.rsplit(' ').next()?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_expectations_are_read() {
        assert_eq!(references("==1== \n==1== I   refs:      1,234,567\n"), Some(1_234_567));
        assert_eq!(references("==1== no such thing"), None);
        assert_eq!(parse("encode-sse 1200"), Some(("encode-sse", 1200)));
        assert_eq!([parse("# a comment"), parse(""), parse("x 0")], [None; 3]);
    }
}
