//! A small WebSocket client, by the letter of RFC 6455 and RFC 7692.

use crate::head::{Head, Response};
use crate::{Conn, Field};
use base64::Engine as _;
use serde_json::Value;
use sha1::{Digest, Sha1};
use std::time::Duration;

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

/// A frame from the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub fin: bool,
    /// RSV1: the message is compressed.
    pub compressed: bool,
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// A message from the server, or the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
    /// A close frame: its code (1005 if it has none) and its reason.
    Close(u16, String),
    /// The connection closed without a close frame.
    Eof,
}

/// An open WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    pub conn: Conn,
    /// The 101.
    pub head: Head,
    /// `permessage-deflate` was negotiated.
    pub deflates: bool,
    /// Pings are answered as they come. `false` is a client that hangs.
    pub answers_pings: bool,
    /// Pings that came.
    pub pings: usize,
    /// Compressed messages that came.
    pub inflated: usize,
    /// Payloads of pongs that came.
    pub pongs: Vec<Vec<u8>>,
}

/// A key as a client makes one, and the answer that the server owes to it (RFC 6455 section 4.2.2).
pub fn key() -> (String, String) {
    let base64 = base64::engine::general_purpose::STANDARD;
    let nonce: [u8; 16] = std::array::from_fn(|_| fastrand::u8(..));
    let key = base64.encode(nonce);
    let accept = accept(&key);
    (key, accept)
}

/// The answer to a key.
pub(crate) fn accept(key: &str) -> String {
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// A frame as a client sends it: masked.
pub fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(u8::from(fin) << 7 | opcode, payload)
}

/// A masked frame with this first byte.
pub fn frame_with(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ ..126 => out.push(0x80 | n as u8),
        n @ ..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    let mask: [u8; 4] = std::array::from_fn(|_| fastrand::u8(..));
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

impl WebSocket {
    /// Sends a handshake over the connection. Fields given replace those of a right handshake.
    #[track_caller]
    pub fn handshake(mut conn: Conn, target: &str, fields: &[Field<'_>]) -> Result<WebSocket, Response> {
        let (key, accept) = key();
        let right = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key.as_str()),
        ];
        let replaced = |name: &str| fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let mut all: Vec<Field<'_>> = right.into_iter().filter(|(name, _)| !replaced(name)).collect();
        all.extend_from_slice(fields);
        conn.ask("GET", target, &all, None);
        let head = conn.head();
        if head.status != 101 {
            return Err(conn.body_of(&head).into_response());
        }
        assert!(head.lists("upgrade", "websocket"), "{}", head.raw);
        assert!(head.lists("connection", "upgrade"), "{}", head.raw);
        if !replaced("sec-websocket-key") {
            assert_eq!(head.field("sec-websocket-accept"), Some(accept.as_str()), "{}", head.raw);
        }
        let deflates = head.field("sec-websocket-extensions").is_some_and(|e| e.contains("permessage-deflate"));
        Ok(WebSocket { conn, head, deflates, answers_pings: true, pings: 0, inflated: 0, pongs: Vec::new() })
    }

    #[track_caller]
    pub fn send_text(&mut self, text: &str) {
        self.conn.send(frame(true, TEXT, text.as_bytes()));
    }

    #[track_caller]
    pub fn send_binary(&mut self, data: &[u8]) {
        self.conn.send(frame(true, BINARY, data));
    }

    #[track_caller]
    pub fn send_close(&mut self, code: u16) {
        self.conn.send(frame(true, CLOSE, &code.to_be_bytes()));
    }

    /// The next frame; `None` if the connection closes before one.
    ///
    /// # Panics
    /// At a frame that RFC 6455 lets no server send.
    #[track_caller]
    pub fn next_frame(&mut self) -> Option<Frame> {
        let head = self.conn.take(2)?;
        let (fin, rsv, opcode) = (head[0] & 0x80 != 0, head[0] & 0x70, head[0] & 0xf);
        assert_eq!(head[1] & 0x80, 0, "a server does not mask; {}", self.conn.seen());
        assert!(rsv == 0 || rsv == 0x40 && self.deflates, "a reserved bit; {}", self.conn.seen());
        assert!(matches!(opcode, 0..=2 | 8..=10), "a reserved opcode: {opcode}; {}", self.conn.seen());
        let length = match head[1] {
            126 => {
                let bytes = self.conn.take(2)?;
                let length = u16::from_be_bytes([bytes[0], bytes[1]]);
                assert!(length > 125, "the length is not minimal");
                u64::from(length)
            }
            127 => {
                let bytes = self.conn.take(8)?;
                let length = u64::from_be_bytes(bytes.try_into().expect("eight bytes were taken"));
                assert!(length > 0xffff, "the length is not minimal");
                length
            }
            short => u64::from(short),
        };
        assert!(opcode < 8 || fin && length <= 125 && rsv == 0, "a control frame is short, whole and plain");
        let payload = self.conn.take(usize::try_from(length).expect("a length"))?;
        Some(Frame { fin, compressed: rsv != 0, opcode, payload })
    }

    /// The next message or close, answering pings on the way.
    #[track_caller]
    pub fn next(&mut self) -> Message {
        let (mut opcode, mut compressed, mut whole) = (CONTINUATION, false, Vec::new());
        loop {
            let Some(frame) = self.next_frame() else { return Message::Eof };
            match frame.opcode {
                PING => {
                    self.pings += 1;
                    if self.answers_pings {
                        // The server may be gone already.
                        let _ = self.conn.try_send(self::frame(true, PONG, &frame.payload));
                    }
                    continue;
                }
                PONG => {
                    self.pongs.push(frame.payload);
                    continue;
                }
                CLOSE => return close(&frame.payload),
                TEXT | BINARY => {
                    assert_eq!(opcode, CONTINUATION, "a message within a message");
                    (opcode, compressed) = (frame.opcode, frame.compressed);
                }
                _ => assert!(opcode != CONTINUATION && !frame.compressed, "a stray continuation"),
            }
            whole.extend_from_slice(&frame.payload);
            if frame.fin {
                break;
            }
        }
        if compressed {
            self.inflated += 1;
            whole = inflate(&whole);
        }
        match opcode {
            TEXT => Message::Text(String::from_utf8(whole).expect("a text message is UTF-8")),
            _ => Message::Binary(whole),
        }
    }

    /// The next message, which is text.
    #[track_caller]
    pub fn text(&mut self) -> String {
        match self.next() {
            Message::Text(text) => text,
            other => panic!("expected text: {other:?}; received {}", self.conn.seen()),
        }
    }

    /// The next message, which is binary.
    #[track_caller]
    pub fn binary(&mut self) -> Vec<u8> {
        match self.next() {
            Message::Binary(data) => data,
            other => panic!("expected binary: {other:?}; received {}", self.conn.seen()),
        }
    }

    /// The next message of event form that is not `$position`.
    #[track_caller]
    pub fn json(&mut self) -> Value {
        loop {
            let text = self.text();
            let value: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text:?}"));
            if value.get("$position").is_none() {
                return value;
            }
        }
    }

    /// The next message of event form, which is this notice: its value.
    #[track_caller]
    pub fn notice(&mut self, name: &str) -> Value {
        let message = self.json();
        message.get(name).unwrap_or_else(|| panic!("expected {name}: {message}")).clone()
    }

    /// The next message of event form, which is an event.
    #[track_caller]
    pub fn event(&mut self) -> Value {
        let message = self.json();
        assert!(message.get("id").is_some(), "expected an event: {message}");
        message
    }

    /// Expects a close with this code next, answers it, and waits until the server closes the connection.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> String {
        match self.next() {
            Message::Close(told, reason) => {
                assert_eq!(told, code, "{reason:?}");
                let _ = self.conn.try_send(frame(true, CLOSE, &code.to_be_bytes()));
                assert_eq!(self.next_frame(), None, "something follows a close");
                reason
            }
            other => panic!("expected close {code}: {other:?}; received {}", self.conn.seen()),
        }
    }

    /// Pings, and waits for the pong: all that was sent before has been read by the server then.
    ///
    /// # Panics
    /// If a message comes first.
    #[track_caller]
    pub fn ping(&mut self) {
        let payload: [u8; 8] = fastrand::u64(..).to_be_bytes();
        self.conn.send(frame(true, PING, &payload));
        loop {
            let pong = self.next_frame().unwrap_or_else(|| panic!("closed; received {}", self.conn.seen()));
            match pong.opcode {
                PONG => return assert_eq!(pong.payload, payload),
                PING => self.conn.send(frame(true, PONG, &pong.payload)),
                other => panic!("expected a pong: opcode {other}; received {}", self.conn.seen()),
            }
        }
    }

    /// Whether no byte comes for this long.
    #[track_caller]
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.conn.is_silent_for(time)
    }

    /// Drops the connection abruptly.
    pub fn cut(self) {
        self.conn.cut();
    }
}

fn close(payload: &[u8]) -> Message {
    match payload {
        [] => Message::Close(1005, String::new()),
        [a, b, reason @ ..] => {
            let code = u16::from_be_bytes([*a, *b]);
            assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999), "no server sends close code {code}");
            Message::Close(code, String::from_utf8(reason.to_vec()).expect("a close reason is UTF-8"))
        }
        _ => panic!("a close payload of one byte"),
    }
}

/// Inflates a message without context (RFC 7692 section 7.2.2).
pub fn inflate(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.extend_from_slice(&[0, 0, 0xff, 0xff]);
    let mut inflater = flate2::Decompress::new(false);
    let mut out = Vec::new();
    loop {
        let (read, written) = (inflater.total_in() as usize, inflater.total_out());
        out.reserve(64 << 10);
        inflater.decompress_vec(&data[read..], &mut out, flate2::FlushDecompress::Sync).expect("deflated data");
        if inflater.total_in() as usize == data.len() && out.len() < out.capacity() {
            return out;
        }
        let moved = inflater.total_in() as usize > read || inflater.total_out() > written;
        assert!(moved, "the deflated data ends in the middle");
    }
}

/// Deflates a message without context (RFC 7692 section 7.2.1).
pub fn deflate(data: &[u8]) -> Vec<u8> {
    let mut deflater = flate2::Compress::new(flate2::Compression::default(), false);
    let mut out = Vec::with_capacity(data.len() + 64);
    loop {
        let read = deflater.total_in() as usize;
        deflater.compress_vec(&data[read..], &mut out, flate2::FlushCompress::Sync).expect("compression");
        if deflater.total_in() as usize == data.len() && out.len() < out.capacity() {
            break;
        }
        out.reserve(data.len() + 64);
    }
    out.truncate(out.len() - 4);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deflated_is_inflated() {
        for data in [Vec::new(), b"hello hello hello".to_vec(), vec![7; 1 << 20]] {
            assert_eq!(inflate(&deflate(&data)), data);
        }
    }
}
