//! An event or a notice in each framing, as the bytes that every subscriber shares.
//!
//! Each encoding is made once and sent to all. It carries the chunk of HTTP/1.1's chunked coding (RFC 9112 section
//! 7.1) around it, so that the same buffer serves a connection with and without: [`Encoded::chunk`] is the whole of
//! it, [`Encoded::payload`] the inside.

use crate::event::{Event, Kind, base64};
use crate::gzip::{Sum, Total};
use crate::notice::Notice;
use crate::websocket::deflate::Deflate;
use crate::websocket::header::{Opcode, write_server_header};
use crate::{gzip, json, presence, sse};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// How an event is framed on its way to a subscriber.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// Server-Sent Events with the data as it is.
    SseRaw { gzip: bool },
    /// Server-Sent Events with the JSON event as data.
    SseEvent { gzip: bool },
    /// A line of NDJSON: the JSON event.
    NdJson { gzip: bool },
    /// The data alone, with no framing.
    Body,
    /// A WebSocket message: the data. `deflated` is the window size in bits (RFC 7692), if compressed.
    WsRaw { deflated: Option<u8> },
    /// A WebSocket message: the JSON event.
    WsEvent { deflated: Option<u8> },
    /// A WebSocket message: a JSON-RPC notification around the JSON event.
    WsSession { deflated: Option<u8> },
    /// The same as the data of Server-Sent Events. The `id:`, which is not the same for all, goes before it.
    SseSession,
    /// The same on a line.
    NdSession,
}

/// The bytes of one event in one form, cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    chunk: Bytes,
    head: u8,
    sum: Sum,
}

/// What a connection is sent whole or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    pub bytes: Bytes,
    /// What it adds to the sum of a compressed body.
    pub sum: Sum,
}

/// A message of a body that is not compressed.
impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Message {
        Message { bytes, sum: Sum::default() }
    }
}

impl Encoded {
    /// Encodes what `write` writes, compressed if the form is.
    fn coded(gzip: bool, write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
        if !gzip {
            return Encoded::new(write);
        }
        let (mut payload, mut sum) = (Vec::new(), Sum::default());
        write(&mut payload);
        let encoded = Encoded::new(|out| sum = gzip::write(&payload, out));
        Encoded { sum, ..encoded }
    }

    fn new(write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
        let mut out = SCRATCH.take();
        out.clear();
        out.extend_from_slice(&[0; CHUNK_HEAD]);
        write(&mut out);
        let encoded = Encoded::of(&mut out);
        if out.capacity() <= SCRATCH_MAX {
            SCRATCH.set(out);
        }
        encoded
    }

    /// What was written behind the room for a chunk's head.
    fn of(out: &mut Vec<u8>) -> Encoded {
        let length = out.len() - CHUNK_HEAD;
        if length == 0 {
            // An empty chunk would end the body.
            return Encoded { chunk: Bytes::new(), head: 0, sum: Sum::default() };
        }
        let start = write_chunk_head(length, &mut out[..CHUNK_HEAD]);
        out.extend_from_slice(b"\r\n");
        // A copy, exactly as large as it is: it is kept as long as the event.
        let chunk = Bytes::copy_from_slice(&out[start..]);
        Encoded { chunk, head: (CHUNK_HEAD - start) as u8, sum: Sum::default() }
    }

    /// The bytes as one chunk of a chunked body; empty if there are none.
    pub fn chunk(&self) -> Bytes {
        self.chunk.clone()
    }

    /// The bytes without the chunk around them.
    pub fn payload(&self) -> Bytes {
        if self.chunk.is_empty() {
            return Bytes::new();
        }
        self.chunk.slice(usize::from(self.head)..self.chunk.len() - 2)
    }

    /// As a connection is sent it: in the chunked coding or not.
    pub fn message(&self, chunked: bool) -> Message {
        Message { bytes: if chunked { self.chunk() } else { self.payload() }, sum: self.sum }
    }

    /// How much memory the encoding holds, in bytes.
    pub fn cost(&self) -> usize {
        self.chunk.len()
    }
}

/// Room for the largest chunk head: sixteen hexadecimal digits and a line break.
const CHUNK_HEAD: usize = 18;
/// Most room that a thread keeps to encode into, in bytes.
const SCRATCH_MAX: usize = 64 << 10;

thread_local! {
    /// Where an encoding grows until it is known how large it is.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes the line that begins a chunk so that it ends where `room` does, and tells where it starts.
fn write_chunk_head(mut length: usize, room: &mut [u8]) -> usize {
    let mut start = room.len() - 2;
    room[start..].copy_from_slice(b"\r\n");
    while length > 0 {
        start -= 1;
        room[start] = b"0123456789abcdef"[length & 15];
        length >>= 4;
    }
    start
}

/// Encodes an event.
pub fn event(event: &Event, form: Form) -> Encoded {
    let id = event.resumable.then_some(event.id);
    Encoded::coded(form.is_gzipped(), |out| match form {
        Form::SseRaw { .. } => {
            let draft = &event.draft;
            if let Some(id) = id {
                sse::encode::id(|out| id.write_to(out), out);
            }
            if let Some(name) = draft.event() {
                sse::encode::event(name, out);
            }
            match draft.kind() {
                Kind::Binary => sse::encode::data(base64(draft.data()).as_bytes(), out),
                Kind::Json | Kind::Text => sse::encode::data(draft.data(), out),
            }
            sse::encode::end(out);
        }
        Form::SseEvent { .. } => {
            if let Some(id) = id {
                sse::encode::id(|out| id.write_to(out), out);
            }
            if let Some(name) = event.draft.event() {
                sse::encode::event(name, out);
            }
            out.extend_from_slice(b"data: ");
            event.write_json(out);
            out.push(b'\n');
            sse::encode::end(out);
        }
        Form::NdJson { .. } => {
            event.write_json(out);
            out.push(b'\n');
        }
        Form::Body => out.extend_from_slice(event.draft.data()),
        Form::WsRaw { deflated } => {
            let opcode = if event.draft.kind() == Kind::Binary { Opcode::Binary } else { Opcode::Text };
            frame(opcode, event.draft.data(), deflated, out);
        }
        Form::WsEvent { deflated } => {
            let mut json = Vec::new();
            event.write_json(&mut json);
            frame(Opcode::Text, &json, deflated, out);
        }
        Form::WsSession { .. } | Form::SseSession | Form::NdSession => match presence::is_of_notices(&event.channel) {
            true => rpc(form, "presence", |out| presence::write_params(event, out), out),
            false => rpc(form, "event", |out| event.write_json(out), out),
        },
    })
}

/// Appends a JSON-RPC notification with these params as a session is sent it.
fn rpc(form: Form, method: &str, params: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"");
        out.extend_from_slice(method.as_bytes());
        out.extend_from_slice(b"\",\"params\":");
        params(out);
        out.push(b'}');
    };
    match form {
        Form::WsSession { deflated } => {
            let mut json = Vec::new();
            write(&mut json);
            frame(Opcode::Text, &json, deflated, out);
        }
        Form::SseSession => {
            out.extend_from_slice(b"data: ");
            write(out);
            out.extend_from_slice(b"\n\n");
        }
        _ => {
            write(out);
            out.push(b'\n');
        }
    }
}

/// Encodes a JSON-RPC message, which is on one line, as a session is sent it.
pub fn message(json: &[u8], form: Form) -> Encoded {
    Encoded::new(|out| match form {
        Form::WsSession { deflated } => frame(Opcode::Text, json, deflated, out),
        Form::SseSession => {
            sse::encode::data(json, out);
            sse::encode::end(out);
        }
        _ => {
            out.extend_from_slice(json);
            out.push(b'\n');
        }
    })
}

/// Encodes a notice; empty in the forms that have no way to say one.
pub fn notice(notice: &Notice, form: Form) -> Encoded {
    Encoded::coded(form.is_gzipped(), |out| match form {
        Form::SseRaw { .. } | Form::SseEvent { .. } => {
            if let Some(cursor) = notice.cursor() {
                sse::encode::id(|out| cursor.write_to(out), out);
            }
            sse::encode::event(notice.name(), out);
            out.extend_from_slice(b"data: ");
            notice.write_data(out);
            out.push(b'\n');
            sse::encode::end(out);
        }
        Form::NdJson { .. } => {
            notice.write_json(out);
            out.push(b'\n');
        }
        Form::WsEvent { .. } => {
            let mut json = Vec::new();
            notice.write_json(&mut json);
            frame(Opcode::Text, &json, None, out);
        }
        // What says nothing of the connection as a whole is compressed for nobody else either.
        Form::WsSession { .. } => rpc(Form::WsSession { deflated: None }, notice.method(), write(notice), out),
        Form::SseSession | Form::NdSession => rpc(form, notice.method(), write(notice), out),
        Form::Body | Form::WsRaw { .. } => {}
    })
}

fn write(notice: &Notice) -> impl FnOnce(&mut Vec<u8>) {
    |out| notice.write_data(out)
}

/// Encodes bytes of the caller's own, such as a heartbeat.
pub fn verbatim(bytes: &[u8], form: Form) -> Encoded {
    Encoded::coded(form.is_gzipped(), |out| out.extend_from_slice(bytes))
}

/// What a compressed body ends with.
pub fn end_of_gzip(total: &Total) -> Encoded {
    Encoded::new(|out| out.extend_from_slice(&total.end()))
}

/// Appends one unmasked WebSocket message, compressed if that makes it smaller.
fn frame(opcode: Opcode, payload: &[u8], deflated: Option<u8>, out: &mut Vec<u8>) {
    let compressed = deflated.and_then(|window| compress(window, payload));
    match compressed.filter(|compressed| compressed.len() < payload.len()) {
        Some(compressed) => {
            write_server_header(opcode, true, compressed.len(), out);
            out.extend_from_slice(&compressed);
        }
        None => {
            write_server_header(opcode, false, payload.len(), out);
            out.extend_from_slice(payload);
        }
    }
}

/// Compresses a message on its own. Setting a compressor up costs as much as a small message, so each thread keeps
/// one for each window.
fn compress(window: u8, payload: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESSORS: RefCell<HashMap<u8, Deflate>> = RefCell::default();
    }
    COMPRESSORS.with_borrow_mut(|kept| kept.entry(window).or_insert_with(|| Deflate::new(window)).message(payload))
}

impl Form {
    /// Whether messages of this form are compressed, in whatever way.
    pub fn is_compressed(self) -> bool {
        let is_deflated = matches!(
            self,
            Form::WsRaw { deflated: Some(_) }
                | Form::WsEvent { deflated: Some(_) }
                | Form::WsSession { deflated: Some(_) }
        );
        is_deflated || self.is_gzipped()
    }

    /// Whether the body is compressed with gzip.
    pub fn is_gzipped(self) -> bool {
        matches!(self, Form::SseRaw { gzip: true } | Form::SseEvent { gzip: true } | Form::NdJson { gzip: true })
    }

    /// Whether the form can carry notices and positions.
    pub fn says_gaps(self) -> bool {
        !matches!(self, Form::Body | Form::WsRaw { .. })
    }
}

/// Appends one page: `{"events":[…],"position","gap"?,"ended"?}`.
pub fn page(events: &[Bytes], position: &crate::Position, gap: Option<&crate::Gap>, ended: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"events\":[");
    for (i, event) in events.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event.strip_suffix(b"\n").unwrap_or(event));
    }
    out.extend_from_slice(b"],\"position\":");
    json::string(&position.to_string(), out);
    if let Some(gap) = gap {
        out.extend_from_slice(b",\"gap\":");
        gap.write_json(out);
    }
    if ended {
        out.extend_from_slice(b",\"ended\":true");
    }
    out.extend_from_slice(b"}\n");
}
