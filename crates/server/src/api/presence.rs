//! `GET /api/presence/{channel}`: who is there.
//!
//! `{"channel","count","members"?}`: without `members` where they are counted alone. `limit` (default 1,000, most 10,000)
//! bounds how many are named; `count` is of all.

use super::json_text;
use super::query::Query;
use crate::auth::Identity;
use crate::node::Node;
use bytes::Bytes;
use http::{Response, StatusCode};
use switchboard_hub::access::Action;
use switchboard_wire::ChannelName;
use switchboard_wire::code::Problem;

const LIMIT: u64 = 1000;
const LIMIT_MAX: u64 = 10_000;

pub(super) fn answer(
    node: &Node,
    identity: &Identity,
    channel: &ChannelName,
    query: &Query,
) -> Result<Response<Bytes>, Problem> {
    if let Err(refused) = node.auth.allow(identity, Action::Presence, channel)
        && node.auth.allow(identity, Action::Manage, channel).is_err()
    {
        return Err(refused);
    }
    let limit = query.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT) as usize;
    let view = node.presence.on(channel, limit)?;
    // Invariant: a `str` is JSON as a string.
    let mut body = serde_json::to_vec(channel.as_str()).unwrap_or_default();
    body.splice(..0, *b"{\"channel\":");
    body.push(b',');
    view.write(usize::MAX, &mut body);
    body.push(b'}');
    Ok(json_text(StatusCode::OK, body))
}
