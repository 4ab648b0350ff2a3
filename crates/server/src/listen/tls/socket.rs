//! A TLS connection while requests are read from it: what the runtime reads and writes.

use super::session::{RECORD_MAX, Session};
use super::tunnel::Tunnel;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::poll_proceed;

/// Records that are opened for what a task may otherwise read once: a read may bring a thousand, of a byte each, and between
/// them the keys may change.
const RECORDS: u32 = 64;

/// A socket with TLS over it.
pub(crate) struct Socket {
    socket: TcpStream,
    tunnel: Box<Tunnel>,
    /// What came out of a record and was not asked for yet.
    plain: Vec<u8>,
    /// Records that were opened and not counted as reads.
    opened: u32,
    said_end: bool,
}

/// The socket of a runtime, as one that never blocks.
struct Now<'a>(&'a TcpStream);

impl Read for Now<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    pub(super) fn new(socket: TcpStream, session: Session) -> Socket {
        Socket { socket, tunnel: Box::new(Tunnel::new(session)), plain: Vec::new(), opened: 0, said_end: false }
    }

    pub(crate) fn session(&self) -> &Session {
        self.tunnel.session()
    }

    /// The parts of the connection, and what was read and not asked for. Nothing that was written waits any more.
    pub(crate) fn into_parts(self) -> (TcpStream, Box<Tunnel>, Vec<u8>) {
        (self.socket, self.tunnel, self.plain)
    }

    /// Takes in what was read from the socket before.
    pub(super) fn take_in_read(&mut self, read: &[u8]) -> io::Result<()> {
        let plain = &mut self.plain;
        self.tunnel.take_in_read(&mut Now(&self.socket), read, &mut |bytes| plain.extend_from_slice(bytes))
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes a step of the handshake, if the socket has something for it.
    pub(super) fn try_step(&mut self) -> io::Result<()> {
        match self.try_read()? {
            false if !self.session().is_open() => Err(ErrorKind::UnexpectedEof.into()),
            // It may have said all it has to say, and its farewell, with the last of the handshake.
            _ => Ok(()),
        }
    }

    /// Reads once from the socket. `false` at the clean end of what the peer sends.
    fn try_read(&mut self) -> io::Result<bool> {
        let plain = &mut self.plain;
        let mut take = |bytes: &[u8]| plain.extend_from_slice(bytes);
        let read = self.tunnel.read(&mut Now(&self.socket), RECORD_MAX, &mut take);
        self.opened += self.tunnel.take_opened();
        read
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.try_read() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tunnel.is_clogged() {
            ready!(self.socket.poll_write_ready(cx))?;
            self.tunnel.flush(&mut Now(&self.socket))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // What the session says for itself waits for nobody who writes.
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        // Of each turn of its task a connection has as much as others, in however many records it comes.
        while this.opened >= RECORDS {
            ready!(poll_proceed(cx)).made_progress();
            this.opened -= RECORDS;
        }
        while this.plain.is_empty() {
            match ready!(this.poll_receive(cx)) {
                Ok(true) => {}
                Ok(false) if this.plain.is_empty() => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let length = this.plain.len().min(into.remaining());
        into.put_slice(&this.plain[..length]);
        if length == this.plain.len() {
            this.plain = Vec::new();
        } else {
            this.plain.drain(..length);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Poll::Ready(this.tunnel.write(&mut Now(&this.socket), bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.said_end {
            this.said_end = true;
            this.tunnel.end(&mut Now(&this.socket))?;
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}
