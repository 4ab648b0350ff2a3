//! Events at an even rate, each to all subscribers of its channel: what a delivery costs when nothing is in a hurry.

use super::{Outcome, Setting, Stage};
use crate::targets::Target;

/// How fast, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Events a second, over all channels.
    pub rate: f64,
    pub seconds: f64,
}

impl Pace {
    /// A rate at which about 60,000 deliveries a second are due: some third of what one CPU sends.
    pub fn gentle(subscribers_of_a_channel: usize, seconds: f64) -> Pace {
        Pace { rate: (60_000.0 / subscribers_of_a_channel.max(1) as f64).clamp(1.0, 2_000.0), seconds }
    }
}

pub fn run(target: &dyn Target, setting: &Setting, pace: Pace) -> Result<Outcome, String> {
    let mut stage = Stage::set(target, setting)?;
    stage.warm_up()?;
    let before = stage.used();
    let count = (pace.rate * pace.seconds).ceil().max(1.0) as u64;
    stage.publish_evenly(count, (1e9 / pace.rate) as u64)?;
    let usage = stage.usage(before);
    let figures = usage.figures(stage.load.tally.delivered).chain([("rate", pace.rate)]);
    let scenario = if setting.channels > 1 { "many" } else { "fanout" };
    Ok(stage.outcome(scenario, figures))
}
