//! A share of the readers does not read for the whole run: what each of them costs in memory, whether the others feel it,
//! and whether the stalled ones have everything in the end.

use super::{Outcome, Setting, Stage, polling};
use crate::targets::Target;

/// Sockets take little, so that a reader who does not read is one who lags: the kernel holds no whole run for it.
const RECEIVE_BUFFER: usize = 8 << 10;

/// `count` events are published at `rate` before anybody stalls, and `count` more while `share` of the readers does.
pub fn run(target: &dyn Target, setting: &Setting, rate: f64, count: u64, share: f64) -> Result<Outcome, String> {
    let mut stage = Stage::bare(target, setting)?;
    stage.load.receive_buffer = Some(RECEIVE_BUFFER);
    stage.load.subscribe(0..setting.channels, setting.subscribers).map_err(polling)?;
    stage.warm_up()?;
    let every = (1e9 / rate) as u64;
    // The log grows with what is published, whoever reads it: that is not the stalled readers' doing.
    let empty = stage.server.memory().pss as f64;
    stage.publish_evenly(count, every)?;
    let before = stage.server.memory().pss as f64;
    let p99_before = stage.load.tally.latency.micros(0.99);
    stage.load.tally.begin(stage.load.clock.nanos());

    let stalled = ((setting.subscribers as f64 * share) as usize).clamp(1, setting.subscribers);
    // Spread evenly over the table.
    let who: Vec<usize> = (0..stalled).map(|at| at * setting.subscribers / stalled).collect();
    who.iter().for_each(|index| stage.load.stall(*index, true));
    let start = stage.load.clock.nanos();
    stage.publish_while(every, |_, event| event < count)?;
    // The last event is on its way to those who read: it is heard when deliveries stand still for the others.
    let reading = (setting.subscribers - stalled) as u64 * count;
    stage.load.run_until(|load| load.tally.delivered >= reading).map_err(polling)?;
    let took = (stage.load.clock.nanos() - start) as f64 / 1e9;
    let meanwhile = stage.server.memory().pss as f64;
    let latency = stage.load.tally.latency.clone();
    let unread: u64 = who.iter().map(|index| stage.load.unread(*index)).sum();
    let bytes = count as f64 * setting.size as f64;

    let catching_up = stage.load.clock.nanos();
    who.iter().for_each(|index| stage.load.stall(*index, false));
    stage.load.settle().map_err(polling)?;
    let caught_up = (stage.load.clock.nanos() - catching_up) as f64 / 1e9;
    let figures = [
        ("stalled", stalled as f64),
        ("grown_by_log_kib", (before - empty) / 1024.0),
        ("grown_kib", (meanwhile - before) / 1024.0),
        ("grown_bytes_per_stalled", (meanwhile - before - (before - empty)) / stalled as f64),
        ("held_by_kernel_share", unread as f64 / stalled as f64 / bytes),
        ("live_p99_us_before", p99_before),
        ("live_p99_us_meanwhile", latency.micros(0.99)),
        ("latency_p50_us", latency.micros(0.5)),
        ("latency_p99_us", latency.micros(0.99)),
        ("latency_p999_us", latency.micros(0.999)),
        ("caught_up_s", caught_up),
        ("seconds", took),
    ];
    Ok(stage.outcome("slow", figures))
}
