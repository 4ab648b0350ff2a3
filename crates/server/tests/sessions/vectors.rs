//! Plays the conversations of `vectors/sessions` against the server, over each transport that they hold for.

use crate::talk::{Kept, Talk, Way};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;
use switchboard::Config;
use switchboard_store::{Class, Retention};
use switchboard_testkit::identity::{self, AUDIENCE, MASTER_KEY, SECRET, bearer, now, sign};
use switchboard_testkit::{Conn, Field, Response, Server, config, eventually};
use switchboard_vectors::sessions::{Answer, Case, Names, Step, Token, cases};
use switchboard_wire::Pattern;

fn way(name: &str) -> Way {
    match name {
        "websocket" => Way::WebSocket,
        "sse" => Way::Sse,
        "stream" => Way::Stream,
        "poll" => Way::Poll,
        _ => panic!("no transport is called {name}"),
    }
}

#[test]
fn the_server_keeps_to_every_conversation_over_every_transport() {
    let mut played: VecDeque<(Case, String)> =
        cases().flat_map(|case| case.over.clone().into_iter().map(move |over| (case.clone(), over))).collect();
    assert!(played.len() > 100, "{}", played.len());
    let lot = played.len().div_ceil(8);
    // Some wait for a time-out of the server's: side by side they take as long as one.
    let failed: Vec<String> = thread::scope(|scope| {
        let mut lots = Vec::new();
        while !played.is_empty() {
            let lot: Vec<(Case, String)> = played.drain(..lot.min(played.len())).collect();
            lots.push(scope.spawn(move || lot.into_iter().filter_map(|(case, over)| failure(&case, &over)).collect()));
        }
        lots.into_iter().flat_map(|lot| lot.join().unwrap_or_else(|_| vec!["a lot".to_owned()])).collect()
    });
    assert!(failed.is_empty(), "{} of them failed:\n{}", failed.len(), failed.join("\n"));
}

/// Plays a conversation. Its name, if the server did not keep to it: what it did instead is printed.
fn failure(case: &Case, over: &str) -> Option<String> {
    let played = catch_unwind(AssertUnwindSafe(|| Player::new(case, way(over)).play()));
    played.err().map(|_| format!("{:?} over {over}", case.name))
}

/// The settings that conversations ask for.
fn set(config: &mut Config, settings: &Map<String, Value>) {
    for (name, value) in settings {
        let number = || value.as_u64().unwrap() as usize;
        match name.as_str() {
            "history.events" => {
                config.policy.default = Class::History(Retention { events: number(), ..Retention::default() });
            }
            "limits.channels" => config.limits.channels = number(),
            "limits.message" => config.limits.message = number(),
            "limits.publishes" => config.limits.publishes = Some(number() as u32),
            "session.calls" => config.session.calls = number(),
            "session.count" => config.session.count = Some(number()),
            "session.linger" => config.session.linger = Duration::from_millis(number() as u64),
            "session.memory" => config.session.memory = number(),
            "state" => {
                let pattern = Pattern::new(value.as_str().unwrap()).unwrap();
                config.policy.rules.push((pattern, Class::State));
            }
            _ => panic!("no setting is called {name}"),
        }
    }
}

/// Plays one conversation: the client, the backend and whoever else there is.
struct Player<'a> {
    case: &'a Case,
    way: Way,
    names: Names,
    talk: Option<Talk>,
    kept: Option<Kept>,
    /// Requests that have no answer yet, with their methods.
    asked: VecDeque<(Conn, String)>,
    /// What is being played, for panics.
    at: String,
    /// Last, so that it ends when nobody is connected any more.
    server: Server,
}

impl Player<'_> {
    fn new(case: &Case, way: Way) -> Player<'_> {
        let mut config = config();
        set(&mut config, &case.settings);
        if !case.tokens.is_empty() {
            config.auth = identity::settings();
        }
        let (mut names, server) = (Names::default(), Server::start(config));
        // Signed last: some of them end soon.
        for (name, Token { sub, channels, seconds }) in &case.tokens {
            let may = json!({ "subscribe": channels, "publish": channels });
            let claims = json!({ "sub": sub, "aud": AUDIENCE, "exp": now() + seconds, "iat": now(), "channels": may });
            names.set(name, sign(&claims, SECRET));
        }
        Player { case, way, names, talk: None, kept: None, asked: VecDeque::new(), at: String::new(), server }
    }

    fn play(mut self) {
        for (i, step) in self.case.steps.iter().enumerate() {
            self.at = format!("{:?}, step {} over {:?}, {step:?}", self.case.name, i + 1, self.way);
            self.step(step);
        }
        assert!(self.asked.is_empty(), "{}: a request is left without an answer", self.at);
    }

    fn talk(&mut self) -> &mut Talk {
        let at = &self.at;
        self.talk.as_mut().unwrap_or_else(|| panic!("{at}: the client is not connected"))
    }

    fn compare(&mut self, expected: &Value, came: &Value) {
        if let Err(why) = self.names.compare(expected, came) {
            panic!("{}: {why}\n  in {came}", self.at);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Open { session } => {
                let token = self.case.by.as_ref().map(|by| bearer(&self.names.fill(&format!("<{by}>"))));
                let fields: Vec<Field<'_>> = token.iter().map(|token| ("Authorization", token.as_str())).collect();
                let talk = Talk::open_with(&self.server, self.way, &fields);
                self.names.set("session", talk.id());
                self.names.set("location", talk.kept.location.as_str());
                self.connected(talk, session.as_ref());
            }
            Step::TakeUp { over, since, attempt, session } => {
                let mut kept = self.kept.take().unwrap_or_else(|| self.talk().keeps());
                kept.attempt = attempt.unwrap_or(kept.attempt + 1) - 1;
                if let Some(since) = since {
                    kept.move_to(&self.names.fill(since));
                }
                let talk = Talk::resume(&self.server, over.as_deref().map_or(self.way, way), kept);
                self.connected(talk, session.as_ref());
            }
            Step::Up(message) => {
                let message = self.names.fill_in(message);
                self.talk().send(&message);
            }
            Step::Text(text) => self.talk().send_text(text),
            Step::Down(messages) => self.down(messages.clone()),
            Step::Publish { channel, data, event, end, id } => {
                let answer = self.publish(channel, data, event.as_deref(), *end);
                if let Some(id) = id {
                    self.compare(&id.as_str().into(), &answer["id"]);
                }
            }
            Step::Ask { method, path, fields, body } => self.ask(method, path, fields, body.as_deref()),
            Step::Answer { last, answer } => self.answer(*last, answer),
            Step::Cut => self.kept = self.talk.take().map(Talk::cut),
            Step::Closed(code) => {
                let closed = self.talk.take().unwrap().closed();
                assert_eq!(closed, code.filter(|_| self.way == Way::WebSocket), "{}", self.at);
            }
            Step::Place(place) => {
                let came = self.talk().kept.place();
                self.compare(&place.as_str().into(), &came.into());
            }
            Step::Gone => {
                let path = format!("/api/sessions/{}", self.names.fill("<session>"));
                let server = &self.server;
                eventually("the session is gone", || server.get_with(&path, &backend(self.case)).status() == 404);
            }
        }
    }

    fn connected(&mut self, talk: Talk, session: Option<&Value>) {
        if let Some(expected) = session {
            let came = talk.greeting.clone();
            self.compare(expected, &came["params"]);
        }
        self.talk = Some(talk);
    }

    /// What comes next, in any order if it is several.
    fn down(&mut self, mut expected: Vec<Value>) {
        while !expected.is_empty() {
            let at = self.at.clone();
            let came = self.talk().next_of_all(|message| message["method"] != "position");
            let tried: Vec<Result<Names, String>> = expected
                .iter()
                .map(|expected| {
                    let mut names = self.names.clone();
                    names.compare(expected, &came).map(|()| names)
                })
                .collect();
            match tried.iter().position(Result::is_ok) {
                Some(found) => {
                    expected.remove(found);
                    self.names = tried[found].clone().unwrap();
                }
                None => panic!("{at}: {:?}\n  in {came}", tried[0].as_ref().unwrap_err()),
            }
        }
    }

    fn publish(&mut self, channel: &str, data: &Value, event: Option<&str>, end: bool) -> Value {
        let mut target = format!("/channels/{channel}?");
        target.extend(event.map(|event| format!("event={event}&")));
        target.extend(end.then_some("end=true"));
        let (kind, body) = match data {
            Value::Null => ("text/plain", String::new()),
            Value::String(text) => ("text/plain", text.clone()),
            json => ("application/json", json.to_string()),
        };
        let fields = [backend(self.case), vec![("Content-Type", kind)]].concat();
        self.server.post(&target, &fields, body).expect(201).json()
    }

    fn ask(&mut self, method: &str, path: &str, fields: &[(String, String)], body: Option<&str>) {
        let (path, body) = (self.names.fill(path), body.map(|body| self.names.fill(body)));
        let mut all: Vec<(String, String)> =
            fields.iter().map(|(name, value)| (name.clone(), self.names.fill(value))).collect();
        // The location is the client's own; everything else is the backend's.
        if !path.starts_with("/session") {
            all.extend(backend(self.case).iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        }
        let fields: Vec<Field<'_>> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut conn = self.server.connect();
        conn.ask(method, &path, &fields, body.as_deref().map(str::as_bytes));
        self.asked.push_back((conn, method.to_owned()));
    }

    fn answer(&mut self, last: bool, expected: &Answer) {
        let asked = if last { self.asked.pop_back() } else { self.asked.pop_front() };
        let (mut conn, method) = asked.unwrap_or_else(|| panic!("{}: nothing was asked", self.at));
        let response: Response = conn.response_to(&method);
        assert_eq!(response.status(), expected.status, "{}: {response}", self.at);
        for (name, value) in &expected.fields {
            let came = response.field(name).map(Value::from).unwrap_or_default();
            self.compare(&value.as_str().into(), &came);
        }
        if let Some(name) = &expected.problem {
            let mut problem = json!({ "type": "about:blank", "title": "<_>", "status": expected.status, "code": name });
            let came = response.json();
            if came.get("detail").is_some() {
                problem["detail"] = "<_>".into();
            }
            problem.as_object_mut().unwrap().extend(expected.with.clone());
            return self.compare(&problem, &came);
        }
        match &expected.body {
            Some(body) => self.compare(body, &response.json()),
            None => assert_eq!(response.body, b"", "{}", self.at),
        }
    }
}

/// What a backend shows, where the server asks who it is.
fn backend(case: &Case) -> Vec<Field<'static>> {
    static SHOWN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let shown = SHOWN.get_or_init(|| bearer(MASTER_KEY));
    if case.tokens.is_empty() { Vec::new() } else { vec![("Authorization", shown)] }
}
