//! A client of sessions that does no more than the documents say, over each transport.

use serde_json::{Value, json};
use std::collections::VecDeque;
use switchboard_testkit::lines::Lines;
use switchboard_testkit::sse::Sse;
use switchboard_testkit::websocket::WebSocket;
use switchboard_testkit::{Conn, Field, Message, Response, Server};

/// The subprotocol of sessions.
pub(crate) const PROTOCOL: Field<'static> = ("Sec-WebSocket-Protocol", "switchboard.v1");

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    WebSocket,
    Sse,
    Stream,
    Poll,
}

impl Way {
    pub(crate) const ALL: [Way; 4] = [Way::WebSocket, Way::Sse, Way::Stream, Way::Poll];
}

enum Down {
    WebSocket(WebSocket),
    Sse(Sse),
    Stream(Lines),
    Poll(Conn, VecDeque<Value>),
}

/// What a client keeps when its connection is cut.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) location: String,
    pub(crate) control: u64,
    pub(crate) position: String,
    pub(crate) attempt: u64,
    /// Messages up, from the first on: what the server has not got is sent again.
    pub(crate) sent: Vec<String>,
    ids: u64,
    /// The rest of the last page, which the place lies behind.
    unread: VecDeque<Value>,
}

impl Kept {
    pub(crate) fn place(&self) -> String {
        format!("{}.{}", self.control, self.position)
    }

    /// Takes a place for the one it has come to. What lies behind it comes again.
    pub(crate) fn move_to(&mut self, place: &str) {
        let (control, position) = place.split_once('.').unwrap();
        (self.control, self.position) = (control.parse().unwrap(), position.to_owned());
        self.unread.clear();
    }
}

/// A session's client.
pub(crate) struct Talk {
    down: Down,
    up: Option<Conn>,
    pub(crate) kept: Kept,
    /// What opened the connection. Null for polls.
    pub(crate) greeting: Value,
    /// What came while an answer was waited for.
    later: VecDeque<Value>,
}

impl Talk {
    /// Opens a session.
    pub(crate) fn open(server: &Server, way: Way) -> Talk {
        Talk::open_with(server, way, &[])
    }

    pub(crate) fn open_with(server: &Server, way: Way, fields: &[Field<'_>]) -> Talk {
        let empty = || Kept {
            location: String::new(),
            control: 0,
            position: String::new(),
            attempt: 0,
            sent: Vec::new(),
            ids: 0,
            unread: VecDeque::new(),
        };
        if way == Way::WebSocket {
            let fields = [fields, &[PROTOCOL]].concat();
            let socket = server.handshake("/session", &fields).unwrap_or_else(|response| panic!("{response:?}"));
            let down = Down::WebSocket(socket);
            let mut talk = Talk { down, up: None, kept: empty(), greeting: Value::Null, later: VecDeque::new() };
            talk.greeted();
            return talk;
        }
        let opened = server.request("POST", "/session", fields, Some(b"")).expect(201);
        let location = opened.field("location").unwrap().to_owned();
        let opened = opened.json();
        assert_eq!(opened["location"], location);
        let (control, position) = opened["place"].as_str().unwrap().split_once('.').unwrap();
        let kept = Kept { location, control: control.parse().unwrap(), position: position.to_owned(), ..empty() };
        Talk::resume(server, way, kept)
    }

    /// Takes a session up, by whatever transport.
    pub(crate) fn resume(server: &Server, way: Way, kept: Kept) -> Talk {
        Talk::try_resume(server, way, kept).unwrap_or_else(|response| panic!("{response:?}"))
    }

    pub(crate) fn try_resume(server: &Server, way: Way, mut kept: Kept) -> Result<Talk, Response> {
        kept.attempt += 1;
        let target = format!("{}?attempt={}&since={}", kept.location, kept.attempt, kept.place());
        let conn = server.connect();
        let down = match way {
            Way::WebSocket => Down::WebSocket(conn.handshake(&target, &[PROTOCOL])?),
            Way::Sse => Down::Sse(conn.sse(&target, &[("Accept", "text/event-stream")])),
            Way::Stream => Down::Stream(conn.lines(&target, &[("Accept", "application/x-ndjson")])),
            Way::Poll => Down::Poll(conn, VecDeque::new()),
        };
        let up = (way != Way::WebSocket).then(|| server.connect());
        let later = std::mem::take(&mut kept.unread);
        let mut talk = Talk { down, up, kept, greeting: Value::Null, later };
        let seq = match way {
            Way::Poll => talk.page("0"),
            _ => talk.greeted(),
        };
        let missing = talk.kept.sent.clone().into_iter().enumerate().skip(seq as usize - 1);
        for (i, text) in missing {
            talk.send_numbered(i as u64 + 1, &text);
        }
        Ok(talk)
    }

    /// Reads what opens a connection, and says what is to come next on the way up.
    fn greeted(&mut self) -> u64 {
        let greeting = self.read().expect("the server closed");
        assert_eq!(greeting["method"], "session", "{greeting}");
        let params = &greeting["params"];
        self.kept.location = params["location"].as_str().unwrap().to_owned();
        let (control, position) = params["place"].as_str().unwrap().split_once('.').unwrap();
        (self.kept.control, self.kept.position) = (control.parse().unwrap(), position.to_owned());
        let seq = params["seq"].as_u64().unwrap();
        self.greeting = greeting;
        seq
    }

    /// The id that may be shown.
    pub(crate) fn id(&self) -> String {
        let rest = self.kept.location.strip_prefix("/session/").unwrap();
        rest.split_once('.').unwrap().0.to_owned()
    }

    /// The next message, whatever it is. `None` once the connection is closed.
    fn read(&mut self) -> Option<Value> {
        loop {
            match &mut self.down {
                Down::WebSocket(socket) => match socket.next() {
                    Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                    Message::Close(..) => return None,
                    other => panic!("{other:?}"),
                },
                Down::Sse(sse) => {
                    let block = sse.next_block()?;
                    if let Some(id) = &block.id {
                        let (control, position) = id.split_once('.').unwrap();
                        (self.kept.control, self.kept.position) = (control.parse().unwrap(), position.to_owned());
                    }
                    return Some(block.json());
                }
                Down::Stream(lines) => return Some(lines.json()),
                Down::Poll(_, messages) => match messages.pop_front() {
                    Some(message) => return Some(message),
                    None => self.page("20"),
                },
            };
        }
    }

    /// Polls, and gives the number of the next message up.
    fn page(&mut self, wait: &str) -> u64 {
        let Down::Poll(conn, messages) = &mut self.down else { panic!("no poll") };
        let target = format!("{}?since={}&wait={wait}", self.kept.location, self.kept.place());
        let page = conn.get(&target).expect(200).json();
        messages.extend(page["messages"].as_array().unwrap().iter().cloned());
        let (control, position) = page["place"].as_str().unwrap().split_once('.').unwrap();
        (self.kept.control, self.kept.position) = (control.parse().unwrap(), position.to_owned());
        page["seq"].as_u64().unwrap()
    }

    /// The next message, counted as the documents say.
    fn next_raw(&mut self) -> Option<Value> {
        let message = self.read()?;
        if matches!(self.down, Down::WebSocket(_) | Down::Stream(_)) {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let params = &message["params"];
            let position = match message["method"].as_str() {
                Some("session" | "end" | "presence" | "closing") => None,
                Some("event") => text(&params["position"]).or_else(|| text(&params["id"])),
                Some("gap") => text(&params["to"]),
                Some("position" | "caught_up") => text(&params["position"]),
                Some("subscribed") => {
                    self.kept.control += 1;
                    text(&params["position"])
                }
                _ => {
                    self.kept.control += 1;
                    // Of a batch, the last answer that says where reading begins.
                    let answers = message.as_array().cloned().unwrap_or_else(|| vec![message.clone()]);
                    let mut places = answers.iter().filter_map(|answer| {
                        let result = answer.get("result")?.as_object()?;
                        // Only `subscribe` has no more than this: `publish` says its channel, `history` its events.
                        let of_subscribe = !result.contains_key("channel") && !result.contains_key("events");
                        if of_subscribe { text(result.get("position")?) } else { None }
                    });
                    places.next_back()
                }
            };
            if let Some(position) = position {
                self.kept.position = position;
            }
        }
        Some(message)
    }

    /// The next message that is not about the place alone.
    pub(crate) fn next(&mut self) -> Value {
        self.next_of_all(is_news)
    }

    /// The next message that is looked for, and none of those before it.
    pub(crate) fn next_of_all(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        while let Some(message) = self.later.pop_front() {
            if wanted(&message) {
                return message;
            }
        }
        loop {
            let message = self.next_raw().expect("the server closed");
            if wanted(&message) {
                return message;
            }
        }
    }

    /// The next message, which is to be this notification: its params.
    pub(crate) fn notice(&mut self, method: &str) -> Value {
        let message = self.next();
        assert_eq!(message["method"], method, "{message}");
        message["params"].clone()
    }

    /// The data of the next message, which is to be an event.
    pub(crate) fn event(&mut self) -> Value {
        self.notice("event")["data"].clone()
    }

    /// Sends a message up.
    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// Sends this up, whatever it is.
    pub(crate) fn send_text(&mut self, text: &str) {
        self.kept.sent.push(text.to_owned());
        let seq = self.kept.sent.len() as u64;
        self.send_numbered(seq, text);
    }

    fn send_numbered(&mut self, seq: u64, text: &str) {
        match (&mut self.down, &mut self.up) {
            (Down::WebSocket(socket), _) => socket.send_text(text),
            (_, Some(up)) => {
                let seq = seq.to_string();
                let response = up.post(&self.kept.location, &[("Session-Seq", &seq)], text).expect(202);
                assert!(response.body.is_empty());
            }
            (_, None) => panic!("no way up"),
        }
    }

    /// Sends a call, and gives its id.
    pub(crate) fn begin(&mut self, method: &str, params: &Value) -> u64 {
        self.kept.ids += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.kept.ids, "method": method, "params": params }));
        self.kept.ids
    }

    /// Calls a method, and waits for the answer; what comes meanwhile is kept for [`Talk::next`].
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.begin(method, params);
        self.answer_to(id)
    }

    pub(crate) fn answer_to(&mut self, id: u64) -> Result<Value, Value> {
        loop {
            let message = self.next_raw().expect("the server closed");
            if message["id"] == id && message.get("method").is_none() {
                return match message.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(message["result"].clone()),
                };
            }
            self.later.push_back(message);
        }
    }

    /// Answers a call of the server's.
    pub(crate) fn reply(&mut self, call: &Value, result: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }));
    }

    /// What is read until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        let mut rest: Vec<Value> = self.later.drain(..).collect();
        if let Down::Stream(lines) = &mut self.down {
            rest.extend(lines.rest().0);
            return rest;
        }
        rest.extend(std::iter::from_fn(|| self.next_raw()));
        rest
    }

    /// Waits for the server to close, before it says anything more: a WebSocket's code.
    pub(crate) fn closed(mut self) -> Option<u16> {
        match &mut self.down {
            Down::WebSocket(socket) => match socket.next() {
                Message::Close(code, _) => Some(code),
                other => panic!("{other:?}"),
            },
            Down::Sse(sse) => {
                assert_eq!(sse.next_block(), None);
                None
            }
            Down::Stream(lines) => {
                assert_eq!(lines.rest(), (Vec::new(), true));
                None
            }
            Down::Poll(..) => panic!("polls are not closed, but refused"),
        }
    }

    pub(crate) fn websocket(&mut self) -> &mut WebSocket {
        match &mut self.down {
            Down::WebSocket(socket) => socket,
            _ => panic!("no WebSocket"),
        }
    }

    /// What it would keep if its connection were cut now. What was not read by then is not received.
    pub(crate) fn keeps(&self) -> Kept {
        let mut kept = self.kept.clone();
        kept.unread = self.later.clone();
        if let Down::Poll(_, messages) = &self.down {
            kept.unread.extend(messages.iter().cloned());
        }
        kept
    }

    /// Cuts the connection.
    pub(crate) fn cut(self) -> Kept {
        let kept = self.keeps();
        if let Down::WebSocket(socket) = self.down {
            socket.cut();
        }
        kept
    }
}

/// Whether a message says more than where the client is.
fn is_news(message: &Value) -> bool {
    message["method"] != "position" && message["method"] != "caught_up"
}
