//! The client's side of a session, pure: it is given what arrives and what time it is, and tells what has happened
//! ([`Session::happening`]) and what is to be sent ([`Session::next_up`]). Times are milliseconds by any clock that does
//! not go back.
//!
//! A session of the server's may be lost; this one is not. What it knows of the server's comes with the answer that opens
//! it ([`Session::opened`]) and goes with [`Session::lost`]: then every subscription is made again where it was, calls
//! that are safe to repeat are repeated, and the others fail.

mod calls;
mod down;
mod ends;
mod outbox;
mod place;
#[cfg(test)]
mod simulation;
mod subscriptions;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod words;

use crate::error::{Error, RpcError};
use crate::event::Item;
use bytes::Bytes;
use calls::{Call, Calls, What};
pub use ends::{Closing, Next};
use outbox::{Kind, Outbox};
pub use place::Place;
use std::collections::VecDeque;
pub use subscriptions::ListenerId;
use subscriptions::Subscriptions;
use switchboard_wire::jsonrpc::{Id, Json, Message, Notification, Params, Request, Response};
use switchboard_wire::name::BadName;
pub use words::Said;
use words::{Channel, OneOrMore, Subscribe, Token};

/// Messages that may wait to be applied, and their bytes, before no more are taken.
const WAITING: (usize, usize) = (1024, 4 << 20);
/// Messages that may be sent without a sign that they were applied, before one is asked for.
const UNCONFIRMED: usize = 64;
/// Control messages and their bytes that may come before the server is told that they did.
const UNACKNOWLEDGED: (u64, usize) = (32, 16 << 10);
/// How long a subscription waits that was refused and may succeed later, in milliseconds.
const AGAIN: u64 = 2_000;

/// What has happened, for the driver to act on.
#[derive(Debug)]
pub enum Happening {
    /// A call of [`Session::call`] was answered.
    Answered { call: u64, outcome: Result<Json<'static>, RpcError> },
    /// It will not be.
    Failed { call: u64, error: Error },
    /// The server calls: to be answered with [`Session::answer`], which wants all three back.
    Called { session: u64, id: Id<'static>, method: String, params: Params<'static> },
    /// The server says something that is not about the session.
    Notified { method: String, params: Params<'static> },
    /// A listener is served from now on. Told once for each.
    Granted { listener: ListenerId, position: String },
    /// A listener is refused, and gone.
    Refused { listener: ListenerId, error: RpcError },
    /// Something for these listeners.
    Heard { listeners: Vec<ListenerId>, item: Item },
    /// A listener has heard everything, and is gone.
    Finished { listener: ListenerId },
    /// The token ends at this time (Unix epoch, milliseconds): [`Session::refresh`].
    Expiring { expires: u64 },
    /// The token was taken, or not.
    Refreshed(Result<(), RpcError>),
    /// The server closes the connection.
    Closing(Closing),
}

/// The server says what cannot be: the connection is to be given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken(pub String);

/// The client's side. See the [module](self).
#[derive(Debug, Default)]
pub struct Session {
    /// What the server said of its session; `None` while there is none.
    said: Option<Said>,
    /// Counts the server's sessions.
    sessions: u64,
    attempt: u64,
    place: Place,
    /// The position before the message that was read last, if that moved it.
    before: Option<String>,
    /// The number of the last control message of this connection, which may be one that came before.
    counted: u64,
    /// Bytes of control messages that the server does not know to have come, and up to where it does.
    fresh: usize,
    acknowledged: u64,
    outbox: Outbox,
    calls: Calls,
    subscriptions: Subscriptions,
    happened: VecDeque<Happening>,
}

/// Sessions of the server's come and go, and connections with them.
impl Session {
    /// The next thing that has happened, in order. To be asked for after each call, until there is nothing.
    pub fn happening(&mut self) -> Option<Happening> {
        self.happened.pop_front()
    }

    /// What the server said of its session, if there is one.
    pub fn said(&self) -> Option<&Said> {
        self.said.as_ref()
    }

    /// How far the client has got.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A session was opened by `POST /session`.
    pub fn opened(&mut self, said: Said) -> Result<(), Broken> {
        self.lost();
        let place: Place = said.place.parse().map_err(|why: &str| Broken(why.to_owned()))?;
        self.sessions += 1;
        self.attempt = 1;
        (self.counted, self.acknowledged, self.fresh) = (place.control, place.control, 0);
        self.place = place;
        self.outbox.begin(said.seq.max(1));
        self.said = Some(said);
        Ok(())
    }

    /// A connection of the session begins: its `attempt`, which is higher than all before. The server's control messages
    /// begin after the place that it is given.
    pub fn attempt(&mut self) -> u64 {
        self.attempt += 1;
        self.counted = self.place.control;
        self.attempt
    }

    /// The connection on which messages were sent is lost: what is not known to be applied is sent again.
    pub fn dropped(&mut self) {
        self.outbox.rewind();
    }

    /// The server has no such session any more.
    pub fn lost(&mut self) {
        if self.said.take().is_none() {
            return;
        }
        self.subscriptions.lost(&self.place.position);
        let untried = self.outbox.clear();
        for (number, repeat) in self.calls.lost(&untried) {
            match repeat {
                Some(message) => self.outbox.push(Kind::Call(number), message),
                None => self.fail(number, Error::Lost),
            }
        }
        for (kind, message) in untried {
            match kind {
                // The server's calls are gone with its session.
                Kind::Answer => {}
                Kind::Call(number) if !self.calls.is_open(number) => {}
                kind => self.outbox.push(kind, message),
            }
        }
    }

    fn fail(&mut self, number: u64, error: Error) {
        if let Some(call) = self.calls.close(number)
            && matches!(call.what, What::Application { .. })
        {
            self.happened.push_back(Happening::Failed { call: number, error });
        }
    }

    /// When [`Session::tick`] is due.
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let subscriptions = self.said.as_ref().and_then(|_| self.subscriptions.deadline(now));
        [self.calls.deadline(), subscriptions].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: u64) {
        while let Some(number) = self.calls.expired(now) {
            self.fail(number, Error::TimedOut);
            self.outbox.forget(Kind::Call(number));
        }
    }
}

/// What the application wants.
impl Session {
    /// Calls a method, and gives the call's number. One that is safe to repeat is repeated in a new session, should this
    /// one be lost.
    pub fn call(&mut self, method: &str, params: Params<'_>, repeats: bool, deadline: Option<u64>) -> u64 {
        self.open(method, params, deadline, |message| What::Application { repeat: repeats.then(|| message.clone()) })
    }

    /// Nobody waits for the answer any more.
    pub fn abandon(&mut self, call: u64) {
        self.calls.close(call);
        self.outbox.forget(Kind::Call(call));
    }

    /// Says something that is not answered.
    pub fn notify(&mut self, method: &str, params: Params<'_>) {
        let message = Message::Notification(Notification { method: method.into(), params });
        self.outbox.push(Kind::Notification, written(&message));
    }

    /// Answers a call of the server's, if its session is still there.
    pub fn answer(&mut self, session: u64, id: Id<'_>, outcome: Result<Json<'_>, RpcError>) {
        if session == self.sessions && self.said.is_some() {
            let outcome = outcome.map_err(|error| error.to_wire());
            self.outbox.push(Kind::Answer, written(&Message::Response(Response { id, outcome })));
        }
    }

    /// Somebody listens to a channel or a pattern, perhaps also to who comes and goes.
    pub fn listen(&mut self, channel: &str, since: Option<String>, presence: bool) -> Result<ListenerId, BadName> {
        self.subscriptions.add(channel, since, presence)
    }

    /// And does not any more.
    pub fn leave(&mut self, listener: ListenerId) {
        let idle = self.subscriptions.remove(listener);
        self.unsubscribe(idle);
    }

    /// A listener could not take the item that came last. It goes on there, once it [has drained](Session::drained) what
    /// it has.
    pub fn behind(&mut self, listener: ListenerId) {
        let since = self.before.clone().unwrap_or_else(|| self.place.position.clone());
        let idle = self.subscriptions.behind(listener, since);
        self.unsubscribe(idle);
    }

    /// A listener that was behind can take more.
    pub fn drained(&mut self, listener: ListenerId) {
        self.subscriptions.drained(listener);
    }

    /// Shows a new token.
    pub fn refresh(&mut self, token: &str) {
        if self.said.is_some() {
            self.open("refresh", named(&Token { token }), None, |_| What::Refresh);
        }
    }

    fn unsubscribe(&mut self, channel: Option<std::sync::Arc<str>>) {
        if let Some(channel) = channel
            && self.said.is_some()
        {
            self.open("unsubscribe", named(&Channel { channel: &channel }), None, |_| What::Unsubscribe);
        }
    }

    fn open(
        &mut self,
        method: &str,
        params: Params<'_>,
        deadline: Option<u64>,
        what: impl FnOnce(&Bytes) -> What,
    ) -> u64 {
        let number = self.calls.next();
        let message = written(&Message::Request(Request { id: Id::from(number), method: method.into(), params }));
        self.calls.open(number, Call { what: what(&message), deadline });
        self.outbox.push(Kind::Call(number), message);
        number
    }
}

/// The way up.
impl Session {
    /// Whether so much waits that no more should be taken for now.
    pub fn is_full(&self) -> bool {
        let (messages, bytes) = self.outbox.held();
        messages >= WAITING.0 || bytes >= WAITING.1
    }

    /// The next message to send on this connection, with its number, if there is a session.
    pub fn next_up(&mut self, now: u64) -> Option<(u64, Bytes)> {
        self.said.as_ref()?;
        while let Some(ask) = self.subscriptions.next_ask(self.calls.next(), now) {
            let channel = match &ask.channels[..] {
                [one] => OneOrMore::One(&**one),
                more => OneOrMore::More(more.iter().map(|channel| &**channel).collect()),
            };
            let params = Subscribe { channel, since: ask.since.as_deref(), presence: ask.presence };
            self.open("subscribe", named(&params), None, |_| What::Subscribe);
        }
        if self.outbox.held().0 >= UNCONFIRMED && !self.calls.has_ping() {
            self.open("ping", Params::ABSENT, None, |_| What::Ping);
        }
        self.outbox.next()
    }

    /// Whether everything that was said has been given out to be sent.
    pub fn has_sent_all(&self) -> bool {
        !self.outbox.has_next()
    }

    /// The message of this number was applied, and those before it.
    pub fn applied(&mut self, number: u64) {
        self.outbox.confirm(number);
    }

    /// The server goes on with this number.
    pub fn expected(&mut self, seq: u64) -> Result<(), Broken> {
        self.outbox.go_on(seq).map_err(|_| Broken(format!("the server goes on with message {seq}, which cannot be")))
    }

    /// The message of this number was refused as it came, and takes no number.
    pub fn refused(&mut self, number: u64, error: RpcError) {
        if let Some(Kind::Call(call)) = self.outbox.refuse(number) {
            self.settle(call, Err(error));
        }
    }

    /// The number of the last control message, if it is time that the server hears of it.
    pub fn acknowledgement(&self) -> Option<u64> {
        let due = self.place.control - self.acknowledged >= UNACKNOWLEDGED.0 || self.fresh >= UNACKNOWLEDGED.1;
        due.then_some(self.place.control)
    }

    /// The server has heard that everything up to this number came.
    pub fn acknowledged(&mut self, number: u64) {
        if number > self.acknowledged {
            (self.acknowledged, self.fresh) = (number, 0);
        }
    }
}

fn written(message: &Message<'_>) -> Bytes {
    let mut out = Vec::new();
    message.write(&mut out);
    out.into()
}

/// Params by name, of our own.
fn named<T: serde::Serialize>(params: &T) -> Params<'static> {
    // Texts and truth values are JSON whatever they are.
    Json::of(params).ok().and_then(Params::new).unwrap_or_default()
}
