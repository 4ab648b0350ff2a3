//! The commands, as lists of steps.

use crate::instructions::instructions;
use crate::program::{ask, cargo, root, run};
use crate::steps::{Failure, Outcome, Steps};
use crate::{clients, http2, needs, tidy};
use std::path::Path;

/// Everything a change must pass. `cargo test` comes last, so that its closing lines are the last thing read.
pub(crate) fn test() -> Result<(), Failure> {
    let mut steps = Steps::default();
    steps.run("needs", needs::install)?;
    quick(&mut steps)?;
    steps.run("wasm", wasm)?;
    steps.run("instructions", || instructions(false))?;
    clients::run_all(&mut steps)?;
    steps.run("tests over HTTP/2", http2::suites)?;
    steps.run("tests", tests)?;
    steps.summary();
    Ok(())
}

/// Other people's clients alone.
pub(crate) fn clients() -> Result<(), Failure> {
    let mut steps = Steps::default();
    steps.run("needs", needs::install)?;
    clients::run_all(&mut steps)?;
    steps.summary();
    Ok(())
}

/// The instructions of the fast path, counted; with `accept` they are what is expected from now on.
pub(crate) fn count_instructions(accept: bool) -> Result<(), Failure> {
    let mut steps = Steps::default();
    steps.run("needs", needs::install)?;
    steps.run("instructions", || instructions(accept))
}

/// The part that takes seconds.
pub(crate) fn lint() -> Result<(), Failure> {
    let mut steps = Steps::default();
    quick(&mut steps)?;
    steps.summary();
    Ok(())
}

fn quick(steps: &mut Steps) -> Result<(), Failure> {
    steps.run("tidy", own_rules)?;
    steps.run("rustfmt", rustfmt)?;
    steps.run("clippy", clippy)
}

/// The project's own rules alone.
pub(crate) fn tidy() -> Result<(), Failure> {
    Steps::default().run("tidy", own_rules)
}

/// Licences, bans, sources and advisories. Not part of `test`: advisories come over the network and change by
/// themselves, and a change must not fail for what it did not do.
pub(crate) fn deny() -> Result<(), Failure> {
    if ask(&cargo(), &["deny", "--version"]).is_none() {
        return Err(Failure::new(
            "cargo-deny is not installed",
            "cargo install --locked cargo-deny, then run this again",
        ));
    }
    run(&cargo(), &["deny", "check"], "change the dependency, or state the exception and its reason in deny.toml")
}

fn own_rules() -> Result<Outcome, Failure> {
    let report = tidy::check(&root())?;
    for finding in &report.findings {
        println!("{finding}");
    }
    if report.findings.is_empty() {
        println!("    {} files read", report.files);
        return Ok(Outcome::Passed);
    }
    Err(Failure::new(format!("{} breaches of the project's rules", report.findings.len()), "each line above says what"))
}

fn rustfmt() -> Result<Outcome, Failure> {
    has_component("rustfmt", "fmt")?;
    run(&cargo(), &["fmt", "--all", "--check"], "cargo fmt --all")?;
    let apart = ["fmt", "--manifest-path", clients::RUST, "--check"];
    run(&cargo(), &apart, &format!("cargo fmt --manifest-path {}", clients::RUST))?;
    Ok(Outcome::Passed)
}

fn clippy() -> Result<Outcome, Failure> {
    has_component("clippy", "clippy")?;
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run(&cargo(), &arguments, "mend what clippy names above, or expect it with a reason beside it")?;
    Ok(Outcome::Passed)
}

fn tests() -> Result<Outcome, Failure> {
    let hint = "the failing test is named above; a printed seed reproduces it";
    run(&cargo(), &["test", "--workspace"], hint)?;
    Ok(Outcome::Passed)
}

/// The pure crates build where there is no clock, no thread and no socket.
fn wasm() -> Result<Outcome, Failure> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let library = ask("rustc", &["--print", "target-libdir", "--target", TARGET]);
    if !library.is_some_and(|path| Path::new(&path).is_dir()) {
        return Ok(Outcome::NotRun(format!(
            "the target is not installed (`rustup target add {TARGET}`); tidy's purity rules were checked"
        )));
    }
    let arguments = ["check", "--target", TARGET, "-p", "switchboard-wire", "-p", "switchboard-hub"];
    run(&cargo(), &arguments, "keep clocks, threads, sockets and files out of wire and hub")?;
    Ok(Outcome::Passed)
}

fn has_component(component: &str, subcommand: &str) -> Result<(), Failure> {
    match ask(&cargo(), &[subcommand, "--version"]) {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            format!("{component} is not installed for the toolchain that rust-toolchain.toml names"),
            format!("rustup component add {component}, then run this again"),
        )),
    }
}
