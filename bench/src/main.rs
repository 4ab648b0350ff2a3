//! The program `switchboard-bench`: `cargo xtask bench` builds it in release, with Switchboard, and runs it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to the person who ran it")]
#![allow(unreachable_pub, reason = "nothing of a program can be reached from outside")]

#[cfg(target_os = "linux")]
mod arguments;
#[cfg(target_os = "linux")]
mod runner;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match runner::run(clap::Parser::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("\nAt least one run had faults, which the tables name: its figures say nothing.");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("failed: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("measuring servers needs Linux: time on CPUs and memory are read from /proc");
    ExitCode::FAILURE
}
