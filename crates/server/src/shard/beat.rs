//! Heartbeats: that a stream lives, where its cursor is, and whether its peer is still there.

use super::batch::Framing;
use super::held::HEARD;
use super::{Shard, Slot};
use crate::transport::Transport;
use std::time::{Duration, Instant};
use switchboard_hub::Token;
use switchboard_wire::{Message, Notice, form};

/// The phases over which heartbeats are spread. A socket's phase is its token's remainder, and a stream's that of its
/// connection: what is said on a connection leaves together.
const PHASES: usize = 32;

/// Heartbeats of one turn.
const BEATS_PER_TURN: usize = 256;

/// Pings that go unanswered before a WebSocket is given up.
const PINGS: u8 = 2;

/// Which phase is due next, and when.
pub(super) struct Beats {
    step: Duration,
    next: Instant,
    phase: usize,
    /// Those of the present phase who have yet to be served, the last first.
    due: Vec<Token>,
    /// What the ring brought goes before the rest of them.
    gives_way: bool,
    words: Words,
}

/// What is said at heartbeats, encoded once for all.
#[derive(Default)]
struct Words {
    /// That a stream lives.
    heartbeats: Vec<(Transport, bool, Option<Message>)>,
    /// That a cursor is here.
    positions: Vec<(Framing, Message)>,
    cursor: u64,
}

impl Beats {
    pub(super) fn new(period: Duration) -> Beats {
        let step = (period / PHASES as u32).max(Duration::from_millis(1));
        let next = Instant::now() + step;
        Beats { step, next, phase: 0, due: Vec::new(), gives_way: false, words: Words::default() }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Whether a phase has been begun and not been ended.
    pub(super) fn are_on(&self) -> bool {
        !self.due.is_empty()
    }

    /// A pass has begun: heartbeats have given way to it.
    pub(super) fn gave_way(&mut self) {
        self.gives_way = false;
    }
}

impl Words {
    fn heartbeat(&mut self, transport: Transport, chunked: bool) -> Option<Message> {
        let made = self.heartbeats.iter().find(|(other, chunks, _)| (*other, *chunks) == (transport, chunked));
        if let Some((_, _, message)) = made {
            return message.clone();
        }
        let message = transport.heartbeat().map(|heartbeat| heartbeat.message(chunked));
        self.heartbeats.push((transport, chunked, message.clone()));
        message
    }

    fn position(&mut self, cursor: u64, framing: Framing, notice: impl FnOnce() -> Notice) -> Message {
        if self.cursor != cursor {
            self.positions.clear();
            self.cursor = cursor;
        }
        if let Some((_, message)) = self.positions.iter().find(|(made, _)| *made == framing) {
            return message.clone();
        }
        let (form, chunked) = framing;
        let message = form::notice(&notice(), form).message(chunked);
        self.positions.push((framing, message.clone()));
        message
    }
}

impl Shard {
    pub(super) fn beat_is_due(&self, now: Instant) -> bool {
        (self.beats.are_on() || now >= self.beats.next) && !self.beats.gives_way && !self.slots.is_empty()
    }

    /// Serves the phase that is due, or some of it.
    pub(super) fn beat(&mut self, now: Instant) {
        self.beats.gives_way = false;
        if self.slots.is_empty() {
            // Nobody to serve: no phase is overdue when the next connection comes.
            self.beats.next = self.beats.next.max(now);
            self.beats.due.clear();
            return;
        }
        if !self.beats.are_on() {
            if now < self.beats.next {
                return;
            }
            self.begin_phase(now);
        }
        for _ in 0..BEATS_PER_TURN {
            let Some(token) = self.beats.due.pop() else { return };
            self.beat_one(token);
            self.links.said();
        }
        self.beats.gives_way = true;
    }

    fn begin_phase(&mut self, now: Instant) {
        let phase = self.beats.phase;
        self.beats.phase = (phase + 1) % PHASES;
        self.beats.next = (self.beats.next + self.beats.step).max(now);
        let sockets = (phase..self.slots.capacity()).step_by(PHASES).map(|token| token as Token);
        self.beats.due.extend(sockets.filter(|token| self.links.of(*token).is_none()));
        let sockets = self.beats.due.len();
        let streams = self.links.streams().filter(|(_, link)| *link as usize % PHASES == phase);
        self.beats.due.extend(streams.map(|(token, _)| token));
        let links = &self.links;
        self.beats.due[sockets..].sort_by_key(|token| links.of(*token));
        self.beats.due.reverse();
    }

    fn beat_one(&mut self, token: Token) {
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        let active = std::mem::take(&mut held.sink.active);
        // What was not read yet was said all the same.
        let heard = held.pings == HEARD || held.unread;
        if held.closing || held.sink.is_blocked() {
            return;
        }
        let transport = held.transport;
        let said = transport.is_session() && self.beat_session(token, active);
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        let mut words: [Option<Message>; 2] = [None, None];
        // A stream that events keep moving is told its cursor by them; one that is quiet, by this.
        if !active
            && !transport.is_session()
            && transport.form().says_gaps()
            && let Some(cursor) = self.readers.tell(token)
        {
            let notice = || Notice::Position(self.node.log.position(cursor));
            words[0] = Some(self.beats.words.position(cursor, held.framing(), notice));
        }
        match transport {
            // What the socket took counts as life as well: a pong waits behind all that the peer has yet to read.
            _ if transport.is_websocket() && (heard || active) => held.pings = 0,
            _ if transport.is_websocket() && held.pings == PINGS => return self.unresponsive(token),
            _ if transport.is_websocket() => {
                held.pings += 1;
                // Of what a session has said one may be a ping; if none was, one follows at the next beat.
                let heartbeat = self.beats.words.heartbeat(transport, held.sink.chunked);
                words[1] = heartbeat.filter(|_| !said);
            }
            _ if active || said || words[0].is_some() => {}
            _ => words[1] = self.beats.words.heartbeat(transport, held.sink.chunked),
        }
        for message in words.into_iter().flatten() {
            let length = message.bytes.len();
            if held.sink.control(message).is_err() {
                return self.remove(token);
            }
            self.node.figures.shard(self.index).traffic.sent(transport.into(), 0, length);
        }
    }
}
