//! Token buckets: how fast somebody may do something, with room for a burst.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Who is counted at once at most: beyond it newcomers share a bucket.
const KEPT_MAX: usize = 100_000;

/// What may be done in one second, and in one go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rate {
    /// A second.
    pub(crate) per_second: u32,
    /// At once, after a rest.
    pub(crate) burst: u32,
}

/// One of what is allowed, in the units that are counted.
const ONE: i64 = 1000;

fn full(rate: Rate) -> i64 {
    i64::from(rate.burst) * ONE
}

/// What is left of an allowance. May be below nothing: what is larger than a burst is let in when there is something
/// left, and paid for by waiting longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// In thousandths, so that a rate a second is one for each millisecond.
    left: i64,
    /// When that was so, in milliseconds.
    at: u64,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now: u64) -> Bucket {
        Bucket { left: full(rate), at: now }
    }

    fn refill(&mut self, rate: Rate, now: u64) {
        // A clock that goes back gives nothing, and takes nothing away.
        let gone = i64::try_from(now.saturating_sub(self.at)).unwrap_or(i64::MAX);
        self.left = self.left.saturating_add(gone.saturating_mul(rate.per_second.into())).min(full(rate));
        self.at = now;
    }

    /// How long until there is something left.
    fn wait(&self, rate: Rate) -> Duration {
        let lacking = (ONE - self.left).max(0) as u64;
        Duration::from_millis(lacking.div_ceil(rate.per_second.max(1).into()))
    }

    /// Takes so much, or says how long until there is something to take.
    pub(crate) fn take(&mut self, amount: usize, rate: Rate, now: u64) -> Result<(), Duration> {
        self.refill(rate, now);
        if self.left < ONE {
            return Err(self.wait(rate));
        }
        self.left -= ONE.saturating_mul(amount as i64);
        Ok(())
    }

    /// Takes so much in any case, and says how long to wait before more is taken.
    pub(crate) fn spend(&mut self, amount: usize, rate: Rate, now: u64) -> Duration {
        self.refill(rate, now);
        self.left -= ONE.saturating_mul(amount as i64);
        self.wait(rate)
    }

    fn is_full(&self, rate: Rate, now: u64) -> bool {
        let mut later = *self;
        later.refill(rate, now);
        later.left >= full(rate)
    }
}

/// A bucket for each of many, made when it is first needed and forgotten when it is full again.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    kept: Mutex<HashMap<K, (Rate, Bucket)>>,
    /// The key that newcomers share where too many are kept.
    others: K,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    pub(crate) fn new(others: K) -> Buckets<K> {
        Buckets { kept: Mutex::default(), others }
    }

    pub(crate) fn take(&self, key: &K, amount: usize, rate: Rate, now: u64) -> Result<(), Duration> {
        self.with(key, rate, now, |bucket| bucket.take(amount, rate, now))
    }

    pub(crate) fn spend(&self, key: &K, amount: usize, rate: Rate, now: u64) -> Duration {
        self.with(key, rate, now, |bucket| bucket.spend(amount, rate, now))
    }

    fn with<T>(&self, key: &K, rate: Rate, now: u64, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if kept.len() >= KEPT_MAX && !kept.contains_key(key) { &self.others } else { key };
        let (held, bucket) = kept.entry(key.clone()).or_insert_with(|| (rate, Bucket::full(rate, now)));
        // Another token of the same user may say another rate: the newest counts.
        *held = rate;
        act(bucket)
    }

    /// Forgets those who have their whole allowance again.
    pub(crate) fn sweep(&self, now: u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (rate, bucket)| !bucket.is_full(*rate, now));
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// What somebody may publish: nothing is counted where there is no limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance(Option<Arc<Counted>>);

#[derive(Debug)]
struct Counted {
    buckets: Arc<Buckets<Box<str>>>,
    key: Box<str>,
    rate: Rate,
}

impl Allowance {
    pub(crate) fn new(buckets: Arc<Buckets<Box<str>>>, key: Box<str>, rate: Rate) -> Allowance {
        Allowance(Some(Arc::new(Counted { buckets, key, rate })))
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Takes so many events, or says how long until there is something to take.
    pub(crate) fn take(&self, events: usize, now: u64) -> Result<(), Duration> {
        match &self.0 {
            Some(counted) => counted.buckets.take(&counted.key, events, counted.rate, now),
            None => Ok(()),
        }
    }

    /// Takes so many events in any case, and says how long to wait before the next.
    pub(crate) fn spend(&self, events: usize, now: u64) -> Duration {
        match &self.0 {
            Some(counted) if events > 0 => counted.buckets.spend(&counted.key, events, counted.rate, now),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 20 };

    #[test]
    fn a_burst_then_the_rate() {
        let buckets = Buckets::new("others");
        let taken = |now| (0..100).take_while(|_| buckets.take(&"a", 1, RATE, now).is_ok()).count();
        assert_eq!(taken(0), 20);
        assert_eq!(taken(99), 0);
        assert_eq!(taken(100), 1);
        assert_eq!(taken(1_100), 10);
        assert_eq!(taken(60_000), 20);
        assert_eq!(buckets.take(&"b", 1, RATE, 0), Ok(()));
    }

    #[test]
    fn what_is_larger_than_a_burst_is_let_in_and_paid_for() {
        let buckets = Buckets::new("others");
        assert_eq!(buckets.take(&"a", 50, RATE, 0), Ok(()));
        assert_eq!(buckets.take(&"a", 1, RATE, 0), Err(Duration::from_millis(3_100)));
        assert!(buckets.take(&"a", 1, RATE, 3_099).is_err());
        assert_eq!(buckets.take(&"a", 1, RATE, 3_100), Ok(()));
    }

    #[test]
    fn who_spends_is_told_how_long_to_wait() {
        let mut bucket = Bucket::full(RATE, 0);
        assert_eq!(bucket.spend(19, RATE, 0), Duration::ZERO);
        assert_eq!(bucket.spend(1, RATE, 0), Duration::from_millis(100));
        assert_eq!(bucket.spend(5, RATE, 0), Duration::from_millis(600));
        assert_eq!(bucket.spend(0, RATE, 600), Duration::ZERO);
    }

    #[test]
    fn those_who_rest_are_forgotten_and_nothing_is_won_by_it() {
        let buckets = Buckets::new(0);
        for key in 1..=1000 {
            assert_eq!(buckets.take(&key, 20, RATE, 0), Ok(()));
        }
        buckets.sweep(1_999);
        assert_eq!(buckets.len(), 1000);
        buckets.sweep(2_000);
        assert_eq!(buckets.len(), 0);
    }

    #[test]
    fn too_many_newcomers_share_a_bucket() {
        let buckets = Buckets::new(0);
        (1..=KEPT_MAX).for_each(|key| assert_eq!(buckets.take(&key, 1, RATE, 0), Ok(())));
        let let_in = (1..100).filter(|more| buckets.take(&(KEPT_MAX + more), 1, RATE, 0).is_ok()).count();
        assert_eq!((let_in, buckets.len()), (20, KEPT_MAX + 1));
    }
}
