//! Changes of what a session reads.
//!
//! A change is a step of the session's script: it comes about with a control message, that of the answer to its call where there
//! is one, so that a client knows from its place what it reads.

use super::super::Shard;
use super::Conversation;
use super::down::names;
use super::link::Link;
use super::methods::ordinary;
use std::sync::Arc;
use switchboard_hub::session::Step;
use switchboard_hub::{Place, cost};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::name::Selection;
use switchboard_wire::presence::notices_of;

/// Steps of a script that a client may leave unacknowledged.
const STEPS: usize = 1024;
/// What part of a session's memory they may take besides.
const PART: usize = 4;

/// What a session keeps of a name besides its text.
const NAME: usize = 48;

/// A change of what a session reads, which comes about when its answer leaves.
pub(super) enum Change {
    /// Read this too, from there on, and hear these notices of who comes and goes.
    Add {
        selection: Arc<Selection>,
        from: Place,
        notices: Selection,
    },
    Remove {
        texts: Vec<String>,
    },
    /// Pass over the event of this number, which the session has published itself.
    Skip(u64),
}

/// Changes that come with answers that have yet to leave.
pub(super) struct Joining {
    /// Each with the ticket of its call.
    changes: Vec<(u64, Change)>,
    /// What is read once all of them have come about: kept, so that many calls at once do not look through each other's.
    after: Arc<Selection>,
}

impl Change {
    /// What is read after it.
    fn applied_to(&self, before: &Arc<Selection>) -> Arc<Selection> {
        match self {
            Change::Add { selection, notices, .. } => Arc::new(with(&with(before, selection), notices)),
            Change::Remove { texts } => {
                // They were read before.
                let removed = ordinary(texts).unwrap_or_default();
                Arc::new(before.without(&removed).without(&notices_of(&removed)))
            }
            Change::Skip(_) => before.clone(),
        }
    }

    /// What a client is told of it where no answer does.
    fn told(&self) -> (&'static str, Vec<String>) {
        match self {
            Change::Add { selection, .. } => ("subscribed", names(selection)),
            Change::Remove { texts } => ("unsubscribed", texts.clone()),
            Change::Skip(_) => ("", Vec::new()),
        }
    }
}

impl Shard {
    /// The number of the control message that a change comes with: that of its answer, unless that is another's as well
    /// whose past comes first. Then the client is told of it besides.
    pub(super) fn number_of(&mut self, conversation: &mut Conversation, answer: u64, change: &Change) -> u64 {
        if conversation.script.taken().is_none_or(|taken| taken < answer) {
            return answer;
        }
        let (method, channels) = change.told();
        let position = match change {
            Change::Add { from, .. } => from.cursor,
            _ => self.present(conversation),
        };
        let position = self.node.log.position(position).to_string();
        conversation.notify(method, &serde_json::json!({ "channel": channels, "position": position }));
        conversation.session.last_control()
    }

    /// Brings a change about: with the answer to its call, or where there is none at once.
    pub(super) fn change_with(&mut self, conversation: &mut Conversation, ticket: Option<u64>, change: Change) {
        match ticket {
            Some(ticket) => conversation.join(ticket, change),
            None => {
                // What is given up counts until all of those have left, one of which may yet bring it.
                if let (Some(joining), Change::Add { .. }) = (&mut conversation.joining, &change) {
                    joining.after = change.applied_to(&joining.after);
                }
                self.change(conversation, conversation.session.last_control() + 1, change);
            }
        }
    }

    /// Delivers to a session what the ring holds, so that a change of what it reads comes after that.
    pub(super) fn catch_up_with_ring(&mut self, conversation: &mut Conversation) {
        if let Some(token) = conversation.link.token()
            && self.sessions.delivered.is_none()
        {
            self.deliver_ahead(token);
            let live = self.readers.behind(token).is_none();
            let reached = self.readers.cursor(token).filter(|_| live);
            self.sessions.delivered = Some(reached.unwrap_or_else(|| self.node.log.head()));
            self.take_handed(conversation);
        }
    }

    /// Answers a session's poll with what it was due while the session was at hand.
    fn take_handed(&mut self, conversation: &mut Conversation) {
        let handed = std::mem::take(&mut self.sessions.handed);
        if !handed.is_empty() {
            self.answer_poll(conversation, &handed);
        }
    }

    /// Where a session's events are at present.
    pub(super) fn present(&self, conversation: &Conversation) -> u64 {
        let now = match conversation.link.token() {
            Some(token) => {
                let reached = self.readers.cursor(token).max(self.sessions.delivered).unwrap_or(0);
                reached.max(self.readers.position())
            }
            None => self.node.log.head(),
        };
        let reached = if conversation.is_at_end() { conversation.walk.place.cursor } else { 0 };
        now.max(reached).max(conversation.script.end())
    }

    /// Makes a change part of the script: it comes with the control message of this number.
    pub(super) fn change(&mut self, conversation: &mut Conversation, control: u64, change: Change) {
        if let Some(token) = conversation.link.token() {
            self.deliver_due(token);
            self.take_handed(conversation);
        }
        if let Link::Held { token, .. } = conversation.link
            && conversation.is_at_end()
        {
            conversation.walk.place = self.reader_place(token);
        }
        let present = self.present(conversation);
        let before = conversation.selection().clone();
        let selection = change.applied_to(&before);
        let (at, past, onward) = match change {
            Change::Add { selection: added, from, .. } => {
                let at = present.max(from.cursor).max(from.floor);
                (at, Some((added, from)), at)
            }
            Change::Remove { .. } => (present, None, present),
            Change::Skip(seq) => (seq - 1, None, seq),
        };
        self.occupy(Some(conversation.selection()), Some(&selection));
        conversation.script.add(Step { control, at, past, onward, selection });
        let after = &conversation.selection().channels;
        let (gone, come) = (apart_from(&before.channels, after), apart_from(after, &before.channels));
        if let Some(token) = conversation.link.token() {
            self.place_reader(conversation, token);
        }
        // Now that it would hear of itself.
        self.go(conversation, &gone);
        self.come(conversation, &come);
    }
}

impl Conversation {
    fn join(&mut self, ticket: u64, change: Change) {
        let after = change.applied_to(self.wanted());
        let mut joining =
            self.joining.take().unwrap_or_else(|| Box::new(Joining { changes: Vec::new(), after: after.clone() }));
        joining.changes.push((ticket, change));
        joining.after = after;
        self.joining = Some(joining);
    }

    /// The change that comes with the answer to a call, which leaves now.
    pub(super) fn joined(&mut self, ticket: u64) -> Option<Change> {
        let joining = self.joining.as_mut()?;
        let at = joining.changes.iter().position(|(of, _)| *of == ticket)?;
        let (_, change) = joining.changes.remove(at);
        self.joining.take_if(|joining| joining.changes.is_empty());
        Some(change)
    }

    fn joining(&self) -> &[(u64, Change)] {
        self.joining.as_ref().map_or(&[], |joining| &joining.changes)
    }

    /// What it reads once the changes that come with answers yet to leave have come about.
    pub(super) fn wanted(&self) -> &Arc<Selection> {
        self.joining.as_ref().map_or_else(|| self.selection(), |joining| &joining.after)
    }

    /// Bytes that it keeps for what it reads, and is about to.
    pub(super) fn selections(&self) -> usize {
        let joining = self.joining().iter().map(|(_, change)| match change {
            Change::Add { selection, notices, .. } => kept(selection) + kept(notices),
            Change::Remove { .. } | Change::Skip(_) => 0,
        });
        kept(self.selection()) + joining.sum::<usize>()
    }

    pub(super) fn has_room(&self, memory: usize) -> Result<(), Problem> {
        match self.script.len() + self.joining().len() < STEPS && self.script.cost() <= memory / PART {
            true => Ok(()),
            false => Err(Code::Overloaded.because("too many changes have yet to be acknowledged")),
        }
    }
}

/// Bytes that a session keeps for what it selects, also while nobody is connected: patterns, and the texts of names. What names
/// take besides is counted for all who read.
pub(super) fn kept(selection: &Selection) -> usize {
    cost(selection) + selection.channels.iter().map(|name| NAME + name.as_str().len()).sum::<usize>()
}

/// What one selects, and another.
pub(super) fn with(one: &Selection, other: &Selection) -> Selection {
    let mut both = one.clone();
    both.channels.extend(other.channels.iter().filter(|name| !one.channels.contains(name)).cloned());
    both.patterns.extend(other.patterns.iter().filter(|pattern| !one.patterns.contains(pattern)).cloned());
    both
}

/// What is in the first list alone.
fn apart_from<T: Clone + PartialEq>(one: &[T], other: &[T]) -> Vec<T> {
    one.iter().filter(|item| !other.contains(item)).cloned().collect()
}
