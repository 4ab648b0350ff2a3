//! The bytes in `docs/transports.md`, counted on sockets of the real program. A row that is no longer true fails with
//! the row as it should be; `cargo test -p switchboard-cli --test transports -- --nocapture` prints all of them.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test of the document, which prints its tables")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use switchboard_testkit::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");
const CHANNEL: &str = "/channels/chat/room-1";
/// As long in every run, whatever the port is: open mode takes any.
const HOST: &str = "Host: 127.0.0.1:8000";
/// 100 bytes of text.
const DATA: &str =
    "This is an event with one hundred bytes of text in it, which is about what people say to each other.";

fn server(heartbeat: &str) -> Server {
    Server::process(PROGRAM, &["serve", "--listen", "127.0.0.1:0", "--shards", "1", "--heartbeat", heartbeat])
}

/// A connection that counts.
struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    fn open(server: &Server) -> Wire {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Wire { stream, unread: Vec::new() }
    }

    /// Sends, and tells how much that was.
    fn send(&mut self, bytes: impl AsRef<[u8]>) -> usize {
        self.stream.write_all(bytes.as_ref()).unwrap();
        bytes.as_ref().len()
    }

    fn get(&mut self, target: &str, fields: &[&str]) -> usize {
        let fields: String = [HOST].iter().chain(fields).map(|field| format!("{field}\r\n")).collect();
        self.send(format!("GET {target} HTTP/1.1\r\n{fields}\r\n"))
    }

    fn more(&mut self) {
        let mut some = [0; 4096];
        let count = self.stream.read(&mut some).unwrap();
        assert_ne!(count, 0, "it was closed after {:?}", String::from_utf8_lossy(&self.unread));
        self.unread.extend_from_slice(&some[..count]);
    }

    /// What comes, up to and with this end; nothing, where nothing ends with it.
    fn until(&mut self, end: &str) -> String {
        if end.is_empty() {
            return String::new();
        }
        loop {
            let found = self.unread.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                return String::from_utf8(self.unread.drain(..at + end.len()).collect()).unwrap();
            }
            self.more();
        }
    }

    fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            self.more();
        }
        self.unread.drain(..count).collect()
    }

    /// A whole frame, which the server sends unmasked.
    fn frame(&mut self) -> usize {
        let first = self.exactly(2);
        let (more, length) = match first[1] {
            126 => (2, usize::from(u16::from_be_bytes(self.exactly(2).try_into().unwrap()))),
            length => (0, usize::from(length)),
        };
        2 + more + self.exactly(length).len()
    }

    /// A whole answer with a length: its head and body.
    fn answer(&mut self) -> usize {
        let head = self.until("\r\n\r\n");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        head.len() + self.exactly(length.map_or(0, |length| length.parse().unwrap())).len()
    }
}

/// One way to hold a stream open.
struct Way {
    name: &'static str,
    query: &'static str,
    accept: &'static str,
    /// The end of the opening notice, if there is one, of an event and of a heartbeat.
    ends: [&'static str; 3],
}

const SSE: [&str; 3] = ["\n\n\r\n", "\n\n\r\n", ":\n\r\n"];
const LINES: [&str; 3] = ["\n\r\n", "\n\r\n", "\n\r\n"];
const WAYS: [Way; 4] = [
    Way { name: "SSE, raw form", query: "", accept: "text/event-stream", ends: SSE },
    Way { name: "SSE, event form", query: "?form=event", accept: "text/event-stream", ends: SSE },
    Way { name: "HTTP stream, event form", query: "", accept: "application/x-ndjson", ends: LINES },
    Way { name: "HTTP stream, raw form", query: "?form=raw", accept: "application/x-ndjson", ends: ["", ".\r\n", ""] },
];

/// The document's row: up and down, to begin with, for each event and for each heartbeat.
fn row(name: &str, begin: [usize; 3], event: usize, beat: &str) -> String {
    let [request, head, opening] = begin;
    let overhead = event - DATA.len();
    format!("| {name} | {request} | {head} | {opening} | {event} | {overhead} | {beat} |")
}

fn streamed(quiet: &Server, beating: &Server, way: &Way) -> String {
    let target = format!("{CHANNEL}{}", way.query);
    let accept = format!("Accept: {}", way.accept);
    let [opened, ended, beaten] = way.ends;
    let mut wire = Wire::open(quiet);
    let begin = [wire.get(&target, &[&accept]), wire.until("\r\n\r\n").len(), wire.until(opened).len()];
    quiet.publish("chat/room-1", DATA);
    let event = wire.until(ended).len();
    assert!(wire.unread.is_empty());
    if beaten.is_empty() {
        return row(way.name, begin, event, "none");
    }
    let mut wire = Wire::open(beating);
    wire.get(&target, &[&accept]);
    wire.until("\r\n\r\n");
    wire.until(opened);
    row(way.name, begin, event, &wire.until(beaten).len().to_string())
}

fn handshake(wire: &mut Wire, query: &str) -> [usize; 2] {
    let fields = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    [wire.get(&format!("{CHANNEL}{query}"), &fields), wire.until("\r\n\r\n").len()]
}

fn socket(quiet: &Server, beating: &Server, name: &str, query: &str) -> String {
    let is_raw = query.is_empty();
    let mut wire = Wire::open(quiet);
    let [request, head] = handshake(&mut wire, query);
    let opening = if is_raw { 0 } else { wire.frame() };
    quiet.publish("chat/room-1", DATA);
    let event = wire.frame();
    let mut wire = Wire::open(beating);
    handshake(&mut wire, query);
    if !is_raw {
        wire.frame();
    }
    let (ping, pong) = (wire.frame(), wire.send([0x8a, 0x80, 1, 2, 3, 4]));
    row(name, [request, head, opening], event, &format!("{ping} and {pong} back"))
}

fn up_and_down(name: &str, up: usize, down: usize) -> String {
    format!("| {name} | {up} | {down} |")
}

/// Each answer on a connection that is kept alive: up, down.
fn polls(server: &Server) -> Vec<String> {
    let mut wire = Wire::open(server);
    let mut ask = |target: &str, fields: &[&str]| (wire.get(target, fields), wire.answer());
    let since = server.publish("chat/room-1", DATA);
    let target = format!("{CHANNEL}?since={since}");
    let nothing = ask(&target, &[]);
    let unchanged = ask(&target, &[&format!("If-None-Match: W/\"{since}\"")]);
    // As long as `wait=30`, and sooner over.
    let in_vain = ask(&format!("{target}&wait=01"), &[]);
    let second = server.publish("chat/room-1", DATA);
    let one = ask(&format!("{target}&wait=30"), &[]);
    server.publish("chat/room-1", DATA);
    let (last, both) = (ask(&format!("{CHANNEL}?since={second}"), &[]), ask(&target, &[]));
    assert_eq!(last.1, one.1, "an event is the same on a page that waited and on one that did not");
    [
        ("poll that finds nothing", nothing),
        ("poll that finds nothing, with `If-None-Match` (304)", unchanged),
        ("long poll that waits in vain", in_vain),
        ("long poll that brings one event", one),
        ("each further event in the same answer", (0, both.1 - last.1)),
    ]
    .map(|(name, (up, down))| up_and_down(name, up, down))
    .to_vec()
}

/// What an hour without events costs, from the rows that were counted.
fn quiet_hours(streams: &[String], polls: &[String]) -> Vec<String> {
    let cell =
        |row: &str, at: usize| row.split(" | ").nth(at).unwrap().trim_end_matches(" |").parse::<usize>().unwrap();
    let both = |row: &str| cell(row, 1) + cell(row, 2);
    let beat =
        |row: &str| row.split(" | ").nth(6).unwrap().split(' ').filter_map(|word| word.parse::<usize>().ok()).sum();
    let (sse, stream, socket): (usize, usize, usize) = (beat(&streams[0]), beat(&streams[2]), beat(&streams[5]));
    [
        ("poll, each second", both(&polls[0]) * 3600),
        ("the same with `If-None-Match`", both(&polls[1]) * 3600),
        ("long poll of 30 s", both(&polls[2]) * 120),
        ("SSE, heartbeat of 15 s", sse * 240),
        ("HTTP stream, heartbeat of 15 s", stream * 240),
        ("WebSocket, heartbeat of 15 s", socket * 240),
    ]
    .map(|(name, bytes)| format!("| {name} | {} |", thousands(bytes)))
    .to_vec()
}

fn thousands(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", thousands(number / 1000), number % 1000) }
}

fn publishing(server: &Server) -> Vec<String> {
    let mut wire = Wire::open(server);
    let post = |kind: &str, length: &str| format!("POST {CHANNEL} HTTP/1.1\r\n{HOST}\r\n{kind}{length}\r\n\r\n");
    let up = wire.send(format!("{}{DATA}", post("", &format!("Content-Length: {}", DATA.len()))));
    let posted = up_and_down("`POST` of one event, on a kept-alive connection", up, wire.answer());

    let mut wire = Wire::open(server);
    wire.send(post("Content-Type: application/x-ndjson\r\n", "Transfer-Encoding: chunked"));
    let event = format!("{{\"data\":\"{DATA}\"}}\n");
    let up = wire.send(format!("{:x}\r\n{event}\r\n", event.len()));
    wire.send("0\r\n\r\n");
    assert!(wire.until("}").contains("201"));
    let streamed = up_and_down("line of a stream of events (NDJSON), in a chunk of its own", up, 0);

    let mut wire = Wire::open(server);
    handshake(&mut wire, "");
    let mut frame = vec![0x81, 0x80 | u8::try_from(DATA.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(DATA.as_bytes());
    let up = wire.send(frame);
    // It is told what it said, as every reader is: that is no answer, so it does not count.
    wire.frame();
    vec![posted, streamed, up_and_down("WebSocket message in raw form", up, 0)]
}

#[test]
fn the_bytes_in_the_document_are_those_on_the_wire() {
    assert_eq!(DATA.len(), 100);
    let (quiet, beating) = (server("15s"), server("1s"));
    let mut rows: Vec<String> = WAYS.iter().map(|way| streamed(&quiet, &beating, way)).collect();
    rows.push(socket(&quiet, &beating, "WebSocket, raw form", ""));
    rows.push(socket(&quiet, &beating, "WebSocket, event form", "?form=event"));
    let polls = polls(&quiet);
    let hours = quiet_hours(&rows, &polls);
    rows.extend([polls, hours].concat());
    rows.extend(publishing(&quiet));
    let last = quiet.publish("chat/room-1", DATA);
    assert_eq!(last.len(), 12, "the document's figures are with ids of 12 bytes");

    println!("{}", rows.join("\n"));
    let document = std::fs::read_to_string(format!("{}/../../docs/transports.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for row in &rows {
        assert!(document.lines().any(|line| line == row), "docs/transports.md lacks this row:\n{row}");
    }
}
