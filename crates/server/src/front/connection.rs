//! What stands in front of HTTP on a connection: the PROXY protocol, and which version of HTTP its client speaks.

use super::http1::Ended;
use super::{Client, Front, http2};
use crate::listen::http1::Connection;
use crate::listen::http2::Rewound;
use crate::listen::{Accepted, proxy};
use crate::node::Node;
use crate::shard::{Adopted, Carrier, SharedShard};
use bytes::BytesMut;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Serves a connection until it closes or becomes a stream.
pub(crate) async fn serve(accepted: Accepted, node: Arc<Node>, shard: SharedShard, bell: Arc<Notify>) {
    let Accepted { socket, admission, address, seat, mut refused } = accepted;
    let Ok(mut socket) = TcpStream::from_std(socket) else { return };
    let mut client = Client { address, seat };
    let mut leftover = BytesMut::new();
    if node.config.proxies.speaks_protocol(address) {
        let mut draining = node.draining.subscribe();
        let header = tokio::select! {
            header = proxy::read(&mut socket, node.http1.head) => header,
            _ = draining.wait_for(|draining| *draining) => return,
        };
        match header {
            Ok((said, behind)) => (client.address, leftover) = (said.unwrap_or(address), behind),
            Err(error) => return tracing::warn!(%address, %error, "no PROXY header from a proxy"),
        }
        if refused.is_none() && !node.config.proxies.are(client.address) {
            match node.limits.connection(client.address) {
                Ok(seat) => client.seat = seat,
                Err(problem) => refused = Some(problem.code),
            }
        }
    }
    let settings = if refused.is_none() { node.http1.clone() } else { node.refusing.clone() };
    let connection = Connection::with_leftover(socket, settings, leftover);
    let front = Front {
        connection,
        node: node.clone(),
        shard: shard.clone(),
        refused,
        client,
        reading: None,
        promised: Vec::new(),
    };
    match front.run().await {
        Ended::Done => {}
        Ended::Held(answer, connection) => {
            let (socket, received) = connection.into_parts();
            let Ok(socket) = socket.into_std() else { return };
            let carrier = Carrier::plain(socket);
            let adopted = Adopted { carrier, received: received.into(), answer: *answer, admission: Some(admission) };
            hand_over(adopted, &node, &shard);
            bell.notify_one();
        }
        Ended::Http2(connection, client) => {
            let (socket, received) = connection.into_parts();
            http2::serve(Rewound::new(socket, received), client, refused, &node, &shard, &bell).await;
        }
    }
}

/// Lets a shard hold a stream: this one, or for a session's the one where the session is.
pub(super) fn hand_over(adopted: Adopted, node: &Node, shard: &SharedShard) {
    match adopted.answer.take.map(|take| usize::from(take.id.shard)) {
        Some(home) if home != shard.borrow().index() => node.hand_over(home, adopted),
        _ => shard.borrow_mut().take_over(adopted),
    }
}
