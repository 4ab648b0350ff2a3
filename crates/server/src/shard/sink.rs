//! A connection that is only ever written whole messages.

use super::batch::Joined;
use super::carrier::{Carrier, SLICES};
use crate::limits::transit::{Load, Transit};
use crate::listen::USER_TIMEOUT;
use bytes::{Buf, Bytes};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::{mem, slice};
use switchboard_wire::Message;
use switchboard_wire::code::Problem;
use switchboard_wire::gzip::{Sum, Total};

/// Control bytes that wait for a peer that does not read: beyond this the shard stops reading it.
pub(crate) const CONTROL_LIMIT: usize = 16 << 10;

/// The write side of a subscriber's connection.
///
/// At most one message is ever unfinished; what does not fit after it is not taken at all, and its reader lags. So a
/// slow peer costs one message and a cursor, not a queue. Control bytes (pongs, notices of the connection itself)
/// wait in a small outbox behind the unfinished message. While the peer keeps up, neither exists.
pub(crate) struct Sink {
    carrier: Carrier,
    /// Messages are chunks of the chunked coding.
    pub(crate) chunked: bool,
    /// Something was sent since the last heartbeat.
    pub(crate) active: bool,
    backlog: Option<Box<Backlog>>,
    /// The sum of all that was taken, in a compressed body.
    total: Option<Box<Total>>,
}

#[derive(Default)]
struct Backlog {
    unfinished: Bytes,
    control: Vec<u8>,
    /// What the unfinished message takes of what may be on its way.
    load: Option<Load>,
}

impl Sink {
    pub(crate) fn new(carrier: Carrier, chunked: bool, total: Option<Total>) -> Sink {
        // What opens the stream is news enough until the first heartbeat.
        Sink { carrier, chunked, active: true, backlog: None, total: total.map(Box::new) }
    }

    /// What the peer said; see [`Carrier::read`].
    pub(crate) fn read(&mut self, into: &mut [u8], most: usize) -> io::Result<usize> {
        let read = self.carrier.read(into, most);
        // What was heard may ask for an answer of the carrier itself.
        self.note_clogged();
        read
    }

    /// Says that what was sent was all; see [`Carrier::end`].
    pub(crate) fn end(&mut self) {
        self.carrier.end();
    }

    /// Says that something is missing; see [`Carrier::break_off`]. Until that is said it is blocked.
    pub(crate) fn break_off(&mut self) -> io::Result<bool> {
        let done = self.carrier.break_off()?;
        if !done && self.backlog.is_none() {
            self.block(Bytes::new());
        }
        Ok(done)
    }

    /// Sends nothing any more, and still hears.
    pub(crate) fn hang_up(&mut self) -> io::Result<()> {
        self.carrier.hang_up()
    }

    /// Whether the peer is listened to until it ends its side; see [`Carrier::is_heard_out`].
    pub(crate) fn is_heard_out(&self) -> bool {
        self.carrier.is_heard_out()
    }

    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.carrier.peer()
    }

    /// Whether something waits for the peer to read.
    pub(crate) fn is_blocked(&self) -> bool {
        self.backlog.is_some()
    }

    /// Counts what is unfinished among what is on its way. Refused where that is too much.
    pub(super) fn weigh(&mut self, transit: &Arc<Transit>) -> Result<(), Problem> {
        if let Some(backlog) = &mut self.backlog
            && backlog.load.is_none()
        {
            // Half of a message may hold it whole.
            backlog.load = Some(transit.load_of(2 * backlog.unfinished.len())?);
        }
        Ok(())
    }

    /// Bytes of control that wait.
    pub(crate) fn control_waiting(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.control.len())
    }

    /// Sends messages, each whole or not at all, and says how many were taken: all of them unless the sink is blocked
    /// now. The last one taken may be unfinished, and leaves first.
    pub(crate) fn send(&mut self, messages: &[Message]) -> io::Result<usize> {
        let taken = self.take(messages)?;
        messages[..taken].iter().for_each(|message| self.count(message.sum));
        Ok(taken)
    }

    fn take(&mut self, messages: &[Message]) -> io::Result<usize> {
        if self.is_blocked() && !self.flush()? {
            return Ok(0);
        }
        let mut taken = 0;
        while taken < messages.len() {
            let batch = &messages[taken..messages.len().min(taken + SLICES)];
            let mut written = match self.carrier.write_batch(batch) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.block(Bytes::new());
                    return Ok(taken);
                }
                Err(error) => return Err(error),
            };
            for Message { bytes, .. } in batch {
                if written < bytes.len() {
                    // Nothing of this message left, so it is not taken, but the socket is full all the same.
                    let broken_off = written > 0;
                    let unfinished = if broken_off { rest(bytes, written) } else { Bytes::new() };
                    self.block(unfinished);
                    return Ok(taken + usize::from(broken_off));
                }
                written -= bytes.len();
                taken += 1;
            }
            if self.note_clogged() {
                break;
            }
        }
        Ok(taken)
    }

    /// Sends messages that are in one piece, as [`Sink::send`] does.
    pub(super) fn send_joined(&mut self, joined: &Joined) -> io::Result<usize> {
        if self.is_blocked() && !self.flush()? {
            return Ok(0);
        }
        let taken = self.take_joined(joined)?;
        if self.total.is_some() {
            self.count(joined.upto(taken).1);
        }
        Ok(taken)
    }

    fn take_joined(&mut self, joined: &Joined) -> io::Result<usize> {
        let Joined { bytes, ends } = joined;
        let written = match self.carrier.write(bytes) {
            Ok(written) if written == bytes.len() => {
                self.note_clogged();
                return Ok(ends.len());
            }
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        let whole = ends.partition_point(|(end, _)| *end as usize <= written);
        let (start, _) = joined.upto(whole);
        if written == start {
            self.block(Bytes::new());
            return Ok(whole);
        }
        // A copy of it, if it is one of several: who stalls is not to hold them all.
        let unfinished = match ends.len() {
            1 => rest(bytes, written),
            _ => Bytes::copy_from_slice(&bytes[written..ends[whole].0 as usize]),
        };
        self.block(unfinished);
        Ok(whole + 1)
    }

    fn count(&mut self, sum: Sum) {
        if let Some(total) = &mut self.total {
            total.add(sum);
        }
    }

    /// The sum of a compressed body, if this is added to it; `None` if the body is not compressed.
    pub(crate) fn total_with(&self, sum: Sum) -> Option<Total> {
        let mut total = **self.total.as_ref()?;
        total.add(sum);
        Some(total)
    }

    /// The carrier is full. A peer that does not read is not one that vanished, but the kernel's limit on unacknowledged
    /// bytes takes them for the same, so it is lifted meanwhile.
    fn block(&mut self, unfinished: Bytes) {
        self.backlog = Some(Box::new(Backlog { unfinished, control: Vec::new(), load: None }));
        self.carrier.limit_silence(None);
    }

    /// Blocks where the carrier has taken what it cannot send yet.
    fn note_clogged(&mut self) -> bool {
        let clogged = self.carrier.is_clogged();
        if clogged && self.backlog.is_none() {
            self.block(Bytes::new());
        }
        clogged
    }

    /// Sends control bytes, behind what is unfinished.
    pub(crate) fn control(&mut self, message: Message) -> io::Result<()> {
        let waits = self.is_blocked() || self.take(slice::from_ref(&message))? == 0;
        self.count(message.sum);
        if waits && let Some(backlog) = &mut self.backlog {
            backlog.control.extend_from_slice(&message.bytes);
        }
        Ok(())
    }

    /// Sends what waits. `true` if nothing waits any more.
    ///
    /// The poll is edge-triggered, so this is worth calling only once the carrier may take more.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        let Some(mut backlog) = self.backlog.take() else { return Ok(true) };
        let done = self.send_on(&mut backlog);
        match done {
            Ok(true) => self.carrier.limit_silence(Some(USER_TIMEOUT)),
            Ok(false) => self.backlog = Some(backlog),
            Err(_) => {}
        }
        done
    }

    fn send_on(&mut self, backlog: &mut Backlog) -> io::Result<bool> {
        loop {
            if !self.carrier.flush()? {
                return Ok(false);
            }
            if backlog.unfinished.is_empty() {
                backlog.unfinished = mem::take(&mut backlog.control).into();
            }
            if backlog.unfinished.is_empty() {
                return Ok(true);
            }
            match self.carrier.write(&backlog.unfinished) {
                Ok(written) => backlog.unfinished.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

/// What is left of a message: a copy of it where that is the smaller part, since who stalls is not to hold all of it.
fn rest(bytes: &Bytes, written: usize) -> Bytes {
    match written > bytes.len() / 2 {
        true => Bytes::copy_from_slice(&bytes[written..]),
        false => bytes.slice(written..),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    fn pair() -> (Sink, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (Sink::new(Carrier::plain(socket), false, None), peer)
    }

    #[test]
    fn messages_are_taken_whole_or_not_at_all_and_control_waits_behind_the_unfinished_one() {
        let (mut sink, mut peer) = pair();
        let message = |i: u32| Message::from(Bytes::from(i.to_be_bytes().repeat(20_000)));
        let mut sent = 0;
        while !sink.is_blocked() {
            sent += sink.send(&[message(sent), message(sent + 1), message(sent + 2)]).unwrap() as u32;
        }
        assert_eq!(sink.send(&[message(sent)]).unwrap(), 0);
        sink.control(Bytes::from_static(b"pong").into()).unwrap();
        assert_eq!(sink.control_waiting(), 4);
        let expected = sent as usize * 80_000 + 4;
        let reader = std::thread::spawn(move || {
            let mut received = vec![0; expected];
            peer.read_exact(&mut received).unwrap();
            received
        });
        while !sink.flush().unwrap() {
            std::thread::yield_now();
        }
        assert!(!sink.is_blocked());
        let received = reader.join().unwrap();
        for i in 0..sent {
            assert!(received[i as usize * 80_000..][..80_000] == *message(i).bytes, "message {i}");
        }
        assert_eq!(&received[expected - 4..], b"pong");
    }

    #[test]
    fn an_idle_sink_is_a_carrier_two_flags_and_two_pointers() {
        assert_eq!(size_of::<Sink>(), (size_of::<Carrier>() + 2).next_multiple_of(8) + 16);
        // A socket, the pointer to its TLS, and which of the carriers it is. A debugging build's socket is larger.
        let socket = size_of::<mio::net::TcpStream>();
        assert!(size_of::<Carrier>() <= (socket + 8 + 1).next_multiple_of(8), "{}", size_of::<Carrier>());
    }
}
