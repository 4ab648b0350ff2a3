//! Heartbeats on every transport, quiet streams, and clients that went away.

use std::time::{Duration, Instant};
use switchboard_testkit::websocket::{PING, PONG, frame};
use switchboard_testkit::{Config, Follower, Message, PATIENCE, Said, Server, Stop, Transport, config, eventually};

/// How often clients are pinged that answer: so seldom that none of them seems gone where the machine is busy.
const SELDOM: Duration = Duration::from_millis(400);

fn beating(every: Duration) -> Config {
    let mut config = config();
    config.heartbeat = every;
    config
}

#[test]
fn a_websocket_is_pinged_and_a_pong_keeps_it_open() {
    let server = Server::start(beating(SELDOM));
    let mut sockets = ["/channels/a", "/channels?channel=a"].map(|target| server.websocket(target));
    // More in a row than may go unanswered.
    for _ in 0..5 {
        for socket in &mut sockets {
            let ping = loop {
                let frame = socket.next_frame().expect("it stays open");
                if frame.opcode == PING {
                    break frame;
                }
            };
            socket.conn.send(frame(true, PONG, &ping.payload));
        }
    }
    server.publish("a", "still there");
    for socket in &mut sockets {
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
    let mut config = beating(SELDOM);
    config.policy.ring = 64;
    let server = Server::start(config);
    std::thread::scope(|scope| {
        let stop = Stop::default();
        let quiet_again = stop.watch();
        let mut conn = server.connect();
        scope.spawn(move || {
            while !quiet_again() {
                conn.publish("busy", "x");
            }
        });
        let mut followers = [Transport::Sse, Transport::Stream, Transport::WebSocket].map(|transport| {
            let mut follower = Follower::open(&server, &["quiet"], None, transport);
            let Said::Open { position, .. } = follower.next() else { panic!("`$open` first") };
            (transport, follower, position)
        });
        for _ in 0..3 {
            for (transport, follower, before) in &mut followers {
                let Said::Position(position) = follower.next() else { panic!("nothing else happens") };
                assert!(position > *before, "{transport:?}: {before} {position}");
                *before = position;
            }
        }
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
