//! As much HTTP as the floor needs, and the bytes that Switchboard would send.

use bytes::Bytes;
use switchboard_wire::event::Draft;
use switchboard_wire::{ChannelName, Epoch, Event, Form, Kind, Mark, form};

pub(super) enum Request<'a> {
    Subscribe { path: &'a str, websocket: bool },
    Publish { path: &'a str, body: &'a [u8] },
    Unknown,
}

pub(super) const PUBLISHED: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

/// The first whole request, and how long it is.
pub(super) fn parse(received: &[u8]) -> Option<(Request<'_>, usize)> {
    let end = memchr::memmem::find(received, b"\r\n\r\n")? + 4;
    let Ok(head) = std::str::from_utf8(&received[..end]) else { return Some((Request::Unknown, end)) };
    let mut words = head.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some(path)) => {
            let websocket = head.to_ascii_lowercase().contains("\r\nupgrade: websocket");
            Some((Request::Subscribe { path, websocket }, end))
        }
        (Some("POST"), Some(path)) => {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
            let whole = end + length.unwrap_or(0);
            let body = received.get(end..whole)?;
            Some((Request::Publish { path, body }, whole))
        }
        _ => Some((Request::Unknown, end)),
    }
}

/// How a subscription is answered. The key of the handshake is always the RFC's own example.
pub(super) fn opening(websocket: bool) -> &'static [u8] {
    if websocket {
        return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    }
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
      17\r\nevent: $open\ndata: {}\n\n\r\n"
}

/// The bytes of an event on its way down, as Switchboard would send them.
pub(super) fn encode(path: &str, body: &[u8], seq: u64, websocket: bool) -> Option<Bytes> {
    let name = path.strip_prefix("/channels/").unwrap_or(path);
    let channel = ChannelName::new(name).ok()?;
    let draft = Draft::new(None, Kind::Text, None, Bytes::copy_from_slice(body)).ok()?;
    let event = Event { id: Mark { epoch: Epoch::new(0x5eed << 30), seq }, resumable: true, channel, time: 0, draft };
    let encoded = form::event(&event, if websocket { Form::WsRaw { deflated: None } } else { Form::SseRaw });
    Some(if websocket { encoded.payload() } else { encoded.chunk() })
}
