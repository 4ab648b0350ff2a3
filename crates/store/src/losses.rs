//! Where channels lost events.
//!
//! Each loss has a mark in the order of the log, so that a reader that has no more than a position is told of it in its
//! place, among what is held. What stands for nothing of its own is dropped, and the number of all is bounded.

use crate::index::Kind;
use crate::log::Log;
use crate::policy::Class;
use crate::records::Id;
use switchboard_wire::Reason;

/// Marks of losses kept at most: some 40 bytes each. More if there may be more than half as many channels.
pub(crate) const MARKS: usize = 1 << 18;

impl Log {
    /// The channel lost what stood at `seq`. `push`: the place is new in the order of the log.
    pub(crate) fn lose(&mut self, id: Id, seq: u64, reason: Reason, push: bool) {
        let Some(record) = self.records.get_mut(id) else { return };
        (record.lost, record.reason) = (seq, reason);
        self.lost = self.lost.max(seq);
        let order = self.order.events(record.is_state());
        if push {
            order.push(seq, Kind::Lost, id);
        } else {
            order.set(seq, Kind::Lost);
        }
        match record.marks.back_mut() {
            Some(before) if self.order.holds_nothing_between(*before, seq) => {
                let before = std::mem::replace(before, seq);
                self.order.events(record.is_state()).set(before, Kind::Gone);
            }
            _ => {
                record.marks.push_back(seq);
                self.marked.push_back(id);
                self.drop_marks();
            }
        }
    }

    /// Keeps the number of marks within its limit: the oldest go. What they stood for is still told by the next mark of
    /// their channel, though a reader may be past some of it by then.
    fn drop_marks(&mut self) {
        /// Channels with a single mark keep it; most of those that are met in a row.
        const PATIENCE: usize = 8;
        for _ in 0..PATIENCE {
            if self.marked.len() <= self.limits.marks {
                return;
            }
            let Some(id) = self.marked.pop_front() else { return };
            let Some(record) = self.records.get_mut(id) else { continue };
            match record.marks.len() {
                // Its marks went in another way.
                0 => {}
                1 => self.marked.push_back(id),
                _ => {
                    let Some(mark) = record.marks.pop_front() else { continue };
                    self.order.events(record.is_state()).set(mark, Kind::Gone);
                    self.vague = self.vague.max(mark);
                }
            }
        }
    }

    /// Nothing of the channel counts as lost any longer.
    pub(crate) fn find(&mut self, id: Id) {
        let Some(record) = self.records.get_mut(id) else { return };
        for mark in record.marks.drain(..) {
            self.order.events(matches!(record.class, Class::State)).set(mark, Kind::Gone);
        }
        (record.lost, record.forgotten) = (0, 0);
    }
}
