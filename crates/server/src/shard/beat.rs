//! Heartbeats: that a stream lives, where its cursor is, and whether its peer is still there.

use super::{Shard, Slot};
use std::time::{Duration, Instant};
use switchboard_hub::Token;
use switchboard_wire::{Notice, form};

/// The phases over which heartbeats are spread. A connection's phase is its token's remainder.
const PHASES: usize = 32;

/// Pings that go unanswered before a WebSocket is given up.
const PINGS: u8 = 2;

/// Which phase is due next, and when.
pub(super) struct Beats {
    step: Duration,
    next: Instant,
    phase: usize,
}

impl Beats {
    pub(super) fn new(period: Duration) -> Beats {
        let step = (period / PHASES as u32).max(Duration::from_millis(1));
        Beats { step, next: Instant::now() + step, phase: 0 }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }
}

impl Shard {
    pub(super) fn beat_is_due(&self, now: Instant) -> bool {
        now >= self.beats.next && !self.slots.is_empty()
    }

    /// Serves the phases that are due.
    pub(super) fn beat(&mut self, now: Instant) {
        if self.slots.is_empty() {
            // Nobody to serve: no phase is overdue when the next connection comes.
            self.beats.next = self.beats.next.max(now);
            return;
        }
        // One phase a turn, so that a shard that was late does not serve all at once.
        if now < self.beats.next {
            return;
        }
        let phase = self.beats.phase;
        self.beats.phase = (phase + 1) % PHASES;
        self.beats.next = (self.beats.next + self.beats.step).max(now);
        let tokens = (phase..).step_by(PHASES).take_while(|token| *token < self.slots.capacity());
        for token in tokens.collect::<Vec<usize>>() {
            self.beat_one(token as Token);
        }
    }

    fn beat_one(&mut self, token: Token) {
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        let active = std::mem::take(&mut held.sink.active);
        // What was not read yet was said all the same.
        let heard = std::mem::take(&mut held.heard) || held.unread;
        if held.closing || held.sink.is_blocked() {
            return;
        }
        let transport = held.transport;
        let said = transport.is_session() && self.beat_session(token, active);
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        let mut words = Vec::new();
        // A stream that events keep moving is told its cursor by them; one that is quiet, by this.
        if !active
            && !transport.is_session()
            && transport.form().says_gaps()
            && let Some(cursor) = self.readers.tell(token)
        {
            words.push(form::notice(&Notice::Position(self.node.log.position(cursor)), transport.form()));
        }
        match transport {
            // What the socket took counts as life as well: a pong waits behind all that the peer has yet to read.
            _ if transport.is_websocket() && (heard || active) => held.pings = 0,
            _ if transport.is_websocket() && held.pings == PINGS => return self.unresponsive(token),
            _ if transport.is_websocket() => {
                held.pings += 1;
                // Of what a session has said one may be a ping; if none was, one follows at the next beat.
                words.extend(transport.heartbeat().filter(|_| !said));
            }
            _ if active || said || !words.is_empty() => {}
            _ => words.extend(transport.heartbeat()),
        }
        for word in words {
            let message = held.wrap(&word);
            let length = message.bytes.len();
            if held.sink.control(message).is_err() {
                return self.remove(token);
            }
            self.node.figures.shard(self.index).traffic.sent(transport.into(), 0, length);
        }
    }
}
