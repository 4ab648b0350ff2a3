//! What clients publish by their sessions.

use super::super::Shard;
use super::Conversation;
use super::change::Change;
use crate::api::key;
use switchboard_hub::access::Action;
use switchboard_store::{Append, Key};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{Json, Params};
use switchboard_wire::ndjson::{Publish, parse_publish};

impl Shard {
    /// What a session asks to publish, if it may.
    pub(super) fn publishable(&self, conversation: &Conversation, params: &Params<'_>) -> Result<Publish, Problem> {
        let publish = parse_publish(params.as_json().map_or("{}", Json::as_str))?;
        self.node.auth.allow(&conversation.identity, Action::Publish, &publish.channel)?;
        self.fits(&publish)?;
        if let Some(key) = &publish.key {
            key::check(key)?;
        }
        Ok(publish)
    }

    /// Refuses what is longer than its channel takes.
    pub(super) fn fits(&self, publish: &Publish) -> Result<(), Problem> {
        let most = self.node.limits.message(&publish.channel);
        match publish.draft.data().len() <= most {
            true => Ok(()),
            false => Err(Code::TooLarge.because(format!("the data has more than {most} bytes"))),
        }
    }

    /// Takes an event of what the session may publish.
    pub(super) fn spend(&self, conversation: &Conversation, publish: &Publish) -> Result<(), Problem> {
        let event = std::iter::once(&publish.channel);
        self.node.limits.publish(&conversation.allowance, event, self.node.now())
    }

    /// Appends what a session publishes, as `POST /channels/{channel}` would, and answers with where it is.
    pub(super) fn append(
        &mut self,
        conversation: &mut Conversation,
        publish: Publish,
    ) -> Result<Json<'static>, Problem> {
        let Publish { channel, draft, key, echo } = publish;
        if !echo {
            conversation.has_room(self.node.config.session.memory)?;
            self.catch_up_with_ring(conversation);
        }
        let node = self.node.clone();
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
