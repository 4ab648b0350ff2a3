//! Runs the commands: rounds of scenarios, and their tables.

use crate::arguments::{Arguments, Command, FULL, Options, QUICK};
use clap::Parser as _;
use std::path::Path;
use std::time::Duration;
use switchboard_bench::awake::Awake;
use switchboard_bench::compare::Rounds;
use switchboard_bench::scenario::fanout::Pace;
use switchboard_bench::scenario::{
    Outcome, Setting, churn, fanout, hostile, idle, million, publish, resume, saturate, slow,
};
use switchboard_bench::targets::{self, Programs, Target, Transport, peer, process};
use switchboard_bench::{floor, plot, raise_file_limit, report};

/// Subscribers of the curve over subscribers, and channels of the curve over channels.
const SUBSCRIBERS: [usize; 6] = [100, 300, 1_000, 3_000, 10_000, 19_000];
const CHANNELS: [usize; 5] = [1, 10, 100, 1_000, 10_000];

/// Whether all runs were without faults.
pub fn run(arguments: Arguments) -> Result<bool, String> {
    let Some(command) = arguments.command else {
        let lines = if arguments.quick { QUICK } else { FULL };
        return all(lines, arguments.peers, arguments.out.as_deref());
    };
    raise_file_limit();
    match command {
        Command::Floor { policy, listen } => {
            floor::serve(policy, listen, |address| println!("listening on http://{address}"))
                .map_err(|error| format!("serving: {error}"))?;
            Ok(true)
        }
        Command::Plot { records, folder } => {
            for drawn in plot::curves(&report::read(&records)?, &folder)? {
                let ratios: Vec<String> = drawn.ratios.iter().map(|(at, ratio)| format!("{at}: {ratio:.2}")).collect();
                println!("{}", drawn.path.display());
                println!("  × floor  {}  (±{:.0} %)", ratios.join("  "), drawn.unevenness() * 100.0);
            }
            Ok(true)
        }
        Command::Fanout(options) => measure(&options.or(10_000, 1, 128), evenly),
        Command::Many(options) => measure(&options.or(10_000, 1_000, 128), evenly),
        Command::Saturate(options) => measure(&options.or(1_000, 1, 128), |options, target, setting| {
            saturate::run(target, setting, options.seconds)
        }),
        Command::Half(options) => half(&options.or(1_000, 1, 128)),
        Command::Idle(options) => measure(&options.or(19_000, 1, 128), |options, target, setting| {
            idle::run(target, setting, Duration::from_secs_f64(options.heartbeat * 1.3 + 1.0))
        }),
        Command::Million { options, idle } => {
            // The one transport on which so many fit under the limits of descriptors, and once, since it takes its time.
            let options = options.on(&[Transport::SseH2], 1).or(1_000_000, 1, 128);
            measure(&options, |_, target, setting| million::run(target, setting, Duration::from_secs_f64(idle)))
        }
        Command::Publish(options) => {
            measure(&options.or(10, 1, 128), |options, target, setting| publish::run(target, setting, options.seconds))
        }
        Command::Churn(options) => {
            measure(&options.or(2_000, 1, 128), |options, target, setting| churn::run(target, setting, options.seconds))
        }
        Command::Resume { options, missed } => measure(&options.or(10_000, 1, 128), |_, target, setting| {
            resume::run(target, setting, missed, &resume::Crowd::default())
        }),
        Command::Slow { options, share, events } => {
            measure(&options.or(10_000, 1, 2048), |options, target, setting| {
                // A WebSocket that neither takes nor says anything for three heartbeats is closed: it would be.
                let setting = Setting { heartbeat: setting.heartbeat.max(Duration::from_secs(120)), ..setting.clone() };
                slow::run(target, &setting, options.rate.unwrap_or_else(|| gentle(&setting)), events, share)
            })
        }
        Command::Hostile { options, each, events } => {
            let options = Options { targets: vec!["switchboard".into()], ..options.or(1_000, 1, 128) };
            measure(&options, |options, target, setting| {
                let rate = options.rate.unwrap_or_else(|| gentle(setting));
                hostile::run(target, setting, rate, events, each)
            })
        }
        Command::Curve(options) => curve(&options),
    }
}

/// Command lines, one after the other, each printed so that it can be repeated.
fn all(lines: &[&str], peers: bool, out: Option<&Path>) -> Result<bool, String> {
    let mut clean = true;
    for line in lines {
        let line = format!("{line}{}", if peers { " --peers" } else { "" });
        println!("\n$ cargo xtask bench {line}");
        let mut words = vec!["switchboard-bench".into()];
        words.extend(line.split(' ').map(std::ffi::OsString::from));
        if let Some(out) = out {
            words.extend(["--out".into(), out.into()]);
        }
        clean &= run(Arguments::try_parse_from(words).map_err(|error| error.to_string())?)?;
    }
    Ok(clean)
}

fn evenly(options: &Options, target: &dyn Target, setting: &Setting) -> Result<Outcome, String> {
    let rate = options.rate.unwrap_or_else(|| gentle(setting));
    fanout::run(target, setting, Pace { rate, seconds: options.seconds })
}

fn gentle(setting: &Setting) -> f64 {
    Pace::gentle(setting.subscribers.div_ceil(setting.channels), 1.0).rate
}

/// At half of what saturates the floor, or the first target where the floor is none.
fn half(options: &Options) -> Result<bool, String> {
    let mut clean = true;
    for transport in &options.transport {
        let one = Options { transport: vec![*transport], ..options.clone() };
        let base = one.targets.iter().find(|name| *name == "floor").or(one.targets.first()).cloned();
        let base =
            Options { targets: base.into_iter().collect(), runs: Some(1), peers: None, out: None, ..one.clone() };
        let mut rate = 0.0;
        clean &= measure_into(
            &base,
            |options, target, setting| saturate::run(target, setting, options.seconds),
            |rounds| {
                let deliveries = rounds.outcomes().find_map(|outcome| outcome.figure("deliveries_per_s"));
                rate = deliveries.unwrap_or(0.0) / one.subscribers.unwrap_or(1) as f64 / 2.0;
            },
        )?;
        println!("\nhalf of what saturates {}: {rate:.1} events/s", base.targets.join(""));
        clean &= measure(&Options { rate: Some(rate.max(0.1)), ..one }, |options, target, setting| {
            Ok(Outcome { scenario: "half".into(), ..evenly(options, target, setting)? })
        })?;
    }
    Ok(clean)
}

fn curve(options: &Options) -> Result<bool, String> {
    let mut clean = true;
    for subscribers in SUBSCRIBERS {
        clean &= measure(&options.or(subscribers, 1, 128), evenly)?;
    }
    for channels in CHANNELS {
        clean &= measure(&options.or(plot::SPREAD, channels, 128), evenly)?;
    }
    Ok(clean)
}

fn measure(
    options: &Options,
    scenario: impl Fn(&Options, &dyn Target, &Setting) -> Result<Outcome, String>,
) -> Result<bool, String> {
    measure_into(options, scenario, |rounds| print!("{}", report::table(rounds)))
}

/// Every transport in rounds; `tell` is given each transport's.
fn measure_into(
    options: &Options,
    scenario: impl Fn(&Options, &dyn Target, &Setting) -> Result<Outcome, String>,
    mut tell: impl FnMut(&Rounds),
) -> Result<bool, String> {
    let own = std::env::current_exe().map_err(|error| format!("finding this program: {error}"))?;
    let beside = own.with_file_name("switchboard");
    let programs = Programs { switchboard: options.switchboard.clone().unwrap_or(beside), own };
    let (targets, server) = (all_targets(options, &programs)?, server_cpu()?);
    if let Some(nice) = options.nice {
        // What this program starts inherits it.
        rustix::process::setpriority_process(None, nice)
            .map_err(|error| format!("a priority of {nice} is not allowed: {error}"))?;
    }
    let measuring: Vec<usize> = server.into_iter().chain(process::cpus()).collect();
    let _awake = if options.awake { Some(Awake::on(&measuring)?) } else { None };
    let mut clean = true;
    let together = if options.paired { options.transport.len() } else { 1 };
    for transports in options.transport.chunks(together.max(1)) {
        let runs = speaking(&targets, transports)?;
        let mut rounds = Rounds::default();
        for _ in 0..options.runs.unwrap_or(1) {
            let mut round = Vec::new();
            for (target, transport) in &runs {
                match scenario(options, *target, &options.setting(*transport, server)) {
                    Ok(outcome) => round.push(outcome),
                    Err(why) if target.is_optional() => println!("{} was not run: {why}", target.name()),
                    Err(why) => return Err(why),
                }
            }
            rounds.add(round);
        }
        tell(&rounds);
        clean &= rounds.is_clean();
        if let Some(path) = &options.out {
            report::record(&rounds, path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(clean)
}

/// The targets asked for, then the peers. Those that cannot be had here are told and left out.
fn all_targets(options: &Options, programs: &Programs) -> Result<Vec<Box<dyn Target>>, String> {
    let targets: Result<Vec<_>, _> = options.targets.iter().map(|name| targets::by_name(name, programs)).collect();
    let mut targets = targets?;
    let Some(wanted) = &options.peers else { return Ok(targets) };
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

/// The runs of a round: each transport on each target that has it. Others are told, unless they are optional, and left out.
fn speaking<'t>(
    targets: &'t [Box<dyn Target>],
    transports: &[Transport],
) -> Result<Vec<(&'t dyn Target, Transport)>, String> {
    let mut runs = Vec::new();
    for transport in transports {
        for target in targets {
            if target.subscription(*transport, "any").is_some() {
                runs.push((target.as_ref(), *transport));
            } else if !target.is_optional() {
                println!("{} does not speak {transport}, and is left out", target.name());
            }
        }
    }
    if runs.is_empty() { Err("no target speaks any of the transports".into()) } else { Ok(runs) }
}

/// The CPU for servers: the first. This program goes to the second, once.
fn server_cpu() -> Result<Option<usize>, String> {
    static SERVER: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    let cpus = process::cpus();
    let server = *SERVER.get_or_init(|| (cpus.len() > 1).then(|| cpus[0]));
    match server {
        Some(_) if cpus.len() > 1 => process::hold_to(&cpus[1..2])?,
        Some(_) => {}
        None => println!("There is one CPU: server and load share it, and figures in time say little."),
    }
    Ok(server)
}
