//! Everything at once, for minutes, with random cuts: `cargo xtask soak`. It is no part of the other tests.
//!
//! Publishers of each kind, readers on each transport that are cut and come back, slow readers, sessions that call and
//! publish and are cut, and a mob that means harm. In the end nothing is lost or doubled, what the server counts is
//! consistent, and its memory is flat.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests fail as tests do: by panicking, and who runs this for minutes is told how it goes"
)]

mod publishers;
mod readers;
mod sessions;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use switchboard_testkit::crowd::all_files;
use switchboard_testkit::mob::{Malice, Mob};
use switchboard_testkit::{Server, eventually, prometheus, seed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");
const CONFIG: &str = r#"
heartbeat = "1s"
retry = "100ms"
[session]
linger = "5s"
[timeouts]
head = "3s"
body = "3s"
wait = "2s"
[idempotency]
age = "30s"
[history]
events = 5000
age = "30s"
bytes = "4MiB"
[memory]
bytes = "64MiB"
transit = "32MiB"
[[channel]]
pattern = "state/**"
class = "state"
[[channel]]
pattern = "passing/**"
class = "ephemeral"
[[channel]]
pattern = "room/**"
class = "history"
track = "members"
"#;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// What the last third of the time may take beyond the middle third: the allocator's slack.
const SLACK: u64 = 24 << 20;

/// What all of the soak shares.
struct Soak {
    server: Server,
    seed: u64,
    /// Publishers stop.
    stop: AtomicBool,
    /// How many events each publisher has got into the log, once it is done. By its number.
    published: Mutex<Vec<(u64, u64)>>,
    /// Numbers of publishers: one that does not know what became of its last event goes on as another.
    publishers: AtomicU64,
    /// What was counted on the way, to be told.
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    heard: AtomicU64,
    gaps: AtomicU64,
    cuts: AtomicU64,
    calls: AtomicU64,
}

impl Soak {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn chance(&self, who: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed ^ who.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn figures(&self) -> std::collections::BTreeMap<String, f64> {
        prometheus::parse(&self.server.get("/metrics").expect(200).text())
    }

    fn figure(&self, name: &str) -> u64 {
        self.figures()[&format!("switchboard_{name}")] as u64
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn work(soak: &Arc<Soak>, name: &str, work: impl FnOnce(&Soak) + Send + 'static) -> JoinHandle<()> {
    let soak = Arc::clone(soak);
    thread::Builder::new().name(name.to_owned()).spawn(move || work(&soak)).unwrap()
}

fn start() -> Arc<Soak> {
    let _files = all_files();
    let path = std::env::temp_dir().join(format!("switchboard-soak-{}.toml", std::process::id()));
    std::fs::write(&path, CONFIG).unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--shards", "2", "--config", path.to_str().unwrap()];
    let server = Server::process(PROGRAM, &arguments);
    std::fs::remove_file(&path).unwrap();
    Arc::new(Soak {
        server,
        seed: seed("soak"),
        stop: AtomicBool::new(false),
        published: Mutex::default(),
        publishers: AtomicU64::new(0),
        counts: Counts::default(),
    })
}

#[test]
#[ignore = "it takes minutes: cargo xtask soak"]
fn everything_at_once_loses_and_doubles_nothing_and_memory_is_flat() {
    let minutes: f64 = std::env::var("SWITCHBOARD_SOAK_MINUTES").map_or(5.0, |text| text.parse().unwrap());
    let soak = start();
    let mut readers = readers::start(&soak);
    let mut others = publishers::start(&soak);
    others.extend(sessions::start(&soak));
    let mob = Mob::gather(
        soak.server.address(),
        "state/loud",
        &[
            (Malice::SlowHead, 60),
            (Malice::SlowBody, 60),
            (Malice::SlowLine, 30),
            (Malice::DeadReader, 60),
            (Malice::DeadAsker, 10),
            (Malice::Pinger, 10),
            (Malice::Garbler, 10),
            (Malice::Visitor, 20),
        ],
    );
    let resident = watch(&soak, Duration::from_secs_f64(minutes * 60.0));
    println!("stopping: {:?}", told(&soak));
    soak.stop.store(true, Ordering::Relaxed);
    others.into_iter().for_each(|other| other.join().unwrap());
    let total: u64 = soak.published.lock().unwrap().iter().map(|(_, count)| count).sum();
    readers.drain(..).for_each(|reader| reader.join().unwrap());
    println!("{total} events published by {} publishers: {:?}", soak.publishers.load(Ordering::Relaxed), told(&soak));
    println!("the mob came again {} times", mob.returned());
    drop(mob);
    check_counters(&soak);
    check_memory(&resident);
    soak.server.is_alive();
}

fn told(soak: &Soak) -> [(&'static str, u64); 4] {
    let Counts { heard, gaps, cuts, calls } = &soak.counts;
    [("heard", heard), ("gaps", gaps), ("cuts", cuts), ("calls", calls)]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
}

/// Looks at the server's memory until the time is over.
fn watch(soak: &Soak, time: Duration) -> Vec<u64> {
    let begun = Instant::now();
    let (mut resident, mut said) = (Vec::new(), begun);
    while begun.elapsed() < time {
        thread::sleep(LOOK.min(time));
        resident.push(soak.server.resident());
        if said.elapsed() > Duration::from_secs(30) {
            said = Instant::now();
            println!("{:?}: {} MiB, {:?}", begun.elapsed(), resident.last().unwrap() >> 20, told(soak));
        }
    }
    resident
}

/// What was opened is closed, and what was counted adds up.
fn check_counters(soak: &Soak) {
    // Who leaves a room is told of after a while.
    let quiet = [
        "presence_members",
        "presence_channels",
        "presence_due",
        "transit_bytes",
        "ring_lag",
        "application_calls",
        "readers_sse",
        "readers_stream",
        "readers_websocket",
        "readers_poll",
        "readers_behind",
        "sessions",
    ];
    for name in quiet {
        eventually(&format!("{name} is nought"), || soak.figure(name) == 0);
    }
    eventually("one connection is open: whoever looks", || soak.figure("connections") == 1);
    let figures = soak.figures();
    let figure = |name: &str| figures[&format!("switchboard_{name}")];
    for name in ["log_bytes", "encodings_bytes", "ring_bytes", "loss_marks", "channels", "idempotency_keys"] {
        // What readers had made since the last append goes with the next look of the log at itself.
        eventually(&format!("{name} is within its limit"), || {
            let figures = soak.figures();
            let figure = |name: &str| figures[&format!("switchboard_{name}")];
            let besides = if name == "log_bytes" { figure("encodings_bytes") } else { 0.0 };
            figure(name) <= figure(&format!("{name}_limit")) + besides
        });
    }
    let sent: f64 =
        figures.iter().filter(|(name, _)| name.contains("_read_events_total")).map(|(_, value)| value).sum();
    let given = figure("delivered_total") + figure("recovered_total");
    // Polls are given events that no live reader was, and what was recovered may be a notice.
    assert!(sent > 0.0 && given > 0.0, "{sent} {given}");
    assert!(figure("appended_total") >= soak.published.lock().unwrap().iter().map(|(_, count)| *count as f64).sum());
}

/// The last third takes no more than the middle one, but for some slack.
fn check_memory(resident: &[u64]) {
    let third = |n: usize| {
        let mut part = resident[resident.len() * n / 3..resident.len() * (n + 1) / 3].to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or(0)
    };
    let (first, middle, last) = (third(0), third(1), third(2));
    println!("memory, by thirds: {} {} {} MiB", first >> 20, middle >> 20, last >> 20);
    assert!(last <= middle + middle / 20 + SLACK, "memory grows: {first} {middle} {last}");
}
