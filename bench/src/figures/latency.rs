//! A histogram of times: logarithmic in steps of two, each of them linear in 64, so a value is kept within 1.6 %.

const STEPS: u32 = 6;
const PER_STEP: usize = 1 << STEPS;

/// Counts of nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    largest: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        let buckets = (u64::BITS - STEPS + 1) as usize * PER_STEP;
        Histogram { counts: vec![0; buckets], total: 0, largest: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.largest = self.largest.max(nanos);
    }

    pub fn count(&self) -> u64 {
        self.total
    }

    pub fn clear(&mut self) {
        *self = Histogram::default();
    }

    /// The value that this share of all values does not exceed, in nanoseconds; 0 if there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(bucket).min(self.largest);
            }
        }
        0
    }

    /// The same in microseconds.
    pub fn micros(&self, share: f64) -> f64 {
        self.quantile(share) as f64 / 1000.0
    }
}

fn bucket(value: u64) -> usize {
    if value < PER_STEP as u64 {
        return value as usize;
    }
    let shift = u64::BITS - value.leading_zeros() - STEPS - 1;
    (shift as usize + 1) * PER_STEP + ((value >> shift) as usize - PER_STEP)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < PER_STEP {
        return bucket as u64;
    }
    let (shift, within) = (bucket / PER_STEP - 1, bucket % PER_STEP);
    let next = (PER_STEP + within) as u128 + 1;
    ((next << shift) - 1).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_is_kept_within_a_64th(value in any::<u64>(), shift in 0..64_u32) {
            let value = value >> shift;
            let mut histogram = Histogram::default();
            histogram.record(value);
            histogram.record(u64::MAX);
            let kept = histogram.quantile(0.5);
            prop_assert!(kept >= value && kept - value <= value / 64, "{value} became {kept}");
        }

        #[test]
        fn quantiles_agree_with_sorting(mut values in prop::collection::vec(0..10_000_000_u64, 1..200)) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|value| histogram.record(*value));
            values.sort_unstable();
            for share in [0.0, 0.5, 0.99, 0.999, 1.0] {
                let rank = ((values.len() as f64 * share).ceil() as usize).max(1);
                let (kept, exact) = (histogram.quantile(share), values[rank - 1]);
                prop_assert!(kept >= exact && kept - exact <= exact / 64, "{share}: {exact} became {kept}");
            }
        }
    }

    #[test]
    fn an_empty_one_says_nothing() {
        assert_eq!(Histogram::default().quantile(0.99), 0);
    }
}
