//! Plays one conversation.

mod asks;
mod down;
mod up;

use super::answers;
use super::listening::Listening;
use crate::error::{Error, RpcError};
use crate::event::{Data, Item};
use crate::session::{Closing, Happening, Said, Session};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use switchboard_vectors::sessions::{Case, Names, Step};
use switchboard_wire::jsonrpc::Json;
use switchboard_wire::websocket::close::Close;

/// Notifications that take no number.
const NOT_NUMBERED: [&str; 8] = ["session", "event", "presence", "gap", "end", "position", "caught_up", "closing"];

/// A call of a backend's.
struct Called {
    method: String,
    /// Its id, once it has come to the client.
    id: Option<Value>,
    /// What the client answered.
    outcome: Option<Value>,
}

pub(super) struct Player<'a> {
    case: &'a Case,
    over: String,
    is_reversed: bool,
    names: Names,
    session: Session,
    is_connected: bool,
    /// The client's place, by the rules of "Going on after a cut".
    control: u64,
    position: String,
    /// How many control messages come again, that were lost on their way.
    behind: u64,
    attempts: u64,
    /// The number of the last message up, and those that the server may not have.
    sent: u64,
    unconfirmed: VecDeque<(u64, Value)>,
    /// What the client has said by itself, ahead of the conversation.
    ahead: VecDeque<Value>,
    /// The client's calls: its numbers by the ids of the conversation; and who waits for the answer.
    ids: BTreeMap<String, u64>,
    said: BTreeMap<String, Value>,
    waits: BTreeMap<u64, Wait>,
    listening: Listening,
    channels: BTreeSet<String>,
    asked: VecDeque<asks::Asked>,
    called: Vec<Called>,
    /// What backends told the client, that is yet to come.
    told: VecDeque<Value>,
    published: BTreeMap<String, Value>,
    closing: Option<Closing>,
    expected: Vec<Value>,
    at: String,
}

/// Who waits for an answer.
#[derive(Clone, Copy)]
enum Wait {
    Application,
    Listener,
    Token,
    Nobody,
}

impl Player<'_> {
    pub(super) fn new<'a>(case: &'a Case, over: &str, is_reversed: bool) -> Player<'a> {
        let mut names = Names::default();
        let tokens = case.tokens.keys().map(|name| (name.as_str(), format!("token.of.{name}")));
        let known =
            [("session", "s1".to_owned()), ("location", "/session/s1.key".to_owned()), ("start", "0.p0".to_owned())];
        for (name, text) in tokens.chain(known) {
            names.set(name, text);
        }
        Player {
            case,
            over: over.to_owned(),
            is_reversed,
            names,
            session: Session::default(),
            is_connected: false,
            control: 0,
            position: String::new(),
            behind: 0,
            attempts: 1,
            sent: 0,
            unconfirmed: VecDeque::new(),
            ahead: VecDeque::new(),
            ids: BTreeMap::new(),
            said: BTreeMap::new(),
            waits: BTreeMap::new(),
            listening: Listening::default(),
            channels: BTreeSet::new(),
            asked: VecDeque::new(),
            called: Vec::new(),
            told: VecDeque::new(),
            published: BTreeMap::new(),
            closing: None,
            expected: Vec::new(),
            at: String::new(),
        }
    }

    pub(super) fn play(mut self) {
        for (i, step) in self.case.steps.iter().enumerate() {
            self.at = format!("{:?}, step {} over {}, {step:?}", self.case.name, i + 1, self.over);
            self.step(step);
            self.settled();
        }
        assert!(self.ahead.is_empty(), "{}: the client said what it was not to say: {:?}", self.at, self.ahead);
        assert!(self.asked.is_empty(), "{}: a request is left without an answer", self.at);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Open { session } => self.open(session.as_ref()),
            Step::Up(message) => self.up(message),
            Step::Text(text) => self.is_no_word_of_a_client(text),
            Step::Down(messages) if self.is_reversed => messages.iter().rev().for_each(|message| self.down(message)),
            Step::Down(messages) => messages.iter().for_each(|message| self.down(message)),
            Step::Publish { channel, data, event, id, .. } => {
                self.publish(channel, data, event.as_deref(), id.as_deref());
            }
            Step::Ask { method, path, fields, body } => self.ask(method, path, fields, body.as_deref()),
            Step::Answer { last, answer } => self.answer(*last, answer),
            Step::Cut => self.cut(),
            Step::TakeUp { over, since, attempt, session } => {
                if let Some(over) = over {
                    self.over.clone_from(over);
                }
                assert_eq!(*attempt, None, "{}: the client numbers its connections itself", self.at);
                self.take_up(since.as_deref(), session.as_ref());
            }
            Step::Closed(code) => self.closed(code.filter(|_| self.over == "websocket")),
            Step::Place(place) => {
                let came = self.session.place().to_string();
                self.compare(&place.as_str().into(), &came.into());
            }
            Step::Gone => self.gone(),
        }
    }

    fn compare(&mut self, expected: &Value, came: &Value) {
        if let Err(why) = self.names.compare(expected, came) {
            panic!("{}: {why}\n  in {came}", self.at);
        }
    }

    /// After each step: just what was to happen has happened, nothing else is said, and the client is where it should be.
    fn settled(&mut self) {
        let happenings: Vec<Happening> = std::iter::from_fn(|| self.session.happening()).collect();
        let happened: Vec<Value> = happenings.into_iter().map(|each| self.written(each)).collect();
        assert_eq!(happened, std::mem::take(&mut self.expected), "{}: what has happened", self.at);
        if self.is_connected {
            let said: Vec<Value> = std::iter::from_fn(|| self.next_up()).collect();
            self.ahead.extend(said);
        }
        if self.session.said().is_some() {
            let place = format!("{}.{}", self.control, self.position);
            assert_eq!(self.session.place().to_string(), place, "{}: where the client is", self.at);
        }
    }

    /// What has happened, as the conversation says it.
    fn written(&mut self, happening: Happening) -> Value {
        match happening {
            Happening::Answered { call, outcome: Ok(result) } => json!({ "answered": call, "result": read(&result) }),
            Happening::Answered { call, outcome: Err(error) } => json!({ "answered": call, "error": of_error(&error) }),
            Happening::Failed { call, error } => {
                assert_eq!(error, Error::Lost, "{}", self.at);
                json!({ "failed": call })
            }
            Happening::Called { session, id, method, params } => {
                assert_eq!(session, 1, "{}: the server's first session", self.at);
                json!({ "called": id.as_str(), "method": method, "params": params.as_json().map(read) })
            }
            Happening::Notified { method, params } => {
                json!({ "notified": method, "params": params.as_json().map(read) })
            }
            Happening::Granted { listener, position } => json!({ "granted": listener, "position": position }),
            Happening::Refused { listener, error } => json!({ "refused": listener, "error": of_error(&error) }),
            Happening::Heard { listeners, item } => json!({ "heard": listeners, "item": of_item(item) }),
            Happening::Finished { listener } => json!({ "finished": listener }),
            Happening::Expiring { expires } => json!({ "expiring": expires }),
            Happening::Refreshed(outcome) => json!({ "refreshed": outcome.err().as_ref().map(of_error) }),
            Happening::Closing(closing) => {
                let Closing { code, reason, reconnect } = closing.clone();
                self.closing = Some(closing);
                json!({ "closing": { "code": code, "reason": reason, "reconnect": reconnect } })
            }
        }
    }
}

/// The session and its connections.
impl Player<'_> {
    fn open(&mut self, session: Option<&Value>) {
        let plain = json!({ "id": "<session>", "location": "<location>", "place": "<start>", "seq": 1 });
        let made = self.names.make(session.unwrap_or(&plain));
        let said = self.placed(made);
        if self.over != "websocket" {
            self.opened(&said);
            if self.over != "poll" {
                self.attempt();
            }
        }
        if self.over != "poll" {
            self.greet(&said);
        }
        self.begins(&said);
    }

    fn opened(&mut self, said: &Value) {
        self.session.opened(serde_json::from_value::<Said>(said.clone()).unwrap()).unwrap();
    }

    /// A new session of the server's: what the client knows of it.
    fn begins(&mut self, said: &Value) {
        let known = self.session.said().unwrap_or_else(|| panic!("{}: there is no session", self.at));
        for (member, known) in [("id", &known.id), ("location", &known.location), ("place", &known.place)] {
            assert_eq!(said[member], **known, "{}: {member}", self.at);
        }
        assert_eq!(known.expires, said["expires"].as_u64(), "{}", self.at);
        self.names.set("session", said["id"].clone());
        self.names.set("location", said["location"].clone());
        let (control, position) = said["place"].as_str().unwrap().split_once('.').unwrap();
        (self.control, self.position) = (control.parse().unwrap(), position.to_owned());
        self.is_connected = true;
    }

    /// With a place, where the conversation leaves it open.
    fn placed(&self, mut said: Value) -> Value {
        let place = said["place"].as_str().unwrap();
        if !place.contains('.') {
            said["place"] = format!("{}.{place}", self.control).into();
        }
        said
    }

    fn greet(&mut self, said: &Value) {
        let greeting = json!({ "jsonrpc": "2.0", "method": "session", "params": said });
        self.session.received(greeting.to_string().as_bytes(), None, 0).unwrap();
    }

    fn attempt(&mut self) {
        self.attempts += 1;
        assert_eq!(self.session.attempt(), self.attempts, "{}: the client numbers its connections", self.at);
    }

    /// The connection is lost: the session is there all the same, and what the server may not have is ready to be sent again.
    fn cut(&mut self) {
        self.session.dropped();
        assert!(self.session.said().is_some(), "{}: the session outlives its connection", self.at);
        let again: Vec<(u64, Value)> =
            std::iter::from_fn(|| self.session.next_up(0)).map(|(number, text)| (number, json_of(&text))).collect();
        assert_eq!(again, Vec::from(self.unconfirmed.clone()), "{}: what is sent again", self.at);
        self.session.dropped();
        self.is_connected = false;
    }

    fn take_up(&mut self, since: Option<&str>, session: Option<&Value>) {
        self.attempt();
        let place = format!("{}.{}", self.control, self.position);
        assert_eq!(self.session.place().to_string(), place, "{}: what the client goes on with", self.at);
        // Where the conversation says another place, what came after that was lost on its way.
        let place = since.map_or(place, |since| self.names.fill(since));
        let plain = json!({ "id": "<session>", "location": "<location>", "place": place, "seq": self.sent + 1 });
        let said = self.names.make(session.unwrap_or(&plain));
        assert_eq!((&said["place"], &said["seq"]), (&place.as_str().into(), &(self.sent + 1).into()), "{}", self.at);
        self.behind = self.control - place.split_once('.').unwrap().0.parse::<u64>().unwrap();
        if self.over != "poll" {
            self.greet(&said);
            self.unconfirmed.clear();
        }
        self.is_connected = true;
    }

    fn closed(&mut self, code: Option<u16>) {
        self.is_connected = false;
        match (self.closing.take(), code) {
            (Some(closing), code) => answers::closed(&closing, code),
            // The one close that nothing is said before: it is because of a message, which is not sent again.
            (None, Some(1009)) => {
                assert_eq!(Closing::of(&Close { code, reason: "".into() }), None, "{}", self.at);
                self.session.dropped();
                self.sent -= 1;
                self.take_up(None, None);
                self.session.refused(self.sent + 1, RpcError::new(41300, "too large"));
                let (number, _) = self.waits.pop_first().unwrap();
                self.expected.push(json!({ "answered": number, "error": { "code": 41300, "message": "too large" } }));
            }
            (None, code) => panic!("{}: closed with {code:?} and without a word", self.at),
        }
    }

    /// The client comes back, and is told that there is no such session.
    fn gone(&mut self) {
        self.attempt();
        let row = switchboard_wire::Code::NotFound.row();
        let answer = json!({ "status": row.http, "code": row.name, "title": row.sentence });
        let mut problem: crate::http::Problem = serde_json::from_value(answer).unwrap();
        problem.status = row.http;
        assert!(answers::is_gone(&problem, true));
        self.lost();
    }

    /// The server has no such session any more: all that was open in it is told, or asked for again in the next.
    fn lost(&mut self) {
        self.session.lost();
        self.is_connected = false;
        assert!(self.session.said().is_none() && self.session.next_up(0).is_none(), "{}", self.at);
        for (number, wait) in std::mem::take(&mut self.waits) {
            if matches!(wait, Wait::Application) {
                self.expected.push(json!({ "failed": number }));
            }
        }
        self.unconfirmed.clear();
    }
}

fn read(json: &Json<'_>) -> Value {
    json.read().unwrap()
}

fn json_of(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

fn of_error(RpcError { code, message, data }: &RpcError) -> Value {
    let mut error = json!({ "code": code, "message": message });
    if let Some(data) = data {
        error["data"] = data.clone();
    }
    error
}

/// What a listener hears, as the message says it.
fn of_item(item: Item) -> Value {
    let mut said = match &item {
        Item::Event(event) => {
            let data: Value = match &event.data {
                Data::Json(json) => serde_json::from_str(json.get()).unwrap(),
                Data::Bytes(bytes) => bytes.to_vec().into(),
            };
            json!({ "event": {
                "id": event.id, "channel": event.channel, "event": event.event, "data": data, "time": event.time,
                "type": event.content_type, "position": event.position(),
            } })
        }
        Item::Gap(gap) => {
            json!({ "gap": { "channel": gap.channel, "from": gap.from, "to": gap.to, "reason": gap.reason } })
        }
        Item::End(channel) => json!({ "end": **channel }),
        other => panic!("no conversation has this: {other:?}"),
    };
    // What is not there is left out.
    for members in said.as_object_mut().unwrap().values_mut().filter_map(Value::as_object_mut) {
        members.retain(|_, member| !member.is_null());
    }
    said
}
