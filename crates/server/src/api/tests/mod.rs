//! The handlers, driven with bodies from memory against a log in memory.

mod batch;
mod manage;
mod publish;
mod stream;

use super::*;
use serde_json::Value;
use std::collections::VecDeque;
use switchboard_store::{Budget, Cursor, Policy, Since};
use switchboard_wire::name::Selection;
use switchboard_wire::{Epoch, Form};

/// A body from memory, in pieces; then its end, or being cut off.
#[derive(Default)]
struct Body {
    pieces: VecDeque<Bytes>,
    sized: bool,
    cut_off: bool,
    /// The pace of each read.
    paces: Vec<Pace>,
}

impl Body {
    fn of(text: &str) -> Body {
        Body { pieces: VecDeque::from([Bytes::copy_from_slice(text.as_bytes())]), sized: true, ..Body::default() }
    }

    fn pieces(pieces: &[&str]) -> Body {
        Body { pieces: pieces.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect(), ..Body::default() }
    }

    fn cut_off(self) -> Body {
        Body { cut_off: true, ..self }
    }
}

impl BodySource for Body {
    async fn piece(&mut self, pace: Pace) -> Result<Option<Bytes>, crate::listen::BodyError> {
        self.paces.push(pace);
        self.pieces.retain(|piece| !piece.is_empty());
        match self.pieces.pop_front() {
            None if self.cut_off => Err(crate::listen::BodyError::CutOff),
            piece => Ok(piece),
        }
    }

    fn expected(&self) -> Option<u64> {
        self.sized.then(|| self.pieces.iter().map(|piece| piece.len() as u64).sum())
    }
}

fn node() -> Node {
    let limits = Limits { message: 100, batch: 100_000, ..crate::Config::default().limits };
    Node { log: Arc::new(Memory::new(Epoch::new(1), Policy::default())), limits, now: || 1_000_000 }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

impl Answer {
    fn code(&self) -> (u16, &str) {
        (self.status, self.json["code"].as_str().unwrap_or("none"))
    }
}

/// Sends `target` this body, with these header fields, to a server on which channel `read/one` has two readers.
fn ask(node: &Node, method: &str, target: &str, fields: &[(&'static str, &str)], body: &mut Body) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let request = Request { method: &method, query, headers: &headers, publisher: "" };
    let readers = async || Readers::from([(ChannelName::new("read/one").unwrap(), 2)]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let response = runtime.block_on(answer(node, &Route::of(path), &request, body, readers));
    let json = match response.body().is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(response.body()).unwrap(),
    };
    assert!(response.status().as_u16() == 204 || response.headers()["cache-control"] == "no-store");
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), json }
}

/// All that the log holds of a channel, as JSON events.
fn held(node: &Node, channel: &str) -> Vec<Value> {
    let selection = Selection::one(ChannelName::new(channel).unwrap());
    let opened = node.log.open((node.now)(), &selection, Since::Earliest, true);
    let budget = Budget { events: 10_000, bytes: 1 << 30 };
    let piece = node.log.read((node.now)(), &selection, opened.cursor, node.log.head(), budget);
    piece.found.iter().map(|found| event_json(found)).collect()
}

fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["id"].as_str().unwrap()).collect()
}

fn data(events: &[Value]) -> Vec<&Value> {
    events.iter().map(|event| &event["data"]).collect()
}
