//! What a session is read from the log, and how that goes together with its control messages.
//!
//! A session's way down is a play with a *script*: so far it was read these channels, up to here; then came this control
//! message; from there on it reads those. Whoever takes the session up again gets what they miss of it word by word, from
//! any place in it: the log has the events, the session the control messages, and the script says how they were dealt.
//!
//! ```text
//!     events of the selection    step: control 7     the past of    events of the new selection
//!     ──────────────────────► at 120 ─────────────► what was added ─────────────────────────────► …
//!            the base                                from 80 to 120
//! ```
//!
//! While a client reads the past of what it added, its position is in the past as well, though all else has come up to the
//! step. That is no riddle to who knows the script: a position up to that of the newest step whose control message arrived
//! is one in that step's past.

use crate::Place;
use std::collections::VecDeque;
use std::sync::Arc;
use switchboard_wire::name::Selection;

/// A turn in what is read.
#[derive(Clone, Debug)]
pub struct Step {
    /// The control message that comes here.
    pub control: u64,
    /// The events up to here come before it.
    pub at: u64,
    /// What is added, and read from this place up to here after it. It may be that there is nothing to read there.
    pub past: Option<(Arc<Selection>, Place)>,
    /// Where reading goes on: `at`, or past events that this session is not to hear.
    pub onward: u64,
    /// What is read from there on.
    pub selection: Arc<Selection>,
}

/// What a client is known to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    pub control: u64,
    pub position: u64,
    /// Whether it is known to have read the past of what it added last, to its end. A place alone does not say, where that
    /// end is the last event of the past.
    pub caught_up: bool,
}

impl Known {
    /// Whether the client may still be in the past of the last step that it came to.
    fn is_in_past_of(&self, step: &Step) -> bool {
        step.past.is_some() && !self.caught_up && self.position <= step.at
    }
}

/// What a session reads, from what its client is known to have on.
#[derive(Debug)]
pub struct Script {
    base: (Arc<Selection>, Place),
    steps: VecDeque<Step>,
    /// How many steps there were before those that are kept.
    done: u64,
}

/// What a step takes besides its selection, near enough to bound it by, what each name of that takes, and what a name takes
/// that the step has added, besides its text.
const STEP: usize = 96;
const NAME: usize = 24;
const ADDED: usize = 48;

/// Where a connection is in a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walk {
    /// Steps that lie behind it.
    step: u64,
    /// In the past of the last of them.
    in_past: bool,
    pub place: Place,
}

/// What a connection is to read next.
#[derive(Clone, Debug)]
pub struct Piece {
    pub selection: Arc<Selection>,
    pub place: Place,
    /// How far; `None` if it goes on as things happen.
    pub upto: Option<u64>,
}

impl Script {
    /// Of a session that reads nothing yet.
    pub fn new(position: u64) -> Script {
        Script { base: (Arc::default(), Place::at(position)), steps: VecDeque::new(), done: 0 }
    }

    /// What is read after all steps.
    pub fn selection(&self) -> &Arc<Selection> {
        self.steps.back().map_or(&self.base.0, |step| &step.selection)
    }

    /// Bytes that the steps take, near enough: a selection that goes on from one to the next counts once.
    pub fn cost(&self) -> usize {
        let selections = std::iter::once(&self.base.0).chain(self.steps.iter().map(|step| &step.selection));
        let pairs = selections.zip(self.steps.iter());
        pairs
            .map(|(before, step)| {
                let names = if Arc::ptr_eq(before, &step.selection) { 0 } else { NAME * step.selection.len() };
                STEP + names + step.past.as_ref().map_or(0, |(added, _)| texts(added))
            })
            .sum()
    }

    /// The number of the last step's message, if that step has a past: another's message has to be another.
    pub fn taken(&self) -> Option<u64> {
        self.steps.back().filter(|step| step.past.is_some()).map(|step| step.control)
    }

    /// Adds a step at the end.
    pub fn add(&mut self, step: Step) {
        self.steps.push_back(step);
    }

    /// Where the last step leads on from: the next one is not before.
    pub fn end(&self) -> u64 {
        self.steps.back().map_or(self.base.1.cursor, |step| step.onward)
    }

    /// Steps that a client may yet have to be led through.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The client has so much, and will not ask for it again.
    pub fn acknowledge(&mut self, known: Known) {
        // Whoever has what comes after a step has come past it, though no message may have had its number.
        while let Some(step) = self.steps.front()
            && (step.control <= known.control || (step.past.is_none() && step.onward < known.position))
        {
            // Whoever has got to the next step has read all of this one's past.
            let is_last = self.steps.get(1).is_none_or(|next| next.control > known.control);
            if is_last && known.is_in_past_of(step) {
                return;
            }
            self.base = (step.selection.clone(), Place::at(step.onward));
            self.steps.pop_front();
            self.done += 1;
        }
        if self.steps.is_empty() {
            self.steps = VecDeque::new();
        }
        let upto = self.steps.front().map_or(u64::MAX, |step| step.at);
        let position = known.position.min(upto);
        if position > self.base.1.cursor {
            self.base.1 = Place::at(position);
        }
    }

    /// Has a connection skip what its client turned out to have from before. `true` if that moved it.
    pub fn keep_up(&self, walk: &mut Walk) -> bool {
        let is_overtaken = walk.step < self.done || (walk.in_past && walk.step == self.done);
        if is_overtaken {
            *walk = Walk { step: self.done, in_past: false, place: self.base.1 };
        }
        is_overtaken
    }

    /// Where a connection begins whose client has so much, or gave no place: then it begins where all is sure to be.
    pub fn walk(&mut self, known: Option<Known>) -> Walk {
        if let Some(known) = known {
            self.acknowledge(known);
            if let Some(step) = self.steps.front()
                && step.control <= known.control
                && known.is_in_past_of(step)
                && let Some((_, from)) = &step.past
            {
                let cursor = from.cursor.max(known.position);
                let place = Place { cursor, floor: from.floor.max(cursor) };
                return Walk { step: self.done + 1, in_past: true, place };
            }
        }
        Walk { step: self.done, in_past: false, place: self.base.1 }
    }

    /// What comes next for a connection.
    pub fn next(&self, walk: &Walk) -> Piece {
        let last = self.last(walk);
        match last.and_then(|step| Some((step, step.past.as_ref()?))).filter(|_| walk.in_past) {
            Some((step, (selection, _))) => {
                Piece { selection: selection.clone(), place: walk.place, upto: Some(step.at) }
            }
            None => {
                let selection = last.map_or(&self.base.0, |step| &step.selection).clone();
                Piece { selection, place: walk.place, upto: self.ahead(walk).map(|step| step.at) }
            }
        }
    }

    /// The control message that waits for events to come before it, with all after it.
    pub fn barrier(&self, walk: &Walk) -> Option<u64> {
        self.ahead(walk).map(|step| step.control)
    }

    /// The step whose past a connection is in.
    pub fn in_past(&self, walk: &Walk) -> Option<&Step> {
        self.last(walk).filter(|_| walk.in_past)
    }

    /// A connection has everything of its piece.
    pub fn finish(&self, walk: &mut Walk) {
        if walk.in_past {
            walk.in_past = false;
            walk.place = Place::at(self.last(walk).map_or(walk.place.cursor, |step| step.onward));
        } else if let Some(step) = self.ahead(walk) {
            walk.step += 1;
            walk.in_past = step.past.is_some();
            walk.place = step.past.as_ref().map_or(Place::at(step.onward), |(_, from)| *from);
        }
    }

    /// The step that a connection comes to next.
    fn ahead(&self, walk: &Walk) -> Option<&Step> {
        self.steps.get(usize::try_from(walk.step.checked_sub(self.done)?).ok()?)
    }

    /// The step that it came past last, if that is still kept.
    fn last(&self, walk: &Walk) -> Option<&Step> {
        self.steps.get(usize::try_from(walk.step.checked_sub(self.done + 1)?).ok()?)
    }
}

/// What the names of a selection take with their texts.
fn texts(Selection { channels, patterns }: &Selection) -> usize {
    let texts = channels.iter().map(|name| name.as_str()).chain(patterns.iter().map(|pattern| pattern.as_str()));
    texts.map(|text| ADDED + text.len()).sum()
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
