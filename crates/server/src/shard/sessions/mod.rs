//! The sessions of a shard: the driver of [`switchboard_hub::session`].
//!
//! - [`down`]: what goes down, in the order of the session's script, and who takes it;
//! - [`link`]: connections and polls that come and go;
//! - [`methods`]: what clients call; [`publish`] and [`presence`]: some of them;
//! - [`change`]: how what a session reads changes, in step with what it is told;
//! - [`application`]: what goes to the application, and comes back;
//! - [`asked`]: what others ask of a session.
//!
//! A session is taken out of the table while something is done with it ([`Shard::with`]), so that it and the shard can both
//! be at hand.

mod application;
mod asked;
mod change;
mod down;
mod link;
mod methods;
mod presence;
mod publish;

pub(crate) use application::Errand;

use super::Shard;
use crate::auth::Identity;
use crate::limits::Seats;
use crate::limits::bucket::Allowance;
use crate::limits::transit::{FREE, Load};
use crate::session::{Id, Key, Location, Opened, Opener, Outcome, Reply, opening};
use application::Line;
use change::Joining;
use link::Link;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchboard_hub::Token;
use switchboard_hub::presence::Profile;
use switchboard_hub::session::{Happening, Known, Script, Session, Walk};
use switchboard_store::Entry;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{Json, Params};

/// How long before its token expires a client is told.
const EXPIRING: u64 = 60_000;
/// Sessions that are looked at in one turn.
const LOOKS: usize = 256;
/// Looks that are kept without asking whether they are still wanted.
const DUE_MIN: usize = 64;

/// The sessions of one shard.
pub(super) struct Sessions {
    all: HashMap<u64, Box<Conversation>>,
    /// Which session a connection or poll is of.
    links: HashMap<Token, Linked>,
    /// Messages up that are applied, once what follows from them is done.
    applied: Vec<Reply<Option<u64>>>,
    /// How far the ring was delivered for the session at hand, if it was; or how far it is to read the log, if it is behind.
    delivered: Option<u64>,
    /// Events that the poll of a session at hand was due meanwhile.
    handed: Vec<Arc<Entry>>,
    /// When to look at which session. What is no longer so is passed over.
    due: BinaryHeap<Reverse<(u64, u64)>>,
    errands: Vec<Errand>,
    started: Instant,
}

/// What a connection is of.
struct Linked {
    session: u64,
    /// The last control message that was sent on it.
    sent: u64,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions {
            all: HashMap::new(),
            links: HashMap::new(),
            applied: Vec::new(),
            delivered: None,
            handed: Vec::new(),
            due: BinaryHeap::new(),
            errands: Vec::new(),
            started: Instant::now(),
        }
    }
}

impl Sessions {
    /// Milliseconds of a clock that does not go back.
    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// The session that a connection or poll is of.
    fn of(&self, token: Token) -> Option<u64> {
        self.links.get(&token).map(|linked| linked.session)
    }

    fn link(&mut self, token: Token, conversation: &Conversation) {
        self.links.insert(token, Linked { session: conversation.id.number, sent: conversation.sent });
    }

    /// Looks that are no longer wanted must not be kept for as long as tokens last.
    fn tidy(&mut self) {
        if self.due.len() > DUE_MIN && self.due.len() > 4 * self.all.len() {
            let all = &self.all;
            self.due.retain(|Reverse((at, number))| all.get(number).is_some_and(|one| one.due == Some(*at)));
        }
    }

    /// When some session wants a look.
    pub(super) fn next(&self) -> Option<Instant> {
        let Reverse((at, _)) = self.due.peek()?;
        Some(self.started + Duration::from_millis(*at))
    }
}

/// One session: its core, and what the server has to do with it.
struct Conversation {
    id: Id,
    key: Key,
    session: Session,
    script: Script,
    identity: Identity,
    allowance: Allowance,
    /// What it takes up of limits, as long as it is there; then as long as the socket of its last connection.
    seats: Seats,
    /// Where it was opened from.
    address: IpAddr,
    /// What it shows of itself to others on its channels.
    profile: Arc<Profile>,
    link: Link,
    /// Where the present connection is in the script.
    walk: Walk,
    /// The last control message that was sent on it.
    sent: u64,
    /// The last one that a ping asked after.
    asked: u64,
    /// Where the last page left the client, if that was not in the midst of a past: whoever has its place has all of it.
    left_at: Option<Known>,
    /// Messages up that are held for their turn.
    held: BTreeMap<u64, Vec<Reply<Option<u64>>>>,
    /// Our calls, by their numbers.
    calls: BTreeMap<u64, Reply<Outcome>>,
    /// Changes of what is read that come with answers that have yet to leave.
    joining: Option<Box<Joining>>,
    /// What the application is asked about, one after the other.
    line: Line,
    /// What it keeps takes so much of what may be on its way.
    load: Option<Box<Load>>,
    /// Whether its client has ended it.
    closed: bool,
    /// When it was opened, in milliseconds since the Unix epoch.
    opened: u64,
    /// The end of the token that the client was told of.
    warned: Option<u64>,
    due: Option<u64>,
}

impl Shard {
    /// What a session would be called, if one may be opened.
    pub(crate) fn name_session(&self) -> Result<Location, Problem> {
        self.has_room_for_a_session()?;
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|_| Code::Internal)?;
        let (number, key) = random.split_at(8);
        // Invariant: the halves are as long as that.
        let (number, key) = (number.try_into().unwrap_or_default(), key.try_into().unwrap_or_default());
        let id = Id { shard: self.index as u16, number: u64::from_le_bytes(number) };
        Ok(Location { id, key: Key::new(key) })
    }

    fn has_room_for_a_session(&self) -> Result<(), Problem> {
        match self.node.figures.sessions() < self.node.config.session.count.unwrap_or(self.node.connections.limit()) {
            true => Ok(()),
            false => Err(Code::Overloaded.because("as many sessions are open as `session.count` allows")),
        }
    }

    /// Opens a session of this name, and says where it is.
    pub(crate) fn open_session(&mut self, location: Location, opener: Opener) -> Result<Opened, Problem> {
        self.has_room_for_a_session()?;
        // What was shown may have been taken back since.
        self.node.auth.standing(&opener.identity, self.node.now())?;
        let Location { id, key } = location;
        let (mut script, opened) = (Script::new(self.node.log.head()), self.node.now());
        let mut conversation = Box::new(Conversation {
            id,
            key,
            session: Session::new(self.node.config.session.limits(), self.sessions.now()),
            walk: script.walk(None),
            script,
            profile: presence::profile(id, opened, &opener.identity),
            identity: opener.identity,
            allowance: opener.allowance,
            seats: opener.seats,
            address: opener.address,
            link: Link::None,
            sent: 0,
            asked: 0,
            left_at: None,
            held: BTreeMap::new(),
            calls: BTreeMap::new(),
            joining: None,
            line: Line::default(),
            load: None,
            closed: false,
            opened,
            warned: None,
            due: None,
        });
        let place = conversation.place(&self.node.log);
        self.schedule(&mut conversation);
        self.sessions.all.insert(id.number, conversation);
        self.node.figures.shard(self.index).session_opened();
        if !opener.subscriptions.is_empty() {
            self.with(id.number, |shard, conversation| shard.begin_with(conversation, opener.subscriptions));
        }
        Ok(Opened { location, place })
    }

    /// Does something with a session, and then whatever follows from it. `None` if it is not here.
    fn with<T>(&mut self, number: u64, what: impl FnOnce(&mut Shard, &mut Conversation) -> T) -> Option<T> {
        let mut conversation = self.sessions.all.remove(&number)?;
        self.sessions.delivered = None;
        let result = what(self, &mut conversation);
        if self.settle_session(&mut conversation) {
            self.schedule(&mut conversation);
            self.sessions.all.insert(number, conversation);
        }
        Some(result)
    }

    /// Acts on what has happened in a session and sends what there is to send. `false` if it has ended.
    fn settle_session(&mut self, conversation: &mut Conversation) -> bool {
        loop {
            while let Some(happening) = conversation.session.happening() {
                if let Happening::Ended(code) = happening {
                    self.ended(conversation, code);
                    return false;
                }
                self.happened(conversation, happening);
            }
            self.node.figures.shard(self.index).session_calls_refused(conversation.session.take_refused());
            self.say(conversation);
            // A connection that broke meanwhile could not find its session.
            if let Some(token) = conversation.link.token()
                && !self.sessions.links.contains_key(&token)
            {
                self.unlinked(conversation);
            }
            if conversation.session.is_quiet() {
                if self.has_room_for(conversation, 0) {
                    return true;
                }
                conversation.session.end(Code::SessionFull);
            }
        }
    }

    /// Whether what the session keeps for its client, and so much more, has room beside what all others keep and readers that
    /// stall have yet to take.
    fn has_room_for(&self, conversation: &mut Conversation, more: usize) -> bool {
        let kept = conversation.session.memory() + conversation.script.cost() + conversation.line.bytes();
        let kept = kept + conversation.selections() + more;
        match &mut conversation.load {
            // What is little is not counted.
            None if kept <= FREE => true,
            load => {
                let load = load.get_or_insert_with(|| Box::new(self.node.limits.transit.stalled.load()));
                let has_room = load.resize(kept).is_ok();
                conversation.load.take_if(|_| kept <= FREE);
                has_room
            }
        }
    }

    fn happened(&mut self, conversation: &mut Conversation, happening: Happening) {
        match happening {
            Happening::Called { ticket, method, params } => {
                if let Some(outcome) = self.call_method(conversation, Some(ticket), &method, params) {
                    conversation.session.answer(ticket, outcome);
                }
            }
            Happening::Notified { method, params } => {
                self.call_method(conversation, None, &method, params);
            }
            Happening::Answered { call, outcome } => conversation.reply(call, Ok(outcome)),
            Happening::Failed { call, problem } => conversation.reply(call, Err(problem)),
            Happening::Left { ticket, control } => {
                if let Some(change) = conversation.joined(ticket) {
                    let control = self.number_of(conversation, control, &change);
                    self.change(conversation, control, change);
                }
            }
            Happening::Applied { seq } => conversation.release(seq, None),
            Happening::Refused { seq, expected } => conversation.release(seq, Some(expected)),
            Happening::Ended(_) => {}
        }
    }

    /// The session is over. Whoever is connected is told.
    fn ended(&mut self, conversation: &mut Conversation, code: Code) {
        self.node.figures.shard(self.index).session_ended(code == Code::SessionFull);
        tracing::debug!(session = %conversation.id, code = code.row().name, "session ended");
        if self.node.denies(code) {
            let (code, who, peer) =
                (code.row().name, conversation.identity.to_string(), conversation.address.to_string());
            tracing::info!(target: "switchboard::audit", code, who, session = %conversation.id, peer, "a session ended");
        }
        self.part(conversation, code);
        self.leave_seats(conversation);
        self.close_link(conversation, code);
        self.go(conversation, &conversation.selection().channels);
    }

    /// A session that is over has its place until the socket of its connection is gone.
    fn leave_seats(&mut self, conversation: &mut Conversation) {
        if let Some(token) = conversation.link.token().filter(|token| self.sessions_have(*token)) {
            self.guests.keep(token, std::mem::take(&mut conversation.seats));
        }
    }

    /// A line for a call that is refused for who makes it, or for a limit.
    fn audit_call(&self, conversation: &Conversation, method: &str, code: Code) {
        if self.node.denies(code) {
            let (code, who, peer) =
                (code.row().name, conversation.identity.to_string(), conversation.address.to_string());
            let session = conversation.id;
            tracing::info!(target: "switchboard::audit", code, method, who, %session, peer, "a call was denied");
        }
    }

    /// Has a session looked at when it wants that.
    fn schedule(&mut self, conversation: &mut Conversation) {
        let now = self.sessions.now();
        let expires = conversation.identity.expires().map(|at| {
            let at = match conversation.warned == Some(at) {
                true => at,
                false => at.saturating_sub(EXPIRING),
            };
            // A little later than its millisecond begins, so that the look is not for nothing.
            now + at.saturating_sub(self.node.now()) + 1
        });
        let due = [conversation.session.deadline(), expires].into_iter().flatten().min();
        if let Some(due) = due
            && conversation.due.is_none_or(|before| due < before)
        {
            conversation.due = Some(due);
            self.sessions.due.push(Reverse((due, conversation.id.number)));
        }
    }

    /// Looks at the sessions whose time has come.
    pub(super) fn tick_sessions(&mut self) {
        for _ in 0..LOOKS {
            let Some(Reverse((at, number))) = self.sessions.due.peek().copied() else { return };
            if at > self.sessions.now() {
                break;
            }
            self.sessions.due.pop();
            if self.sessions.all.get(&number).is_some_and(|conversation| conversation.due == Some(at)) {
                self.with(number, |shard, conversation| {
                    conversation.due = None;
                    shard.look_at(conversation);
                });
            }
        }
        self.sessions.tidy();
    }

    fn look_at(&mut self, conversation: &mut Conversation) {
        conversation.session.tick(self.sessions.now());
        let Some(expires) = conversation.identity.expires() else { return };
        let now = self.node.now();
        if expires <= now {
            conversation.session.end(Code::TokenExpired);
        } else if expires - now <= EXPIRING && conversation.warned != Some(expires) {
            conversation.warned = Some(expires);
            conversation.notify("expiring", &serde_json::json!({ "expires": expires }));
        }
    }

    /// Ends the sessions that are no longer allowed what they are doing. Returns how many.
    pub(super) fn reconsider_sessions(&mut self) -> usize {
        let now = self.node.now();
        let numbers: Vec<u64> = self.sessions.all.keys().copied().collect();
        let mut ended = 0;
        for number in numbers {
            self.with(number, |shard, conversation| {
                let auth = &shard.node.auth;
                let stands = auth.standing(&conversation.identity, now);
                let may =
                    stands.and_then(|()| auth.allow_reading(&conversation.identity, conversation.script.selection()));
                if let Err(problem) = may {
                    ended += 1;
                    conversation.session.end(problem.code);
                }
            });
        }
        ended
    }

    /// What is to be done outside of the shard, where it may take its time.
    pub(crate) fn errands(&mut self) -> Vec<Errand> {
        std::mem::take(&mut self.sessions.errands)
    }
}

impl Conversation {
    fn location(&self) -> Location {
        Location { id: self.id, key: self.key }
    }

    fn reply(&mut self, call: u64, outcome: Result<Outcome, Problem>) {
        if let Some(reply) = self.calls.remove(&call) {
            // Who asked may have gone.
            let _ = reply.send(outcome);
        }
    }

    fn release(&mut self, seq: u64, expected: Option<u64>) {
        for reply in self.held.remove(&seq).unwrap_or_default() {
            let _ = reply.send(Ok(expected));
        }
    }

    /// Says something of the server's own.
    fn notify(&mut self, method: &str, params: &impl serde::Serialize) {
        if let Ok(json) = Json::of(params)
            && let Some(params) = Params::new(json)
        {
            // A session that has ended has nobody to tell.
            let _ = self.session.notify(method, params);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle session costs besides its connection and its reader.
    #[test]
    fn an_idle_session_is_one_block_of_at_most_896_bytes() {
        assert!(size_of::<Conversation>() <= 896, "{}", size_of::<Conversation>());
    }
}
