//! A shard: one thread's subscribers, and the loop that serves them.
//!
//! A shard consumes the node's ring of recent items from a cursor of its own and writes each event's shared bytes
//! straight to the sockets of its live readers: no task is woken and no buffer is filled per subscriber. A reader
//! whose socket did not take all falls behind, and reads the log in bounded pieces until it is live again.
//!
//! - [`live`]: from the ring to the sockets, with the [`batch`] of bytes in hand;
//! - [`behind`]: from the log to the sockets of those who lag, resume or begin in the past;
//! - [`inbound`]: what peers say, and that they went away;
//! - [`beat`]: heartbeats and pings; [`closing`]: endings and the drain;
//! - [`sessions`]: conversations, whose way down a connection may be;
//! - [`links`]: the connections that streams of HTTP/2 are on;
//! - [`guests`]: whose a stream is, and when it is taken from them;
//! - [`sink`]: the write side of a connection, and [`carrier`]: what takes it to the peer; [`driver`]: the thread, and
//!   [`turns`] on it for what takes long.

mod batch;
mod beat;
mod behind;
mod carrier;
mod closing;
pub(crate) mod driver;
mod guests;
mod held;
mod inbound;
mod links;
mod live;
mod sessions;
mod sink;
mod turns;

pub(crate) use carrier::Carrier;
pub(crate) use guests::Guest;
pub(crate) use held::{Answer, Held};
pub(crate) use links::Place as LinkPlace;
pub(crate) use sink::CONTROL_LIMIT;
pub(crate) use turns::Turns;

use crate::auth::Identity;
use crate::crew::Crew;
use crate::front;
use crate::gate::Gate;
use crate::limits::transit::Load;
use crate::listen::Admission;
use crate::listen::http2::Signals;
use crate::node::Node;
use crate::traffic::Traffic;
use crate::transport::Ending;
use batch::Batch;
use beat::Beats;
use closing::Closings;
use guests::Guests;
use inbound::Hearing;
use links::Links;
use mio::Registry;
use sessions::Sessions;
use slab::Slab;
use std::cell::RefCell;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use switchboard_hub::{Place, Readers, Token, Turn};
use switchboard_store::Entry;
use switchboard_wire::ChannelName;
use switchboard_wire::code::{Code, Problem};
use switchboard_wire::name::Selection;
use switchboard_wire::websocket::deflate::Inflaters;
use tokio::sync::Notify;
use tokio::sync::oneshot::{self, error::TryRecvError};

/// Shared by the tasks of one thread; never borrowed across an await.
pub(crate) type SharedShard = Rc<RefCell<Shard>>;

/// Room for what one read of a socket brings, shared by all connections.
const SCRATCH: usize = 64 << 10;

/// One thread's subscribers.
pub(crate) struct Shard {
    node: Arc<Node>,
    index: usize,
    registry: Registry,
    /// Where streams of HTTP/2 tell what becomes of them.
    signals: Arc<Signals>,
    links: Links,
    /// Who answers the requests of such connections.
    crew: Rc<Crew<front::Job>>,
    slots: Slab<Slot>,
    readers: Readers,
    /// What the names take that they read.
    names: Load,
    /// Readers that are behind and whose sockets may take more.
    laggards: VecDeque<Token>,
    batch: Batch,
    beats: Beats,
    closings: Closings,
    guests: Guests,
    sessions: Sessions,
    scratch: Box<[u8]>,
    inflaters: Inflaters,
    /// How much of a turn handshakes may take, and large pages.
    handshakes: Rc<Gate>,
    pages: Rc<Gate>,
    turns: Rc<Turns>,
    hearing: Hearing,
    /// The answers to the pings of the read at hand.
    pongs: Vec<u8>,
    /// Tells connections apart that had the same token.
    serial: u32,
    /// Bytes that were encoded for those who are behind since their turn began.
    encoded: usize,
    /// All that were there have been told that the server stops.
    drained: bool,
}

/// A connection on its way from a request to a shard.
pub(crate) struct Adopted {
    pub(crate) carrier: Carrier,
    pub(crate) received: Vec<u8>,
    pub(crate) answer: Answer,
    /// The place of a connection, if the stream is all of it.
    pub(crate) admission: Option<Admission>,
}

/// What a reader's token stands for.
enum Slot {
    /// A subscriber's connection, written by the shard.
    Held(Held),
    /// A task that is woken by the first thing due.
    Waiting(oneshot::Sender<Vec<Arc<Entry>>>),
    /// A session's poll.
    Polling,
}

impl Shard {
    pub(crate) fn new(node: Arc<Node>, index: usize, registry: Registry, bell: Arc<Notify>) -> Shard {
        let position = node.log.head();
        let beats = Beats::new(node.config.heartbeat);
        let mut readers = Readers::new(position);
        if node.occupancy.is_told() {
            readers.note_turns();
        }
        let names = node.limits.transit.stalled.load();
        Shard {
            node,
            index,
            registry,
            handshakes: Rc::default(),
            pages: Rc::default(),
            signals: Signals::new(bell),
            links: Links::default(),
            crew: Rc::default(),
            slots: Slab::new(),
            readers,
            names,
            laggards: VecDeque::new(),
            batch: Batch::default(),
            beats,
            closings: Closings::default(),
            guests: Guests::default(),
            sessions: Sessions::default(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            inflaters: Inflaters::new(),
            turns: Rc::default(),
            hearing: Hearing::default(),
            pongs: Vec::new(),
            serial: 0,
            encoded: 0,
            drained: false,
        }
    }

    /// One round of everything there is to do. `true` if there is more.
    pub(crate) fn turn(&mut self, now: Instant) -> bool {
        self.links.begin_turn();
        self.take_signals();
        self.read_on();
        let more_live = self.deliver_live(now);
        self.serve_laggards();
        if !self.readers.pass().is_on() {
            // In the midst of a pass nobody can tell which reader was handed what.
            self.beat(now);
            self.end_expired();
            self.tick_sessions();
        }
        self.close_overdue(now);
        self.links.end_turn();
        self.node.figures.shard(self.index).behind(self.readers.behind_count());
        let more = more_live || self.beats.are_on() || self.hearing.is_waited_for();
        more || !self.laggards.is_empty()
    }

    /// When the shard wants a turn though nothing happened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let beat = (!self.slots.is_empty()).then(|| self.beats.next());
        [beat, self.closings.next(), self.next_expiry(), self.sessions.next()].into_iter().flatten().min()
    }

    /// What the poll said of a socket.
    pub(crate) fn on_event(&mut self, event: &mio::event::Event) {
        let token = event.token().0 as Token;
        if event.is_writable() {
            self.queue(token);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read_later(token);
        }
    }

    /// What streams have told of themselves.
    fn take_signals(&mut self) {
        for token in self.signals.take() {
            self.queue(token);
            self.read_later(token);
        }
    }

    /// Sends the head of the answer and holds the rest open. `received` is what the peer sent after its request.
    fn adopt(
        &mut self,
        mut carrier: Carrier,
        mut received: Vec<u8>,
        answer: Answer,
        admission: Option<Admission>,
    ) -> std::io::Result<()> {
        let token = self.slots.vacant_key();
        carrier.register(&self.registry, &self.signals, mio::Token(token))?;
        self.serial = self.serial.wrapping_add(1);
        self.node.figures.shard(self.index).opened(answer.transport);
        let token = token as Token;
        if let Some(link) = carrier.link(self.links.outlets()) {
            self.links.add(token, link);
        }
        let (ending, take) = (answer.ending, answer.take);
        self.attend();
        let live = self.add_reader(token, answer.selection, answer.place);
        let mut held = Held::new(carrier, answer.transport, answer.chunked, answer.gzip, admission, self.serial);
        let opening = answer.head.len() - answer.head_length;
        // A stream among others may have to wait for room that these take up; a socket of its own has it.
        let sent = held.sink.control(answer.head.into());
        self.slots.insert(Slot::Held(held));
        if let Some(guest) = answer.guest {
            self.guests.add(token, guest);
        }
        match sent {
            Err(_) => self.remove(token),
            Ok(()) => {
                self.traffic().answered(answer.transport.into(), answer.head_length, opening);
                if let Some(take) = take {
                    self.take_up(token, take);
                } else if let Some(ending) = ending {
                    self.begin_close(token, ending);
                } else if !live {
                    // At once, so that what is ephemeral and comes now finds the reader live.
                    self.catch_up(token);
                }
                if self.drained && ending.is_none() {
                    // It was on its way here when all others were told.
                    self.begin_close(token, Ending::Closing(Code::Draining));
                }
                self.hear_first(token, &mut received);
            }
        }
        Ok(())
    }

    /// What handshakes pass.
    pub(crate) fn handshakes(&self) -> Rc<Gate> {
        self.handshakes.clone()
    }

    /// What pages pass that are large.
    pub(crate) fn pages(&self) -> Rc<Gate> {
        self.pages.clone()
    }

    /// The turns of those who do something long on its thread.
    pub(crate) fn turns(&self) -> Rc<Turns> {
        self.turns.clone()
    }

    /// Who answers requests that come side by side.
    pub(crate) fn crew(&self) -> Rc<Crew<front::Job>> {
        self.crew.clone()
    }

    /// Which of the node's shards it is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Takes over a connection whose answer is a stream. One that cannot be held is closed.
    pub(crate) fn take_over(&mut self, adopted: Adopted) {
        let Adopted { carrier, received, answer, admission } = adopted;
        if let Err(error) = self.adopt(carrier, received, answer, admission) {
            tracing::debug!(%error, "a connection could not be held");
        }
    }

    /// Registers a task to be woken by the first thing due to a reader at this place.
    fn wait(
        &mut self,
        selection: Arc<Selection>,
        place: Place,
        identity: &Identity,
    ) -> (Token, oneshot::Receiver<Vec<Arc<Entry>>>) {
        let (wake, woken) = oneshot::channel();
        self.attend();
        let token = self.slots.insert(Slot::Waiting(wake)) as Token;
        self.node.figures.shard(self.index).waiting(1);
        if !identity.is_anyone() {
            // It has no name, and ends by itself when its token does.
            self.guests.add_waiting(token, identity);
        }
        if !self.add_reader(token, selection, place) {
            self.wake(token, Vec::new());
        }
        (token, woken)
    }

    /// Makes sure that the shard follows the ring. Without readers it does not, and need not be rung.
    fn attend(&mut self) {
        if self.readers.is_empty() {
            // The order matters: what is appended from here on rings, and what was before lies below the head.
            self.node.figures.shard(self.index).attend(true);
            self.readers.advance(self.node.log.head());
            self.node.figures.shard(self.index).reached(self.readers.position());
        }
    }

    /// Wakes a waiting task and hands it the events that are due to it. Without any, it is to read the log.
    fn wake(&mut self, token: Token, events: Vec<Arc<Entry>>) {
        if let Some(Slot::Waiting(_)) = self.slots.get(token as usize)
            && let Slot::Waiting(wake) = self.slots.remove(token as usize)
        {
            self.node.figures.shard(self.index).waiting(-1);
            self.forget(token);
            // The task may have gone: then nobody needs waking.
            let _ = wake.send(events);
        }
    }

    /// Forgets a reader and drops its connection.
    fn remove(&mut self, token: Token) {
        match self.slots.try_remove(token as usize) {
            Some(Slot::Held(held)) => self.node.figures.shard(self.index).closed(held.transport),
            Some(Slot::Waiting(_) | Slot::Polling) => self.node.figures.shard(self.index).waiting(-1),
            None => return,
        }
        self.links.remove(token);
        self.forget(token);
    }

    /// Forgets a reader whose connection is there to say its last words.
    fn retire(&mut self, token: Token) {
        self.guests.retire(token);
        self.leave(token);
    }

    fn forget(&mut self, token: Token) {
        self.guests.remove(token);
        self.leave(token);
    }

    fn leave(&mut self, token: Token) {
        self.remove_reader(token);
        self.unlink(token);
        if self.readers.is_empty() {
            self.node.figures.shard(self.index).attend(false);
        }
    }

    /// Adds a reader; see [`Readers::add`].
    fn add_reader(&mut self, token: Token, selection: Arc<Selection>, place: Place) -> bool {
        let live = self.readers.add(token, selection, place);
        self.names.follow(self.readers.names());
        self.tell_turns();
        live
    }

    fn remove_reader(&mut self, token: Token) {
        self.readers.remove(token);
        self.names.follow(self.readers.names());
        self.tell_turns();
    }

    /// Whether there is room for the names that a reader would bring.
    pub(crate) fn allow_names(&self, selection: &Selection) -> Result<(), Problem> {
        self.node.limits.transit.stalled.allow_names(self.readers.cost_of_names(selection))
    }

    /// Tells which channels have got their first reader here, or lost their last.
    fn tell_turns(&mut self) {
        for turn in self.readers.take_turns() {
            match turn {
                Turn::First(channel) => self.node.occupancy.enter(&channel),
                Turn::Last(channel) => self.node.occupancy.leave(&channel, Instant::now()),
            }
        }
    }

    /// Puts a connection in the queue of those that may take more, if it waits for that. One that is read again only then may
    /// have taken what it was to take by itself, with an event that came before the news of it.
    fn queue(&mut self, token: Token) {
        if let Some(Slot::Held(held)) = self.slots.get_mut(token as usize)
            && !held.queued
            && (held.sink.is_blocked() || held.paused || self.readers.behind(token).is_some())
        {
            held.queued = true;
            self.laggards.push_back(token);
        }
    }

    /// The channels that readers select by name and that are not the system's own: the first so many behind a name, sorted.
    pub(crate) fn named(&self, after: Option<&str>, most: usize) -> Vec<ChannelName> {
        let is_listed = |name: &&ChannelName| !name.is_reserved() && after.is_none_or(|after| name.as_str() > after);
        let mut first = BinaryHeap::new();
        for name in self.readers.channels().filter(is_listed) {
            if first.len() < most {
                first.push(name);
            } else if let Some(mut last) = first.peek_mut()
                && name < *last
            {
                *last = name;
            }
        }
        first.into_sorted_vec().into_iter().cloned().collect()
    }

    /// How many readers each of these channels has.
    pub(crate) fn count_readers(&self, channels: &[ChannelName]) -> Vec<usize> {
        channels.iter().map(|channel| self.readers.count_of(channel)).collect()
    }

    /// What this shard's readers cost on the wire.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.node.figures.shard(self.index).traffic
    }

    /// Connections and waiting tasks.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

/// A task's place among a shard's readers, given up when dropped.
pub(crate) struct Waiter {
    shard: SharedShard,
    token: Token,
    woken: oneshot::Receiver<Vec<Arc<Entry>>>,
}

impl Waiter {
    pub(crate) fn new(shard: &SharedShard, selection: Arc<Selection>, place: Place, identity: &Identity) -> Waiter {
        let (token, woken) = shard.borrow_mut().wait(selection, place, identity);
        Waiter { shard: shard.clone(), token, woken }
    }

    /// Returns once something is due to the reader, or the shard drains: the events that are due, which an ephemeral
    /// channel has nowhere else. Without any, the reader is to look into the log.
    pub(crate) async fn woken(&mut self) -> Vec<Arc<Entry>> {
        (&mut self.woken).await.unwrap_or_default()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Once woken, the token is another's.
        if !self.woken.is_terminated() && matches!(self.woken.try_recv(), Err(TryRecvError::Empty)) {
            self.shard.borrow_mut().remove(self.token);
        }
    }
}

#[cfg(test)]
mod tests;
