//! The slow twin of the log: a list of everything that ever happened, and what became of each.

use super::keys::{Fate as Verdict, Keys, Told};
use std::collections::BTreeSet;
use switchboard_store::{
    Append, Appended, Budget, ChannelInfo, Class, Cursor, Item, Opened, Piece, Policy, Read, Refusal, Since, What,
};
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Epoch, Gap, Mark, Position, Reason};

const OVERHEAD: usize = 200;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    Event { bytes: usize, time: u64 },
    End,
    Deletion,
}

/// What became of something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Held,
    Lost(Reason),
    /// Of no further interest: superseded, deleted, or forgotten with its channel.
    Gone,
}

#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) seq: u64,
    pub(super) channel: ChannelName,
    pub(super) deed: Deed,
    pub(super) fate: Fate,
}

impl Past {
    pub(super) fn is_event(&self) -> bool {
        matches!(self.deed, Deed::Event { .. })
    }

    fn held(&self) -> bool {
        self.fate == Fate::Held && self.is_event()
    }

    fn cost(&self) -> usize {
        if let Deed::Event { bytes, .. } = self.deed { bytes } else { 0 }
    }
}

/// A channel that the log remembers.
#[derive(Clone, Debug)]
struct Known {
    channel: ChannelName,
    /// What the log had forgotten when the channel came to be known.
    forgotten: u64,
    used: usize,
}

pub(super) struct Twin {
    epoch: Epoch,
    pub(super) policy: Policy,
    pub(super) past: Vec<Past>,
    known: Vec<Known>,
    forgotten: u64,
    /// The newest place that was ever lost.
    lost_ever: u64,
    now: u64,
    uses: usize,
    pub(super) keys: Keys,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Plain {
    Event(u64),
    Gap(Option<ChannelName>, u64, Reason, Box<str>),
    End(ChannelName),
}

/// A piece in a form that can be compared and printed.
pub(super) trait Plainly {
    fn plainly(&self) -> (Vec<(Cursor, Plain)>, Cursor, bool, bool);
}

pub(super) fn plain(piece: &impl Plainly) -> (Vec<(Cursor, Plain)>, Cursor, bool, bool) {
    piece.plainly()
}

impl Plainly for Piece {
    fn plainly(&self) -> (Vec<(Cursor, Plain)>, Cursor, bool, bool) {
        let found = self.found.iter().map(|found| {
            let what = match &found.what {
                Read::Event(entry) => Plain::Event(entry.seq()),
                Read::End(channel) => Plain::End(channel.clone()),
                Read::Gap(gap) => {
                    let to = gap.to.marks().next().unwrap().seq;
                    Plain::Gap(gap.channel.clone(), to, gap.reason, gap.from.clone())
                }
            };
            (found.cursor, what)
        });
        (found.collect(), self.cursor, self.caught_up, self.ended)
    }
}

pub(super) struct Expected(Vec<(Cursor, Plain)>, Cursor, bool, bool);

impl Plainly for Expected {
    fn plainly(&self) -> (Vec<(Cursor, Plain)>, Cursor, bool, bool) {
        (self.0.clone(), self.1, self.2, self.3)
    }
}

impl Twin {
    pub(super) fn new(epoch: Epoch, policy: Policy) -> Twin {
        let keys = Keys::new(policy.keys, policy.key_age);
        Twin { epoch, policy, past: Vec::new(), known: Vec::new(), forgotten: 0, lost_ever: 0, now: 0, uses: 0, keys }
    }

    pub(super) fn head(&self) -> u64 {
        self.past.len() as u64
    }

    fn text(&self, seq: u64) -> Box<str> {
        self.position(seq).to_string().into()
    }

    fn position(&self, seq: u64) -> Position {
        Position::from(Mark { epoch: self.epoch, seq })
    }

    fn of<'a>(&'a self, channel: &'a ChannelName) -> impl DoubleEndedIterator<Item = &'a Past> + Clone + 'a {
        self.past.iter().filter(move |past| past.channel == *channel)
    }

    fn known(&self, channel: &ChannelName) -> Option<&Known> {
        self.known.iter().find(|known| known.channel == *channel)
    }

    fn ended(&self, channel: &ChannelName) -> Option<u64> {
        self.of(channel).find(|past| past.deed == Deed::End && past.fate == Fate::Held).map(|past| past.seq)
    }

    fn is_state(&self, channel: &ChannelName) -> bool {
        matches!(self.policy.class_of(channel), Class::State)
    }

    /// Where the channel lost events, and why.
    fn lost(&self, channel: &ChannelName) -> (u64, Reason) {
        let Some(known) = self.known(channel) else { return (self.forgotten, Reason::Forgotten) };
        let lost = self.of(channel).filter_map(|past| match past.fate {
            Fate::Lost(reason) => Some((past.seq, reason)),
            Fate::Held | Fate::Gone => None,
        });
        let (seq, reason) = lost.chain([(known.forgotten, Reason::Forgotten)]).max_by_key(|(seq, _)| *seq).unwrap();
        let renewed = self.is_state(channel) && self.of(channel).any(|past| past.is_event() && past.seq > seq);
        if renewed { (0, reason) } else { (seq, reason) }
    }

    fn last(&self, channel: &ChannelName) -> u64 {
        let deleted = self.of(channel).rfind(|past| past.deed == Deed::Deletion).map_or(0, |past| past.seq);
        let since = self.known(channel).map_or(0, |known| known.forgotten).max(deleted);
        self.of(channel).rfind(|past| past.is_event() && past.seq > since).map_or(0, |past| past.seq)
    }

    fn exists(&self, channel: &ChannelName) -> bool {
        self.known(channel).is_some() && (self.last(channel) > 0 || self.ended(channel).is_some())
    }

    /// Appends all or nothing. `refusal` is what the log said, which counts only where either answer would do.
    pub(super) fn append(
        &mut self,
        now: u64,
        items: &[Told],
        refusal: Option<(usize, Refusal)>,
    ) -> Result<Vec<Appended>, (usize, Refusal)> {
        let mut sketch = self.keys.clone();
        let mut ending = Vec::new();
        for (i, told) in items.iter().enumerate() {
            let full = refusal == Some((i, Refusal::KeysFull));
            if let Verdict::Repeat(_) = sketch.judge(now, told, full).map_err(|refusal| (i, refusal))? {
                continue;
            }
            let channel = &told.append.channel;
            if self.ended(channel).is_some() || ending.contains(&channel) {
                return Err((i, Refusal::Ended));
            }
            let nothing = Mark { epoch: self.epoch, seq: 0 };
            sketch.record(now, told, Appended { id: None, position: nothing, repeated: false });
            ending.extend(told.append.end.then_some(channel));
        }
        self.now = now;
        let mut answers = Vec::new();
        for told in items {
            answers.push(match self.keys.judge(now, told, false).unwrap() {
                Verdict::Repeat(answer) => Appended { repeated: true, ..answer },
                Verdict::Append => {
                    let answer = self.put(&told.append);
                    self.keys.record(now, told, answer);
                    answer
                }
            });
        }
        self.evict();
        Ok(answers)
    }

    fn put(&mut self, item: &Append) -> Appended {
        self.touch(&item.channel);
        if let Some(draft) = &item.draft {
            self.renew(&item.channel);
            self.happen(&item.channel, Deed::Event { bytes: draft.cost(), time: self.now }, Fate::Held);
        }
        let position = Mark { epoch: self.epoch, seq: self.head() };
        self.trim();
        if item.end {
            self.happen(&item.channel, Deed::End, Fate::Held);
        }
        Appended { id: item.draft.as_ref().map(|_| position), position, repeated: false }
    }

    /// A new state makes up for whatever was lost.
    fn renew(&mut self, channel: &ChannelName) {
        if self.is_state(channel) {
            let lost =
                self.past.iter_mut().filter(|past| past.channel == *channel && matches!(past.fate, Fate::Lost(_)));
            lost.for_each(|past| past.fate = Fate::Gone);
            self.known.iter_mut().filter(|known| known.channel == *channel).for_each(|known| known.forgotten = 0);
        }
    }

    fn happen(&mut self, channel: &ChannelName, deed: Deed, fate: Fate) {
        self.past.push(Past { seq: self.head() + 1, channel: channel.clone(), deed, fate });
    }

    fn touch(&mut self, channel: &ChannelName) {
        self.uses += 1;
        if let Some(known) = self.known.iter_mut().find(|known| known.channel == *channel) {
            known.used = self.uses;
            return;
        }
        if self.known.len() == self.policy.channels {
            let oldest = (0..self.known.len()).min_by_key(|i| self.known[*i].used).unwrap();
            let dropped = self.known.remove(oldest);
            let newest = self.of(&dropped.channel).next_back().unwrap().seq;
            self.forgotten = self.forgotten.max(newest);
            self.lost_ever = self.lost_ever.max(newest);
            self.past.iter_mut().filter(|past| past.channel == dropped.channel).for_each(|past| past.fate = Fate::Gone);
        }
        self.known.push(Known { channel: channel.clone(), forgotten: self.forgotten, used: self.uses });
    }

    pub(super) fn delete(&mut self, now: u64, channel: &ChannelName) -> Option<u64> {
        self.advance(now);
        if !self.exists(channel) {
            return None;
        }
        self.touch(channel);
        for past in self.past.iter_mut().filter(|past| past.channel == *channel && past.fate == Fate::Held) {
            past.fate = if past.is_event() { Fate::Lost(Reason::Deleted) } else { Fate::Gone };
        }
        self.happen(channel, Deed::Deletion, Fate::Lost(Reason::Deleted));
        self.trim();
        Some(self.head())
    }

    pub(super) fn advance(&mut self, now: u64) {
        self.now = now;
        self.trim();
    }

    /// Applies the limits of each channel.
    fn trim(&mut self) {
        let channels: BTreeSet<ChannelName> = self.past.iter().map(|past| past.channel.clone()).collect();
        for channel in channels {
            let class = self.policy.class_of(&channel);
            let (mut held, mut bytes) = (0, 0);
            for past in self.past.iter_mut().rev().filter(|past| past.channel == channel && past.held()) {
                held += 1;
                bytes += past.cost();
                let Deed::Event { time, .. } = past.deed else { continue };
                match class {
                    Class::Ephemeral => past.fate = Fate::Lost(Reason::Skipped),
                    Class::State if held > 1 => past.fate = Fate::Gone,
                    Class::State => {}
                    Class::History(keep) if time + keep.age <= self.now => past.fate = Fate::Lost(Reason::Expired),
                    Class::History(keep) if held > 1 && (held > keep.events || bytes > keep.bytes) => {
                        past.fate = Fate::Lost(Reason::Trimmed);
                    }
                    Class::History(_) => {}
                }
            }
        }
        self.note_losses();
    }

    /// Applies the limit of the log.
    fn evict(&mut self) {
        while self.held().0 > 1 && self.held().1 > self.policy.bytes {
            let oldest = self.past.iter_mut().find(|past| past.held()).unwrap();
            oldest.fate = Fate::Lost(Reason::Trimmed);
        }
        self.note_losses();
    }

    fn note_losses(&mut self) {
        let lost = self.past.iter().filter(|past| matches!(past.fate, Fate::Lost(_))).map(|past| past.seq).max();
        self.lost_ever = self.lost_ever.max(lost.unwrap_or(0));
    }

    /// How many events are held, and what they take.
    pub(super) fn held(&self) -> (usize, usize) {
        let held = self.past.iter().filter(|past| past.held());
        (held.clone().count(), held.map(|past| past.cost() + OVERHEAD).sum())
    }

    pub(super) fn all_ended(&self, selection: &Selection) -> bool {
        self.ended_by(selection, u64::MAX)
    }

    fn ended_by(&self, selection: &Selection, seq: u64) -> bool {
        selection.patterns.is_empty()
            && selection.channels.iter().all(|channel| self.ended(channel).is_some_and(|end| end <= seq))
    }

    pub(super) fn channels(&self, after: Option<&str>, limit: usize) -> Vec<ChannelInfo> {
        let mut names: Vec<ChannelName> = self.known.iter().map(|known| known.channel.clone()).collect();
        names.sort();
        names.retain(|name| self.exists(name) && after.is_none_or(|after| name.as_str() > after));
        let infos = names.into_iter().take(limit).map(|name| {
            let held = self.of(&name).filter(|past| past.held());
            let last = self.last(&name);
            ChannelInfo {
                class: self.policy.class_of(&name),
                events: held.clone().count(),
                bytes: held.map(Past::cost).sum(),
                ended: self.ended(&name).is_some(),
                newest: (last > 0).then_some(Mark { epoch: self.epoch, seq: last }),
                name,
            }
        });
        infos.collect()
    }

    pub(super) fn check_items(&self, after: u64, upto: u64, items: &[Item]) {
        let expected: Vec<&Past> = self.past.iter().filter(|past| past.seq > after && past.seq <= upto).collect();
        assert_eq!(items.len(), expected.len());
        for (item, past) in items.iter().zip(expected) {
            assert_eq!((item.seq, &item.channel), (past.seq, &past.channel));
            match (&item.what, past.deed) {
                (What::Event(entry), Deed::Event { .. }) => {
                    assert_eq!(entry.seq(), item.seq);
                    let held = !matches!(self.policy.class_of(&past.channel), Class::Ephemeral);
                    assert_eq!(entry.event().resumable, held);
                }
                (What::End, Deed::End) | (What::Deleted, Deed::Deletion) => {}
                (what, deed) => panic!("{what:?} is not {deed:?}"),
            }
        }
    }

    /// Everything that a reader is to be told, gaps as far as they are certain, in order.
    fn things(&self, selection: &Selection, cursor: Cursor, upto: u64) -> Vec<(u64, Plain)> {
        let since = cursor.floor;
        let threshold = cursor.seq.max(since);
        let mut things = Vec::new();
        for past in self.past.iter().filter(|past| past.fate == Fate::Held && selection.selects(&past.channel)) {
            let lasts = !past.is_event() || self.is_state(&past.channel);
            if past.seq > if lasts { cursor.seq } else { threshold } {
                let what = if past.is_event() { Plain::Event(past.seq) } else { Plain::End(past.channel.clone()) };
                things.push((past.seq, what));
            }
        }
        for (seq, channel, reason) in self.losses(selection) {
            if seq > threshold {
                things.push((seq, Plain::Gap(channel, seq, reason, "".into())));
            }
        }
        things.retain(|(seq, _)| *seq <= upto);
        things.sort_by_key(|(seq, _)| *seq);
        self.join(things, since, self.inexact(selection, cursor), upto)
    }

    /// Everything that the selection lost, with the reason of the channel's newest loss.
    fn losses(&self, selection: &Selection) -> Vec<(u64, Option<ChannelName>, Reason)> {
        let named = selection.patterns.is_empty();
        let known: BTreeSet<&ChannelName> = match named {
            true => selection.channels.iter().collect(),
            false => self.known.iter().map(|known| &known.channel).filter(|name| selection.selects(name)).collect(),
        };
        let mut losses = Vec::new();
        if !named {
            losses.push((self.forgotten, None, Reason::Forgotten));
        }
        for name in known {
            let (newest, reason) = self.lost(name);
            let forgotten = self.known(name).map_or(self.forgotten, |known| known.forgotten);
            if named && newest > 0 {
                losses.push((forgotten, Some(name.clone()), Reason::Forgotten));
            }
            let lost = self.of(name).filter(|past| newest > 0 && matches!(past.fate, Fate::Lost(_)));
            losses.extend(lost.map(|past| (past.seq, Some(name.clone()), reason)));
        }
        losses
    }

    /// Makes one gap of those with nothing held in between, and says how far each goes.
    fn join(&self, things: Vec<(u64, Plain)>, since: u64, inexact: u64, upto: u64) -> Vec<(u64, Plain)> {
        let mut joined: Vec<(u64, Plain)> = Vec::new();
        let mut told = since;
        for (seq, what) in things {
            match (joined.last_mut(), what) {
                (Some((at, Plain::Gap(of, _, why, _))), Plain::Gap(channel, _, reason, _)) => {
                    (*at, *why) = (seq, reason);
                    if *of != channel {
                        *of = None;
                    }
                }
                (before, what) => {
                    if let Some((at, Plain::Gap(_, to, ..))) = before {
                        (*at, *to) = (seq - 1, seq - 1);
                    }
                    told = told.max(joined.last().map_or(0, |(at, _)| *at).max(since));
                    let told = if joined.last().is_some_and(|(at, _)| *at >= inexact) { told } else { since };
                    let what = match what {
                        Plain::Gap(channel, to, reason, _) => Plain::Gap(channel, to, reason, self.text(told)),
                        other => other,
                    };
                    joined.push((seq, what));
                }
            }
        }
        if let Some((at, Plain::Gap(_, to, ..))) = joined.last_mut() {
            (*at, *to) = (upto, upto);
        }
        joined
    }

    /// Up to where a reader from here is not known to have been told all: records were dropped since.
    fn inexact(&self, selection: &Selection, cursor: Cursor) -> u64 {
        if cursor.seq.max(cursor.floor) >= self.forgotten { 0 } else { self.lost_by(selection) }
    }

    fn lost_by(&self, selection: &Selection) -> u64 {
        if !selection.patterns.is_empty() {
            return self.lost_ever;
        }
        selection.channels.iter().map(|channel| self.lost(channel).0).max().unwrap()
    }

    pub(super) fn read(&self, selection: &Selection, cursor: Cursor, upto: u64, budget: Budget) -> Expected {
        let upto = if cursor.seq < upto { upto.max(self.lost_by(selection)) } else { cursor.seq };
        let mut things = self.things(selection, cursor, upto);
        let all = things.len();
        let mut bytes = 0;
        let fits = things.iter().enumerate().take_while(|(i, (_, what))| {
            let cost = if let Plain::Event(seq) = what { self.past[*seq as usize - 1].cost() } else { 0 };
            bytes += cost;
            let free = matches!(what, Plain::End(..)) && selection.patterns.is_empty();
            *i == 0 || free || (*i < budget.items && bytes <= budget.bytes)
        });
        let count = fits.count();
        things.truncate(count);
        let caught_up = count == all;
        let seq = if caught_up { upto } else { things[count - 1].0 };
        let inexact = self.inexact(selection, cursor);
        let after = |seq: u64| Cursor { seq, floor: if inexact <= seq { cursor.floor.max(seq) } else { cursor.floor } };
        let things = things.into_iter().map(|(seq, what)| (after(seq), what)).collect();
        let ended = caught_up && self.ended_by(selection, seq);
        Expected(things, after(seq), caught_up, ended)
    }

    pub(super) fn open(&self, selection: &Selection, since: Since<'_>, page: bool) -> Opened {
        let head = self.head();
        let selected = self.past.iter().filter(|past| past.fate == Fate::Held && selection.selects(&past.channel));
        let earliest = selected.clone().next().map_or(head, |past| past.seq - 1);
        let at = |seq, floor| Opened {
            cursor: Cursor { seq, floor },
            position: self.position(seq),
            recovered: None,
            gap: None,
            owed: None,
            finished: false,
        };
        match since {
            Since::Earliest => at(earliest, earliest),
            Since::Default if page || self.all_ended(selection) => at(earliest, earliest),
            Since::Default => {
                let lasting = selected.clone().find(|past| match past.deed {
                    Deed::Event { .. } => self.is_state(&past.channel),
                    _ => selection.channels.contains(&past.channel),
                });
                at(lasting.map_or(head, |past| past.seq - 1), head)
            }
            Since::Latest => Opened { finished: self.finished(selection, head), ..at(head, head) },
            Since::At(text) => self.open_text(selection, text, earliest),
        }
    }

    fn finished(&self, selection: &Selection, seq: u64) -> bool {
        let done = |channel| self.last(channel) <= seq && self.lost(channel).0 <= seq;
        self.all_ended(selection) && selection.channels.iter().all(done)
    }

    fn open_text(&self, selection: &Selection, text: &str, earliest: u64) -> Opened {
        let seq = text.parse::<Position>().map(|position| position.in_log(self.epoch));
        let reason = match seq {
            Err(_) => Reason::Unknown,
            Ok(None) => Reason::Epoch,
            Ok(Some(seq)) if seq > self.head() => Reason::Ahead,
            Ok(Some(seq)) => return self.resume(selection, text, seq),
        };
        let mut from = text.to_owned();
        while from.len() > 255 {
            from.pop();
        }
        let position = self.position(earliest);
        let gap = Gap { channel: None, from: from.into(), to: position.clone(), reason };
        Opened {
            cursor: Cursor::at(earliest),
            position,
            recovered: Some(false),
            gap: Some(gap),
            owed: None,
            finished: false,
        }
    }

    fn resume(&self, selection: &Selection, text: &str, seq: u64) -> Opened {
        let finished = self.finished(selection, seq);
        let things = self.things(selection, Cursor::at(seq), self.head());
        let recovered = !things.iter().any(|(_, what)| matches!(what, Plain::Gap(..)));
        let mut opened = Opened {
            cursor: Cursor::at(seq),
            position: self.position(seq),
            recovered: Some(recovered),
            gap: None,
            owed: None,
            finished,
        };
        if let Some((to, Plain::Gap(channel, _, reason, _))) = things.first() {
            opened.cursor = self.read(selection, opened.cursor, self.head(), Budget { items: 1, bytes: 0 }).0[0].0;
            opened.position = self.position(*to);
            let (channel, from) = (channel.clone(), text.into());
            opened.gap = Some(Gap { channel, from, to: opened.position.clone(), reason: *reason });
        } else if let Some((to, Plain::Gap(channel, _, reason, from))) =
            things.iter().find(|(_, what)| matches!(what, Plain::Gap(..)))
        {
            let (channel, from) = (channel.clone(), from.clone());
            opened.owed = Some(Gap { channel, from, to: self.position(*to), reason: *reason });
        }
        opened
    }
}
