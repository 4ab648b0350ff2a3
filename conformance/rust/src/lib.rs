//! What the tests of Rust's clients share: the real program, a way to it that can be cut, and data to send.
//! It panics: a broken promise is a failed test.

mod server;
mod way;

pub use server::Server;
pub use way::Way;

use std::future::Future;
use std::time::Duration;

/// A deadline is reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lines of every kind that Server-Sent Events can carry: all but CR.
pub const LINES: &str = "first\n\n a blank in front, one behind \ndata: not a field\n: not a comment\n\
    a tab\t, a form feed\u{c}, a next line\u{85} and a line separator\u{2028} end no line\nünï ✓ 🎉\n";

/// Text that only WebSocket, NDJSON and JSON carry as it is: all that can be in [`LINES`], and CR and NUL.
pub fn text() -> String {
    format!("{LINES}\r\nCR LF\rCR\0NUL")
}

/// Every byte, so that it is not UTF-8.
pub fn bytes() -> Vec<u8> {
    (0..1024_u32).map(|at| ((at * 7 + (at >> 8)) % 256) as u8).collect()
}

/// The future's value; a panic that names what was waited for if it does not come.
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        let outcome = tokio::time::timeout(PATIENCE, future).await;
        outcome.unwrap_or_else(|_| panic!("{caller}: waited {PATIENCE:?} in vain: {what}"))
    }
}
