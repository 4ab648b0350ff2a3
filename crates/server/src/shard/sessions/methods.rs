//! What clients call.

use super::super::{Shard, SharedShard};
use super::Conversation;
use super::link::Link;
use crate::auth::Identity;
use crate::node::Node;
use crate::session::Outcome;
use crate::transport::poll;
use serde::Deserialize;
use std::sync::Arc;
use switchboard_hub::Place;
use switchboard_hub::session::Step;
use switchboard_store::{Memory, Opened, Since};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{ErrorObject, Json, Params};
use switchboard_wire::name::Selection;
use tokio::sync::Notify;

/// Steps of a script that a client may leave unacknowledged.
const STEPS: usize = 2 * 1024;
/// Events that `history` gives unless it is asked for another number.
const PAGE: usize = 100;

/// A change of what a session reads, which comes about when its answer leaves.
pub(super) enum Change {
    /// Read this too, from there on.
    Add {
        text: String,
        selection: Arc<Selection>,
        from: Place,
    },
    Remove {
        text: String,
    },
    /// Pass over the event of this number, which the session has published itself.
    Skip(u64),
}

/// Something to be done outside of the shard.
pub(crate) struct Errand {
    session: u64,
    ticket: Option<u64>,
    token: String,
}

impl Errand {
    /// Runs the errand, and comes back with what it came to.
    pub(crate) async fn run(self, node: Arc<Node>, shard: SharedShard, bell: Arc<Notify>) {
        let found = node.auth.identify_token(&self.token, node.now()).await;
        shard.borrow_mut().renewed(self.session, self.ticket, found);
        // It may be due at another time from now on.
        bell.notify_one();
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    channel: String,
    #[serde(default)]
    since: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    channel: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct History {
    channel: String,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Shard {
    /// Does what a client calls, or says. `None` if it is answered later. What is no call has no ticket.
    pub(super) fn call_method(
        &mut self,
        conversation: &mut Conversation,
        ticket: Option<u64>,
        method: &str,
        params: Params<'static>,
    ) -> Option<Outcome> {
        let result = match method {
            "subscribe" => self.subscribe(conversation, ticket, &params),
            "unsubscribe" => self.unsubscribe(conversation, ticket, &params),
            "publish" => self.publish_for(conversation, &params),
            "history" => self.history(conversation, &params),
            "refresh" => match self.refresh(conversation, ticket, &params) {
                Ok(()) => return None,
                Err(problem) => Err(problem),
            },
            "ping" => {
                params.read::<Nothing>().map(|Nothing {}| Json::from(&serde_json::json!({ "time": self.node.now() })))
            }
            _ => Err(Code::MethodNotFound.because(format!("`{method}` is no method here"))),
        };
        Some(result.map_err(|problem| ErrorObject::from(&problem)))
    }

    pub(super) fn subscribe(
        &mut self,
        conversation: &mut Conversation,
        ticket: Option<u64>,
        params: &Params<'_>,
    ) -> Result<Json<'static>, Problem> {
        let Subscribe { channel: text, since } = params.read()?;
        let selection = Arc::new(ordinary(&text)?);
        self.node.auth.allow_reading(&conversation.identity, &selection)?;
        let most = self.node.config.limits.channels;
        if conversation.selection().len() >= most && !conversation.reads(&text) {
            return Err(Code::InvalidParams.because(format!("a session names at most {most} channels")));
        }
        conversation.has_room()?;
        // What was published before the client asked is not news to it.
        self.catch_up_with_ring(conversation);
        let opened = self.node.log.open(self.node.now(), &selection, since_of(since.as_deref()), false);
        let from = Place { cursor: opened.cursor.seq, floor: opened.cursor.floor };
        let answer = opened_json(&opened);
        let change = Change::Add { text, selection, from };
        self.change_with(conversation, ticket, change);
        Ok(answer)
    }

    pub(super) fn unsubscribe(
        &mut self,
        conversation: &mut Conversation,
        ticket: Option<u64>,
        params: &Params<'_>,
    ) -> Result<Json<'static>, Problem> {
        let Unsubscribe { channel: text } = params.read()?;
        ordinary(&text)?;
        if !conversation.reads(&text) {
            return Err(Code::InvalidParams.because(format!("the session is not subscribed to {text:?}")));
        }
        conversation.has_room()?;
        self.catch_up_with_ring(conversation);
        let position = self.node.log.position(self.present(conversation)).to_string();
        self.change_with(conversation, ticket, Change::Remove { text });
        Ok(Json::from(&serde_json::json!({ "position": position })))
    }

    /// Brings a change about: with the answer to its call, or where there is none at once.
    fn change_with(&mut self, conversation: &mut Conversation, ticket: Option<u64>, change: Change) {
        match ticket {
            Some(ticket) => conversation.joining.push((ticket, change)),
            None => self.change(conversation, conversation.session.last_control() + 1, change),
        }
    }

    /// Delivers what the ring holds, so that a change of what is read comes after it.
    pub(super) fn catch_up_with_ring(&mut self, conversation: &mut Conversation) {
        if conversation.link.token().is_some() {
            self.deliver_before();
            let handed = std::mem::take(&mut self.sessions.handed);
            if !handed.is_empty() {
                self.answer_poll(conversation, &handed);
            }
        }
    }

    /// Where a session's events are at present.
    fn present(&self, conversation: &Conversation) -> u64 {
        let now = match conversation.link.token() {
            Some(_) => self.readers.position(),
            None => self.node.log.head(),
        };
        let reached = if conversation.is_at_end() { conversation.walk.place.cursor } else { 0 };
        now.max(reached).max(conversation.script.end())
    }

    /// Makes a change part of the script: it comes with the control message of this number.
    pub(super) fn change(&mut self, conversation: &mut Conversation, control: u64, change: Change) {
        if let Some(token) = conversation.link.token() {
            self.deliver_due(token);
            if conversation.is_at_end() && matches!(conversation.link, Link::Held { .. }) {
                conversation.walk.place = self.reader_place(token);
            }
        }
        let present = self.present(conversation);
        let mut selection = Selection::clone(conversation.selection());
        let (at, past, onward) = match change {
            Change::Add { text, selection: added, from } => {
                // The name was read before.
                let _ = selection.add(&text);
                conversation.added.push(text);
                let at = present.max(from.cursor).max(from.floor);
                (at, (from.cursor < at).then_some((added, from)), at)
            }
            Change::Remove { text } => {
                let _ = selection.remove(&text);
                (present, None, present)
            }
            Change::Skip(seq) => (seq - 1, None, seq),
        };
        conversation.script.add(Step { control, at, past, onward, selection: Arc::new(selection) });
        if let Some(token) = conversation.link.token() {
            self.place_reader(conversation, token);
        }
    }

    fn history(&mut self, conversation: &Conversation, params: &Params<'_>) -> Result<Json<'static>, Problem> {
        let History { channel, since, limit } = params.read()?;
        let selection = ordinary(&channel)?;
        self.node.auth.allow_reading(&conversation.identity, &selection)?;
        let limit = match limit.unwrap_or(PAGE) {
            0 => return Err(Code::InvalidParams.because("`limit` is a number of events, at least 1")),
            limit => limit.min(self.node.config.limits.page),
        };
        let text = poll::page(&self.node, &selection, since_of(since.as_deref()), limit);
        let text = String::from_utf8(text).map_err(|_| Code::Internal)?;
        Json::parse(&text).map(Json::into_owned).ok_or(Code::Internal.into())
    }

    fn refresh(
        &mut self,
        conversation: &mut Conversation,
        ticket: Option<u64>,
        params: &Params<'_>,
    ) -> Result<(), Problem> {
        let Refresh { token } = params.read()?;
        self.sessions.errands.push(Errand { session: conversation.id.number, ticket, token });
        Ok(())
    }

    /// A client's new token was looked into.
    fn renewed(&mut self, session: u64, ticket: Option<u64>, found: Result<Identity, Problem>) {
        self.with(session, |shard, conversation| {
            let renewed = found.and_then(|identity| shard.renew_session(conversation, identity));
            if let Some(ticket) = ticket {
                conversation.session.answer(ticket, renewed.map_err(|problem| ErrorObject::from(&problem)));
            }
        });
    }

    fn renew_session(&mut self, conversation: &mut Conversation, identity: Identity) -> Result<Json<'static>, Problem> {
        if identity.user().is_none() || identity.user() != conversation.identity.user() {
            let why = "a session is renewed by a token with the `sub` of the one that opened it";
            return Err(Code::Forbidden.because(why));
        }
        let auth = &self.node.auth;
        auth.standing(&identity, self.node.now())?;
        auth.allow_reading(&identity, conversation.selection())?;
        let answer = match identity.expires() {
            Some(expires) => serde_json::json!({ "expires": expires }),
            None => serde_json::json!({}),
        };
        conversation.identity = identity;
        Ok(Json::from(&answer))
    }
}

impl Conversation {
    /// Whether this text is among what it is subscribed to.
    fn reads(&self, text: &str) -> bool {
        let mut selection = Selection::clone(self.selection());
        selection.remove(text).unwrap_or(false)
    }

    /// Tells the client, behind what it missed, that it has caught up: from there on all that it reads comes as it happens.
    pub(super) fn mark_added(&mut self, log: &Memory) {
        for channel in std::mem::take(&mut self.added) {
            let (at, selection) = (self.script.end(), self.selection().clone());
            let position = log.position(at).to_string();
            self.notify("caught_up", &serde_json::json!({ "channel": channel, "position": position }));
            self.script.add(Step { control: self.session.last_control(), at, past: None, onward: at, selection });
        }
    }

    pub(super) fn has_room(&self) -> Result<(), Problem> {
        match self.script.len() + self.joining.len() < STEPS {
            true => Ok(()),
            false => Err(Code::Overloaded.because("too many changes have yet to be acknowledged")),
        }
    }
}

/// What a text selects that is not the system's own.
fn ordinary(text: &str) -> Result<Selection, Problem> {
    let mut selection = Selection::default();
    if text.starts_with('$') {
        return Err(Code::ChannelName.because("names that begin with `$` are the system's own"));
    }
    selection.add(text).map_err(|bad| Code::ChannelName.because(format!("{text:?}: {bad}")))?;
    Ok(selection)
}

fn since_of(text: Option<&str>) -> Since<'_> {
    match text {
        None | Some("") => Since::Default,
        Some("earliest") => Since::Earliest,
        Some("latest") => Since::Latest,
        Some(text) => Since::At(text),
    }
}

/// `{"position","recovered"?,"gap"?,"ended"?}`
fn opened_json(opened: &Opened) -> Json<'static> {
    let mut answer = serde_json::json!({ "position": opened.position.to_string() });
    if let Some(recovered) = opened.recovered {
        answer["recovered"] = recovered.into();
    }
    // One that comes later is told in its place.
    if let Some(gap) = &opened.gap {
        let mut text = Vec::new();
        gap.write_json(&mut text);
        answer["gap"] = serde_json::from_slice(&text).unwrap_or_default();
    }
    if opened.finished {
        answer["ended"] = true.into();
    }
    Json::from(&answer)
}
