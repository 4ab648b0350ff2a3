//! Ten thousand subscribers of one channel, and the server in a process of its own.

use std::cell::Cell;
use switchboard_testkit::Server;
use switchboard_testkit::crowd::{Crowd, Kind, all_files, publish_on_a_thread};

const SUBSCRIBERS: usize = 10_000;
const EVENTS: usize = 100;

#[test]
fn ten_thousand_subscribers_receive_a_hundred_events_each() {
    let _files = all_files();
    let server = Server::process(env!("CARGO_BIN_EXE_switchboard"), &["serve", "--listen", "127.0.0.1:0"]);
    let members: Vec<(Kind, String)> = (0..SUBSCRIBERS)
        .map(|i| (if i % 2 == 0 { Kind::Sse } else { Kind::WebSocket }, "/channels/crowd".to_owned()))
        .collect();
    let mut crowd = Crowd::gather(server.address(), &members);
    assert_eq!(server.readers("crowd"), SUBSCRIBERS as u64);
    let publisher = publish_on_a_thread(server.address(), (0..EVENTS).map(|n| ("crowd".to_owned(), n.to_string())));
    let mut next = vec![0; SUBSCRIBERS];
    let deliveries = Cell::new(0);
    crowd.run(
        "ten thousand times a hundred",
        |who, data| {
            let n: usize = std::str::from_utf8(data).unwrap().parse().unwrap();
            assert_eq!(next[who], n, "subscriber {who}: none lost, none doubled, in order");
            next[who] += 1;
            deliveries.set(deliveries.get() + 1);
        },
        |_| deliveries.get() == SUBSCRIBERS * EVENTS,
    );
    publisher.join().unwrap();
    assert_eq!(crowd.closed(), 0);
    drop(crowd);
    server.await_readers("crowd", 0);
    server.is_alive();
}
