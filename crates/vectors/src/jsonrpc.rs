//! The vectors of `vectors/jsonrpc`.

use crate::data::{self, Words};
use serde_json::{Map, Value};

/// A vector.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    pub name: String,
    /// What arrives.
    pub text: Vec<u8>,
    pub reads: Reads,
    /// What the peer that the README describes answers, if the case says: null where it says nothing.
    pub answer: Option<Value>,
}

/// What it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reads {
    /// It is refused as a whole, with this code.
    Problem(i64),
    One(Message),
    Batch(Vec<Message>),
}

/// A message. Ids, params, results and data are as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    Request { id: String, method: String, params: Option<String> },
    Notification { method: String, params: Option<String> },
    Result { id: String, result: String },
    Error { id: String, code: i64, message: String, data: Option<String> },
    InvalidRequest { id: String },
    InvalidResponse { id: Option<String> },
}

/// All of them.
pub fn cases() -> impl Iterator<Item = Case> {
    crate::files("jsonrpc").flat_map(|mut file| {
        let Value::Array(cases) = file["cases"].take() else { panic!("a file has no cases") };
        cases.into_iter().map(|case| Case::read(case.as_object().unwrap()))
    })
}

impl Case {
    fn read(case: &Map<String, Value>) -> Case {
        let name = case["name"].as_str().unwrap().to_owned();
        let unknown = case.keys().find(|member| !["name", "text", "hex", "reads", "answer"].contains(&member.as_str()));
        assert_eq!(unknown, None, "{name}: no member has this name");
        let text = match (case.get("text"), case.get("hex")) {
            (Some(text), None) => data::text(text, &Words::default()).into_bytes(),
            (None, Some(hex)) => data::bytes(hex, &Words::default()),
            _ => panic!("{name}: either `text` or `hex` is expected"),
        };
        let reads = match &case["reads"] {
            Value::Array(messages) => Reads::Batch(messages.iter().map(Message::read).collect()),
            other => match other.get("problem") {
                Some(code) => Reads::Problem(code.as_i64().unwrap()),
                None => Reads::One(Message::read(other)),
            },
        };
        Case { name, text, reads, answer: case.get("answer").cloned() }
    }
}

impl Message {
    fn read(value: &Value) -> Message {
        let (kind, members) = crate::only(value.as_object().unwrap());
        let has = |name: &str| members.get(name).map(|text| text.as_str().unwrap().to_owned());
        let text = |name: &str| has(name).unwrap();
        match kind {
            "request" => Message::Request { id: text("id"), method: text("method"), params: has("params") },
            "notification" => Message::Notification { method: text("method"), params: has("params") },
            "response" => match members.get("code") {
                None => Message::Result { id: text("id"), result: text("result") },
                Some(code) => Message::Error {
                    id: text("id"),
                    code: code.as_i64().unwrap(),
                    message: text("message"),
                    data: has("data"),
                },
            },
            "invalid_request" => Message::InvalidRequest { id: text("id") },
            "invalid_response" => Message::InvalidResponse { id: has("id") },
            _ => panic!("no message is called {kind}"),
        }
    }
}
