//! A client that follows channels in event form over any transport, and keeps its cursor by the contract.

use crate::{Conn, Item, Line, Lines, Message, PATIENCE, Response, Server, Sse, WebSocket};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Instant;

/// How a [`Follower`] reads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    Sse,
    Stream,
    Poll,
    WebSocket,
}

impl Transport {
    pub const ALL: [Transport; 4] = [Transport::Sse, Transport::Stream, Transport::Poll, Transport::WebSocket];
}

/// What is no longer held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    pub channel: Option<String>,
    pub from: String,
    pub to: String,
    pub reason: String,
}

impl Gap {
    /// Reads `{channel?, from, to, reason}`.
    ///
    /// # Panics
    /// If it is anything else.
    #[track_caller]
    pub fn read(value: &Value) -> Gap {
        let text =
            |name: &str| value[name].as_str().unwrap_or_else(|| panic!("a gap has `{name}`: {value}")).to_owned();
        let reason = text("reason");
        let reasons = ["trimmed", "expired", "deleted", "epoch", "ahead", "unknown", "skipped", "forgotten"];
        assert!(reasons.contains(&reason.as_str()), "a reason of no known name: {value}");
        let channel = value.get("channel").map(|name| name.as_str().expect("a channel's name").to_owned());
        Gap { channel, from: text("from"), to: text("to"), reason }
    }
}

/// An event that was heard.
#[derive(Clone, PartialEq, Debug)]
pub struct Heard {
    pub id: String,
    pub channel: String,
    /// The JSON event.
    pub json: Value,
}

impl Heard {
    #[track_caller]
    fn read(json: Value) -> Heard {
        let text =
            |name: &str| json[name].as_str().unwrap_or_else(|| panic!("an event has `{name}`: {json}")).to_owned();
        assert!(json["time"].as_u64().is_some(), "an event has `time`: {json}");
        assert!(json.get("data").is_some() != json.get("base64").is_some(), "`data` or `base64`: {json}");
        Heard { id: text("id"), channel: text("channel"), json }
    }

    fn position(&self) -> String {
        self.json["position"].as_str().unwrap_or(&self.id).to_owned()
    }
}

/// What a server said.
#[derive(Clone, PartialEq, Debug)]
pub enum Said {
    Open {
        position: String,
        recovered: Option<bool>,
        gap: Option<Gap>,
    },
    Event(Heard),
    Gap(Gap),
    Position(String),
    End(String),
    Closing {
        code: String,
        reconnect: bool,
    },
    /// The reading is over: the WebSocket's close code, or the HTTP status: 200 is a body that ended cleanly. 0 is a
    /// connection that closed in the middle.
    Closed(u16),
}

#[derive(Debug)]
enum Source {
    Sse(Box<Sse>),
    Stream(Box<Lines>),
    Poll(Conn),
    WebSocket(Box<WebSocket>),
    Over(u16),
}

/// A client that follows channels.
#[derive(Debug)]
pub struct Follower {
    source: Source,
    channels: String,
    queue: VecDeque<Said>,
    /// Where the client would go on reading, once it has a cursor.
    pub cursor: Option<String>,
    /// Events a page may have.
    pub limit: usize,
    /// Seconds a poll may wait.
    pub wait: u32,
}

/// The query that selects these channels and patterns.
pub fn query(selection: &[&str]) -> String {
    selection.iter().map(|each| format!("channel={each}")).collect::<Vec<_>>().join("&")
}

impl Follower {
    /// Follows channels and patterns from `since`, on a connection of its own.
    #[track_caller]
    pub fn open(server: &Server, selection: &[&str], since: Option<&str>, transport: Transport) -> Follower {
        Follower::over(server.connect(), selection, since, transport)
    }

    /// The same, on a connection that may have served requests before.
    #[track_caller]
    pub fn over(conn: Conn, selection: &[&str], since: Option<&str>, transport: Transport) -> Follower {
        Follower::taking(conn, selection, since, transport, false)
    }

    /// The same, which takes what it reads compressed, where the server likes to do that.
    #[track_caller]
    pub fn packed(conn: Conn, selection: &[&str], since: Option<&str>, transport: Transport) -> Follower {
        Follower::taking(conn, selection, since, transport, true)
    }

    #[track_caller]
    fn taking(mut conn: Conn, selection: &[&str], since: Option<&str>, transport: Transport, packed: bool) -> Follower {
        let channels = query(selection);
        let target = match since {
            Some(since) => format!("/channels?{channels}&since={since}"),
            None => format!("/channels?{channels}"),
        };
        let (mut queue, mut first) = (VecDeque::new(), None);
        let source = match transport {
            Transport::Sse => match stream(conn, &target, "text/event-stream", packed) {
                Ok(stream) => Source::Sse(Box::new(Sse::over(stream))),
                Err(refusal) => Source::Over(refusal.status()),
            },
            Transport::Stream => match stream(conn, &target, "application/x-ndjson", packed) {
                Ok(stream) => Source::Stream(Box::new(Lines::over(stream))),
                Err(refusal) => Source::Over(refusal.status()),
            },
            Transport::WebSocket => {
                let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
                match conn.handshake(&target, if packed { &offer } else { &[] }) {
                    Ok(socket) => Source::WebSocket(Box::new(socket)),
                    Err(refusal) => Source::Over(refusal.status()),
                }
            }
            Transport::Poll => {
                let target = if since.is_some() { target } else { format!("{target}&since=latest") };
                let page = conn.get(&target);
                match page.status() {
                    200 => {
                        first = read_page(&page.json(), &mut queue);
                        Source::Poll(conn)
                    }
                    status => Source::Over(status),
                }
            }
        };
        // A page's position is the cursor of whoever has read all of it, which only a page of nothing is at once.
        let unread = queue.iter().any(|said| matches!(said, Said::Event(_) | Said::Gap(_)));
        let given = since.filter(|since| !matches!(*since, "earliest" | "latest")).map(str::to_owned);
        let cursor = given.or(first.filter(|_| !unread));
        Follower { source, channels, queue, cursor, limit: 100, wait: 10 }
    }

    /// The next thing said. It moves the cursor as the contract says.
    #[track_caller]
    pub fn next(&mut self) -> Said {
        let end = Instant::now() + PATIENCE;
        let said = loop {
            if let Some(said) = self.queue.pop_front() {
                break said;
            }
            assert!(Instant::now() < end, "nothing but heartbeats came for {PATIENCE:?}");
            if let Some(said) = self.read() {
                break said;
            }
        };
        match &said {
            Said::Open { position, gap: None, .. } | Said::Position(position) => self.cursor = Some(position.clone()),
            Said::Event(heard) => self.cursor = Some(heard.position()),
            Said::Gap(gap) => self.cursor = Some(gap.to.clone()),
            Said::Open { .. } | Said::End(_) | Said::Closing { .. } | Said::Closed(_) => {}
        }
        said
    }

    #[track_caller]
    fn read(&mut self) -> Option<Said> {
        match &mut self.source {
            Source::Over(status) => Some(Said::Closed(*status)),
            Source::Sse(sse) => match sse.next() {
                Item::Comment(_) | Item::Retry(_) => None,
                Item::Block(block) => Some(match block.event.strip_prefix('$') {
                    Some(_) => notice(&block.event, &block.json()),
                    None => Said::Event(Heard::read(block.json())),
                }),
                Item::End => Some(Said::Closed(200)),
                Item::Cut => Some(Said::Closed(0)),
            },
            Source::Stream(lines) => match lines.next() {
                Line::Heartbeat => None,
                Line::Json(value) => Some(message(value)),
                Line::End => Some(Said::Closed(200)),
                Line::Cut => Some(Said::Closed(0)),
            },
            Source::WebSocket(socket) => Some(match socket.next() {
                Message::Text(text) => message(serde_json::from_str(&text).expect("event form is JSON")),
                Message::Binary(data) => panic!("a binary message in event form: {data:?}"),
                Message::Close(code, _) => Said::Closed(code),
                Message::Eof => Said::Closed(0),
            }),
            Source::Poll(conn) => {
                let cursor = self.cursor.as_deref().expect("a first page gives a cursor");
                let (channels, limit, wait) = (&self.channels, self.limit, self.wait);
                let page = conn.get(&format!("/channels?{channels}&since={cursor}&limit={limit}&wait={wait}"));
                if page.status() == 200 {
                    read_page(&page.json(), &mut self.queue);
                } else {
                    self.source = Source::Over(page.status());
                }
                None
            }
        }
    }

    /// The next event, passing over `$open` and `$position`.
    ///
    /// # Panics
    /// If anything else is said.
    #[track_caller]
    pub fn event(&mut self) -> Heard {
        loop {
            match self.next() {
                Said::Event(heard) => return heard,
                Said::Open { gap: None, .. } | Said::Position(_) => {}
                other => panic!("expected an event: {other:?}"),
            }
        }
    }

    /// Whether anything came compressed.
    pub fn has_unpacked(&self) -> bool {
        match &self.source {
            Source::Sse(sse) => sse.stream.is_unpacked(),
            Source::Stream(lines) => lines.stream.is_unpacked(),
            Source::WebSocket(socket) => socket.inflated > 0,
            Source::Poll(_) | Source::Over(_) => false,
        }
    }

    /// Drops the connection abruptly, and gives the cursor.
    pub fn cut(self) -> Option<String> {
        match self.source {
            Source::Sse(sse) => sse.stream.conn.cut(),
            Source::Stream(lines) => lines.stream.conn.cut(),
            Source::WebSocket(socket) => socket.cut(),
            Source::Poll(conn) => conn.cut(),
            Source::Over(_) => {}
        }
        self.cursor
    }
}

#[track_caller]
fn stream(conn: Conn, target: &str, accept: &str, packed: bool) -> Result<crate::Streamed, Response> {
    let fields = [("Accept", accept), ("Accept-Encoding", "gzip")];
    let stream = conn.stream(target, if packed { &fields } else { &fields[..1] });
    match stream.head.status {
        200 => Ok(stream.unpacked()),
        _ => Err(stream.into_response()),
    }
}

#[track_caller]
fn message(value: Value) -> Said {
    let name = value.as_object().and_then(|object| object.keys().next()).cloned().unwrap_or_default();
    if name.starts_with('$') { notice(&name, &value[&name]) } else { Said::Event(Heard::read(value)) }
}

#[track_caller]
fn notice(name: &str, value: &Value) -> Said {
    let text = |name: &str| value[name].as_str().unwrap_or_else(|| panic!("it has `{name}`: {value}")).to_owned();
    match name {
        "$open" => Said::Open {
            position: text("position"),
            recovered: value.get("recovered").map(|recovered| recovered.as_bool().expect("a boolean")),
            gap: value.get("gap").map(Gap::read),
        },
        "$gap" => Said::Gap(Gap::read(value)),
        "$position" => Said::Position(text("position")),
        "$end" => Said::End(text("channel")),
        "$closing" => {
            text("reason");
            Said::Closing { code: text("code"), reconnect: value["reconnect"].as_bool().expect("a boolean") }
        }
        _ => panic!("a notice of no known name: {name}"),
    }
}

/// Reads `{"events":[…],"position","gap"?,"ended"?}` into what it says, in the order in which it moves a cursor, and
/// gives the page's position.
#[track_caller]
fn read_page(page: &Value, queue: &mut VecDeque<Said>) -> Option<String> {
    if let Some(gap) = page.get("gap") {
        queue.push_back(Said::Gap(Gap::read(gap)));
    }
    let events = page["events"].as_array().unwrap_or_else(|| panic!("a page has `events`: {page}"));
    queue.extend(events.iter().map(|event| Said::Event(Heard::read(event.clone()))));
    let position = page["position"].as_str().unwrap_or_else(|| panic!("a page has `position`: {page}"));
    queue.push_back(Said::Position(position.to_owned()));
    if page.get("ended").is_some_and(|ended| *ended == true) {
        queue.push_back(Said::End(String::new()));
        queue.push_back(Said::Closed(204));
    }
    Some(position.to_owned())
}
