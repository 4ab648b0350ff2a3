//! Ten thousand clients that open a session and are never seen again, and the server in a process of its own.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do: by panicking")]

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};
use switchboard_testkit::{Conn, Server, eventually, prometheus};

const SESSIONS: usize = 10_000;
/// Who opens them: a session needs no connection to be there.
const OPENERS: usize = 8;
/// Requests that are on their way at once on a connection.
const AT_ONCE: usize = 50;
const LINGER: Duration = Duration::from_secs(2);
/// Each subscribes, so that it keeps an answer for its client, and a step of what it reads.
const FIRST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"channel":"gone"}}"#;

/// What one of them may take, in bytes: its own memory, and its share of tables. Twenty thousand that were not forgotten
/// would take more than ten thousand times this.
const EACH: u64 = 2560;

fn figure(server: &Server, name: &str) -> usize {
    prometheus::parse(&server.get("/metrics").expect(200).text())[name] as usize
}

/// Opens ten thousand sessions, and gives of each connection the location of the last, and when that was asked for.
fn open_all(address: SocketAddr) -> Vec<(String, Instant)> {
    let open = move || {
        let mut conn = Conn::open(address);
        let mut last = (String::new(), Instant::now());
        for _ in 0..SESSIONS / OPENERS / AT_ONCE {
            last.1 = Instant::now();
            (0..AT_ONCE).for_each(|_| conn.ask("POST", "/session", &[], Some(FIRST.as_bytes())));
            for _ in 0..AT_ONCE {
                last.0 = conn.response_to("POST").expect(201).field("location").unwrap().to_owned();
            }
        }
        last
    };
    let openers: Vec<_> = (0..OPENERS).map(|_| thread::spawn(open)).collect();
    openers.into_iter().map(|opener| opener.join().unwrap()).collect()
}

#[test]
fn ten_thousand_sessions_that_never_come_back_are_gone_with_their_memory() {
    let linger = format!("{}s", LINGER.as_secs());
    let variables = [("SWITCHBOARD_SESSION_LINGER", linger.as_str()), ("SWITCHBOARD_SESSION_COUNT", "10000")];
    let args = ["serve", "--listen", "127.0.0.1:0", "--shards", "2"];
    let server = Server::process_with(env!("CARGO_BIN_EXE_switchboard"), &args, &variables);
    server.is_alive();
    let before = server.resident();
    let mut taken = Vec::new();
    for wave in 1..=2 {
        let lasts = open_all(server.address());
        taken.push(server.resident() - before);
        eventually("no session is left", || figure(&server, "switchboard_sessions") == 0);
        // The last of them was opened after this, and the server counts in whole milliseconds.
        let kept = lasts.iter().map(|(_, asked)| *asked).max().unwrap().elapsed();
        assert!(kept + Duration::from_millis(10) > LINGER, "none is gone before its time: {kept:?}");
        assert_eq!(figure(&server, "switchboard_sessions_opened_total"), wave * SESSIONS);
        for (location, _) in lasts {
            server.get(&location).expect_problem(404, "not_found");
        }
    }
    // The second ten thousand have the memory of the first, whether or not the allocator gave it back meanwhile.
    taken.push(server.resident() - before);
    assert!(taken.iter().all(|taken| *taken < SESSIONS as u64 * EACH), "{taken:?}");
    println!("{taken:?} bytes beyond {before}: with ten thousand sessions, with the next, and without any");
    server.is_alive();
}
