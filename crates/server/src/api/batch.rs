//! `POST /api/publish`: several events to several channels, checked as a whole before anything is appended.
//!
//! The body is `[{"channels":[…],"data"|"base64","event"?,"type"?,"key"?}, …]`, whatever its content type. The answer
//! is 201 `{"items":[{"ids":{"<channel>":"<id>", …}}, …]}`, in the order of the items. A problem that is an item's has
//! the member `item`, its index from 0, and nothing was appended.

use super::{collect, json, key, refuse, refused};
use crate::auth::Identity;
use crate::limits::Asker;
use crate::listen::BodySource;
use crate::node::Node;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use switchboard_hub::access::Action;
use switchboard_store::{Append, Appended, Key, Pause};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::limits::APPENDS_MAX;
use switchboard_wire::ndjson::{self, Item};

/// So many bytes of a batch are looked at, and then everyone else has a turn: some tenths of a millisecond.
const STEP: usize = 64 << 10;
/// What an item costs besides its bytes, and each of its channels.
const AROUND: usize = 64;

/// The work on a batch, of which so much is done in a turn.
struct Work<'a, P> {
    turns: &'a P,
    done: usize,
}

impl<P: Pause> Work<'_, P> {
    /// Counts what is to be done next, and lets everyone else have a turn before, if it is time.
    async fn add(&mut self, cost: usize) {
        if self.done > 0 && self.done + cost > STEP {
            self.done = 0;
            self.turns.pause().await;
        }
        self.done += cost;
    }
}

#[derive(Serialize)]
struct Published<'a> {
    items: Vec<ItemIds<'a>>,
}

#[derive(Serialize)]
struct ItemIds<'a> {
    ids: Ids<'a>,
}

/// The channels of an item, each with what became of it there.
struct Ids<'a>(&'a [Append], &'a [Appended]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (append, appended) in self.0.iter().zip(self.1) {
            map.serialize_entry(append.channel.as_str(), &appended.id.map(|id| id.to_string()))?;
        }
        map.end()
    }
}

pub(super) async fn publish(
    node: &Node,
    turns: &impl Pause,
    asker: &Asker,
    headers: &HeaderMap,
    body: &mut impl BodySource,
) -> Result<Response<Bytes>, Problem> {
    if key::from_headers(headers)?.is_some() {
        return Err(Code::InvalidParameter.because("a batch has a `key` in each item, not an Idempotency-Key"));
    }
    let identity = &asker.identity;
    // Before anything is read of it: it may be long.
    node.auth.allow_publishing(identity)?;
    let (body, _load) = collect(node, body, node.config.limits.batch).await?;
    let mut work = Work { turns, done: 0 };
    let written = cut(&body, &mut work).await?;
    let publisher = identity.publisher();
    let mut appends = Vec::with_capacity(written.len());
    // Where each item's appends end.
    let mut ends = Vec::with_capacity(written.len());
    for (i, item) in written.into_iter().enumerate() {
        work.add(item.get().len() + AROUND).await;
        let item = ndjson::parse_item(item).and_then(|item| checked(node, identity, item));
        match item {
            Ok(item) if appends.len() + item.channels.len() > APPENDS_MAX => {
                return Ok(at_item(node, &ndjson::too_many_events(), i));
            }
            Ok(item) => {
                work.add(item.channels.len() * AROUND).await;
                add(item, &publisher, &mut appends);
            }
            Err(problem) => return Ok(at_item(node, &problem, i)),
        }
        ends.push(appends.len());
    }
    // All that may have taken its time.
    node.auth.standing(identity, node.now())?;
    node.limits.publish(&asker.allowance, appends.iter().map(|append| &append.channel), node.now())?;
    node.pace().await;
    let appended = match node.log.append(node.now(), &appends) {
        Ok(appended) => appended,
        Err((at, refusal)) => {
            let mut problem = refused(refusal);
            if problem.detail.is_empty()
                && let Some(append) = appends.get(at)
            {
                problem.detail = format!("this is so of the channel {:?}", append.channel.as_str()).into();
            }
            return Ok(at_item(node, &problem, ends.partition_point(|end| *end <= at)));
        }
    };
    let mut start = 0;
    let items = ends.into_iter().map(|end| {
        let range = std::mem::replace(&mut start, end)..end;
        let ids = appends.get(range.clone()).zip(appended.get(range)).unwrap_or_default();
        ItemIds { ids: Ids(ids.0, ids.1) }
    });
    Ok(json(StatusCode::CREATED, &Published { items: items.collect() }))
}

/// Cuts a batch into its items. It has more than may be if it has more than so many, so that no more are looked for.
async fn cut<'a>(body: &'a [u8], work: &mut Work<'_, impl Pause>) -> Result<Vec<&'a RawValue>, Problem> {
    let (mut batch, mut items) = (ndjson::Batch::new(body)?, Vec::new());
    while items.len() <= APPENDS_MAX
        && let Some(item) = batch.next_item()?
    {
        items.push(item);
        work.add(item.get().len() + AROUND).await;
    }
    Ok(items)
}

fn checked(node: &Node, identity: &Identity, item: Item) -> Result<Item, Problem> {
    for channel in &item.channels {
        node.auth.allow(identity, Action::Publish, channel)?;
        let most = node.limits.message(channel);
        if item.draft.data().len() > most {
            return Err(Code::TooLarge.because(format!("the data has more than {most} bytes")));
        }
    }
    if let Some(key) = &item.key {
        key::check(key)?;
    }
    Ok(item)
}

fn add(item: Item, publisher: &str, appends: &mut Vec<Append>) {
    let Item { channels, draft, key } = item;
    let key = key.map(|key| Key::whole(publisher, &key));
    appends.extend(channels.into_iter().map(|channel| Append {
        channel,
        draft: Some(draft.clone()),
        end: false,
        key: key.clone(),
    }));
}

fn at_item(node: &Node, problem: &Problem, item: usize) -> Response<Bytes> {
    refuse(node, problem, &format!(",\"item\":{item}"))
}
