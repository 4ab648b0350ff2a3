//! Who listens to what, and from where on.
//!
//! The server keeps one subscription for a channel or pattern, however many listeners there are. Each listener has a
//! cursor of its own, so that one which begins earlier, or could not take what came, does not disturb the others:
//!
//! ```text
//!            asked            answered           caught up
//!  WANTED ----------> ASKED ----------> CATCHING ----------> LIVE
//!    ^  ^                                  |  too slow         |
//!    |  '---- drained ---- BEHIND <--------'-------------------'
//!    '------------------------- the session is lost -----------'
//! ```
//!
//! One subscription catches up at a time, or several that were asked for in one call. What comes meanwhile is for their
//! listeners alone, and those that are live wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use switchboard_wire::name::{BadName, ChannelName, Pattern, Selection};

/// Subscriptions that are asked for in one call: as many as a session may name unless it is configured otherwise.
const TOGETHER: usize = 128;

/// Names one listener, for ever.
pub type ListenerId = u64;

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// To be asked for, once this time has come.
    Wanted {
        since: Option<String>,
        from: u64,
    },
    Asked {
        since: Option<String>,
    },
    Catching,
    Live,
    /// It could not take what came. Its cursor waits until it can.
    Behind {
        since: String,
    },
}

#[derive(Debug)]
struct Listener {
    channel: Arc<str>,
    presence: bool,
    state: State,
    /// The server has granted it once.
    granted: bool,
    /// It is to be asked for alone: together with others it was refused.
    alone: bool,
}

/// Those who listen to one name or pattern.
#[derive(Debug)]
struct Group {
    /// `None` where it is a name.
    pattern: Option<Pattern>,
    listeners: Vec<ListenerId>,
}

/// The subscription that is being made.
#[derive(Debug)]
struct Current {
    channels: Vec<Arc<str>>,
    call: u64,
    answered: bool,
}

/// Subscriptions to ask the server for in one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ask {
    pub(super) channels: Vec<Arc<str>>,
    pub(super) since: Option<String>,
    pub(super) presence: bool,
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    last: ListenerId,
    listeners: BTreeMap<ListenerId, Listener>,
    groups: BTreeMap<Arc<str>, Group>,
    /// Which of the groups are of patterns.
    patterns: BTreeSet<Arc<str>>,
    current: Option<Current>,
    /// While one catches up: where the others are.
    live_at: Option<String>,
}

impl Subscriptions {
    pub(super) fn add(&mut self, channel: &str, since: Option<String>, presence: bool) -> Result<ListenerId, BadName> {
        let mut selection = Selection::default();
        selection.add(channel)?;
        let channel: Arc<str> = channel.into();
        self.last += 1;
        let pattern = selection.patterns.into_iter().next();
        if pattern.is_some() {
            self.patterns.insert(channel.clone());
        }
        let group = self.groups.entry(channel.clone()).or_insert(Group { pattern, listeners: Vec::new() });
        group.listeners.push(self.last);
        let state = State::Wanted { since, from: 0 };
        self.listeners.insert(self.last, Listener { channel, presence, state, granted: false, alone: false });
        Ok(self.last)
    }

    /// Nobody listens there any more. Gives the channel that the server need not send from now on.
    pub(super) fn remove(&mut self, id: ListenerId) -> Option<Arc<str>> {
        let listener = self.listeners.remove(&id)?;
        let group = self.groups.get_mut(&listener.channel)?;
        group.listeners.retain(|each| *each != id);
        if group.listeners.is_empty() {
            self.groups.remove(&listener.channel);
            self.patterns.remove(&listener.channel);
        }
        self.idle(listener.channel, &listener.state)
    }

    /// It could not take what came after this position. Gives the channel that the server need not send from now on.
    pub(super) fn behind(&mut self, id: ListenerId, since: String) -> Option<Arc<str>> {
        let listener = self.listeners.get_mut(&id)?;
        if !matches!(listener.state, State::Catching | State::Live) {
            return None;
        }
        let state = std::mem::replace(&mut listener.state, State::Behind { since });
        let channel = listener.channel.clone();
        self.idle(channel, &state)
    }

    /// It can take more.
    pub(super) fn drained(&mut self, id: ListenerId) {
        if let Some(listener) = self.listeners.get_mut(&id)
            && let State::Behind { since } = &listener.state
        {
            listener.state = State::Wanted { since: Some(since.clone()), from: 0 };
        }
    }

    /// The channel, if the one who left it was in this state and the last to be served.
    fn idle(&self, channel: Arc<str>, left: &State) -> Option<Arc<str>> {
        let was_served = matches!(left, State::Asked { .. } | State::Catching | State::Live);
        (was_served && !self.is_served(&channel)).then_some(channel)
    }

    fn is_served(&self, channel: &str) -> bool {
        self.of(channel).any(|listener| matches!(listener.state, State::Asked { .. } | State::Catching | State::Live))
    }

    fn of(&self, channel: &str) -> impl Iterator<Item = &Listener> {
        let listeners = self.groups.get(channel).map(|group| group.listeners.as_slice()).unwrap_or_default();
        listeners.iter().filter_map(|id| self.listeners.get(id))
    }

    /// What to ask for next. What is wanted from the same position on is asked for together, as all is after a session
    /// was lost.
    pub(super) fn next_ask(&mut self, call: u64, now: u64) -> Option<Ask> {
        if self.current.is_some() {
            return None;
        }
        let due = |listener: &&Listener| matches!(&listener.state, State::Wanted { from, .. } if *from <= now);
        let first = self.listeners.values().find(due)?;
        let State::Wanted { since, .. } = first.state.clone() else { return None };
        let mut channels = vec![first.channel.clone()];
        let presence = self.with_presence(&first.channel);
        if since.is_some() && !first.alone {
            for listener in self.listeners.values().filter(due) {
                let is_same = matches!(&listener.state, State::Wanted { since: other, .. } if *other == since)
                    && self.with_presence(&listener.channel) == presence;
                if is_same && !listener.alone && !channels.contains(&listener.channel) && channels.len() < TOGETHER {
                    channels.push(listener.channel.clone());
                }
            }
        }
        for id in channels.iter().filter_map(|channel| self.groups.get(channel)).flat_map(|group| &group.listeners) {
            if let Some(listener) = self.listeners.get_mut(id)
                && matches!(&listener.state, State::Wanted { since: other, .. } if *other == since)
            {
                listener.state = State::Asked { since: since.clone() };
            }
        }
        self.current = Some(Current { channels: channels.clone(), call, answered: false });
        Some(Ask { channels, since, presence })
    }

    /// Whether somebody there hears who comes and goes.
    fn with_presence(&self, channel: &str) -> bool {
        self.of(channel).any(|listener| listener.presence)
    }

    /// When one is to be asked for that has to wait until then.
    pub(super) fn deadline(&self, now: u64) -> Option<u64> {
        if self.current.is_some() {
            return None;
        }
        let from = |listener: &Listener| match listener.state {
            State::Wanted { from, .. } => Some(from),
            _ => None,
        };
        self.listeners.values().filter_map(from).filter(|from| *from > now).min()
    }

    /// The call is answered: catching up begins, while the others stay at `live`. Gives who is served from now on, and
    /// whether for the first time; and since when.
    pub(super) fn granted(&mut self, call: u64, live: &str) -> (Vec<(ListenerId, bool)>, Option<String>) {
        let Some(current) = self.current.as_mut().filter(|current| current.call == call) else {
            return (Vec::new(), None);
        };
        current.answered = true;
        self.live_at = Some(live.to_owned());
        let (mut granted, mut since) = (Vec::new(), None);
        for id in self.asked() {
            let Some(listener) = self.listeners.get_mut(&id) else { continue };
            if let State::Asked { since: asked } = std::mem::replace(&mut listener.state, State::Catching) {
                since = asked;
            }
            granted.push((id, !std::mem::replace(&mut listener.granted, true)));
        }
        (granted, since)
    }

    /// The call is refused. Gives who is to be told; those that had it before ask again at `again`, if there is a point.
    pub(super) fn refused(&mut self, call: u64, again: Option<u64>) -> Vec<ListenerId> {
        if self.current.as_ref().is_none_or(|current| current.call != call) {
            return Vec::new();
        }
        let asked = self.asked();
        let were_several = self.current.take().is_some_and(|current| current.channels.len() > 1);
        let mut told = Vec::new();
        for id in asked {
            let Some(listener) = self.listeners.get_mut(&id) else { continue };
            match (&listener.state, again) {
                (State::Asked { since }, _) if were_several => {
                    listener.alone = true;
                    listener.state = State::Wanted { since: since.clone(), from: again.unwrap_or(0) };
                }
                (State::Asked { since }, Some(from)) if listener.granted => {
                    listener.state = State::Wanted { since: since.clone(), from };
                }
                _ => told.push(id),
            }
        }
        told
    }

    fn asked(&self) -> Vec<ListenerId> {
        let is_asked = |id: &&ListenerId| {
            self.listeners.get(id).is_some_and(|listener| matches!(listener.state, State::Asked { .. }))
        };
        let channels = self.current.iter().flat_map(|current| &current.channels);
        let groups = channels.filter_map(|channel| self.groups.get(channel));
        groups.flat_map(|group| &group.listeners).filter(is_asked).copied().collect()
    }

    /// Catching up with these is over: those who did are live. Nothing happens if it is not these that catch up.
    pub(super) fn caught_up(&mut self, channels: &[&str]) {
        let catching = self.catching();
        if catching.is_empty() || !catching.iter().all(|channel| channels.contains(&&**channel)) {
            return;
        }
        (self.current, self.live_at) = (None, None);
        for listener in self.listeners.values_mut().filter(|listener| listener.state == State::Catching) {
            listener.state = State::Live;
            listener.alone = false;
        }
    }

    /// What is catching up.
    pub(super) fn catching(&self) -> &[Arc<str>] {
        let current = self.current.as_ref().filter(|current| current.answered);
        current.map(|current| current.channels.as_slice()).unwrap_or_default()
    }

    /// Who is to hear what the server says of a channel, or of all; or of who comes and goes there.
    pub(super) fn hearing(&self, channel: Option<&str>, presence: bool) -> Vec<ListenerId> {
        let state = if self.catching().is_empty() { State::Live } else { State::Catching };
        let hears = |id: &&ListenerId| {
            self.listeners.get(id).is_some_and(|listener| listener.state == state && (listener.presence || !presence))
        };
        let Some(channel) = channel else {
            return self.groups.values().flat_map(|group| &group.listeners).filter(hears).copied().collect();
        };
        let mut hearing = Vec::new();
        if let Some(group) = self.groups.get(channel) {
            hearing.extend(group.listeners.iter().filter(hears));
        }
        if !self.patterns.is_empty()
            && let Ok(name) = ChannelName::new(channel)
        {
            let groups = self.patterns.iter().filter_map(|pattern| self.groups.get(pattern));
            let matching = |group: &&Group| group.pattern.as_ref().is_some_and(|pattern| pattern.matches(&name));
            hearing.extend(groups.filter(matching).flat_map(|group| &group.listeners).filter(hears));
        }
        hearing
    }

    /// Whether the listener listens to this channel alone.
    pub(super) fn is_of(&self, id: ListenerId, channel: &str) -> bool {
        self.listeners.get(&id).is_some_and(|listener| &*listener.channel == channel)
    }

    /// The session is lost, at this position: everything is to be asked for again.
    pub(super) fn lost(&mut self, position: &str) {
        let live = self.live_at.take().unwrap_or_else(|| position.to_owned());
        self.current = None;
        let since = |position: &str| Some(position.to_owned()).filter(|position| !position.is_empty());
        for listener in self.listeners.values_mut() {
            let since = match &listener.state {
                State::Asked { since } => since.clone(),
                State::Catching => since(position),
                State::Live => since(&live),
                State::Wanted { .. } | State::Behind { .. } => continue,
            };
            listener.state = State::Wanted { since, from: 0 };
        }
    }
}
