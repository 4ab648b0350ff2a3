//! The program `switchboard-bench`: `cargo xtask bench` builds it in release, with Switchboard, and runs it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to the person who ran it")]

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use switchboard_bench::compare::Rounds;
use switchboard_bench::floor::{self, Policy};
use switchboard_bench::report;
use switchboard_bench::scenario::fanout::{self, Pace};
use switchboard_bench::scenario::{Outcome, Setting, idle, saturate};
use switchboard_bench::target::{self, Programs, Target, Transport, peer, process};

/// Measures Switchboard against the floor and its peers
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Events at an even rate to all subscribers of one channel, or spread over `--channels`
    Fanout(Options),
    /// One publisher keeps 16 events on their way
    Saturate(Options),
    /// Nothing but heartbeats: memory of a connection
    Idle(Options),
    /// The floor, as a server: runs until it is killed
    Floor {
        /// When and how much is sent
        #[arg(long, default_value = "each")]
        policy: Policy,
        /// Address to listen on
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
}

#[derive(Args)]
struct Options {
    /// What is measured, in the order of each round: switchboard, floor, floor-four, floor-sweep
    #[arg(long, value_delimiter = ',', default_value = "switchboard,floor")]
    targets: Vec<String>,
    /// Takes peers in, after the targets: those named, or all of them
    #[arg(long, value_delimiter = ',', num_args = 0..)]
    peers: Option<Vec<String>>,
    /// Transports, one after the other
    #[arg(long, value_delimiter = ',', default_value = "sse,websocket")]
    transport: Vec<Transport>,
    /// Subscribers in all
    #[arg(long, short = 'c')]
    subscribers: Option<usize>,
    /// Channels they are spread over
    #[arg(long, default_value_t = 1)]
    channels: usize,
    /// Bytes of one event's data
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Events a second over all channels [default: some 60,000 deliveries a second]
    #[arg(long)]
    rate: Option<f64>,
    /// How long a run measures, in seconds
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Rounds: in each, every target runs once
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The server's heartbeat, in seconds
    #[arg(long, default_value_t = 15.0)]
    heartbeat: f64,
    /// Appends each run to this file as a line of JSON
    #[arg(long)]
    out: Option<PathBuf>,
    /// The program `switchboard` [default: the one beside this program]
    #[arg(long)]
    switchboard: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
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

/// Whether all runs were without faults.
fn run(command: Command) -> Result<bool, String> {
    match command {
        Command::Floor { policy, listen } => {
            raise_file_limit();
            floor::serve(policy, listen, |address| println!("listening on http://{address}"))
                .map_err(|error| format!("serving: {error}"))?;
            Ok(true)
        }
        Command::Fanout(options) => options.measure(10_000, |options, target, setting| {
            let pace = Pace::gentle(setting.subscribers.div_ceil(setting.channels), options.seconds);
            fanout::run(target, setting, Pace { rate: options.rate.unwrap_or(pace.rate), ..pace })
        }),
        Command::Saturate(options) => {
            options.measure(1_000, |options, target, setting| saturate::run(target, setting, options.seconds))
        }
        Command::Idle(options) => options.measure(19_000, |options, target, setting| {
            idle::run(target, setting, Duration::from_secs_f64(options.heartbeat * 1.3 + 1.0))
        }),
    }
}

impl Options {
    fn measure(
        &self,
        subscribers: usize,
        scenario: impl Fn(&Options, &dyn Target, &Setting) -> Result<Outcome, String>,
    ) -> Result<bool, String> {
        raise_file_limit();
        let own = std::env::current_exe().map_err(|error| format!("finding this program: {error}"))?;
        let programs = Programs {
            switchboard: self.switchboard.clone().unwrap_or_else(|| own.with_file_name("switchboard")),
            own,
        };
        let targets = self.targets(&programs)?;
        let cpus = process::cpus();
        let server_cpu = if let [server, client, ..] = cpus[..] {
            process::hold_to(client)?;
            Some(server)
        } else {
            println!("There is one CPU: server and load share it, and figures in time say little.");
            None
        };
        let mut clean = true;
        for transport in &self.transport {
            let setting = Setting {
                transport: *transport,
                subscribers: self.subscribers.unwrap_or(subscribers),
                channels: self.channels,
                size: self.size,
                heartbeat: Duration::from_secs_f64(self.heartbeat),
                cpu: server_cpu,
            };
            let mut rounds = Rounds::default();
            let speak = targets.iter().map(Box::as_ref).filter(|target| target.subscription(*transport, "x").is_some());
            let speak: Vec<&dyn Target> = speak.collect();
            for _ in 0..self.runs {
                let mut round = Vec::new();
                for target in speak.iter().copied() {
                    match scenario(self, target, &setting) {
                        Ok(outcome) => round.push(outcome),
                        Err(why) if target.is_optional() => println!("{} was not run: {why}", target.name()),
                        Err(why) => return Err(why),
                    }
                }
                rounds.add(round);
            }
            print!("{}", report::table(&rounds));
            clean &= rounds.is_clean();
            if let Some(path) = &self.out {
                report::record(&rounds, path).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        Ok(clean)
    }

    /// The targets asked for; peers that cannot be had here are told and left out.
    fn targets(&self, programs: &Programs) -> Result<Vec<Box<dyn Target>>, String> {
        let targets: Result<Vec<_>, _> = self.targets.iter().map(|name| target::by_name(name, programs)).collect();
        let mut targets = targets?;
        let Some(wanted) = &self.peers else { return Ok(targets) };
        // Beside the folder of the profile, in the build's target directory.
        let folder = programs.own.ancestors().nth(2).unwrap_or(&programs.own).join("peers");
        let peers = peer::get_all(&peer::sources(), &folder, wanted)?;
        peers.absent.iter().for_each(|(name, why)| println!("{name} is not run: {why}"));
        for peer in peers.had {
            println!("{}", peer.about());
            targets.push(Box::new(peer));
        }
        Ok(targets)
    }
}

/// Raises the limit of open files as far as this process may.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
