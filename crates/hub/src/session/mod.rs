//! A session: a JSON-RPC conversation that outlives its connections.
//!
//! It decides and touches nothing: a driver gives it what arrives and what time it is, and takes what has happened
//! ([`Session::happening`]) and what is to be sent ([`Session::unacknowledged`]). Times are milliseconds by any clock that
//! does not go back.
//!
//! ```text
//!                attach, with a higher attempt
//!            .--------------------------------------.
//!            v                                      |
//!        ATTACHED ---- detach, by its number ----> DROPPED
//!            |                                      |
//!            '-- more waits than may be kept --.    | nobody came for `linger`
//!                                              v    v
//!                                              ENDED
//! ```
//!
//! **Down**, replies, requests and notices are *control*: each has a number, and is kept until the client acknowledges
//! it. Who takes the session up again is sent what it has not acknowledged. Events are not here: they are taken up again
//! from the log, by position.
//!
//! **Up**, requests that carry a number are applied once and in the order of their numbers. One that comes ahead of its
//! turn is held, for a while and within bounds.
//!
//! **Calls** are open until they are answered or their time is up, in both directions. A second answer is dropped.

mod calls;
mod control;
mod script;
mod serving;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod upward;

use bytes::Bytes;
use calls::Calls;
use control::{Control, OVERHEAD};
pub use script::{Known, Piece, Script, Step, Walk};
use serving::{Leaving, Serving};
use std::collections::VecDeque;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{
    ErrorObject, Id, Incoming, Invalid, Json, Member, Message, Notification, Params, Request, Response, parse,
};
pub use upward::Arrival;
use upward::Upward;

/// How much of everything. Times are in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes that control messages, answers of unfinished batches and requests ahead of their turn may take together.
    pub memory: usize,
    /// How long a session without a connection is kept.
    pub linger: u64,
    /// Calls that may be open at once, in each direction.
    pub calls: usize,
    /// How long a call of the client's may be worked on.
    pub call_timeout: u64,
    /// Requests that may come ahead of their turn.
    pub ahead: usize,
    /// How long such a request is held.
    pub hole: u64,
}

/// What has happened, for the driver to act on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The client calls: to be answered with [`Session::answer`].
    Called { ticket: u64, method: String, params: Params<'static> },
    /// The client says something.
    Notified { method: String, params: Params<'static> },
    /// The client answered a call of [`Session::call`].
    Answered { call: u64, outcome: Result<Json<'static>, ErrorObject<'static>> },
    /// A call of [`Session::call`] will not be answered.
    Failed { call: u64, problem: Problem },
    /// The answer to a call is on its way down, in the control message of this number.
    Left { ticket: u64, control: u64 },
    /// A request that was held has been applied.
    Applied { seq: u64 },
    /// A request that was held was given up, and is not applied.
    Refused { seq: u64, expected: u64 },
    /// There is no session any more.
    Ended(Code),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Attached,
    Dropped { since: u64 },
    Ended,
}

/// One conversation.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    link: Link,
    /// The highest attempt so far.
    attempt: u64,
    /// The present connection, by a number of ours.
    connection: u64,
    control: Control,
    upward: Upward,
    ours: Calls<()>,
    theirs: Serving,
    happened: VecDeque<Happening>,
    /// Calls refused because too many were open.
    refused: u64,
}

impl Session {
    /// A session that nobody is connected to yet.
    pub fn new(limits: Limits, now: u64) -> Session {
        Session {
            limits,
            link: Link::Dropped { since: now },
            attempt: 0,
            connection: 0,
            control: Control::default(),
            upward: Upward::new(),
            ours: Calls::new(),
            theirs: Serving::new(),
            happened: VecDeque::new(),
            refused: 0,
        }
    }

    /// The next thing that has happened, in order. To be asked for after each call, until there is nothing.
    pub fn happening(&mut self) -> Option<Happening> {
        let happening = self.happened.pop_front();
        if happening.is_some() && self.happened.is_empty() {
            self.happened = VecDeque::new();
        }
        happening
    }

    /// Whether nothing has happened that the driver was not told of.
    pub fn is_quiet(&self) -> bool {
        self.happened.is_empty()
    }

    /// How many calls were refused, in either direction, since this was last asked: too many were open.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// When [`Session::tick`] is due.
    pub fn deadline(&self) -> Option<u64> {
        let linger = match self.link {
            Link::Dropped { since } => Some(since + self.limits.linger),
            Link::Attached | Link::Ended => None,
        };
        [linger, self.upward.deadline(), self.ours.deadline(), self.theirs.deadline()].into_iter().flatten().min()
    }

    /// What the session keeps, in bytes: at most [`Limits::memory`], unless it has just ended.
    pub fn memory(&self) -> usize {
        self.control.cost() + self.theirs.cost() + self.upward.cost()
    }
}

/// Connections come and go.
impl Session {
    /// Whether a connection of this attempt may take the session over.
    pub fn check(&self, attempt: Option<u64>) -> Result<(), Problem> {
        self.alive()?;
        match attempt.filter(|attempt| *attempt <= self.attempt) {
            Some(attempt) => Err(Code::StaleAttempt.because(format!("attempt {attempt} comes after {}", self.attempt))),
            None => Ok(()),
        }
    }

    /// A connection takes the session over; the one before it, if there is one, is to be closed. `attempt` is what the
    /// client numbered it with, from 1 on: one that is not the highest so far is a connection that was overtaken on its way,
    /// and is refused. One without is taken for the newest. Gives a number of ours for it.
    pub fn attach(&mut self, attempt: Option<u64>) -> Result<u64, Problem> {
        self.check(attempt)?;
        self.attempt = attempt.unwrap_or(self.attempt);
        self.connection += 1;
        self.link = Link::Attached;
        Ok(self.connection)
    }

    /// The connection of this number is lost. One that was taken over changes nothing.
    pub fn detach(&mut self, connection: u64, now: u64) {
        if self.link == Link::Attached && connection == self.connection {
            self.link = Link::Dropped { since: now };
        }
    }

    /// The control messages after this number that are not acknowledged, with their numbers, in order.
    pub fn unacknowledged(&self, after: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        self.control.after(after)
    }

    /// The client has every control message up to this number.
    pub fn acknowledge(&mut self, number: u64) {
        self.control.acknowledge(number);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: u64) {
        while let Some(seq) = self.upward.expire(now) {
            self.happened.push_back(Happening::Refused { seq, expected: self.upward.expected() });
        }
        while let Some((call, ())) = self.ours.expire(now) {
            self.happened.push_back(Happening::Failed { call, problem: Code::CallTimeout.into() });
        }
        while let Some((ticket, id, batch)) = self.theirs.expire(now) {
            self.reply(Response::refusal(id, &Code::CallTimeout.into()), Some(ticket), batch);
        }
        if let Link::Dropped { since } = self.link
            && now >= since + self.limits.linger
        {
            self.end(Code::NotFound);
        }
    }

    /// Ends the session. Whoever waits for something of it is told.
    pub fn end(&mut self, code: Code) {
        if self.link == Link::Ended {
            return;
        }
        self.link = Link::Ended;
        self.control.clear();
        self.theirs.clear();
        let expected = self.upward.expected();
        let refused = self.upward.clear().into_iter().map(|seq| Happening::Refused { seq, expected });
        self.happened.extend(refused);
        let failed = self.ours.clear().into_iter().map(|call| Happening::Failed { call, problem: code.into() });
        self.happened.extend(failed);
        self.happened.push_back(Happening::Ended(code));
    }

    fn alive(&self) -> Result<(), Problem> {
        if self.link == Link::Ended { Err(Code::NotFound.because("the session has ended")) } else { Ok(()) }
    }
}

/// What goes down.
impl Session {
    /// Calls the client, which is to answer within `timeout`. Gives the call's number.
    pub fn call(&mut self, method: &str, params: Params<'_>, timeout: u64, now: u64) -> Result<u64, Problem> {
        self.alive()?;
        if self.ours.len() >= self.limits.calls {
            self.refused += 1;
            return Err(Code::Overloaded.because("too many calls to this session are open"));
        }
        let call = self.ours.open(now.saturating_add(timeout), ());
        self.say(&Message::Request(Request { id: Id::from(call), method: method.into(), params }));
        Ok(call)
    }

    /// Says something to the client.
    pub fn notify(&mut self, method: &str, params: Params<'_>) -> Result<(), Problem> {
        self.alive()?;
        self.say(&Message::Notification(Notification { method: method.into(), params }));
        Ok(())
    }

    /// Answers a call of the client's. `false` if it was answered before, or its time was up.
    pub fn answer(&mut self, ticket: u64, outcome: Result<Json<'_>, ErrorObject<'_>>) -> bool {
        let Some((id, batch)) = self.theirs.close(ticket) else { return false };
        self.reply(Response { id, outcome }, Some(ticket), batch);
        true
    }

    /// Whether a call of the client's has yet to be answered.
    pub fn is_open(&self, ticket: u64) -> bool {
        self.theirs.is_open(ticket)
    }

    /// The number of the newest control message; 0 before the first.
    pub fn last_control(&self) -> u64 {
        self.control.last()
    }

    fn say(&mut self, message: &Message<'_>) {
        let mut out = Vec::new();
        message.write(&mut out);
        self.send(out);
    }

    fn reply(&mut self, response: Response<'_>, ticket: Option<u64>, batch: Option<u64>) {
        match self.theirs.answer(response, ticket, batch) {
            Some(leaving) => self.leave(leaving),
            None => self.keep_within_memory(),
        }
    }

    fn leave(&mut self, Leaving { message, tickets }: Leaving) {
        if let Some(control) = self.send(message) {
            self.happened.extend(tickets.into_iter().map(|ticket| Happening::Left { ticket, control }));
        }
    }

    /// Numbers a control message. `None` if the session has ended, or ends for it.
    fn send(&mut self, message: Vec<u8>) -> Option<u64> {
        if self.link == Link::Ended {
            return None;
        }
        let number = self.control.push(message.into());
        self.keep_within_memory();
        (self.link != Link::Ended).then_some(number)
    }

    /// A client that does not take what it is sent loses its session, and is told so: nothing is dropped silently.
    fn keep_within_memory(&mut self) {
        if self.memory() > self.limits.memory {
            self.end(Code::SessionFull);
        }
    }
}

/// What comes up.
impl Session {
    /// A request arrived, with a number if the client gives them: to be applied once, and in their order. One without is
    /// applied as it comes.
    pub fn arrive(&mut self, seq: Option<u64>, body: Bytes, now: u64) -> Result<Arrival, Problem> {
        self.alive()?;
        let Some(seq) = seq else {
            self.apply(&body, now);
            return Ok(Arrival::Applied);
        };
        if self.upward.is_past(seq) {
            return Ok(Arrival::Applied);
        }
        if self.upward.turn(seq) {
            self.apply(&body, now);
            self.apply_held(now);
            return Ok(Arrival::Applied);
        }
        if self.upward.holds(seq) {
            return Ok(Arrival::Held);
        }
        // Half of the memory is left to the way down, which cannot be asked to come again.
        let room = (self.limits.memory / 2).saturating_sub(self.memory());
        if self.upward.len() >= self.limits.ahead || body.len() + OVERHEAD > room {
            return Ok(Arrival::Conflict { expected: self.upward.expected() });
        }
        self.upward.hold(seq, now + self.limits.hole, body);
        Ok(Arrival::Held)
    }

    /// The number of the next message up.
    pub fn expected(&self) -> u64 {
        self.upward.expected()
    }

    fn apply_held(&mut self, now: u64) {
        while let Some((seq, body)) = self.upward.next() {
            self.happened.push_back(Happening::Applied { seq });
            self.apply(&body, now);
        }
    }

    /// Reads a message or a batch, and does what it says.
    fn apply(&mut self, text: &[u8], now: u64) {
        match parse(text) {
            Err(problem) => self.reply(Incoming::refusal(&problem), None, None),
            Ok(Incoming::One(member)) => self.member(member, None, now),
            Ok(Incoming::Batch(members)) => {
                let batch = self.theirs.begin_batch();
                for member in members.members() {
                    self.member(member, Some(batch), now);
                }
                if let Some(answers) = self.theirs.end_batch(batch) {
                    self.leave(answers);
                }
            }
        }
    }

    fn member(&mut self, member: Member<'_>, batch: Option<u64>, now: u64) {
        if self.link == Link::Ended {
            return;
        }
        match member {
            Ok(Message::Request(request)) => self.called(request, batch, now),
            Ok(Message::Notification(Notification { method, params })) => {
                self.happened.push_back(Happening::Notified { method: method.into(), params: params.into_owned() });
            }
            Ok(Message::Response(Response { id, outcome })) => {
                let outcome = outcome.map(Json::into_owned).map_err(ErrorObject::into_owned);
                self.answered(Some(&id), |call| Happening::Answered { call, outcome });
            }
            Err(Invalid::Response { id, why }) => {
                let problem = Code::InvalidRequest.because(why);
                self.answered(id.as_ref(), |call| Happening::Failed { call, problem });
            }
            Err(invalid) => {
                if let Some(response) = invalid.answer() {
                    self.reply(response, None, batch);
                }
            }
        }
    }

    fn called(&mut self, Request { id, method, params }: Request<'_>, batch: Option<u64>, now: u64) {
        if self.theirs.len() >= self.limits.calls {
            self.refused += 1;
            let problem = Code::Overloaded.because("too many calls of this session are open");
            return self.reply(Response::refusal(id, &problem), None, batch);
        }
        let ticket = self.theirs.open(now.saturating_add(self.limits.call_timeout), id.into_owned(), batch);
        self.happened.push_back(Happening::Called { ticket, method: method.into(), params: params.into_owned() });
    }

    /// A call of ours has come to something, if this is one that is open: a second answer does no harm.
    fn answered(&mut self, id: Option<&Id<'_>>, happening: impl FnOnce(u64) -> Happening) {
        if let Some(call) = id.and_then(Id::as_u64)
            && self.ours.close(call).is_some()
        {
            self.happened.push_back(happening(call));
        }
    }
}
