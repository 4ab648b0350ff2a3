//! What is on its way: bodies and messages that have arrived in part, answers that have yet to be taken, and what a reader
//! that stalls has been sent of an event. Each has a limit of its own; this is the limit of them all together, so that
//! many peers at once cannot make them add up.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// Bytes of each that are not counted: as much as a connection may take anyway. So what is small gets through however much
/// else is on its way.
pub(crate) const FREE: usize = 16 << 10;

/// Bytes of names, which no other reader of a shard has, that a reader may bring whatever there is.
const FEW: usize = 4 << 10;

/// What is kept in step with something that changes often is so within so many bytes.
const GRAIN: usize = 4 << 10;

/// All that is on its way, and what names and patterns take for as long as they are read, which counts as what stalls. What comes has
/// half of the room, and what goes and what stalls a quarter each, so that whoever takes up all of one leaves the others
/// theirs.
#[derive(Debug)]
pub(crate) struct Transits {
    /// Bodies and messages that have arrived in part.
    pub(crate) arriving: Arc<Transit>,
    /// Pages and short files that have yet to be taken.
    pub(crate) leaving: Arc<Transit>,
    /// What readers that stall have yet to take of an event, what sessions keep, names and patterns.
    pub(crate) stalled: Arc<Transit>,
}

impl Transits {
    pub(crate) fn new(limit: usize) -> Transits {
        Transits {
            arriving: Transit::new(limit / 2),
            leaving: Transit::new(limit / 4),
            stalled: Transit::new(limit / 4),
        }
    }

    fn sum(&self, of: impl Fn(&Transit) -> u64) -> u64 {
        [&self.arriving, &self.leaving, &self.stalled].into_iter().map(|transit| of(transit)).sum()
    }

    pub(crate) fn taken(&self) -> u64 {
        self.sum(|transit| transit.taken.load(Ordering::Relaxed) as u64)
    }

    pub(crate) fn limit(&self) -> u64 {
        self.sum(|transit| transit.limit as u64)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.sum(|transit| transit.refused.load(Ordering::Relaxed))
    }
}

/// Bytes on their way, and how many may be.
#[derive(Debug)]
pub(crate) struct Transit {
    taken: AtomicUsize,
    limit: usize,
    refused: AtomicU64,
}

/// Something on its way, or kept. What it takes is given back when it is dropped.
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

    /// Something of this size, if it counts for anything.
    pub(crate) fn load_if_large(self: &Arc<Transit>, bytes: usize) -> Result<Option<Box<Load>>, Problem> {
        (bytes > FREE).then(|| self.load_of(bytes).map(Box::new)).transpose()
    }

    /// Whether a reader may come that brings names of so many bytes, which are counted with those of all others.
    pub(crate) fn allow_names(&self, bytes: usize) -> Result<(), Problem> {
        if bytes <= FEW || self.taken.load(Ordering::Relaxed).saturating_add(bytes) <= self.limit {
            return Ok(());
        }
        Err(self.full())
    }

    fn full(&self) -> Problem {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Code::Overloaded.because("as much is on its way, or kept for readers, as `memory.transit` allows")
    }

    /// Something of this size.
    pub(crate) fn load_of(self: &Arc<Transit>, bytes: usize) -> Result<Load, Problem> {
        let mut load = self.load();
        load.resize(bytes)?;
        Ok(load)
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
            Err(_) => Err(self.transit.full()),
        }
    }

    /// It takes about so many bytes now, whether there is room or not.
    pub(crate) fn follow(&mut self, bytes: usize) {
        let wanted = bytes.saturating_sub(FREE);
        if wanted.abs_diff(self.taken) < GRAIN && wanted > 0 {
            return;
        }
        self.transit.taken.fetch_add(wanted, Ordering::Relaxed);
        self.transit.taken.fetch_sub(mem::replace(&mut self.taken, wanted), Ordering::Relaxed);
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

    fn taken(transit: &Transit) -> usize {
        transit.taken.load(Ordering::Relaxed)
    }

    #[test]
    fn what_is_large_counts_until_it_is_gone_and_what_is_small_always_gets_through() {
        let transit = Transit::new(100_000);
        let mut first = transit.load_of(FREE + 60_000).unwrap();
        assert_eq!(taken(&transit), 60_000);
        let refused = transit.load_of(FREE + 40_001).unwrap_err();
        assert_eq!((refused.code, taken(&transit)), (Code::Overloaded, 60_000));
        assert_eq!(transit.refused.load(Ordering::Relaxed), 1);
        let small: Vec<Load> = (0..100).map(|_| transit.load_of(FREE).unwrap()).collect();
        let second = transit.load_of(FREE + 40_000).unwrap();
        assert!(first.resize(FREE + 60_001).is_err());
        first.resize(FREE + 10).unwrap();
        assert_eq!(taken(&transit), 40_010);
        drop((first, second, small));
        assert_eq!(taken(&transit), 0);
        let large = transit.load_of(1 << 30).unwrap();
        assert!(transit.load_of(FREE + 1).is_err(), "one has room that needs more than all may");
        drop(large);
        assert_eq!(taken(&transit), 0);
    }

    #[test]
    fn what_is_followed_counts_within_a_grain_and_few_names_always_get_in() {
        let transit = Transit::new(100_000);
        let mut names = transit.load();
        for (bytes, counted) in [
            (FREE, 0),
            (FREE + 50_000, 50_000),
            (FREE + 50_000 + GRAIN - 1, 50_000),
            (FREE + 50_000 + GRAIN, 50_000 + GRAIN),
            (FREE + 120_000, 120_000),
        ] {
            names.follow(bytes);
            assert_eq!(taken(&transit), counted);
        }
        transit.allow_names(FEW).unwrap();
        assert_eq!(transit.allow_names(FEW + 1).unwrap_err().code, Code::Overloaded);
        names.follow(FREE + 80_000);
        transit.allow_names(20_000).unwrap();
        assert!(transit.allow_names(20_001).is_err());
        names.follow(0);
        assert_eq!(taken(&transit), 0);
    }
}
