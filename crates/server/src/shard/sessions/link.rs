//! The connections of sessions: a stream that is held open, or a poll that waits.

use super::super::{Shard, Slot};
use super::Conversation;
use crate::session::{Page, Reply, Take, not_found};
use crate::transport::{Ending, Over, Transport};
use std::sync::Arc;
use switchboard_hub::session::Known;
use switchboard_hub::{Place, Token};
use switchboard_store::Entry;
use switchboard_wire::code::Problem;
use switchboard_wire::name::Selection;
use switchboard_wire::websocket::close::{self, Close};
use switchboard_wire::{Code, form};

/// What a session's way down is at present.
pub(super) enum Link {
    None,
    Held {
        token: Token,
        connection: u64,
        over: Over,
        /// The number of the next frame that comes up.
        next: u64,
    },
    /// A poll that waits for something to say.
    Poll {
        token: Token,
        connection: u64,
        name: u64,
        reply: Reply<Page>,
    },
}

impl Link {
    pub(super) fn token(&self) -> Option<Token> {
        match self {
            Link::None => None,
            Link::Held { token, .. } | Link::Poll { token, .. } => Some(*token),
        }
    }

    fn connection(&self) -> Option<u64> {
        match self {
            Link::None => None,
            Link::Held { connection, .. } | Link::Poll { connection, .. } => Some(*connection),
        }
    }

    pub(super) fn name(&self) -> Option<&'static str> {
        match self {
            Link::None => None,
            Link::Held { over, .. } => Some(over.name()),
            Link::Poll { .. } => Some("poll"),
        }
    }
}

impl Shard {
    /// A connection whose head was sent takes a session up.
    pub(in super::super) fn take_up(&mut self, token: Token, take: Take) {
        let taken = self.with(take.id.number, |shard, conversation| {
            let Some(Slot::Held(held)) = shard.slots.get(token as usize) else { return Ok(()) };
            let Transport::Session(over) = held.transport else { return Ok(()) };
            let connection = shard.attach(conversation, take)?;
            conversation.link = Link::Held { token, connection, over, next: conversation.session.expected() };
            shard.sessions.link(token, conversation);
            shard.greet(conversation, token);
            shard.place_reader(conversation, token);
            Ok(())
        });
        if let Err(Problem { code, .. }) = taken.unwrap_or_else(|| Err(not_found())) {
            self.begin_close(token, Ending::Closing(code));
        }
    }

    /// Makes whoever takes a session up its present connection, at the place that it gave.
    fn attach(&mut self, conversation: &mut Conversation, take: Take) -> Result<u64, Problem> {
        let connection = conversation.session.attach(take.attempt)?;
        self.close_link(conversation, Code::StaleAttempt);
        // What was never sent cannot have arrived.
        let known = take.known.filter(|known| known.control <= conversation.session.last_control());
        let left_at = conversation.left_at.take().filter(|left| Some(Known { caught_up: false, ..*left }) == known);
        let known = left_at.or(known);
        if let Some(known) = known {
            conversation.session.acknowledge(known.control);
        }
        conversation.sent = known.map_or(0, |known| known.control).max(conversation.session.acknowledged());
        conversation.asked = conversation.sent;
        conversation.walk = conversation.script.walk(known);
        Ok(connection)
    }

    /// Lets the reader of a connection begin where the session's script says, or go on there.
    pub(super) fn place_reader(&mut self, conversation: &Conversation, token: Token) {
        if !self.slots.contains(token as usize) {
            // It broke just now, and the session has yet to see that.
            return;
        }
        let place = conversation.walk.place;
        self.remove_reader(token);
        self.attend();
        self.add_reader(token, conversation.script.selection().clone(), place);
        if !conversation.is_at_end() {
            // It has something to come before it is live, wherever it is.
            self.readers.fall_behind(token, place);
        }
    }

    /// Closes the connection that a session has.
    pub(super) fn close_link(&mut self, conversation: &mut Conversation, code: Code) {
        let link = std::mem::replace(&mut conversation.link, Link::None);
        let Some(token) = link.token() else { return };
        self.sessions.links.remove(&token);
        match link {
            Link::Poll { reply, .. } => {
                self.remove(token);
                let _ = reply.send(Err(code.into()));
            }
            _ => self.begin_close(token, Ending::Closing(code)),
        }
    }

    /// The session's connection is gone.
    pub(super) fn unlinked(&mut self, conversation: &mut Conversation) {
        let link = std::mem::replace(&mut conversation.link, Link::None);
        if let Some(connection) = link.connection() {
            conversation.session.detach(connection, self.sessions.now());
        }
    }

    /// A connection or waiting poll was forgotten: if it was a session's, the session goes on without it.
    pub(in super::super) fn unlink(&mut self, token: Token) {
        if let Some(linked) = self.sessions.links.remove(&token) {
            // One that is at hand sees for itself.
            self.with(linked.session, |shard, conversation| {
                if conversation.link.token() == Some(token) {
                    shard.unlinked(conversation);
                }
            });
        }
    }

    /// Answers a poll at once, if there is something to say or it does not wait; else lets it wait.
    pub(super) fn poll(&mut self, conversation: &mut Conversation, take: Take, waits: Option<u64>, reply: Reply<Page>) {
        let connection = match self.attach(conversation, take) {
            Ok(connection) => connection,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let page = self.page(conversation, &[]);
        let name = match waits {
            Some(name) if page.says_nothing() && !self.drained => name,
            waits => {
                conversation.session.detach(connection, self.sessions.now());
                // Polls that waited were told before it came.
                let is_late = waits.is_some() && page.says_nothing();
                return drop(reply.send(if is_late { Err(Code::Draining.into()) } else { Ok(page) }));
            }
        };
        self.attend();
        let token = self.slots.insert(Slot::Polling) as Token;
        self.node.figures.shard(self.index).waiting(1);
        self.add_reader(token, conversation.script.selection().clone(), conversation.walk.place);
        self.sessions.link(token, conversation);
        conversation.link = Link::Poll { token, connection, name, reply };
    }

    /// Whether a connection or poll is a session's, which answers for it.
    pub(in super::super) fn sessions_have(&self, token: Token) -> bool {
        self.sessions.links.contains_key(&token)
    }

    /// A waiting poll is due these events.
    pub(in super::super) fn poll_due(&mut self, token: Token, events: &[Arc<Entry>]) {
        let Some(number) = self.sessions.of(token) else { return };
        if self.with(number, |shard, conversation| shard.answer_poll(conversation, events)).is_none() {
            // It is at hand, and takes them when it sees them.
            self.sessions.handed.extend_from_slice(events);
        }
    }

    /// Answers the poll that waits, if there is something to say by now.
    pub(super) fn answer_poll(&mut self, conversation: &mut Conversation, events: &[Arc<Entry>]) {
        if matches!(conversation.link, Link::Poll { .. }) {
            let page = self.page(conversation, events);
            if !page.says_nothing() {
                return self.end_poll(conversation, page);
            }
            if let Some(token) = conversation.link.token()
                && self.readers.behind(token).is_some()
            {
                self.place_reader(conversation, token);
            }
        }
    }

    /// Ends the poll of this name, if it still waits: with nothing, if nothing has come.
    pub(super) fn unpoll(&mut self, conversation: &mut Conversation, name: u64) {
        if matches!(conversation.link, Link::Poll { name: waiting, .. } if waiting == name) {
            let page = self.page(conversation, &[]);
            self.end_poll(conversation, page);
        }
    }

    fn end_poll(&mut self, conversation: &mut Conversation, page: Page) {
        let Link::Poll { token, connection, reply, .. } = std::mem::replace(&mut conversation.link, Link::None) else {
            return;
        };
        self.sessions.links.remove(&token);
        self.remove(token);
        conversation.session.detach(connection, self.sessions.now());
        // A client that went away asks again, for the same.
        let _ = reply.send(Ok(page));
    }

    /// The server stops: polls are answered, and no session is taken up again.
    pub(in super::super) fn drain_polls(&mut self) {
        let numbers: Vec<u64> = self.sessions.links.values().map(|linked| linked.session).collect();
        for number in numbers {
            self.with(number, |shard, conversation| {
                if matches!(conversation.link, Link::Poll { .. }) {
                    shard.close_link(conversation, Code::Draining);
                }
            });
        }
    }

    /// The client has closed its WebSocket in good order: it wants no more of its session.
    pub(in super::super) fn closed_by_client(&mut self, token: Token, close: &Close) {
        if let Some(number) = self.sessions.of(token)
            && matches!(close.code, None | Some(close::NORMAL | close::GOING_AWAY))
        {
            self.with(number, |shard, conversation| {
                shard.leave_seats(conversation);
                shard.sessions.links.remove(&token);
                conversation.link = Link::None;
                conversation.closed = true;
                conversation.session.end(Code::SessionEnded);
            });
        }
    }

    /// Says what opens a connection.
    fn greet(&mut self, conversation: &Conversation, token: Token) {
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        let place = conversation.place(&self.node.log);
        let mut params = serde_json::json!({
            "id": conversation.id.to_string(),
            "location": conversation.location().secret(),
            "place": place,
            "seq": conversation.session.expected(),
            "linger": self.node.config.session.linger.as_millis() as u64,
            "heartbeat": self.node.config.heartbeat.as_millis() as u64,
        });
        if let Some(expires) = conversation.identity.expires() {
            params["expires"] = expires.into();
        }
        let text = serde_json::json!({ "jsonrpc": "2.0", "method": "session", "params": params }).to_string();
        let form = held.transport.form();
        let prefix = if held.transport.has_places() { format!("id: {place}\n") } else { String::new() };
        let words = [prefix.as_bytes(), &form::message(text.as_bytes(), form).payload()].concat();
        let message = held.wrap(&form::verbatim(&words, form));
        // A connection that is gone already is seen when it is next written to.
        let _ = held.sink.control(message);
    }
}

impl Shard {
    /// Where the reader of a connection is.
    pub(super) fn reader_place(&self, token: Token) -> Place {
        let live = || Place::at(self.readers.cursor(token).unwrap_or(self.readers.position()));
        self.readers.behind(token).unwrap_or_else(live)
    }
}

impl Conversation {
    /// Whether the connection has come past every step of the script.
    pub(super) fn is_at_end(&self) -> bool {
        self.script.next(&self.walk).upto.is_none()
    }

    pub(super) fn selection(&self) -> &Arc<Selection> {
        self.script.selection()
    }
}
