//! How a connection becomes a subscriber, and how what it then receives is framed: data that a target provides.

/// What is under the framing of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// An HTTP response whose body does not end, chunked or not.
    Http,
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
}

/// What a connection says and waits for, until it is live: then everything published reaches it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialogue {
    pub link: Link,
    pub framing: Framing,
    pub steps: Vec<Step>,
}

/// One thing to say, and what answers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Sent as it is in the first step, which is an HTTP request; as a message on a WebSocket after it. May be empty.
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
        let mut steps = vec![Step { send: request, expect: Expect::Status(200) }];
        if !opening.is_empty() {
            steps.push(Step { send: Vec::new(), expect: Expect::Piece(opening.into()) });
        }
        Dialogue { link: Link::Http, framing, steps }
    }

    /// A handshake; live once a message contains `opening`, or with the head where that is empty.
    pub fn websocket(request: Vec<u8>, opening: &str) -> Dialogue {
        let mut steps = vec![Step { send: request, expect: Expect::Status(101) }];
        if !opening.is_empty() {
            steps.push(Step { send: Vec::new(), expect: Expect::Piece(opening.into()) });
        }
        Dialogue { link: Link::WebSocket, framing: Framing::Messages, steps }
    }
}

/// A request without a body.
pub fn get(target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The fields of a WebSocket handshake. The key is the RFC's own example: nothing rests on it here.
pub const UPGRADE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A request with a body.
pub fn post(target: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
