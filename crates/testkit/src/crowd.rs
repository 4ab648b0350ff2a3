//! Thousands of subscribers on one thread, each checked for what it is given.

use crate::PATIENCE;
use crate::conn::Conn;
use crate::head::{Head, request};
use crate::websocket;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Connections that are being opened at once: less than a server's backlog.
const BATCH: usize = 128;

/// How one of a crowd subscribes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Sse,
    Lines,
    WebSocket,
}

/// Subscribers of one server.
#[derive(Debug)]
pub struct Crowd {
    poll: Poll,
    members: Vec<Member>,
    /// How many have read the head and `$open`.
    live: usize,
    scratch: Vec<u8>,
    events: Events,
}

#[derive(Debug)]
struct Member {
    stream: TcpStream,
    kind: Kind,
    state: State,
    /// The request, until it is sent.
    unsent: Vec<u8>,
    /// Received and not yet understood.
    raw: Vec<u8>,
    /// A body without its chunks, not yet understood.
    body: Vec<u8>,
    is_live: bool,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Head,
    /// The head was read, and `$open` not yet.
    Opening,
    Open,
}

/// The descriptors of this process, for one test at a time.
#[derive(Debug)]
pub struct AllFiles {
    _one: MutexGuard<'static, ()>,
}

/// Raises the limit of open files as far as this process may, and keeps it from the other crowds of the process, which
/// wait: two at once may be more than it has descriptors for.
#[must_use = "another crowd may come as soon as this is dropped"]
pub fn all_files() -> AllFiles {
    use rustix::process::{Resource, getrlimit, setrlimit};
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a process may raise its soft limit");
    AllFiles { _one: one }
}

impl Crowd {
    /// Subscribes everyone, and waits until everyone is live: has read the head and, in forms that say it, `$open`.
    /// One channel on SSE and WebSocket is raw form, so `$open` comes on SSE and lines only.
    ///
    /// # Panics
    /// If anyone is refused, or [`PATIENCE`] passes without a byte.
    #[track_caller]
    pub fn gather(address: SocketAddr, members: &[(Kind, String)]) -> Crowd {
        let mut crowd = Crowd::empty();
        for batch in members.chunks(BATCH) {
            for (kind, target) in batch {
                crowd.add(address, *kind, target);
            }
            crowd.run("the crowd opens", |_, _| {}, |crowd| crowd.live == crowd.members.len());
        }
        crowd
    }

    /// As [`Crowd::gather`], with everyone connecting at once, as after a restart: nobody waits for another.
    #[track_caller]
    pub fn storm(address: SocketAddr, members: &[(Kind, String)]) -> Crowd {
        let mut crowd = Crowd::empty();
        for (kind, target) in members {
            let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("connecting: {error}"));
            crowd.hold(stream, address, *kind, target);
        }
        crowd.run("the storm", |_, _| {}, |crowd| crowd.live == crowd.members.len());
        crowd
    }

    fn empty() -> Crowd {
        let poll = Poll::new().expect("epoll");
        let (scratch, events) = (vec![0; 64 << 10], Events::with_capacity(1024));
        Crowd { poll, members: Vec::new(), live: 0, scratch, events }
    }

    fn add(&mut self, address: SocketAddr, kind: Kind, target: &str) {
        let stream = std::net::TcpStream::connect(address).unwrap_or_else(|error| panic!("connecting: {error}"));
        stream.set_nonblocking(true).expect("a socket can be non-blocking");
        self.hold(TcpStream::from_std(stream), address, kind, target);
    }

    /// Takes in a connection, connected or about to be, which asks as soon as it may.
    fn hold(&mut self, mut stream: TcpStream, address: SocketAddr, kind: Kind, target: &str) {
        let (key, _) = websocket::key();
        let fields: &[(&str, &str)] = match kind {
            Kind::Sse => &[("Accept", "text/event-stream")],
            Kind::Lines => &[("Accept", "application/x-ndjson")],
            Kind::WebSocket => &[
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", key.as_str()),
            ],
        };
        let unsent = request("GET", target, &address.to_string(), fields, None);
        let token = Token(self.members.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).expect("epoll");
        self.members.push(Member {
            stream,
            kind,
            state: State::Head,
            unsent,
            raw: Vec::new(),
            body: Vec::new(),
            is_live: false,
            closed: false,
        });
    }

    /// Reads until `done`, giving `heard` each event: who heard it, and its data or, in event form, its JSON.
    ///
    /// # Panics
    /// If [`PATIENCE`] passes without a byte, with `what`.
    #[track_caller]
    pub fn run(&mut self, what: &str, mut heard: impl FnMut(usize, &[u8]), done: impl Fn(&Crowd) -> bool) {
        while !done(self) {
            self.poll.poll(&mut self.events, Some(PATIENCE)).expect("epoll");
            assert!(!self.events.is_empty(), "nothing comes any more: {what}");
            for event in &self.events {
                let who = event.token().0;
                let member = &mut self.members[who];
                if event.is_writable() {
                    member.ask();
                }
                let was_opening = !member.is_live;
                member.read(&mut self.scratch);
                member.understand(&mut |data| heard(who, data));
                self.live += usize::from(was_opening && member.is_live);
            }
        }
    }

    /// How many connections the server has closed.
    pub fn closed(&self) -> usize {
        self.members.iter().filter(|member| member.closed).count()
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl Member {
    /// Sends the request, once: a fresh socket has room for it.
    fn ask(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        if !unsent.is_empty() {
            self.stream.write_all(&unsent).unwrap_or_else(|error| panic!("asking: {error}"));
        }
    }

    fn read(&mut self, scratch: &mut [u8]) {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => {
                    self.closed = true;
                    return;
                }
                Ok(n) => self.raw.extend_from_slice(&scratch[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    fn understand(&mut self, heard: &mut impl FnMut(&[u8])) {
        if self.state == State::Head {
            let Some(end) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") else {
                assert!(!self.closed, "closed before a head");
                return;
            };
            let head = Head::parse(&self.raw[..end + 4]);
            let expected = if self.kind == Kind::WebSocket { 101 } else { 200 };
            assert_eq!(head.status, expected, "{}", head.raw);
            self.raw.drain(..end + 4);
            self.state = if self.kind == Kind::WebSocket { State::Open } else { State::Opening };
        }
        match self.kind {
            Kind::WebSocket => self.take_frames(heard),
            Kind::Sse | Kind::Lines => {
                self.unchunk();
                self.take_lines(heard);
            }
        }
        self.is_live |= self.state == State::Open;
    }

    /// Moves whole chunks from `raw` to `body`.
    fn unchunk(&mut self) {
        let mut at = 0;
        while let Some(end) = find(&self.raw[at..], b'\n') {
            let size = std::str::from_utf8(&self.raw[at..at + end - 1]).expect("a chunk size is ASCII");
            let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("a chunk size: {size:?}"));
            let from = at + end + 1;
            let Some(data) = self.raw.get(from..from + size + 2) else { break };
            assert!(data.ends_with(b"\r\n"), "a chunk ends with a line break");
            self.body.extend_from_slice(&data[..size]);
            at = from + size + 2;
            if size == 0 {
                self.closed = true;
                break;
            }
        }
        self.raw.drain(..at);
    }

    fn take_lines(&mut self, heard: &mut impl FnMut(&[u8])) {
        let mut at = 0;
        while let Some(end) = find(&self.body[at..], b'\n') {
            let line = &self.body[at..at + end];
            at += end + 1;
            let data = match self.kind {
                Kind::Lines if line.is_empty() => continue,
                Kind::Lines => line,
                _ => match line.split_at_checked(line.iter().position(|b| *b == b':').unwrap_or(line.len())) {
                    Some((b"data", value)) => value[1..].strip_prefix(b" ").unwrap_or(&value[1..]),
                    Some((b"event", value)) if value.trim_ascii().starts_with(b": $") => {
                        let name = value[1..].trim_ascii();
                        let known = [b"$open".as_slice(), b"$position"].contains(&name);
                        assert!(known, "a notice that nobody expects: {}", String::from_utf8_lossy(name));
                        // Its data follows.
                        self.state = State::Opening;
                        continue;
                    }
                    _ => continue,
                },
            };
            if self.kind == Kind::Lines && data.starts_with(b"{\"$") {
                let known = data.starts_with(b"{\"$open\"") || data.starts_with(b"{\"$position\"");
                assert!(known, "a notice that nobody expects: {}", String::from_utf8_lossy(data));
                self.state = State::Open;
            } else if self.state == State::Opening {
                self.state = State::Open;
            } else {
                heard(data);
            }
        }
        self.body.drain(..at);
    }

    fn take_frames(&mut self, heard: &mut impl FnMut(&[u8])) {
        let mut at = 0;
        while let [first, short, rest @ ..] = &self.raw[at..] {
            let (extra, length) = match (short, rest) {
                (126, [a, b, ..]) => (2, usize::from(u16::from_be_bytes([*a, *b]))),
                (126 | 127, []) | (126, _) => break,
                (127, _) => panic!("a crowd hears short messages"),
                (short, _) => (0, usize::from(*short)),
            };
            let Some(payload) = rest.get(extra..extra + length) else { break };
            match first {
                0x81 if payload.starts_with(b"{\"$") => {
                    let known = payload.starts_with(b"{\"$open\"") || payload.starts_with(b"{\"$position\"");
                    assert!(known, "a notice that nobody expects: {}", String::from_utf8_lossy(payload));
                }
                0x81 | 0x82 => heard(payload),
                0x89 => {
                    let pong = websocket::frame(true, websocket::PONG, payload);
                    let _ = self.stream.write(&pong);
                }
                other => panic!("a frame that nobody expects: {other:#x} {:?}", String::from_utf8_lossy(payload)),
            }
            at += 2 + extra + length;
        }
        self.raw.drain(..at);
    }
}

/// Where the byte stands first.
fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    // `skip_until` is in the standard library as it was optimised, which counts where tests are not.
    let mut rest = bytes;
    let n = rest.skip_until(byte).unwrap_or_default();
    (n > 0 && bytes[n - 1] == byte).then(|| n - 1)
}

/// Publishes on a thread of its own, over one connection: each item is a channel and its data.
pub fn publish_on_a_thread(
    address: SocketAddr,
    items: impl Iterator<Item = (String, String)> + Send + 'static,
) -> std::thread::JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut conn = Conn::open(address);
        items.map(|(channel, data)| conn.publish(&channel, data)).collect()
    })
}
