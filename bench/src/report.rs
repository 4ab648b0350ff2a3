//! Tables for people, and a record a line for programs.

use crate::compare::{Rounds, Spread};
use crate::scenario::Outcome;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

/// Figures in the order of the table, with their headings and decimals.
const ROWS: [(&str, &str, usize); 45] = [
    ("cpu_us_per_delivery", "CPU µs/delivery", 2),
    ("deliveries_per_s", "deliveries/s", 0),
    ("bytes_per_connection", "B/connection", 0),
    ("anonymous_bytes_per_connection", "of it anonymous", 0),
    ("heap_bytes_per_connection", "of it brk heap", 0),
    ("cpu_us_per_connection_and_s", "CPU µs/connection/s", 2),
    ("live", "live streams", 0),
    ("open_s", "opened in s", 1),
    ("cpu_us_per_opening", "CPU µs/opening", 1),
    ("bytes_per_stream_opened", "B/stream, opened", 0),
    ("bytes_per_stream", "B/stream, idle", 0),
    ("bytes_per_stream_woken", "B/stream, then", 0),
    ("load_bytes_per_stream", "load's B/stream", 0),
    ("idle_s", "idle for s", 0),
    ("idle_cpu_ns_per_stream_and_s", "idle CPU ns/stream/s", 1),
    ("idle_cpu_share", "idle server's CPU", 2),
    ("reached_all_s", "reached all in s", 2),
    ("publishes_per_s", "publishes/s", 0),
    ("publish_p50_us", "publish p50 µs", 0),
    ("publish_p99_us", "publish p99 µs", 0),
    ("cpu_us_per_publish", "CPU µs/publish", 2),
    ("connections_per_s", "connections/s", 0),
    ("cpu_us_per_connection", "CPU µs/connection", 1),
    ("grown_kib", "memory grew KiB", 0),
    ("cpu_us_per_recovered", "CPU µs/recovered", 2),
    ("recovered_over_live", "recovered/live", 2),
    ("recovered_per_s", "recovered/s", 0),
    ("stalled", "stalled readers", 0),
    ("hostile", "mean harm", 0),
    ("grown_bytes_per_hostile", "grew B/one of them", 0),
    ("grown_by_log_kib", "grew before KiB", 0),
    ("grown_bytes_per_stalled", "grew B/stalled", 0),
    ("held_by_kernel_share", "held by the kernel", 2),
    ("caught_up_s", "caught up in s", 2),
    ("live_p50_us_before", "live p50 µs before", 0),
    ("live_p50_us_meanwhile", "live p50 µs then", 0),
    ("live_p99_us_before", "live p99 µs before", 0),
    ("live_p99_us_meanwhile", "live p99 µs then", 0),
    ("latency_p50_us", "latency p50 µs", 0),
    ("latency_p99_us", "latency p99 µs", 0),
    ("latency_p999_us", "latency p99.9 µs", 0),
    ("events_per_read", "events/read", 2),
    ("cpu_share", "server's CPU", 2),
    ("load_share", "load's CPU", 2),
    ("delivered", "delivered", 0),
];

/// The table of one scenario: medians over its rounds with the least and the most, and ratios to the floor.
pub fn table(rounds: &Rounds) -> String {
    let mut text = String::new();
    let Some(first) = rounds.outcomes().next() else { return text };
    let _ = writeln!(
        text,
        "\n{} on {}: {}, {}, {} B, {}",
        first.scenario,
        transports(rounds),
        counted(first.subscribers, "subscriber"),
        counted(first.channels, "channel"),
        first.size,
        counted(rounds.len(), "run"),
    );
    let (names, base) = (rounds.names(), rounds.base());
    for (figure, heading, decimals) in ROWS {
        let mut heading = heading;
        for name in &names {
            let Some(spread) = rounds.figure(name, figure) else { continue };
            let _ = write!(text, "  {heading:<20} {name:<16} {:>28}", range(spread, decimals));
            heading = "";
            let base = base.as_ref().filter(|base| *base != name);
            match base.and_then(|base| Some((base, rounds.ratio(name, base, figure)?))) {
                Some((base, ratio)) => {
                    let _ = writeln!(text, "   × {base} {:>20}", range(ratio, 2));
                }
                None => text.push('\n'),
            }
        }
    }
    for outcome in rounds.outcomes().filter(|outcome| !outcome.faults.is_empty()) {
        let _ = writeln!(text, "  FAULTS {}: {}{}", outcome.target, outcome.faults, first_fault(outcome));
    }
    if rounds.is_clean() {
        let _ = writeln!(text, "  no connection refused or dropped; no event lost, doubled, damaged or out of order");
    }
    text
}

fn transports(rounds: &Rounds) -> String {
    let mut words: Vec<&str> = rounds.outcomes().map(|one| one.transport.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    words.join(" and ")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn first_fault(outcome: &Outcome) -> String {
    outcome.first_fault.as_ref().map(|fault| format!(" (the first: {fault})")).unwrap_or_default()
}

fn range(spread: Spread, decimals: usize) -> String {
    let Spread { median, min, max } = spread;
    let least = format!("{min:.decimals$}");
    let most = format!("{max:.decimals$}");
    if least == most { least } else { format!("{median:.decimals$} ({least}–{most})") }
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

/// Reads what [`record`] wrote.
pub fn read(path: &Path) -> Result<Vec<Outcome>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| serde_json::from_str(line).map_err(|error| format!("{}:{}: {error}", path.display(), at + 1)))
        .collect()
}
