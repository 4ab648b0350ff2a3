//! Readers by pattern: what their patterns take is counted, refused where it is too much, and given back.

use crate::figure;
use switchboard_testkit::{Conn, Server, config, eventually};

/// A quarter of what may be on its way, which patterns have room in.
const ROOM: usize = 512 << 10;

/// Reads as many long patterns as a head has room for, none of which somebody else has.
fn target(reader: usize) -> String {
    let patterns = (0..60).map(|n| format!("channel={reader}.{n}{}/*", "/b".repeat(118)));
    format!("/channels?{}", patterns.collect::<Vec<_>>().join("&"))
}

#[test]
fn patterns_that_are_read_take_no_more_than_may_be_on_its_way() {
    let mut config = config();
    config.transit = 4 * ROOM;
    let server = Server::start(config);
    let taken = || figure(&server, "transit_bytes");
    let ask = |reader: usize| {
        let mut conn = server.connect();
        // Every other one waits for a page.
        let (wait, fields) = match reader % 2 {
            0 => ("", &[("Accept", "application/x-ndjson")][..]),
            _ => ("&wait=30", &[][..]),
        };
        conn.ask("GET", &format!("{}{wait}", target(reader)), fields, None);
        conn
    };
    let mut held: Vec<Conn> = Vec::new();
    for reader in 0..10 {
        held.push(ask(reader));
        eventually("they are counted", || taken() > 50_000 * held.len());
        assert!(taken() < 52_000 * held.len() && taken() <= ROOM);
    }
    for reader in [10, 11] {
        let refused = ask(reader).response_to("GET").expect_problem(503, "overloaded");
        assert!(refused.field("retry-after").is_some());
    }
    // Few of them are not counted, and a page that does not wait keeps none.
    server.lines("/channels?channel=a/**&channel=b/*").notice("$open");
    server.get(&target(12)).expect(200);
    let mut stream = server.sse(&target(13));
    stream.notice("$closing");
    drop(held);
    eventually("who goes gives it back", || taken() == 0);
    server.is_alive();
}
