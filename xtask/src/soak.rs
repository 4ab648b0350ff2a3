//! The soak: everything at once, for minutes. It is a test of its own, which takes too long for the others.

use crate::program::{cargo, run_in};
use crate::steps::Failure;
use std::path::Path;

const HINT: &str = "the seed is printed above: `cargo xtask soak --seed S` draws the same chances again";
const USAGE: &str = "cargo xtask soak [--minutes N] [--seed S]";

/// Runs it for as long as the words say, from the seed that they name.
pub(crate) fn soak(words: &[&str]) -> Result<(), Failure> {
    let mut variables: Vec<(&str, &Path)> = Vec::new();
    for pair in words.chunks(2) {
        let (name, value) = match *pair {
            ["--minutes", value] if value.parse::<f64>().is_ok_and(|minutes| minutes > 0.0) => {
                ("SWITCHBOARD_SOAK_MINUTES", value)
            }
            ["--seed", value] if value.parse::<u64>().is_ok() => ("SWITCHBOARD_SEED", value),
            _ => return Err(Failure::new(format!("`{}` is not understood", pair.join(" ")), USAGE)),
        };
        variables.push((name, Path::new(value)));
    }
    let arguments = ["test", "--package", "switchboard-cli", "--test", "soak", "--", "--ignored", "--nocapture"];
    run_in(".", &variables, &cargo(), &arguments, HINT)
}
