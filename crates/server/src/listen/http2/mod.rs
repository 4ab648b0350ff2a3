//! HTTP/2 (RFC 9113), by the `h2` crate: frames, header compression and flow control are its own. Here is what a request
//! and an answer are for the rest of the server.
//!
//! [`head`] makes of a request's fields what HTTP/1.1's parser makes of a head, by the same rules; [`exchange`] is one
//! request and its answer; [`promise`] an answer to a request that was not made; [`stream`] an answer that is held open.
//!
//! [`link`] is a connection, [`wire`] the socket under it, of which [`intake`] hands on a few requests at a time, and
//! [`outlet`] when it sends.

mod exchange;
mod head;
mod intake;
mod link;
mod outlet;
mod promise;
mod stream;
mod wire;

pub(crate) use exchange::Exchange;
pub(crate) use link::{Asked, Link, SharedLink};
pub(crate) use outlet::Outlets;
pub(crate) use promise::{Promise, Promises};
pub(crate) use stream::{HeldStream, Signals};
pub(crate) use wire::Meters;

use bytes::Bytes;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a client that knows that the server speaks HTTP/2 begins with (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of one request's body that may be on their way, unread.
const STREAM_WINDOW: u32 = 64 << 10;
/// The same of all requests of a connection: what they can make the server keep beside what `memory.transit` counts.
const CONNECTION_WINDOW: u32 = 256 << 10;
/// Bytes of one stream that wait to be written. The log holds what is due to a stream; this is one write's worth.
const SEND_BUFFER: usize = 64 << 10;

/// What small frames of data that lie unread may count for, together: up to 256 bytes each, whatever is in them.
const FRAME_BUDGET: usize = 1 << 20;

/// How an HTTP/2 connection is held to its limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Streams that are open at once.
    pub(crate) streams: u32,
    /// Longest head of a request, in bytes, as RFC 9113 section 6.5.2 counts them.
    pub(crate) head: u32,
}

/// Exchanges the prefaces. What else a client may do to a connection is bounded by the crate: resets of streams it has
/// just opened (20 that nobody has looked at), continued heads, pings and settings that it does not wait for, and small
/// frames of data that pile up unread.
async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    limits: Limits,
) -> Result<Connection<S, Bytes>, h2::Error> {
    Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.head)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(FRAME_BUDGET)
        .enable_connect_protocol()
        .handshake(io)
        .await
}
