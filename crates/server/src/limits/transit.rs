//! What is on its way: bodies and messages that have arrived in part, answers that have yet to be taken, and what a reader
//! that stalls has been sent of an event. Each has a limit of its own; this is the limit of them all together, so that
//! many peers at once cannot make them add up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// Bytes of each that are not counted: as much as a connection may take anyway. So what is small gets through however much
/// else is on its way.
pub(crate) const FREE: usize = 16 << 10;

/// Bytes on their way, and how many may be.
#[derive(Debug)]
pub(crate) struct Transit {
    taken: AtomicUsize,
    limit: usize,
    refused: AtomicU64,
}

/// Something on its way. What it takes is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    transit: Arc<Transit>,
    taken: usize,
}

impl Transit {
    pub(crate) fn new(limit: usize) -> Arc<Transit> {
        Arc::new(Transit { taken: AtomicUsize::new(0), limit, refused: AtomicU64::new(0) })
    }

    /// Something that takes nothing yet.
    pub(crate) fn load(self: &Arc<Transit>) -> Load {
        Load { transit: self.clone(), taken: 0 }
    }

    /// Something of this size.
    pub(crate) fn load_of(self: &Arc<Transit>, bytes: usize) -> Result<Load, Problem> {
        let mut load = self.load();
        load.resize(bytes)?;
        Ok(load)
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Load {
    /// It takes so many bytes now. Refused where there is no room for more, unless there is nothing else; then it takes what
    /// it took before.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), Problem> {
        let wanted = bytes.saturating_sub(FREE);
        if wanted <= self.taken {
            self.transit.taken.fetch_sub(self.taken - wanted, Ordering::Relaxed);
            self.taken = wanted;
            return Ok(());
        }
        let more = wanted - self.taken;
        let room = |all: usize| all.checked_add(more).filter(|then| *then <= self.transit.limit || all == self.taken);
        match self.transit.taken.try_update(Ordering::Relaxed, Ordering::Relaxed, room) {
            Ok(_) => {
                self.taken = wanted;
                Ok(())
            }
            Err(_) => {
                self.transit.refused.fetch_add(1, Ordering::Relaxed);
                Err(Code::Overloaded.because("as much is on its way as `memory.transit` allows"))
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.transit.taken.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_counts_until_it_is_gone_and_what_is_small_always_gets_through() {
        let transit = Transit::new(100_000);
        let mut first = transit.load_of(FREE + 60_000).unwrap();
        assert_eq!(transit.taken(), 60_000);
        let refused = transit.load_of(FREE + 40_001).unwrap_err();
        assert_eq!((refused.code, transit.refused(), transit.taken()), (Code::Overloaded, 1, 60_000));
        let small: Vec<Load> = (0..100).map(|_| transit.load_of(FREE).unwrap()).collect();
        let second = transit.load_of(FREE + 40_000).unwrap();
        assert!(first.resize(FREE + 60_001).is_err());
        first.resize(FREE + 10).unwrap();
        assert_eq!(transit.taken(), 40_010);
        drop((first, second, small));
        assert_eq!(transit.taken(), 0);
        let large = transit.load_of(1 << 30).unwrap();
        assert!(transit.load_of(FREE + 1).is_err(), "one has room that needs more than all may");
        drop(large);
        assert_eq!(transit.taken(), 0);
    }
}
