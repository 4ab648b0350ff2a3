//! Clients that come back all at once, and the server in a process of its own.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use switchboard_testkit::crowd::{Crowd, Kind, all_files, publish_on_a_thread};
use switchboard_testkit::{Conn, Server, prometheus};

const NEWCOMERS: usize = 4_000;
/// A second, and a quarter of that at once: less than a machine lets in that is busy with much else.
const ACCEPTS: usize = 400;
/// How often somebody looks how many were let in.
const LOOK: Duration = Duration::from_millis(50);

/// How many had been let in at some time between two.
struct Look {
    begun: Instant,
    ended: Instant,
    accepted: f64,
}

/// Looks once, and then, over the same connection, until it is told to stop.
fn watch(address: SocketAddr, done: Arc<AtomicBool>) -> JoinHandle<Vec<Look>> {
    let mut conn = Conn::open(address);
    let mut look = move || {
        let begun = Instant::now();
        let told = prometheus::parse(&conn.get("/metrics").expect(200).text());
        Look { begun, ended: Instant::now(), accepted: told["switchboard_accepted_total"] }
    };
    let mut looks = vec![look()];
    std::thread::spawn(move || {
        loop {
            let last = done.load(Ordering::Relaxed);
            looks.push(look());
            if last {
                return looks;
            }
            std::thread::sleep(LOOK);
        }
    })
}

/// Between any two looks no more were let in than the limit allows, however slow whoever looks was.
fn check_rate(looks: &[Look]) {
    // The server counts in milliseconds of another clock.
    let slack = ACCEPTS as f64 * 0.05;
    for (i, one) in looks.iter().enumerate() {
        for other in &looks[i + 1..] {
            let between = other.ended.duration_since(one.begun).as_secs_f64();
            let most = ACCEPTS as f64 / 4.0 + ACCEPTS as f64 * between + slack;
            let came = other.accepted - one.accepted;
            assert!(came <= most, "{came} came in {between} s, {most} might have");
        }
    }
}

/// Thousands who come at once, as after a restart, while others are live.
#[test]
fn a_storm_of_newcomers_is_let_in_at_its_rate_and_those_who_are_in_miss_nothing() {
    let _files = all_files();
    let rate = ACCEPTS.to_string();
    let variables = [("SWITCHBOARD_LIMITS_ACCEPTS", rate.as_str())];
    let args = ["serve", "--listen", "127.0.0.1:0"];
    let server = Server::process_with(env!("CARGO_BIN_EXE_switchboard"), &args, &variables);
    let address = server.address();
    let live: Vec<(Kind, String)> = (0..100).map(|_| (Kind::Sse, "/channels/live".to_owned())).collect();
    let mut live = Crowd::gather(address, &live);
    let publisher = publish_on_a_thread(address, (0..500).map(|n| ("live".to_owned(), n.to_string())));
    let listener = std::thread::spawn(move || {
        let heard = Cell::new(0);
        let mut next = vec![0; 100];
        live.run(
            "a hundred times five hundred",
            |who, data| {
                assert_eq!(std::str::from_utf8(data).unwrap(), next[who].to_string(), "reader {who}");
                next[who] += 1;
                heard.set(heard.get() + 1);
            },
            |_| heard.get() == 100 * 500,
        );
        live.closed()
    });
    let kinds = [Kind::Sse, Kind::WebSocket, Kind::Lines];
    let members: Vec<(Kind, String)> =
        (0..NEWCOMERS).map(|i| (kinds[i % kinds.len()], "/channels/storm".to_owned())).collect();
    let done = Arc::new(AtomicBool::new(false));
    let watcher = watch(address, done.clone());
    let began = Instant::now();
    let storm = Crowd::storm(address, &members);
    let took = began.elapsed();
    done.store(true, Ordering::Relaxed);
    assert_eq!(storm.closed(), 0);
    let looks = watcher.join().unwrap();
    check_rate(&looks);
    let came = looks.last().unwrap().accepted - looks[0].accepted;
    assert!(came >= NEWCOMERS as f64 * 0.9, "who watches came too late: {came}");
    // The limit allows for all within ten seconds; a machine that is busy with much else takes longer.
    let allowed = Duration::from_secs_f64(NEWCOMERS as f64 / ACCEPTS as f64);
    assert!(took <= 12 * allowed, "{took:?}");
    println!("{NEWCOMERS} were in after {took:?}; the limit allows for {allowed:?}");
    publisher.join().unwrap();
    assert_eq!(listener.join().unwrap(), 0);
    let told = prometheus::parse(&server.get("/metrics").expect(200).text());
    assert_eq!(told["switchboard_refused_total"], 0.0);
    assert!(told["switchboard_accepts_paced_total"] > 0.0);
    drop(storm);
    server.await_readers("storm", 0);
}
