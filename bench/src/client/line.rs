//! A connection's bytes, with TLS or without: read and written where nothing waits.

use mio::net::TcpStream;
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};

/// A socket, and what TLS has to do with it, if anything.
#[derive(Debug)]
pub struct Line {
    pub(super) socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Line {
    /// A line over a socket. With TLS the handshake is a part of the first reads and writes.
    pub fn new(socket: TcpStream, tls: Option<ClientConnection>) -> Line {
        let tls = tls.map(|mut tls| {
            // What is said before the handshake is over waits in it.
            tls.set_buffer_limit(None);
            Box::new(tls)
        });
        Line { socket, tls }
    }

    /// Whether a read that is not full may have left something behind: with TLS it gives a record, and others may follow.
    pub fn is_in_records(&self) -> bool {
        self.tls.is_some()
    }
}

impl Read for Line {
    /// `WouldBlock` where nothing has come, and nothing where the connection has ended. The end need not be said: the load
    /// counts what it has received.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if tls.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            // The handshake has more to say, and what waited for it is to follow.
            send(tls, &mut self.socket)?;
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        tls.writer().write_all(bytes)?;
        send(tls, &mut self.socket)?;
        Ok(bytes.len())
    }

    /// Sends what the socket had no room for.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => send(tls, &mut self.socket),
            None => Ok(()),
        }
    }
}

/// Sends as much as there is room for.
fn send(tls: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
