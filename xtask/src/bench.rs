//! `cargo xtask bench`: builds Switchboard and its load generator in release, and runs the second.

use crate::program::{ask, cargo, root, run};
use crate::steps::Failure;

/// The words after `bench` are the load generator's own.
pub(crate) fn bench(words: &[&str]) -> Result<(), Failure> {
    let packages = ["build", "--release", "-p", "switchboard-cli", "-p", "switchboard-bench"];
    run(&cargo(), &packages, "mend what does not compile")?;
    let target = ask(&cargo(), &["metadata", "--format-version", "1", "--no-deps"])
        .and_then(|metadata| Some(metadata.split_once("\"target_directory\":\"")?.1.split('"').next()?.to_owned()))
        .unwrap_or_else(|| root().join("target").display().to_string());
    run(&format!("{target}/release/switchboard-bench"), words, "the message above says what to do")
}
