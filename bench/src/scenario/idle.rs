//! Connections on which nothing happens but heartbeats: what one holds of user memory.

use super::{Outcome, Setting, Stage};
use crate::targets::Target;
use std::time::Duration;

/// `settle` is how long nothing happens before memory is read: longer than a heartbeat.
pub fn run(target: &dyn Target, setting: &Setting, settle: Duration) -> Result<Outcome, String> {
    let mut stage = Stage::set(target, setting)?;
    let before = stage.used();
    stage.rest(settle)?;
    let usage = stage.usage(before);
    let (empty, full) = (stage.empty, stage.server.memory());
    // Whoever is counted must still hear: an event reaches everyone.
    stage.warm_up()?;
    let connections = setting.subscribers.max(1) as f64;
    let each = |before: u64, after: u64| (after as f64 - before as f64) / connections;
    let figures = [
        ("bytes_per_connection", each(empty.pss, full.pss)),
        ("anonymous_bytes_per_connection", each(empty.anonymous, full.anonymous)),
        ("heap_bytes_per_connection", each(empty.heap, full.heap)),
        ("empty_pss_kib", empty.pss as f64 / 1024.0),
        ("cpu_us_per_connection_and_s", usage.cpu.micros() / connections / usage.seconds),
    ];
    Ok(stage.outcome("idle", figures))
}
