//! What one subscriber has received of its channel: whether in order, complete and once.

/// What the next event's number says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    Expected,
    /// It came, and this many before it did not (yet).
    After(u32),
    /// One that was missing came late: out of order.
    Late,
    /// It had come before.
    Double,
}

/// The numbers received so far: all below `next` but those of the newest hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sequence {
    next: u32,
    hole: (u32, u32),
}

impl Sequence {
    /// Expects `next`.
    pub fn from(next: u32) -> Sequence {
        Sequence { next, hole: (0, 0) }
    }

    /// The number expected next.
    pub fn next(self) -> u32 {
        self.next
    }

    pub fn take(&mut self, seq: u32) -> Arrival {
        if seq >= self.next {
            let missing = seq - self.next;
            if missing > 0 {
                self.hole = (self.next, seq);
            }
            self.next = seq + 1;
            return if missing == 0 { Arrival::Expected } else { Arrival::After(missing) };
        }
        if (self.hole.0..self.hole.1).contains(&seq) {
            // What is behind it in the hole is taken for lost: late ones are expected in order among themselves.
            self.hole.0 = seq + 1;
            return Arrival::Late;
        }
        Arrival::Double
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_lateness_and_doubles_are_told_apart() {
        let mut sequence = Sequence::from(3);
        let mut take = |seq| sequence.take(seq);
        assert_eq!([take(3), take(4)], [Arrival::Expected; 2]);
        assert_eq!(take(4), Arrival::Double);
        assert_eq!(take(7), Arrival::After(2));
        assert_eq!(take(5), Arrival::Late);
        assert_eq!(take(5), Arrival::Double);
        assert_eq!(take(6), Arrival::Late);
        assert_eq!(take(8), Arrival::Expected);
        assert_eq!(sequence.next(), 9);
    }
}
