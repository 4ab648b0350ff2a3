//! Matching a name with patterns without going back: what is moved along a pattern is the *set of places* in the name that
//! it may have come to, as bits. So each segment of a pattern is looked at once, whatever wildcards there are and however
//! long the name is, and none behind the one that leads nowhere.

use crate::limits::NAME_MAX;

/// Places in a name, each of which is a number of segments that a pattern has come past. A place is behind the segment
/// whose bit it has, the first having the lowest; no segment is behind the one at the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    start: bool,
    after: u128,
}

/// A name has a segment for every two bytes at most, and a bit for each.
const _: () = assert!(NAME_MAX.div_ceil(2) <= 128);

impl Places {
    /// Where every pattern begins.
    pub const START: Places = Places { start: true, after: 0 };

    #[inline]
    pub fn are_none(self) -> bool {
        !self.start && self.after == 0
    }

    /// Where those at these places come to with a segment that stands at those of the bits: with `*`, at all of them.
    #[inline]
    pub fn step(self, at: u128) -> Places {
        Places { start: false, after: (self.after << 1 | u128::from(self.start)) & at }
    }

    /// Where those at these places come to with `**` in a name of these segments: to the first of them and all behind it.
    #[inline]
    pub fn anywhere(self, all: u128) -> Places {
        let behind = self.after | self.after.wrapping_neg();
        Places { start: self.start, after: if self.start { all } else { behind & all } }
    }

    /// Whether a pattern that ends here selects a name whose last segment has this bit. A name without segments has none.
    #[inline]
    pub fn end_at(self, last: u128) -> bool {
        if last == 0 { self.start } else { self.after & last != 0 }
    }
}
