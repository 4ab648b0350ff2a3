//! One TLS connection as bytes: what came from the peer goes in, what is in it and what is to be sent come out. No
//! socket, no clock, and no buffer but for a record of which only a part has arrived.

use super::PROTOCOLS;
use super::keys::HEADER;
use super::records::{Heard, Records};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, InsufficientSizeError, UnbufferedStatus};
use rustls::{AlertDescription, Error, ServerConfig};
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;

/// The longest record (RFC 5246 section 6.2.3, which allows more than RFC 8446 does), with its header. No more than that
/// is kept of what has arrived: a handshake that cannot go on with it has no business here.
pub(crate) const RECORD_MAX: usize = 5 + (16 << 10) + 2048;
/// The most that is sealed in one record.
pub(crate) const PLAIN_MAX: usize = 16 << 10;

/// The server's side of a TLS connection.
pub(crate) struct Session {
    state: State,
    /// A record of which only a part has arrived.
    partial: Vec<u8>,
    /// The protocol that was agreed on, by its place among those that are spoken.
    protocol: Option<u8>,
    /// The peer has said that it sends nothing more.
    ended: bool,
}

enum State {
    /// Shaking hands. So many bytes of what is kept were shown to the library before, which goes on behind them.
    Begun(Box<UnbufferedServerConnection>, usize),
    Open(Records),
    /// It has come to nothing.
    Failed,
}

impl Session {
    pub(crate) fn new(config: Arc<ServerConfig>) -> io::Result<Session> {
        let connection = UnbufferedServerConnection::new(config).map_err(broken)?;
        Ok(Session { state: State::Begun(Box::new(connection), 0), partial: Vec::new(), protocol: None, ended: false })
    }

    /// Whether the handshake is done.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether the peer has said that it sends nothing more. Where it has not, what it sent was cut off.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The protocol that was agreed on for what follows, if any was.
    pub(crate) fn protocol(&self) -> Option<&'static [u8]> {
        self.protocol.and_then(|place| PROTOCOLS.get(usize::from(place))).copied()
    }

    /// Bytes that are kept of a record of which only a part has arrived.
    pub(crate) fn kept(&self) -> usize {
        self.partial.capacity()
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
        let (mut used, mut outcome) = (0, Ok(()));
        if let State::Begun(connection, shown) = &mut self.state {
            let (shaken, done) = shake(connection, shown, arrived, out);
            used = shaken;
            outcome = done.and_then(|done| if done { self.open() } else { Ok(()) });
        }
        if let State::Open(records) = &mut self.state {
            let ended = &mut self.ended;
            let (worked, done) = records.take_in(&mut arrived[used..], |heard| match heard {
                Heard::Data(data) => plain(data),
                Heard::End => *ended = true,
                Heard::Nothing => {}
            });
            used += worked;
            outcome = done.map_err(|fault| {
                if let Some(alert) = fault.alert {
                    // What cannot be told is seen by the end.
                    let _ = records.alert(alert, out);
                }
                io::Error::new(ErrorKind::InvalidData, fault)
            });
        }
        let rest = if self.ended { &[] } else { &arrived[used..] };
        if rest.len() > RECORD_MAX && outcome.is_ok() {
            outcome = Err(broken(Error::General("the handshake takes too many bytes".into())));
        }
        match outcome {
            Ok(()) => self.partial = rest.to_vec(),
            Err(_) => self.state = State::Failed,
        }
        outcome
    }

    /// How many records were opened since this was last asked: see [`Records::take_opened`].
    pub(crate) fn take_opened(&mut self) -> u32 {
        if let State::Open(records) = &mut self.state { records.take_opened() } else { 0 }
    }

    /// Goes on with the keys that were agreed on, and without all that was only of use for that.
    fn open(&mut self) -> io::Result<()> {
        let State::Begun(connection, _) = mem::replace(&mut self.state, State::Failed) else { return Ok(()) };
        let protocol =
            connection.alpn_protocol().and_then(|agreed| PROTOCOLS.iter().position(|known| *known == agreed));
        self.protocol = protocol.map(|place| place as u8);
        let (secrets, connection) = connection.dangerous_into_kernel_connection().map_err(broken)?;
        let records = Records::new(secrets, connection);
        self.state = State::Open(records.map_err(|fault| io::Error::new(ErrorKind::InvalidData, fault))?);
        Ok(())
    }

    /// Appends to `out` what it takes to send these bytes, which are [`PLAIN_MAX`] at most.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let State::Open(records) = &mut self.state else { return Err(ErrorKind::NotConnected.into()) };
        records.seal(plain, out).map_err(io::Error::other)
    }

    /// Appends to `out` what says that nothing more is sent.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let State::Open(records) = &mut self.state else { return Err(ErrorKind::NotConnected.into()) };
        records.alert(AlertDescription::CloseNotify, out).map_err(io::Error::other)
    }
}

/// Goes on with a handshake, record by record: what comes behind it is none of the library's business. Tells how many bytes
/// it needs no more, and whether it is done.
fn shake(
    connection: &mut UnbufferedServerConnection,
    before: &mut usize,
    arrived: &mut [u8],
    out: &mut Vec<u8>,
) -> (usize, io::Result<bool>) {
    // A message in several records has to stay together, so that not all that was shown is done with.
    let (mut used, mut shown) = (0, *before);
    loop {
        let UnbufferedStatus { discard, state, .. } = connection.process_tls_records(&mut arrived[used..shown]);
        let further = match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(&mut data, out);
                false
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It is sent in its turn, by whoever has `out`.
                data.done();
                false
            }
            Ok(ConnectionState::WriteTraffic(_)) => return (used + discard, Ok(true)),
            Ok(ConnectionState::BlockedHandshake) => true,
            // Data has no place before the end, and a farewell is no end.
            Ok(_) => return (used + discard, Err(ErrorKind::UnexpectedEof.into())),
            Err(error) => {
                say_why(connection, &mut arrived[used + discard..shown], out);
                return (used + discard, Err(broken(error)));
            }
        };
        used += discard;
        if further {
            match next_record(&arrived[shown..]) {
                Some(length) => shown += length,
                None => {
                    *before = shown - used;
                    return (used, Ok(false));
                }
            }
        }
    }
}

/// The length of a record, if it is there whole, or of all there is, if it is none: it is looked at all the same.
fn next_record(arrived: &[u8]) -> Option<usize> {
    let [.., high, low]: &[u8; HEADER] = arrived.first_chunk()?;
    let length = HEADER + usize::from(u16::from_be_bytes([*high, *low]));
    if length > RECORD_MAX { Some(arrived.len()) } else { (length <= arrived.len()).then_some(length) }
}

/// Takes what is yet to be sent where a handshake fails, an alert that tells the peer why. `rest` is what was not worked on,
/// and is not: nothing comes of it but the same error.
fn say_why(connection: &mut UnbufferedServerConnection, rest: &mut [u8], out: &mut Vec<u8>) {
    while connection.wants_write()
        && let Ok(ConnectionState::EncodeTlsData(mut data)) = connection.process_tls_records(rest).state
    {
        encode(&mut data, out);
    }
}

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
