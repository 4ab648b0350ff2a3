//! The readers of one shard: their cursors, and whom to hand an event to.

use crate::Token;
use crate::pass::{Due, Pass};
use crate::patterns::{Matched, Patterns, Rest};
use std::collections::HashMap;
use std::sync::Arc;
use switchboard_wire::ChannelName;
use switchboard_wire::name::Selection;

/// Where a reader is, as the log says it: handed back to the log when it reads on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// It has everything up to here.
    pub cursor: u64,
    /// Up to here it needs to be told of no loss. Above the cursor in a reader that did not ask for events up to here,
    /// but for the values of `state` channels; below it in one that has yet to be told of an old loss.
    pub floor: u64,
}

impl Place {
    /// A reader that has everything up to here and was told of every loss.
    pub fn at(cursor: u64) -> Place {
        Place { cursor, floor: cursor }
    }
}

struct Reader {
    cursor: u64,
    floor: u64,
    /// Gets what the ring brings. Its cursor is then at least the shard's position, or about to be; where it is beyond, it was
    /// handed what lies between ahead of the others.
    live: bool,
    selection: Arc<Selection>,
}

/// Who selects a channel by name.
#[derive(Default)]
struct Named {
    /// Those that select nothing else: whatever is due to one of them is due to them all.
    alone: Vec<Token>,
    among: Vec<Token>,
}

impl Named {
    fn list(&mut self, selection: &Selection) -> &mut Vec<Token> {
        if is_alone(selection) { &mut self.alone } else { &mut self.among }
    }
}

/// Whether a selection is of one channel, by name.
fn is_alone(selection: &Selection) -> bool {
    selection.channels.len() == 1 && selection.patterns.is_empty()
}

/// A channel has got its first reader that names it, or lost its last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    First(ChannelName),
    Last(ChannelName),
}

/// Work of patterns after which a pass is begun with what was matched so far: a step is a look-up among few texts, and so many
/// of them are a part of a millisecond.
const WORK: usize = 16 << 10;

/// What a name that is read takes besides its text, however many read it: an entry with a list, a place in a selection, and what
/// the allocator adds.
const NAME: usize = 240;

/// What a pass was begun with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Begun {
    /// How many items it is over, from the first on.
    pub items: usize,
    /// Whether that is fewer than there were.
    pub is_cut: bool,
    /// What it took to match them with patterns: segments of these, and readers. Where that is much, the last of the items is
    /// yet to be matched with some: see [`Readers::go_on`].
    pub work: usize,
}

/// The readers of one shard.
///
/// The shard's *position* is how far it has taken the ring's items to hand them to its live readers. A reader that is
/// behind is live again when its cursor reaches that position, not the log's head: what lies between the two is still
/// to come through the ring.
pub struct Readers {
    position: u64,
    slots: Vec<Option<Reader>>,
    count: usize,
    behind: usize,
    exact: HashMap<ChannelName, Named>,
    /// What the names there take, in bytes.
    names: usize,
    patterns: Patterns,
    pass: Pass,
    /// Work of patterns that is done at once, or little more.
    enough: usize,
    /// Channels that have got their first reader by name, or lost their last, in order; where somebody asks for that.
    turns: Option<Vec<Turn>>,
}

impl Readers {
    /// No readers, with everything up to `position` handed over.
    pub fn new(position: u64) -> Readers {
        Readers {
            position,
            slots: Vec::new(),
            count: 0,
            behind: 0,
            exact: HashMap::new(),
            names: 0,
            patterns: Patterns::default(),
            pass: Pass::default(),
            enough: WORK,
            turns: None,
        }
    }

    /// The same, with patterns matched for so many steps at once.
    pub fn matching_at_once(self, steps: usize) -> Readers {
        Readers { enough: steps, ..self }
    }

    /// Takes note of [`Turn`]s from now on, for [`Readers::take_turns`].
    pub fn note_turns(&mut self) {
        self.turns.get_or_insert_default();
    }

    /// What turned since this was last asked for.
    pub fn take_turns(&mut self) -> Vec<Turn> {
        self.turns.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a reader at a place. It is live if it has everything that the shard handed over; `false` means it is
    /// behind. The token must not be in use.
    pub fn add(&mut self, token: Token, selection: Arc<Selection>, place: Place) -> bool {
        let selection = self.share(selection);
        for channel in &selection.channels {
            if !self.exact.contains_key(channel) {
                self.names += cost_of_name(channel);
                self.turns.iter_mut().for_each(|turns| turns.push(Turn::First(channel.clone())));
            }
            self.exact.entry(channel.clone()).or_default().list(&selection).push(token);
        }
        for pattern in &selection.patterns {
            self.patterns.add(pattern, token);
        }
        let live = place.cursor >= self.position;
        let index = token as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        debug_assert!(self.slots[index].is_none());
        self.slots[index] = Some(Reader { cursor: place.cursor, floor: place.floor, live, selection });
        self.count += 1;
        self.behind += usize::from(!live);
        live
    }

    /// The selection that the readers of a channel alone already have, if there are any: then one more costs no memory
    /// of its own, in whose midst what comes and goes would leave holes. Of several channels, the names that others have.
    fn share(&self, selection: Arc<Selection>) -> Arc<Selection> {
        let channel = selection.channels.first().filter(|_| is_alone(&selection));
        let neighbour = channel.and_then(|channel| self.exact.get(channel)?.alone.first());
        if let Some(shared) = neighbour.and_then(|token| self.selection(*token)) {
            return shared.clone();
        }
        if !selection.channels.iter().any(|name| self.exact.contains_key(name)) {
            return selection;
        }
        let kept = |name| self.exact.get_key_value(name).map_or(name, |(kept, _)| kept).clone();
        let channels = selection.channels.iter().map(kept).collect();
        Arc::new(Selection { channels, patterns: selection.patterns.clone() })
    }

    /// Bytes that names take which readers have, each once however many have it.
    pub fn names(&self) -> usize {
        self.names
    }

    /// Bytes that those names of a selection would take that no reader has.
    pub fn cost_of_names(&self, selection: &Selection) -> usize {
        selection.channels.iter().filter(|name| !self.exact.contains_key(*name)).map(cost_of_name).sum()
    }

    /// Forgets a reader.
    pub fn remove(&mut self, token: Token) {
        let Some(reader) = self.slots.get_mut(token as usize).and_then(Option::take) else { return };
        self.count -= 1;
        self.behind -= usize::from(!reader.live);
        self.pass.leave(token);
        for channel in &reader.selection.channels {
            let Some(named) = self.exact.get_mut(channel) else { continue };
            let list = named.list(&reader.selection);
            if let Some(at) = list.iter().position(|other| *other == token) {
                list.swap_remove(at);
            }
            if named.alone.is_empty() && named.among.is_empty() {
                self.exact.remove(channel);
                self.names -= cost_of_name(channel);
                self.turns.iter_mut().for_each(|turns| turns.push(Turn::Last(channel.clone())));
            }
        }
        for pattern in &reader.selection.patterns {
            self.patterns.remove(pattern, token);
        }
    }

    /// Begins a pass over all who are due some of a batch: the `count` items that follow the shard's position, up to
    /// `upto`. `item` has the channel and the number of each. The last pass must be over.
    ///
    /// Where patterns make much work the pass is over fewer of the items, and at least one, or is to be [gone on
    /// with](Readers::go_on). The shard's position is behind these from now on: who comes or catches up while the pass is on is
    /// live behind it.
    pub fn begin<'a>(&mut self, count: usize, upto: u64, item: impl Fn(u16) -> (&'a ChannelName, u64)) -> Begun {
        let by_pattern = !self.patterns.is_empty();
        let (begun, rest) = match by_pattern {
            true => self.match_items(count, &item),
            false => (Begun { items: count, ..Begun::default() }, None),
        };
        let count = begun.items;
        self.pass.begin(count, |i| item(i).0);
        let mut among = false;
        for run in 0..self.pass.shared() as u32 {
            among |= self.add_alone(run, &item);
        }
        if among && !by_pattern {
            (0..count as u16).for_each(|i| self.add_among(i, item(i)));
        }
        self.pass.sort();
        self.pass.leave_open(rest);
        self.advance(if begun.is_cut { item(count as u16 - 1).1 } else { upto });
        begun
    }

    /// Goes on with a pass in which all that was matched so far is handed over, where a match was cut. `item` is that of the
    /// pass. Returns the work that it was; `None` where nothing is left to match, or somebody is due something.
    pub fn go_on<'a>(&mut self, item: impl Fn(u16) -> (&'a ChannelName, u64)) -> Option<usize> {
        let (i, rest) = self.pass.take_open()?;
        let matched = self.add_by_pattern(i, item(i), Some(&rest), self.enough);
        self.pass.sort();
        self.pass.leave_open(matched.rest.map(|rest| (i, rest)));
        Some(matched.work)
    }

    /// Adds to the pass those that items are due to among other channels, item by item, until that has been much work.
    /// What the last of them is yet to be matched with is told beside.
    fn match_items<'a>(
        &mut self,
        count: usize,
        item: &impl Fn(u16) -> (&'a ChannelName, u64),
    ) -> (Begun, Option<(u16, Rest)>) {
        let (mut begun, mut rest) = (Begun::default(), None);
        while begun.items < count && begun.work < self.enough {
            let i = begun.items as u16;
            self.add_among(i, item(i));
            let matched = self.add_by_pattern(i, item(i), None, self.enough - begun.work);
            begun.work += matched.work;
            begun.items += 1;
            rest = matched.rest.map(|rest| (i, rest));
        }
        begun.is_cut = begun.items < count;
        (begun, rest)
    }

    /// Adds to the pass those that a channel's run is due to alone; whether there are others. A cursor that is already
    /// past some of the run is the seam between catching up and live: nothing is doubled there.
    fn add_alone<'a>(&mut self, run: u32, item: &impl Fn(u16) -> (&'a ChannelName, u64)) -> bool {
        let Readers { slots, exact, pass, .. } = self;
        let Some((&first, &last)) = pass.items(run).first().zip(pass.items(run).last()) else { return false };
        let ((channel, first), (_, last)) = (item(first), item(last));
        let Some(named) = exact.get(channel) else { return false };
        for &token in &named.alone {
            let Some(reader) = live(slots, token) else { continue };
            if first > reader.cursor {
                pass.add_run(token, run);
            } else {
                let rest: Vec<u16> = pass.items(run).iter().copied().filter(|i| item(*i).1 > reader.cursor).collect();
                rest.into_iter().for_each(|i| pass.add_one(token, i));
            }
            reader.cursor = reader.cursor.max(last);
        }
        !named.among.is_empty()
    }

    /// Adds to the pass those that an item is due to among other channels that they name.
    fn add_among(&mut self, i: u16, (channel, seq): (&ChannelName, u64)) {
        let Readers { slots, exact, pass, .. } = self;
        let among = exact.get(channel).map_or(&[][..], |named| &named.among);
        among.iter().for_each(|token| add_one(slots, pass, *token, (i, seq)));
    }

    /// Adds to the pass those that an item is due to by a pattern, once each: also where several patterns of one reader select
    /// its channel. It begins where it was cut, and is cut after so much work.
    fn add_by_pattern(
        &mut self,
        i: u16,
        (channel, seq): (&ChannelName, u64),
        from: Option<&Rest>,
        enough: usize,
    ) -> Matched {
        let Readers { slots, patterns, pass, .. } = self;
        patterns.match_some(channel, from, enough, |token| add_one(slots, pass, token, (i, seq)))
    }

    /// Begins a pass over one reader alone, ahead of all others: the items are the `count` that follow its cursor, up to `upto`,
    /// where it is from now on. What it is still due of the present pass is to be [taken](Readers::take_due) before. That pass
    /// stands aside: it is given out, to be [gone on with](Readers::resume) once this one is over.
    ///
    /// One that is behind is due nothing: it reads the log.
    pub fn begin_ahead<'a>(
        &mut self,
        token: Token,
        count: usize,
        upto: u64,
        item: impl Fn(u16) -> (&'a ChannelName, u64),
    ) -> Pass {
        let aside = std::mem::take(&mut self.pass);
        let Readers { slots, pass, .. } = self;
        pass.begin(count, |i| item(i).0);
        if let Some(reader) = live(slots, token) {
            let own = own_patterns(&reader.selection);
            let selects = |name: &ChannelName| reader.selection.channels.contains(name) || own.select(name);
            for run in 0..pass.shared() as u32 {
                let items = pass.items(run).to_vec();
                if items.first().is_some_and(|first| selects(item(*first).0)) {
                    items.into_iter().filter(|i| item(*i).1 > reader.cursor).for_each(|i| pass.add_one(token, i));
                }
            }
            reader.cursor = reader.cursor.max(upto);
        }
        pass.sort();
        aside
    }

    /// Goes on with a pass that stood aside.
    pub fn resume(&mut self, aside: Pass) {
        debug_assert!(!self.pass.is_on());
        self.pass = aside;
    }

    /// The present pass, if one is on.
    pub fn pass(&self) -> &Pass {
        &self.pass
    }

    /// Puts those who are due something of the pass in another order, by a key. The pass must have just begun.
    pub fn arrange<K: Ord>(&mut self, key: impl Fn(Token) -> K) {
        self.pass.arrange(key);
    }

    /// The next reader that is due something of the pass. `None` ends it.
    pub fn next_due(&mut self) -> Option<Due> {
        self.pass.next()
    }

    /// What a reader is still due of the present pass: to be handed over at once, since the pass will not. A live reader
    /// is then where the shard is, or ahead of it. `item` is that of the pass.
    pub fn take_due<'a>(&mut self, token: Token, item: impl Fn(u16) -> (&'a ChannelName, u64)) -> Vec<Due> {
        let mut due = self.pass.take(token);
        // What is yet to be matched may be due to it, too.
        if let Some(i) = self.pass.open()
            && let (channel, seq) = item(i)
            && let Some(reader) = live(&mut self.slots, token)
            && seq > reader.cursor
            && own_patterns(&reader.selection).select(channel)
        {
            reader.cursor = seq;
            due.push(self.pass.give(token, i));
        }
        due
    }

    /// Everything up to `position` has been handed to the live readers, or is on its way to them.
    pub fn advance(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// The ring no longer holds what comes after the shard's position: every live reader falls behind there, and the
    /// shard goes on at `head`. Calls `each` with those readers.
    pub fn overrun(&mut self, head: u64, mut each: impl FnMut(Token)) {
        let from = std::mem::replace(&mut self.position, head);
        for (token, slot) in self.slots.iter_mut().enumerate() {
            if let Some(reader) = slot
                && reader.live
            {
                reader.cursor = reader.cursor.max(from);
                reader.floor = reader.cursor;
                reader.live = reader.cursor >= head;
                if !reader.live {
                    self.behind += 1;
                    each(token as Token);
                }
            }
        }
    }

    /// The reader's peer took no more than what lies before this place.
    pub fn fall_behind(&mut self, token: Token, place: Place) {
        if let Some(reader) = self.get_mut(token) {
            (reader.cursor, reader.floor) = (place.cursor, place.floor);
            let was_live = std::mem::replace(&mut reader.live, false);
            self.behind += usize::from(was_live);
        }
    }

    /// A reader that was behind has everything before this place. `true` if it is live now.
    pub fn catch_up(&mut self, token: Token, place: Place) -> bool {
        let position = self.position;
        let Some(reader) = self.get_mut(token) else { return false };
        (reader.cursor, reader.floor) = (reader.cursor.max(place.cursor), place.floor);
        let was_live = std::mem::replace(&mut reader.live, reader.cursor >= position);
        let live = reader.live;
        self.behind = self.behind + usize::from(was_live) - usize::from(live);
        live
    }

    /// How many readers are behind.
    pub fn behind_count(&self) -> usize {
        self.behind
    }

    /// Where a reader is that is behind; `None` if it is live.
    pub fn behind(&self, token: Token) -> Option<Place> {
        let reader = self.get(token)?;
        (!reader.live).then_some(Place { cursor: reader.cursor, floor: reader.floor })
    }

    /// Everything up to here was handed to the reader, or is on its way to it in the present pass.
    pub fn cursor(&self, token: Token) -> Option<u64> {
        self.get(token).map(|reader| if reader.live { reader.cursor.max(self.position) } else { reader.cursor })
    }

    /// Notes that a live reader is being told its cursor, and gives it if it moved since it was last told: by an event, or
    /// by this. Not while a pass is on, which may yet bring the reader what lies before.
    pub fn tell(&mut self, token: Token) -> Option<u64> {
        debug_assert!(!self.pass.is_on());
        let position = self.position;
        let reader = self.get_mut(token).filter(|reader| reader.live && reader.cursor < position)?;
        reader.cursor = position;
        Some(position)
    }

    pub fn selection(&self, token: Token) -> Option<&Arc<Selection>> {
        self.get(token).map(|reader| &reader.selection)
    }

    /// How many readers select the channel, by name or by pattern.
    pub fn count_of(&self, channel: &ChannelName) -> usize {
        let named = self.exact.get(channel);
        let mut tokens = named.map(|named| named.among.clone()).unwrap_or_default();
        self.patterns.each_match(channel, |token| tokens.push(token));
        tokens.sort_unstable();
        tokens.dedup();
        named.map_or(0, |named| named.alone.len()) + tokens.len()
    }

    /// The channels that some reader selects by name.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.exact.keys()
    }

    fn get(&self, token: Token) -> Option<&Reader> {
        self.slots.get(token as usize)?.as_ref()
    }

    fn get_mut(&mut self, token: Token) -> Option<&mut Reader> {
        self.slots.get_mut(token as usize)?.as_mut()
    }
}

fn live(slots: &mut [Option<Reader>], token: Token) -> Option<&mut Reader> {
    slots.get_mut(token as usize)?.as_mut().filter(|reader| reader.live)
}

fn cost_of_name(name: &ChannelName) -> usize {
    NAME + name.as_str().len()
}

/// Adds an item to what a live reader is due, unless it is past it: so it is due once, however often it is found to be.
fn add_one(slots: &mut [Option<Reader>], pass: &mut Pass, token: Token, (i, seq): (u16, u64)) {
    if let Some(reader) = live(slots, token)
        && seq > reader.cursor
    {
        reader.cursor = seq;
        pass.add_one(token, i);
    }
}

/// The patterns of one reader: trying each of them is as much work as their lengths times that of a name.
fn own_patterns(selection: &Selection) -> Patterns {
    let mut own = Patterns::default();
    selection.patterns.iter().for_each(|pattern| own.add(pattern, 0));
    own
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
