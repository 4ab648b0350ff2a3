//! A TLS session over a socket that never blocks, in buffers that all connections of a thread share.

use super::session::{PLAIN_MAX, RECORD_MAX, Session};
use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};

/// What one read of a socket brings at most. It has room for what was kept of a record, and as much again.
const INCOMING: usize = 64 << 10;
const _: () = assert!(INCOMING >= 2 * RECORD_MAX);

/// Buffers that nobody keeps anything in.
struct Scratch {
    incoming: Box<[u8]>,
    out: Vec<u8>,
    gathered: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        incoming: vec![0; INCOMING].into_boxed_slice(),
        out: Vec::new(),
        gathered: Vec::new(),
    });
}

/// A session, and what it has sealed and the socket did not take. While there is such, nothing more is sealed: that is
/// one record at most, and what the session says for itself.
pub(crate) struct Tunnel {
    session: Session,
    unsent: Vec<u8>,
}

impl Tunnel {
    pub(crate) fn new(session: Session) -> Tunnel {
        Tunnel { session, unsent: Vec::new() }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// How many records were opened since this was last asked, as far as that matters to others.
    pub(crate) fn take_opened(&mut self) -> u32 {
        self.session.take_opened()
    }

    /// Whether sealed bytes wait for the socket.
    pub(crate) fn is_clogged(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends sealed bytes that wait. `true` if none do any more.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        if self.unsent.is_empty() {
            return Ok(true);
        }
        let sent = send(socket, &self.unsent)?;
        if sent == self.unsent.len() {
            // Its room with it: an idle connection owns no buffer.
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..sent);
        }
        Ok(self.unsent.is_empty())
    }

    /// Seals and sends the first of these bytes. They count as taken once they are sealed, whether the socket took them
    /// or not.
    pub(crate) fn write(&mut self, socket: &mut impl Write, plain: &[u8]) -> io::Result<usize> {
        if !self.flush(socket)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut taken = 0;
            while taken < plain.len() && self.unsent.is_empty() {
                let piece = &plain[taken..plain.len().min(taken + PLAIN_MAX)];
                scratch.out.clear();
                self.session.seal(piece, &mut scratch.out)?;
                self.pass_on(socket, &scratch.out)?;
                taken += piece.len();
            }
            Ok(taken)
        })
    }

    /// As [`Tunnel::write`], of bytes in several pieces, which go together in as few records as there may be.
    pub(crate) fn write_pieces<'a>(
        &mut self,
        socket: &mut impl Write,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        let mut gathered = SCRATCH.with_borrow_mut(|scratch| std::mem::take(&mut scratch.gathered));
        gathered.clear();
        let mut taken = 0;
        let mut outcome = Ok(());
        for piece in pieces {
            let mut piece = piece;
            while !piece.is_empty() && outcome.is_ok() {
                let (front, rest) = piece.split_at(piece.len().min(PLAIN_MAX - gathered.len()));
                gathered.extend_from_slice(front);
                piece = rest;
                if gathered.len() == PLAIN_MAX {
                    outcome = self.write(socket, &gathered).map(|sealed| taken += sealed);
                    gathered.clear();
                }
            }
        }
        if outcome.is_ok() && !gathered.is_empty() {
            outcome = self.write(socket, &gathered).map(|sealed| taken += sealed);
        }
        SCRATCH.with_borrow_mut(|scratch| scratch.gathered = gathered);
        match outcome {
            Err(error) if taken == 0 || error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Reads once from the socket, and hands on what was in that: it may be nothing, also where something was read.
    /// `false` at the clean end of what the peer sends; what ends otherwise was cut off, which is an error.
    pub(crate) fn read(
        &mut self,
        socket: &mut (impl Read + Write),
        most: usize,
        plain: &mut impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        if self.session.has_ended() {
            return Ok(false);
        }
        SCRATCH.with_borrow_mut(|Scratch { incoming, out, .. }| {
            let kept = self.session.put_kept(incoming);
            let room = incoming.len().min(kept + most.max(1));
            let read = socket.read(&mut incoming[kept..room])?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.take_in(socket, &mut incoming[..kept + read], out, plain)
        })?;
        Ok(!self.session.has_ended())
    }

    /// Reads on until there is something: not every record holds any of it. It reads pieces of `most` bytes, and as a record is
    /// opened whole, what is in one may be more: `into` has room for a record besides, else it reads byte by byte.
    pub(crate) fn read_into(
        &mut self,
        socket: &mut (impl Read + Write),
        into: &mut [u8],
        most: usize,
    ) -> io::Result<usize> {
        let mut length = 0;
        // What comes out of a record is less than what went in, but for a rest that was kept of the one before.
        let most = most.min(into.len().saturating_sub(RECORD_MAX));
        while length == 0 {
            let mut take = |plain: &[u8]| {
                into[length..length + plain.len()].copy_from_slice(plain);
                length += plain.len();
            };
            match self.read(socket, most, &mut take) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }

    /// Takes in what was read from the socket before.
    pub(crate) fn take_in_read(
        &mut self,
        socket: &mut impl Write,
        read: &[u8],
        plain: &mut impl FnMut(&[u8]),
    ) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|Scratch { incoming, out, .. }| {
            let kept = self.session.put_kept(incoming);
            let arrived = &mut incoming[..kept + read.len()];
            arrived[kept..].copy_from_slice(read);
            self.take_in(socket, arrived, out, plain)
        })
    }

    fn take_in(
        &mut self,
        socket: &mut impl Write,
        arrived: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut impl FnMut(&[u8]),
    ) -> io::Result<()> {
        out.clear();
        let outcome = self.session.take_in(arrived, out, plain);
        // Why the session ends says more than that nobody is there to hear it.
        let passed = self.pass_on(socket, out);
        outcome.and(passed)
    }

    /// Says that nothing more is sent, as far as the socket takes that now.
    pub(crate) fn end(&mut self, socket: &mut impl Write) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.out.clear();
            self.session.end(&mut scratch.out)?;
            self.pass_on(socket, &scratch.out)
        })
    }

    /// Sends sealed bytes behind those that wait, and keeps what the socket does not take.
    fn pass_on(&mut self, socket: &mut impl Write, sealed: &[u8]) -> io::Result<()> {
        let sent = if self.unsent.is_empty() && !sealed.is_empty() { send(socket, sealed)? } else { 0 };
        self.unsent.extend_from_slice(&sealed[sent..]);
        Ok(())
    }
}

/// Sends what the socket takes now, which may be nothing.
fn send(socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match socket.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(sent) => return Ok(sent),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        }
    }
}
