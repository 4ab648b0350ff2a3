//! Thousands that mean harm, and the server in a process of its own.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::cell::Cell;
use std::thread;
use switchboard_testkit::crowd::{Crowd, Kind, all_files, publish_on_a_thread};
use switchboard_testkit::mob::{Malice, Mob};
use switchboard_testkit::{Conn, Server, eventually, prometheus};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

fn figure(server: &Server, name: &str) -> u64 {
    prometheus::parse(&server.get("/metrics").expect(200).text())[&format!("switchboard_{name}")] as u64
}

/// So many of each.
const EACH: usize = 2000;
const HONEST: usize = 300;
const EVENTS: usize = 200;
/// What those who mean harm may take, in bytes: `docs/security.md` has the sum. Each has a task and what it sent, up to 16
/// KiB; a reader that stalls has a part of an event, and all of these together `memory.transit`.
const ALL_OF_THEM: u64 = 3 * EACH as u64 * (16 << 10) + TRANSIT + HISTORY;
const TRANSIT: u64 = 32 << 20;
/// What the loud channel holds, with its encodings.
const HISTORY: u64 = 3 * (8 << 20);

#[test]
fn thousands_of_slow_and_dead_connections_cost_a_stated_memory_and_honest_clients_nothing() {
    let _files = all_files();
    let variables = [("SWITCHBOARD_MEMORY_TRANSIT", "32MiB")];
    let server = Server::process_with(PROGRAM, &["serve", "--listen", "127.0.0.1:0", "--shards", "2"], &variables);
    let address = server.address();
    let kinds = [Kind::Sse, Kind::WebSocket, Kind::Lines];
    let members: Vec<(Kind, String)> = (0..HONEST).map(|i| (kinds[i % 3], "/channels/honest".to_owned())).collect();
    let mut honest = Crowd::gather(address, &members);
    let before = server.resident();
    let mob =
        Mob::gather(address, "loud", &[(Malice::SlowHead, EACH), (Malice::SlowBody, EACH), (Malice::DeadReader, EACH)]);
    server.await_readers("loud", EACH as u64);
    // Each event is large enough that a reader who takes nothing has a part of it.
    let loud = publish_on_a_thread(address, (0..40).map(|_| ("loud".to_owned(), "z".repeat(200_000))));
    let news = publish_on_a_thread(address, (0..EVENTS).map(|n| ("honest".to_owned(), n.to_string())));
    let (heard, mut next, mut most) = (Cell::new(0), vec![0; HONEST], before);
    honest.run(
        "three hundred times two hundred",
        |who, data| {
            let text = std::str::from_utf8(data).unwrap();
            let n = text.rsplit("\"data\":\"").next().unwrap().trim_end_matches(|c: char| !c.is_ascii_digit());
            let n = n.split('"').next().unwrap();
            assert_eq!(n, next[who].to_string(), "reader {who}: none lost, none doubled, in order");
            next[who] += 1;
            heard.set(heard.get() + 1);
            if heard.get() % 6000 == 0 {
                most = most.max(server.resident());
            }
        },
        |_| heard.get() == HONEST * EVENTS,
    );
    news.join().unwrap();
    loud.join().unwrap();
    most = most.max(server.resident());
    assert_eq!(honest.closed(), 0);
    assert!(most - before < ALL_OF_THEM, "{} bytes for {} of them", most - before, mob.held());
    println!("{} bytes for {} that mean harm; {} came again", most - before, mob.held(), mob.returned());
    drop(mob);
    eventually("all of them are gone", || figure(&server, "connections") as usize <= HONEST + 1);
    eventually("nothing of theirs is kept", || figure(&server, "transit_bytes") == 0);
    server.is_alive();
}

/// Connections that come, more than there are descriptors for, as far as this process may have so many itself.
const COME: usize = 19_000;
/// Kept for everything but connections, here as in the server.
const RESERVE: usize = 64;

#[test]
fn nineteen_thousand_against_the_limit_of_descriptors_are_held_or_refused_politely_and_places_that_get_free_are_taken()
{
    let _files = all_files();
    let own = rustix_limit();
    let files = (own - 1000).min(COME - 3000);
    let limited = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
    let arguments = ["-c", &limited, PROGRAM, "serve", "--listen", "127.0.0.1:0", "--shards", "2"];
    let server = Server::process("sh", &arguments);
    let (address, limit) = (server.address(), figure(&server, "connections_limit") as usize);
    assert_eq!(limit, files - RESERVE);
    let reader =
        |i: usize| (if i.is_multiple_of(2) { Kind::Sse } else { Kind::WebSocket }, "/channels/held".to_owned());
    let mut held = Crowd::gather(address, &(0..limit - 1000).map(reader).collect::<Vec<_>>());
    let going = Crowd::gather(address, &(0..1000).map(reader).collect::<Vec<_>>());
    // Whoever comes now is one too many.
    let turn_away = move || {
        for i in 0..(COME - limit) / 8 {
            let mut conn = Conn::open(address);
            let refused = match i % 2 {
                0 => conn.get("/channels/held").expect_problem(503, "overloaded"),
                _ => conn.request("GET", "/channels/held", &[("Accept", "text/event-stream")], None).expect(200),
            };
            assert!(i % 2 == 1 || refused.field("retry-after").is_some(), "{refused}");
            assert!(i % 2 == 0 || refused.text().contains("event: $closing"), "{refused}");
        }
    };
    let crowds: Vec<_> = (0..8).map(|_| thread::spawn(turn_away)).collect();
    crowds.into_iter().for_each(|crowd| crowd.join().unwrap());
    // A place for who publishes and who looks.
    let gone = going.len();
    drop(going);
    eventually("those who went are gone", || Conn::open(address).get("/healthz").status() == 200);
    eventually("all of them", || figure(&server, "connections") as usize <= held.len() + 2);
    let refused = figure(&server, "refused_total") as usize;
    assert!(refused >= (COME - limit) / 8 * 8, "{refused}");
    let publisher = publish_on_a_thread(address, (0..3).map(|n| ("held".to_owned(), n.to_string())));
    let heard = Cell::new(0);
    let all = held.len();
    held.run("everyone who was held hears", |_, _| heard.set(heard.get() + 1), |_| heard.get() == 3 * all);
    publisher.join().unwrap();
    assert_eq!(held.closed(), 0, "whoever was in stays in");
    let again = Crowd::gather(address, &(0..gone - 10).map(reader).collect::<Vec<_>>());
    server.await_readers("held", (all + again.len()) as u64);
    assert_eq!(figure(&server, "accept_pauses_total"), 0, "the limit of connections leaves descriptors for the rest");
}

fn rustix_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[test]
fn out_of_descriptors_accepting_pauses_and_whoever_is_in_hears_everything() {
    let _files = all_files();
    let arguments =
        ["-c", "ulimit -n 300; exec \"$0\" \"$@\"", PROGRAM, "serve", "--listen", "127.0.0.1:0", "--shards", "2"];
    let server = Server::process_with("sh", &arguments, &[("SWITCHBOARD_CONNECTIONS", "100000")]);
    let address = server.address();
    let mut publisher = server.connect();
    let mut watcher = server.connect();
    let mut paused = || {
        let told = prometheus::parse(&watcher.get("/metrics").expect(200).text());
        told["switchboard_accept_pauses_total"] > 0.0
    };
    assert!(!paused());
    let members: Vec<(Kind, String)> = (0..200).map(|_| (Kind::Sse, "/channels/held".to_owned())).collect();
    let mut held = Crowd::gather(address, &members);
    // They connect, which the system does for the server, and are not accepted.
    let waiting: Vec<Conn> = (0..100).map(|_| Conn::open(address)).collect();
    eventually("accepting pauses", paused);
    publisher.publish("held", "now");
    let heard = Cell::new(0);
    held.run("everyone hears", |_, _| heard.set(heard.get() + 1), |_| heard.get() == 200);
    assert_eq!(held.closed(), 0);
    drop(held);
    for mut conn in waiting {
        conn.get("/healthz").expect(200);
    }
}
