//! What clients call.

use super::super::Shard;
use super::Conversation;
use super::application::Deed;
use super::change::{Change, kept, with};
use crate::auth::Identity;
use crate::node::Node;
use crate::session::Outcome;
use crate::session::opening::{Begin, since_of};
use crate::shard::turns::{Turns, at_once};
use crate::transport::poll;
use serde::Deserialize;
use std::sync::Arc;
use switchboard_hub::Place;
use switchboard_store::Opened;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{ErrorObject, Json, Params};
use switchboard_wire::name::Selection;
use switchboard_wire::presence::apart;

/// What part of a session's memory a page of history may take.
const PAGE_PART: usize = 4;
/// Events that `history` gives unless it is asked for another number.
const PAGE: usize = 100;

/// Names and patterns.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`channel` is a name or a pattern, or an array of them")]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

impl OneOrSeveral {
    /// All of them, if they are no more than a session may name: each is looked for among the others.
    fn texts(self, most: usize) -> Result<Vec<String>, Problem> {
        match self {
            OneOrSeveral::One(text) => Ok(vec![text]),
            OneOrSeveral::Several(texts) if texts.len() <= most => Ok(texts),
            OneOrSeveral::Several(_) => Err(too_many(most)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    channel: OneOrSeveral,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    presence: bool,
}

/// What a client may subscribe to, as it asked.
pub(super) struct Asked {
    pub(super) begin: Begin,
    /// The notices of who comes and goes that it hears as well.
    pub(super) notices: Selection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    channel: OneOrSeveral,
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
            "subscribe" => return self.in_line(conversation, ticket, Deed::Subscribe, params),
            "unsubscribe" => return self.in_line(conversation, ticket, Deed::Unsubscribe, params),
            "publish" => return self.in_line(conversation, ticket, Deed::Publish, params),
            "history" => match self.history(conversation, ticket, &params) {
                Ok(found) => return found,
                Err(problem) => Err(problem),
            },
            "presence" => self.who_is_there(conversation, &params),
            "refresh" => match self.refresh(conversation, ticket, &params) {
                Ok(()) => return None,
                Err(problem) => Err(problem),
            },
            "ping" => {
                params.read::<Nothing>().map(|Nothing {}| Json::from(&serde_json::json!({ "time": self.node.now() })))
            }
            _ => match self.pass_on(conversation, ticket, method, params) {
                Ok(()) => return None,
                Err(problem) => Err(problem),
            },
        };
        Some(result.map_err(|problem| self.refuse(conversation, method, &problem)))
    }

    /// What a call is refused with, after a line in the log where it deserves one.
    pub(super) fn refuse(&self, conversation: &Conversation, method: &str, problem: &Problem) -> ErrorObject<'static> {
        self.audit_call(conversation, method, problem.code);
        ErrorObject::from(problem)
    }

    /// What a client asks to subscribe to, and from where on, if it may.
    pub(super) fn subscribable(&self, conversation: &mut Conversation, params: &Params<'_>) -> Result<Asked, Problem> {
        let Subscribe { channel, since, presence } = params.read()?;
        let most = self.node.config.limits.channels;
        let selection = Arc::new(ordinary(&channel.texts(most)?)?);
        self.node.auth.allow_reading(&conversation.identity, &selection)?;
        let notices = match presence {
            true => self.watching(conversation, &selection)?,
            false => Selection::default(),
        };
        if with(&apart(conversation.wanted()).0, &selection).len() > most {
            return Err(too_many(most));
        }
        conversation.has_room(self.node.config.session.memory)?;
        self.allow_names(&selection)?;
        if !self.has_room_for(conversation, kept(&selection) + kept(&notices)) {
            return Err(
                Code::Overloaded.because("what sessions keep and patterns take is as much as `memory.transit` allows")
            );
        }
        Ok(Asked { begin: Begin { selection, since }, notices })
    }

    /// Lets a session read something, and gives the answer that says so. `opened` is where its reading begins, if that was
    /// looked for before.
    pub(super) fn read_from(
        &mut self,
        conversation: &mut Conversation,
        ticket: Option<u64>,
        begin: Begin,
        opened: Option<Opened>,
        notices: Selection,
    ) -> Json<'static> {
        // What was published before the client asked is not news to it.
        self.catch_up_with_ring(conversation);
        let opened =
            opened.unwrap_or_else(|| self.node.log.open(self.node.now(), &begin.selection, begin.since(), false));
        let selection = begin.selection;
        let from = Place { cursor: opened.cursor.seq, floor: opened.cursor.floor };
        let answer = opened_json(&opened);
        let change = Change::Add { selection, from, notices };
        self.change_with(conversation, ticket, change);
        answer
    }

    pub(super) fn unsubscribe(
        &mut self,
        conversation: &mut Conversation,
        ticket: Option<u64>,
        params: &Params<'_>,
    ) -> Result<Json<'static>, Problem> {
        let Unsubscribe { channel } = params.read()?;
        let texts = channel.texts(self.node.config.limits.channels)?;
        ordinary(&texts)?;
        let wanted = conversation.wanted();
        if let Some(text) = texts.iter().find(|text| !wanted.names(text)) {
            return Err(Code::InvalidParams.because(format!("the session is not subscribed to {text:?}")));
        }
        conversation.has_room(self.node.config.session.memory)?;
        self.catch_up_with_ring(conversation);
        let position = self.node.log.position(self.present(conversation)).to_string();
        self.change_with(conversation, ticket, Change::Remove { texts });
        Ok(Json::from(&serde_json::json!({ "position": position })))
    }

    /// Finds a page of history; what may take more than a step, as it may by pattern, is an errand.
    fn history(
        &mut self,
        conversation: &Conversation,
        ticket: Option<u64>,
        params: &Params<'_>,
    ) -> Result<Option<Outcome>, Problem> {
        let History { channel, since, limit } = params.read()?;
        let selection = ordinary(&[channel])?;
        self.node.auth.allow_reading(&conversation.identity, &selection)?;
        let limit = match limit.unwrap_or(PAGE) {
            0 => return Err(Code::InvalidParams.because("`limit` is a number of events, at least 1")),
            limit => limit.min(self.node.config.limits.page),
        };
        // Nobody is answered, so nothing is looked for.
        let Some(ticket) = ticket else { return Ok(None) };
        let (page, turns) = (Page { selection, since, limit }, self.turns());
        // What may take long has its first step in its turn, too: a message may ask for many.
        let is_short = page.selection.patterns.is_empty();
        let found = if is_short { at_once(page.find(&self.node, &turns)) } else { None };
        if found.is_none() {
            self.look_up(conversation, ticket, page);
        }
        Ok(found)
    }

    fn refresh(
        &mut self,
        conversation: &mut Conversation,
        ticket: Option<u64>,
        params: &Params<'_>,
    ) -> Result<(), Problem> {
        let Refresh { token } = params.read()?;
        self.renew_by(conversation, ticket, token);
        Ok(())
    }

    /// A client's new token was looked into.
    pub(super) fn renewed(&mut self, session: u64, ticket: Option<u64>, found: Result<Identity, Problem>) {
        self.with(session, |shard, conversation| {
            let renewed = found.and_then(|identity| shard.renew_session(conversation, identity));
            if let Err(problem) = &renewed {
                shard.audit_call(conversation, "refresh", problem.code);
            }
            if let Some(ticket) = ticket {
                conversation.session.answer(ticket, renewed.map_err(|problem| ErrorObject::from(&problem)));
            }
        });
    }

    fn renew_session(&mut self, conversation: &mut Conversation, identity: Identity) -> Result<Json<'static>, Problem> {
        if identity.holder().is_none() || identity.holder() != conversation.identity.holder() {
            let why = "a session is renewed by a token with the `sub` of the one that opened it";
            return Err(Code::Forbidden.because(why));
        }
        let auth = &self.node.auth;
        auth.standing(&identity, self.node.now())?;
        // What the application said of whom it let in goes on to hold.
        let identity = match conversation.identity.welcome() {
            Some(welcome) => identity.welcomed(welcome.clone()),
            None => identity,
        };
        auth.allow_reading(&identity, conversation.selection())?;
        let answer = match identity.expires() {
            Some(expires) => serde_json::json!({ "expires": expires }),
            None => serde_json::json!({}),
        };
        conversation.allowance = self.node.limits.publisher(&identity, Some(conversation.address));
        conversation.identity = identity;
        self.show(conversation);
        Ok(Json::from(&answer))
    }
}

/// A page of history that was asked for.
pub(super) struct Page {
    selection: Selection,
    since: Option<String>,
    limit: usize,
}

impl Page {
    pub(super) async fn find(&self, node: &Node, turns: &Turns) -> Outcome {
        let bytes = node.config.session.memory / PAGE_PART;
        let since = since_of(self.since.as_deref());
        let text = poll::page(node, turns, &self.selection, since, (self.limit, bytes)).await;
        let page = std::str::from_utf8(&text).ok().and_then(|text| Json::parse(text).map(Json::into_owned));
        page.ok_or_else(|| ErrorObject::from(&Code::Internal.into()))
    }
}

fn too_many(most: usize) -> Problem {
    Code::InvalidParams.because(format!("a session names at most {most} channels"))
}

/// What texts select that are not the system's own.
pub(super) fn ordinary(texts: &[String]) -> Result<Selection, Problem> {
    let mut selection = Selection::default();
    for text in texts {
        if text.starts_with('$') {
            return Err(Code::ChannelName.because("names that begin with `$` are the system's own"));
        }
        selection.add(text).map_err(|bad| Code::ChannelName.because(format!("{text:?}: {bad}")))?;
    }
    if selection.is_empty() {
        return Err(Code::InvalidParams.because("`channel` names no channel"));
    }
    Ok(selection)
}

/// `{"position","recovered"?,"gap"?,"ended"?}`
fn opened_json(opened: &Opened) -> Json<'static> {
    let mut answer = serde_json::json!({ "position": opened.position.to_string() });
    if let Some(recovered) = opened.recovered {
        answer["recovered"] = recovered.into();
    }
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
