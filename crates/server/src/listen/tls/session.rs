//! One TLS connection as bytes: what came from the peer goes in, what is in it and what is to be sent come out. No
//! socket, no clock, and no buffer but for a record of which only a part has arrived.

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, ServerConfig};
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// The longest record (RFC 5246 section 6.2.3, which allows more than RFC 8446 does), with its header. No more than that
/// is kept of what has arrived: a handshake that cannot go on with it has no business here.
pub(crate) const RECORD_MAX: usize = 5 + (16 << 10) + 2048;
/// The most that is sealed in one record.
pub(crate) const PLAIN_MAX: usize = 16 << 10;
/// What sealing adds to it at most: header, explicit nonce, tag and kind, and a message that changes the keys.
const OVERHEAD: usize = 128;

/// The server's side of a TLS connection.
pub(crate) struct Session {
    connection: UnbufferedServerConnection,
    /// A record of which only a part has arrived.
    partial: Vec<u8>,
    /// The handshake is done.
    open: bool,
    /// The peer has said that it sends nothing more.
    ended: bool,
}

impl Session {
    pub(crate) fn new(config: Arc<ServerConfig>) -> io::Result<Session> {
        let connection = UnbufferedServerConnection::new(config).map_err(broken)?;
        Ok(Session { connection, partial: Vec::new(), open: false, ended: false })
    }

    /// Whether the handshake is done.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the peer has said that it sends nothing more. Where it has not, what it sent was cut off.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The protocol that was agreed on for what follows, if any was.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// Puts what was kept at the front of a buffer, behind which more is to be read, and tells how long it is.
    pub(crate) fn put_kept(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.partial.len()].copy_from_slice(&self.partial);
        self.partial.len()
    }

    /// Takes in what has arrived, with what was kept in front of it, and works on it in place. What is to be sent is
    /// appended to `out`, also where this fails: it says why.
    pub(crate) fn take_in(
        &mut self,
        arrived: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut used = 0;
        let outcome = loop {
            let UnbufferedStatus { discard, state, .. } = self.connection.process_tls_records(&mut arrived[used..]);
            let mut read = 0;
            let done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                    match traffic.next_record() {
                        Some(Ok(record)) => {
                            read += record.discard;
                            plain(record.payload);
                        }
                        Some(Err(error)) => break Some(Err(error)),
                        None => break None,
                    }
                },
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, out);
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // It is sent in its turn, by whoever has `out`.
                    data.done();
                    None
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.open = true;
                    Some(Ok(()))
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    None
                }
                Ok(_) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            };
            used += discard + read;
            if let Some(done) = done {
                break done;
            }
        };
        if let Err(error) = outcome {
            self.say_why(&mut arrived[used..], out);
            return Err(broken(error));
        }
        let rest = if self.ended { &[] } else { &arrived[used..] };
        if rest.len() > RECORD_MAX {
            return Err(broken(Error::General("the handshake takes too many bytes".into())));
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    /// Takes what is yet to be sent where the connection ends, an alert that tells the peer why. `rest` is what was not
    /// worked on, and is not: nothing comes of it but the same error.
    fn say_why(&mut self, rest: &mut [u8], out: &mut Vec<u8>) {
        while self.connection.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(mut data)) = self.connection.process_tls_records(rest).state
        {
            encode(&mut data, out);
        }
    }

    /// Appends to `out` what it takes to send these bytes, which are [`PLAIN_MAX`] at most.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.write(out, plain.len() + OVERHEAD, |traffic, room| traffic.encrypt(plain, room))
    }

    /// Appends to `out` what says that nothing more is sent.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.write(out, OVERHEAD, |traffic, room| traffic.queue_close_notify(room))
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        room: usize,
        write: impl FnOnce(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        loop {
            // The library knows of what was kept, and would look for it.
            match self.connection.process_tls_records(&mut self.partial).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let before = out.len();
                    out.resize(before + room, 0);
                    let written = write(&mut traffic, &mut out[before..]);
                    out.truncate(before + *written.as_ref().unwrap_or(&0));
                    return written.map(drop).map_err(io::Error::other);
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(_) => return Err(ErrorKind::NotConnected.into()),
                Err(error) => return Err(broken(error)),
            }
        }
    }
}

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

/// Appends a record of the handshake.
fn encode(data: &mut EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    let before = out.len();
    while let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
        data.encode(&mut out[before..])
    {
        out.resize(before + required_size, 0);
    }
}

fn broken(error: Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
