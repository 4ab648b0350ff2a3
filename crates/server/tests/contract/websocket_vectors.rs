//! `vectors/websocket` over real sockets. What a WebSocket in raw form says, it hears: so `/channels/echo` is an echo
//! server, and all the vectors that a server reads are played to it, one after the other, on that one channel: directly, and
//! over HTTP/2 through nghttpx, which speaks HTTP/1.1 on its other side.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use switchboard_testkit::reach::reach;
use switchboard_testkit::websocket::{BINARY, CLOSE, PING, PONG, TEXT, frame, inflate};
use switchboard_testkit::{Conn, Field, Response, Server, WebSocket, config, eventually, free_port};
use switchboard_vectors::{Case, Event, Piece, Side, websocket};

/// What says to everyone what it hears.
const ECHO: &str = "/channels/echo";

/// What a socket surely takes at once, in bytes.
const SPARED: usize = 128 << 10;

/// A server with the limits that a vector is for.
fn server(case: &Case) -> Server {
    let mut config = config();
    config.limits.message = case.limit;
    config.limits.fragments = case.fragments;
    Server::start(config)
}

/// What opens a WebSocket, with these fields in its handshake.
type Open<'a> = dyn Fn(&[Field<'_>]) -> Result<WebSocket, Response> + 'a;

/// One way to send a vector.
fn play(open: &Open<'_>, case: &Case, pieces: &[Piece], how: &str) {
    let name = format!("{}, {how}", case.name);
    let offer = case.offer.as_deref().or(case.deflate.then_some("permessage-deflate"));
    let fields: Vec<Field<'_>> = offer.iter().map(|offer| ("Sec-WebSocket-Extensions", *offer)).collect();
    let mut socket = open(&fields).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    let answer = socket.head.field("sec-websocket-extensions").map(str::to_owned);
    if case.offer.is_some() {
        assert_eq!(answer, case.answer, "{name}");
    }
    let mut heard = Heard { window: window(answer.as_deref()), ..Heard::default() };
    for piece in pieces {
        if socket.conn.try_send(&piece.bytes).is_err() {
            assert!(ends(case), "{name}: the server hung up");
            break;
        }
        if piece.message.is_some() {
            heard.listen(&mut socket, |heard| heard.messages.len());
        }
    }
    let (messages, pongs, code) = expected(case);
    while heard.messages.len() < messages.len() && heard.listen(&mut socket, |heard| heard.messages.len()) {}
    if !ends(case) {
        socket.send_close(1000);
    }
    while heard.listen(&mut socket, |heard| heard.closed.len()) {}
    // A peer that closes while much is due to it may be spared the rest (RFC 6455 section 5.5.1).
    let spared = closes(case) && case.whole().len() > SPARED && messages.starts_with(&heard.messages);
    let (came, due) = (heard.messages.len(), messages.len());
    assert!(spared || heard.messages == messages, "{name}: of {due} messages {came} came, or other ones");
    assert_eq!(heard.pongs, pongs, "{name}: the pongs");
    assert_eq!(heard.closed, [code], "{name}: the close, just once, and then the end of the connection");
}

/// The smallest window that the server agreed on, in bits.
fn window(answer: Option<&str>) -> usize {
    let parts = answer.unwrap_or_default().split(';').map(str::trim);
    parts
        .filter_map(|part| part.strip_prefix("server_max_window_bits="))
        .map(|bits| bits.parse().unwrap())
        .min()
        .unwrap_or(15)
}

/// Whether the vector ends with the server's close.
fn ends(case: &Case) -> bool {
    case.fails.is_some() || closes(case)
}

/// Whether the vector closes.
fn closes(case: &Case) -> bool {
    case.events.iter().any(|event| matches!(event, Event::Close(..)))
}

/// What an echo server answers: the messages, the pongs, and the code of its close (1005 if it has none).
fn expected(case: &Case) -> (Vec<Event>, Vec<Vec<u8>>, u16) {
    let (mut messages, mut pongs, mut code) = (Vec::new(), Vec::new(), case.fails.unwrap_or(1000));
    for event in &case.events {
        match event {
            Event::Text(_) | Event::Binary(_) => messages.push(event.clone()),
            Event::Ping(payload) => pongs.push(payload.clone()),
            Event::Pong(_) => {}
            Event::Close(told, _) => code = told.unwrap_or(1005),
        }
    }
    (messages, pongs, code)
}

/// What the server said.
#[derive(Default)]
struct Heard {
    window: usize,
    messages: Vec<Event>,
    pongs: Vec<Vec<u8>>,
    closed: Vec<u16>,
    is_over: bool,
}

impl Heard {
    /// Listens until there is more of something; false if the connection ends before.
    fn listen(&mut self, socket: &mut WebSocket, of: impl Fn(&Heard) -> usize) -> bool {
        let before = of(self);
        while of(self) == before && !self.is_over {
            self.hear(socket);
        }
        !self.is_over
    }

    fn hear(&mut self, socket: &mut WebSocket) {
        let Some(received) = socket.next_frame() else {
            self.is_over = true;
            return;
        };
        assert!(self.closed.is_empty(), "something follows the close: {}", socket.conn.seen());
        assert!(received.fin, "a message is sent in one frame");
        let data = if received.compressed {
            assert!(reach(&received.payload) <= 1 << self.window, "the client keeps a window of {} bits", self.window);
            inflate(&received.payload)
        } else {
            received.payload
        };
        match received.opcode {
            TEXT => self.messages.push(Event::Text(String::from_utf8(data).unwrap())),
            BINARY => self.messages.push(Event::Binary(data)),
            PONG => self.pongs.push(data),
            PING => socket.conn.send(frame(true, PONG, &data)),
            CLOSE => {
                self.closed.push(data.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)));
                // The server waits for the answer, unless its close is one.
                let _ = socket.conn.try_send(frame(true, CLOSE, &data));
            }
            other => panic!("opcode {other}: {}", socket.conn.seen()),
        }
    }
}

#[test]
fn the_server_answers_the_vectors_however_they_are_cut() {
    let mut servers = HashMap::new();
    let mut count = 0;
    for case in websocket().filter(|case| case.role == Side::Server) {
        let server = servers.entry((case.limit, case.fragments)).or_insert_with(|| server(&case));
        let open = |fields: &[Field<'_>]| server.handshake(ECHO, fields);
        play(&open, &case, &case.pieces, "as given");
        let whole = case.whole();
        for (size, most) in [(usize::MAX, 2 << 20), (1, 2 << 10), (1009, 1 << 18)] {
            if whole.len() <= most {
                let cut = whole.chunks(size).map(|bytes| Piece { bytes: bytes.to_vec(), message: None });
                play(&open, &case, &cut.collect::<Vec<_>>(), &format!("in pieces of {size} bytes"));
            }
        }
        count += 1;
    }
    assert!(count >= 380, "only {count} vectors were found");
    for server in servers.values() {
        server.is_alive();
    }
}

/// nghttpx before a server: WebSockets over HTTP/1.1 on this side, over HTTP/2 on the other.
struct Bridge {
    child: Child,
    address: SocketAddr,
}

impl Bridge {
    fn to(server: SocketAddr) -> Bridge {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let front = format!("--frontend={},{};no-tls", address.ip(), address.port());
        let back = format!("--backend=127.0.0.1,{};;proto=h2", server.port());
        let flags = ["--conf=/dev/null", "--workers=1", "--log-level=ERROR", &front, &back];
        let child = Command::new("nghttpx").args(flags).stdin(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("nghttpx, of Debian's package nghttp2-proxy: {error}"));
        let bridge = Bridge { child, address };
        eventually("nghttpx listens", || TcpStream::connect(address).is_ok());
        bridge
    }

    fn open(&self, fields: &[Field<'_>]) -> Result<WebSocket, Response> {
        WebSocket::handshake(Conn::open(self.address), ECHO, fields)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // It ends with the test, one way or another.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn over_http2_through_nghttpx_the_vectors_are_answered_alike() {
    let mut bridges = HashMap::new();
    let mut count = 0;
    for case in websocket().filter(|case| case.role == Side::Server) {
        let (_, bridge) = bridges.entry((case.limit, case.fragments)).or_insert_with(|| {
            let server = server(&case);
            let bridge = Bridge::to(server.running().addresses()[0]);
            (server, bridge)
        });
        play(&|fields| bridge.open(fields), &case, &case.pieces, "through nghttpx");
        count += 1;
    }
    assert!(count >= 380, "only {count} vectors were found");
    for (server, _) in bridges.values() {
        let metrics = String::from_utf8(server.get("/metrics").body).unwrap();
        assert!(!metrics.contains("\nswitchboard_http2_total 0\n"), "{metrics}");
    }
}
