//! Heartbeats on every transport, quiet streams, and clients that went away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use switchboard_testkit::websocket::PING;
use switchboard_testkit::{Config, Follower, Message, PATIENCE, Said, Server, Transport, config, eventually};

fn beating(every: Duration) -> Config {
    let mut config = config();
    config.heartbeat = every;
    config
}

#[test]
fn a_websocket_is_pinged_and_a_pong_keeps_it_open() {
    let server = Server::start(beating(Duration::from_millis(50)));
    for target in ["/channels/a", "/channels?channel=a"] {
        let mut socket = server.websocket(target);
        let mut pings = 0;
        while pings < 10 {
            let frame = socket.next_frame().expect("it stays open");
            if frame.opcode == PING {
                socket.conn.send(switchboard_testkit::websocket::frame(true, 0xa, &frame.payload));
                pings += 1;
            }
        }
        server.publish("a", "still there");
        while !socket.text().contains("still there") {}
    }
}

#[test]
fn a_websocket_that_does_not_answer_a_ping_in_time_is_closed() {
    let server = Server::start(beating(Duration::from_millis(50)));
    let mut socket = server.websocket("/channels/a");
    socket.answers_pings = false;
    let began = Instant::now();
    let end = socket.next();
    assert!(matches!(end, Message::Close(4408, _) | Message::Eof), "{end:?}");
    assert!(began.elapsed() < PATIENCE);
    eventually("the reader is forgotten", || server.readers("a") == 0);
}

#[test]
fn a_busy_stream_needs_no_heartbeat_to_live() {
    let server = Server::start(beating(Duration::from_millis(100)));
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    let mut conn = server.connect();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(400) {
        conn.publish("a", "x");
        assert_eq!(sse.event().data, "x");
    }
}

#[test]
fn a_quiet_streams_cursor_is_said_often_enough_that_the_history_cannot_pass_it_by() {
    let mut config = beating(Duration::from_millis(50));
    config.policy.ring = 64;
    let server = Server::start(config);
    let quiet_again = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut conn = server.connect();
            while !quiet_again.load(Ordering::Relaxed) {
                conn.publish("busy", "x");
            }
        });
        for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket] {
            let mut follower = Follower::open(&server, &["quiet"], None, transport);
            let Said::Open { position: mut before, .. } = follower.next() else { panic!("`$open` first") };
            for _ in 0..3 {
                let Said::Position(position) = follower.next() else { panic!("nothing else happens") };
                assert!(position > before, "{transport:?}: {before} {position}");
                before = position;
            }
        }
        quiet_again.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_quiet_stream_on_a_quiet_server_repeats_no_position() {
    let server = Server::start(beating(Duration::from_millis(20)));
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    let mut positions = 0;
    for _ in 0..20 {
        if let switchboard_testkit::Item::Block(block) = sse.next() {
            assert_eq!(block.event, "$position");
            positions += 1;
        }
    }
    assert!(positions <= 1, "nothing moved, and {positions} positions were told");
}

#[test]
fn clients_that_went_away_are_noticed_on_every_transport() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let followers = [Transport::Sse, Transport::Stream, Transport::WebSocket]
        .map(|transport| Follower::open(&server, &["a"], None, transport));
    let single = server.sse("/channels/a");
    let mut poll = server.connect();
    poll.ask("GET", &format!("/channels/a?since={first}&wait=60"), &[], None);
    eventually("all read", || server.readers("a") >= 4);
    for follower in followers {
        follower.cut();
    }
    single.stream.conn.cut();
    poll.cut();
    eventually("nobody reads", || server.readers("a") == 0);
}

#[test]
fn clients_that_close_their_side_are_noticed() {
    let server = Server::new();
    let sse = server.sse("/channels/a");
    let lines = server.lines("/channels/a");
    server.await_readers("a", 2);
    drop(sse);
    drop(lines);
    server.await_readers("a", 0);
}

#[test]
fn a_stream_that_was_told_its_cursor_by_an_event_is_not_told_it_again() {
    let server = Server::start(beating(Duration::from_millis(20)));
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    server.publish("a", "1");
    sse.event();
    for _ in 0..10 {
        assert!(matches!(sse.next(), switchboard_testkit::Item::Comment(_)), "nothing else was published");
    }
}
