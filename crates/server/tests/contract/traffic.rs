//! "Other addresses", `/metrics`: what reading costs on the wire is counted to the byte, for each transport.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use switchboard_testkit::{Server, eventually, prometheus};

/// A client that knows nothing but bytes.
struct Wire {
    socket: TcpStream,
    sent: usize,
    received: Vec<u8>,
}

impl Wire {
    fn open(server: &Server) -> Wire {
        let socket = TcpStream::connect(server.address()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Wire { socket, sent: 0, received: Vec::new() }
    }

    fn ask(server: &Server, target: &str, fields: &str) -> Wire {
        let mut wire = Wire::open(server);
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").as_bytes());
        wire
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
        self.sent += bytes.len();
    }

    /// Takes what has arrived.
    fn take(&mut self) {
        let mut piece = [0; 4096];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => self.received.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Bytes of the head, and what came after it.
    fn parts(&mut self) -> (usize, usize) {
        self.take();
        let end = self.received.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        (end, self.received.len() - end)
    }
}

fn counts(server: &Server, transport: &str) -> BTreeMap<&'static str, usize> {
    let all = prometheus::parse(&server.get("/metrics").expect(200).text());
    let named = ["reads", "read_events", "read_request_bytes", "read_head_bytes", "read_body_bytes"];
    let of = |name| all[&format!("switchboard_{name}_total{{transport=\"{transport}\"}}")] as usize;
    named.into_iter().map(|name| (name, of(name))).collect()
}

/// Waits until the server's counts are those of these clients.
#[expect(clippy::print_stdout, reason = "it is shown only where the test fails")]
fn agree(server: &Server, transport: &str, clients: &mut [Wire], reads: usize, events: usize) {
    let mut seen = String::new();
    eventually("the server counts what the clients saw", || {
        let parts: Vec<(usize, usize)> = clients.iter_mut().map(Wire::parts).collect();
        let expected = BTreeMap::from([
            ("reads", reads),
            ("read_events", events),
            ("read_request_bytes", clients.iter().map(|client| client.sent).sum()),
            ("read_head_bytes", parts.iter().map(|part| part.0).sum()),
            ("read_body_bytes", parts.iter().map(|part| part.1).sum()),
        ]);
        let counted = counts(server, transport);
        let news = format!("{transport}: counted {counted:?}, seen {expected:?}");
        if news != seen {
            println!("{news}");
            seen = news;
        }
        counted == expected
    });
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";

#[test]
fn streams_are_counted_to_the_byte_live_and_behind() {
    let server = Server::new();
    let long = "a line that a compressor makes much of, ".repeat(20);
    server.publish("a", "before");
    let sse = |target| Wire::ask(&server, target, "Accept: text/event-stream\r\n");
    let mut events = [
        sse("/channels/a"),
        sse("/channels/a?since=earliest"),
        sse("/channels/a?form=event"),
        Wire::ask(&server, "/channels/a", "Accept: text/event-stream\r\nAccept-Encoding: gzip\r\n"),
    ];
    let mut lines = [Wire::ask(&server, "/channels/a", "Accept: application/x-ndjson\r\n")];
    let deflate = format!("{UPGRADE}Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let mut sockets =
        [Wire::ask(&server, "/channels/a?form=event", UPGRADE), Wire::ask(&server, "/channels/a?form=event", &deflate)];
    server.await_readers("a", 7);
    server.publish("a", "live");
    server.publish("a", &long);
    // A ping, masked as a client's is, and its pong.
    sockets[0].send(&[0x89, 0x80, 1, 2, 3, 4]);
    agree(&server, "sse", &mut events, 4, 9);
    agree(&server, "stream", &mut lines, 1, 2);
    agree(&server, "websocket", &mut sockets, 2, 4);
    let (plain, deflated) = (sockets[0].received.len(), sockets[1].received.len());
    assert!(deflated + 400 < plain, "compressed bytes are counted, not what they stand for: {deflated} {plain}");
    server.end("a");
    agree(&server, "sse", &mut events, 4, 9);
    agree(&server, "stream", &mut lines, 1, 2);
    agree(&server, "websocket", &mut sockets, 2, 4);
}

#[test]
fn heartbeats_are_counted() {
    let mut config = switchboard_testkit::config();
    // So seldom that there is time to compare between two of them.
    config.heartbeat = std::time::Duration::from_secs(1);
    let server = Server::start(config);
    let mut events = [Wire::ask(&server, "/channels/a", "Accept: text/event-stream\r\n")];
    eventually("a heartbeat", || {
        events[0].take();
        events[0].received.ends_with(b"2\r\n:\n\r\n")
    });
    agree(&server, "sse", &mut events, 1, 0);
}

#[test]
fn pages_are_counted_to_the_byte() {
    let server = Server::new();
    server.publish("a", "one");
    server.publish("a", "two");
    let poll = |fields| Wire::ask(&server, "/channels/a?since=earliest", fields);
    let mut pages = [poll(""), poll("Accept: application/json\r\n"), Wire::ask(&server, "/channels/b", "")];
    agree(&server, "poll", &mut pages, 3, 4);

    let long = |query| Wire::ask(&server, &format!("/channels/a?since=latest&{query}"), "");
    let mut waiting = [long("wait=20"), long("wait=0")];
    server.await_readers("a", 1);
    server.publish("a", "three");
    agree(&server, "long_poll", &mut waiting, 2, 1);
    // What is no read is counted nowhere.
    server.get("/healthz").expect(200);
    agree(&server, "poll", &mut pages, 3, 4);
}

#[test]
fn a_refused_read_is_none_and_head_brings_no_events() {
    let server = Server::new();
    server.publish("a", "one");
    server.get("/channels/a?limit=0").expect_refusal(400);
    server.request("HEAD", "/channels/a", &[], None);
    // It is counted once it is answered.
    eventually("the read is counted", || counts(&server, "poll")["reads"] > 0);
    let counted = counts(&server, "poll");
    assert_eq!((counted["reads"], counted["read_events"], counted["read_body_bytes"]), (1, 0, 0), "{counted:?}");
}
