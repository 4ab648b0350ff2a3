//! What takes a subscriber's bytes to its peer.

use crate::listen::Socket;
use crate::listen::http2::{HeldStream, Outlets, Signals};
use crate::listen::tls::Tunnel;
use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use switchboard_wire::Message;

/// Most messages in one write: well under the kernel's limit of 1024 slices.
pub(super) const SLICES: usize = 64;

/// A connection that is held open, by how it is carried. Nothing here blocks.
///
/// A carrier takes bytes and is done with them, or it takes fewer and its sink keeps the rest. What it has taken, and
/// could not send on yet, it keeps itself: then it is *clogged* until [`Carrier::flush`] says otherwise.
pub(crate) enum Carrier {
    Plain(TcpStream),
    Tls(TcpStream, Box<Tunnel>),
    /// One stream of an HTTP/2 connection.
    Stream(Box<HeldStream>),
}

impl Carrier {
    /// A connection that requests were read from. What was read from it and not asked for is appended to `received`.
    pub(crate) fn of(socket: Socket, received: &mut Vec<u8>) -> io::Result<Carrier> {
        Ok(match socket {
            Socket::Plain(socket) => Carrier::plain(socket.into_std()?),
            Socket::Tls(socket) => {
                let (socket, tunnel, plain) = socket.into_parts();
                received.extend_from_slice(&plain);
                Carrier::Tls(TcpStream::from_std(socket.into_std()?), tunnel)
            }
        })
    }

    /// A socket that is not blocking.
    pub(crate) fn plain(socket: std::net::TcpStream) -> Carrier {
        Carrier::Plain(TcpStream::from_std(socket))
    }

    /// Has the poll tell, under this token, when there is more to read or room to write; what has no descriptor is told of
    /// among the signals.
    pub(super) fn register(&mut self, registry: &Registry, signals: &Arc<Signals>, token: Token) -> io::Result<()> {
        match self {
            Carrier::Plain(socket) | Carrier::Tls(socket, _) => {
                registry.register(socket, token, Interest::READABLE | Interest::WRITABLE)
            }
            Carrier::Stream(stream) => {
                stream.attach(signals, token.0 as u32);
                Ok(())
            }
        }
    }

    /// Which of these connections it is a stream of, if of any.
    pub(super) fn link(&self, outlets: &Arc<Outlets>) -> Option<u32> {
        match self {
            Carrier::Stream(stream) => stream.link(outlets),
            Carrier::Plain(_) | Carrier::Tls(..) => None,
        }
    }

    /// Takes the first of these bytes, at least one if there is any.
    pub(super) fn write(&mut self, bytes: &Bytes) -> io::Result<usize> {
        match self {
            Carrier::Plain(socket) => match retry(|| socket.write(bytes)) {
                Ok(0) if !bytes.is_empty() => Err(ErrorKind::WriteZero.into()),
                other => other,
            },
            Carrier::Tls(socket, tunnel) => tunnel.write(socket, bytes),
            Carrier::Stream(stream) => stream.write(bytes),
        }
    }

    /// Takes the first bytes of these messages, which are at most [`SLICES`].
    pub(super) fn write_batch(&mut self, batch: &[Message]) -> io::Result<usize> {
        match self {
            Carrier::Plain(socket) => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                for (slice, message) in slices.iter_mut().zip(batch) {
                    *slice = IoSlice::new(&message.bytes);
                }
                match retry(|| socket.write_vectored(&slices[..batch.len()])) {
                    Ok(0) if batch.iter().any(|message| !message.bytes.is_empty()) => Err(ErrorKind::WriteZero.into()),
                    other => other,
                }
            }
            Carrier::Tls(socket, tunnel) => tunnel.write_pieces(socket, batch.iter().map(|message| &*message.bytes)),
            // Frame by frame they would cost the connection and the peer more than putting them together does.
            Carrier::Stream(stream) => match batch {
                [Message { bytes, .. }] => stream.write(bytes),
                _ => {
                    let mut joined = BytesMut::with_capacity(batch.iter().map(|message| message.bytes.len()).sum());
                    batch.iter().for_each(|message| joined.extend_from_slice(&message.bytes));
                    stream.write(&joined.freeze())
                }
            },
        }
    }

    /// Whether it has taken bytes that it could not send on yet.
    pub(super) fn is_clogged(&self) -> bool {
        match self {
            Carrier::Plain(_) | Carrier::Stream(_) => false,
            Carrier::Tls(_, tunnel) => tunnel.is_clogged(),
        }
    }

    /// Sends on what it has taken. `true` if nothing of that waits any more.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Carrier::Plain(_) => Ok(true),
            Carrier::Tls(socket, tunnel) => tunnel.flush(socket),
            Carrier::Stream(stream) => stream.is_ready(),
        }
    }

    /// What the peer said, read from the socket in pieces of `most` bytes; nothing once it has ended its side. A record is opened
    /// whole: `into` has room for one more than that.
    pub(super) fn read(&mut self, into: &mut [u8], most: usize) -> io::Result<usize> {
        let length = most.min(into.len());
        match self {
            Carrier::Plain(socket) => retry(|| socket.read(&mut into[..length])),
            Carrier::Tls(socket, tunnel) => tunnel.read_into(socket, into, most),
            Carrier::Stream(stream) => stream.read(&mut into[..length]),
        }
    }

    /// Says that what was sent was all and nothing was cut off, where closing does not say so by itself. The connection
    /// is dropped next.
    pub(super) fn end(&mut self) {
        match self {
            Carrier::Plain(_) => {}
            Carrier::Tls(socket, tunnel) => {
                // A peer that takes no more of it is told by what its connection lacks.
                let _ = tunnel.end(socket);
            }
            Carrier::Stream(stream) => stream.complete = true,
        }
    }

    /// Says that what was sent was not all, where closing says no such thing by itself, or not loudly. `false` if something
    /// is to leave before; then it is told when this is to be called again.
    pub(super) fn break_off(&mut self) -> io::Result<bool> {
        match self {
            Carrier::Plain(_) | Carrier::Tls(..) => Ok(true),
            Carrier::Stream(stream) => stream.break_off(),
        }
    }

    /// Sends nothing any more, and still hears.
    pub(super) fn hang_up(&mut self) -> io::Result<()> {
        match self {
            Carrier::Plain(socket) => socket.shutdown(Shutdown::Write),
            Carrier::Tls(socket, tunnel) => {
                tunnel.end(socket)?;
                socket.shutdown(Shutdown::Write)
            }
            Carrier::Stream(stream) => stream.finish(),
        }
    }

    /// Whether dropping it before the peer has ended its side would tell the peer so.
    pub(super) fn is_heard_out(&self) -> bool {
        matches!(self, Carrier::Stream(stream) if stream.hears())
    }

    pub(super) fn peer(&self) -> Option<IpAddr> {
        match self {
            Carrier::Plain(socket) | Carrier::Tls(socket, _) => socket.peer_addr().ok().map(|peer| peer.ip()),
            Carrier::Stream(_) => None,
        }
    }

    /// How long bytes may go unacknowledged before the peer counts as gone.
    pub(super) fn limit_silence(&self, limit: Option<Duration>) {
        match self {
            Carrier::Plain(socket) | Carrier::Tls(socket, _) => {
                // Only a socket that is gone refuses this, and then the next write says so.
                let _ = socket2::SockRef::from(socket).set_tcp_user_timeout(limit);
            }
            // The connection has a limit of its own.
            Carrier::Stream(_) => {}
        }
    }
}

/// Calls again what a signal interrupted.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
