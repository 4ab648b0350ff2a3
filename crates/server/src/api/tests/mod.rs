//! The handlers, with bodies from memory, on a log in memory.

mod batch;
mod manage;
mod publish;
mod stream;

use super::*;
use crate::auth::Identity;
use crate::config::Config;
use crate::limits::Asker;
use crate::limits::bucket::Allowance;
use crate::listen::BodyError;
use crate::listen::http1;
use crate::shard::Turns;
use http::HeaderMap;
use serde_json::Value;
use std::collections::VecDeque;
use switchboard_store::{Budget, Read, Since};
use switchboard_wire::name::Selection;

/// A body in pieces, and then its end, or what it breaks off with.
#[derive(Default)]
struct Body {
    pieces: VecDeque<Bytes>,
    sized: bool,
    cut_off: bool,
    /// The pace of each read.
    paces: Vec<Pace>,
}

impl Body {
    /// All at once, and of a length that is known.
    fn of(text: impl AsRef<[u8]>) -> Body {
        Body { sized: true, ..Body::pieces(&[text.as_ref()]) }
    }

    fn pieces<T: AsRef<[u8]>>(pieces: &[T]) -> Body {
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_ref()));
        Body { pieces: pieces.filter(|piece| !piece.is_empty()).collect(), ..Body::default() }
    }

    fn cut_off(self) -> Body {
        Body { cut_off: true, ..self }
    }
}

impl BodySource for Body {
    async fn piece(&mut self, pace: Pace) -> Result<Option<Bytes>, BodyError> {
        self.paces.push(pace);
        match self.pieces.pop_front() {
            None if self.cut_off => Err(BodyError::CutOff),
            piece => Ok(piece),
        }
    }

    fn expected(&self) -> u64 {
        if self.sized { self.pieces.iter().map(|piece| piece.len() as u64).sum() } else { 0 }
    }
}

/// A node on which a message is at most 100 bytes.
fn node() -> Node {
    node_with(|config| config.limits.message = 100)
}

fn node_with(set: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::default();
    set(&mut config);
    Node::new(config, None, 1).unwrap()
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

impl Answer {
    /// The status, and the code of the problem if it is one.
    fn code(&self) -> (u16, &str) {
        (self.status, self.json["code"].as_str().unwrap_or_default())
    }

    fn text(&self, member: &str) -> &str {
        self.json[member].as_str().unwrap_or_else(|| panic!("{member} in {}", self.json))
    }
}

/// Asks with this request line and these header fields.
fn ask(node: &Node, request: &str, fields: &[(&str, &str)], body: &mut Body) -> Answer {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let text = format!("{request} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let (head, _) = http1::head::parse(text.as_bytes(), 64 << 10).unwrap().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcome = runtime.block_on(async {
        let query = Query::parse(head.query.as_deref())?;
        let asker = Asker { identity: Identity::default(), allowance: Allowance::default() };
        answer(node, &Turns::default(), &head, &asker, &query, body).await
    });
    let response = outcome.unwrap_or_else(|problem| problem::respond(&problem));
    let json = match response.body().is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(response.body()).unwrap(),
    };
    if response.status() != StatusCode::NO_CONTENT {
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), json }
}

/// The JSON events that the log holds of a channel.
fn held(node: &Node, channel: &str) -> Vec<Value> {
    let selection = Selection::one(ChannelName::new(channel).unwrap());
    let opened = node.log.open(node.now(), &selection, Since::Earliest, true);
    let budget = Budget { items: 10_000, bytes: 1 << 30 };
    let piece = node.log.read(node.now(), &selection, opened.cursor, node.log.head(), budget);
    let events = piece.found.iter().filter_map(|found| match &found.what {
        Read::Event(entry) => Some(entry.event()),
        _ => None,
    });
    let json = events.map(|event| {
        let mut json = Vec::new();
        event.write_json(&mut json);
        serde_json::from_slice(&json).unwrap()
    });
    json.collect()
}

/// Whether the channel has ended.
fn has_ended(node: &Node, channel: &str) -> bool {
    node.log.all_ended(&Selection::one(ChannelName::new(channel).unwrap()))
}

/// The data of what the log holds of a channel.
fn data(node: &Node, channel: &str) -> Vec<Value> {
    held(node, channel).into_iter().map(|mut event| event["data"].take()).collect()
}
