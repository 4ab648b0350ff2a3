//! How a connection becomes a subscriber, and how what it then receives is framed: data that a target provides.

/// What is under the framing of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// An HTTP response whose body does not end, chunked or not.
    Http,
    /// The same on a stream of an HTTP/2 connection, which many share.
    Http2,
    /// Frames of a WebSocket, after status 101. What steps send is put into masked text messages.
    WebSocket,
}

/// How events are told apart. Whatever surrounds a payload within a piece is passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Blocks that end with an empty line.
    Blocks,
    /// Lines.
    Lines,
    /// A WebSocket message each.
    Messages,
    /// Responses with a length, one after the other: each is asked for with the position that the last one gave.
    Pages,
}

/// What a connection says and waits for, until it is live: then everything published reaches it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialogue {
    pub link: Link,
    pub framing: Framing,
    pub steps: Vec<Step>,
    /// With [`Framing::Pages`], what goes before and after the position in the next request.
    pub again: (Vec<u8>, Vec<u8>),
}

/// One thing to say, and what answers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Sent as it is in the first step, which is an HTTP request (on HTTP/2 its header block, see
    /// [`hpack::get`](super::http2::hpack::get)); as a message on a WebSocket after it. May be empty.
    pub send: Vec<u8>,
    pub expect: Expect,
}

/// What ends a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// A response head with this status.
    Status(u16),
    /// A piece that contains these bytes.
    Piece(Vec<u8>),
}

impl Dialogue {
    /// A request that is answered by a stream over HTTP; live once a piece contains `opening`, or with the head where
    /// that is empty.
    pub fn stream(framing: Framing, request: Vec<u8>, opening: &str) -> Dialogue {
        Dialogue::of(Link::Http, framing, request, 200, opening)
    }

    /// The same over HTTP/2, with the request's header block.
    pub fn stream_of_many(framing: Framing, block: Vec<u8>, opening: &str) -> Dialogue {
        Dialogue::of(Link::Http2, framing, block, 200, opening)
    }

    /// A handshake; live once a message contains `opening`, or with the head where that is empty.
    pub fn websocket(request: Vec<u8>, opening: &str) -> Dialogue {
        Dialogue::of(Link::WebSocket, Framing::Messages, request, 101, opening)
    }

    /// Long polls. The first request is answered at once, by a page with the position where reading starts; that
    /// position makes the subscriber live, and goes between the two halves of the next request.
    pub fn polls(first: Vec<u8>, again: (Vec<u8>, Vec<u8>)) -> Dialogue {
        Dialogue { again, ..Dialogue::of(Link::Http, Framing::Pages, first, 200, "\"position\":\"") }
    }

    fn of(link: Link, framing: Framing, request: Vec<u8>, status: u16, opening: &str) -> Dialogue {
        let mut steps = vec![Step { send: request, expect: Expect::Status(status) }];
        if !opening.is_empty() {
            steps.push(Step { send: Vec::new(), expect: Expect::Piece(opening.into()) });
        }
        Dialogue { link, framing, steps, again: Default::default() }
    }
}

/// The position that a page gives.
pub fn position(page: &[u8]) -> Option<&[u8]> {
    const MEMBER: &[u8] = b"\"position\":\"";
    let rest = &page[memchr::memmem::rfind(page, MEMBER)? + MEMBER.len()..];
    rest.split(|b| *b == b'"').next()
}

/// The fields of a WebSocket handshake. The key is the RFC's own example: nothing rests on it here.
pub const UPGRADE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A request without a body.
pub fn get(host: &str, target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{}\r\n", written(fields)).into_bytes()
}

fn written(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// A request with a body.
pub fn post(host: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let (length, fields) = (body.len(), written(fields));
    let mut request =
        format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n").into_bytes();
    request.extend_from_slice(body);
    request
}
