//! Which readers' patterns select a channel, without trying each pattern.
//!
//! The patterns form a trie of segments, read as a nondeterministic automaton: a channel's segments move a set of
//! nodes along, and `**` is a node that stays in the set. So an event costs, for each of its segments, no more than
//! the nodes that are then in the set, and what no pattern of its kind begins with costs nothing.

use crate::Token;
use std::collections::HashMap;
use switchboard_wire::name::Segment;
use switchboard_wire::{ChannelName, Pattern};

const ROOT: u32 = 0;

#[derive(Default)]
struct Node {
    literal: HashMap<Box<str>, u32>,
    one: Option<u32>,
    any: Option<u32>,
    /// This node is a `**`: further segments leave it where it is.
    stays: bool,
    /// The set it was last put into.
    entered: u64,
    readers: Vec<Token>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.readers.is_empty() && self.literal.is_empty() && self.one.is_none() && self.any.is_none()
    }
}

pub(crate) struct Patterns {
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// Patterns held, counted once for each reader.
    count: usize,
    /// The two sets of a match, kept for their room.
    now: Vec<u32>,
    next: Vec<u32>,
    /// Numbers the sets, so that a node knows without a search whether it is in the present one.
    set: u64,
}

impl Patterns {
    pub(crate) fn new() -> Patterns {
        Patterns { nodes: vec![Node::default()], free: Vec::new(), count: 0, now: Vec::new(), next: Vec::new(), set: 0 }
    }

    pub(crate) fn add(&mut self, pattern: &Pattern, reader: Token) {
        let mut at = ROOT;
        for segment in pattern.segments() {
            at = match self.child(at, segment) {
                Some(child) => child,
                None => self.grow(at, segment),
            };
        }
        self.nodes[at as usize].readers.push(reader);
        self.count += 1;
    }

    pub(crate) fn remove(&mut self, pattern: &Pattern, reader: Token) {
        let mut path = vec![ROOT];
        let mut at = ROOT;
        for segment in pattern.segments() {
            let Some(child) = self.child(at, segment) else { return };
            path.push(child);
            at = child;
        }
        let readers = &mut self.nodes[at as usize].readers;
        let Some(found) = readers.iter().position(|token| *token == reader) else { return };
        readers.swap_remove(found);
        self.count -= 1;
        for (depth, segment) in pattern.segments().iter().enumerate().rev() {
            let (parent, node) = (path[depth], path[depth + 1]);
            if !self.nodes[node as usize].is_empty() {
                return;
            }
            self.prune(parent, segment, node);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn child(&self, at: u32, segment: &Segment) -> Option<u32> {
        let node = &self.nodes[at as usize];
        match segment {
            Segment::Literal(text) => node.literal.get(text).copied(),
            Segment::One => node.one,
            Segment::Any => node.any,
        }
    }

    fn grow(&mut self, at: u32, segment: &Segment) -> u32 {
        let node = Node { stays: *segment == Segment::Any, ..Node::default() };
        let child = match self.free.pop() {
            Some(free) => {
                self.nodes[free as usize] = node;
                free
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        };
        let parent = &mut self.nodes[at as usize];
        match segment {
            Segment::Literal(text) => {
                parent.literal.insert(text.clone(), child);
            }
            Segment::One => parent.one = Some(child),
            Segment::Any => parent.any = Some(child),
        }
        child
    }

    fn prune(&mut self, parent: u32, segment: &Segment, node: u32) {
        let parent = &mut self.nodes[parent as usize];
        match segment {
            Segment::Literal(text) => {
                parent.literal.remove(text);
            }
            Segment::One => parent.one = None,
            Segment::Any => parent.any = None,
        }
        self.nodes[node as usize] = Node::default();
        self.free.push(node);
    }

    /// Calls `each` with every reader that has a pattern selecting the channel: twice, if two of its patterns do.
    pub(crate) fn each_match(&mut self, channel: &ChannelName, mut each: impl FnMut(Token)) {
        if self.count == 0 {
            return;
        }
        let (mut now, mut next) = (std::mem::take(&mut self.now), std::mem::take(&mut self.next));
        now.clear();
        self.set += 1;
        match channel.is_reserved() {
            true => now.push(ROOT),
            false => self.enter(Some(ROOT), &mut now),
        }
        for (depth, segment) in channel.segments().enumerate() {
            next.clear();
            self.set += 1;
            for &at in &now {
                let node = &self.nodes[at as usize];
                let stays = node.stays.then_some(at);
                let literal = node.literal.get(segment).copied();
                let one = node.one.filter(|_| depth > 0 || !channel.is_reserved());
                self.enter(stays, &mut next);
                self.enter(literal, &mut next);
                self.enter(one, &mut next);
            }
            std::mem::swap(&mut now, &mut next);
        }
        for &at in &now {
            for &reader in &self.nodes[at as usize].readers {
                each(reader);
            }
        }
        (self.now, self.next) = (now, next);
    }

    /// Puts a node into the present set, and the `**` below it, which may match nothing at all.
    fn enter(&mut self, mut at: Option<u32>, set: &mut Vec<u32>) {
        while let Some(node) = at {
            let entered = &mut self.nodes[node as usize].entered;
            if std::mem::replace(entered, self.set) == self.set {
                return;
            }
            set.push(node);
            at = self.nodes[node as usize].any;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(alphabet: &'static [&'static str], longest: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(alphabet), 1..longest).prop_map(|segments| segments.join("/"))
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_trying_each_pattern(
            patterns in prop::collection::vec(joined(&["a", "b", "$s", "*", "**"], 6), 1..12),
            names in prop::collection::vec(joined(&["a", "b", "$s"], 6), 1..6),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::new(text).unwrap()).collect();
            let mut trie = Patterns::new();
            for (token, pattern) in patterns.iter().enumerate() {
                trie.add(pattern, token as Token);
            }
            let mut live = vec![true; patterns.len()];
            for index in removed {
                let token = index.index(patterns.len());
                live[token] = false;
                trie.remove(&patterns[token], token as Token);
            }
            for name in names {
                let name = ChannelName::new(&name).unwrap();
                let mut found = Vec::new();
                trie.each_match(&name, |token| found.push(token as usize));
                found.sort_unstable();
                let expected: Vec<usize> =
                    (0..patterns.len()).filter(|token| live[*token] && patterns[*token].matches(&name)).collect();
                prop_assert_eq!(found, expected, "{} {:?}", name, patterns);
            }
            for (token, pattern) in patterns.iter().enumerate() {
                trie.remove(pattern, token as Token);
            }
            prop_assert_eq!(trie.nodes.len(), trie.free.len() + 1, "a node outlived its patterns");
        }
    }
}
