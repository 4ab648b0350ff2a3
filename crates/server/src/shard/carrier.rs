//! What the bytes of a stream leave and arrive by.

use crate::listen::USER_TIMEOUT;
use crate::listen::http2::{HeldStream, Signals};
use bytes::Bytes;
use mio::net::TcpStream;
use mio::{Interest, Registry};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use switchboard_wire::Message;

/// Most messages in one write: well under the kernel's limit of 1024 slices.
pub(super) const SLICES: usize = 64;

/// A way to a peer. None of them waits: what it does not take at once is `WouldBlock`, and it is told when there is room.
pub(crate) enum Carrier {
    /// A socket of its own.
    Plain(TcpStream),
    /// A stream among others of an HTTP/2 connection.
    Stream(Box<HeldStream>),
}

impl Carrier {
    /// From here on the shard is told under this token what becomes of it.
    pub(super) fn register(&mut self, registry: &Registry, signals: &Arc<Signals>, token: usize) -> io::Result<()> {
        match self {
            Carrier::Plain(socket) => {
                registry.register(socket, mio::Token(token), Interest::READABLE | Interest::WRITABLE)
            }
            Carrier::Stream(stream) => {
                stream.attach(signals, token as u32);
                Ok(())
            }
        }
    }

    /// Writes what it takes of these bytes.
    pub(super) fn write(&mut self, bytes: &Bytes) -> io::Result<usize> {
        match self {
            Carrier::Plain(socket) => retry(|| socket.write(bytes)),
            Carrier::Stream(stream) => stream.write(bytes),
        }
    }

    /// Writes what it takes of at most [`SLICES`] messages.
    pub(super) fn write_batch(&mut self, batch: &[Message]) -> io::Result<usize> {
        match self {
            Carrier::Plain(socket) => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                for (slice, message) in slices.iter_mut().zip(batch) {
                    *slice = IoSlice::new(&message.bytes);
                }
                retry(|| socket.write_vectored(&slices[..batch.len()]))
            }
            Carrier::Stream(stream) => {
                let mut written = 0;
                for message in batch {
                    match stream.write(&message.bytes) {
                        Ok(length) if length < message.bytes.len() => return Ok(written + length),
                        Ok(length) => written += length,
                        Err(error) if error.kind() == ErrorKind::WouldBlock && written > 0 => return Ok(written),
                        Err(error) => return Err(error),
                    }
                }
                Ok(written)
            }
        }
    }

    /// Reads what the peer has said.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Carrier::Plain(socket) => socket.read(out),
            Carrier::Stream(stream) => stream.read(out),
        }
    }

    /// Says that nothing more is written.
    pub(super) fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Carrier::Plain(socket) => socket.shutdown(Shutdown::Write),
            Carrier::Stream(stream) => stream.finish(),
        }
    }

    /// All was said that was to be: a stream that is dropped from here on ends, and does not break off.
    pub(super) fn complete(&mut self) {
        if let Carrier::Stream(stream) = self {
            stream.complete = true;
        }
    }

    /// Where the peer is, if the carrier knows.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        match self {
            Carrier::Plain(socket) => socket.peer_addr().ok().map(|peer| peer.ip()),
            Carrier::Stream(_) => None,
        }
    }

    /// Whether a peer that acknowledges nothing is given up after a while, as long as it is not known to have stopped
    /// reading.
    pub(super) fn limit_silence(&self, limited: bool) {
        let Carrier::Plain(socket) = self else { return };
        let limit: Option<Duration> = limited.then_some(USER_TIMEOUT);
        // Only a socket that is gone refuses this, and then the next write says so.
        let _ = socket2::SockRef::from(socket).set_tcp_user_timeout(limit);
    }
}

/// Calls again what a signal interrupted.
fn retry(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
