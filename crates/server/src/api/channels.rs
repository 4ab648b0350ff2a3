//! `GET /api/channels` and `DELETE /channels/{channel}`.
//!
//! The list is `{"channels":[{"channel","readers","events","bytes","class","ended"?}…],"next"?}`, sorted by name as
//! bytes. `limit` (default 1,000, most 10,000) bounds it; where there is more, `next` is what to give as `after`.
//! Channels that have readers and were never published to are listed too, without a `class`.

use super::{Node, Query, Request, json, no_content};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use switchboard_store::{ChannelInfo, Class};
use switchboard_wire::ChannelName;
use switchboard_wire::code::Problem;

const LIMIT: u64 = 1000;
const LIMIT_MAX: u64 = 10_000;

/// How many readers each channel has, as far as it has any.
pub type Readers = HashMap<ChannelName, usize>;

/// Which part of the list is asked for.
#[derive(Debug)]
pub(super) struct Paging {
    after: Option<String>,
    limit: usize,
}

impl Paging {
    pub(super) fn of(request: &Request<'_>) -> Result<Paging, Problem> {
        let query = Query::new(request.query);
        let limit = query.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT);
        Ok(Paging { after: query.one("after")?.map(|after| after.into_owned()), limit: limit as usize })
    }
}

#[derive(Serialize)]
struct List<'a> {
    channels: Vec<Line<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    channel: &'a str,
    readers: usize,
    events: usize,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
}

pub(super) fn list(node: &Node, paging: &Paging, readers: &Readers) -> Response<Bytes> {
    let after = paging.after.as_deref();
    // One more than asked for tells whether there is more.
    let held = node.log.channels((node.now)(), after, paging.limit + 1);
    let mut lines: BTreeMap<&str, Option<&ChannelInfo>> = BTreeMap::new();
    let listed = readers.iter().filter(|(_, count)| **count > 0).map(|(name, _)| name.as_str());
    lines.extend(listed.filter(|name| after.is_none_or(|after| *name > after)).map(|name| (name, None)));
    lines.extend(held.iter().map(|info| (info.name.as_str(), Some(info))));
    let is_more = lines.len() > paging.limit;
    let channels: Vec<Line<'_>> = lines
        .into_iter()
        .take(paging.limit)
        .map(|(channel, info)| Line {
            channel,
            readers: readers.get(channel).copied().unwrap_or(0),
            events: info.map_or(0, |info| info.events),
            bytes: info.map_or(0, |info| info.bytes),
            class: info.map(|info| class_name(info.class)),
            ended: info.is_some_and(|info| info.ended),
        })
        .collect();
    let next = channels.last().filter(|_| is_more).map(|line| line.channel);
    json(StatusCode::OK, &List { channels, next })
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::History(_) => "history",
        Class::Ephemeral => "ephemeral",
        Class::State => "state",
    }
}

/// 204, whether or not there was such a channel.
pub(super) fn delete(node: &Node, channel: &ChannelName) -> Response<Bytes> {
    node.log.delete((node.now)(), channel);
    no_content()
}
