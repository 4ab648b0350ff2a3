//! The project's own commands. `cargo xtask` alone lists them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to the person who ran it")]

mod bench;
mod clients;
mod fuzz;
mod http2;
mod instructions;
mod needs;
mod program;
mod soak;
mod steps;
mod suite;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
The project's own commands:

  cargo xtask test      everything a change must pass; what CI runs
  cargo xtask lint      the quick part of it: tidy, rustfmt, clippy
  cargo xtask tidy      the project's own style rules
  cargo xtask clients   our TypeScript client, and other people's clients, against the server: curl, nghttp, Node,
                        Python, Rust, Chromium; and what it describes itself as, held to what it does
  cargo xtask examples  builds the TypeScript client and serves the pages of examples/pages on http://127.0.0.1:8001
  cargo xtask instructions [accept]
                        counts the instructions of the fast path and compares; or accepts what it counts (needs valgrind)
  cargo xtask deny      licences, bans, sources and advisories of the dependencies (needs cargo-deny)
  cargo xtask bench     builds in release, and measures: see bench/README.md
  cargo xtask soak [--minutes N] [--seed S]
                        everything at once against the server, with random cuts, for five minutes or as long as is said
  cargo xtask fuzz [TARGET] [SECONDS]
                        the fuzz targets, each for ten minutes or as long as is said (needs a nightly compiler and
                        cargo-fuzz); see fuzz/README.md
  cargo xtask fuzz keep [TARGET]
                        makes the corpora in the repository of what was found
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["test"] => suite::test(),
        ["lint"] => suite::lint(),
        ["tidy"] => suite::tidy(),
        ["clients"] => suite::clients(),
        ["examples"] => clients::examples(),
        ["deny"] => suite::deny(),
        ["soak", ref rest @ ..] => soak::soak(rest),
        ["fuzz", "keep", ref rest @ ..] if rest.len() <= 1 => fuzz::keep(rest),
        ["fuzz", ref rest @ ..] if rest.len() <= 2 => fuzz::fuzz(rest),
        ["instructions"] => suite::count_instructions(false),
        ["instructions", "accept"] => suite::count_instructions(true),
        ["bench", ref rest @ ..] => bench::bench(rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("cargo xtask {}: there is no such command.\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}
