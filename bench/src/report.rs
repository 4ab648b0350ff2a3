//! Tables for people, and a record a line for programs.

use crate::compare::{Rounds, Spread};
use crate::scenario::Outcome;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

/// Figures in the order of the table, with their headings and decimals.
const COLUMNS: [(&str, &str, usize); 14] = [
    ("cpu_us_per_delivery", "CPU µs/delivery", 2),
    ("deliveries_per_s", "deliveries/s", 0),
    ("bytes_per_connection", "B/connection", 0),
    ("anonymous_bytes_per_connection", "of it anonymous", 0),
    ("heap_bytes_per_connection", "of it heap", 0),
    ("cpu_us_per_connection_and_s", "CPU µs/connection/s", 2),
    ("latency_p50_us", "p50 µs", 0),
    ("latency_p99_us", "p99 µs", 0),
    ("latency_p999_us", "p99.9 µs", 0),
    ("cpu_share", "CPU used", 2),
    ("publishes_per_s", "publishes/s", 0),
    ("publish_p50_us", "publish p50 µs", 0),
    ("publish_p99_us", "publish p99 µs", 0),
    ("delivered", "delivered", 0),
];

/// The table of one scenario: medians over its rounds with the least and the most, and ratios to the first floor.
pub fn table(rounds: &Rounds) -> String {
    let mut text = String::new();
    let Some(first) = rounds.outcomes().next() else { return text };
    let _ = writeln!(
        text,
        "\n{} on {}: {} subscribers, {} channels, {} B, {} runs",
        first.scenario,
        first.transport,
        first.subscribers,
        first.channels,
        first.size,
        rounds.len(),
    );
    let targets = rounds.targets();
    let base = targets.iter().find(|target| **target == "floor").copied();
    for (figure, heading, decimals) in COLUMNS {
        for (at, target) in targets.iter().enumerate() {
            let Some(spread) = rounds.figure(target, figure) else { continue };
            let heading = if at == 0 { heading } else { "" };
            let _ = write!(text, "  {heading:<20} {target:<16} {:>24}", range(spread, decimals));
            match base.filter(|base| base != target).and_then(|base| rounds.ratio(target, base, figure)) {
                Some(ratio) => {
                    let _ = writeln!(text, "   × floor {:>22}", range(ratio, 2));
                }
                None => text.push('\n'),
            }
        }
    }
    for outcome in rounds.outcomes().filter(|outcome| !outcome.faults.is_empty()) {
        let _ = writeln!(text, "  FAULTS {}: {}{}", outcome.target, outcome.faults, first_fault(outcome));
    }
    if rounds.is_clean() {
        let _ = writeln!(
            text,
            "  no connection was refused or dropped; no event was lost, doubled, damaged or out of order"
        );
    }
    text
}

fn first_fault(outcome: &Outcome) -> String {
    outcome.first_fault.as_ref().map(|fault| format!(" (the first: {fault})")).unwrap_or_default()
}

fn range(spread: Spread, decimals: usize) -> String {
    let Spread { median, min, max } = spread;
    if min == max {
        return format!("{median:.decimals$}");
    }
    format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
}

/// Appends each outcome to a file as a line of JSON.
pub fn record(rounds: &Rounds, path: &Path) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    for outcome in rounds.outcomes() {
        let mut line = serde_json::to_vec(outcome)?;
        line.push(b'\n');
        file.write_all(&line)?;
    }
    Ok(())
}
