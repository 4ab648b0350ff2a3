//! Reads the test vectors of `vectors/websocket`, `vectors/jsonrpc` and `vectors/sessions`, whose READMEs describe their
//! formats, and makes what they stand for. The codecs' tests, the server's and the client's read the same vectors through it; it
//! shares no code with them.
//!
//! It panics: a vector that breaks its format is a failed test.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "these are tests' helpers, and a vector that cannot be read is a failed test"
)]

mod data;
mod frames;
pub mod jsonrpc;
pub mod sessions;

use data::Words;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The side that reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Reads masked frames.
    Server,
    /// Reads unmasked ones.
    Client,
}

/// What arrives means this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The code, if there is one, and the reason.
    Close(Option<u16>, String),
}

/// What arrives together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    pub bytes: Vec<u8>,
    /// The message, where the piece is just that: then its echo can be awaited before the next is sent.
    pub message: Option<Event>,
}

/// A vector. The members are those of the format, with their defaults filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    pub name: String,
    pub autobahn: Vec<String>,
    pub role: Side,
    /// `Sec-WebSocket-Extensions` of the handshake's request, where the case prescribes it.
    pub offer: Option<String>,
    /// `Sec-WebSocket-Extensions` of the handshake's response.
    pub answer: Option<String>,
    pub deflate: bool,
    pub limit: usize,
    pub fragments: u32,
    /// Cut as the case says.
    pub pieces: Vec<Piece>,
    pub events: Vec<Event>,
    pub fails: Option<u16>,
}

/// The folder that holds all vectors.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors")
}

/// All vectors of `vectors/websocket`. Each is made when it is asked for, because some are large.
pub fn websocket() -> impl Iterator<Item = Case> {
    files("websocket").flat_map(|mut file| {
        let words = Words::read(&file["words"]);
        let Value::Array(cases) = file["cases"].take() else { panic!("a file has no cases") };
        cases.into_iter().map(move |case| Case::read(&case, &words))
    })
}

/// The files of vectors in a folder, in the order of their names.
fn files(of: &str) -> impl Iterator<Item = Value> {
    let listed = std::fs::read_dir(folder().join(of)).unwrap();
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    })
}

/// The members that a case may have. One that is misspelt is not to be passed over.
const MEMBERS: [&str; 12] = [
    "name",
    "autobahn",
    "role",
    "offer",
    "answer",
    "deflate",
    "limit",
    "fragments",
    "pieces",
    "cut",
    "events",
    "fails",
];

impl Case {
    fn read(value: &Value, words: &Words) -> Case {
        let name = value["name"].as_str().unwrap().to_owned();
        let members = value.as_object().unwrap();
        let unknown = members.keys().find(|member| !MEMBERS.contains(&member.as_str()));
        assert_eq!(unknown, None, "{name}: no member has this name");
        let number = |member: &str, default: u64| members.get(member).map_or(default, |n| n.as_u64().unwrap());
        let text = |member: &str| members.get(member).and_then(Value::as_str).map(str::to_owned);
        let role = match text("role").as_deref() {
            None | Some("server") => Side::Server,
            Some("client") => Side::Client,
            Some(other) => panic!("{name}: no side is called {other}"),
        };
        let deflate = value["deflate"] == true;
        let list = |member: &str| members.get(member).map(|list| list.as_array().unwrap().as_slice());
        let mut pieces = Vec::new();
        for piece in list("pieces").unwrap() {
            pieces.extend(read_piece(piece, words, role, deflate));
        }
        let events = match list("events") {
            Some(events) => events.iter().map(|event| read_event(event, words)).collect(),
            None => pieces.iter().filter_map(|piece| piece.message.clone()).collect(),
        };
        if members.contains_key("cut") {
            let whole = pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect::<Vec<u8>>();
            let cut = whole.chunks(number("cut", 0) as usize);
            pieces = cut.map(|bytes| Piece { bytes: bytes.to_vec(), message: None }).collect();
        }
        Case {
            autobahn: list("autobahn").unwrap_or_default().iter().map(|n| n.as_str().unwrap().to_owned()).collect(),
            role,
            offer: text("offer"),
            answer: text("answer"),
            deflate,
            limit: number("limit", 1 << 20) as usize,
            fragments: number("fragments", 1 << 16) as u32,
            pieces,
            events,
            fails: members.get("fails").map(|code| code.as_u64().unwrap() as u16),
            name,
        }
    }

    /// All that arrives, in one.
    pub fn whole(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect()
    }
}

/// One element of `pieces`: bytes, or a message that is made as often as it says.
fn read_piece(value: &Value, words: &Words, role: Side, deflate: bool) -> Vec<Piece> {
    let Some(message) = value.get("message") else {
        return vec![Piece { bytes: data::bytes(value, words), message: None }];
    };
    let event = read_event(message, words);
    let frame = value.get("frame").map(|length| length.as_u64().unwrap() as usize);
    let times = value.get("times").map_or(1, |times| times.as_u64().unwrap() as usize);
    let bytes = match &event {
        Event::Text(text) => frames::message(0x1, text.as_bytes(), role, deflate, frame),
        Event::Binary(data) => frames::message(0x2, data, role, deflate, frame),
        other => panic!("no message: {other:?}"),
    };
    vec![Piece { bytes, message: Some(event) }; times]
}

fn read_event(value: &Value, words: &Words) -> Event {
    let (kind, value) = only(value.as_object().unwrap());
    match kind {
        "text" => Event::Text(data::text(value, words)),
        "binary" => Event::Binary(data::bytes(value, words)),
        "ping" => Event::Ping(data::bytes(value, words)),
        "pong" => Event::Pong(data::bytes(value, words)),
        "close" => {
            Event::Close(value["code"].as_u64().map(|code| code as u16), value["reason"].as_str().unwrap().to_owned())
        }
        _ => panic!("no event is called {kind}"),
    }
}

fn only(members: &Map<String, Value>) -> (&str, &Value) {
    let mut members = members.iter();
    match (members.next(), members.next()) {
        (Some((name, value)), None) => (name, value),
        _ => panic!("one member is expected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The cases of the Autobahn test suite, as they were recorded when it was last run.
    fn recorded() -> Vec<String> {
        let path = folder().join("../conformance/autobahn/results.json");
        let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        file["cases"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_case_of_the_autobahn_test_suite_has_one_vector() {
        let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for case in websocket() {
            for number in case.autobahn {
                named.entry(number).or_default().push(case.name.clone());
            }
        }
        let recorded = recorded();
        assert_eq!(recorded.len(), 517, "sections 1 to 7, 9, 10, 12 and 13 have so many");
        let without: Vec<&String> = recorded.iter().filter(|number| !named.contains_key(*number)).collect();
        assert!(without.is_empty(), "no vector names {without:?}");
        let unknown: Vec<_> = named.keys().filter(|number| !recorded.contains(number)).collect();
        assert!(unknown.is_empty(), "the suite has no such cases: {unknown:?}");
        let twice: Vec<_> = named.iter().filter(|(_, names)| names.len() > 1).collect();
        assert!(twice.is_empty(), "named more than once: {twice:?}");
    }

    #[test]
    fn names_tell_vectors_apart() {
        let websocket: Vec<String> = websocket().map(|case| case.name).collect();
        let jsonrpc: Vec<String> = jsonrpc::cases().map(|case| case.name).collect();
        let sessions: Vec<String> = sessions::cases().map(|case| case.name).collect();
        for mut names in [websocket, jsonrpc, sessions] {
            names.sort();
            let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
            assert!(twice.is_empty(), "{twice:?}");
        }
    }
}
