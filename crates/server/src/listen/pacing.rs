//! How long a body or an answer may take in all.

use std::time::Duration;
use tokio::time::Instant;

/// What takes longer than its limit makes up for it by bytes: so many a second. Without that a peer that sends or takes a
/// byte now and then would never be done.
const SLOWEST: u64 = 1024;

/// One body or answer on its way, since the first wait for it.
#[derive(Debug, Default)]
pub(crate) struct Pacing(Option<(Instant, u64)>);

impl Pacing {
    /// How long the next bytes may take, where `limit` is for any wait.
    pub(crate) fn left(&mut self, limit: Duration) -> Duration {
        let (since, moved) = *self.0.get_or_insert_with(|| (Instant::now(), 0));
        let in_all = limit + Duration::from_millis(moved * 1000 / SLOWEST);
        limit.min(in_all.saturating_sub(since.elapsed()))
    }

    /// So many bytes have moved. What moves before anything was waited for took no time.
    pub(crate) fn moved(&mut self, bytes: usize) {
        if let Some((_, moved)) = &mut self.0 {
            *moved += bytes as u64;
        }
    }

    /// What comes from here on is another.
    pub(crate) fn begin_anew(&mut self) {
        self.0 = None;
    }
}
