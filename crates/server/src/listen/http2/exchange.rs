//! One request and its answer.

use super::head;
use super::stream::HeldStream;
use crate::alarm::Alarm;
use crate::listen::http1::{Framing, Head, Settings, response};
use crate::listen::{BodyError, BodySource, Pace, date};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::response::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use switchboard_wire::code::Problem;

/// What says something of a connection (RFC 9113 section 8.2.2), which HTTP/2 does by itself.
const OF_CONNECTIONS: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, UPGRADE];

/// The other end of a request.
pub(crate) struct Exchange {
    body: RecvStream,
    respond: SendResponse<Bytes>,
    settings: Arc<Settings>,
    alarm: Alarm,
    /// Bytes of the body that are to come, where the client has said how many.
    left: Option<u64>,
    /// The client waits to be told to go on before it sends the body.
    expects_continue: bool,
    headless: bool,
}

impl Exchange {
    pub(crate) fn new(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        settings: Arc<Settings>,
    ) -> (Result<Head, Problem>, Exchange) {
        let headless = request.method() == Method::HEAD;
        let (head, body) = head::read(request);
        let (left, expects_continue) = match &head {
            Ok(Head { framing: Framing::None, .. }) => (Some(0), false),
            Ok(Head { framing: Framing::Length(length), expect_continue, .. }) => (Some(*length), *expect_continue),
            Ok(Head { framing: Framing::Chunked, expect_continue, .. }) => (None, *expect_continue),
            Err(_) => (None, false),
        };
        let alarm = Alarm::default();
        (head, Exchange { body, respond, settings, alarm, left, expects_continue, headless })
    }

    /// Answers, and returns how many bytes the head's fields and the body have. A body that was not read is not waited for.
    pub(crate) async fn respond(&mut self, response: Response<Bytes>) -> io::Result<(usize, usize)> {
        let (mut parts, mut body) = response.into_parts();
        if !response::is_bare(parts.status) {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if self.headless || response::is_bare(parts.status) {
            body = Bytes::new();
        }
        let sizes = (dress(&mut parts), body.len());
        let ends = body.is_empty();
        let mut stream = self.respond.send_response(Response::from_parts(parts, ()), ends).map_err(broken)?;
        if !ends {
            self.write(&mut stream, body).await?;
        }
        Ok(sizes)
    }

    /// Writes a body and ends the stream, as far as the client takes it, with a limit on the time without progress.
    async fn write(&mut self, stream: &mut SendStream<Bytes>, mut body: Bytes) -> io::Result<()> {
        while !body.is_empty() {
            stream.reserve_capacity(body.len());
            let room = match stream.capacity() {
                0 => {
                    let room = self.alarm.within(self.settings.body, |cx| stream.poll_capacity(cx)).await;
                    match room {
                        Some(Some(room)) => room.map_err(broken)?,
                        Some(None) => return Err(io::ErrorKind::BrokenPipe.into()),
                        None => {
                            stream.send_reset(Reason::CANCEL);
                            return Err(io::ErrorKind::TimedOut.into());
                        }
                    }
                }
                room => room,
            };
            let piece = body.split_to(room.min(body.len()));
            stream.send_data(piece, body.is_empty()).map_err(broken)?;
        }
        Ok(())
    }

    /// Begins an answer that is held open.
    pub(crate) fn hold(mut self, mut parts: Parts, hears: bool) -> io::Result<HeldStream> {
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            // RFC 8441 section 5: there is nothing to switch.
            parts.status = StatusCode::OK;
        }
        dress(&mut parts);
        let stream = self.respond.send_response(Response::from_parts(parts, ()), false).map_err(broken)?;
        Ok(HeldStream::new(stream, hears.then_some(self.body)))
    }
}

impl BodySource for Exchange {
    async fn piece(&mut self, pace: Pace) -> Result<Option<Bytes>, BodyError> {
        if std::mem::take(&mut self.expects_continue) && !self.body.is_end_stream() {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::CONTINUE;
            // A client that has gone is found out by what comes next.
            let _ = self.respond.send_informational(response);
        }
        loop {
            let data = match pace {
                Pace::Steady => self.alarm.within(self.settings.body, |cx| self.body.poll_data(cx)).await,
                Pace::Unhurried => Some(poll_fn(|cx| self.body.poll_data(cx)).await),
            };
            let data = match data {
                None => return Err(BodyError::Slow),
                Some(None) if self.body.is_end_stream() => return Ok(None),
                Some(None) => return Err(BodyError::CutOff),
                Some(Some(Err(error))) if error.is_io() => return Err(BodyError::Io(broken(error))),
                Some(Some(Err(_))) => return Err(BodyError::CutOff),
                Some(Some(Ok(data))) => data,
            };
            // Room for as much again.
            let _ = self.body.flow_control().release_capacity(data.len());
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    async fn gone(&mut self) {
        // A reset or the end of the connection.
        let _ = poll_fn(|cx| self.respond.poll_reset(cx)).await;
    }

    fn expected(&self) -> u64 {
        self.left.unwrap_or(0)
    }
}

/// Makes the fields of an answer those of HTTP/2, and tells how many bytes they have.
fn dress(parts: &mut Parts) -> usize {
    for name in OF_CONNECTIONS {
        parts.headers.remove(name);
    }
    if !parts.headers.contains_key(DATE)
        && let Ok(now) = HeaderValue::from_bytes(&date::now())
    {
        parts.headers.insert(DATE, now);
    }
    parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn broken(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()),
        false => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}
