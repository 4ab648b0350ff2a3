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
use std::collections::BTreeSet;
use switchboard_store::{ChannelInfo, Class};
use switchboard_wire::ChannelName;
use switchboard_wire::code::Problem;

const LIMIT: u64 = 1000;
const LIMIT_MAX: u64 = 10_000;

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
    let named = node.named(after, limit + 1).await;
    let (names, is_more) = page(&held, named, limit);
    let readers = node.count_readers(&names).await;
    let next = names.last().filter(|_| is_more).map(ChannelName::as_str);
    Ok(json(StatusCode::OK, &List { channels: lines(&held, &names, &readers), next }))
}

/// The first `limit` names of what is held and what is read, and whether there are more. Of each there is one more than
/// that, if there is one, and of what is read there may be more.
fn page(held: &[ChannelInfo], named: BTreeSet<ChannelName>, limit: usize) -> (Vec<ChannelName>, bool) {
    let mut all = named;
    all.extend(held.iter().map(|info| info.name.clone()));
    let is_more = all.len() > limit;
    (all.into_iter().take(limit).collect(), is_more)
}

/// A line for each name, but for those that are not held and whose readers have just gone.
fn lines<'a>(held: &[ChannelInfo], names: &'a [ChannelName], readers: &[usize]) -> Vec<Line<'a>> {
    let mut held = held.iter().peekable();
    let mut line = |(channel, readers): (&'a ChannelName, &usize)| {
        let info = held.next_if(|info| info.name == *channel);
        (info.is_some() || *readers > 0).then(|| Line {
            channel: channel.as_str(),
            readers: *readers,
            events: info.map_or(0, |info| info.events),
            bytes: info.map_or(0, |info| info.bytes),
            class: info.map(|info| class_name(info.class)),
            ended: info.is_some_and(|info| info.ended),
        })
    };
    names.iter().zip(readers).filter_map(&mut line).collect()
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
        let read = [("a", 1), ("c", 2), ("d", 3), ("gone", 0)];
        let line = |channel, readers, events, class, ended| {
            let bytes = if events > 0 { 5 } else { 0 };
            (channel, readers, events, bytes, class, ended)
        };
        let all = [
            line("a", 1, 0, None, false),
            line("b", 0, 2, Some("history"), false),
            line("c", 2, 0, None, false),
            line("d", 3, 2, Some("history"), true),
            line("f", 0, 2, Some("history"), false),
        ];
        for limit in 1..8 {
            let (mut seen, mut after) = (Vec::new(), None::<ChannelName>);
            loop {
                // As the log and the shards would give it.
                let behind = |name: &ChannelName| after.as_ref().is_none_or(|after| name > after);
                let held: Vec<_> = held.iter().filter(|info| behind(&info.name)).take(limit + 1).cloned().collect();
                let named = read.map(|(text, _)| name(text)).into_iter().filter(behind).take(limit + 1).collect();
                let (names, is_more) = page(&held, named, limit);
                let count =
                    |name: &ChannelName| read.iter().find(|(text, _)| name.as_str() == *text).map_or(0, |read| read.1);
                let readers: Vec<usize> = names.iter().map(count).collect();
                assert!(names.len() <= limit);
                seen.extend(lines(&held, &names, &readers).into_iter().map(|line| {
                    (line.channel.to_owned(), line.readers, line.events, line.bytes, line.class, line.ended)
                }));
                if !is_more {
                    break;
                }
                after = names.last().cloned();
            }
            let seen: Vec<_> =
                seen.iter().map(|(channel, a, b, c, d, e)| (channel.as_str(), *a, *b, *c, *d, *e)).collect();
            assert_eq!(seen, all, "{limit}");
        }
    }
}
