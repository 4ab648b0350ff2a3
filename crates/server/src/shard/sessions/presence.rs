//! Who is on a channel: that sessions come and go, and what their clients ask of it.

use super::super::Shard;
use super::Conversation;
use super::methods::ordinary;
use crate::auth::Identity;
use crate::session::Id;
use serde::Deserialize;
use std::sync::Arc;
use switchboard_hub::access::Action;
use switchboard_hub::presence::{Profile, Track};
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{Json, Params};
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Code, presence};

/// Members that are named at most, to a client.
const MEMBERS: usize = 1000;
/// What part of a session's memory they may take.
const PART: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Presence {
    channel: String,
}

/// What a session shows of itself.
pub(super) fn profile(id: Id, opened: u64, identity: &Identity) -> Arc<Profile> {
    let plain = Profile::new(opened, id.number, &id.to_string(), identity.user());
    let info = identity.info().and_then(Json::parse);
    // More than may be shown was refused with its token.
    Arc::new(info.and_then(|info| plain.clone().with_info(info)).unwrap_or(plain))
}

impl Shard {
    /// Answers who is there: `{"count","members"?}`.
    pub(super) fn who_is_there(
        &self,
        conversation: &Conversation,
        params: &Params<'_>,
    ) -> Result<Json<'static>, Problem> {
        let Presence { channel } = params.read()?;
        let selection = ordinary(&[channel])?;
        let Some(channel) = selection.channels.first() else {
            return Err(Code::InvalidParams.because("`channel` is the name of one channel"));
        };
        self.node.auth.allow(&conversation.identity, Action::Presence, channel)?;
        let mut text = b"{".to_vec();
        self.node.presence.on(channel, MEMBERS)?.write(self.node.config.session.memory / PART, &mut text);
        text.push(b'}');
        let text = String::from_utf8(text).map_err(|_| Code::Internal)?;
        Json::parse(&text).map(Json::into_owned).ok_or(Code::Internal.into())
    }

    /// What a session reads that is to hear who comes and goes, if it may: on all that is named, somebody has to keep
    /// track of that.
    pub(super) fn watching(&self, conversation: &Conversation, selection: &Selection) -> Result<Selection, Problem> {
        let notices = presence::notices_of(selection);
        self.node.auth.allow_reading(&conversation.identity, &notices)?;
        for channel in &selection.channels {
            if self.node.presence.tracked(channel)? == Track::Count {
                let why = format!("on `{channel}` members are counted, and nobody is told who comes and goes");
                return Err(Code::NotFound.because(why));
            }
        }
        Ok(notices)
    }

    /// A session is on these channels from now on.
    pub(super) fn come(&self, conversation: &Conversation, channels: &[ChannelName]) {
        for channel in channels.iter().filter(|channel| !channel.is_reserved()) {
            self.node.presence.join(channel, &conversation.profile);
        }
    }

    /// A session is not on these channels any longer.
    pub(super) fn go(&self, conversation: &Conversation, channels: &[ChannelName]) {
        for channel in channels.iter().filter(|channel| !channel.is_reserved()) {
            self.node.presence.leave(channel, &conversation.profile);
        }
    }

    /// A session has another token, and may show something else of itself.
    pub(super) fn show(&self, conversation: &mut Conversation) {
        let profile = profile(conversation.id, conversation.opened, &conversation.identity);
        if profile != conversation.profile {
            conversation.profile = profile;
            self.come(conversation, &conversation.selection().channels);
        }
    }
}
