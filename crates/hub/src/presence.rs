//! Who is on a channel.
//!
//! A *member* of a channel is a user, with however many sessions, or a session without a user. It comes with its first
//! session and goes when it has had none for a while, so that a reload or a change of networks is no news:
//!
//! ```text
//!                 first session                     its last session leaves
//!    (not there) ---------------> PRESENT, told  <---------------------------> LEAVING
//!         ^                        of a join         another session comes        |
//!         '------------------------------------- none came for `debounce`: told of a leave
//! ```
//!
//! What is listed, what is counted and what is told are the same members, so that whoever has the list and hears the
//! notices knows who is there. A member that is leaving is there until it has left.
//!
//! What is kept is in proportion to the sessions that are there, and there is nothing else: once all have gone, there is
//! nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use switchboard_wire::jsonrpc::Json;
use switchboard_wire::limits::INFO_MAX;
use switchboard_wire::presence::Member as Shown;
use switchboard_wire::{ChannelName, Pattern};

/// How much is kept of who is on a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Track {
    /// How many are there, and not who: nobody is listed, and nobody told who comes and goes.
    Count,
    /// Who is there.
    Members,
}

/// What is kept of which channel. The first pattern that selects a channel decides; what none selects is not kept track
/// of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tracking {
    /// `None` turns it off.
    pub rules: Vec<(Pattern, Option<Track>)>,
}

impl Tracking {
    pub fn of(&self, channel: &ChannelName) -> Option<Track> {
        self.rules.iter().find(|(pattern, _)| pattern.matches(channel)).and_then(|(_, track)| *track)
    }
}

/// A session, and what it shows of itself to those that it shares a channel with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// When it was opened, and a number that no other session has.
    id: (u64, u64),
    session: Box<str>,
    user: Option<Arc<str>>,
    info: Option<Json<'static>>,
}

impl Profile {
    /// The session that was opened at a time, has a number that no other has, and is publicly called `session`.
    pub fn new(opened: u64, number: u64, session: &str, user: Option<&str>) -> Profile {
        Profile { id: (opened, number), session: session.into(), user: user.map(Into::into), info: None }
    }

    /// It shows this as well. `None` if that has more than [`INFO_MAX`] bytes.
    pub fn with_info(self, info: Json<'_>) -> Option<Profile> {
        (info.as_str().len() <= INFO_MAX).then(|| Profile { info: Some(info.into_owned()), ..self })
    }

    pub fn shown(&self) -> Shown<'_> {
        Shown { session: &self.session, user: self.user.as_deref(), info: self.info.as_ref() }
    }

    fn who(&self) -> Who {
        self.user.clone().map_or(Who::Session(self.id), Who::User)
    }
}

/// What a member is known by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Who {
    User(Arc<str>),
    Session((u64, u64)),
}

/// What has happened, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A member has come, or shows something else of itself than before.
    Joined(ChannelName, Arc<Profile>),
    Left(ChannelName, Arc<Profile>),
    /// The channel has its first member.
    Occupied(ChannelName),
    /// The last member of the channel has left.
    Vacated(ChannelName),
}

/// How many there are, over all channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Channels with a member.
    pub channels: usize,
    /// Members, once for each channel that they are on.
    pub members: usize,
    /// Those of which something is to be told when its time comes.
    pub due: usize,
}

#[derive(Debug)]
struct Member {
    /// Its sessions on the channel: the one that was opened first stands for it.
    sessions: Vec<Arc<Profile>>,
    /// How those who hear of it know it.
    known: Arc<Profile>,
    /// When they were last told.
    told: u64,
    /// When something is to be told of it.
    due: Option<u64>,
}

impl Member {
    fn place_of(&self, id: (u64, u64)) -> Result<usize, usize> {
        self.sessions.binary_search_by(|session| session.id.cmp(&id))
    }
}

/// The members of one channel.
#[derive(Debug)]
pub struct Crowd {
    track: Track,
    members: BTreeMap<Who, Member>,
}

impl Crowd {
    pub fn track(&self) -> Track {
        self.track
    }

    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Sorted by user, then those without one.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.members.values().map(|member| member.sessions.first().unwrap_or(&member.known))
    }
}

/// Who is on which channel.
#[derive(Debug)]
pub struct Presence {
    debounce: u64,
    due_max: usize,
    channels: BTreeMap<ChannelName, Crowd>,
    /// Of whom something is to be told, and when.
    due: BTreeSet<(u64, ChannelName, Who)>,
    members: usize,
    changes: VecDeque<Change>,
}

impl Presence {
    /// Nobody. `debounce`, in milliseconds, is how long a member that has left may take to come back unnoticed, and how
    /// long it stays as it is once it showed something else of itself. At most `due_max` such changes wait: beyond that,
    /// those that have waited longest are told at once.
    pub fn new(debounce: u64, due_max: usize) -> Presence {
        Presence {
            debounce,
            due_max,
            channels: BTreeMap::new(),
            due: BTreeSet::new(),
            members: 0,
            changes: VecDeque::new(),
        }
    }

    /// The next thing that has happened. To be asked for after each call, until there is nothing.
    pub fn change(&mut self) -> Option<Change> {
        let change = self.changes.pop_front();
        if change.is_none() {
            self.changes = VecDeque::new();
        }
        change
    }

    /// A session is on a channel from now on, or shows something else of itself there.
    pub fn join(&mut self, channel: &ChannelName, track: Track, profile: &Arc<Profile>, now: u64) {
        let Presence { channels, changes, members, .. } = self;
        let who = profile.who();
        let here = channels.entry(channel.clone()).or_insert_with(|| {
            changes.push_back(Change::Occupied(channel.clone()));
            Crowd { track, members: BTreeMap::new() }
        });
        match here.members.get_mut(&who) {
            Some(member) => match member.place_of(profile.id) {
                Ok(place) => member.sessions[place] = profile.clone(),
                Err(place) => member.sessions.insert(place, profile.clone()),
            },
            None => {
                *members += 1;
                let sessions = vec![profile.clone()];
                here.members.insert(who, Member { sessions, known: profile.clone(), told: now, due: None });
                if here.track == Track::Members {
                    changes.push_back(Change::Joined(channel.clone(), profile.clone()));
                }
                return;
            }
        }
        self.review(channel, who, now);
    }

    /// A session is not on a channel any longer.
    pub fn leave(&mut self, channel: &ChannelName, profile: &Profile, now: u64) {
        let who = profile.who();
        let Some(member) = self.channels.get_mut(channel).and_then(|here| here.members.get_mut(&who)) else { return };
        let Ok(place) = member.place_of(profile.id) else { return };
        member.sessions.remove(place);
        if member.sessions.is_empty() {
            member.sessions = Vec::new();
        }
        self.review(channel, who, now);
    }

    /// When [`Presence::tick`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        self.due.first().map(|(due, ..)| *due)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: u64) {
        while self.deadline().is_some_and(|due| due <= now) {
            self.settle_first(now);
        }
    }

    /// Who is on a channel; `None` if nobody is.
    pub fn on(&self, channel: &ChannelName) -> Option<&Crowd> {
        self.channels.get(channel)
    }

    pub fn totals(&self) -> Totals {
        Totals { channels: self.channels.len(), members: self.members, due: self.due.len() }
    }

    /// Decides when something is to be told of a member whose sessions have changed, if anything is.
    fn review(&mut self, channel: &ChannelName, who: Who, now: u64) {
        let Some(here) = self.channels.get_mut(channel) else { return };
        let Some(member) = here.members.get_mut(&who) else { return };
        let due = match member.sessions.first() {
            None => Some(now.saturating_add(self.debounce)),
            Some(first) if first.info == member.known.info || here.track == Track::Count => {
                member.known = first.clone();
                None
            }
            Some(_) => Some(member.told.saturating_add(self.debounce)),
        };
        if let Some(before) = std::mem::replace(&mut member.due, due) {
            self.due.remove(&(before, channel.clone(), who.clone()));
        }
        if let Some(due) = due {
            self.due.insert((due, channel.clone(), who));
        }
        // What was due by now would have been told before this, but for what has just become due.
        self.tick(now);
        while self.due.len() > self.due_max {
            self.settle_first(now);
        }
    }

    /// Tells what is due first.
    fn settle_first(&mut self, now: u64) {
        let Some((_, channel, who)) = self.due.pop_first() else { return };
        let Some(here) = self.channels.get_mut(&channel) else { return };
        let Some(member) = here.members.get_mut(&who) else { return };
        if let Some(first) = member.sessions.first() {
            (member.known, member.told, member.due) = (first.clone(), now, None);
            self.changes.push_back(Change::Joined(channel, first.clone()));
            return;
        }
        if let Some(member) = here.members.remove(&who) {
            self.members -= 1;
            if here.track == Track::Members {
                self.changes.push_back(Change::Left(channel.clone(), member.known));
            }
        }
        if here.members.is_empty() {
            self.channels.remove(&channel);
            self.changes.push_back(Change::Vacated(channel));
        }
    }
}

#[cfg(test)]
#[path = "presence_tests.rs"]
mod tests;
