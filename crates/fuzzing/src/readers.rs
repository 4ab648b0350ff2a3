//! Sequences of calls on the readers of a shard, compared with an obvious twin call by call; and at the end each reader
//! has heard every item of its channels after its start, once and in order, or was told that it missed some.

use crate::choices::Choices;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use switchboard_hub::{Due, Place, Readers};
use switchboard_wire::ChannelName;
use switchboard_wire::name::Selection;

const CHANNELS: [&str; 8] = ["a", "b", "b/x", "b/y", "b/x/y", "$s", "$s/a", "a/a/a"];
const TEXTS: [&str; 16] =
    ["a", "b", "b/x", "b/y", "$s", "$s/a", "*", "**", "b/*", "b/**", "*/x", "**/y", "$s/**", "*/*", "a/**/a", "b/*/**"];
const READERS: usize = 12;

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let start = choices.pick(&[0, 0, 3]);
    let mut world = World::new(start, choices.pick(&[1, 2, 3, 5, 8, 13, 1000]));
    while !choices.is_empty() {
        world.step(&mut choices);
        world.compare();
    }
    world.compare_all();
    world.look_back();
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

/// A reader, as plainly as it can be kept.
#[derive(Debug)]
struct Plain {
    selection: Arc<Selection>,
    place: Place,
    live: bool,
    /// What it was told of as being its cursor.
    start: u64,
    /// The items it was handed, by the ring or in pieces.
    heard: Vec<u64>,
}

struct World {
    readers: Readers,
    /// The channels of the items, from number 1 on.
    log: Vec<ChannelName>,
    position: u64,
    plain: Vec<Option<Plain>>,
}

/// The items of a pass, and who is yet to be handed which of them.
struct Pass {
    items: Vec<(ChannelName, u64)>,
    pending: BTreeMap<usize, Vec<u64>>,
}

impl Pass {
    fn place(&self, i: u16) -> (&ChannelName, u64) {
        let (channel, seq) = &self.items[usize::from(i)];
        (channel, *seq)
    }
}

impl World {
    fn new(start: u64, steps: usize) -> World {
        let log = (0..start).map(|at| name(CHANNELS[at as usize])).collect();
        let plain = (0..READERS).map(|_| None).collect();
        World { readers: Readers::new(start).matching_at_once(steps), log, position: start, plain }
    }

    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0..3 => self.log.push(name(choices.pick(&CHANNELS))),
            3..6 => self.add(choices),
            6 => self.remove(choices.below(READERS)),
            7..11 => self.next(choices),
            11..13 => self.catch_up(choices),
            13 => self.overrun(),
            14 => self.block(choices),
            _ if choices.flag() => self.tell(choices.below(READERS)),
            _ => self.compare_all(),
        }
    }

    fn add(&mut self, choices: &mut Choices<'_>) {
        let mut selection = Selection::default();
        for _ in 0..choices.below(5) {
            selection.add(choices.pick(&TEXTS)).unwrap();
        }
        let cursor = choices.below(self.log.len() + 1) as u64;
        let floor = choices.below(self.log.len() + 1) as u64;
        let place = if choices.flag() { Place { cursor, floor } } else { Place::at(cursor) };
        // The token of one that has gone is given to another, as a table of connections does.
        let Some(token) = self.plain.iter().position(Option::is_none) else { return };
        let selection = Arc::new(selection);
        let live = self.readers.add(token as u32, Arc::clone(&selection), place);
        assert_eq!(live, cursor >= self.position);
        self.plain[token] = Some(Plain { selection, place, live, start: cursor, heard: Vec::new() });
    }

    fn remove(&mut self, token: usize) {
        self.look_back_on(token);
        self.forget(token);
    }

    fn forget(&mut self, token: usize) {
        self.readers.remove(token as u32);
        self.plain[token] = None;
        assert!(self.readers.selection(token as u32).is_none() && self.readers.behind(token as u32).is_none());
    }

    /// The ring's next items, in one pass; some readers' sockets do not take all, and some readers come and go.
    fn next(&mut self, choices: &mut Choices<'_>) {
        let from = self.position;
        let count = (1 + choices.below(4)).min(self.log.len() - from as usize);
        let items = self.log[from as usize..][..count].iter().cloned().zip(from + 1..).collect();
        let mut pass = Pass { items, pending: BTreeMap::new() };
        let begun = self.readers.begin(count, from + count as u64, |i| pass.place(i));
        assert!(begun.items == count || begun.is_cut && begun.items > 0, "{begun:?} of {count}");
        pass.items.truncate(begun.items);
        self.position = from + begun.items as u64;
        for (token, plain) in self.plain.iter_mut().enumerate() {
            let Some(plain) = plain.as_mut().filter(|plain| plain.live) else { continue };
            let due = pass.items.iter();
            let due = due.filter(|(channel, seq)| *seq > plain.place.cursor && plain.selection.selects(channel));
            let due: Vec<u64> = due.map(|(_, seq)| *seq).collect();
            if let Some(last) = due.last() {
                plain.place.cursor = *last;
                pass.pending.insert(token, due);
            }
        }
        while self.readers.pass().is_on() {
            while let Some(due) = self.readers.next_due() {
                let all = self.hand(due, |i| pass.place(i).1);
                self.take(due.token as usize, all, &mut pass, choices);
                if choices.one_in(8) {
                    self.meanwhile(&mut pass, choices);
                }
            }
            // Where a match was cut it is gone on with, and there is an end to that.
            self.readers.go_on(|i| pass.place(i));
        }
        assert!(pass.pending.is_empty(), "{:?}", pass.pending);
        // Nothing is taken back, whoever says so.
        self.readers.advance(self.position / 2);
    }

    /// The numbers of what a reader is due.
    fn hand(&self, due: Due, seq: impl Fn(u16) -> u64) -> Vec<u64> {
        self.readers.pass().items(due.run).iter().map(|i| seq(*i)).collect()
    }

    /// A reader takes what it is handed of a pass, or a part and falls behind. It is what comes next of what it is due.
    fn take(&mut self, token: usize, seqs: Vec<u64>, pass: &mut Pass, choices: &mut Choices<'_>) {
        let due = pass.pending.remove(&token).unwrap_or_default();
        let Some(rest) = due.strip_prefix(&seqs[..]) else { panic!("reader {token} is due {due:?} and not {seqs:?}") };
        let plain = self.plain[token].as_mut().unwrap();
        if choices.one_in(4) {
            let taken = choices.below(seqs.len());
            plain.heard.extend(&seqs[..taken]);
            (plain.place, plain.live) = (Place::at(seqs[taken] - 1), false);
            self.readers.fall_behind(token as u32, plain.place);
            return;
        }
        plain.heard.extend(&seqs);
        if !rest.is_empty() {
            pass.pending.insert(token, rest.to_vec());
        }
    }

    /// What happens in the midst of a pass.
    fn meanwhile(&mut self, pass: &mut Pass, choices: &mut Choices<'_>) {
        let other = choices.below(READERS);
        if choices.flag() {
            return self.ahead(other, pass, choices);
        }
        // Who goes is handed nothing more, and neither is who takes the place.
        match pass.pending.remove(&other) {
            Some(_) => self.forget(other),
            None => self.remove(other),
        }
        self.add(choices);
    }

    /// What a reader is due of the present pass, and all or some of what follows, for that reader alone.
    fn ahead(&mut self, token: usize, pass: &mut Pass, choices: &mut Choices<'_>) {
        let taken = self.readers.take_due(token as u32, |i| pass.place(i));
        let handed: Vec<u64> = taken.into_iter().flat_map(|due| self.hand(due, |i| pass.place(i).1)).collect();
        assert_eq!(handed, pass.pending.remove(&token).unwrap_or_default(), "reader {token} is due this of the pass");
        let Some(plain) = &mut self.plain[token] else { return };
        plain.heard.extend(&handed);
        assert!(self.readers.take_due(token as u32, |i| pass.place(i)).is_empty(), "it is handed over once");
        let from = if plain.live { plain.place.cursor.max(self.position) } else { plain.place.cursor };
        assert_eq!(self.readers.cursor(token as u32), Some(from));
        let count = choices.below(4).min(self.log.len() - from as usize);
        let upto = from + count as u64;
        let log = &self.log;
        let aside = self.readers.begin_ahead(token as u32, count, upto, |i| {
            (&log[from as usize + usize::from(i)], from + 1 + u64::from(i))
        });
        let mut heard = Vec::new();
        while let Some(due) = self.readers.next_due() {
            assert_eq!(due.token as usize, token, "all others get it in their turn");
            heard.extend(self.readers.pass().items(due.run).iter().map(|i| from + 1 + u64::from(*i)));
        }
        self.readers.resume(aside);
        let selects = |seq: &u64| plain.live && plain.selection.selects(&log[*seq as usize - 1]);
        assert_eq!(heard, (from + 1..=upto).filter(selects).collect::<Vec<_>>());
        if plain.live {
            plain.place.cursor = plain.place.cursor.max(upto);
            plain.heard.extend(heard);
        }
    }

    /// A bounded piece of the log for a reader that is behind.
    fn catch_up(&mut self, choices: &mut Choices<'_>) {
        let (token, more) = (choices.below(READERS), 1 + choices.below(5) as u64);
        let Some(place) = self.readers.behind(token as u32) else { return };
        let (position, head) = (self.position, self.head());
        let plain = self.plain[token].as_mut().unwrap();
        // Where it is told of a loss it may come further than the shard is.
        let upto = if choices.one_in(8) { head } else { position.max(place.cursor).min(place.cursor + more) };
        for seq in place.cursor + 1..=upto {
            if plain.selection.selects(&self.log[seq as usize - 1]) {
                plain.heard.push(seq);
            }
        }
        let place = Place { cursor: upto, floor: if choices.flag() { upto } else { place.floor } };
        plain.place = place;
        plain.live = upto >= position;
        assert_eq!(self.readers.catch_up(token as u32, place), plain.live);
    }

    /// A socket that was taking all takes no more: what it was handed last is to be read again.
    fn block(&mut self, choices: &mut Choices<'_>) {
        let token = choices.below(READERS);
        let Some(plain) = &mut self.plain[token] else {
            // Nobody is there to fall behind.
            self.readers.fall_behind(token as u32, Place::at(0));
            assert!(!self.readers.catch_up(token as u32, Place::at(self.position)));
            return;
        };
        let seen = if plain.live { plain.place.cursor.max(self.position) } else { plain.place.cursor };
        let place = Place { cursor: seen, floor: choices.below(self.log.len() + 1) as u64 };
        self.readers.fall_behind(token as u32, place);
        (plain.place, plain.live) = (place, false);
    }

    fn overrun(&mut self) {
        let (from, head) = (self.position, self.head());
        let mut fallen = BTreeSet::new();
        self.readers.overrun(head, |token| assert!(fallen.insert(token as usize)));
        let mut expected = BTreeSet::new();
        for (token, plain) in self.plain.iter_mut().enumerate() {
            let Some(plain) = plain.as_mut().filter(|plain| plain.live) else { continue };
            plain.place = Place::at(plain.place.cursor.max(from));
            plain.live = plain.place.cursor >= head;
            expected.extend((!plain.live).then_some(token));
        }
        assert_eq!(fallen, expected);
        self.position = head;
    }

    fn tell(&mut self, token: usize) {
        let told = self.readers.tell(token as u32);
        let position = self.position;
        let due = self.plain[token].as_mut().filter(|plain| plain.live && plain.place.cursor < position);
        assert_eq!(told, due.as_ref().map(|_| position));
        if let Some(plain) = due {
            plain.place.cursor = position;
        }
        assert_eq!(self.readers.tell(token as u32), None, "a cursor is told once");
    }

    /// What can be told quickly, after each call.
    fn compare(&self) {
        let there = self.plain.iter().flatten().count();
        assert_eq!((self.readers.len(), self.readers.is_empty()), (there, there == 0));
        assert_eq!(self.readers.position(), self.position);
        let behind = self.plain.iter().flatten().filter(|plain| !plain.live).count();
        assert_eq!(self.readers.behind_count(), behind);
        for (token, plain) in self.plain.iter().enumerate() {
            let behind = plain.as_ref().filter(|plain| !plain.live).map(|plain| plain.place);
            assert_eq!(self.readers.behind(token as u32), behind, "reader {token}");
        }
    }

    /// All that can be told.
    fn compare_all(&mut self) {
        let there = self.plain.iter().flatten();
        let mut named: Vec<ChannelName> = there.flat_map(|plain| plain.selection.channels.clone()).collect();
        named.sort();
        named.dedup();
        let mut channels: Vec<ChannelName> = self.readers.channels().cloned().collect();
        channels.sort();
        assert_eq!(channels, named);
        for channel in CHANNELS.map(name) {
            let selecting = self.plain.iter().flatten().filter(|plain| plain.selection.selects(&channel)).count();
            assert_eq!(self.readers.count_of(&channel), selecting, "{channel}");
        }
        for (token, plain) in self.plain.iter().enumerate() {
            assert_eq!(self.readers.selection(token as u32), plain.as_ref().map(|plain| &plain.selection));
        }
    }

    fn look_back(&self) {
        (0..READERS).for_each(|token| self.look_back_on(token));
    }

    /// What a reader was handed is every item of its channels from where it began to where it is.
    fn look_back_on(&self, token: usize) {
        let Some(plain) = &self.plain[token] else { return };
        let upto = if plain.live { plain.place.cursor.max(self.position) } else { plain.place.cursor };
        let expected: Vec<u64> =
            (plain.start + 1..=upto).filter(|seq| plain.selection.selects(&self.log[*seq as usize - 1])).collect();
        assert_eq!(plain.heard, expected, "reader {token}");
    }
}
