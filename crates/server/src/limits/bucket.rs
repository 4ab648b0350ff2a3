//! Token buckets: how fast somebody may do something, with room for a burst.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Parts that buckets are kept in, each with a lock of its own, so that publishers on different threads seldom meet.
const STRIPES: usize = 16;
/// Stripes that are swept in one go.
const SWEPT: usize = 4;
/// Buckets of a stripe: beyond it newcomers share one.
const KEPT_MAX: usize = 100_000 / STRIPES;
/// Buckets that a stripe has room for, however few it keeps.
const ROOM_MIN: usize = 64;

/// What may be done in one second, and in one go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rate {
    /// A second.
    pub(crate) per_second: u32,
    /// At once, after a rest.
    pub(crate) burst: u32,
}

impl Rate {
    /// So many events a second, and twice as many at once.
    pub(crate) fn of(per_second: u32) -> Rate {
        Rate { per_second, burst: per_second.saturating_mul(2) }
    }
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
pub(crate) struct Buckets {
    hasher: RandomState,
    stripes: Box<[Mutex<Stripe>]>,
    /// The stripe that is swept next.
    next: AtomicUsize,
}

/// Whose a bucket is: a hash of that with a key that nobody knows, so that no two are made to share one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Whose(u64);

#[derive(Debug, Default)]
struct Stripe {
    kept: HashMap<u64, (Rate, Bucket)>,
    /// The bucket that newcomers share where too many are kept.
    others: Option<Bucket>,
}

impl Stripe {
    fn bucket(&mut self, whose: Whose, rate: Rate, now: u64) -> &mut Bucket {
        let fresh = || Bucket::full(rate, now);
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(&whose.0) {
            return self.others.get_or_insert_with(fresh);
        }
        let (held, bucket) = self.kept.entry(whose.0).or_insert_with(|| (rate, fresh()));
        // Another token of the same user may say another rate: the newest counts.
        *held = rate;
        bucket
    }

    fn sweep(&mut self, now: u64) {
        self.kept.retain(|_, (rate, bucket)| !bucket.is_full(*rate, now));
        // Room for many more than are there is given back, but not what the next second may well need again.
        if self.kept.capacity() > 4 * self.kept.len().max(ROOM_MIN) {
            self.kept.shrink_to(2 * self.kept.len().max(ROOM_MIN));
        }
    }
}

impl Buckets {
    pub(crate) fn new() -> Buckets {
        Buckets {
            hasher: RandomState::new(),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    pub(crate) fn whose(&self, name: impl Hash) -> Whose {
        Whose(self.hasher.hash_one(name))
    }

    pub(crate) fn take(&self, whose: Whose, amount: usize, rate: Rate, now: u64) -> Result<(), Duration> {
        self.stripe(whose.0 as usize).bucket(whose, rate, now).take(amount, rate, now)
    }

    pub(crate) fn spend(&self, whose: Whose, amount: usize, rate: Rate, now: u64) -> Duration {
        self.stripe(whose.0 as usize).bucket(whose, rate, now).spend(amount, rate, now)
    }

    fn stripe(&self, number: usize) -> MutexGuard<'_, Stripe> {
        self.stripes[number % STRIPES].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets those who have their whole allowance again, in some of the stripes: whoever publishes meanwhile waits for
    /// one of them at most.
    pub(crate) fn sweep(&self, now: u64) {
        let first = self.next.fetch_add(SWEPT, Ordering::Relaxed);
        (first..first + SWEPT).for_each(|number| self.stripe(number).sweep(now));
    }

    pub(crate) fn len(&self) -> usize {
        (0..STRIPES).map(|number| self.stripe(number).kept.len()).sum()
    }
}

/// What somebody may publish: nothing is counted where there is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance(pub(super) Option<(Whose, Rate)>);

impl Allowance {
    pub(crate) fn is_limited(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 20 };

    #[test]
    fn a_burst_then_the_rate() {
        let buckets = Buckets::new();
        let (a, b) = (buckets.whose("a"), buckets.whose("b"));
        let taken = |now| (0..100).take_while(|_| buckets.take(a, 1, RATE, now).is_ok()).count();
        assert_eq!(taken(0), 20);
        assert_eq!(taken(99), 0);
        assert_eq!(taken(100), 1);
        assert_eq!(taken(1_100), 10);
        assert_eq!(taken(60_000), 20);
        assert_eq!(buckets.take(b, 1, RATE, 0), Ok(()));
    }

    #[test]
    fn what_is_larger_than_a_burst_is_let_in_and_paid_for() {
        let buckets = Buckets::new();
        let a = buckets.whose("a");
        assert_eq!(buckets.take(a, 50, RATE, 0), Ok(()));
        assert_eq!(buckets.take(a, 1, RATE, 0), Err(Duration::from_millis(3_100)));
        assert!(buckets.take(a, 1, RATE, 3_099).is_err());
        assert_eq!(buckets.take(a, 1, RATE, 3_100), Ok(()));
    }

    #[test]
    fn who_spends_is_told_how_long_to_wait() {
        let mut bucket = Bucket::full(RATE, 0);
        assert_eq!(bucket.spend(19, RATE, 0), Duration::ZERO);
        assert_eq!(bucket.spend(1, RATE, 0), Duration::from_millis(100));
        assert_eq!(bucket.spend(5, RATE, 0), Duration::from_millis(600));
        assert_eq!(bucket.spend(0, RATE, 600), Duration::ZERO);
    }

    /// As often as it takes to come by every stripe.
    fn sweep_all(buckets: &Buckets, now: u64) {
        (0..STRIPES / SWEPT).for_each(|_| buckets.sweep(now));
    }

    fn room(buckets: &Buckets) -> usize {
        (0..STRIPES).map(|number| buckets.stripe(number).kept.capacity()).sum()
    }

    #[test]
    fn those_who_rest_are_forgotten_with_their_room_and_nothing_is_won_by_it() {
        const MANY: usize = 50_000;
        let buckets = Buckets::new();
        for name in 0..MANY {
            assert_eq!(buckets.take(buckets.whose(name), 20, RATE, 0), Ok(()));
        }
        sweep_all(&buckets, 1_999);
        assert_eq!(buckets.len(), MANY);
        assert!(room(&buckets) >= MANY);
        // Somebody who goes on stays.
        assert_eq!(buckets.take(buckets.whose(0), 1, RATE, 1_999), Ok(()));
        buckets.sweep(2_000);
        let left = buckets.len();
        assert!(left > MANY / 2 && left < MANY, "a few stripes at a time: {left}");
        sweep_all(&buckets, 2_000);
        assert_eq!(buckets.len(), 1);
        assert!(room(&buckets) <= 4 * STRIPES * ROOM_MIN, "{}", room(&buckets));
    }

    #[test]
    fn too_many_newcomers_share_what_their_stripe_keeps_for_them() {
        let buckets = Buckets::new();
        // More than all stripes take, so that each of them is full.
        for name in 0..2 * STRIPES * KEPT_MAX {
            buckets.spend(buckets.whose(name), 1, RATE, 0);
        }
        assert_eq!(buckets.len(), STRIPES * KEPT_MAX);
        let mut others = (0..10_000).map(|more| buckets.whose(("more", more)));
        assert!(others.all(|whose| buckets.take(whose, 1, RATE, 0).is_err()), "what they share is used up");
        sweep_all(&buckets, 2_000);
        assert_eq!(buckets.len(), 0);
    }
}
