//! Clients come back all at once, each with the same events missed, while others are live: what recovering an event costs,
//! and what the others feel of it.

use super::{Outcome, Setting, Stage, polling};
use crate::targets::Target;

/// Those who are not coming back.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Readers who are live throughout.
    pub live: usize,
    /// How long they are watched alone, in seconds.
    pub alone: f64,
}

impl Default for Crowd {
    fn default() -> Crowd {
        Crowd { live: 1_000, alone: 5.0 }
    }
}

/// Events a second for those.
const RATE: u64 = 30;
/// How long those who come back may take, in seconds.
const GIVE_UP: f64 = 120.0;

/// `missed` is how many events each of the subscribers comes back for.
pub fn run(target: &dyn Target, setting: &Setting, missed: u64, crowd: &Crowd) -> Result<Outcome, String> {
    // The first channel is of those who are live, the second of those who come back.
    let both = Setting { channels: 2, ..setting.clone() };
    let mut stage = Stage::bare(target, &both)?;
    stage.active = 1;
    stage.load.subscribe(0..1, crowd.live).map_err(polling)?;
    stage.warm_up()?;
    let position = target.position(&stage.server, stage.name(1))?;
    let dialogue = target
        .resumption(setting.transport, stage.name(1), &position)
        .ok_or_else(|| format!("{} does not resume on {}", target.name(), setting.transport))?;
    for _ in 0..missed {
        stage.publish(1, stage.load.clock.nanos());
        stage.load.settle().map_err(polling)?;
    }
    stage.load.resume(1, dialogue, 0);

    let alone = watch(&mut stage, |_, took| took < crowd.alone)?;
    let due = missed * setting.subscribers as u64;
    stage.load.begin(1..2, setting.subscribers).map_err(polling)?;
    let crowded = watch(&mut stage, |stage, took| {
        stage.load.channels[1].received < due && stage.load.tally.faults.refused == 0 && took < GIVE_UP
    })?;

    let recovered = stage.load.channels[1].received;
    stage.load.tally.faults.lost += due.saturating_sub(recovered);
    let per_live = alone.cpu_us / alone.live.max(1.0);
    let per_recovered = (crowded.cpu_us - crowded.live * per_live) / recovered.max(1) as f64;
    let figures = [
        ("cpu_us_per_delivery", per_live),
        ("cpu_us_per_recovered", per_recovered),
        ("recovered_over_live", per_recovered / per_live),
        ("recovered_per_s", recovered as f64 / crowded.seconds),
        ("live_p99_us_before", alone.p99_us),
        ("live_p99_us_meanwhile", crowded.p99_us),
    ];
    Ok(stage.outcome("resume", figures))
}

/// What was seen of those who are live.
struct Seen {
    seconds: f64,
    cpu_us: f64,
    /// Events they received.
    live: f64,
    p99_us: f64,
}

/// Publishes to those who are live for as long as `go_on` says, which is told the seconds.
fn watch(stage: &mut Stage<'_>, mut go_on: impl FnMut(&mut Stage<'_>, f64) -> bool) -> Result<Seen, String> {
    let (before, live) = (stage.used(), stage.load.channels[0].received);
    let start = stage.load.clock.nanos();
    stage.load.tally.begin(start);
    let mut seconds = 0.0;
    stage.publish_while(1_000_000_000 / RATE, |stage, _| {
        seconds = (stage.load.clock.nanos() - start) as f64 / 1e9;
        go_on(stage, seconds)
    })?;
    stage.load.settle().map_err(polling)?;
    Ok(Seen {
        seconds,
        cpu_us: stage.usage(before).cpu.micros(),
        live: (stage.load.channels[0].received - live) as f64,
        p99_us: stage.load.tally.latency.micros(0.99),
    })
}
