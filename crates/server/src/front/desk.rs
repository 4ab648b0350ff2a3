//! Where requests are answered.

use crate::listen::Settings;
use crate::node::Node;
use crate::shard::{Adopted, SharedShard};
use std::sync::Arc;
use switchboard_wire::Code;
use tokio::sync::Notify;

/// Where the requests of a connection are answered: at a node, on the shard that has taken the connection.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(super) node: Arc<Node>,
    pub(super) shard: SharedShard,
    /// The shard's.
    bell: Arc<Notify>,
}

impl Desk {
    pub(crate) fn new(node: Arc<Node>, shard: SharedShard, bell: Arc<Notify>) -> Desk {
        Desk { node, shard, bell }
    }

    /// What a connection is held to: less, if it is beyond a limit.
    pub(super) fn settings(&self, refused: Option<Code>) -> Arc<Settings> {
        if refused.is_none() { self.node.serving.clone() } else { self.node.refusing.clone() }
    }

    /// Lets a shard hold a stream: this one, or for a session's the one where the session is.
    pub(super) fn hand_over(&self, adopted: Adopted) {
        match adopted.answer.take.map(|take| usize::from(take.id.shard)) {
            Some(home) if home != self.shard.borrow().index() => self.node.hand_over(home, adopted),
            _ => self.shard.borrow_mut().take_over(adopted),
        }
        self.bell.notify_one();
    }
}
