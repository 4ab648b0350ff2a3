//! From the log to the sockets of those who lag, resume or begin in the past: one piece of code for all of them.

use super::held::Took;
use super::live::{ENCODED, SHARE};
use super::{Shard, Slot, batch};
use crate::transport::Ending;
use std::mem;
use switchboard_hub::{Place, Token};
use switchboard_store::{Budget, Cursor, Found, Read};
use switchboard_wire::{Form, Message, Notice, form};

/// What one laggard may read at once.
pub(super) const PIECE: Budget = Budget { items: 64, bytes: 256 << 10 };
/// Laggards served in one turn: their share of it, whatever the ring brings.
const LAGGARDS_PER_TURN: usize = 4;

impl Shard {
    /// Serves the laggards' share of a turn.
    pub(super) fn serve_laggards(&mut self) {
        self.encoded = 0;
        for _ in 0..self.laggards.len().min(LAGGARDS_PER_TURN) {
            let Some(token) = self.laggards.pop_front() else { return };
            self.serve_laggard(token);
            if self.has_encoded_much() {
                return;
            }
        }
    }

    /// Whether what was encoded for those who are behind is as much as a turn's share.
    pub(super) fn has_encoded_much(&self) -> bool {
        self.encoded / ENCODED >= SHARE
    }

    fn serve_laggard(&mut self, token: Token) {
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        held.queued = false;
        match held.sink.flush() {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => return self.remove(token),
        }
        held.sink.active = true;
        let (closing, paused) = (held.closing, mem::take(&mut held.paused));
        if paused {
            self.read_later(token);
        }
        if closing {
            return self.said_farewell(token);
        }
        self.catch_up(token);
    }

    /// Sends a reader that is behind the next piece of the log.
    pub(super) fn catch_up(&mut self, token: Token) {
        if let Some(Slot::Held(held)) = self.slots.get(token as usize)
            && held.transport.is_session()
        {
            return self.go_on_with(token);
        }
        let Some(place) = self.readers.behind(token) else { return };
        let Some(selection) = self.readers.selection(token).cloned() else { return };
        // Up to the shard's position and no further: what comes after it, the ring will bring. But a reader that
        // wants no more than states up to its floor is not to be brought anything else up to there.
        let upto = self.readers.position().max(place.floor);
        let cursor = Cursor { seq: place.cursor, floor: place.floor };
        let piece = self.node.log.read_some(self.node.now(), &selection, cursor, upto, PIECE);

        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        let form = held.transport.form();
        let broken = |found: &Found| matches!(found.what, Read::Gap(_)) && !form.says_gaps();
        let sendable = piece.found.iter().position(broken).unwrap_or(piece.found.len());
        let mut out: Vec<Message> = Vec::with_capacity(sendable);
        for found in &piece.found[..sendable] {
            let (encoded, effort) = encode(found, form);
            self.encoded += effort;
            out.push(held.wrap(&encoded));
        }
        if piece.caught_up && place.floor > place.cursor && form.says_gaps() {
            // It was given states from long ago, whose ids are no place to resume from.
            let now_at = Notice::Position(self.node.log.position(piece.cursor.seq));
            out.push(held.wrap(&form::notice(&now_at, form)));
        }
        let Ok(Took { messages: taken, bytes, blocked, way }) = held.send(&out) else { return self.remove(token) };
        self.node.figures.shard(self.index).recovered(taken);
        let events = piece.found.iter().take(taken).filter(|found| matches!(found.what, Read::Event(_))).count();
        self.traffic().sent(way, events, bytes);

        let reached = match taken {
            _ if taken >= piece.found.len() => at(piece.cursor),
            0 => place,
            _ => at(piece.found[taken - 1].cursor),
        };
        if blocked {
            self.readers.fall_behind(token, reached);
            self.weigh(token);
        } else if sendable < piece.found.len() {
            self.begin_close(token, Ending::Broken);
        } else if piece.ended {
            self.begin_close(token, Ending::Complete);
        } else if !self.readers.catch_up(token, reached) {
            self.queue(token);
        }
    }
}

impl Shard {
    /// Counts what a reader that stalls has been sent in part. Where that is too much in all it is cut, and resumes by its
    /// position: nothing is lost to it.
    pub(super) fn weigh(&mut self, token: Token) {
        if let Some(Slot::Held(held)) = self.slots.get_mut(token as usize)
            && held.sink.weigh(&self.node.limits.transit.stalled).is_err()
        {
            self.remove(token);
        }
    }
}

pub(super) fn at(cursor: Cursor) -> Place {
    Place { cursor: cursor.seq, floor: cursor.floor }
}

/// As [`batch::encode`], of anything that a reader is told.
pub(super) fn encode(found: &Found, form: Form) -> (form::Encoded, usize) {
    match &found.what {
        Read::Event(entry) => batch::encode(entry, form),
        Read::Gap(gap) => (form::notice(&Notice::Gap(gap.clone()), form), 0),
        Read::End(channel) => (form::notice(&Notice::End { channel: channel.clone() }, form), 0),
    }
}
