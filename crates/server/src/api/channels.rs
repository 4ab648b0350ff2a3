//! `GET /api/channels` and `DELETE /channels/{channel}`.
//!
//! The list is `{"channels":[{"channel","readers","events","bytes","class","ended"?}…],"next"?}`, sorted by name as
//! bytes. `limit` (default 1,000, most 10,000) bounds it; where there is more, `next` is what to give as `after`.
//! Channels that have readers and were never published to are listed too, without a `class`.

use super::query::Query;
use super::{json, no_content};
use crate::node::Node;
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
type Readers = HashMap<ChannelName, usize>;

#[derive(Serialize, PartialEq, Debug)]
struct List<'a> {
    channels: Vec<Line<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize, PartialEq, Debug)]
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

pub(super) async fn list(node: &Node, query: &Query) -> Result<Response<Bytes>, Problem> {
    let limit = query.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT) as usize;
    let after = query.one("after")?;
    // One more than asked for tells whether there is more.
    let held = node.log.channels(node.now(), after, limit + 1);
    let names: Vec<ChannelName> = held.iter().map(|info| info.name.clone()).collect();
    let readers = node.count_readers(&names).await;
    Ok(json(StatusCode::OK, &merged(&held, &readers, after, limit)))
}

/// The first `limit` of what is held and what is read. `held` has one more than that, if there is one, so that which
/// channels come first is certain.
fn merged<'a>(held: &'a [ChannelInfo], readers: &'a Readers, after: Option<&str>, limit: usize) -> List<'a> {
    let mut lines: BTreeMap<&str, Option<&ChannelInfo>> = BTreeMap::new();
    let listed = readers.iter().filter(|(_, count)| **count > 0).map(|(name, _)| name.as_str());
    lines.extend(listed.filter(|name| after.is_none_or(|after| *name > after)).map(|name| (name, None)));
    lines.extend(held.iter().map(|info| (info.name.as_str(), Some(info))));
    let is_more = lines.len() > limit;
    let channels: Vec<Line<'_>> = lines
        .into_iter()
        .take(limit)
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
    List { channels, next }
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
    node.log.delete(node.now(), channel);
    no_content()
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_store::Retention;

    #[test]
    fn what_is_held_and_what_is_read_are_one_list_in_pages() {
        let name = |text| ChannelName::new(text).unwrap();
        let info = |text| ChannelInfo {
            name: name(text),
            class: Class::History(Retention::default()),
            events: 2,
            bytes: 5,
            ended: text == "d",
            newest: None,
        };
        let held = ["b", "d", "f"].map(info);
        let readers = Readers::from([(name("a"), 1), (name("c"), 2), (name("d"), 3), (name("f"), 0), (name("x"), 0)]);
        let line = |channel, readers, events, class, ended| {
            let bytes = if events > 0 { 5 } else { 0 };
            Line { channel, readers, events, bytes, class, ended }
        };
        let all = [
            line("a", 1, 0, None, false),
            line("b", 0, 2, Some("history"), false),
            line("c", 2, 0, None, false),
            line("d", 3, 2, Some("history"), true),
            line("f", 0, 2, Some("history"), false),
        ];
        let list = merged(&held, &readers, None, 10);
        assert_eq!((&list.channels[..], list.next), (&all[..], None));
        for limit in 1..5 {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                // As the log would give it.
                let first = held.iter().position(|info| after.is_none_or(|after| info.name.as_str() > after));
                let page = &held[first.unwrap_or(held.len())..];
                let list = merged(&page[..page.len().min(limit + 1)], &readers, after, limit);
                assert!(list.channels.len() <= limit);
                seen.extend(list.channels);
                let Some(next) = list.next else { break };
                after = Some(next);
            }
            assert_eq!(seen, all, "{limit}");
        }
    }
}
