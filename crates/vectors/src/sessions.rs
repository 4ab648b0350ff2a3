//! The vectors of `vectors/sessions`: conversations, step by step, and the names in them of what is not known beforehand.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A conversation.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    pub name: String,
    /// The transports that it holds for.
    pub over: Vec<String>,
    /// Settings of the server, by their names in its configuration.
    pub settings: Map<String, Value>,
    /// Tokens by their names. Where there are none, the server asks for none.
    pub tokens: BTreeMap<String, Token>,
    /// The name of the token that the session is opened with.
    pub by: Option<String>,
    pub steps: Vec<Step>,
}

/// What a token says.
#[derive(Clone, PartialEq, Debug)]
pub struct Token {
    pub sub: String,
    pub channels: Vec<String>,
    /// From when the conversation begins.
    pub seconds: f64,
}

/// What happens, or is to happen, next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// The client opens a session, and its first connection. The params of what greets it.
    Open { session: Option<Value> },
    /// The client sends a message.
    Up(Value),
    /// The client sends this.
    Text(String),
    /// The next messages that come, in any order.
    Down(Vec<Value>),
    /// Somebody else publishes. The event's id is to be this.
    Publish { channel: String, data: Value, event: Option<String>, end: bool, id: Option<String> },
    /// A request is sent.
    Ask { method: String, path: String, fields: Vec<(String, String)>, body: Option<String> },
    /// A request is answered: of those without an answer, the one that was sent first, or last.
    Answer { last: bool, answer: Answer },
    /// The connection is lost.
    Cut,
    /// The client takes its session up.
    TakeUp { over: Option<String>, since: Option<String>, attempt: Option<u64>, session: Option<Value> },
    /// The server closes the connection. The code of a WebSocket's close.
    Closed(Option<u16>),
    /// Where the client is now.
    Place(String),
    /// The session ends without a word.
    Gone,
}

/// An answer to a request.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Option<Value>,
    /// The name of the error, of which the body then tells.
    pub problem: Option<String>,
    /// What else the body has then.
    pub with: Map<String, Value>,
}

/// All of them.
pub fn cases() -> impl Iterator<Item = Case> {
    crate::files("sessions").flat_map(|mut file| {
        let Value::Array(cases) = file["cases"].take() else { panic!("a file has no cases") };
        cases.into_iter().map(|case| Case::read(case.as_object().unwrap()))
    })
}

/// The members of an object, each to be taken once and none to be left.
struct Members<'a> {
    of: &'a str,
    left: Map<String, Value>,
}

impl<'a> Members<'a> {
    fn new(of: &'a str, value: &Value) -> Members<'a> {
        let left = value.as_object().unwrap_or_else(|| panic!("{of}: {value} is no object")).clone();
        Members { of, left }
    }

    fn has(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.has(name).map(|value| value.as_str().unwrap_or_else(|| panic!("{}: {name} is text", self.of)).to_owned())
    }

    fn needed(&mut self, name: &str) -> String {
        self.text(name).unwrap_or_else(|| panic!("{}: {name} is missing", self.of))
    }

    fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let pairs = self.object(name);
        pairs.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect()
    }

    fn object(&mut self, name: &str) -> Map<String, Value> {
        self.has(name).map(|value| value.as_object().unwrap().clone()).unwrap_or_default()
    }

    fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let list = self.has(name)?;
        Some(list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect())
    }

    fn end(self) {
        let unknown: Vec<&String> = self.left.keys().collect();
        assert!(unknown.is_empty(), "{}: no member is called {unknown:?}", self.of);
    }
}

impl Case {
    fn read(case: &Map<String, Value>) -> Case {
        let name = case["name"].as_str().unwrap().to_owned();
        let mut members = Members::new(&name, &Value::Object(case.clone()));
        members.has("name");
        let all = || ["websocket", "sse", "stream", "poll"].map(str::to_owned).to_vec();
        let tokens = members.object("tokens").into_iter().map(|(name, token)| {
            let mut members = Members::new(&name, &token);
            let (sub, channels) = (members.needed("sub"), members.texts("channels").unwrap_or_default());
            let seconds = members.has("seconds").map_or(3600.0, |seconds| seconds.as_f64().unwrap());
            members.end();
            (name, Token { sub, channels, seconds })
        });
        let steps = members.has("steps").unwrap();
        let case = Case {
            over: members.texts("over").unwrap_or_else(all),
            settings: members.object("settings"),
            tokens: tokens.collect(),
            by: members.text("by"),
            steps: steps.as_array().unwrap().iter().map(|step| Step::read(&name, step)).collect(),
            name: name.clone(),
        };
        members.end();
        case
    }
}

impl Step {
    fn read(of: &str, value: &Value) -> Step {
        let (kind, value) = crate::only(value.as_object().unwrap());
        let text = || value.as_str().unwrap_or_else(|| panic!("{of}: {value} is no text")).to_owned();
        let mut members = match kind {
            "open" | "publish" | "ask" | "answer" | "answer_to_last" | "take_up" => Members::new(of, value),
            _ => Members::new(of, &Value::Object(Map::new())),
        };
        let step = match kind {
            "open" => Step::Open { session: members.has("session") },
            "up" => Step::Up(value.clone()),
            "text" => Step::Text(text()),
            "down" => Step::Down(vec![value.clone()]),
            "down_in_any_order" => Step::Down(value.as_array().unwrap().clone()),
            "publish" => Step::Publish {
                channel: members.needed("channel"),
                data: members.has("data").unwrap_or_default(),
                event: members.text("event"),
                end: members.has("end").is_some_and(|end| end == true),
                id: members.text("id"),
            },
            "ask" => Step::Ask {
                method: members.needed("method"),
                path: members.needed("path"),
                fields: members.pairs("fields"),
                body: match (members.has("body"), members.text("text")) {
                    (None, text) => text,
                    (Some(body), None) => Some(body.to_string()),
                    (Some(_), Some(_)) => panic!("{of}: either `body` or `text` is expected"),
                },
            },
            "answer" | "answer_to_last" => Step::Answer {
                last: kind == "answer_to_last",
                answer: Answer {
                    status: members.has("status").unwrap().as_u64().unwrap() as u16,
                    fields: members.pairs("fields"),
                    body: members.has("body"),
                    problem: members.text("problem"),
                    with: members.object("with"),
                },
            },
            "cut" => Step::Cut,
            "take_up" => Step::TakeUp {
                over: members.text("over"),
                since: members.text("since"),
                attempt: members.has("attempt").map(|attempt| attempt.as_u64().unwrap()),
                session: members.has("session"),
            },
            "closed" => Step::Closed(value.as_u64().map(|code| code as u16)),
            "place" => Step::Place(text()),
            "gone" => Step::Gone,
            _ => panic!("{of}: no step is called {kind}"),
        };
        members.end();
        step
    }
}

/// What the names in a conversation stand for.
#[derive(Clone, Default, Debug)]
pub struct Names {
    of: BTreeMap<String, Value>,
    /// How many were made up.
    made: u64,
}

impl Names {
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.of.insert(name.to_owned(), value.into());
    }

    /// A text, with what its names stand for in their places.
    pub fn fill(&self, text: &str) -> String {
        let mut out = String::new();
        for part in parts(text) {
            match part {
                Part::Words(words) => out.push_str(words),
                Part::Name { name, .. } => match self.of.get(name) {
                    Some(Value::String(value)) => out.push_str(value),
                    Some(value) => out.push_str(&value.to_string()),
                    None => panic!("nothing is called {name} yet"),
                },
            }
        }
        out
    }

    /// A JSON value, with what its names stand for in their places.
    pub fn fill_in(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match parts(text)[..] {
                [Part::Name { name, .. }] => self.of.get(name).unwrap_or_else(|| panic!("what is {name}?")).clone(),
                _ => self.fill(text).into(),
            },
            Value::Array(items) => items.iter().map(|item| self.fill_in(item)).collect(),
            Value::Object(members) => members.iter().map(|(name, item)| (name.clone(), self.fill_in(item))).collect(),
            other => other.clone(),
        }
    }

    /// A JSON value as the side says it that may choose: what names stand for that stand for nothing yet is made up, and
    /// holds from now on.
    pub fn make(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => match parts(text)[..] {
                [Part::Name { name, kind }] => self.made_up(name, kind),
                ref parts => parts.iter().map(|part| self.made_part(part)).collect::<String>().into(),
            },
            Value::Array(items) => items.iter().map(|item| self.make(item)).collect(),
            Value::Object(members) => members.iter().map(|(name, item)| (name.clone(), self.make(item))).collect(),
            other => other.clone(),
        }
    }

    fn made_part(&mut self, part: &Part<'_>) -> String {
        match part {
            Part::Words(words) => (*words).to_owned(),
            Part::Name { name, kind } => match self.made_up(name, kind) {
                Value::String(text) => text,
                other => other.to_string(),
            },
        }
    }

    fn made_up(&mut self, name: &str, kind: &str) -> Value {
        if let Some(known) = self.of.get(name) {
            return known.clone();
        }
        self.made += 1;
        let made: Value = match kind {
            "" => format!("p{}", self.made).into(),
            "number" | "any" => self.made.into(),
            _ => panic!("no kind is called {kind}"),
        };
        if name != "_" {
            self.set(name, made.clone());
        }
        made
    }

    /// Compares what came with what was expected. Names that stand for nothing yet stand for what came in their places
    /// from now on.
    pub fn compare(&mut self, expected: &Value, came: &Value) -> Result<(), String> {
        match (expected, came) {
            (Value::String(expected), _) => self.compare_text(expected, came),
            (Value::Array(expected), Value::Array(items)) if expected.len() == items.len() => {
                expected.iter().zip(items).try_for_each(|(expected, came)| self.compare(expected, came))
            }
            (Value::Object(members), Value::Object(items))
                if members.len() == items.len() && members.keys().all(|name| items.contains_key(name)) =>
            {
                members.iter().try_for_each(|(name, expected)| self.compare(expected, &items[name]))
            }
            _ if expected == came => Ok(()),
            _ => Err(format!("expected {expected}, came {came}")),
        }
    }

    fn compare_text(&mut self, expected: &str, came: &Value) -> Result<(), String> {
        let other = || Err(format!("expected {expected:?}, came {came}"));
        let parts = parts(expected);
        if let [Part::Name { name, kind }] = parts[..] {
            let fits = match kind {
                "" => came.is_string(),
                "number" => came.is_number(),
                "any" => true,
                _ => panic!("no kind is called {kind}"),
            };
            return if fits && self.is(name, came.clone()) { Ok(()) } else { other() };
        }
        let Some(mut left) = came.as_str() else { return other() };
        for (i, part) in parts.iter().enumerate() {
            left = match part {
                Part::Words(words) => match left.strip_prefix(words) {
                    Some(left) => left,
                    None => return other(),
                },
                Part::Name { name, .. } => {
                    let end = match parts.get(i + 1) {
                        Some(Part::Words(words)) => left.find(words).unwrap_or(left.len()),
                        _ => left.len(),
                    };
                    let (value, left) = left.split_at(end);
                    if value.is_empty() || !self.is(name, value.into()) {
                        return other();
                    }
                    left
                }
            };
        }
        if left.is_empty() { Ok(()) } else { other() }
    }

    /// Whether a name stands for this; if for nothing yet, it does from now on. `_` stands for anything, each time.
    fn is(&mut self, name: &str, value: Value) -> bool {
        name == "_" || *self.of.entry(name.to_owned()).or_insert_with(|| value.clone()) == value
    }
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Words(&'a str),
    Name { name: &'a str, kind: &'a str },
}

/// Text as words and `<name>` or `<name:kind>` between them.
fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut left) = (Vec::new(), text);
    while let Some((words, rest)) = left.split_once('<') {
        let (inner, after) = rest.split_once('>').unwrap_or_else(|| panic!("{text}: a name ends with >"));
        if !words.is_empty() {
            parts.push(Part::Words(words));
        }
        let (name, kind) = inner.split_once(':').unwrap_or((inner, ""));
        parts.push(Part::Name { name, kind });
        left = after;
    }
    if !left.is_empty() {
        parts.push(Part::Words(left));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_stands_for_what_came_first_and_for_nothing_else_after() {
        let mut names = Names::default();
        let expected = json!({ "id": "<id>", "at": "/session/<id>.<key>", "n": "<n:number>", "x": "<_:any>" });
        names.compare(&expected, &json!({ "id": "a1", "at": "/session/a1.k.2", "n": 7, "x": [] })).unwrap();
        assert_eq!(names.fill_in(&json!(["<n>", "<key>", "<n> of <id>"])), json!([7, "k.2", "7 of a1"]));
        for other in [
            json!({ "id": "a2", "at": "/session/a2.k", "n": 7, "x": 1 }),
            json!({ "id": "a1", "at": "/session/a1.k", "n": 7, "x": 1 }),
            json!({ "id": "a1", "at": "/session/a1.k.2", "n": "7", "x": 1 }),
            json!({ "id": "a1", "at": "/session/a1.k.2", "n": 7 }),
            json!({ "id": "a1", "at": "/session/a1.k.2", "n": 7, "x": 1, "y": 1 }),
        ] {
            names.compare(&expected, &other).unwrap_err();
        }
    }

    #[test]
    fn what_is_made_up_is_what_compares() {
        let mut names = Names::default();
        names.set("known", "k");
        let said = json!({ "id": "<id>", "at": "/<known>/<id>.<_>", "n": ["<n:number>", "<_:any>"], "<": 1 });
        let made = names.clone().make(&said);
        assert_eq!(made, json!({ "id": "p1", "at": "/k/p1.p2", "n": [3, 4], "<": 1 }));
        names.compare(&said, &made).unwrap();
    }

    #[test]
    fn every_conversation_is_read() {
        assert!(cases().count() > 40);
    }
}
