//! What clients publish by their sessions.

use super::super::Shard;
use super::Conversation;
use super::methods::Change;
use crate::api::key;
use switchboard_hub::access::Action;
use switchboard_store::{Append, Key};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{Json, Params};
use switchboard_wire::ndjson::{Publish, parse_publish};

impl Shard {
    /// Appends what a session publishes, as `POST /channels/{channel}` would, and answers with where it is.
    pub(super) fn publish_for(
        &mut self,
        conversation: &mut Conversation,
        params: &Params<'_>,
    ) -> Result<Json<'static>, Problem> {
        let Publish { channel, draft, key, echo } = parse_publish(params.as_json().map_or("{}", Json::as_str))?;
        let (node, identity) = (self.node.clone(), &conversation.identity);
        node.auth.allow(identity, Action::Publish, &channel)?;
        let most = node.limits.message(&channel);
        if draft.data().len() > most {
            return Err(Code::TooLarge.because(format!("the data has more than {most} bytes")));
        }
        if let Some(key) = &key {
            key::check(key)?;
        }
        node.limits.publish(&conversation.allowance, std::iter::once(&channel), node.now())?;
        if !echo {
            conversation.has_room()?;
            self.catch_up_with_ring(conversation);
        }
        let key = key.map(|key| Key::whole(&conversation.identity.publisher(), &key));
        let append = [Append { channel: channel.clone(), draft: Some(draft), end: false, key }];
        let appended = node.log.append(node.now(), &append).map_err(|(_, refusal)| refusal.code())?;
        let appended = appended.first().ok_or(Code::Internal)?;
        if !echo && !appended.repeated {
            let skipped = Change::Skip(appended.position.seq);
            self.change(conversation, conversation.session.last_control() + 1, skipped);
        }
        let mut answer = serde_json::json!({
            "channel": channel.as_str(),
            "position": appended.position.to_string(),
        });
        if let Some(id) = &appended.id {
            answer["id"] = id.to_string().into();
        }
        Ok(Json::from(&answer))
    }
}
