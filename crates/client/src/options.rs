//! How a client is to behave.

use crate::transport::{Task, Transport};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Gives the token or API key to show, or says why there is none.
pub(crate) type TokenSource = Arc<dyn Fn() -> Task<Result<String, String>> + Send + Sync>;

/// How a client is to behave.
///
/// ```
/// use std::time::Duration;
/// use switchboard_client::{Options, Transport};
///
/// let options = Options::new()
///     .token_from(|| async { Ok("a token from your backend".to_owned()) })
///     .call_timeout(Duration::from_secs(5))
///     .transports(&[Transport::Sse, Transport::Poll]);
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) token: Option<TokenSource>,
    /// Whether the source can give another one.
    pub(crate) renews: bool,
    pub(crate) transports: Vec<Transport>,
    pub(crate) call_timeout: Duration,
    pub(crate) queue: usize,
    pub(crate) ca: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            token: None,
            renews: false,
            transports: vec![Transport::WebSocket, Transport::Sse, Transport::Stream, Transport::Poll],
            call_timeout: Duration::from_secs(30),
            queue: 256,
            ca: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("transports", &self.transports).finish_non_exhaustive()
    }
}

impl Options {
    pub fn new() -> Options {
        Options::default()
    }

    /// Shows this token or API key.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Options {
        let token = token.into();
        self.token = Some(Arc::new(move || {
            let token = token.clone();
            Box::pin(async move { Ok(token) })
        }));
        self.renews = false;
        self
    }

    /// Shows the token that this gives. It is asked when a session is to be opened, and before its token ends, which is
    /// then renewed without a new connection.
    #[must_use]
    pub fn token_from<F, T>(mut self, source: F) -> Options
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.token = Some(Arc::new(move || Box::pin(source())));
        self.renews = true;
        self
    }

    /// Trusts the roots of this file, in PEM, besides those that are built in: for `https://` where the certificate is from
    /// an issuer of one's own. It is read for each connection.
    #[must_use]
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Options {
        self.ca = Some(file.into());
        self
    }

    /// The transports to try, the best first: WebSocket, SSE, HTTP stream, long poll unless told.
    #[must_use]
    pub fn transports(mut self, transports: &[Transport]) -> Options {
        if !transports.is_empty() {
            self.transports = transports.to_vec();
        }
        self
    }

    /// How long a call may take: 30 s unless told.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Options {
        self.call_timeout = timeout;
        self
    }

    /// How many items may wait in a subscription before it falls behind: 256 unless told. One that is behind reads on from
    /// the log once it has taken what waits, so that a slow reader keeps nobody waiting and costs no more memory.
    #[must_use]
    pub fn queue(mut self, items: usize) -> Options {
        self.queue = items.max(1);
        self
    }
}
