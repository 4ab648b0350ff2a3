//! `cargo xtask bench`: builds Switchboard and its load generator in release, and runs the second.

use crate::program::{cargo, run, target_directory};
use crate::steps::Failure;

/// The words after `bench` are the load generator's own.
pub(crate) fn bench(words: &[&str]) -> Result<(), Failure> {
    let packages = ["build", "--release", "-p", "switchboard-cli", "-p", "switchboard-bench"];
    run(&cargo(), &packages, "mend what does not compile")?;
    let program = target_directory().join("release/switchboard-bench");
    run(&program.display().to_string(), words, "the message above says what to do")
}
