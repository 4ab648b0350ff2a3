//! `POST /channels/{channel}`: one event, or a stream of them.

use super::query::Query;
use super::{collect, json_text, key, refused, stream};
use crate::limits::Asker;
use crate::listen::BodySource;
use crate::node::Node;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use switchboard_hub::access::Action;
use switchboard_store::{Append, Appended, Key};
use switchboard_wire::code::Problem;
use switchboard_wire::event::Draft;
use switchboard_wire::limits::MARK_MAX;
use switchboard_wire::{ChannelName, Code, json};

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
    let (data, _load) = collect(node, body, node.limits.message(channel)).await?;
    // The body may have taken its time.
    let now = node.now();
    node.auth.standing(identity, now)?;
    let draft = match end && data.is_empty() && event.is_none() {
        true => None,
        false => Some(Draft::from_body(event, content_type, data)?),
    };
    let append =
        Append { channel: channel.clone(), end, key: key.map(|key| Key::whole(&identity.publisher(), &key)), draft };
    let append = [append];
    node.limits.publish(allowance, std::iter::once(channel), now)?;
    node.pace().await;
    let appended = node.log.append(node.now(), &append).map_err(|(_, refusal)| refused(refusal))?;
    let Some(appended) = appended.first() else { return Err(Code::Internal.into()) };
    Ok(json_text(StatusCode::CREATED, published(channel, appended)))
}

/// `{"id"?,"channel","position","ended"?}`: by hand, because it is on the fast path. That the channel has ended is said
/// only where it was ended without a last event.
fn published(channel: &ChannelName, appended: &Appended) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + channel.as_str().len() + 2 * MARK_MAX);
    out.push(b'{');
    if let Some(id) = appended.id {
        out.extend_from_slice(b"\"id\":\"");
        id.write_to(&mut out);
        out.extend_from_slice(b"\",");
    }
    out.extend_from_slice(b"\"channel\":");
    json::string(channel.as_str(), &mut out);
    out.extend_from_slice(b",\"position\":\"");
    appended.position.write_to(&mut out);
    out.push(b'"');
    if appended.id.is_none() {
        out.extend_from_slice(b",\"ended\":true");
    }
    out.push(b'}');
    out
}

fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(None) };
    value.to_str().map(Some).map_err(|_| Code::InvalidParameter.because("the Content-Type is not visible ASCII"))
}
