//! Storms: many connect at once, hear one event, and are gone at once; again and again. Meanwhile a hundred who stay hear
//! events at an even rate.

use super::{Outcome, Setting, Stage, polling};
use crate::targets::Target;

/// Those who stay.
const STAYING: usize = 100;
/// Events a second for those who stay, between storms: the load generator is busy with connecting during one.
const EVENTS: u64 = 20;

pub fn run(target: &dyn Target, setting: &Setting, seconds: f64) -> Result<Outcome, String> {
    // The first channel is of those who stay, the second of those who come and go.
    let setting = Setting { channels: 2, ..setting.clone() };
    let mut stage = Stage::bare(target, &setting)?;
    stage.load.subscribe(0..1, STAYING).map_err(polling)?;
    stage.warm_up()?;
    // One storm before anything is measured: tables grow to their size.
    storm(&mut stage)?;
    stage.load.tally.begin(stage.load.clock.nanos());
    let (memory, before) = (stage.server.memory(), stage.used());
    let start = stage.load.clock.nanos();
    let mut storms = 0;
    while stage.load.clock.nanos() < start + (seconds * 1e9) as u64 {
        storm(&mut stage)?;
        storms += 1;
    }
    let usage = stage.usage(before);
    let connections = (storms * setting.subscribers) as f64;
    let grown = stage.server.memory().pss as f64 - memory.pss as f64;
    // Who stayed still hears.
    stage.publish_evenly(2, 1_000_000)?;
    let figures = [
        ("connections_per_s", connections / usage.seconds),
        ("cpu_us_per_connection", usage.cpu.micros() / connections.max(1.0)),
        ("grown_kib", grown / 1024.0),
    ];
    Ok(stage.outcome("churn", figures))
}

fn storm(stage: &mut Stage<'_>) -> Result<(), String> {
    stage.load.subscribe(1..2, stage.setting.subscribers).map_err(polling)?;
    stage.publish_evenly(EVENTS, 1_000_000_000 / EVENTS / 10)?;
    stage.load.dismiss(STAYING);
    Ok(())
}
