//! The `switchboard` command.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program speaks on both")]
#![allow(unreachable_pub, reason = "nothing of a program can be reached from outside")]

mod arguments;
mod command;
mod config;
mod credential;
mod failure;
mod holder;
mod http;
mod log;
mod units;

use arguments::Command;
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match arguments::read(std::env::args_os()) {
        Command::Serve(arguments) => command::serve::run(&arguments),
        Command::Publish(arguments) => command::publish::run(arguments),
        Command::Tail(arguments) => command::tail::run(arguments),
        Command::Channels(arguments) => command::channels::run(&arguments),
        Command::Bench(arguments) => command::bench::run(&arguments),
        Command::Call(arguments) => command::call::run(&arguments),
        Command::Token(arguments) => command::token::run(&arguments),
        Command::May(arguments) => command::may::run(&arguments),
        Command::Completions(arguments) => command::completions::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}
