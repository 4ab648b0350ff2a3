//! Streams of events that wait because they are too fast, and those who go meanwhile.

use super::limits::{metric, server};
use std::time::{Duration, Instant};
use switchboard_testkit::identity::{MASTER_KEY, bearer, token};
use switchboard_testkit::{Conn, Server, Sse, eventually};

/// How long the stream of [`resting`] has to wait, nearly.
const REST: Duration = Duration::from_secs(9);
const LINE: &str = "{\"data\":1}\n";

fn chunk(lines: usize) -> String {
    let text = LINE.repeat(lines);
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Ten lines at once of somebody who may publish one a second; who hears them; and when they were about to be sent.
fn resting(server: &Server) -> (Conn, Sse, Instant) {
    let mut reader = server.connect().sse("/channels/a", &[("Authorization", &bearer(MASTER_KEY))]);
    reader.notice("$open");
    let mut conn = server.connect();
    let shown = bearer(&token("ann", &["**"]));
    let began = Instant::now();
    let fields =
        [("Authorization", &*shown), ("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")];
    conn.ask("POST", "/channels/a", &fields, None);
    conn.send(chunk(10));
    (0..10).for_each(|_| assert_eq!(reader.event().data, "1"));
    // The reader, the publisher, and who asks.
    eventually("all are there", || metric(server, "switchboard_connections") == 3.0);
    (conn, reader, began)
}

#[test]
fn who_goes_while_they_have_to_wait_is_not_waited_for() {
    let server = server(|config| config.limits.publishes = Some(1));
    let (conn, _reader, began) = resting(&server);
    conn.cut();
    eventually("the publisher is gone", || metric(&server, "switchboard_connections") == 2.0);
    assert!(began.elapsed() < REST - Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn what_came_whole_before_somebody_went_is_published_and_counted() {
    let server = server(|config| config.limits.publishes = Some(1));
    let (mut conn, mut reader, began) = resting(&server);
    conn.send(chunk(3));
    conn.finish();
    (0..3).for_each(|_| assert_eq!(reader.event().data, "1"));
    assert!(began.elapsed() < REST - Duration::from_secs(2), "{:?}", began.elapsed());
    drop(conn);
    let shown = bearer(&token("ann", &["**"]));
    let answer = server.post("/channels/a", &[("Authorization", &*shown)], "x").expect_problem(429, "rate_limited");
    let after = answer.field("retry-after").and_then(|after| after.parse::<u64>().ok()).unwrap();
    assert!(after + began.elapsed().as_secs() >= 10, "what was not waited for is owed: {answer}");
}
