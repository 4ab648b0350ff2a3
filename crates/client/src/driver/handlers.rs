//! What answers the server.

use crate::error::RpcError;
use crate::transport::Task;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use switchboard_wire::jsonrpc::{Id, Json, Params};
use tokio::sync::mpsc;

pub(crate) type Handler = Arc<dyn Fn(Params<'static>) -> Task<Outcome> + Send + Sync>;
pub(crate) type Outcome = Result<Json<'static>, RpcError>;

/// An answer to a call of the server's, and which session's it was.
pub(super) type Answer = (u64, Id<'static>, Outcome);

/// Handlers by method.
#[derive(Clone, Default)]
pub(crate) struct Handlers(Arc<RwLock<HashMap<String, Handler>>>);

impl Handlers {
    pub(crate) fn insert(&self, method: &str, handler: Handler) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(method.to_owned(), handler);
    }

    pub(super) fn get(&self, method: &str) -> Option<Handler> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(method).cloned()
    }
}

/// Works on a call, and brings the answer. A handler that panics has failed, and nothing else has.
pub(super) fn work(handler: &Handler, params: Params<'static>, call: (u64, Id<'static>), to: mpsc::Sender<Answer>) {
    let work = tokio::spawn(handler(params));
    tokio::spawn(async move {
        let outcome = work.await.unwrap_or_else(|_| Err(RpcError::new(-32603, "the handler failed")));
        // A client that has ended answers no more.
        let _ = to.send((call.0, call.1, outcome)).await;
    });
}

/// Hears notifications, one after the other.
pub(super) async fn listen(handlers: Handlers, mut said: mpsc::Receiver<(String, Params<'static>)>) {
    while let Some((method, params)) = said.recv().await {
        if let Some(handler) = handlers.get(&method) {
            // One that fails or panics is the application's to see to.
            let _ = tokio::spawn(handler(params)).await;
        }
    }
}
