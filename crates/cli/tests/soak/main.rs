//! Everything at once, for minutes, with random cuts: `cargo xtask soak`. It is no part of the other tests.
//!
//! Publishers of each kind, readers on each transport that are cut and come back, slow readers, sessions that call and
//! publish over connections that are cut, visitors of files, and a mob that means harm: in clear text and over TLS, by
//! HTTP/1.1 and by HTTP/2, while files, certificates and the configuration are replaced. In the end nothing is lost or
//! doubled, what the server counts is consistent, and its memory is flat.

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
mod site;
mod ways;

use publishers::Published;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use switchboard_testkit::crowd::all_files;
use switchboard_testkit::issuer::Authority;
use switchboard_testkit::mob::{Malice, Mob};
use switchboard_testkit::tls::Files;
use switchboard_testkit::{Server, prometheus, seed};
use ways::Ways;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");
const CONFIG: &str = r#"
listen = ["127.0.0.1:0"]
shards = 2
heartbeat = "1s"
retry = "100ms"
gzip = true
[session]
linger = "15s"
[timeouts]
head = "8s"
body = "8s"
wait = "2s"
[idempotency]
age = "30s"
[history]
events = 20000
age = "2m"
bytes = "8MiB"
[memory]
bytes = "64MiB"
transit = "32MiB"
channels = 2000
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
[site]
directory = "DIRECTORY/site"
[tls]
listen = ["127.0.0.1:0"]
certificate = "DIRECTORY/certificate.pem"
key = "DIRECTORY/key.pem"
"#;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long the end may take: until sessions that went without a word are gone, on a machine that does much else.
const END: Duration = Duration::from_secs(60);
/// What the last third of the time may take beyond the middle third: the allocator's slack.
const SLACK: u64 = 24 << 20;

/// What all of the soak shares.
struct Soak {
    server: Server,
    files: Files,
    ways: Ways,
    seed: u64,
    /// Publishers stop.
    stop: AtomicBool,
    /// What publishers that are done have got into the log.
    published: Mutex<Vec<Published>>,
    /// Numbers of publishers: one that does not know what became of its last event goes on as another.
    publishers: AtomicU64,
    progress: readers::Progress,
    /// What was counted on the way, to be told.
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    heard: AtomicU64,
    gaps: AtomicU64,
    cuts: AtomicU64,
    calls: AtomicU64,
    /// Events of those who do not number them.
    others: AtomicU64,
    /// Readings that came compressed.
    unpacked: AtomicU64,
    files: AtomicU64,
    renewals: AtomicU64,
    /// Sessions whose opening was cut.
    unopened: AtomicU64,
}

impl Soak {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits, unless it is over before.
    fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.is_over() && Instant::now() < end {
            thread::sleep(Duration::from_millis(50));
        }
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

fn start(authority: &Authority) -> Arc<Soak> {
    let _files = all_files();
    let seed = seed("soak");
    let files = Files::new(authority);
    let config = files.directory().join("switchboard.toml");
    std::fs::write(&config, CONFIG.replace("DIRECTORY", files.directory().to_str().unwrap())).unwrap();
    std::fs::create_dir(files.directory().join("site")).unwrap();
    let server = Server::process(PROGRAM, &["serve", "--config", config.to_str().unwrap()]);
    let ways = Ways::to(&server, &files, authority, seed);
    let soak = Soak {
        server,
        files,
        ways,
        seed,
        stop: AtomicBool::new(false),
        published: Mutex::default(),
        publishers: AtomicU64::new(0),
        progress: readers::Progress::default(),
        counts: Counts::default(),
    };
    site::replace(&soak, &mut soak.chance(6000));
    Arc::new(soak)
}

/// Those who mean harm, in clear text and at the port where TLS is spoken.
fn mobs(soak: &Soak) -> [Mob; 2] {
    let clear = [
        (Malice::SlowHead, 60),
        (Malice::SlowBody, 60),
        (Malice::SlowLine, 30),
        (Malice::DeadReader, 60),
        (Malice::DeadAsker, 10),
        (Malice::Pinger, 10),
        (Malice::Garbler, 10),
        (Malice::Visitor, 20),
        (Malice::Resetter, 10),
        (Malice::Windowless, 10),
    ];
    let secure = [(Malice::SlowHello, 30), (Malice::Hello, 10), (Malice::Garbler, 10), (Malice::Visitor, 10)];
    let gather = |address, kinds: &[(Malice, usize)]| Mob::gather(address, "state/loud", kinds);
    [gather(soak.server.address(), &clear), gather(soak.ways.secure(), &secure)]
}

#[test]
#[ignore = "it takes minutes: cargo xtask soak"]
fn everything_at_once_loses_and_doubles_nothing_and_memory_is_flat() {
    let minutes: f64 = std::env::var("SWITCHBOARD_SOAK_MINUTES").map_or(5.0, |text| text.parse().unwrap());
    let authority = Authority::new("an authority of the soak");
    let soak = start(&authority);
    let descriptors = descriptors(&soak);
    let readers = readers::start(&soak);
    let mut others = publishers::start(&soak);
    others.extend(sessions::start(&soak));
    others.extend(site::start(&soak, authority));
    let mobs = mobs(&soak);
    let resident = watch(&soak, Duration::from_secs_f64(minutes * 60.0), &[&readers, &others]);
    println!("stopping: {:?}", told(&soak));
    soak.stop.store(true, Ordering::Relaxed);
    others.into_iter().for_each(|other| other.join().unwrap());
    let total: u64 = soak.published.lock().unwrap().iter().map(|published| published.count).sum();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    println!("{total} events published by {} publishers: {:?}", soak.publishers.load(Ordering::Relaxed), told(&soak));
    println!("the mob came again {} times", mobs.iter().map(Mob::returned).sum::<usize>());
    drop(mobs);
    check_counters(&soak, total);
    in_the_end("as many descriptors are open as in the beginning", || self::descriptors(&soak) <= descriptors);
    check_memory(&resident);
    soak.server.is_alive();
}

fn told(soak: &Soak) -> [(&'static str, u64); 10] {
    let Counts { heard, gaps, cuts, calls, others, unpacked, files, renewals, unopened } = &soak.counts;
    let counts = [
        ("heard", heard),
        ("published besides", others),
        ("gaps", gaps),
        ("cuts", cuts),
        ("cut ways", &*soak.ways.cuts),
        ("calls", calls),
        ("compressed", unpacked),
        ("files", files),
        ("renewals", renewals),
        ("openings cut", unopened),
    ];
    counts.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
}

/// Open files of the server.
fn descriptors(soak: &Soak) -> usize {
    let path = format!("/proc/{}/fd", soak.server.pid().as_raw_nonzero());
    std::fs::read_dir(path).unwrap().count()
}

/// Looks at the server's memory until the time is over.
fn watch(soak: &Soak, time: Duration, workers: &[&Vec<JoinHandle<()>>]) -> Vec<u64> {
    let begun = Instant::now();
    let (mut resident, mut said) = (Vec::new(), begun);
    while begun.elapsed() < time {
        thread::sleep(LOOK.min(time));
        resident.push(soak.server.resident());
        let early = workers.iter().copied().flatten().find(|worker| worker.is_finished());
        // What it found wrong, it has said.
        assert!(early.is_none(), "{:?} has ended before its time", early.map(|worker| worker.thread().name()));
        if said.elapsed() > Duration::from_secs(30) {
            said = Instant::now();
            println!("{:?}: {} MiB, {:?}", begun.elapsed(), resident.last().unwrap() >> 20, told(soak));
        }
    }
    resident
}

/// Waits until the fact holds.
#[track_caller]
fn in_the_end(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + END;
    while !holds() {
        assert!(Instant::now() < end, "it never became true that {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// What was opened is closed, and what was counted adds up.
fn check_counters(soak: &Soak, numbered: u64) {
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
        "site_transfers",
    ];
    for name in quiet {
        in_the_end(&format!("{name} is nought"), || soak.figure(name) == 0);
    }
    in_the_end("one connection is open: whoever looks", || soak.figure("connections") == 1);
    for name in ["log_bytes", "encodings_bytes", "ring_bytes", "loss_marks", "channels", "idempotency_keys"] {
        // What readers had made since the last append goes with the next look of the log at itself.
        in_the_end(&format!("{name} is within its limit"), || {
            let figures = soak.figures();
            let figure = |name: &str| figures[&format!("switchboard_{name}")];
            let besides = if name == "log_bytes" { figure("encodings_bytes") } else { 0.0 };
            figure(name) <= figure(&format!("{name}_limit")) + besides
        });
    }
    // Whoever did its part was heard of.
    let counted = soak.figures();
    let sum = |name: &str, label: &str| -> f64 {
        let of = |found: &str| found.starts_with(&format!("switchboard_{name}")) && found.contains(label);
        counted.iter().filter(|(found, _)| of(found)).map(|(_, value)| value).sum()
    };
    let heard = soak.counts.heard.load(Ordering::Relaxed);
    let appended = numbered + soak.counts.others.load(Ordering::Relaxed);
    assert!(sum("appended_total", "") >= appended as f64, "{appended} events were published, and more");
    assert!(sum("read_events_total", "") >= heard as f64, "{heard} events were heard, and more");
    for transport in ["poll", "stream", "sse", "websocket"] {
        assert!(sum("read_events_total", &format!("\"{transport}\"")) > 0.0, "{transport}");
    }
    // Polls are given events that no live reader was.
    assert!(sum("delivered_total", "") > 0.0 && sum("recovered_total", "") > 0.0);
    for name in ["http2_total", "site_answered_total", "sessions_opened_total", "repeated_total"] {
        assert!(sum(name, "") > 0.0, "{name}");
    }
    for result in ["done", "gone", "slow", "plain"] {
        let handshakes = sum("tls_handshakes_total", &format!("\"{result}\""));
        println!("handshakes, {result}: {handshakes}");
        assert!(handshakes > 0.0, "{result}");
    }
    assert!(
        told(soak).iter().all(|(name, count)| *count > 0 || ["gaps", "openings cut"].contains(name)),
        "{:?}",
        told(soak)
    );
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
