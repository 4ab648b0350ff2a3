//! An answer that is held open: one stream of a connection, as a shard writes and reads it.

use super::outlet::{Outlet, Outlets, Wait};
use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::sync::Notify;

/// Where streams tell a shard that something has become of them: they can be written again, something was said on them, or
/// they were reset. The connection that a stream is on may be another shard's.
#[derive(Debug)]
pub(crate) struct Signals {
    told: Mutex<Vec<u32>>,
    bell: Arc<Notify>,
}

impl Signals {
    pub(crate) fn new(bell: Arc<Notify>) -> Arc<Signals> {
        Arc::new(Signals { told: Mutex::default(), bell })
    }

    /// Takes what was told, by the tokens that the streams were given. One whose stream has gone may be among them.
    pub(crate) fn take(&self) -> Vec<u32> {
        mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, token: u32) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_empty() {
            self.bell.notify_one();
        }
        told.push(token);
    }
}

/// What a stream wakes.
struct Signal {
    signals: Arc<Signals>,
    token: u32,
    /// Whether the shard is busy with the stream itself, and will look what became of it.
    quiet: AtomicBool,
}

impl Signal {
    fn new(signals: &Arc<Signals>, token: u32) -> Arc<Signal> {
        Arc::new(Signal { signals: signals.clone(), token, quiet: AtomicBool::new(false) })
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Signal>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Signal>) {
        if !self.quiet.load(Ordering::Acquire) {
            self.signals.tell(self.token);
        }
    }
}

/// A stream whose answer is held open.
///
/// It takes no more bytes than the client and the connection have room for, so that what is due to a client that does not
/// read waits in the log and not here.
pub(crate) struct HeldStream {
    send: SendStream<Bytes>,
    outlet: Arc<Outlet>,
    hears: Option<Box<Hears>>,
    told: Option<(Arc<Signal>, Waker)>,
    /// For the connection to have taken what it was given.
    wait: Option<Wait>,
    /// What it waits for is to break off.
    parts: bool,
    /// Whether all was said that was to be, so that the stream ends; else it breaks off.
    pub(crate) complete: bool,
}

/// What the client says on a stream.
struct Hears {
    stream: RecvStream,
    /// What of it was not read yet.
    rest: Bytes,
    /// Apart from the writing side's, which is hushed at times: the connection may be another thread's, and what it brings
    /// meanwhile nobody would look at.
    waker: Option<Waker>,
}

impl HeldStream {
    pub(super) fn new(send: SendStream<Bytes>, outlet: Arc<Outlet>, hears: Option<RecvStream>) -> HeldStream {
        let hears = hears.map(|stream| Box::new(Hears { stream, rest: Bytes::new(), waker: None }));
        HeldStream { send, outlet, hears, told: None, wait: None, parts: false, complete: false }
    }

    /// Which of these connections it is on, if on any.
    pub(crate) fn link(&self, outlets: &Arc<Outlets>) -> Option<u32> {
        self.outlet.number_among(outlets)
    }

    /// From here on tells what becomes of it, under this token.
    pub(crate) fn attach(&mut self, signals: &Arc<Signals>, token: u32) {
        if let Some(hears) = &mut self.hears {
            hears.waker = Some(Waker::from(Signal::new(signals, token)));
        }
        let signal = Signal::new(signals, token);
        // What was said, or became of it, before anyone asked to be told.
        signals.tell(token);
        self.told = Some((signal.clone(), Waker::from(signal)));
    }

    /// Writes as much as there is room for, and says how much that was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room: it is told when there is. Any other if the stream is no more.
    pub(crate) fn write(&mut self, bytes: &Bytes) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.waits() || (self.outlet.is_full() && self.wait()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        loop {
            let left = bytes.len() - taken;
            // Room that is there at once would be told as well, each time.
            self.hush(true);
            self.send.reserve_capacity(left);
            let room = self.send.capacity().min(left);
            let sent = match room {
                0 => Ok(()),
                room => self.send.send_data(bytes.slice(taken..taken + room), false).map_err(reset),
            };
            self.hush(false);
            sent?;
            self.look()?;
            taken += room;
            // Room that another thread's connection made while nothing was to be told: it is not told again.
            if taken < bytes.len() && self.send.capacity() > 0 {
                continue;
            }
            return if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) };
        }
    }

    /// Whether it takes what is to be written, or something else is to come first. One that was reset says so.
    pub(crate) fn is_ready(&mut self) -> io::Result<bool> {
        self.look()?;
        Ok(!self.waits())
    }

    /// Breaks off, once all that was said is on its way: a reset takes back what is not. `false` until then, which is told.
    pub(crate) fn break_off(&mut self) -> io::Result<bool> {
        self.look()?;
        if self.waits() || (!std::mem::replace(&mut self.parts, true) && self.wait()) {
            return Ok(false);
        }
        self.send.send_reset(Reason::INTERNAL_ERROR);
        Ok(true)
    }

    /// Waits until all that was said is on its way.
    fn wait(&mut self) -> bool {
        self.wait = self.told.as_ref().map(|(_, waker)| self.outlet.wait(waker));
        self.wait.is_some()
    }

    /// Whether it waits for the connection.
    fn waits(&mut self) -> bool {
        self.wait = self.wait.filter(|wait| !self.outlet.is_over(*wait));
        self.wait.is_some()
    }

    /// Reads what the client has said. A stream that only speaks tells in this way that it was reset.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing: it is told when there is. Any other if the stream is no more.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.look()?;
        let Some(hears) = &mut self.hears else { return Err(ErrorKind::WouldBlock.into()) };
        let Hears { stream, rest, waker: Some(waker) } = &mut **hears else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let mut read = 0;
        // A client may send a frame for every few bytes, so as many are taken as there is room for.
        while read < out.len() {
            if rest.is_empty() {
                match stream.poll_data(&mut Context::from_waker(waker)) {
                    Poll::Pending if read == 0 => return Err(ErrorKind::WouldBlock.into()),
                    // What follows is for the next read to say.
                    Poll::Pending | Poll::Ready(None) => break,
                    Poll::Ready(Some(Err(_))) if read > 0 => break,
                    Poll::Ready(Some(Err(error))) => return Err(reset(error)),
                    Poll::Ready(Some(Ok(data))) => {
                        // Room for as much again; a stream that is no more says so at the next read.
                        let _ = stream.flow_control().release_capacity(data.len());
                        *rest = data;
                    }
                }
            }
            let length = rest.len().min(out.len() - read);
            out[read..read + length].copy_from_slice(&rest[..length]);
            rest.advance(length);
            read += length;
        }
        Ok(read)
    }

    /// Whether the client may say something on it.
    pub(crate) fn hears(&self) -> bool {
        self.hears.is_some()
    }

    /// Says that nothing more is said.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.send.send_data(Bytes::new(), true).map_err(reset)
    }

    /// Asks to be told of a reset, and of room where there was none.
    fn look(&mut self) -> io::Result<()> {
        let Some((_, waker)) = &self.told else { return Ok(()) };
        match self.send.poll_reset(&mut Context::from_waker(waker)) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(reason)) => Err(io::Error::new(ErrorKind::ConnectionReset, h2::Error::from(reason))),
            Poll::Ready(Err(error)) => Err(reset(error)),
        }
    }

    fn hush(&self, quiet: bool) {
        if let Some((signal, _)) = &self.told {
            signal.quiet.store(quiet, Ordering::Release);
        }
    }
}

impl Drop for HeldStream {
    fn drop(&mut self) {
        if self.complete {
            // One that is no more has ended in another way.
            let _ = self.finish();
        } else if self.hears.is_none() {
            // The crate would say CANCEL, of which some clients make no more than an end. For a WebSocket it is the right
            // word (RFC 8441 section 5).
            self.send.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

fn reset(error: h2::Error) -> io::Error {
    io::Error::new(ErrorKind::ConnectionReset, error)
}
