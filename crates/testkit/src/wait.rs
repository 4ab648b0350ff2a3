//! Waiting for facts, and seeds.

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

/// The seed of a random test, printed so that a failure can be repeated: `SWITCHBOARD_SEED` sets it.
pub fn seed(test: &str) -> u64 {
    let seed = match std::env::var("SWITCHBOARD_SEED") {
        Ok(text) => text.parse().expect("SWITCHBOARD_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    eprintln!("{test}: SWITCHBOARD_SEED={seed}");
    seed
}
