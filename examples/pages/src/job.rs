//! A job that takes its time: it counts primes, and says on a channel of its own how far it is.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use switchboard::Publisher;
use switchboard::application::{Code, Problem};

/// Jobs that run at once; more are refused.
const JOBS: u32 = 4;
/// The numbers below the limit are looked at in so many pieces. Between two of them the job rests, so that it takes about
/// half of a processor and there is something to watch.
const PIECES: u64 = 60;
const REST: Duration = Duration::from_millis(90);
/// The largest limit.
const MOST: u64 = 20_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// Primes below this are counted.
    below: u64,
}

#[derive(Serialize)]
pub(crate) struct Begun {
    channel: String,
}

/// What is published: as `progress` while it runs, and as `result` at the end.
#[derive(Serialize)]
struct Progress {
    done: u64,
    of: u64,
    primes: u64,
}

pub(crate) struct Jobs {
    publisher: Arc<OnceLock<Publisher>>,
    running: Arc<AtomicU32>,
}

impl Jobs {
    pub(crate) fn new(publisher: Arc<OnceLock<Publisher>>) -> Jobs {
        Jobs { publisher, running: Arc::default() }
    }

    /// Begins one, and says where it is to be watched.
    pub(crate) fn start(&self, Start { below }: Start) -> Result<Begun, Problem> {
        let publisher = self.publisher.get().ok_or_else(|| Code::Overloaded.because("the server is starting"))?.clone();
        if !(100..=MOST).contains(&below) {
            return Err(Code::InvalidParams.because(format!("`below` is from 100 to {MOST}")));
        }
        if self.running.fetch_add(1, Ordering::Relaxed) >= JOBS {
            self.running.fetch_sub(1, Ordering::Relaxed);
            return Err(Code::Overloaded.because(format!("{JOBS} jobs are running")));
        }
        let channel = format!("jobs/{:08x}", fastrand::u32(..));
        tracing::info!("{channel}: counting the primes below {below}");
        let (running, at) = (self.running.clone(), channel.clone());
        tokio::spawn(async move {
            if let Err(problem) = run(&publisher, &at, below).await {
                tracing::warn!("{at}: {problem}");
            }
            running.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(Begun { channel })
    }
}

async fn run(publisher: &Publisher, channel: &str, below: u64) -> Result<(), Problem> {
    let mut progress = Progress { done: 0, of: below, primes: 0 };
    for piece in 1..=PIECES {
        let (from, to) = (progress.done, below * piece / PIECES);
        let counted = tokio::task::spawn_blocking(move || primes(from, to)).await;
        progress.primes += counted.map_err(|_| Code::Internal.because("the counting failed"))?;
        progress.done = to;
        publisher.publish(channel, Some("progress"), &progress).await?;
        tokio::time::sleep(REST).await;
    }
    tracing::info!("{channel}: {} primes below {below}", progress.primes);
    publisher.publish(channel, Some("result"), &progress).await?;
    publisher.end(channel).await
}

/// How many primes there are from `from` up to, but not including, `to`: by the sieve of Eratosthenes.
fn primes(from: u64, to: u64) -> u64 {
    let from = from.max(2);
    if from >= to {
        return 0;
    }
    let mut composite = vec![false; (to - from) as usize];
    for factor in (2..).take_while(|factor| factor * factor < to) {
        let first = from.div_ceil(factor).max(factor) * factor;
        for multiple in (first..to).step_by(factor as usize) {
            composite[(multiple - from) as usize] = true;
        }
    }
    composite.iter().filter(|composite| !**composite).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_counted_whole_and_in_pieces() {
        assert_eq!(primes(0, 100), 25);
        assert_eq!(primes(0, 1_000_000), 78_498);
        assert_eq!((0..10).map(|piece| primes(piece * 1000, (piece + 1) * 1000)).sum::<u64>(), 1_229);
        assert_eq!((primes(0, 0), primes(0, 2), primes(2, 3), primes(24, 29)), (0, 0, 1, 0));
    }
}
