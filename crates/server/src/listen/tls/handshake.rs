//! The handshake: from a socket to a TLS connection, or to a plain word why there is none.

use super::session::Session;
use super::socket::Socket;
use crate::gate::Gate;
use crate::metrics::Handshakes;
use rustls::{Error, ServerConfig};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// What the first byte of a TLS connection is (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// What somebody is told who speaks HTTP where TLS is spoken.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 62\r\n\
    Connection: close\r\n\r\nhere TLS is spoken, and this was not: the URL begins https://\n";

/// How long, and for how many bytes, a peer that is refused is listened to, so that it hears why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 10;

/// Why a handshake came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// It took too long.
    Slow,
    /// The peer went away.
    Gone,
    /// The peer does not speak TLS.
    Plain,
    /// The peer speaks no version, or has no cipher, that is spoken here.
    Mismatch,
    /// The peer did not like what it was shown, such as the certificate.
    Refused,
    /// What the peer said was no handshake.
    Broken,
}

impl Failure {
    pub(crate) const ALL: [Failure; 6] =
        [Failure::Slow, Failure::Gone, Failure::Plain, Failure::Mismatch, Failure::Refused, Failure::Broken];

    /// As it is told in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Failure::Slow => "slow",
            Failure::Gone => "gone",
            Failure::Plain => "plain",
            Failure::Mismatch => "mismatch",
            Failure::Refused => "refused",
            Failure::Broken => "broken",
        }
    }

    fn of(error: &io::Error) -> Failure {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Failure::Mismatch,
            Some(Error::AlertReceived(_)) => Failure::Refused,
            Some(_) => Failure::Broken,
            None => Failure::Gone,
        }
    }
}

/// Shakes hands over a socket, of which `read` was read already, within so much time.
pub(crate) async fn accept(
    socket: TcpStream,
    read: &[u8],
    config: Arc<ServerConfig>,
    gate: &Gate,
    within: Duration,
    figures: &Handshakes,
) -> Result<Socket, Failure> {
    let shaken = attempt(socket, read, config, gate, within, figures).await;
    match &shaken {
        Ok(_) => drop(figures.done.fetch_add(1, Ordering::Relaxed)),
        Err(failure) => figures.failed(*failure),
    }
    shaken
}

async fn attempt(
    mut socket: TcpStream,
    read: &[u8],
    config: Arc<ServerConfig>,
    gate: &Gate,
    within: Duration,
    figures: &Handshakes,
) -> Result<Socket, Failure> {
    let deadline = Instant::now() + within;
    let first = match read.first() {
        Some(first) => *first,
        // Who says nothing is given nothing but the time.
        None => timeout_at(deadline, peek(&socket)).await.map_err(|_| Failure::Slow)?.map_err(|_| Failure::Gone)?,
    };
    if first != HANDSHAKE {
        if first.is_ascii_alphabetic() {
            // Who is gone need not be told.
            let _ = socket.write_all(PLAIN).await;
            part_with(socket).await;
        }
        return Err(Failure::Plain);
    }
    let session = Session::new(config).map_err(|error| Failure::of(&error))?;
    let mut socket = Socket::new(socket, session);
    match timeout_at(deadline, shake(&mut socket, read, gate, figures)).await {
        Ok(Ok(())) => Ok(socket),
        Ok(Err(error)) => {
            let (socket, ..) = socket.into_parts();
            part_with(socket).await;
            Err(Failure::of(&error))
        }
        Err(_) => Err(Failure::Slow),
    }
}

async fn peek(socket: &TcpStream) -> io::Result<u8> {
    let mut first = [0];
    match socket.peek(&mut first).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0]),
    }
}

async fn shake(socket: &mut Socket, read: &[u8], gate: &Gate, figures: &Handshakes) -> io::Result<()> {
    let mut read = Some(read).filter(|read| !read.is_empty());
    while !socket.session().is_open() {
        let read = read.take();
        if read.is_none() {
            socket.readable().await?;
        }
        let pass = gate.pass().await;
        let step = match read {
            Some(read) => socket.take_in_read(read),
            None => socket.try_step(),
        };
        figures.took(pass.end());
        match step {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(()) => socket.flush().await?,
        }
    }
    Ok(())
}

/// Closes so that what was said arrives: a socket closed with unread bytes in it is reset, and a reset can overtake it.
async fn part_with(mut socket: TcpStream) {
    let farewell = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Either way there is nothing more to do for it.
    let _ = timeout(LINGER, farewell).await;
}
