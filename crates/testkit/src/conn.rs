//! One connection: exact bytes out, every byte in.

use crate::head::{Head, Response, request};
use crate::{Field, Item, Lines, PATIENCE, Sse, WebSocket};
use flate2::write::GzDecoder;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How much of what was received a panic shows.
const SHOWN: usize = 4096;

/// A connection to the server.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    host: String,
    /// Received and not yet consumed.
    inbox: Vec<u8>,
    /// The last of what was received, for panics.
    seen: Vec<u8>,
    patience: Duration,
    /// The peer reset the connection instead of closing it.
    was_reset: bool,
}

/// What a streamed body gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Bytes; of a chunked body, one whole chunk.
    Data(Vec<u8>),
    /// The body is complete.
    End,
    /// The connection closed before the body was complete.
    Cut,
}

/// How a response's body ends.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(usize),
    Chunked,
    ToClose,
}

impl Conn {
    /// Connects.
    ///
    /// # Panics
    /// If that is refused.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Conn {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap_or_else(|e| panic!("{address}: {e}"));
        Conn::over(stream)
    }

    /// A connection over a socket that is connected.
    pub fn over(stream: TcpStream) -> Conn {
        let host = stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        stream.set_nodelay(true).expect("a socket takes TCP_NODELAY");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        let mut conn = Conn { stream, host, inbox: Vec::new(), seen: Vec::new(), patience: PATIENCE, was_reset: false };
        conn.set_patience(PATIENCE);
        conn
    }

    /// Waits this long for bytes from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
        self.stream.set_read_timeout(Some(patience)).expect("a socket takes a timeout");
    }

    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends exactly these bytes.
    ///
    /// # Panics
    /// If the server has closed the connection.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.try_send(bytes) {
            panic!("sending: {error}; received {}", self.seen());
        }
    }

    /// Sends these bytes, unless the server has closed the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent (FIN), and goes on reading. A peer that has reset the connection meanwhile need not
    /// be told.
    pub fn finish(&self) {
        match self.stream.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            told => told.expect("a socket can be half closed"),
        }
    }

    /// Drops the connection abruptly (RST), as a client does that lost its network.
    pub fn cut(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket takes SO_LINGER");
    }

    /// What was received last, as text.
    pub fn seen(&self) -> String {
        format!("{:?}", String::from_utf8_lossy(&self.seen))
    }

    /// Whether the peer reset the connection instead of closing it.
    pub fn was_reset(&self) -> bool {
        self.was_reset
    }

    /// Reads more; `false` at the end.
    #[track_caller]
    fn fill(&mut self) -> bool {
        match self.read_some() {
            Ok(n) => n > 0,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came for {:?}; received {}", self.patience, self.seen())
            }
            Err(error) => panic!("reading: {error}; received {}", self.seen()),
        }
    }

    fn read_some(&mut self) -> io::Result<usize> {
        let mut scratch = [0; 16 << 10];
        loop {
            match self.stream.read(&mut scratch) {
                Ok(n) => {
                    self.inbox.extend_from_slice(&scratch[..n]);
                    self.seen.extend_from_slice(&scratch[..n]);
                    let excess = self.seen.len().saturating_sub(SHOWN);
                    self.seen.drain(..excess);
                    return Ok(n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    self.was_reset = true;
                    return Ok(0);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether nothing comes for this long: neither a byte nor the end.
    #[track_caller]
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        if !self.inbox.is_empty() {
            return false;
        }
        let patience = self.patience;
        self.set_patience(time);
        let read = self.read_some();
        self.set_patience(patience);
        match read {
            Ok(_) => false,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// Whether something has come, or the end. Waits for nothing.
    #[track_caller]
    pub fn is_readable(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket can be told not to wait");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a socket can be told to wait");
        !self.inbox.is_empty() || !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Takes exactly `n` bytes; `None` if the connection closes before.
    #[track_caller]
    pub fn take(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.inbox.len() < n {
            if !self.fill() {
                return None;
            }
        }
        Some(self.inbox.drain(..n).collect())
    }

    /// Takes what has come, at least a byte; `None` at the end.
    #[track_caller]
    pub fn take_some(&mut self) -> Option<Vec<u8>> {
        if self.inbox.is_empty() && !self.fill() {
            return None;
        }
        Some(std::mem::take(&mut self.inbox))
    }

    /// Takes everything up to and including `mark`; `None` if the connection closes before.
    #[track_caller]
    pub fn take_through(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        let mut from = 0;
        loop {
            if let Some(at) = self.inbox[from..].windows(mark.len()).position(|window| window == mark) {
                return Some(self.inbox.drain(..from + at + mark.len()).collect());
            }
            from = self.inbox.len().saturating_sub(mark.len() - 1);
            if !self.fill() {
                return None;
            }
        }
    }

    /// Takes everything until the peer closes.
    #[track_caller]
    pub fn take_all(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.inbox)
    }

    /// Waits until the peer closes.
    ///
    /// # Panics
    /// If it sends anything before that.
    #[track_caller]
    pub fn expect_close(&mut self) {
        let rest = self.take_all();
        assert!(rest.is_empty(), "expected the connection to close: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Reads the head of a response.
    ///
    /// # Panics
    /// If the connection closes before it is whole.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        match self.take_through(b"\r\n\r\n") {
            Some(raw) => Head::parse(&raw),
            None => panic!("the connection closed before a response head; received {}", self.seen()),
        }
    }

    /// Reads a response to a request of this method.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        let head = self.head();
        let mut body = Vec::new();
        let framing = framing(method, &head);
        let mut left = framing;
        loop {
            match self.piece(&mut left) {
                Piece::Data(data) => body.extend_from_slice(&data),
                Piece::End => return Response { head, body },
                Piece::Cut => panic!("the body was cut off ({framing:?}); received {}", self.seen()),
            }
        }
    }

    #[track_caller]
    fn piece(&mut self, framing: &mut Framing) -> Piece {
        match framing {
            Framing::Length(0) => Piece::End,
            Framing::Length(left) => match self.take((*left).min(self.inbox.len().max(1))) {
                Some(data) => {
                    *left -= data.len();
                    Piece::Data(data)
                }
                None => Piece::Cut,
            },
            Framing::ToClose => match self.take_some() {
                Some(data) => Piece::Data(data),
                None if self.was_reset => Piece::Cut,
                None => Piece::End,
            },
            Framing::Chunked => self.chunk(),
        }
    }

    #[track_caller]
    fn chunk(&mut self) -> Piece {
        let Some(line) = self.take_through(b"\r\n") else { return Piece::Cut };
        let digits = std::str::from_utf8(&line[..line.len() - 2]).expect("a chunk size is ASCII");
        assert!(digits.bytes().all(|b| b.is_ascii_hexdigit()), "a chunk size: {digits:?}; {}", self.seen());
        let size = usize::from_str_radix(digits, 16).expect("a chunk size is a number");
        let Some(mut data) = self.take(size + 2) else { return Piece::Cut };
        assert!(data.ends_with(b"\r\n"), "a chunk ends with a line break; {}", self.seen());
        data.truncate(size);
        if size == 0 { Piece::End } else { Piece::Data(data) }
    }

    /// Sends a request and reads the response.
    #[track_caller]
    pub fn request(&mut self, method: &str, target: &str, fields: &[Field<'_>], body: Option<&[u8]>) -> Response {
        self.ask(method, target, fields, body);
        self.response_to(method)
    }

    /// Sends a request.
    #[track_caller]
    pub fn ask(&mut self, method: &str, target: &str, fields: &[Field<'_>], body: Option<&[u8]>) {
        let bytes = request(method, target, &self.host, fields, body);
        self.send(bytes);
    }

    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, &[], None)
    }

    #[track_caller]
    pub fn post(&mut self, target: &str, fields: &[Field<'_>], body: impl AsRef<[u8]>) -> Response {
        self.request("POST", target, fields, Some(body.as_ref()))
    }

    /// Publishes, and gives the event's id.
    #[track_caller]
    pub fn publish(&mut self, channel: &str, data: impl AsRef<[u8]>) -> String {
        let told = self.post(&format!("/channels/{channel}"), &[], data).expect(201).json();
        told["id"].as_str().expect("a publish answers the id").to_owned()
    }

    /// Sends a GET and reads the head, leaving the body to be read as it comes.
    #[track_caller]
    pub fn stream(mut self, target: &str, fields: &[Field<'_>]) -> Streamed {
        self.ask("GET", target, fields, None);
        self.into_streamed()
    }

    /// Reads the head of a response to a GET that was sent, leaving the body to be read as it comes.
    #[track_caller]
    pub fn into_streamed(mut self) -> Streamed {
        let head = self.head();
        self.body_of(&head)
    }

    /// The body of a response to a GET whose head was read.
    #[track_caller]
    pub fn body_of(self, head: &Head) -> Streamed {
        Streamed { framing: framing("GET", head), head: head.clone(), conn: self, packed: None }
    }

    /// Subscribes over SSE.
    ///
    /// # Panics
    /// If the answer is not a 200 with an event stream.
    #[track_caller]
    pub fn sse(self, target: &str, fields: &[Field<'_>]) -> Sse {
        let mut all = vec![("Accept", "text/event-stream")];
        all.extend_from_slice(fields);
        Sse::over(self.stream(target, &all))
    }

    /// Subscribes over NDJSON.
    ///
    /// # Panics
    /// If the answer is not a 200 with NDJSON.
    #[track_caller]
    pub fn lines(self, target: &str, fields: &[Field<'_>]) -> Lines {
        let mut all = vec![("Accept", "application/x-ndjson")];
        all.extend_from_slice(fields);
        Lines::over(self.stream(target, &all))
    }

    /// Opens a WebSocket.
    ///
    /// # Panics
    /// If the answer is not 101.
    #[track_caller]
    pub fn websocket(self, target: &str, fields: &[Field<'_>]) -> WebSocket {
        match self.handshake(target, fields) {
            Ok(socket) => socket,
            Err(refusal) => panic!("the handshake was refused: {refusal}"),
        }
    }

    /// Tries to open a WebSocket.
    #[track_caller]
    pub fn handshake(self, target: &str, fields: &[Field<'_>]) -> Result<WebSocket, Response> {
        WebSocket::handshake(self, target, fields)
    }
}

/// How the body of a response to `method` ends (RFC 9112 section 6.3).
#[track_caller]
fn framing(method: &str, head: &Head) -> Framing {
    if method == "HEAD" || head.status < 200 || matches!(head.status, 204 | 304) {
        return Framing::Length(0);
    }
    match (head.field("transfer-encoding"), head.field("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Framing::Chunked,
        (Some(coding), _) => panic!("an unknown transfer coding: {coding}"),
        (None, Some(length)) => Framing::Length(length.parse().expect("Content-Length is a number")),
        (None, None) => Framing::ToClose,
    }
}

/// A response whose body is read as it comes.
#[derive(Debug)]
pub struct Streamed {
    pub conn: Conn,
    pub head: Head,
    framing: Framing,
    /// What takes it out of its coding.
    packed: Option<Box<GzDecoder<Vec<u8>>>>,
}

impl Streamed {
    /// The same without its content coding, if it has one (RFC 1952): each piece as soon as it is there.
    #[must_use]
    pub fn unpacked(mut self) -> Streamed {
        let is_packed = self.head.field("content-encoding") == Some("gzip");
        self.packed = is_packed.then(|| Box::new(GzDecoder::new(Vec::new())));
        self
    }

    /// Whether it is taken out of a content coding.
    pub fn is_unpacked(&self) -> bool {
        self.packed.is_some()
    }

    /// The next piece of the body.
    #[track_caller]
    pub fn next(&mut self) -> Piece {
        let piece = self.conn.piece(&mut self.framing);
        let Some(unpacker) = &mut self.packed else { return piece };
        match piece {
            Piece::Data(data) => {
                unpacker.write_all(&data).and_then(|()| unpacker.flush()).expect("what says that it is gzip is");
                Piece::Data(std::mem::take(unpacker.get_mut()))
            }
            Piece::End => {
                unpacker.try_finish().expect("the sum at the end is true");
                Piece::End
            }
            Piece::Cut => Piece::Cut,
        }
    }

    /// The next bytes of the body.
    ///
    /// # Panics
    /// If it ends.
    #[track_caller]
    pub fn data(&mut self) -> Vec<u8> {
        match self.next() {
            Piece::Data(data) => data,
            other => panic!("expected data, but {other:?}; received {}", self.conn.seen()),
        }
    }

    /// The bytes of the body up to this many at least.
    #[track_caller]
    pub fn data_of(&mut self, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            all.extend_from_slice(&self.data());
        }
        all
    }

    /// The rest of the body, and whether it was complete.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        loop {
            match self.next() {
                Piece::Data(data) => all.extend_from_slice(&data),
                end => return (all, end == Piece::End),
            }
        }
    }

    /// The response with the rest of its body.
    #[track_caller]
    pub fn into_response(mut self) -> Response {
        let (body, complete) = self.rest();
        assert!(complete, "the body was cut off; received {}", self.conn.seen());
        Response { head: self.head, body }
    }
}

impl Item {
    /// Whether the stream is over.
    pub fn is_over(&self) -> bool {
        matches!(self, Item::End | Item::Cut)
    }
}
