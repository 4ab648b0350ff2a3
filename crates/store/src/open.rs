//! Opening: from what a client says of where it was, to a cursor.

use crate::filter::Filter;
use crate::index::Kind;
use crate::log::Log;
use crate::memory::Memory;
use crate::read::{Budget, Cursor, Read};
use crate::steps::Pause;
use std::ops::ControlFlow;
use switchboard_wire::limits::POSITION_MAX;
use switchboard_wire::name::Selection;
use switchboard_wire::{Gap, Position, Reason};

/// Where a reader says that it wants to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since<'a> {
    /// Nothing was said. A page begins at the earliest, and so does a stream if everything it is of has ended;
    /// another stream at the latest, but with the state of channels that are states, and with the end of those it
    /// names that have ended.
    Default,
    Earliest,
    Latest,
    /// A text that may be a position: whatever a client handed back.
    At(&'a str),
}

/// Where a reader begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// After the gap, if there is one.
    pub cursor: Cursor,
    /// The cursor as the reader is told it.
    pub position: Position,
    /// Whether nothing was lost since; `None` unless the reader gave a text.
    pub recovered: Option<bool>,
    /// What was lost between where the reader was and where it begins.
    pub gap: Option<Gap>,
    /// The first gap that the reader will be told, where it comes after other events: nothing is to be done about it
    /// yet, but the reader was not recovered.
    pub owed: Option<Gap>,
    /// The reader gave a cursor and there is nothing to read, now or ever: every channel has ended, and the cursor is
    /// not before the last event of any. Never with patterns.
    pub finished: bool,
}

/// What came of looking along the order of the log for a while.
enum Search {
    Found(u64),
    Nothing,
    /// Nothing up to here, and there is more to look at.
    Paused(u64),
}

/// What to look for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// An event held, or an end.
    Held,
    /// The event of a channel that is a state.
    State,
    /// A place where a channel lost events.
    Lost,
}

impl Memory {
    pub(crate) async fn open_at(
        &self,
        now: u64,
        selection: &Selection,
        since: Since<'_>,
        page: bool,
        pause: &impl Pause,
    ) -> Opened {
        let head = self.expired(now, selection).head;
        let at = |seq, floor| {
            let cursor = Cursor { seq, floor };
            Opened { cursor, position: self.position(seq), recovered: None, gap: None, owed: None, finished: false }
        };
        match since {
            Since::At(text) => self.open_text(now, selection, text, head, pause).await,
            Since::Latest => Opened { finished: self.lock().finished(selection, head), ..at(head, head) },
            Since::Default if !page && !self.all_ended(selection) => {
                let lasting = self.first_lasting(selection, head, pause).await;
                lasting.map_or(at(head, head), |lowest| at(lowest - 1, head))
            }
            Since::Earliest | Since::Default => {
                let start = self.before_first(selection, head, pause).await;
                at(start, start)
            }
        }
    }

    async fn open_text(&self, now: u64, selection: &Selection, text: &str, head: u64, pause: &impl Pause) -> Opened {
        let reason = match text.parse::<Position>() {
            Err(_) => Reason::Unknown,
            Ok(position) => match position.in_log(self.epoch()) {
                None => Reason::Epoch,
                Some(seq) if seq > head => Reason::Ahead,
                Some(seq) => return self.resume(now, selection, text, (seq, head), pause).await,
            },
        };
        let start = self.before_first(selection, head, pause).await;
        let position = self.position(start);
        // It is the reader's word on all that it reads that means nothing here, not a loss of one channel.
        let gap = Gap { channel: None, from: shortened(text), to: position.clone(), reason };
        Opened {
            cursor: Cursor::at(start),
            position,
            recovered: Some(false),
            gap: Some(gap),
            owed: None,
            finished: false,
        }
    }

    /// Opens at a place of this log.
    async fn resume(
        &self,
        now: u64,
        selection: &Selection,
        text: &str,
        (seq, head): (u64, u64),
        pause: &impl Pause,
    ) -> Opened {
        if self.lock().finished(selection, seq) {
            let (cursor, position) = (Cursor::at(seq), self.position(seq));
            return Opened { cursor, position, recovered: Some(true), gap: None, owed: None, finished: true };
        }
        let (position, finished) = (self.position(seq), false);
        let at = Opened { cursor: Cursor::at(seq), position, recovered: Some(true), gap: None, owed: None, finished };
        if !self.lost_after(selection, seq, pause).await {
            return at;
        }
        match self.first_gap(now, selection, at.cursor, head, pause).await {
            Some((gap, cursor, true)) => {
                let (position, gap) = (gap.to.clone(), Some(Gap { from: shortened(text), ..gap }));
                Opened { cursor, position, recovered: Some(false), gap, ..at }
            }
            // Other events come first. The same gap will be told in its place; the reader is told of it beforehand.
            Some((gap, _, false)) => Opened { recovered: Some(false), owed: Some(gap), ..at },
            None => Opened { recovered: Some(false), ..at },
        }
    }

    /// The first gap that reading from here comes to, the cursor after it, and whether nothing else comes first.
    async fn first_gap(
        &self,
        now: u64,
        selection: &Selection,
        mut cursor: Cursor,
        head: u64,
        pause: &impl Pause,
    ) -> Option<(Gap, Cursor, bool)> {
        const PIECE: Budget = Budget { items: 256, bytes: usize::MAX };
        let mut first = true;
        loop {
            let piece = self.read_at(now, selection, cursor, head, PIECE, pause).await;
            for found in piece.found {
                match found.what {
                    Read::Gap(gap) => return Some((gap, found.cursor, first)),
                    Read::Event(_) | Read::End(_) => first = false,
                }
            }
            if piece.caught_up {
                return None;
            }
            cursor = piece.cursor;
            pause.pause().await;
        }
    }

    /// Just before the first thing that is held, or else the head.
    async fn before_first(&self, selection: &Selection, head: u64, pause: &impl Pause) -> u64 {
        let first = if selection.patterns.is_empty() {
            self.lock().first_held(selection)
        } else {
            self.search(selection, 0, head, Want::Held, pause).await
        };
        first.filter(|first| *first <= head).map_or(head, |first| first - 1)
    }

    /// The first thing that a reader is told though it wants only what is new.
    async fn first_lasting(&self, selection: &Selection, head: u64, pause: &impl Pause) -> Option<u64> {
        let named = self.lock().first_lasting_named(selection);
        let matched = match selection.patterns.is_empty() {
            true => None,
            false => self.search(selection, 0, head, Want::State, pause).await,
        };
        named.into_iter().chain(matched).min().filter(|first| *first <= head)
    }

    async fn lost_after(&self, selection: &Selection, cursor: u64, pause: &impl Pause) -> bool {
        if selection.patterns.is_empty() {
            let log = self.lock();
            return selection.channels.iter().any(|channel| log.lost_of(channel) > cursor);
        }
        let (forgotten, lost) = {
            let log = self.lock();
            (log.forgotten, log.lost)
        };
        forgotten > cursor
            || (lost > cursor && self.search(selection, cursor, u64::MAX, Want::Lost, pause).await.is_some())
    }

    /// Looks along the order of the log, a bounded part of it under each lock.
    async fn search(
        &self,
        selection: &Selection,
        mut after: u64,
        upto: u64,
        want: Want,
        pause: &impl Pause,
    ) -> Option<u64> {
        let mut filter = Filter::new(selection);
        loop {
            let search = self.lock().search(&mut filter, after, upto, want);
            match search {
                Search::Found(seq) => return Some(seq),
                Search::Nothing => return None,
                Search::Paused(seq) => after = seq,
            }
            pause.pause().await;
        }
    }
}

impl Log {
    /// Whether a reader at `cursor` has nothing to read, now or ever.
    fn finished(&self, selection: &Selection, cursor: u64) -> bool {
        let done = |channel| {
            self.records
                .named(channel)
                .is_some_and(|record| record.ended.is_some() && record.last <= cursor && record.lost <= cursor)
        };
        selection.patterns.is_empty() && !selection.channels.is_empty() && selection.channels.iter().all(done)
    }

    /// The first event held or end of the channels named.
    fn first_held(&self, selection: &Selection) -> Option<u64> {
        let records = selection.channels.iter().filter_map(|channel| self.records.named(channel));
        records.filter_map(|record| record.events.front().map(|entry| entry.seq()).or(record.ended)).min()
    }

    /// The first event of a state, or end, of the channels named.
    fn first_lasting_named(&self, selection: &Selection) -> Option<u64> {
        let records = selection.channels.iter().filter_map(|channel| self.records.named(channel));
        let lasting = records.flat_map(|record| {
            let state = record.events.front().filter(|_| record.is_state()).map(|entry| entry.seq());
            state.into_iter().chain(record.ended)
        });
        lasting.min()
    }

    fn search(&self, filter: &mut Filter<'_>, after: u64, upto: u64, want: Want) -> Search {
        filter.renew(self);
        let (mut steps, mut most) = (0, Log::STEP);
        let mut look = |place: crate::index::Place| {
            steps += 1;
            if place.seq > upto {
                return ControlFlow::Break(Search::Nothing);
            }
            let wanted = match want {
                Want::Held => matches!(place.kind, Kind::Event | Kind::End),
                Want::State => place.kind == Kind::Event,
                Want::Lost => place.kind == Kind::Lost,
            };
            if wanted && filter.selected(self, place.channel).is_some() {
                return ControlFlow::Break(Search::Found(place.seq));
            }
            steps += filter.take_work();
            most += filter.take_spare();
            if steps >= most {
                return ControlFlow::Break(Search::Paused(place.seq));
            }
            ControlFlow::Continue(())
        };
        let end = match want {
            Want::State => self.order.lasting_after(after).try_for_each(&mut look),
            Want::Held | Want::Lost => self.order.after(after, 0).try_for_each(&mut look),
        };
        match end {
            ControlFlow::Break(search) => search,
            ControlFlow::Continue(()) => Search::Nothing,
        }
    }
}

/// The text, cut where it is longer than any position.
fn shortened(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(POSITION_MAX)].into()
}
