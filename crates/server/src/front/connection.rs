//! What stands in front of HTTP on a connection: the PROXY protocol, and which version of HTTP its client speaks.

use super::http1::Ended;
use super::{Client, Desk, Front, http2};
use crate::listen::http1::Connection;
use crate::listen::{Accepted, Socket, proxy, tls};
use crate::shard::{Adopted, Carrier};
use bytes::BytesMut;
use std::net::IpAddr;
use tokio::net::TcpStream;

/// Serves a connection until it closes or becomes a stream.
pub(crate) async fn serve(accepted: Accepted, desk: Desk) {
    let Accepted { socket, secure, admission, address, seat, refused } = accepted;
    let Ok(mut socket) = TcpStream::from_std(socket) else { return };
    let mut client = Client { address, secure, seat, refused };
    let node = &desk.node;
    let mut leftover = BytesMut::new();
    if node.config.proxies.speaks_protocol(address) {
        let mut draining = node.draining.subscribe();
        let header = tokio::select! {
            header = proxy::read(&mut socket, node.serving.head) => header,
            _ = draining.wait_for(|draining| *draining) => return,
        };
        match header {
            Ok((said, behind)) => (client.address, leftover) = (said.unwrap_or(address), behind),
            Err(error) => return tracing::warn!(%address, %error, "no PROXY header from a proxy"),
        }
        if client.refused.is_none() && !node.config.proxies.are(client.address) {
            match node.limits.connection(client.address) {
                Ok(seat) => client.seat = seat,
                Err(problem) => client.refused = Some(problem.code),
            }
        }
    }
    let settings = desk.settings(client.refused);
    let socket = match secure {
        false => Socket::Plain(socket),
        true => {
            let read = std::mem::take(&mut leftover);
            // Not part of every connection's task.
            match Box::pin(shake_hands(socket, read, client.address, &desk)).await {
                Some(socket) => Socket::Tls(socket),
                None => return,
            }
        }
    };
    let connection = Connection::with_leftover(socket, settings, leftover);
    match Front::new(connection, desk.clone(), client).run().await {
        Ended::Done => {}
        Ended::Held(answer, connection) => {
            let (socket, received) = connection.into_parts();
            let mut received = Vec::from(received);
            let Ok(carrier) = Carrier::of(socket, &mut received) else { return };
            let adopted = Adopted { carrier, received, answer: *answer, admission: Some(admission) };
            desk.hand_over(adopted);
        }
        Ended::Http2(connection, client) => {
            let (socket, received) = connection.into_parts();
            Box::pin(http2::serve(socket, received, client, &desk)).await;
        }
    }
}

/// Agrees on TLS, if that comes to anything before the server stops.
async fn shake_hands(socket: TcpStream, read: BytesMut, address: IpAddr, desk: &Desk) -> Option<tls::Socket> {
    let Desk { node, shard, .. } = desk;
    let config = node.tls.as_ref()?.config();
    let (gate, mut draining) = (shard.borrow().handshakes(), node.draining.subscribe());
    let shaken = tokio::select! {
        shaken = tls::accept(socket, &read, config, &gate, node.serving.head, &node.figures.handshakes) => shaken,
        _ = draining.wait_for(|draining| *draining) => return None,
    };
    match shaken {
        Ok(socket) => {
            let protocol = socket.session().protocol().map(String::from_utf8_lossy);
            tracing::debug!(%address, ?protocol, "TLS is agreed on");
            Some(socket)
        }
        Err(why) => {
            tracing::debug!(%address, ?why, "a TLS handshake failed");
            None
        }
    }
}
