//! `POST /channels/{channel}`: one event, or a stream of them.

use super::query::Query;
use super::{collect, json, key, refused, stream};
use crate::limits::Asker;
use crate::listen::BodySource;
use crate::node::Node;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use switchboard_hub::access::Action;
use switchboard_store::{Append, Key};
use switchboard_wire::code::Problem;
use switchboard_wire::event::Draft;
use switchboard_wire::{ChannelName, Code};

#[derive(Serialize)]
struct Published<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    channel: &'a str,
    position: String,
    /// Said only where the channel was ended without a last event.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
}

pub(super) async fn publish(
    node: &Node,
    asker: &Asker,
    channel: &ChannelName,
    query: &Query,
    headers: &HeaderMap,
    body: &mut impl BodySource,
) -> Result<Response<Bytes>, Problem> {
    let Asker { identity, allowance } = asker;
    let event = query.one("event")?;
    let end = query.flag("end")?;
    node.auth.allow(identity, Action::Publish, channel)?;
    if end {
        // It takes the channel from all who publish to it.
        node.auth.allow(identity, Action::Manage, channel)?;
    }
    let key = key::from_headers(headers)?;
    let content_type = content_type(headers)?;
    if let Some(format) = content_type.and_then(stream::Format::of) {
        if event.is_some() {
            return Err(
                Code::InvalidParameter.because("in a stream of events each names its own type: leave `event` out")
            );
        }
        let task = stream::Task { node, asker, channel, key, end };
        return Ok(task.run(format, body).await);
    }
    let data = collect(body, node.limits.message(channel)).await?;
    // The body may have taken its time.
    node.auth.standing(identity, node.now())?;
    let draft = match end && data.is_empty() && event.is_none() {
        true => None,
        false => Some(Draft::from_body(event, content_type, data)?),
    };
    let append =
        Append { channel: channel.clone(), end, key: key.map(|key| Key::whole(&identity.publisher(), &key)), draft };
    let append = [append];
    node.limits.publish(allowance, std::iter::once(channel), node.now())?;
    node.pace().await;
    let appended = node.log.append(node.now(), &append).map_err(|(_, refusal)| refused(refusal))?;
    let Some(appended) = appended.first() else { return Err(Code::Internal.into()) };
    let published = Published {
        id: appended.id.map(|id| id.to_string()),
        channel: channel.as_str(),
        position: appended.position.to_string(),
        ended: appended.id.is_none(),
    };
    Ok(json(StatusCode::CREATED, &published))
}

fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(None) };
    value.to_str().map(Some).map_err(|_| Code::InvalidParameter.because("the Content-Type is not visible ASCII"))
}
