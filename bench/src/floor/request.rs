//! As much HTTP as the floor needs, and the bytes that Switchboard would send.

use bytes::Bytes;
use switchboard_wire::event::Draft;
use switchboard_wire::{ChannelName, Epoch, Event, Form, Kind, Mark, Position, form};

/// The epoch of the floor's only log.
const EPOCH: Epoch = Epoch::new(0x5eed << 30);

/// How a subscriber is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Sse,
    Raw,
    Event,
    Deflate,
    Stream,
}

/// Every way, in the order of a channel's lanes.
pub(super) const WAYS: [Way; 5] = [Way::Sse, Way::Raw, Way::Event, Way::Deflate, Way::Stream];

pub(super) enum Request<'a> {
    Subscribe {
        path: &'a str,
        way: Way,
    },
    /// A page of what is after an event: now, or when there is something.
    Poll {
        path: &'a str,
        since: Option<u64>,
        waits: bool,
    },
    Publish {
        path: &'a str,
        body: &'a [u8],
    },
    Unknown,
}

pub(super) const PUBLISHED: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

/// The first whole request, and how long it is.
pub(super) fn parse(received: &[u8]) -> Option<(Request<'_>, usize)> {
    let end = memchr::memmem::find(received, b"\r\n\r\n")? + 4;
    let Ok(head) = std::str::from_utf8(&received[..end]) else { return Some((Request::Unknown, end)) };
    let mut words = head.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match method {
        Some("GET") => Some((read(head, path, query), end)),
        Some("POST") => {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
            let whole = end + length.unwrap_or(0);
            let body = received.get(end..whole)?;
            Some((Request::Publish { path, body }, whole))
        }
        _ => Some((Request::Unknown, end)),
    }
}

fn read<'a>(head: &str, path: &'a str, query: &str) -> Request<'a> {
    let says = |what: &str| head.contains(what);
    let way = if says("\r\nUpgrade: websocket") {
        match () {
            () if query.contains("form=event") => Way::Event,
            () if says("permessage-deflate") => Way::Deflate,
            () => Way::Raw,
        }
    } else if says("text/event-stream") {
        Way::Sse
    } else if says("application/x-ndjson") {
        Way::Stream
    } else {
        let since = query.split('&').find_map(|pair| pair.strip_prefix("since="));
        let since = since.and_then(|text| text.parse::<Position>().ok()).and_then(|position| position.in_log(EPOCH));
        return Request::Poll { path, since, waits: query.contains("wait=") };
    };
    Request::Subscribe { path, way }
}

/// How a subscription is answered. The key of the handshake is always the RFC's own example.
pub(super) fn opening(way: Way) -> Vec<u8> {
    const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                           client_no_context_takeover\r\n";
    let streaming = |kind: &str, first: &str| {
        let length = first.len();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{first}\r\n"
        )
        .into_bytes()
    };
    match way {
        Way::Sse => streaming("text/event-stream", "event: $open\ndata: {}\n\n"),
        Way::Stream => streaming("application/x-ndjson", "{\"$open\":{}}\n"),
        Way::Raw => format!("{SWITCHING}\r\n").into_bytes(),
        Way::Deflate => format!("{SWITCHING}{DEFLATE}\r\n").into_bytes(),
        Way::Event => {
            let mut answer = format!("{SWITCHING}\r\n").into_bytes();
            answer.extend_from_slice(b"\x81\x0c{\"$open\":{}}");
            answer
        }
    }
}

/// An event as the log would hold it.
pub(super) fn event(path: &str, body: &[u8], seq: u64) -> Option<Event> {
    let name = path.strip_prefix("/channels/").unwrap_or(path);
    let channel = ChannelName::new(name).ok()?;
    let draft = Draft::new(None, Kind::Text, None, Bytes::copy_from_slice(body)).ok()?;
    // A time of as many digits as a real one has.
    Some(Event { id: Mark { epoch: EPOCH, seq }, resumable: true, channel, time: 1_795_197_600_000, draft })
}

/// The bytes of an event on its way down, as Switchboard would send them.
pub(super) fn encode(event: &Event, way: Way) -> Bytes {
    match way {
        Way::Sse => form::event(event, Form::SseRaw { gzip: false }).chunk(),
        Way::Stream => form::event(event, Form::NdJson { gzip: false }).chunk(),
        Way::Raw => form::event(event, Form::WsRaw { deflated: None }).payload(),
        Way::Deflate => form::event(event, Form::WsRaw { deflated: Some(15) }).payload(),
        Way::Event => form::event(event, Form::WsEvent { deflated: None }).payload(),
    }
}

/// An event as a page holds it.
pub(super) fn line(event: &Event) -> Bytes {
    form::event(event, Form::NdJson { gzip: false }).payload()
}

/// A page of events, up to `seq`.
pub(super) fn page(events: &[Bytes], seq: u64) -> Vec<u8> {
    let mut body = Vec::new();
    form::page(events, &Position::from(Mark { epoch: EPOCH, seq }), None, false, &mut body);
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_decides_the_way() {
        let way = |request: &str| match parse(format!("{request}\r\n\r\n").as_bytes()) {
            Some((Request::Subscribe { path: "/channels/a", way }, _)) => Some(way),
            _ => None,
        };
        assert_eq!(way("GET /channels/a HTTP/1.1\r\nAccept: text/event-stream"), Some(Way::Sse));
        assert_eq!(way("GET /channels/a HTTP/1.1\r\nAccept: application/x-ndjson"), Some(Way::Stream));
        assert_eq!(way("GET /channels/a HTTP/1.1\r\nUpgrade: websocket"), Some(Way::Raw));
        assert_eq!(way("GET /channels/a?form=event HTTP/1.1\r\nUpgrade: websocket"), Some(Way::Event));
        assert_eq!(way("GET /channels/a HTTP/1.1"), None);
    }

    #[test]
    fn a_page_names_the_position_that_the_next_request_brings() {
        let page = String::from_utf8(page(&[], 77)).unwrap();
        let (_, position) = page.split_once("\"position\":\"").unwrap();
        let position = position.split('"').next().unwrap();
        let request = format!("GET /channels/a?wait=30&since={position} HTTP/1.1\r\n\r\n");
        let parsed = parse(request.as_bytes());
        assert!(matches!(parsed, Some((Request::Poll { since: Some(77), waits: true, .. }, _))));
    }

    #[test]
    fn a_publish_is_whole_with_its_body() {
        let request = b"POST /channels/a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        assert!(parse(&request[..request.len() - 1]).is_none());
        assert!(
            matches!(parse(request), Some((Request::Publish { body: b"hello", .. }, length)) if length == request.len())
        );
    }
}
