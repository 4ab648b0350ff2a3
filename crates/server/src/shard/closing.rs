//! Endings: the last words of a stream, and the drain.

use super::{Shard, Slot};
use crate::auth::Identity;
use crate::traffic::Way;
use crate::transport::{Ending, Transport};
use bytes::Bytes;
use std::collections::VecDeque;
use std::mem;
use std::time::Instant;
use switchboard_hub::Token;
use switchboard_wire::{Code, Message, form};

/// The end of a body in the chunked coding (RFC 9112 section 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Connections whose last words were said, and when to give up on their peers' answer.
#[derive(Default)]
pub(super) struct Closings {
    due: VecDeque<(Instant, Token, u32)>,
}

impl Closings {
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.front().map(|(at, _, _)| *at)
    }
}

impl Shard {
    /// Ends a stream: says its last words. The connection goes once they were sent and, for a WebSocket, answered.
    pub(super) fn begin_close(&mut self, token: Token, ending: Ending) {
        let retry = self.node.config.retry;
        if let Ending::Closing(code) = ending {
            self.audit(token, code);
        }
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        if held.closing {
            return;
        }
        let (words, clean) = held.transport.farewell(ending, retry);
        let words = held.wrap(&form::verbatim(&words, held.transport.form()));
        let mut bytes = words.bytes.to_vec();
        held.complete = clean;
        if clean {
            if let Some(total) = held.sink.total_with(words.sum) {
                bytes.extend_from_slice(&held.wrap(&form::end_of_gzip(&total)).bytes);
            }
            if held.sink.chunked {
                bytes.extend_from_slice(LAST_CHUNK);
            }
        }
        self.say_farewell(token, Bytes::from(bytes).into());
    }

    /// A line for a stream that is closed for whose it is, or for a limit.
    pub(super) fn audit(&mut self, token: Token, code: Code) {
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        // What a session ends for is told of the session.
        if held.closing || matches!(held.transport, Transport::Session(_)) || !self.node.denies(code) {
            return;
        }
        let (who, peer) = match self.guests.who(token) {
            Some((identity, address)) => (identity.to_string(), Some(address)),
            None => (Identity::default().to_string(), held.sink.peer()),
        };
        let peer = peer.map(|peer| peer.to_string());
        let selection = self.readers.selection(token);
        // One of what it reads, which may be much.
        let channel = selection.and_then(|selection| {
            let pattern = || selection.patterns.first().map(ToString::to_string);
            selection.channels.first().map(ToString::to_string).or_else(pattern)
        });
        let (code, way) = (code.row().name, Way::from(held.transport).label());
        tracing::info!(target: "switchboard::audit", code, transport = way, who, channel, peer, "a stream ended");
    }

    /// Sends the last bytes of a connection.
    pub(super) fn say_farewell(&mut self, token: Token, words: Message) {
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        // What came before may have been the end of all it reads.
        if mem::replace(&mut held.closing, true) {
            return;
        }
        let length = words.bytes.len();
        let sent = held.sink.control(words);
        let (blocked, way) = (held.sink.is_blocked(), held.transport.into());
        let due = Instant::now() + self.node.config.timeouts.close;
        self.closings.due.push_back((due, token, held.serial));
        self.traffic().sent(way, 0, length);
        self.retire(token);
        match sent {
            Err(_) => self.remove(token),
            Ok(()) if blocked => {}
            Ok(()) => self.said_farewell(token),
        }
    }

    /// The last bytes have left. A WebSocket waits for its peer's close frame, or, if it failed, for the peer to
    /// hang up: closing a socket with unread bytes in it would reset it, and the reset could overtake the last words. So it
    /// could on a stream that is done with before its client is, which some take for the loss of all that came before.
    pub(super) fn said_farewell(&mut self, token: Token) {
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        if held.sink.is_blocked() {
            return;
        }
        let said = !held.transport.is_websocket() || held.peer_closed;
        let done = said && !held.sink.is_heard_out();
        match done {
            true if held.complete => held.sink.end(),
            // One that is no more has said it in another way.
            true if !held.sink.break_off().unwrap_or(true) => return,
            _ => {}
        }
        if done || ((said || held.hang_up) && held.sink.hang_up().is_err()) {
            self.remove(token);
        }
    }

    /// Gives up on peers that did not take or answer the last words in time.
    pub(super) fn close_overdue(&mut self, now: Instant) {
        while self.closings.next().is_some_and(|at| at <= now) {
            let Some((_, token, serial)) = self.closings.due.pop_front() else { return };
            if let Some(Slot::Held(held)) = self.slots.get(token as usize)
                && held.serial == serial
            {
                self.remove(token);
            }
        }
    }

    /// The peer answered no ping.
    pub(super) fn unresponsive(&mut self, token: Token) {
        self.node.figures.shard(self.index).unresponsive();
        self.begin_close(token, Ending::Closing(Code::Unresponsive));
        if let Some(Slot::Held(held)) = self.slots.get_mut(token as usize)
            && !held.sink.is_blocked()
        {
            // Else a stream of HTTP/2 would be reset, and the reset would overtake why.
            held.sink.end();
        }
        self.remove(token);
    }

    /// Tells every client that the server stops.
    pub(crate) fn drain(&mut self) {
        self.drained = true;
        self.deliver_all();
        self.drain_polls();
        let tokens: Vec<Token> = self.slots.iter().map(|(token, _)| token as Token).collect();
        self.links.begin_turn();
        for token in tokens {
            match self.slots.get(token as usize) {
                Some(Slot::Waiting(_)) => self.wake(token, Vec::new()),
                Some(Slot::Held(_)) => self.begin_close(token, Ending::Closing(Code::Draining)),
                Some(Slot::Polling) | None => {}
            }
            self.links.said();
        }
        self.links.end_turn();
        self.node.have_told();
    }
}
