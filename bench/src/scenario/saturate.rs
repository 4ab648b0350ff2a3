//! A backlog: one kept-alive publisher, one request at a time, publishes whenever fewer than 16 events have not reached
//! everyone yet. How fast that goes is what the server can do.

use super::{Outcome, Setting, Stage, polling};
use crate::targets::Target;
use std::time::Duration;

/// Events on their way at once.
const OUTSTANDING: usize = 16;

pub fn run(target: &dyn Target, setting: &Setting, seconds: f64) -> Result<Outcome, String> {
    let mut stage = Stage::set(target, setting)?;
    stage.warm_up()?;
    let before = stage.used();
    let start = stage.load.clock.nanos();
    let mut last = start;
    let mut channel = 0;
    let mut events = 0;
    loop {
        let now = stage.load.clock.nanos();
        // Where the time is over before there was a backlog, there is none to speak of.
        let is_over = now - start > (seconds * 1e9) as u64 && events >= OUTSTANDING;
        if is_over || now - last > 20_000_000_000 {
            break;
        }
        if stage.is_free() && stage.load.outstanding(channel) < OUTSTANDING {
            stage.publish(channel, now);
            channel = (channel + 1) % setting.channels;
            events += 1;
            last = now;
        }
        stage.load.turn(Duration::from_millis(10)).map_err(polling)?;
    }
    stage.load.settle().map_err(polling)?;
    let usage = stage.usage(before);
    let delivered = stage.load.tally.delivered;
    let figures = usage.figures(delivered).chain([("deliveries_per_s", delivered as f64 / usage.seconds)]);
    Ok(stage.outcome("saturate", figures))
}
