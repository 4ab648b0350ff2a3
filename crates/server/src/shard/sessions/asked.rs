//! What others ask of a session: requests of its client, and backends.

use super::super::Shard;
use super::Conversation;
use super::down::names;
use super::link::Link;
use super::methods::Asked;
use crate::session::{Ask, Id, Key, Listed, Reply};
use bytes::Bytes;
use switchboard_hub::session::{Arrival, Known};
use switchboard_store::Opened;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{Json, Params};
use switchboard_wire::presence::apart;

/// Longest that a call to a client may take, in milliseconds.
const CALL: u64 = 60_000;

impl Shard {
    /// Does what is asked of a session. A client shows its key; backends were let in already.
    pub(crate) fn ask(&mut self, id: Id, key: Option<Key>, ask: Ask) {
        let known = self.sessions.all.get(&id.number);
        if !known.is_some_and(|conversation| key.is_none_or(|key| conversation.key.is(&key))) {
            return;
        }
        self.with(id.number, |shard, conversation| shard.asked(conversation, ask));
        for reply in self.sessions.applied.drain(..) {
            let _ = reply.send(Ok(None));
        }
    }

    // Who asked may have gone: then nobody waits for the answer.
    fn asked(&mut self, conversation: &mut Conversation, ask: Ask) {
        match ask {
            Ask::Check { attempt, reply } => drop(reply.send(conversation.session.check(attempt))),
            Ask::Up { seq, ack, body, reply } => {
                if let Some(control) = ack.filter(|ack| *ack <= conversation.session.last_control()) {
                    // Where its events are, that does not say.
                    self.known(conversation, Known { control, position: 0, caught_up: false });
                }
                if body.is_empty() {
                    return drop(reply.send(Ok(None)));
                }
                match conversation.session.arrive(seq, body, self.sessions.now()) {
                    Ok(Arrival::Applied) => self.sessions.applied.push(reply),
                    Ok(Arrival::Conflict { expected }) => drop(reply.send(Ok(Some(expected)))),
                    Ok(Arrival::Held) => conversation.held.entry(seq.unwrap_or(0)).or_default().push(reply),
                    Err(problem) => drop(reply.send(Err(problem))),
                }
            }
            Ask::Poll { take, waits, reply } => self.poll(conversation, take, waits, reply),
            Ask::Unpoll { name } => self.unpoll(conversation, name),
            Ask::End { code, closed, reply } => {
                conversation.closed = closed;
                conversation.session.end(code);
                let _ = reply.send(Ok(()));
            }
            Ask::Call { method, params, timeout, reply } => {
                let timeout = timeout.min(CALL);
                match conversation.session.call(&method, params, timeout, self.sessions.now()) {
                    Ok(call) => _ = conversation.calls.insert(call, reply),
                    Err(problem) => drop(reply.send(Err(problem))),
                }
            }
            Ask::Notify { method, params, reply } => drop(reply.send(conversation.session.notify(&method, params))),
            Ask::Subscribe { params, reply } => self.subscribe(conversation, params, reply),
            Ask::Unsubscribe { params, reply } => {
                let done = self.unsubscribe(conversation, None, &params);
                drop(reply.send(tell(conversation, "unsubscribed", &params, done)));
            }
            Ask::Look { reply } => drop(reply.send(Ok(conversation.listed()))),
        }
    }

    /// What a backend has a session read. Where that begins may take long to find; then it is an errand.
    fn subscribe(&mut self, conversation: &mut Conversation, params: Params<'static>, reply: Reply<Json<'static>>) {
        match self.subscribable(conversation, &params) {
            Ok(Asked { begin, .. }) if begin.is_long() => self.look_for(conversation, begin, params, reply),
            _ => self.subscribe_from(conversation, &params, None, reply),
        }
    }

    /// The same, once it was found where that begins, if it was looked for. The rules may say something else by now.
    pub(super) fn subscribe_from(
        &mut self,
        conversation: &mut Conversation,
        params: &Params<'_>,
        opened: Option<Opened>,
        reply: Reply<Json<'static>>,
    ) {
        let asked = self.subscribable(conversation, params).map_err(of_client);
        let done = asked.map(|Asked { begin, notices }| self.read_from(conversation, None, begin, opened, notices));
        // Who asked may have gone.
        let _ = reply.send(tell(conversation, "subscribed", params, done));
    }

    /// A WebSocket's message up.
    pub(in super::super) fn said(&mut self, token: u32, text: &Bytes) {
        if let Some(number) = self.sessions.of(token) {
            self.with(number, |shard, conversation| {
                let Link::Held { next, .. } = &mut conversation.link else { return };
                let seq = *next;
                *next += 1;
                // A message that came by another way meanwhile is not applied again; a session that has ended takes none.
                let _ = conversation.session.arrive(Some(seq), text.clone(), shard.sessions.now());
            });
        }
    }

    /// The sessions of a user, or all.
    pub(crate) fn list_sessions(&self, user: Option<&str>) -> Vec<Listed> {
        let all = self.sessions.all.values();
        all.filter(|one| user.is_none() || one.identity.user() == user).map(|one| one.listed()).collect()
    }
}

/// What the client may not, seen by the backend that asked for it.
fn of_client(problem: Problem) -> Problem {
    match problem.code {
        Code::Unauthorized => Problem { code: Code::Forbidden, ..problem },
        _ => problem,
    }
}

/// Tells a client what was done in its name: what it was answered, had it asked, and the channel.
pub(super) fn tell(
    conversation: &mut Conversation,
    method: &str,
    params: &Params<'_>,
    done: Result<Json<'static>, Problem>,
) -> Result<Json<'static>, Problem> {
    let done = done?;
    let mut told: serde_json::Value = done.read().map_err(|_| Code::Internal)?;
    let asked: serde_json::Value = params.read()?;
    // By name, or by position.
    told["channel"] = asked.get("channel").or_else(|| asked.get(0)).cloned().unwrap_or_default();
    conversation.notify(method, &told);
    Ok(done)
}

impl Conversation {
    fn listed(&self) -> Listed {
        Listed {
            id: self.id.to_string(),
            user: self.identity.user().map(str::to_owned),
            connected: self.link.token().is_some(),
            transport: self.link.name(),
            channels: names(&apart(self.selection()).0),
            opened: self.opened,
        }
    }
}
