//! One connection: what came is given in, what happened comes out, and what is to be sent is appended to a buffer.

use super::frame::{self, Frame, PREFACE, TooLong, WINDOW, WINDOW_MAX, flag, kind, setting};
use super::hpack;

/// How much the server may send before it is told to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// On each stream.
    pub stream: u32,
    /// On all of them together; [`WINDOW`] at least.
    pub connection: u32,
}

impl Default for Windows {
    /// Those of Chromium.
    fn default() -> Windows {
        Windows { stream: 6 << 20, connection: 15 << 20 }
    }
}

/// Something that happened. Streams are numbered from 0 in the order of their requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The server has said its settings: so many streams may be open at once.
    Ready { streams: u32 },
    /// The head of a response, with its status.
    Head { stream: usize, status: u16 },
    /// A part of a response's body. What has been read is told by [`Session::taken`].
    Data { stream: usize, data: &'a [u8] },
    /// A response is over, and how.
    Over { stream: usize, why: String },
    /// The server lets no more than the first so many streams go on, and why.
    Leaving { streams: usize, why: String },
    /// The connection cannot be understood any more.
    Broken(String),
}

/// The client's side of a connection.
#[derive(Debug)]
pub struct Session {
    windows: Windows,
    /// What was received on each stream since it was last told to go on.
    streams: Vec<u32>,
    /// The same on all of them.
    received: u32,
    /// A frame that is not whole.
    rest: Vec<u8>,
    /// A header block that is not whole: its stream, whether that ends, the block so far.
    block: Option<(usize, bool, Vec<u8>)>,
    /// A stream whose end was in the frame of the last event.
    ended: Option<usize>,
    is_ready: bool,
    is_broken: bool,
    /// Why the server goes away, once it has said so.
    goodbye: Option<String>,
    /// What the socket has not taken yet: kept here by whoever has the socket.
    pub unsent: Vec<u8>,
}

impl Session {
    pub fn new(windows: Windows) -> Session {
        let Windows { stream, connection } = windows;
        Session {
            windows: Windows { stream: stream.min(WINDOW_MAX), connection: connection.clamp(WINDOW, WINDOW_MAX) },
            streams: Vec::new(),
            received: 0,
            rest: Vec::new(),
            block: None,
            ended: None,
            is_ready: false,
            is_broken: false,
            goodbye: None,
            unsent: Vec::new(),
        }
    }

    /// Says the preface and the settings: no server push, no dynamic header table, the windows.
    pub fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFACE);
        let settings = [
            (setting::HEADER_TABLE_SIZE, 0),
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, self.windows.stream),
        ];
        frame::write_settings(&settings, out);
        if self.windows.connection > WINDOW {
            frame::write_window_update(0, self.windows.connection - WINDOW, out);
        }
    }

    /// Opens the next stream with a request whose header block is given.
    pub fn request(&mut self, block: &[u8], out: &mut Vec<u8>) {
        // The first block says that the table of this direction stays empty, whatever size the server would allow
        // (RFC 7541 section 4.2).
        let no_table: &[u8] = if self.streams.is_empty() { &[0x20] } else { &[] };
        let id = identifier(self.streams.len());
        let flags = flag::END_STREAM | flag::END_HEADERS;
        frame::write(kind::HEADERS, flags, id, &[no_table, block].concat(), out);
        self.streams.push(0);
    }

    /// Has read what a stream was sent: the server may go on.
    pub fn taken(&mut self, stream: usize, out: &mut Vec<u8>) {
        let received = &mut self.streams[stream];
        if *received >= self.windows.stream.div_ceil(2) {
            frame::write_window_update(identifier(stream), std::mem::take(received), out);
        }
    }

    /// Why the server goes away, if it has said so.
    pub fn goodbye(&self) -> Option<&str> {
        self.goodbye.as_deref()
    }

    /// Wants no more of a stream.
    pub fn cancel(&mut self, stream: usize, out: &mut Vec<u8>) {
        frame::write(kind::RST_STREAM, 0, identifier(stream), &CANCEL.to_be_bytes(), out);
    }

    /// Joins what was kept with what came after it, if something was kept: this is what [`Session::next`] is asked with.
    pub fn join(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut rest = std::mem::take(&mut self.rest);
        rest.extend_from_slice(input);
        Some(rest)
    }

    /// Keeps what is left when nothing more happens.
    pub fn keep(&mut self, rest: &[u8]) {
        self.rest = if self.is_broken { Vec::new() } else { rest.to_vec() };
    }

    /// The next thing that happened, taken off the input; `None` when the rest of it is no whole frame.
    pub fn next<'a>(&mut self, input: &mut &'a [u8], out: &mut Vec<u8>) -> Option<Event<'a>> {
        if let Some(stream) = self.ended.take() {
            return Some(Event::Over { stream, why: "the response ended".into() });
        }
        while !self.is_broken {
            let happened = match Frame::take(input) {
                Ok(None) => return None,
                Ok(Some(frame)) => self.understand(&frame, out),
                Err(TooLong) => Err("a frame is longer than allowed".into()),
            };
            match happened {
                Ok(None) => {}
                Ok(Some(event)) => return Some(event),
                Err(why) => {
                    self.is_broken = true;
                    return Some(Event::Broken(why));
                }
            }
        }
        None
    }

    fn understand<'a>(&mut self, frame: &Frame<'a>, out: &mut Vec<u8>) -> Result<Option<Event<'a>>, String> {
        if self.block.is_some() && frame.kind != kind::CONTINUATION {
            return Err("a header block is interrupted".into());
        }
        match frame.kind {
            kind::DATA => self.data(frame, out).map(Some),
            kind::HEADERS => self.headers(frame),
            kind::CONTINUATION => self.continuation(frame),
            kind::SETTINGS => self.settings(frame, out),
            kind::RST_STREAM => {
                let (stream, code) = (self.known(frame)?, frame.number(0).unwrap_or_default());
                Ok(Some(Event::Over { stream, why: format!("the server reset the stream: {}", named(code)) }))
            }
            kind::GOAWAY => {
                let last = frame.number(0).ok_or("a GOAWAY is too short")? & WINDOW_MAX;
                let why = format!("the server goes away: {}", named(frame.number(4).unwrap_or_default()));
                self.goodbye = Some(why.clone());
                Ok(Some(Event::Leaving { streams: last.div_ceil(2) as usize, why }))
            }
            kind::PING if !frame.has(flag::ACK) => {
                frame::write(kind::PING, flag::ACK, 0, frame.payload, out);
                Ok(None)
            }
            kind::PUSH_PROMISE => Err("the server pushes, which was refused".into()),
            // Bodies are not sent, so windows for them do not matter; what is unknown is ignored (section 5.5).
            _ => Ok(None),
        }
    }

    /// The number of a frame's stream.
    fn known(&self, frame: &Frame<'_>) -> Result<usize, String> {
        let stream = (frame.stream / 2) as usize;
        let is_known = frame.stream % 2 == 1 && stream < self.streams.len();
        is_known.then_some(stream).ok_or_else(|| format!("stream {} was not opened", frame.stream))
    }

    fn data<'a>(&mut self, frame: &Frame<'a>, out: &mut Vec<u8>) -> Result<Event<'a>, String> {
        let stream = self.known(frame)?;
        let length = frame.payload.len() as u32;
        self.streams[stream] += length;
        self.received += length;
        if self.streams[stream] > self.windows.stream || self.received > self.windows.connection {
            return Err("the server sends more than the windows allow".into());
        }
        if self.received >= self.windows.connection / 2 {
            frame::write_window_update(0, std::mem::take(&mut self.received), out);
        }
        let data = frame.unpadded().ok_or(PADDING)?;
        self.ended = frame.has(flag::END_STREAM).then_some(stream);
        Ok(Event::Data { stream, data })
    }

    fn headers<'a>(&mut self, frame: &Frame<'a>) -> Result<Option<Event<'a>>, String> {
        let stream = self.known(frame)?;
        let mut block = frame.unpadded().ok_or(PADDING)?;
        if frame.has(flag::PRIORITY) {
            block = block.get(5..).ok_or("a HEADERS frame is too short")?;
        }
        let ends = frame.has(flag::END_STREAM);
        if frame.has(flag::END_HEADERS) {
            return self.head(stream, ends, block);
        }
        self.block = Some((stream, ends, block.to_vec()));
        Ok(None)
    }

    fn continuation<'a>(&mut self, frame: &Frame<'a>) -> Result<Option<Event<'a>>, String> {
        let Some((stream, ends, mut block)) = self.block.take() else {
            return Err("a CONTINUATION continues nothing".into());
        };
        if frame.stream != identifier(stream) || block.len() > BLOCK_MAX {
            return Err("a header block is interrupted, or does not end".into());
        }
        block.extend_from_slice(frame.payload);
        if frame.has(flag::END_HEADERS) {
            return self.head(stream, ends, &block);
        }
        self.block = Some((stream, ends, block));
        Ok(None)
    }

    /// A header block: a response's head, an interim one (RFC 9110 section 15.2), which is passed over, or trailers.
    fn head<'a>(&mut self, stream: usize, ends: bool, block: &[u8]) -> Result<Option<Event<'a>>, String> {
        match hpack::status(block) {
            Ok(100..200) => Ok(None),
            Ok(status) => {
                self.ended = ends.then_some(stream);
                Ok(Some(Event::Head { stream, status }))
            }
            Err(_) if ends => Ok(Some(Event::Over { stream, why: "the response ended".into() })),
            Err(why) => Err(why.into()),
        }
    }

    fn settings<'a>(&mut self, frame: &Frame<'a>, out: &mut Vec<u8>) -> Result<Option<Event<'a>>, String> {
        if frame.has(flag::ACK) {
            return Ok(None);
        }
        let settings = frame.settings().ok_or("a SETTINGS frame has no settings' length")?;
        let mut streams = u32::MAX;
        for (_, value) in settings.filter(|(id, _)| *id == setting::MAX_CONCURRENT_STREAMS) {
            streams = value;
        }
        frame::write(kind::SETTINGS, flag::ACK, 0, &[], out);
        let is_first = !std::mem::replace(&mut self.is_ready, true);
        Ok(is_first.then_some(Event::Ready { streams }))
    }
}

/// The error with which a client closes a stream it does not want.
const CANCEL: u32 = 8;
/// A header block longer than this does not end.
const BLOCK_MAX: usize = 64 << 10;
const PADDING: &str = "padding is longer than its frame";
/// Names of errors (RFC 9113 section 7).
const ERRORS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

fn named(code: u32) -> String {
    ERRORS.get(code as usize).map_or_else(|| format!("error {code}"), |name| (*name).to_owned())
}

/// A client's streams have odd identifiers.
fn identifier(stream: usize) -> u32 {
    stream as u32 * 2 + 1
}

#[cfg(test)]
mod tests;
