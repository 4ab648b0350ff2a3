//! What goes down: control messages and events, dealt as the session's script says.

use super::super::behind::{PIECE, at, encode};
use super::super::held::Took;
use super::super::live::Delivered;
use super::super::{Shard, Slot};
use super::Conversation;
use super::link::Link;
use crate::session::{Page, write_place};
use crate::traffic::Way;
use bytes::Bytes;
use std::mem;
use std::sync::Arc;
use switchboard_hub::session::{Known, Piece, Step};
use switchboard_hub::{Due, Place, Token};
use switchboard_store::{Cursor, Entry, Found, Memory, Read};
use switchboard_wire::name::Selection;
use switchboard_wire::websocket::write;
use switchboard_wire::{Form, Message, Notice, Position, form};

/// Pieces that it may read in one turn.
const PIECES: usize = 4;
/// The part of a session's memory from which on its client is asked whether what is kept for it has arrived.
const MUCH: usize = 16;
/// Control messages that are sent at once.
const CONTROL: usize = 64;
/// Most that a poll is answered with: messages, and bytes of them, beyond which no more is added.
const PAGE_ITEMS: usize = 1000;
const PAGE_BYTES: usize = 4 << 20;
/// Looks at the log by pattern that find nothing, for one poll.
const STEPS: usize = 4;

/// What came of sending something.
enum Sent {
    /// All that there was.
    All,
    /// Some, and there is more.
    Some,
    /// The socket takes no more for now, or the connection is gone.
    Stuck,
}

impl Shard {
    /// Sends a session's connection what there is for it.
    pub(super) fn say(&mut self, conversation: &mut Conversation) {
        match conversation.link {
            Link::None => {}
            Link::Held { token, .. } => self.pump(conversation, token),
            Link::Poll { .. } => self.answer_poll(conversation, &[]),
        }
    }

    /// Goes on with the session of a connection that may take more.
    pub(in super::super) fn go_on_with(&mut self, token: Token) {
        if let Some(number) = self.sessions.of(token) {
            self.with(number, |_, _| ());
        }
    }

    fn pump(&mut self, conversation: &mut Conversation, token: Token) {
        for _ in 0..PIECES {
            match self.send_control(conversation, token) {
                Sent::All => {}
                Sent::Some => continue,
                Sent::Stuck => return,
            }
            match self.send_piece(conversation, token) {
                Sent::All => return self.ask_after(conversation, token),
                Sent::Some if self.has_encoded_much() => break,
                Sent::Some => {}
                Sent::Stuck => return,
            }
        }
        self.queue(token);
    }

    /// Sends the control messages whose turn it is.
    fn send_control(&mut self, conversation: &mut Conversation, token: Token) -> Sent {
        let barrier = conversation.script.barrier(&conversation.walk).unwrap_or(u64::MAX);
        conversation.sent = conversation.sent.max(conversation.session.acknowledged());
        if conversation.sent >= conversation.session.last_control().min(barrier - 1) {
            return Sent::All;
        }
        // What the message's place says came before it has to have come.
        self.deliver_due(token);
        if conversation.is_at_end() {
            conversation.walk.place = self.reader_place(token);
        }
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return Sent::Stuck };
        let position = self.node.log.position(conversation.walk.place.cursor);
        let plain = plain(held.transport.form());
        let waiting = conversation.session.unacknowledged(conversation.sent);
        let out: Vec<Message> = waiting
            .take_while(|(number, _)| *number < barrier)
            .take(CONTROL)
            .map(|(number, text)| {
                let mut words = Vec::new();
                if held.transport.has_places() {
                    words = id_line(number, &position);
                }
                words.extend_from_slice(&form::message(text, plain).payload());
                held.wrap(&form::verbatim(&words, plain))
            })
            .collect();
        let Ok(Took { messages: taken, bytes, blocked, way }) = held.send(&out) else {
            self.remove(token);
            return Sent::Stuck;
        };
        conversation.sent += taken as u64;
        if let Some(linked) = self.sessions.links.get_mut(&token) {
            linked.sent = conversation.sent;
        }
        self.traffic().sent(way, 0, bytes);
        if blocked {
            self.weigh(token);
            return Sent::Stuck;
        }
        Sent::Some
    }

    /// Sends the next piece of the log, if the connection is behind or has a step of the script before it.
    fn send_piece(&mut self, conversation: &mut Conversation, token: Token) -> Sent {
        let Piece { selection, place, upto } = conversation.script.next(&conversation.walk);
        let place = match upto {
            Some(_) => place,
            None => match self.readers.behind(token) {
                Some(place) => place,
                None => return Sent::All,
            },
        };
        let live = self.readers.position().max(place.floor);
        let found = read(&self.node.log, self.node.now(), &selection, place, upto.unwrap_or(live), upto.is_some());
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return Sent::Stuck };
        let form = held.transport.form();
        let per_item = 1 + usize::from(held.transport.has_places());
        let mut out: Vec<Message> = Vec::with_capacity(found.items.len() * per_item);
        for item in &found.items {
            if held.transport.has_places() {
                let id = id_of(conversation.sent, &self.node.log, item);
                out.push(held.wrap(&form::verbatim(&id, form)));
            }
            let (encoded, effort) = encode(item, form);
            self.encoded += effort;
            out.push(held.wrap(&encoded));
        }
        let mut whole_piece = found.items.len();
        if found.caught_up
            && let Some(step) = conversation.script.in_past(&conversation.walk)
        {
            let (id, notice) = caught_up(conversation.sent, &self.node.log, step);
            if held.transport.has_places() {
                out.push(held.wrap(&form::verbatim(&id, form)));
            }
            out.push(held.wrap(&form::message(&notice, plain(form))));
            whole_piece += 1;
        }
        let Ok(Took { messages: taken, bytes, blocked, way }) = held.send(&out) else {
            self.remove(token);
            return Sent::Stuck;
        };
        let whole = taken / per_item;
        let finished = found.caught_up && whole == whole_piece;
        let whole = whole.min(found.items.len());
        let events = found.items[..whole].iter().filter(|found| matches!(found.what, Read::Event(_))).count();
        self.node.figures.shard(self.index).recovered(whole);
        self.traffic().sent(way, events, bytes);
        let reached = match whole {
            _ if whole == found.items.len() => found.place,
            0 => place,
            _ => at(found.items[whole - 1].cursor),
        };
        self.reach(conversation, token, upto.is_some(), reached, finished);
        match () {
            () if blocked => {
                self.weigh(token);
                Sent::Stuck
            }
            () if upto.is_none() && finished => Sent::All,
            () => Sent::Some,
        }
    }

    /// A connection has come so far in its piece.
    fn reach(&mut self, conversation: &mut Conversation, token: Token, scripted: bool, reached: Place, finished: bool) {
        conversation.walk.place = reached;
        if scripted && finished {
            conversation.script.finish(&mut conversation.walk);
        }
        let place = conversation.walk.place;
        // What is yet to be said comes before what happens from here on.
        let owes = conversation.sent < conversation.session.last_control();
        match conversation.is_at_end() && finished && !owes {
            true => {
                // Whatever the reader took for its place meanwhile, this is it.
                self.readers.fall_behind(token, place);
                self.readers.catch_up(token, place);
            }
            false => self.readers.fall_behind(token, place),
        }
    }

    /// Delivers to a connection whose events have an `id:` of their own.
    pub(in super::super) fn deliver_with_places(&mut self, due: Due) -> usize {
        let control = self.sessions.links.get(&due.token).map_or(0, |linked| linked.sent);
        let Some(Slot::Held(held)) = self.slots.get_mut(due.token as usize) else { return 0 };
        let form = held.transport.form();
        let items = self.readers.pass().items(due.run);
        let mut out = Vec::with_capacity(2 * items.len());
        for item in items {
            let id = match self.batch.event(*item) {
                Some(entry) if !entry.event().resumable => Vec::new(),
                _ => id_line(control, &self.node.log.position(self.batch.seq(*item))),
            };
            out.push(held.wrap(&form::verbatim(&id, form)));
            match self.batch.message(*item, (form, held.sink.chunked)) {
                Some(message) => out.push(message),
                None => {
                    let item = &self.batch.items[usize::from(*item)];
                    let (notice, _) = self.node.say(item, self.readers.selection(due.token));
                    out.push(held.wrap(&form::notice(&notice, form)));
                }
            }
        }
        let sent = held.send(&out);
        match self.count_delivered(due, sent, 2) {
            Ok(Delivered { items, blocked: false }) => items,
            sent => self.fall_behind(due, sent.map(|delivered| delivered.items)),
        }
    }

    /// Asks a WebSocket's peer, by a ping, whether what is kept for it has arrived: at each heartbeat, and sooner where
    /// much is kept.
    fn ask_after(&mut self, conversation: &mut Conversation, token: Token) {
        let kept = conversation.session.memory() + conversation.script.cost();
        let much = kept > self.node.config.session.memory / MUCH;
        if much && conversation.asked < conversation.sent {
            self.ping(conversation, token);
        }
    }

    fn ping(&mut self, conversation: &mut Conversation, token: Token) {
        self.deliver_due(token);
        let position = match conversation.is_at_end() {
            true => self.reader_place(token).cursor,
            false => conversation.walk.place.cursor,
        };
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return };
        if !held.transport.is_websocket() || held.sink.is_blocked() {
            return;
        }
        conversation.asked = conversation.sent;
        let caught_up = conversation.script.in_past(&conversation.walk).is_none();
        let numbers = [conversation.sent.to_be_bytes(), position.to_be_bytes()];
        let payload = [&numbers.concat()[..], &[u8::from(caught_up)]].concat();
        let mut words = Vec::new();
        write::write_ping(&payload, None, &mut words);
        let length = words.len();
        if held.sink.control(Bytes::from(words).into()).is_err() {
            return self.remove(token);
        }
        self.traffic().sent(Way::WebSocket, 0, length);
    }

    /// A pong to one of our pings: everything before the ping has arrived.
    pub(in super::super) fn ponged(&mut self, token: Token, payload: &[u8]) {
        let Some((control, position)) = payload.split_first_chunk::<8>() else { return };
        let Some((position, &[caught_up])) = position.split_first_chunk::<8>() else { return };
        let (control, position) = (u64::from_be_bytes(*control), u64::from_be_bytes(*position));
        let known = Known { control, position, caught_up: caught_up == 1 };
        let Some(number) = self.sessions.of(token) else { return };
        self.with(number, |shard, conversation| {
            // Pongs may be made up, but nobody has more than was sent.
            if known.control <= conversation.sent && known.position <= shard.node.log.head() {
                shard.known(conversation, known);
            }
        });
    }

    /// A client is known to have so much.
    pub(super) fn known(&mut self, conversation: &mut Conversation, known: Known) {
        conversation.session.acknowledge(known.control);
        conversation.script.acknowledge(known);
        if conversation.script.keep_up(&mut conversation.walk)
            && let Some(token) = conversation.link.token()
        {
            self.place_reader(conversation, token);
        }
    }

    /// The heartbeat of a session's connection: `active` if something was sent since the last. Not in the midst of a
    /// pass. `true` if that said something.
    pub(in super::super) fn beat_session(&mut self, token: Token, active: bool) -> bool {
        let Some(number) = self.sessions.of(token) else { return false };
        let said = self.with(number, |shard, conversation| {
            let mut said = false;
            if !active && conversation.is_at_end() && !conversation.selection().is_empty() {
                said = shard.tell_position(conversation, token);
            }
            if conversation.asked < conversation.sent || !conversation.script.is_empty() {
                shard.ping(conversation, token);
                said |= conversation.asked == conversation.sent;
            }
            said
        });
        said.unwrap_or(false)
    }

    /// Tells a quiet connection its cursor, if that has moved.
    fn tell_position(&mut self, conversation: &mut Conversation, token: Token) -> bool {
        let Some(cursor) = self.readers.tell(token) else { return false };
        let Some(Slot::Held(held)) = self.slots.get_mut(token as usize) else { return false };
        let (form, position) = (held.transport.form(), self.node.log.position(cursor));
        let mut words = Vec::new();
        if held.transport.has_places() {
            words = id_line(conversation.sent, &position);
        }
        words.extend_from_slice(&form::notice(&Notice::Position(position), form).payload());
        let message = held.wrap(&form::verbatim(&words, form));
        let (way, length) = (held.transport.into(), message.bytes.len());
        if held.sink.control(message).is_err() {
            self.remove(token);
        }
        self.traffic().sent(way, 0, length);
        true
    }

    /// What there is to say to a poll. `events` are due to it, and may be nowhere else.
    pub(super) fn page(&mut self, conversation: &mut Conversation, events: &[Arc<Entry>]) -> Page {
        let (mut gathered, mut steps) = (Gathered::default(), 0);
        if events.iter().any(|entry| !entry.event().resumable) && conversation.is_at_end() {
            for entry in events {
                gathered.event(entry.encoded(Form::NdSession).payload());
                conversation.walk.place = Place::at(entry.seq());
            }
        }
        while !gathered.is_full() && steps < STEPS {
            let barrier = conversation.script.barrier(&conversation.walk).unwrap_or(u64::MAX);
            conversation.sent = conversation.sent.max(conversation.session.acknowledged());
            for (number, text) in conversation.session.unacknowledged(conversation.sent) {
                if number < barrier && !gathered.is_full() {
                    gathered.message(text.clone());
                    conversation.sent = number;
                }
            }
            let Piece { selection, place, upto } = conversation.script.next(&conversation.walk);
            let end = upto.unwrap_or(self.node.log.head()).max(place.floor);
            let found = read(&self.node.log, self.node.now(), &selection, place, end, upto.is_some());
            for item in &found.items {
                match encode(item, Form::NdSession).0.payload() {
                    text if matches!(item.what, Read::Event(_)) => gathered.event(text),
                    text => gathered.message(text),
                }
            }
            conversation.walk.place = found.place;
            if found.caught_up
                && let Some(step) = conversation.script.in_past(&conversation.walk)
            {
                gathered.message(caught_up(conversation.sent, &self.node.log, step).1.into());
            }
            match (found.caught_up, upto) {
                (true, Some(_)) => conversation.script.finish(&mut conversation.walk),
                (true, None) => break,
                (false, _) => {}
            }
            // One that found nothing may have been long, and there may be a subscription of the kind behind each other: the
            // client is to come again, so that others have their turn.
            steps += usize::from(found.items.is_empty() && !selection.patterns.is_empty());
        }
        let caught_up = conversation.script.in_past(&conversation.walk).is_none();
        let position = conversation.walk.place.cursor;
        conversation.left_at = caught_up.then_some(Known { control: conversation.sent, position, caught_up });
        let Gathered { messages, events, .. } = gathered;
        let place = conversation.place(&self.node.log);
        Page { messages, events, place, seq: conversation.session.expected(), cut: steps == STEPS }
    }
}

/// What a poll is to be answered with.
#[derive(Default)]
struct Gathered {
    messages: Vec<Bytes>,
    events: usize,
    bytes: usize,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.messages.len() >= PAGE_ITEMS || self.bytes >= PAGE_BYTES
    }

    fn message(&mut self, text: Bytes) {
        self.bytes += text.len();
        self.messages.push(text);
    }

    fn event(&mut self, text: Bytes) {
        self.events += 1;
        self.message(text);
    }
}

impl Conversation {
    /// Where the client is, once it has everything that was sent.
    pub(super) fn place(&self, log: &Memory) -> String {
        let mut text = Vec::new();
        write_place(self.sent, &log.position(self.walk.place.cursor), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// A piece of the log, no further than a session's script has it.
struct Lot {
    items: Vec<Found>,
    /// Where a reader is who has them.
    place: Place,
    caught_up: bool,
}

fn read(log: &Memory, now: u64, selection: &Selection, place: Place, upto: u64, scripted: bool) -> Lot {
    let cursor = Cursor { seq: place.cursor, floor: place.floor };
    if selection.is_empty() || place.cursor >= upto {
        let place = if place.cursor < upto { Place::at(upto) } else { place };
        return Lot { items: Vec::new(), place, caught_up: true };
    }
    let mut piece = log.read_some(now, selection, cursor, upto, PIECE);
    let mut lot = Lot { place: at(piece.cursor), caught_up: piece.caught_up, items: mem::take(&mut piece.found) };
    if scripted && let Some(beyond) = lot.items.iter().position(|found| found.cursor.seq > upto) {
        // A gap is told whole, though it may go on beyond where the script turns. What comes after it is for later.
        let gap = matches!(lot.items[beyond].what, Read::Gap(_));
        lot.items.truncate(beyond + usize::from(gap));
        (lot.place, lot.caught_up) = (Place::at(upto), true);
    }
    lot
}

/// The `id:` line of a block, which is the place after it.
fn id_line(control: u64, position: &Position) -> Vec<u8> {
    let mut line = Vec::from(b"id: ");
    write_place(control, position, &mut line);
    line.push(b'\n');
    line
}

/// The same for what was found in the log. What is no place to go on from has none.
fn id_of(control: u64, log: &Memory, found: &Found) -> Vec<u8> {
    match &found.what {
        Read::Event(entry) if !entry.event().resumable => Vec::new(),
        _ => id_line(control, &log.position(found.cursor.seq)),
    }
}

/// The form without compression: for what one client alone is sent.
fn plain(form: Form) -> Form {
    match form {
        Form::WsSession { .. } => Form::WsSession { deflated: None },
        other => other,
    }
}

/// What is said once a subscription has been read up to where the session's others are: with an `id:` line for those that
/// have one.
fn caught_up(control: u64, log: &Memory, step: &Step) -> (Vec<u8>, Vec<u8>) {
    let position = log.position(step.onward);
    let id = id_line(control, &position);
    let selection = step.past.as_ref().map(|(selection, _)| selection);
    let names: Vec<String> = selection.map(|selection| names(selection)).unwrap_or_default();
    let channel = match &names[..] {
        [one] => serde_json::json!(one),
        several => serde_json::json!(several),
    };
    let params = serde_json::json!({ "channel": channel, "position": position.to_string() });
    let notice = serde_json::json!({ "jsonrpc": "2.0", "method": "caught_up", "params": params });
    (id, notice.to_string().into_bytes())
}

/// What a selection names, as text.
pub(super) fn names(Selection { channels, patterns }: &Selection) -> Vec<String> {
    channels.iter().map(ToString::to_string).chain(patterns.iter().map(ToString::to_string)).collect()
}
