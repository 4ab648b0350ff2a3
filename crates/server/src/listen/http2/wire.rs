//! The socket under a connection's frames.
//!
//! What is written is gathered, and sent when the connection says so, once for all streams that have said something. What is
//! read is handed on as the [intake](super::intake) allows.

use super::intake::Intake;
use crate::limits::transit::Load;
use bytes::{Buf, Bytes};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;

/// What is gathered before the socket is asked to take it: a hundred events of a KiB.
const GATHERED: usize = 128 << 10;

/// Buffers that a thread keeps for its connections, none of which has one while nothing is on its way.
const BUFFERS_KEPT: usize = 8;
/// Room that a buffer that is kept has at most.
const BUFFER_MAX: usize = 2 * GATHERED;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What a wire is counted by.
pub(crate) struct Meters {
    /// What has been gathered and the socket has refused, among what is on its way.
    pub(crate) load: Load,
    /// Writes to sockets.
    pub(crate) writes: Arc<AtomicU64>,
}

/// A socket, with what was read and not handed on and what was gathered and not sent.
pub(super) struct Wire<S> {
    io: S,
    arrived: Bytes,
    intake: Intake,
    gathered: Vec<u8>,
    meters: Meters,
    /// Something of it counts as on its way.
    weighs: bool,
    /// Whom the socket wakes.
    task: Waker,
    /// Frames are taken in.
    pub(super) reads: bool,
    /// The socket was asked for more, and will wake the task when there is.
    pub(super) listens: bool,
    /// A frame found no room.
    pub(super) full: bool,
    /// Requests wait until there is room for answers.
    holds: bool,
    failed: Option<ErrorKind>,
    /// Bytes that the socket has taken.
    pub(super) sent: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// `arrived` was read from it before.
    pub(super) fn new(io: S, arrived: Bytes, meters: Meters, task: &Waker) -> Wire<S> {
        Wire {
            io,
            arrived,
            intake: Intake::new(),
            gathered: Vec::new(),
            meters,
            weighs: false,
            task: task.clone(),
            reads: true,
            listens: false,
            full: false,
            holds: false,
            failed: None,
            sent: 0,
        }
    }

    /// Has this task woken by the socket from now on.
    pub(super) fn follow(&mut self, task: &Waker) {
        if !self.task.will_wake(task) {
            self.task.clone_from(task);
        }
    }

    /// Has the task look.
    pub(super) fn wake(&self) {
        self.task.wake_by_ref();
    }

    /// The requests that were handed on have been looked at. More of a client that takes no answers would only pile up.
    pub(super) fn begin_anew(&mut self) {
        if self.gathered.len() < GATHERED {
            self.intake.begin_anew();
        }
    }

    /// Sends what was gathered, as far as the socket takes it. `true` if that was all.
    pub(super) fn send(&mut self) -> bool {
        let mut sent = 0;
        while sent < self.gathered.len() && self.failed.is_none() {
            let Wire { io, gathered, task, .. } = self;
            // A shard writes to many sockets in its turn, and is not to be told off for it.
            let write = unconstrained(poll_fn(|cx| Pin::new(&mut *io).poll_write(cx, &gathered[sent..])));
            let written = pin!(write).poll(&mut Context::from_waker(task));
            match written {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.fail(ErrorKind::WriteZero),
                Poll::Ready(Ok(written)) => {
                    sent += written;
                    self.meters.writes.fetch_add(1, Ordering::Relaxed);
                }
                Poll::Ready(Err(error)) => self.fail(error.kind()),
            }
        }
        self.sent += sent as u64;
        self.keep_from(sent);
        if self.failed.is_some() {
            self.gathered = Vec::new();
        }
        if self.gathered.is_empty() && self.failed.is_none() {
            self.flush();
        }
        if self.holds && self.gathered.len() < GATHERED {
            self.holds = false;
            self.task.wake_by_ref();
        }
        self.gathered.is_empty()
    }

    /// A record of TLS counts as taken while some of it still waits for the socket, which is to wake the task for that too.
    fn flush(&mut self) {
        let Wire { io, task, .. } = self;
        let flush = unconstrained(poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)));
        if let Poll::Ready(Err(error)) = pin!(flush).poll(&mut Context::from_waker(task)) {
            self.fail(error.kind());
        }
    }

    /// Keeps what was not sent, in no more room than it needs: a client that does not read may be one of many.
    fn keep_from(&mut self, sent: usize) {
        if sent > 0 || self.gathered.capacity() > 2 * self.gathered.len() {
            let rest = self.gathered[sent..].to_vec();
            give_back(std::mem::replace(&mut self.gathered, rest));
        }
        let room = self.gathered.capacity();
        if (room > 0 || self.weighs) && self.meters.load.resize(room).is_err() {
            self.fail(ErrorKind::OutOfMemory);
        }
        self.weighs = room > 0;
    }

    /// The connection is over, which its task is to find.
    fn fail(&mut self, kind: ErrorKind) {
        self.failed.get_or_insert(kind);
        self.task.wake_by_ref();
    }

    fn check(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Makes room for more where there is none. `false` if there still is none.
    fn has_room(&mut self) -> bool {
        let has = self.gathered.len() < GATHERED || self.send() || self.gathered.len() < GATHERED;
        self.full |= !has;
        has
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.gathered.capacity() == 0 {
            self.gathered = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        self.gathered.extend_from_slice(bytes);
    }

    /// Hands on what has arrived, as much as is to be taken in now.
    fn hand_on(&mut self, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let most = self.arrived.len().min(out.remaining());
        let taken = self.intake.take(&self.arrived[..most]);
        out.put_slice(&self.arrived[..taken]);
        self.arrived.advance(taken);
        if self.arrived.is_empty() {
            self.arrived = Bytes::new();
        }
        self.after(taken)
    }

    fn read(&mut self, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        self.listens = true;
        ready!(Pin::new(&mut self.io).poll_read(&mut Context::from_waker(&self.task), out))?;
        self.listens = false;
        let came = out.filled().len() - before;
        if came == 0 {
            return Poll::Ready(Ok(()));
        }
        let taken = self.intake.take(&out.filled()[before..]);
        if taken < came {
            self.arrived = Bytes::copy_from_slice(&out.filled()[before + taken..]);
            out.set_filled(before + taken);
        }
        self.after(taken)
    }

    /// Frames are taken in another time: by the task, which the socket may have no reason to wake.
    fn leave_unread(&self) -> Poll<io::Result<()>> {
        if !self.listens {
            self.task.wake_by_ref();
        }
        Poll::Pending
    }

    /// Where nothing more is to be taken in for now, the task is woken to go on: at once, or when there is room for answers.
    fn after(&mut self, taken: usize) -> Poll<io::Result<()>> {
        if taken > 0 {
            return Poll::Ready(Ok(()));
        }
        self.holds = self.gathered.len() >= GATHERED;
        if !self.holds {
            self.task.wake_by_ref();
        }
        Poll::Pending
    }
}

fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > BUFFER_MAX {
        return;
    }
    buffer.clear();
    BUFFERS.with_borrow_mut(|kept| {
        if kept.len() < BUFFERS_KEPT {
            kept.push(buffer);
        }
    });
}

/// A wire as the `h2` crate holds it: what is written is gathered, and what is flushed is not sent yet.
pub(super) struct End<S>(pub(super) Rc<RefCell<Wire<S>>>);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for End<S> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        wire.check()?;
        match (wire.reads, wire.arrived.is_empty()) {
            (false, _) => wire.leave_unread(),
            (true, true) if wire.intake.is_full() => wire.after(0),
            (true, true) => wire.read(out),
            (true, false) => wire.hand_on(out),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for End<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        wire.check()?;
        let has_room = wire.has_room();
        wire.check()?;
        if !has_room {
            return Poll::Pending;
        }
        parts.iter().for_each(|part| wire.gather(part));
        Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
    }

    /// What is gathered is copied once, here: what a frame carries need not be copied into the crate's buffer before.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.borrow().check())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.borrow_mut();
        let sent = wire.send();
        wire.check()?;
        match sent {
            true => Pin::new(&mut wire.io).poll_shutdown(&mut Context::from_waker(&wire.task)),
            false => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PREFACE;
    use super::*;
    use crate::limits::transit::{FREE, Transit};

    /// A socket that takes so much, and has nothing to say.
    #[derive(Default)]
    struct Tight {
        room: usize,
        taken: Vec<u8>,
        says: Bytes,
        /// How often it was asked to send on what it has taken.
        flushes: usize,
    }

    impl AsyncRead for Tight {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if self.says.is_empty() {
                return Poll::Pending;
            }
            let length = self.says.len().min(out.remaining());
            out.put_slice(&self.says.split_to(length));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Tight {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let length = self.room.min(bytes.len());
            self.room -= length;
            self.taken.extend_from_slice(&bytes[..length]);
            if length == 0 { Poll::Pending } else { Poll::Ready(Ok(length)) }
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Woken(AtomicU64);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wire(io: Tight, transit: &Arc<Transit>) -> (Rc<RefCell<Wire<Tight>>>, End<Tight>) {
        let meters = Meters { load: transit.load(), writes: Arc::default() };
        let wire = Rc::new(RefCell::new(Wire::new(io, Bytes::new(), meters, Waker::noop())));
        (wire.clone(), End(wire))
    }

    fn write(end: &mut End<Tight>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(end).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
    }

    #[test]
    fn what_is_written_and_flushed_is_sent_in_one_and_leaves_no_buffer() {
        let (wire, mut end) = wire(Tight { room: usize::MAX, ..Tight::default() }, &Transit::new(0));
        for piece in [&b"one "[..], b"two ", b"three"] {
            assert!(matches!(write(&mut end, piece), Poll::Ready(Ok(length)) if length == piece.len()));
            let flushed = Pin::new(&mut end).poll_flush(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(flushed, Poll::Ready(Ok(()))));
        }
        let mut wire = wire.borrow_mut();
        assert!(wire.io.taken.is_empty() && wire.send());
        assert_eq!((&wire.io.taken[..], wire.meters.writes.load(Ordering::Relaxed)), (&b"one two three"[..], 1));
        assert_eq!((wire.gathered.capacity(), wire.sent), (0, 13));
    }

    #[test]
    fn what_the_socket_refuses_is_bounded_and_counted_until_it_is_taken() {
        const PIECE: [u8; 10_000] = [7; 10_000];
        let transit = Transit::new(GATHERED);
        let (wire, mut end) = wire(Tight { room: 5_000, ..Tight::default() }, &transit);
        let taken = std::iter::from_fn(|| write(&mut end, &PIECE).is_ready().then_some(PIECE.len())).sum::<usize>();
        assert!((GATHERED..GATHERED + 2 * PIECE.len()).contains(&taken), "{taken}");
        let left = taken - 5_000;
        assert!(wire.borrow().full && !wire.borrow_mut().send());
        assert_eq!(wire.borrow().gathered.capacity(), left);
        // All but what is free.
        assert!(transit.load_of(FREE + GATHERED - (left - FREE) + 1).is_err());
        drop(transit.load_of(FREE + GATHERED - (left - FREE)).unwrap());
        wire.borrow_mut().io.room = usize::MAX;
        assert!(wire.borrow_mut().send());
        drop(transit.load_of(FREE + GATHERED).unwrap());
        assert_eq!(wire.borrow().io.taken.len(), taken);
    }

    #[test]
    fn a_client_that_takes_nothing_while_too_much_is_on_its_way_is_cut() {
        let transit = Transit::new(GATHERED);
        let other = transit.load_of(GATHERED).unwrap();
        let (wire, mut end) = wire(Tight::default(), &transit);
        while matches!(write(&mut end, &[7; 10_000]), Poll::Ready(Ok(_))) {}
        wire.borrow_mut().send();
        assert!(matches!(write(&mut end, b"more"), Poll::Ready(Err(_))));
        assert_eq!(wire.borrow().gathered.capacity(), 0);
        drop(other);
    }

    #[test]
    fn what_the_socket_has_taken_and_keeps_is_asked_after() {
        let (wire, mut end) = wire(Tight { room: usize::MAX, ..Tight::default() }, &Transit::new(0));
        assert!(write(&mut end, b"sealed, and not sent").is_ready());
        assert!(wire.borrow_mut().send() && wire.borrow_mut().send());
        assert_eq!(wire.borrow().io.flushes, 2);
    }

    #[test]
    fn no_more_requests_are_read_of_a_client_that_takes_no_answers_until_it_does() {
        let request = [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82];
        let said = [PREFACE, &request.repeat(10)].concat();
        let (wire, mut end) = wire(Tight { says: said.into(), ..Tight::default() }, &Transit::new(1 << 20));
        let woken = Arc::<Woken>::default();
        wire.borrow_mut().follow(&woken.clone().into());
        while write(&mut end, &[7; 10_000]).is_ready() {}
        let mut room = [0; 1000];
        let mut read = |end: &mut End<Tight>| {
            wire.borrow_mut().begin_anew();
            let mut out = ReadBuf::new(&mut room);
            let polled = Pin::new(end).poll_read(&mut Context::from_waker(Waker::noop()), &mut out);
            polled.is_ready().then_some(out.filled().len())
        };
        assert_eq!([read(&mut end), read(&mut end), read(&mut end)], [Some(PREFACE.len() + 40), None, None]);
        wire.borrow_mut().send();
        assert_eq!(woken.0.load(Ordering::Relaxed), 0, "it would look in vain");
        wire.borrow_mut().io.room = usize::MAX;
        wire.borrow_mut().send();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(read(&mut end), Some(40));
    }

    #[test]
    fn a_few_requests_are_read_at_a_time() {
        let request = [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82];
        let said = [PREFACE, &request.repeat(10)].concat();
        let (wire, mut end) = wire(Tight { says: said.into(), ..Tight::default() }, &Transit::new(0));
        let mut room = [0; 1000];
        let mut read = || {
            let mut out = ReadBuf::new(&mut room);
            let polled = Pin::new(&mut end).poll_read(&mut Context::from_waker(Waker::noop()), &mut out);
            polled.is_ready().then_some(out.filled().len())
        };
        for portion in [PREFACE.len() + 40, 40, 20] {
            assert_eq!(read(), Some(portion));
            assert_eq!(read(), None);
            wire.borrow_mut().begin_anew();
        }
    }
}
