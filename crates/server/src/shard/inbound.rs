//! What peers say, and that they went away.

use super::held::{HEARD, Inbox};
use super::sink::CONTROL_LIMIT;
use super::{SCRATCH, Shard, Slot};
use crate::limits::transit::Load;
use crate::listen::tls::RECORD_MAX;
use crate::traffic::Way;
use crate::transport::Transport;
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::mem;
use std::time::{Duration, Instant};
use switchboard_hub::Token;
use switchboard_hub::access::Action;
use switchboard_store::Append;
use switchboard_wire::code::Problem;
use switchboard_wire::event::Draft;
use switchboard_wire::websocket::deflate::INFLATER;
use switchboard_wire::websocket::message::{Incoming, Limits, Reader};
use switchboard_wire::websocket::{Role, close, write};
use switchboard_wire::{Code, Kind};

/// Sockets read in one turn, and reads of each.
const SOCKETS_PER_TURN: usize = 64;
const READS_PER_SOCKET: usize = 4;
/// Messages that are taken in in one turn, and then those of one more read: small ones cost more than their bytes.
const MESSAGES_PER_TURN: usize = 1024;
/// What taking them in may take of a turn, beyond which the rest of them waits for the next one: a few bytes may inflate to a
/// long message, and one message may call for much.
const TIME_PER_TURN: Duration = Duration::from_millis(1);
/// Most bytes of a read that begins between two messages, so that it brings no great number of them.
const BETWEEN: usize = 16 << 10;
const _: () = assert!(BETWEEN + RECORD_MAX <= SCRATCH);
/// Messages of one peer that are taken in before it is asked whether what they published outruns a shard.
const ASK_AFTER: usize = 256;

/// What one peer's words take of the thread's time from which on they have taken long: others are heard before it speaks again.
const LONG: Duration = Duration::from_micros(500);

/// Who is to be heard, and what is taken in in one turn.
#[derive(Default)]
pub(super) struct Hearing {
    /// When the turn's time for it is over.
    until: Option<Instant>,
    /// Messages taken in in this turn.
    heard: usize,
    /// Connections with more to read, or to take in, than one turn took.
    quick: VecDeque<Token>,
    /// Those of them whose last words took long, and who have yet to say anything.
    slow: VecDeque<Token>,
}

impl Hearing {
    fn begin_turn(&mut self) {
        self.heard = 0;
        self.until = Some(Instant::now() + TIME_PER_TURN);
    }

    /// Whether this turn has taken in what a turn may.
    fn is_over(&self) -> bool {
        self.heard >= MESSAGES_PER_TURN || self.is_late()
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Whether somebody is yet to be heard.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.quick.is_empty() || !self.slow.is_empty()
    }
}

impl Shard {
    /// Goes on with what was read, and reads on from the sockets that have more. Whoever took long comes after the others, one at
    /// least in each turn: so those whose words take little do not wait for all that such peers say.
    pub(super) fn read_on(&mut self) {
        if !self.hearing.is_waited_for() {
            return;
        }
        self.hearing.begin_turn();
        let mut scratch = mem::take(&mut self.scratch);
        for _ in 0..self.hearing.quick.len().min(SOCKETS_PER_TURN) {
            if self.hearing.is_over() {
                break;
            }
            if let Some(token) = self.hearing.quick.pop_front() {
                self.hear_one(token, &mut scratch, false);
            }
        }
        for nth in 0..self.hearing.slow.len().min(SOCKETS_PER_TURN) {
            if nth > 0 && self.hearing.is_over() {
                break;
            }
            if let Some(token) = self.hearing.slow.pop_front() {
                self.hear_one(token, &mut scratch, nth == 0);
            }
        }
        self.scratch = scratch;
    }

    /// Takes in what was read before, and reads until the socket is empty, which an edge-triggered one must be, or has had its
    /// share of the turn. It is heard once also where the turn is over, if `at_least_once`.
    fn hear_one(&mut self, token: Token, scratch: &mut [u8], at_least_once: bool) {
        if let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) {
            held.unread = false;
        }
        for nth in 0..READS_PER_SOCKET {
            let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
            if held.paused {
                return;
            }
            let is_over = self.hearing.is_over() && !(at_least_once && nth == 0);
            // What raw form says is published, and that waits like any other publisher.
            if is_over || (held.transport.publishes() && self.node.is_outrun()) {
                break;
            }
            if let Some(inbox) = &mut held.inbox
                && !inbox.rest.is_empty()
            {
                let mut rest = mem::take(&mut inbox.rest);
                self.hear(token, &mut rest);
                continue;
            }
            let most = if held.inbox.is_some() { scratch.len() } else { BETWEEN };
            match held.sink.read(scratch, most) {
                // A peer that closes its side is gone: there is no half-closed subscriber.
                Ok(0) => return self.remove(token),
                Ok(length) => self.hear(token, &mut scratch[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.remove(token),
            }
        }
        self.read_later(token);
    }

    /// Puts a connection in the queue of those that have more to read.
    pub(super) fn read_later(&mut self, token: Token) {
        if let Some(Slot::Held(held)) = self.slots.get_mut(token as usize)
            && !mem::replace(&mut held.unread, true)
        {
            let queue = if held.slow { &mut self.hearing.slow } else { &mut self.hearing.quick };
            queue.push_back(token);
        }
    }

    /// Takes in what a peer sent with its request, if it sent anything.
    pub(super) fn hear_first(&mut self, token: Token, received: &mut [u8]) {
        if received.is_empty() {
            return;
        }
        self.hear(token, received);
        if let Some(Slot::Held(held)) = self.slots.get(token as usize)
            && held.inbox.as_ref().is_some_and(|inbox| !inbox.rest.is_empty())
        {
            self.read_later(token);
        }
    }

    /// Takes in what a peer sent, until that has taken long; then the rest of it is kept. Only a WebSocket has anything to say;
    /// what else arrives is a sign of life.
    pub(super) fn hear(&mut self, token: Token, mut received: &mut [u8]) {
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        held.pings = HEARD;
        // Whoever was failed is not listened to any more.
        if !held.transport.is_websocket() || held.hang_up {
            return;
        }
        let begun = thread_time();
        let deflated = held.transport.deflated();
        self.node.figures.shard(self.index).traffic.asked(Way::WebSocket, received.len());
        let limits = &self.node.config.limits;
        let limits = Limits { message: limits.message, fragments: limits.fragments };
        // Between messages there is no reader, and one that is idle again goes: an idle peer costs nothing.
        let fresh = || Reader::new(Role::Server, deflated.is_some(), limits);
        let unfinished = held.inbox.take().map(|inbox| *inbox);
        let (mut reader, load) = unfinished.map_or_else(|| (fresh(), None), |inbox| (inbox.reader, Some(inbox.load)));
        // A session's message may be a batch that publishes much.
        let ask_after = if held.transport.is_session() { 1 } else { ASK_AFTER };
        let publishes = held.transport.publishes();
        for count in 1.. {
            if publishes && count % ask_after == 0 && self.node.is_outrun() {
                // The ring is short beside what one read may bring: it waits, so that nobody falls behind for that.
                break;
            }
            match reader.read(&mut received, &mut self.inflaters) {
                Ok(Some(incoming)) => self.on_incoming(token, incoming),
                Ok(None) => break,
                Err(problem) => self.fail(token, &problem),
            }
            self.hearing.heard += 1;
            if !received.is_empty() && self.hearing.is_late() {
                break;
            }
        }
        self.answer_pings(token);
        if let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) {
            held.slow = thread_time().saturating_sub(begun) >= LONG;
        }
        if !reader.is_idle() || !received.is_empty() {
            self.keep(token, reader, received.to_vec(), load);
        }
    }

    /// Keeps the reader of a message that has arrived in part, and what was read and not taken in, if there is room for that.
    fn keep(&mut self, token: Token, reader: Reader, rest: Vec<u8>, load: Option<Load>) {
        let mut load = load.unwrap_or_else(|| self.node.limits.transit.arriving.load());
        let inflater = if reader.is_inflating() { INFLATER } else { 0 };
        let full = load.resize(reader.held() + inflater + rest.len()).err();
        if let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) {
            held.inbox = Some(Box::new(Inbox { reader, rest, load }));
        }
        if let Some(problem) = full {
            self.fail(token, &problem);
            if let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) {
                held.inbox = None;
            }
        }
    }

    /// Answers the pings of one read in one write, so that a flood of them costs no more than any other bytes.
    fn answer_pings(&mut self, token: Token) {
        if self.pongs.is_empty() {
            return;
        }
        let pongs = mem::take(&mut self.pongs);
        let length = pongs.len();
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        if held.closing {
            return;
        }
        if held.sink.control(Bytes::from(pongs).into()).is_err() {
            return self.remove(token);
        }
        self.node.figures.shard(self.index).traffic.sent(Way::WebSocket, 0, length);
        if held.sink.control_waiting() > CONTROL_LIMIT && !mem::replace(&mut held.paused, true) {
            self.node.figures.shard(self.index).paused();
        }
    }

    fn on_incoming(&mut self, token: Token, incoming: Incoming) {
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        let raw = matches!(held.transport, Transport::WebSocket { raw: true, .. });
        match incoming {
            Incoming::Pong(payload) if held.transport.is_session() => self.ponged(token, &payload),
            Incoming::Pong(_) => {}
            Incoming::Close(received) => {
                if mem::replace(&mut held.peer_closed, true) {
                    return;
                }
                self.closed_by_client(token, &received);
                let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
                if held.closing {
                    return self.said_farewell(token);
                }
                self.answer_pings(token);
                self.deliver_ahead(token);
                let mut answer = Vec::new();
                close::write_answer(&received, None, &mut answer);
                self.say_farewell(token, Bytes::from(answer).into());
            }
            // After the last words nothing more is answered or taken.
            _ if held.closing => {}
            Incoming::Ping(payload) => write::write_pong(&payload, None, &mut self.pongs),
            Incoming::Text(data) if held.transport.is_session() => self.said(token, &data),
            Incoming::Binary(_) if held.transport.is_session() => {
                self.fail(token, &Code::WsUnsupported.because("a session's messages are text"));
            }
            Incoming::Text(data) if raw => self.publish(token, Kind::Text, data),
            Incoming::Binary(data) if raw => self.publish(token, Kind::Binary, data),
            Incoming::Text(_) | Incoming::Binary(_) => {
                let why = "in event form the server talks and the client listens; publish with POST, or in raw form";
                self.fail(token, &Code::WsUnsupported.because(why));
            }
        }
    }

    /// What a client says in raw form is published to the channel it reads, and it hears itself.
    fn publish(&mut self, token: Token, kind: Kind, data: Bytes) {
        let selection = self.readers.selection(token);
        let Some(channel) = selection.and_then(|selection| selection.channels.first()).cloned() else { return };
        let may = self.node.auth.allow(&self.guests.identity(token), Action::Publish, &channel);
        if let Err(Problem { detail, .. }) = may {
            // It was let in to listen: what it lacks is not an identity.
            return self.fail(token, &Code::Forbidden.because(detail));
        }
        let limits = &self.node.limits;
        if data.len() > limits.message(&channel) {
            let why = format!("a message on this channel has at most {} bytes", limits.message(&channel));
            return self.fail(token, &Code::TooLarge.because(why));
        }
        let allowance = self.guests.allowance(token);
        let allowed = limits.publish(&allowance, std::iter::once(&channel), self.node.now());
        let draft = allowed.and_then(|()| Draft::new(None, kind, None, data));
        let published = draft.and_then(|draft| {
            let append = Append { channel, draft: Some(draft), end: false, key: None };
            self.node.log.append(self.node.now(), &[append]).map_err(|(_, refusal)| refusal.code().into())
        });
        if let Err(problem) = published {
            self.fail(token, &problem);
        }
    }

    /// Closes a WebSocket for something its peer did. What is due to it still goes out before: in raw form, what it
    /// has just said itself.
    fn fail(&mut self, token: Token, problem: &Problem) {
        if let Some(Slot::Held(held)) = self.slots.get_mut(token as usize)
            && !held.closing
        {
            held.hang_up = true;
            self.answer_pings(token);
            self.audit(token, problem.code);
            self.deliver_ahead(token);
            let mut words = Vec::new();
            close::write_failure(problem, None, &mut words);
            self.say_farewell(token, Bytes::from(words).into());
        }
    }
}

/// How long this thread has had a CPU: however many others want one, it says what something has cost.
fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
