//! One HTTP/1.1 connection: requests are read one after the other, answered in order, and the socket can be taken away
//! between a head and its answer.

use super::body::{BodyDecoder, Decoded};
use super::head;
use super::response::{self, Extent};
use crate::alarm::Alarm;
use crate::listen::body::is_bare;
use crate::listen::http2::{PREFACE, Promise};
use crate::listen::pacing::Pacing;
use crate::listen::{Body, BodyError, BodySource, Framing, Head, Pace, Peer, Pieces, Settings};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Response, StatusCode, Version};
use std::future::poll_fn;
use std::io;
use std::mem::{self, MaybeUninit};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout};

/// Most of an unread body that is read and dropped to keep the connection, in bytes.
const SKIP_MAX: u64 = 64 << 10;
/// Most that is read and dropped before a connection is closed on a peer that still sends, in bytes.
const LINGER_BYTES: usize = 16 << 20;
/// How long it is read and dropped.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// Bytes read at once, into the stack: a connection that waits owns no buffer.
const SCRATCH: usize = 16 << 10;
/// Bytes read at once of a body that is known to be long.
const BULK: usize = 64 << 10;
/// Answers up to this many bytes are copied behind their head, so that both leave in one piece.
const TOGETHER: usize = 16 << 10;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What comes next on a connection.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once, and a box would cost every request")]
pub enum Next {
    Request(Head),
    /// The peer has closed, or nothing more can be read: drop the connection.
    Closed,
    /// No request came in time: drop the connection.
    Idle,
    /// The peer begins to speak HTTP/2: [`Connection::into_parts`] gives all that it said.
    Http2,
    /// What came is no request. Answer it; the connection closes behind the answer.
    Refused(Problem),
}

/// A connection, between requests or within one.
#[derive(Debug)]
pub struct Connection<S> {
    io: S,
    settings: Arc<Settings>,
    /// What was read and not yet used. Not allocated while the connection waits for a request.
    buf: BytesMut,
    /// How much of `buf` the head parser has seen in vain.
    seen: usize,
    /// When the present wait ends: kept here so that dropping a future does not start it anew.
    deadline: Option<(Instant, Wait)>,
    alarm: Alarm,
    stage: Stage,
    /// Whether nothing was asked yet.
    is_first: bool,
    /// The body of the present request.
    body: BodyDecoder,
    /// How long the present event or body may yet take.
    pacing: Pacing,
    /// What is still to be written of `100 Continue`.
    due: &'static [u8],
    /// Whether the peer asked with HEAD.
    headless: bool,
    /// HTTP/1.0 must be told that a connection is kept.
    old: bool,
    /// Whether the connection ends with the present answer.
    close: bool,
    /// Whether what came was no request, so that nobody can tell where it ends.
    refused: bool,
    /// Bytes of the last answer's head, and of its body.
    answered: (usize, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wait {
    Idle,
    Head,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The next head is to be read.
    Ready,
    /// A request was given out, or a refusal is due: an answer is to be written.
    Asked,
    /// Nothing more goes either way.
    Finished,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(io: S, settings: Arc<Settings>) -> Connection<S> {
        Connection::with_leftover(io, settings, BytesMut::new())
    }

    /// A connection from which `leftover` was read already.
    pub fn with_leftover(io: S, settings: Arc<Settings>, leftover: BytesMut) -> Connection<S> {
        Connection {
            io,
            settings,
            buf: leftover,
            seen: 0,
            deadline: None,
            alarm: Alarm::default(),
            stage: Stage::Ready,
            is_first: true,
            body: BodyDecoder::new(Framing::None),
            pacing: Pacing::default(),
            due: &[],
            headless: false,
            old: false,
            close: false,
            refused: false,
            answered: (0, 0),
        }
    }

    /// Waits for a request and reads its head. Each is to be answered with [`Connection::respond`] before the next is
    /// asked for. Dropping the future loses nothing.
    pub async fn next_request(&mut self) -> Next {
        if self.stage != Stage::Ready {
            return Next::Closed;
        }
        loop {
            // RFC 9112 section 2.2: an empty line before a request is ignored.
            while self.buf.starts_with(b"\r\n") {
                self.buf.advance(2);
                self.seen = 0;
            }
            if self.is_first && self.buf.starts_with(PREFACE) {
                return Next::Http2;
            }
            match self.parse() {
                Ok(Some(head)) => return Next::Request(head),
                Ok(None) => {}
                Err(problem) => return self.refuse(problem),
            }
            let (deadline, wait) = self.deadline();
            match self.fill_by(deadline).await {
                Some(Ok(read)) if read > 0 => {}
                Some(_) => break,
                None if wait == Wait::Head => return self.refuse(Code::RequestTimeout.into()),
                None => {
                    self.stage = Stage::Finished;
                    return Next::Idle;
                }
            }
        }
        self.stage = Stage::Finished;
        Next::Closed
    }

    /// Looks for a head in what was read. A head that arrives byte by byte is not parsed at every byte: only at the
    /// first, at the end of a line, and where it gets too long.
    fn parse(&mut self) -> Result<Option<Head>, Problem> {
        let max = self.settings.head_bytes;
        let news = self.buf.get(self.seen..).unwrap_or_default();
        if self.is_first && PREFACE.starts_with(&self.buf) {
            // It may yet be HTTP/2.
            return Ok(None);
        }
        if news.is_empty() || !(self.seen == 0 || self.buf.len() >= max || news.contains(&b'\n')) {
            return Ok(None);
        }
        let Some((head, length)) = head::parse(&self.buf, max)? else {
            self.seen = self.buf.len();
            return Ok(None);
        };
        self.buf.advance(length);
        self.seen = 0;
        self.deadline = None;
        self.stage = Stage::Asked;
        self.is_first = false;
        self.body = BodyDecoder::new(head.framing);
        self.pacing.begin_anew();
        self.due = if head.expect_continue && !self.body.is_done() { CONTINUE } else { &[] };
        self.headless = head.method == Method::HEAD;
        self.old = head.version == Version::HTTP_10;
        self.close = !head.keep_alive;
        Ok(Some(head))
    }

    /// When the wait for the next byte ends. The time for a head runs from its first byte, whatever follows.
    fn deadline(&mut self) -> (Instant, Wait) {
        let (wait, time) = match self.buf.is_empty() {
            true => (Wait::Idle, self.settings.idle),
            false => (Wait::Head, self.settings.head),
        };
        if self.buf.is_empty() {
            // An idle connection owns no buffer.
            self.buf = BytesMut::new();
            self.seen = 0;
        }
        match self.deadline {
            Some((deadline, same)) if same == wait => (deadline, wait),
            _ => *self.deadline.insert((Instant::now() + time, wait)),
        }
    }

    fn refuse(&mut self, problem: Problem) -> Next {
        self.stage = Stage::Asked;
        self.refused = true;
        self.close = true;
        Next::Refused(problem)
    }

    /// The next piece of the present request's body (never empty), or `None` at its end. The first call sends
    /// `100 Continue` to a peer that waits for it. Dropping the future loses nothing.
    pub async fn body_piece(&mut self, pace: Pace) -> Result<Option<Bytes>, BodyError> {
        loop {
            self.forgo_continue();
            match self.body.decode(&self.buf) {
                Ok(Decoded::Done { skip }) => {
                    self.buf.advance(skip);
                    return Ok(None);
                }
                Ok(Decoded::Data { skip, len }) => {
                    self.buf.advance(skip);
                    return Ok(Some(self.take_front(len)));
                }
                Ok(Decoded::More) => {}
                Err(problem) => {
                    self.close = true;
                    return Err(BodyError::Malformed(problem));
                }
            }
            self.send_due().await?;
            let read = match pace {
                Pace::Steady => {
                    let deadline = Instant::now() + self.pacing.left(self.settings.body);
                    match self.fill_by(deadline).await {
                        Some(read) => read,
                        None => {
                            self.close = true;
                            return Err(BodyError::Slow);
                        }
                    }
                }
                Pace::Unhurried => {
                    if self.buf.is_empty() {
                        // This may take long, so it keeps no buffer.
                        self.buf = BytesMut::new();
                    }
                    self.pacing.begin_anew();
                    self.fill().await
                }
            };
            if let Ok(read) = read {
                self.pacing.moved(read);
            }
            if !matches!(read, Ok(1..)) {
                self.close = true;
                return Err(read.map_or_else(BodyError::Io, |_| BodyError::CutOff));
            }
        }
    }

    /// Takes bytes off the buffer; the buffer with them if these are all, as the body of a small request is.
    fn take_front(&mut self, len: usize) -> Bytes {
        let front = if len == self.buf.len() { mem::take(&mut self.buf) } else { self.buf.split_to(len) };
        front.freeze()
    }

    /// Whoever sends the body does not wait for leave to (RFC 9110 section 10.1.1 lets us give none then).
    fn forgo_continue(&mut self) {
        if self.due.len() == CONTINUE.len() && !self.buf.is_empty() {
            self.due = &[];
        }
    }

    async fn send_due(&mut self) -> io::Result<()> {
        while !self.due.is_empty() {
            let written = self.write_some(self.due, self.settings.body).await?;
            self.due = &self.due[written..];
        }
        Ok(())
    }

    /// Reads once. Dropping the future loses nothing.
    async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Reads once, or not at all by the deadline: then `None`. Dropping the future loses nothing.
    async fn fill_by(&mut self, deadline: Instant) -> Option<io::Result<usize>> {
        poll_fn(|cx| match self.poll_fill(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => self.alarm.poll_at(deadline, cx).map(|()| None),
        })
        .await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let expected = self.body.expected();
        if self.stage == Stage::Asked && expected >= SCRATCH as u64 {
            let room = usize::try_from(expected).map_or(BULK, |expected| expected.min(BULK));
            self.buf.reserve(room);
            let read = pin!(self.io.read_buf(&mut self.buf)).poll(cx);
            if read.is_pending() && self.buf.is_empty() {
                // Whoever says that much is to come may keep us waiting for it.
                self.buf = BytesMut::new();
            }
            return read;
        }
        let mut scratch = [const { MaybeUninit::<u8>::uninit() }; SCRATCH];
        let mut read = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        self.buf.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Waits, while an answer is being made, until the peer closes or resets. What it sends meanwhile is kept, up to the
    /// longest head; beyond that, this waits for ever. Dropping the future loses nothing.
    pub async fn gone(&mut self) {
        while self.buf.len() <= self.settings.head_bytes {
            if !matches!(self.fill().await, Ok(1..)) {
                self.close = true;
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Answers the present request or refusal, and tells whether the connection goes on. `Content-Length`, `Date` and
    /// `Connection` are added; a response that says `Connection: close` closes. What is left of the request's body is
    /// read and dropped if it is little, and else the connection closes, in such a way that the answer arrives. A body
    /// that fails before its end is an error, and the connection is to be dropped: so the peer sees that it lacks something.
    pub async fn respond(&mut self, response: Response<impl Into<Body>>) -> io::Result<bool> {
        if self.stage != Stage::Asked {
            return Ok(false);
        }
        let (parts, body) = response.into_parts();
        let body = body.into();
        let close = response::says_close(&parts) || self.must_close().await?;
        let extent = match is_bare(parts.status) {
            true => Extent::Unsaid,
            false => Extent::Length(body.length()),
        };
        let connection = match (close, self.old) {
            (true, _) => Some("close"),
            (false, true) => Some("keep-alive"),
            (false, false) => None,
        };
        let mut head = Vec::new();
        response::write_head(&parts, extent, connection, &mut head);
        let body = if self.headless || extent == Extent::Unsaid { Bytes::new().into() } else { body };
        self.answered = (head.len(), usize::try_from(body.length()).unwrap_or(usize::MAX));
        self.write_answer(head, body).await?;
        if close || !self.skip_body().await {
            self.finish().await;
            return Ok(false);
        }
        self.stage = Stage::Ready;
        Ok(true)
    }

    async fn write_answer(&mut self, mut head: Vec<u8>, body: Body) -> io::Result<()> {
        match body {
            Body::Whole(body) if body.len() <= TOGETHER => {
                head.extend_from_slice(&body);
                self.write(&mut &head[..]).await
            }
            Body::Whole(body) => self.write(&mut Bytes::from(head).chain(body)).await,
            Body::Pieces(mut pieces) => {
                self.write(&mut &head[..]).await?;
                while let Some(mut piece) = self.next_of(&mut pieces).await? {
                    self.write(&mut piece).await?;
                }
                Ok(())
            }
        }
    }

    /// The next piece of an answer. What yields none for too long is given up on, as a peer would be.
    async fn next_of(&mut self, pieces: &mut Pieces) -> io::Result<Option<Bytes>> {
        match self.alarm.within(self.settings.body, |cx| pieces.poll_piece(cx)).await {
            Some(piece) => piece.transpose(),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Bytes of the last answer's head, and of its body.
    pub fn answered(&self) -> (usize, usize) {
        self.answered
    }

    /// Whether the connection cannot go on after this request.
    async fn must_close(&mut self) -> io::Result<bool> {
        self.forgo_continue();
        if self.due.len() == CONTINUE.len() {
            // The peer may send the body or not; nobody can tell where the next request would begin.
            return Ok(true);
        }
        self.send_due().await?;
        // What has arrived costs nothing to skip, and may well be all.
        while !self.close && !self.body.is_done() {
            match self.body.decode(&self.buf) {
                Ok(Decoded::Data { skip, len }) => self.buf.advance(skip + len),
                Ok(Decoded::Done { skip }) => self.buf.advance(skip),
                Ok(Decoded::More) if self.body.is_sized() && self.body.expected() <= SKIP_MAX => break,
                Ok(Decoded::More) | Err(_) => self.close = true,
            }
        }
        Ok(self.close)
    }

    /// Reads the body to its end; false if it has none that is clean.
    async fn skip_body(&mut self) -> bool {
        while !self.body.is_done() {
            if self.body_piece(Pace::Steady).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Closes so that the answer arrives: a socket closed with unread bytes in it is reset, and a reset can overtake
    /// the answer (RFC 9112 section 9.6).
    async fn finish(&mut self) {
        let sends = self.refused || !self.body.is_done() || !self.buf.is_empty();
        self.stage = Stage::Finished;
        self.buf = BytesMut::new();
        if !sends {
            let _ = timeout(LINGER_TIME, self.io.shutdown()).await;
            return;
        }
        let farewell = async {
            self.io.shutdown().await?;
            let mut left = LINGER_BYTES;
            loop {
                let read = self.fill().await?;
                self.buf.clear();
                left = left.saturating_sub(read);
                if read == 0 || left == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        // The peer has the answer or is gone: either way there is nothing more to do for it.
        let _ = timeout(LINGER_TIME, farewell).await;
    }

    /// Writes bytes as they are, such as the head of an answer that is held open.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.send_due().await?;
        self.write(&mut bytes).await
    }

    /// Writes it all, with a limit on the time without progress, and on that with little.
    async fn write(&mut self, bytes: &mut impl Buf) -> io::Result<()> {
        let (mut pacing, mut limit) = (Pacing::default(), self.settings.body);
        while bytes.has_remaining() {
            let written = self.write_some(bytes.chunk(), limit).await?;
            bytes.advance(written);
            pacing.moved(written);
            if bytes.has_remaining() {
                // Most are taken at once, and need no clock.
                limit = pacing.left(self.settings.body);
            }
        }
        let flush = self.alarm.within(self.settings.body, |cx| Pin::new(&mut self.io).poll_flush(cx));
        flush.await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes once, something. Where the socket takes nothing for too long, that is an error.
    async fn write_some(&mut self, bytes: &[u8], limit: Duration) -> io::Result<usize> {
        let write = self.alarm.within(limit, |cx| Pin::new(&mut self.io).poll_write(cx, bytes));
        match write.await {
            Some(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
            Some(written) => written,
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Whether the body of the present request was read to its end.
    pub fn body_is_done(&self) -> bool {
        self.body.is_done()
    }

    /// Gives the socket away, with what was read from it and not used. Where a head was read and nothing written, this
    /// is what follows the head.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.io, self.buf.freeze())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> BodySource for Connection<S> {
    async fn piece(&mut self, pace: Pace) -> Result<Option<Bytes>, BodyError> {
        self.body_piece(pace).await
    }

    fn begin_anew(&mut self) {
        self.pacing.begin_anew();
    }

    async fn gone(&mut self) {
        Connection::gone(self).await;
    }

    fn expected(&self) -> u64 {
        self.body.expected()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer for Connection<S> {
    /// HTTP/1.0 has no way to hear it (RFC 9110 section 15.2).
    async fn inform(&mut self, status: StatusCode, fields: &HeaderMap) -> io::Result<()> {
        if self.stage != Stage::Asked || self.old {
            return Ok(());
        }
        let mut head = Vec::new();
        response::write_interim(status, fields, &mut head);
        self.write_all(&head).await
    }

    fn promise(&mut self, _: &str, _: HeaderMap) -> Option<Promise> {
        None
    }
}

#[cfg(test)]
mod tests;
