//! A pass: a batch of items on its way to all who are due some of it.
//!
//! A pass can be left and taken up again between any two readers, so that one over many readers keeps nothing else
//! waiting. Readers that come meanwhile belong to what follows the pass, and those that leave are passed over, though
//! their tokens may be others' by then.

use crate::Token;
use crate::patterns::Rest;
use std::collections::HashSet;
use std::ops::Range;
use switchboard_wire::ChannelName;

/// What one reader is due of a pass: a run of its items, see [`Pass::items`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    pub token: Token,
    pub run: u32,
}

/// A batch of items and who is due which of them.
#[derive(Default)]
pub struct Pass {
    /// Numbers of items, run by run: first the items of each channel, then those of single readers.
    order: Vec<u16>,
    runs: Vec<Range<u32>>,
    shared: usize,
    due: Vec<Due>,
    done: usize,
    on: bool,
    /// The last item, where it is yet to be matched with some patterns: their readers may be due it, too.
    rest: Option<(u16, Rest)>,
    gone: HashSet<Token>,
    /// What is due to single readers, while a pass is made: a token and, in the lowest 16 bits, an item.
    single: Vec<u64>,
}

impl Pass {
    /// Whether somebody may yet be due something.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Whether a run is due to many, and the same for all of them.
    pub fn is_shared(&self, run: u32) -> bool {
        (run as usize) < self.shared
    }

    /// How many runs, from the first on, are shared.
    pub(crate) fn shared(&self) -> usize {
        self.shared
    }

    /// The items of a run, by their numbers in the batch, rising.
    pub fn items(&self, run: u32) -> &[u16] {
        self.runs.get(run as usize).map_or(&[], |run| &self.order[run.start as usize..run.end as usize])
    }

    /// Begins with a batch of so many items, due to nobody yet: a shared run for each channel among them.
    pub(crate) fn begin<'a>(&mut self, count: usize, channel: impl Fn(u16) -> &'a ChannelName) {
        debug_assert!(!self.on);
        self.clear();
        self.on = true;
        self.order.extend(0..count as u16);
        // Stable, so that each channel's items stay in the order of the log.
        self.order.sort_by_key(|item| channel(*item));
        let mut start = 0;
        for items in self.order.chunk_by(|a, b| channel(*a) == channel(*b)) {
            self.runs.push(start..start + items.len() as u32);
            start += items.len() as u32;
        }
        self.shared = self.runs.len();
    }

    /// Adds a reader that is due a shared run.
    pub(crate) fn add_run(&mut self, token: Token, run: u32) {
        self.due.push(Due { token, run });
    }

    /// Adds a reader that is due one item.
    pub(crate) fn add_one(&mut self, token: Token, item: u16) {
        self.single.push(u64::from(token) << 16 | u64::from(item));
    }

    /// Takes an item that is yet to be matched with some patterns, if there is one. The pass is not over before it was.
    pub(crate) fn leave_open(&mut self, rest: Option<(u16, Rest)>) {
        self.rest = rest;
    }

    /// What there is yet to match, once all that was matched so far is handed over; it is then to be matched.
    pub(crate) fn take_open(&mut self) -> Option<(u16, Rest)> {
        if self.peek().is_some() {
            return None;
        }
        let open = self.rest.take()?;
        // Of what was due to single readers nothing is looked at any more.
        self.runs.truncate(self.shared);
        self.order.truncate(self.runs.last().map_or(0, |run| run.end as usize));
        self.due.clear();
        self.done = 0;
        Some(open)
    }

    /// The item that is yet to be matched with some patterns.
    pub(crate) fn open(&self) -> Option<u16> {
        self.rest.as_ref().map(|(item, _)| *item)
    }

    /// Makes a run of an item that is handed to a reader out of turn.
    pub(crate) fn give(&mut self, token: Token, item: u16) -> Due {
        let (start, run) = (self.order.len() as u32, self.runs.len() as u32);
        self.order.push(item);
        self.runs.push(start..start + 1);
        Due { token, run }
    }

    /// Makes runs of what is due to single readers.
    pub(crate) fn sort(&mut self) {
        self.single.sort_unstable();
        for items in self.single.chunk_by(|a, b| a >> 16 == b >> 16) {
            let (start, run) = (self.order.len() as u32, self.runs.len() as u32);
            self.order.extend(items.iter().map(|due| *due as u16));
            self.runs.push(start..start + items.len() as u32);
            self.due.push(Due { token: (items[0] >> 16) as Token, run });
        }
        self.single.clear();
    }

    /// Puts readers in another order, by a key; among those of one key it stays as it is.
    pub(crate) fn arrange<K: Ord>(&mut self, key: impl Fn(Token) -> K) {
        if !self.due.is_sorted_by_key(|due| key(due.token)) {
            self.due.sort_by_key(|due| key(due.token));
        }
    }

    /// Who comes next, if they are still there.
    pub fn peek(&self) -> Option<Due> {
        self.due.get(self.done).copied()
    }

    /// The next reader that is due something. `None` once the pass is over, or [open](Pass::take_open).
    pub(crate) fn next(&mut self) -> Option<Due> {
        while let Some(due) = self.due.get(self.done).copied() {
            self.done += 1;
            if self.gone.is_empty() || !self.gone.contains(&due.token) {
                return Some(due);
            }
        }
        if self.rest.is_none() {
            self.clear();
        }
        None
    }

    /// What a reader is still due, which is no longer on its way to it then.
    pub(crate) fn take(&mut self, token: Token) -> Vec<Due> {
        if !self.on || self.gone.contains(&token) {
            return Vec::new();
        }
        self.gone.insert(token);
        self.due[self.done..].iter().filter(|due| due.token == token).copied().collect()
    }

    /// A reader has left.
    pub(crate) fn leave(&mut self, token: Token) {
        if self.on {
            self.gone.insert(token);
        }
    }

    fn clear(&mut self) {
        (self.on, self.done, self.shared, self.rest) = (false, 0, 0, None);
        self.order.clear();
        self.runs.clear();
        self.due.clear();
        self.gone.clear();
    }
}
