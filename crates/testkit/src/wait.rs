//! Waiting for facts, and seeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the fact holds.
///
/// # Panics
/// After [`PATIENCE`], with `what`.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never became true that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Checks that whoever had these waits while something took so long was not held up by it: was answered again and again, and
/// long before it was over. But for two waits: a machine that is busy with something else may hold up anybody.
///
/// # Panics
/// If it was.
#[track_caller]
pub fn is_not_held_up(mut waits: Vec<Duration>, took: Duration) {
    waits.sort_unstable_by(|one, other| other.cmp(one));
    let longest = &waits[..waits.len().min(3)];
    assert!(waits.len() > 4 && longest[2] < took / 4, "of {} waits {longest:?}, while that took {took:?}", waits.len());
}

/// What threads beside a test go on until: it is said when this is dropped, and so where the test fails, too. Else they would
/// take the other tests' time, or be waited for without end.
#[derive(Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Tells whether it was said, wherever it is asked.
    pub fn watch(&self) -> impl Fn() -> bool + Clone + Send + 'static {
        let said = Arc::clone(&self.0);
        move || said.load(Ordering::Relaxed)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The seed of a random test, printed so that a failure can be repeated: `SWITCHBOARD_SEED` sets it.
pub fn seed(test: &str) -> u64 {
    let seed = match std::env::var("SWITCHBOARD_SEED") {
        Ok(text) => text.parse().expect("SWITCHBOARD_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    eprintln!("{test}: SWITCHBOARD_SEED={seed}");
    seed
}
