//! Which channels a reader selects: found out once for each, since to match patterns again at each event would cost more
//! than all else.

use crate::channel::Record;
use crate::log::Log;
use crate::records::{Id, kept_as};
use switchboard_wire::limits::{NAME_MAX, SELECTION_MAX};
use switchboard_wire::name::{Segment, Selection};
use switchboard_wire::places::Places;
use switchboard_wire::{ChannelName, Pattern};

/// Remembers which records a selection selects.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    selection: &'a Selection,
    /// Made once names have been matched for as long as it takes: whoever reads a little does without.
    ready: Option<Patterns<'a>>,
    /// What it takes to make them, and what matching has been before that, in places of the log looked at.
    to_make: usize,
    matched: usize,
    /// What was done since it was last asked for, likewise, and what of that does not shorten the step.
    work: usize,
    spare: usize,
    /// Two bits a record: whether it is known if it is selected, and if so, whether it is.
    known: Vec<u64>,
    /// Records the log had dropped by then: each makes a number mean another record.
    dropped: u64,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(selection: &'a Selection) -> Filter<'a> {
        let segments = selection.patterns.iter().map(|pattern| pattern.segments().count()).sum();
        // Literals are put in order, and then each is looked for among them.
        let to_make = segments * bits(segments);
        Filter { selection, ready: None, to_make, matched: 0, work: 0, spare: 0, known: Vec::new(), dropped: 0 }
    }

    /// Makes ready for a log that may have changed.
    pub(crate) fn renew(&mut self, log: &Log) {
        if self.dropped != log.dropped() {
            self.dropped = log.dropped();
            self.known.clear();
        }
        self.known.resize(log.records.places().div_ceil(32), 0);
    }

    /// The record, if it is selected.
    pub(crate) fn selected<'b>(&mut self, log: &'b Log, id: Id) -> Option<&'b Record> {
        let (word, shift) = (id as usize / 32, id % 32 * 2);
        let known = *self.known.get(word)? >> shift;
        let is_selected = if known & 1 == 0 {
            let selected = self.selects(log.records.get(id)?);
            self.known[word] |= (1 | u64::from(selected) << 1) << shift;
            selected
        } else {
            known & 2 != 0
        };
        if is_selected { log.records.get(id) } else { None }
    }

    /// What it was to match records since this was last asked for: so many places could have been looked at meanwhile.
    pub(crate) fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    /// How many places more a step has, since patterns were made ready in it: it goes on for as long as that took. Who is behind
    /// begins anew at each step, and this is not to be all of it.
    pub(crate) fn take_spare(&mut self) -> usize {
        std::mem::take(&mut self.spare)
    }

    fn selects(&mut self, record: &Record) -> bool {
        let (name, patterns) = (&record.name, &self.selection.patterns);
        if record.is_shared() {
            return selects_shared(self.selection, name.as_str());
        }
        self.work += self.selection.channels.len() / STEPS;
        if self.selection.channels.contains(name) {
            return true;
        }
        if self.ready.is_none() {
            for pattern in patterns {
                let (selected, pairs) = pattern.matches_in(name);
                self.work += PAIR * pairs;
                self.matched += PAIR * pairs;
                if selected {
                    return true;
                }
                if self.matched > self.to_make {
                    self.work += self.to_make;
                    self.spare = self.matched + 2 * self.to_make;
                    self.ready = Some(Patterns::new(patterns));
                    break;
                }
            }
        }
        let Some(ready) = &mut self.ready else { return false };
        let (selected, work) = ready.select(name);
        self.work += work;
        selected
    }
}

/// How many bits a number has, which is how many texts are compared with one that is looked for among so many.
fn bits(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()) as usize
}

/// Whether a reader is told what a record tells that several channels share. It may tell of a loss of another than the reader
/// selects: that is then said in excess.
fn selects_shared(selection: &Selection, shared: &str) -> bool {
    let by_name = selection.channels.iter().any(|channel| kept_as(channel) == shared);
    let begins = |pattern: &Pattern| pattern.segments().next() == Some(Segment::Literal(shared));
    by_name || selection.patterns.iter().any(begins)
}

/// How many places could be looked at while a segment of a pattern is compared with one of a name.
const PAIR: usize = 2;
/// How many segments of patterns could be taken, or names compared, while a place of the log is looked at.
const STEPS: usize = 4;

/// Patterns made ready for many names: each literal among their segments has a number. So the segments of a name are looked
/// up once, however many patterns there are, and a pattern is a walk along numbers.
#[derive(Debug)]
struct Patterns<'a> {
    /// The literals in order. Most readers have one or two.
    literals: Vec<&'a str>,
    /// How many places of the log could be looked at while a text is looked up among them.
    look_up: usize,
    /// The segments of one pattern after the other, and where each pattern ends.
    segments: Vec<u16>,
    ends: Vec<usize>,
    /// By number, at which places of a name the segment stands: see [`Places`].
    at: Vec<u128>,
    /// The numbers that a name has.
    found: Vec<u16>,
}

/// Numbers of the wildcards, and of the first literal.
const ANY: u16 = 0;
const ONE: u16 = 1;
const FIRST: u16 = 2;

const _: () = assert!(SELECTION_MAX * NAME_MAX.div_ceil(2) + FIRST as usize <= u16::MAX as usize);

impl<'a> Patterns<'a> {
    fn new(patterns: &'a [Pattern]) -> Patterns<'a> {
        let all = || patterns.iter().flat_map(Pattern::segments);
        let literal = |segment| if let Segment::Literal(text) = segment { Some(text) } else { None };
        let mut literals: Vec<_> = all().filter_map(literal).collect();
        literals.sort_unstable();
        literals.dedup();
        let number = |segment| match segment {
            Segment::Any => ANY,
            Segment::One => ONE,
            Segment::Literal(text) => FIRST + literals.partition_point(|other| *other < text) as u16,
        };
        let segments = all().map(number).collect();
        let mut end = 0;
        let ends = patterns.iter().map(|pattern| {
            end += pattern.segments().count();
            end
        });
        let look_up = bits(literals.len()).div_ceil(2).max(1);
        let (ends, at) = (ends.collect(), vec![0; usize::from(FIRST) + literals.len()]);
        Patterns { literals, look_up, segments, ends, at, found: Vec::new() }
    }

    /// Whether one of them selects a name, which is none of the system's own; and what it was to find out, in places of the log.
    fn select(&mut self, name: &ChannelName) -> (bool, usize) {
        let mut last = 0;
        for (place, text) in name.segments().enumerate() {
            last = 1 << place;
            if let Ok(found) = self.literals.binary_search(&text) {
                let number = FIRST + found as u16;
                self.at[usize::from(number)] |= last;
                self.found.push(number);
            }
        }
        let all = last | (last - 1);
        self.at[usize::from(ONE)] = all;
        let (mut begin, mut steps) = (0, 0);
        let is_selected = self.ends.iter().any(|end| {
            let mut places = Places::START;
            for number in &self.segments[begin..*end] {
                steps += 1;
                places = match *number {
                    ANY => places.anywhere(all),
                    other => places.step(self.at[usize::from(other)]),
                };
                if places.are_none() {
                    break;
                }
            }
            begin = *end;
            places.end_at(last)
        });
        for number in self.found.drain(..) {
            self.at[usize::from(number)] = 0;
        }
        (is_selected, self.look_up * (1 + last.trailing_zeros() as usize) + steps / STEPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_made_ready_select_what_one_of_them_matches() {
        for seed in 0..2000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut text = |among: &[&str], most: usize| {
                let segments: Vec<_> =
                    (0..random.usize(1..=most)).map(|_| among[random.usize(..among.len())]).collect();
                segments.join("/")
            };
            let patterns: Vec<_> = (0..1 + seed % 4).map(|_| text(&["a", "b", "$s", "*", "**"], 7)).collect();
            let patterns: Vec<_> = patterns.iter().map(|text| Pattern::new(text).unwrap()).collect();
            let mut ready = Patterns::new(&patterns);
            for _ in 0..8 {
                let name = ChannelName::new(&text(&["a", "b", "c"], 8)).unwrap();
                let expected = patterns.iter().any(|pattern| pattern.matches(&name));
                assert_eq!(ready.select(&name).0, expected, "{name} by {patterns:?}, seed {seed}");
            }
        }
    }

    #[test]
    fn the_longest_name_and_as_many_patterns_as_one_may_have_are_matched() {
        let longest = ["a"; NAME_MAX.div_ceil(2)].join("/");
        let other = |at: usize| (0..NAME_MAX.div_ceil(2)).map(|n| if n == at { "b" } else { "a" }).collect::<Vec<_>>();
        let patterns: Vec<_> = (0..SELECTION_MAX).map(|at| Pattern::new(&other(at).join("/")).unwrap()).collect();
        let mut ready = Patterns::new(&patterns);
        assert!(!ready.select(&ChannelName::new(&longest).unwrap()).0);
        assert!(ready.select(&ChannelName::new(&other(SELECTION_MAX - 1).join("/")).unwrap()).0);
        for (pattern, selects) in [("a/**/*/a", true), ("**/b/**", false)] {
            let patterns = [Pattern::new(pattern).unwrap()];
            assert_eq!(Patterns::new(&patterns).select(&ChannelName::new(&longest).unwrap()).0, selects, "{pattern}");
        }
    }
}
