//! Clients that come back all at once, and the server in a process of its own.

use std::cell::Cell;
use switchboard_testkit::Server;
use switchboard_testkit::crowd::{Crowd, Kind, publish_on_a_thread, raise_file_limit};

const NEWCOMERS: usize = 10_000;

/// Ten thousand who come at once, as after a restart, while others are live.
#[test]
fn a_storm_of_newcomers_is_let_in_at_its_rate_and_those_who_are_in_miss_nothing() {
    raise_file_limit();
    let variables = [("SWITCHBOARD_LIMITS_ACCEPTS", "4000")];
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
    let storm = Crowd::storm(address, &members);
    assert_eq!(storm.closed(), 0);
    publisher.join().unwrap();
    assert_eq!(listener.join().unwrap(), 0);
    let told = switchboard_testkit::prometheus::parse(&server.get("/metrics").expect(200).text());
    assert_eq!(told["switchboard_refused_total"], 0.0);
    assert!(told["switchboard_accepts_paced_total"] > 0.0);
    drop(storm);
    server.await_readers("storm", 0);
}
