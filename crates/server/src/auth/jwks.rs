//! Keys that are fetched: a set at a URL (RFC 7517 section 5), kept, and fetched again now and then and where a token names a
//! key that is not in it. One thread fetches, so that there is one fetch at a time, whoever waits for it, and never on a
//! shard's thread.

use super::fetch;
use super::keys::{Key, read_set};
use super::settings::Jwks;
use crate::node::Node;
use crate::outward::Address;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// How long a request waits for a fetch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long after a fetch that failed another is made, at the latest, where no keys are there at all.
const PAUSE: Duration = Duration::from_secs(1);

/// What was fetched, and how to ask for more.
pub(crate) struct Fetched {
    keys: RwLock<Arc<Vec<Key>>>,
    asked: Notify,
    progress: watch::Sender<Progress>,
}

/// How far fetching has come. What was too soon to be fetched counts as well.
#[derive(Clone, Copy, Default)]
struct Progress {
    begun: u64,
    over: u64,
    /// Whether there has been a fetch that brought keys.
    brought: bool,
}

impl Fetched {
    pub(crate) fn new() -> Fetched {
        Fetched { keys: RwLock::default(), asked: Notify::new(), progress: watch::Sender::default() }
    }

    pub(crate) fn keys(&self) -> Arc<Vec<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a fetch, and waits until it is over or is not to be had: an unknown key is not worth a fetch soon after
    /// another. One that is under way will not do: it may have begun before the key was there. `false` if there has
    /// never been one that brought keys.
    pub(crate) async fn again(&self) -> bool {
        let mut progress = self.progress.subscribe();
        let wanted = progress.borrow().begun + 1;
        self.asked.notify_one();
        let _ = timeout(PATIENCE, progress.wait_for(|progress| progress.over >= wanted)).await;
        self.progress.borrow().brought
    }

    fn begin(&self) {
        self.progress.send_modify(|progress| progress.begun += 1);
    }

    fn done(&self, keys: Option<Vec<Key>>) {
        let brought = keys.is_some();
        if let Some(keys) = keys {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        }
        self.progress.send_modify(|progress| {
            progress.over = progress.begun;
            progress.brought |= brought;
        });
    }
}

/// Starts the thread that fetches, until the server drains.
pub(crate) fn spawn(node: Arc<Node>, jwks: Jwks) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Builder::new().name("keys".into()).spawn(move || {
        let mut draining = node.draining.subscribe();
        runtime.block_on(async {
            tokio::select! {
                () = run(&node.auth.fetched, &jwks) => {}
                _ = draining.wait_for(|draining| *draining) => {}
            }
        });
        // A look-up of a name may hang in a thread of its own, and is not waited for.
        runtime.shutdown_background();
    })
}

async fn run(fetched: &Fetched, jwks: &Jwks) {
    loop {
        fetched.begin();
        fetched.done(fetch_set(jwks).await);
        let over = Instant::now();
        let mut refresh = std::pin::pin!(sleep(jwks.refresh));
        loop {
            tokio::select! {
                () = &mut refresh => break,
                () = fetched.asked.notified() => {}
            }
            let brought = fetched.progress.borrow().brought;
            let pause = if brought { jwks.cooldown } else { jwks.cooldown.min(PAUSE) };
            if over.elapsed() >= pause {
                break;
            }
            // Too soon: whoever waits is told that nothing new came.
            fetched.begin();
            fetched.done(None);
        }
    }
}

async fn fetch_set(jwks: &Jwks) -> Option<Vec<Key>> {
    let outcome = match Address::parse(&jwks.url) {
        Ok(address) => fetch::get(&address, jwks.ca.as_deref(), jwks.time).await.and_then(|text| read_set(&text)),
        Err(why) => Err(why),
    };
    // A query may hold what opens the door there.
    let url = jwks.url.split('?').next().unwrap_or_default();
    match outcome {
        Ok((keys, left)) => {
            tracing::info!(target: "switchboard", url, keys = keys.len(), "keys were fetched");
            for why in left {
                tracing::warn!(target: "switchboard", url, "a key of the set is left out: {why}");
            }
            Some(keys)
        }
        Err(why) => {
            tracing::warn!(target: "switchboard", url, "keys cannot be fetched: {why}");
            None
        }
    }
}
