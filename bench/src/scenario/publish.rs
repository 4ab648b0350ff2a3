//! Publishing as fast as answers come, with few subscribers: what a publish costs.

use super::{Outcome, Setting, Stage, polling};
use crate::targets::Target;
use std::time::Duration;

/// Every channel has a publisher of its own, which sends its next request when the last is answered; the subscribers are
/// spread over the channels.
pub fn run(target: &dyn Target, setting: &Setting, seconds: f64) -> Result<Outcome, String> {
    let mut stage = Stage::set(target, setting)?;
    let publishers: Result<Vec<usize>, String> = (0..setting.channels).map(|_| stage.another_publisher()).collect();
    let publishers = publishers?;
    stage.warm_up()?;
    let before = stage.used();
    let start = stage.load.clock.nanos();
    let end = start + (seconds * 1e9) as u64;
    while stage.load.clock.nanos() < end {
        for (channel, publisher) in publishers.iter().enumerate() {
            if stage.load.is_free(*publisher) {
                stage.publish_by(*publisher, channel, stage.load.clock.nanos());
            }
        }
        stage.load.turn(Duration::from_millis(10)).map_err(polling)?;
    }
    let took = (stage.load.clock.nanos() - start) as f64 / 1e9;
    let published = stage.load.tally.published as f64;
    stage.load.settle().map_err(polling)?;
    let usage = stage.usage(before);
    let publishing = &stage.load.tally.publishing;
    let figures = [
        ("publishes_per_s", published / took),
        ("publish_p50_us", publishing.micros(0.5)),
        ("publish_p99_us", publishing.micros(0.99)),
        ("cpu_us_per_publish", usage.cpu.micros() / published.max(1.0)),
    ];
    Ok(stage.outcome("publish", figures))
}
