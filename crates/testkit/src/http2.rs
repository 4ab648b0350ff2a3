//! A client that speaks HTTP/2 frame by frame (RFC 9113), and says only what it is told to say.

mod frame;

pub use frame::{
    Frame, data, error, fields, flag, frame, headers, kind, rst_stream, setting, settings, websocket, window_update,
};

use crate::hpack;
use crate::{Field, Head, PATIENCE, Response};
use frame::read_settings;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Section 3.4.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a stream or its connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// RST_STREAM, with its code.
    Reset(u32),
    /// GOAWAY, with its code.
    GoAway(u32),
    /// The connection closed without a word.
    Closed,
}

/// A connection.
#[derive(Debug)]
pub struct Http2 {
    socket: TcpStream,
    received: Vec<u8>,
    /// Frames that were read and not yet asked for, by stream.
    waiting: BTreeMap<u32, VecDeque<Frame>>,
    /// What was heard on a stream behind what was asked for.
    heard: BTreeMap<u32, Vec<u8>>,
    /// Whether each frame of data is answered with room for as much again, as it is read. `false` is a client that does
    /// not read, as far as the server can tell.
    pub grants: bool,
    /// Whether pings of the server are answered as they are read.
    pub answers: bool,
    /// Streams of which the same is true while the others are read.
    pub stalled: BTreeSet<u32>,
    /// What the server has set.
    pub settings: Vec<(u16, u32)>,
    /// What the server has given room for beyond its initial windows, less what [`Http2::put`] has sent.
    room: BTreeMap<u32, i64>,
}

impl Http2 {
    /// A connection on which nothing was said.
    #[track_caller]
    pub fn silent(address: SocketAddr) -> Http2 {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_nodelay(true).expect("a socket can be that");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket can be that");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket can be that");
        Http2 {
            socket,
            received: Vec::new(),
            waiting: BTreeMap::new(),
            heard: BTreeMap::new(),
            grants: true,
            answers: true,
            stalled: BTreeSet::new(),
            settings: Vec::new(),
            room: BTreeMap::new(),
        }
    }

    /// A connection whose prefaces are exchanged.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Http2 {
        Http2::open_with(address, &[])
    }

    /// The same, with settings beside that of no dynamic table.
    #[track_caller]
    pub fn open_with(address: SocketAddr, own: &[(u16, u32)]) -> Http2 {
        let mut client = Http2::silent(address);
        let own = [&[(setting::HEADER_TABLE_SIZE, 0)], own].concat();
        client.send([PREFACE, &settings(&own)].concat());
        client.greet();
        client
    }

    /// Takes the server's preface, and the acknowledgement of ours.
    #[track_caller]
    pub fn greet(&mut self) {
        let theirs = self.next().expect("the server's preface");
        assert_eq!((theirs.kind, theirs.flags, theirs.stream), (kind::SETTINGS, 0, 0), "section 3.4: {theirs:?}");
        self.settings = read_settings(&theirs);
        self.send(frame(kind::SETTINGS, flag::ACK, 0, &[]));
        let acknowledged = |frame: &Frame| frame.kind == kind::SETTINGS && frame.flags == flag::ACK;
        self.find(0, acknowledged).unwrap_or_else(|ended| panic!("our settings are not acknowledged: {ended:?}"));
    }

    /// What the server has set a setting to.
    pub fn setting(&self, name: u16) -> Option<u32> {
        self.settings.iter().find(|(set, _)| *set == name).map(|(_, value)| *value)
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server reads");
    }

    /// # Errors
    /// If the server has closed the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket.write_all(bytes.as_ref())
    }

    /// A second handle of the socket, to write from another thread.
    #[track_caller]
    pub fn socket(&self) -> TcpStream {
        self.socket.try_clone().expect("a handle")
    }

    pub fn cut(self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// The next frame, of whichever stream; `None` once the connection is closed.
    #[track_caller]
    pub fn next(&mut self) -> Option<Frame> {
        let frame = self.read()?;
        if frame.kind == kind::WINDOW_UPDATE {
            *self.room.entry(frame.stream).or_default() += i64::from(frame.number(0));
        }
        if self.answers && (frame.kind, frame.flags) == (kind::PING, 0) {
            // One that has closed is found out by the next read.
            let _ = self.try_send(self::frame(kind::PING, flag::ACK, 0, &frame.payload));
        }
        if self.grants && frame.kind == kind::DATA && !frame.payload.is_empty() {
            let room = frame.payload.len() as u32;
            let _ = self.try_send(window_update(0, room));
            if !frame.ends_stream() && !self.stalled.contains(&frame.stream) {
                let _ = self.try_send(window_update(frame.stream, room));
            }
        }
        Some(frame)
    }

    #[track_caller]
    fn read(&mut self) -> Option<Frame> {
        let length = loop {
            if let [a, b, c, _, _, _, _, _, _, ..] = self.received[..] {
                let length = u32::from_be_bytes([0, a, b, c]) as usize;
                if self.received.len() >= 9 + length {
                    break length;
                }
            }
            if !self.fill() {
                assert!(self.received.is_empty(), "closed within a frame: {:?}", self.received);
                return None;
            }
        };
        let rest = self.received.split_off(9 + length);
        let mut payload = std::mem::replace(&mut self.received, rest);
        let head: Vec<u8> = payload.drain(..9).collect();
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads some bytes; `false` at the end.
    #[track_caller]
    fn fill(&mut self) -> bool {
        let mut some = [0; 64 << 10];
        match self.socket.read(&mut some) {
            Ok(0) => false,
            Ok(read) => {
                self.received.extend_from_slice(&some[..read]);
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("nothing came for {PATIENCE:?}; waiting: {:?}", self.waiting)
            }
            Err(_) => {
                // A reset overtakes the rest of a frame.
                self.received.clear();
                false
            }
        }
    }

    /// The next frame of a stream that is wanted; others of it are dropped, and those of other streams wait. GOAWAY and
    /// the end of the connection end the wait, unless the frame had come before.
    ///
    /// # Errors
    /// How the stream ended instead.
    #[track_caller]
    pub fn find(&mut self, stream: u32, wanted: impl Fn(&Frame) -> bool) -> Result<Frame, Ended> {
        loop {
            let frame = match self.waiting.get_mut(&stream).and_then(VecDeque::pop_front) {
                Some(frame) => frame,
                None => match self.next() {
                    None => return Err(Ended::Closed),
                    Some(frame) if frame.stream == stream => frame,
                    Some(frame) if frame.kind == kind::GOAWAY && frame.number(4) != error::NO_ERROR => {
                        let code = frame.number(4);
                        self.waiting.entry(0).or_default().push_back(frame);
                        return Err(Ended::GoAway(code));
                    }
                    Some(frame) => {
                        self.waiting.entry(frame.stream).or_default().push_back(frame);
                        continue;
                    }
                },
            };
            if wanted(&frame) {
                return Ok(frame);
            }
            match frame.kind {
                kind::RST_STREAM => return Err(Ended::Reset(frame.number(0))),
                kind::GOAWAY if stream == 0 => return Err(Ended::GoAway(frame.number(4))),
                _ => {}
            }
        }
    }

    /// The next frame of a stream that carries the answer: HEADERS or DATA.
    ///
    /// # Errors
    /// How the stream ended instead.
    #[track_caller]
    pub fn part(&mut self, stream: u32) -> Result<Frame, Ended> {
        self.find(stream, |frame| matches!(frame.kind, kind::DATA | kind::HEADERS | kind::CONTINUATION))
    }

    /// Waits until the stream or the connection ends by an error, past whatever else comes.
    #[track_caller]
    pub fn ended(&mut self, stream: u32) -> Ended {
        match self.find(stream, |_| false) {
            Err(ended) => ended,
            Ok(frame) => panic!("nothing was wanted: {frame:?}"),
        }
    }

    /// Waits for the GOAWAY that ends the connection with an error, and for the end itself: the code.
    #[track_caller]
    pub fn goaway(&mut self) -> u32 {
        let told = self.find(0, |frame| frame.kind == kind::GOAWAY && frame.number(4) != error::NO_ERROR);
        let told = told.unwrap_or_else(|ended| panic!("closed without a word of why: {ended:?}"));
        while self.next().is_some() {}
        told.number(4)
    }

    /// Waits for a GOAWAY of any code: the last stream that it names, and its code.
    #[track_caller]
    pub fn farewell(&mut self) -> (u32, u32) {
        let told = self.find(0, |frame| frame.kind == kind::GOAWAY);
        let told = told.unwrap_or_else(|ended| panic!("closed without a word: {ended:?}"));
        (told.number(0), told.number(4))
    }

    /// Pings, and waits for the answer: all that was said before has been read by then.
    #[track_caller]
    pub fn ping(&mut self) {
        let payload = fastrand::u64(..).to_be_bytes();
        self.send(frame(kind::PING, 0, 0, &payload));
        let answers = |frame: &Frame| frame.kind == kind::PING && frame.payload == payload;
        let answer = self.find(0, answers).unwrap_or_else(|ended| panic!("a ping is not answered: {ended:?}"));
        assert_eq!((answer.flags, answer.stream), (flag::ACK, 0));
    }

    /// The next head of a stream. `raw` holds what the fields were on the wire.
    ///
    /// # Errors
    /// How the stream ended instead.
    #[track_caller]
    pub fn try_head(&mut self, stream: u32) -> Result<(Head, bool), Ended> {
        let first = self.part(stream)?;
        assert_eq!(first.kind, kind::HEADERS, "a head comes first: {first:?}");
        let (ends, mut block, mut whole) = (first.ends_stream(), first.payload, first.flags & flag::END_HEADERS != 0);
        while !whole {
            let more = self.part(stream)?;
            assert_eq!(more.kind, kind::CONTINUATION, "{more:?}");
            whole = more.flags & flag::END_HEADERS != 0;
            block.extend_from_slice(&more.payload);
        }
        let fields = hpack::decode(&block);
        check(&fields);
        let raw = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let status = fields[0].1.parse().expect("a status is a number");
        Ok((Head { status, fields, raw }, ends))
    }

    /// The next head of a stream that goes on.
    #[track_caller]
    pub fn head(&mut self, stream: u32) -> Head {
        let (head, ends) = self.try_head(stream).unwrap_or_else(|ended| panic!("stream {stream} has ended: {ended:?}"));
        assert!(!ends, "the stream ends with its head: {}", head.raw);
        head
    }

    /// The whole answer on a stream, without what was said before it.
    ///
    /// # Errors
    /// How the stream ended instead.
    #[track_caller]
    pub fn try_response(&mut self, stream: u32) -> Result<Response, Ended> {
        let (head, mut ends) = loop {
            let (head, ends) = self.try_head(stream)?;
            if head.status >= 200 {
                break (head, ends);
            }
        };
        let mut body = self.heard.remove(&stream).unwrap_or_default();
        while !ends {
            let part = self.part(stream)?;
            ends = part.ends_stream();
            body.extend_from_slice(&part.payload);
        }
        Ok(Response { head, body })
    }

    /// The whole answer on a stream.
    #[track_caller]
    pub fn response(&mut self, stream: u32) -> Response {
        self.try_response(stream).unwrap_or_else(|ended| panic!("stream {stream} has ended: {ended:?}"))
    }

    /// Asks on a stream.
    #[track_caller]
    pub fn ask(&mut self, stream: u32, method: &str, path: &str, rest: &[Field<'_>], body: Option<&[u8]>) {
        let mut frames = headers(stream, &fields(method, path, rest), body.is_none());
        if let Some(body) = body {
            frames.extend_from_slice(&data(stream, body, true));
        }
        self.send(frames);
    }

    /// Asks, and takes the answer.
    #[track_caller]
    pub fn request(&mut self, stream: u32, method: &str, path: &str, rest: &[Field<'_>]) -> Response {
        self.ask(stream, method, path, rest, None);
        self.response(stream)
    }

    #[track_caller]
    pub fn get(&mut self, stream: u32, path: &str) -> Response {
        self.request(stream, "GET", path, &[])
    }

    /// Sends the first of these bytes as data, as far as the windows have room (section 6.9.1): how many. What the server
    /// has said before is read first.
    #[track_caller]
    pub fn put(&mut self, stream: u32, bytes: &[u8], ends: bool) -> usize {
        self.ping();
        let length = bytes.len().min(self.room(stream).max(0) as usize);
        let mut frames = Vec::new();
        for piece in bytes[..length].chunks(16_384) {
            frames.extend_from_slice(&data(stream, piece, false));
        }
        if ends && length == bytes.len() {
            frames.extend_from_slice(&data(stream, "", true));
        }
        self.send(frames);
        self.note_sent(stream, length);
        length
    }

    /// How much may be sent on a stream, as far as the server has said in what was read.
    pub fn room(&self, stream: u32) -> i64 {
        let initial = self.setting(setting::INITIAL_WINDOW_SIZE).unwrap_or(65_535);
        let room = |of: u32, initial: u32| i64::from(initial) + self.room.get(&of).copied().unwrap_or(0);
        room(stream, initial).min(room(0, 65_535))
    }

    /// Counts what was sent by hand.
    pub fn note_sent(&mut self, stream: u32, length: usize) {
        for of in [0, stream] {
            *self.room.entry(of).or_default() -= length as i64;
        }
    }

    /// Opens a stream of events, whose head must be 200.
    #[track_caller]
    pub fn sse(&mut self, stream: u32, path: &str, rest: &[Field<'_>]) {
        let rest = [&[("accept", "text/event-stream")], rest].concat();
        self.ask(stream, "GET", path, &rest, None);
        let head = self.head(stream);
        assert_eq!((head.status, head.media_type().as_str()), (200, "text/event-stream"), "{}", head.raw);
    }

    /// What a stream says up to and including these words.
    #[track_caller]
    pub fn text_through(&mut self, stream: u32, words: &str) -> String {
        let mut heard = self.heard.remove(&stream).unwrap_or_default();
        loop {
            if let Some(at) = heard.windows(words.len()).position(|some| some == words.as_bytes()) {
                let rest = heard.split_off(at + words.len());
                self.heard.insert(stream, rest);
                return String::from_utf8(heard).expect("text");
            }
            let text = String::from_utf8_lossy(&heard).into_owned();
            let part = self.part(stream).unwrap_or_else(|ended| panic!("{ended:?} where {words:?} was due: {text:?}"));
            assert_eq!(part.kind, kind::DATA, "{part:?}");
            heard.extend_from_slice(&part.payload);
            assert!(!part.ends_stream() || heard.windows(words.len()).any(|some| some == words.as_bytes()), "{text:?}");
        }
    }

    /// This many bytes that a stream says.
    #[track_caller]
    pub fn take(&mut self, stream: u32, length: usize) -> Vec<u8> {
        let mut heard = self.heard.remove(&stream).unwrap_or_default();
        while heard.len() < length {
            let part = self.part(stream).unwrap_or_else(|ended| panic!("stream {stream}: {ended:?}"));
            assert_eq!(part.kind, kind::DATA, "{part:?}");
            heard.extend_from_slice(&part.payload);
            assert!(!part.ends_stream() || heard.len() >= length, "stream {stream} has ended after {heard:?}");
        }
        let rest = heard.split_off(length);
        self.heard.insert(stream, rest);
        heard
    }

    /// All that a stream still says, up to its end.
    ///
    /// # Errors
    /// How the stream ended instead.
    #[track_caller]
    pub fn rest(&mut self, stream: u32) -> Result<Vec<u8>, Ended> {
        let mut heard = self.heard.remove(&stream).unwrap_or_default();
        loop {
            let part = self.part(stream)?;
            heard.extend_from_slice(&part.payload);
            if part.ends_stream() {
                return Ok(heard);
            }
        }
    }

    /// Whether nothing is said on a stream for this long, whatever is said on others.
    #[track_caller]
    pub fn is_silent_for(&mut self, stream: u32, time: Duration) -> bool {
        let end = Instant::now() + time;
        let is_empty = |queue: Option<&VecDeque<Frame>>| queue.is_none_or(VecDeque::is_empty);
        while is_empty(self.waiting.get(&stream)) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            self.socket.set_read_timeout(Some(left)).expect("a socket can be that");
            let came = if self.received.is_empty() { self.socket.peek(&mut [0]) } else { Ok(1) };
            self.socket.set_read_timeout(Some(PATIENCE)).expect("a socket can be that");
            match came {
                Ok(1..) => {
                    let frame = self.next().expect("it has begun");
                    self.waiting.entry(frame.stream).or_default().push_back(frame);
                }
                Ok(0) => return false,
                Err(_) => return true,
            }
        }
        false
    }
}

/// Checks that these are fields that a server may send (sections 8.2 and 8.3.2).
#[track_caller]
fn check(fields: &[(String, String)]) {
    assert_eq!(fields.first().map(|(name, _)| name.as_str()), Some(":status"), "{fields:?}");
    for (name, value) in &fields[1..] {
        assert!(!name.starts_with(':') && !name.bytes().any(|b| b.is_ascii_uppercase()), "{name}: {value}");
        let of_connections = ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];
        assert!(!of_connections.contains(&name.as_str()), "{name}: {value}");
    }
}
