//! Which readers' patterns select a channel, without trying each pattern.
//!
//! The patterns form a trie of segments, in which segments without a branch between them are one node: a pattern adds two
//! nodes at most, however long it is. A channel goes through the trie once, as the [`Places`] in its name that a pattern may
//! have come to with the segments so far. So a match looks at each segment of the trie once at most, whatever wildcards
//! there are and however long the name is; and what no pattern of its kind begins with is not looked at.

use crate::Token;
use std::collections::BTreeMap;
use std::mem;
use std::ops::ControlFlow;
use switchboard_wire::name::{Segment, Selection};
use switchboard_wire::places::Places;
use switchboard_wire::{ChannelName, Pattern};

/// What a pattern takes besides its text, which is kept twice: by its reader and here. A node for its end, another where it
/// branches off, and what the allocator adds.
const COST: usize = 640;

/// Bytes that the patterns of a selection take at most, for as long as a reader has it.
pub fn cost(selection: &Selection) -> usize {
    selection.patterns.iter().map(|pattern| COST + 2 * pattern.as_str().len()).sum()
}

/// A segment, and those behind it up to where patterns end or branch.
#[derive(Default)]
struct Node {
    /// What follows the first segment, by which the node is found: each segment with a slash in front.
    rest: Box<str>,
    /// By their first segments, wildcards as they are written: no literal is written like one.
    below: BTreeMap<Box<str>, Box<Node>>,
    readers: Vec<Token>,
}

/// The first segment, and what follows it with the slash in front.
fn cut(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

/// How many bytes of whole segments, each with a slash in front, two texts have in common.
fn shared(one: &str, other: &str) -> usize {
    let pairs = one.split('/').zip(other.split('/')).skip(1);
    pairs.take_while(|(one, other)| one == other).map(|(segment, _)| 1 + segment.len()).sum()
}

impl Node {
    fn add(&mut self, text: &str, reader: Token) {
        let (first, rest) = cut(text);
        let Some(node) = self.below.get_mut(first) else {
            let node = Node { rest: rest.into(), below: BTreeMap::new(), readers: vec![reader] };
            self.below.insert(first.into(), Box::new(node));
            return;
        };
        let shared = shared(&node.rest, rest);
        if shared < node.rest.len() {
            node.split(shared);
        }
        match rest[shared..].strip_prefix('/') {
            Some(left) => node.add(left, reader),
            None => node.readers.push(reader),
        }
    }

    /// Puts what follows so many bytes of the rest into a node of its own.
    fn split(&mut self, at: usize) {
        let (above, below) = self.rest.split_at(at);
        let (first, rest) = cut(&below[1..]);
        let (first, above) = (first.into(), above.into());
        let below =
            Node { rest: rest.into(), below: mem::take(&mut self.below), readers: mem::take(&mut self.readers) };
        self.rest = above;
        self.below.insert(first, Box::new(below));
    }

    /// Whether it was there.
    fn remove(&mut self, text: &str, reader: Token) -> bool {
        let (first, rest) = cut(text);
        let Some(node) = self.below.get_mut(first) else { return false };
        let Some(left) = rest.strip_prefix(&*node.rest) else { return false };
        let removed = match left.strip_prefix('/') {
            Some(left) => node.remove(left, reader),
            None => left.is_empty() && node.forget(reader),
        };
        if removed {
            match (node.readers.is_empty(), node.below.len()) {
                (true, 0) => drop(self.below.remove(first)),
                (true, 1) => node.join(),
                _ => {}
            }
        }
        removed
    }

    fn forget(&mut self, reader: Token) -> bool {
        let Some(found) = self.readers.iter().position(|token| *token == reader) else { return false };
        self.readers.swap_remove(found);
        if self.readers.len() < self.readers.capacity() / 4 {
            self.readers.shrink_to(2 * self.readers.len());
        }
        true
    }

    /// Makes one node of this and the only one below.
    fn join(&mut self) {
        if let Some((first, below)) = self.below.pop_first() {
            let rest = format!("{}/{first}{}", self.rest, below.rest).into();
            *self = Node { rest, ..*below };
        }
    }

    /// Where patterns begin that are no earlier than a text with the same first segment.
    fn beginning<'a>(&self, from: &'a str) -> Beginning<'a> {
        let rest = cut(from).1;
        let shared = shared(&self.rest, rest);
        match (self.rest[shared..].strip_prefix('/'), rest[shared..].strip_prefix('/')) {
            (_, None) => Beginning::Here,
            (None, Some(below)) => Beginning::Below(below),
            (Some(own), Some(from)) if cut(own).0 > cut(from).0 => Beginning::Here,
            (Some(_), Some(_)) => Beginning::Behind,
        }
    }
}

#[derive(Default)]
pub(crate) struct Patterns {
    root: Node,
}

impl Patterns {
    pub(crate) fn add(&mut self, pattern: &Pattern, reader: Token) {
        self.root.add(pattern.as_str(), reader);
    }

    pub(crate) fn remove(&mut self, pattern: &Pattern, reader: Token) {
        self.root.remove(pattern.as_str(), reader);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.root.below.is_empty()
    }

    /// Calls `each` with every reader that has a pattern selecting the channel: twice, if two of its patterns do. Returns
    /// the work that it was: segments of patterns looked at, and readers called for.
    pub(crate) fn each_match(&self, channel: &ChannelName, each: impl FnMut(Token)) -> usize {
        self.match_some(channel, None, usize::MAX, each).work
    }

    /// Whether some pattern selects the channel.
    pub(crate) fn select(&self, channel: &ChannelName) -> bool {
        let mut is_selected = false;
        self.each_match(channel, |_| is_selected = true);
        is_selected
    }

    /// As [`Patterns::each_match`], from where an earlier match was cut, and cut again after so much work. Patterns may have
    /// come and gone meanwhile; of those that came it is open which are looked at.
    pub(crate) fn match_some(
        &self,
        channel: &ChannelName,
        from: Option<&Rest>,
        enough: usize,
        each: impl FnMut(Token),
    ) -> Matched {
        let name = channel.as_str();
        let (first, rest) = cut(name);
        let below = &self.root.below;
        // Most channels are selected by no pattern, and need not be taken apart for that.
        let any = || below.contains_key("*") || below.contains_key("**");
        if !below.contains_key(first) && (channel.is_reserved() || !any()) {
            return Matched::default();
        }
        let (start, from) = (Places::START, from.map(|from| &*from.0));
        if !channel.is_reserved() {
            let mut search = Search::of(name, enough, each);
            let _ = search.below(&self.root, start, from);
            return search.matched();
        }
        // Of the system's own channels none is selected by a wildcard in front.
        let mut search = Search::of(rest.strip_prefix('/').unwrap_or_default(), enough, each);
        if let Some(node) = below.get(first) {
            let _ = search.enter((first, node), start, from);
        }
        search.matched()
    }
}

/// Where a match that was cut goes on: the patterns from this text on, in the order of their segments. Those that come before
/// it have been looked at, and it stays where it is among the others when they come and go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rest(Box<str>);

/// What a match came to.
#[derive(Default)]
pub(crate) struct Matched {
    pub(crate) work: usize,
    /// What is left of it, if it was cut.
    pub(crate) rest: Option<Rest>,
}

/// `Break` where a match was cut.
type Flow = ControlFlow<()>;

/// A channel on its way through the trie, whose patterns it comes by in the order of their segments.
struct Search<'a, F> {
    /// The name's segments, in order and each once, with the places where they stand.
    segments: Vec<(&'a str, u128)>,
    /// The places of all segments, and of the last.
    all: u128,
    last: u128,
    each: F,
    work: usize,
    /// The work after which it is cut.
    enough: usize,
    /// Where it was, as far as it has come back from there.
    cut: String,
}

impl<'a, F: FnMut(Token)> Search<'a, F> {
    fn of(name: &'a str, enough: usize, each: F) -> Search<'a, F> {
        let texts = name.split('/').filter(|text| !text.is_empty());
        let mut segments: Vec<_> = texts.enumerate().map(|(place, text)| (text, 1_u128 << place)).collect();
        let last = segments.last().map_or(0, |(_, last)| *last);
        segments.sort_unstable();
        segments.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 |= if same { next.1 } else { 0 };
            same
        });
        Search { segments, all: last | last.saturating_sub(1), last, each, work: 0, enough, cut: String::new() }
    }

    fn matched(self) -> Matched {
        let rest = (!self.cut.is_empty()).then(|| Rest(self.cut.into()));
        Matched { work: self.work, rest }
    }

    /// Where those at these places come to with a segment of a pattern.
    fn step(&mut self, from: Places, segment: &str) -> Places {
        self.work += 1;
        match Segment::of(segment) {
            Segment::Any => from.anywhere(self.all),
            Segment::One => from.step(self.all),
            Segment::Literal(text) => {
                let found = self.segments.binary_search_by(|(other, _)| (*other).cmp(text));
                from.step(found.map_or(0, |found| self.segments[found].1))
            }
        }
    }

    /// Takes the segments of a node, the first of which led to these places, and goes on below it. `from` is where to begin,
    /// as far as it is no earlier than the node.
    fn enter(&mut self, (first, node): (&str, &Node), mut places: Places, from: Option<&str>) -> Flow {
        let from = match from.map(|from| node.beginning(from)) {
            Some(Beginning::Behind) => return Flow::Continue(()),
            Some(Beginning::Below(from)) => Some(from),
            Some(Beginning::Here) | None => None,
        };
        let mut rest = node.rest.split('/').skip(1);
        while !places.are_none() {
            let Some(segment) = rest.next() else {
                return self
                    .below(node, places, from)
                    .map_break(|()| self.cut = format!("{first}{}/{}", node.rest, self.cut));
            };
            places = self.step(places, segment);
        }
        Flow::Continue(())
    }

    /// Calls for those whose patterns end at a node, and goes on with those that go on, from a text on.
    fn below(&mut self, node: &Node, places: Places, from: Option<&str>) -> Flow {
        if places.end_at(self.last) && from.is_none() {
            self.work += node.readers.len();
            node.readers.iter().for_each(|reader| (self.each)(*reader));
        }
        let start = from.map(|from| cut(from).0);
        if node.below.len() <= self.segments.len() + 2 {
            for (first, node) in node.below.iter().filter(|(first, _)| start.is_none_or(|start| ***first >= *start)) {
                let from = from.filter(|_| start == Some(first));
                let places = self.descend(places, first, from)?;
                self.enter((first, node), places, from)?;
            }
            return Flow::Continue(());
        }
        // Where the wildcards come among the name's segments.
        let wild = self.segments.partition_point(|(text, _)| *text < "*");
        for at in 0..self.segments.len() + 2 {
            let first = match at.checked_sub(wild) {
                Some(wildcard @ 0..2) => ["*", "**"][wildcard],
                Some(_) => self.segments[at - 2].0,
                None => self.segments[at].0,
            };
            if start.is_some_and(|start| first < start) {
                continue;
            }
            let from = from.filter(|_| start == Some(first));
            let places = self.descend(places, first, from)?;
            if !places.are_none()
                && let Some(node) = node.below.get(first)
            {
                self.enter((first, node), places, from)?;
            }
        }
        Flow::Continue(())
    }

    /// Takes the first segment of a node. Here a match is cut, but not on its way to where it begins: so it comes further each
    /// time.
    fn descend(&mut self, places: Places, first: &str, from: Option<&str>) -> ControlFlow<(), Places> {
        if self.work >= self.enough && from.is_none() {
            first.clone_into(&mut self.cut);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(self.step(places, first))
    }
}

/// Where patterns from a text on begin, seen from a node with the same first segment.
enum Beginning<'a> {
    /// With all that the node stands for.
    Here,
    /// Below it, with this text.
    Below(&'a str),
    /// Behind all that it stands for.
    Behind,
}

#[cfg(test)]
#[path = "patterns_tests.rs"]
mod tests;
