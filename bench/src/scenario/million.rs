//! Very many streams of events, on which nothing happens but heartbeats until one event reaches all of them: what a stream
//! costs to open, to hold, and to wake.

use super::{Outcome, Setting, Stage, polling};
use crate::figures::memory::Memory;
use crate::targets::Target;
use std::time::Duration;

/// `idle` is how long nothing is published.
pub fn run(target: &dyn Target, setting: &Setting, idle: Duration) -> Result<Outcome, String> {
    let mut stage = Stage::bare(target, setting)?;
    let before = stage.used();
    stage.load.subscribe(0..setting.channels, setting.subscribers).map_err(polling)?;
    let opening = stage.usage(before);
    let opened = stage.server.memory();

    let before = stage.used();
    stage.rest(idle)?;
    let resting = stage.usage(before);
    let rested = stage.server.memory();

    // One event for each channel, which is one for everybody.
    let live = stage.load.tally.live;
    let before = stage.used();
    stage.load.tally.begin(stage.load.clock.nanos());
    stage.publish_evenly(setting.channels as u64, 0)?;
    let waking = stage.usage(before);
    let woken = stage.server.memory();

    let empty = stage.empty;
    let streams = live.max(1) as f64;
    let each = |memory: u64, empty: u64| (memory as f64 - empty as f64) / streams;
    let figures = [
        ("live", live as f64),
        ("open_s", opening.seconds),
        ("cpu_us_per_opening", opening.cpu.micros() / streams),
        ("bytes_per_stream_opened", each(opened.pss, empty.pss)),
        ("bytes_per_stream", each(rested.pss, empty.pss)),
        ("bytes_per_stream_woken", each(woken.pss, empty.pss)),
        ("idle_s", resting.seconds),
        ("idle_cpu_ns_per_stream_and_s", resting.cpu.micros() * 1000.0 / streams / resting.seconds),
        ("idle_cpu_share", resting.cpu.micros() / 1e6 / resting.seconds),
        ("reached_all_s", waking.seconds),
        ("load_bytes_per_stream", Memory::of(&[std::process::id()]).pss as f64 / streams),
    ];
    let figures = waking.figures(stage.load.tally.delivered).chain(figures);
    Ok(stage.outcome("million", figures))
}
