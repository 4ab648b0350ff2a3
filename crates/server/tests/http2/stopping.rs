//! A server that stops, and connections on which nothing is asked.

use crate::websocket::{self, json_of};
use crate::{connect, goes_on};
use std::net::TcpStream;
use std::thread::{JoinHandle, spawn, yield_now};
use std::time::{Duration, Instant};
use switchboard_testkit::http2::{data, error, fields, headers, kind, setting, window_update};
use switchboard_testkit::{Http2, PATIENCE, Server, config};

/// After how long a connection is idle here: a client that is to ask before then may get no turn for a while.
const IDLE: Duration = Duration::from_secs(1);

fn draining(server: Server) -> JoinHandle<Duration> {
    spawn(move || {
        let began = Instant::now();
        server.drain();
        began.elapsed()
    })
}

/// Waits for the end of the connection.
#[track_caller]
fn ends(client: &mut Http2) {
    while client.next().is_some() {}
}

#[test]
fn a_drain_tells_every_stream_and_then_the_connection() {
    let mut config = config();
    config.drain = Duration::from_secs(60);
    config.timeouts.close = Duration::from_secs(60);
    let server = Server::start(config);
    let mut client = connect(&server);
    let streams = || (0..20).map(|n| 2 * n + 1);
    for stream in streams() {
        client.sse(stream, "/channels/a", &[]);
    }
    client.ask(41, "GET", "/channels?channel=a", &[("accept", "application/x-ndjson")], None);
    client.head(41);
    websocket::open(&mut client, 43, "/channels?channel=a", &[]);
    json_of(&mut client, 43);
    client.ask(45, "GET", "/channels/a?wait=60&since=latest", &[], None);
    let mut idle = connect(&server);
    goes_on(&mut idle, 1);
    server.await_readers("a", 23);
    let mut publisher = server.connect();
    for n in 0..50 {
        publisher.publish("a", n.to_string());
    }
    drop(publisher);
    let began = Instant::now();
    let thread = draining(server);
    for stream in streams() {
        let heard = client.text_through(stream, "event: $closing\n");
        assert!((0..50).all(|n| heard.contains(&format!("data: {n}\n"))), "nothing is lost: {heard}");
        client.rest(stream).unwrap_or_else(|ended| panic!("{stream} breaks off: {ended:?}"));
    }
    client.text_through(41, "{\"$closing\":");
    assert!(client.rest(41).is_ok());
    for n in 0..50 {
        assert_eq!(json_of(&mut client, 43)["data"], n.to_string());
    }
    assert!(json_of(&mut client, 43).get("$closing").is_some());
    let (first, close) = websocket::next(&mut client, 43);
    assert_eq!((first, &close[..2]), (0x88, &1012u16.to_be_bytes()[..]));
    let poll = client.response(45);
    assert!(matches!(poll.status(), 200 | 503), "{poll}");
    client.send(data(43, switchboard_testkit::websocket::frame(true, 8, &close[..2]), true));
    assert!(client.rest(43).is_ok());
    assert_eq!(client.farewell().1, error::NO_ERROR);
    ends(&mut client);
    idle.farewell();
    ends(&mut idle);
    assert!(began.elapsed() < Duration::from_secs(3), "told after {:?}", began.elapsed());
    thread.join().unwrap();
}

#[test]
fn a_client_is_told_to_go_when_its_streams_have_said_their_last_words() {
    let server = Server::new();
    let mut client = connect(&server);
    client.sse(1, "/channels/a", &[]);
    let thread = draining(server);
    let mut has_ended = false;
    loop {
        let frame = client.next().expect("the connection does not end before");
        if frame.kind == kind::GOAWAY {
            break;
        }
        has_ended |= frame.stream == 1 && frame.ends_stream();
    }
    assert!(has_ended, "some clients hang up on hearing it");
    client.cut();
    thread.join().unwrap();
}

#[test]
fn nobody_is_told_to_go_before_every_stream_of_the_server_was_told_of_the_drain() {
    let server = Server::new();
    let mut busy: Vec<Http2> = (0..4).map(|_| connect(&server)).collect();
    for client in &mut busy {
        for n in 0..50 {
            client.sse(2 * n + 1, "/channels/a", &[]);
        }
        client.ping();
    }
    let mut idle: Vec<Http2> = (0..16).map(|_| connect(&server)).collect();
    for client in &mut idle {
        goes_on(client, 1);
        client.ping();
    }
    server.await_readers("a", 200);
    let thread = draining(server);
    let sockets = |clients: &[Http2]| -> Vec<TcpStream> { clients.iter().map(Http2::socket).collect() };
    let (quiet, told) = (sockets(&idle), sockets(&busy));
    for socket in quiet.iter().chain(&told) {
        socket.set_nonblocking(true).unwrap();
    }
    let hears = |socket: &TcpStream| socket.peek(&mut [0]).is_ok();
    let patience = Instant::now() + PATIENCE;
    while !quiet.iter().any(hears) {
        assert!(Instant::now() < patience, "nobody is told to go");
        yield_now();
    }
    // A pool of connections may hang up on all of them as soon as it hears it on one.
    assert!(told.iter().all(hears), "the last words of streams come before");
    drop((idle, busy, quiet, told));
    thread.join().unwrap();
}

#[test]
fn a_drain_lets_what_is_in_progress_finish_and_refuses_what_comes_behind() {
    let server = Server::new();
    let mut client = connect(&server);
    let asked = fields("POST", "/channels/a", &[("expect", "100-continue"), ("content-length", "5")]);
    client.send(headers(1, &asked, false));
    // It is being answered once the server asks for the body.
    assert_eq!(client.head(1).status, 100);
    client.send(data(1, "hel", false));
    let thread = draining(server);
    client.farewell();
    client.send(data(1, "lo", true));
    let answer = client.response(1);
    assert!(matches!(answer.status(), 201 | 503), "{answer}");
    ends(&mut client);
    thread.join().unwrap();
}

#[test]
fn a_drain_does_not_wait_for_streams_that_are_not_read() {
    let mut config = config();
    config.drain = Duration::from_secs(2);
    config.timeouts.close = Duration::from_secs(1);
    let server = Server::start(config);
    let mut client = connect(&server);
    client.grants = false;
    client.sse(1, "/channels/a", &[]);
    websocket::open(&mut client, 3, "/channels/a", &[]);
    client.send(headers(5, &fields("POST", "/channels/a", &[]), false));
    client.send(data(5, "half", false));
    let mut conn = server.connect();
    for _ in 0..20 {
        conn.publish("a", "x".repeat(100_000));
    }
    drop(conn);
    let took = draining(server).join().unwrap();
    assert!(took < PATIENCE, "{took:?}");
}

#[test]
fn a_drain_does_not_wait_for_clients_that_never_read() {
    let mut config = config();
    config.drain = Duration::from_secs(60);
    config.timeouts.close = Duration::from_millis(500);
    let server = Server::start(config);
    server.publish("page", "x".repeat(200_000));
    // One whose socket is full, and one whose windows are.
    let mut full = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 1 << 30)]);
    full.send(window_update(0, 1 << 30));
    let mut shut = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
    shut.grants = false;
    for client in [&mut full, &mut shut] {
        client.sse(1, "/channels/a", &[]);
        client.ask(3, "GET", "/channels/page?since=earliest", &[], None);
    }
    let mut conn = server.connect();
    for _ in 0..200 {
        conn.publish("a", "x".repeat(100_000));
    }
    drop(conn);
    let took = draining(server).join().unwrap();
    assert!(took < PATIENCE, "{took:?}");
}

#[test]
fn a_connection_on_which_nothing_is_asked_is_told_to_go() {
    let mut config = config();
    config.timeouts.idle = IDLE;
    let server = Server::start(config);
    let mut client = connect(&server);
    let began = Instant::now();
    goes_on(&mut client, 1);
    assert_eq!(client.farewell().1, error::NO_ERROR);
    assert!(began.elapsed() > IDLE / 2, "{:?}", began.elapsed());
    ends(&mut client);
}

#[test]
fn a_connection_on_which_something_is_asked_every_now_and_then_is_not_told_to_go() {
    let mut config = config();
    config.timeouts.idle = IDLE;
    let server = Server::start(config);
    let mut client = connect(&server);
    let (began, mut streams) = (Instant::now(), (0..).map(|n| 2 * n + 1));
    let mut last = began;
    while began.elapsed() < 2 * IDLE {
        last = Instant::now();
        goes_on(&mut client, streams.next().unwrap());
    }
    assert_eq!(client.farewell().1, error::NO_ERROR);
    assert!(last.elapsed() > IDLE / 2, "{:?}", last.elapsed());
}

#[test]
fn a_connection_with_a_stream_that_is_held_is_not_idle_and_is_once_it_has_gone() {
    let mut config = config();
    config.timeouts.idle = IDLE;
    let server = Server::start(config);
    let mut client = connect(&server);
    client.sse(1, "/channels/a", &[]);
    client.text_through(1, "event: $open\n");
    assert!(client.is_silent_for(1, 2 * IDLE));
    // It was not told to go: it may ask on.
    goes_on(&mut client, 3);
    server.publish("a", "still here");
    client.text_through(1, "data: still here\n");
    server.end("a");
    assert!(client.rest(1).is_ok());
    assert_eq!(client.farewell().1, error::NO_ERROR);
    ends(&mut client);
}

#[test]
fn a_client_that_does_not_answer_is_left_once_nothing_of_its_is_open() {
    let mut config = config();
    config.timeouts.idle = IDLE;
    config.timeouts.close = Duration::from_millis(200);
    let server = Server::start(config);
    let mut client = connect(&server);
    client.answers = false;
    goes_on(&mut client, 1);
    assert_eq!(client.farewell().1, error::NO_ERROR);
    ends(&mut client);
}
