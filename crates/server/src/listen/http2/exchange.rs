//! One request and its answer.

use super::head;
use super::link::Asked;
use super::outlet::Outlet;
use super::promise::{Origin, Promise, Promises};
use super::stream::HeldStream;
use crate::alarm::Alarm;
use crate::listen::body::is_bare;
use crate::listen::pacing::Pacing;
use crate::listen::{Body, BodyError, BodySource, Framing, Head, Pace, Peer, Settings, date};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use switchboard_wire::code::Problem;

/// What says something of a connection (RFC 9113 section 8.2.2), which HTTP/2 does by itself.
const OF_CONNECTIONS: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, UPGRADE];

/// The other end of a request.
pub(crate) struct Exchange {
    body: RecvStream,
    respond: SendResponse<Bytes>,
    outlet: Arc<Outlet>,
    settings: Arc<Settings>,
    alarm: Alarm,
    /// How long the present event or body may yet take.
    pacing: Pacing,
    /// Bytes of the body that are to come, where the client has said how many.
    left: Option<u64>,
    /// The client waits to be told to go on before it sends the body.
    expects_continue: bool,
    headless: bool,
    /// As whom the client asked, where it said.
    origin: Option<Origin>,
    promises: Promises,
}

impl Exchange {
    pub(crate) fn new(
        (request, respond): Asked,
        outlet: Arc<Outlet>,
        settings: Arc<Settings>,
        promises: Promises,
    ) -> (Result<Head, Problem>, Exchange) {
        let headless = request.method() == Method::HEAD;
        let origin = Origin::of(request.uri());
        let (head, body) = head::read(request);
        let (left, expects_continue) = match &head {
            Ok(Head { framing: Framing::None, .. }) => (Some(0), false),
            Ok(Head { framing: Framing::Length(length), expect_continue, .. }) => (Some(*length), *expect_continue),
            Ok(Head { framing: Framing::Chunked, expect_continue, .. }) => (None, *expect_continue),
            Err(_) => (None, false),
        };
        let (alarm, pacing) = (Alarm::default(), Pacing::default());
        let exchange = Exchange {
            body,
            respond,
            outlet,
            settings,
            alarm,
            pacing,
            left,
            expects_continue,
            headless,
            origin,
            promises,
        };
        (head, exchange)
    }

    /// Answers, and returns how many bytes the head's fields and the body have. A body that was not read is not waited for.
    pub(crate) async fn respond(&mut self, response: Response<impl Into<Body>>) -> io::Result<(usize, usize)> {
        let (mut parts, body) = response.into_parts();
        let mut body = body.into();
        if !is_bare(parts.status) {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.length()));
        }
        if self.headless || is_bare(parts.status) {
            body = Bytes::new().into();
        }
        let sizes = (dress(&mut parts), usize::try_from(body.length()).unwrap_or(usize::MAX));
        let ends = body.length() == 0;
        // What the answer takes of what may be on its way, it takes until it has left.
        let _load = std::mem::take(&mut parts.extensions);
        let mut stream = self.respond.send_response(Response::from_parts(parts, ()), ends).map_err(broken)?;
        if !ends {
            write(&mut stream, body, self.settings.body, &mut self.alarm, &self.outlet).await?;
        }
        Ok(sizes)
    }

    /// Begins an answer that is held open.
    pub(crate) fn hold(mut self, mut parts: Parts, hears: bool) -> io::Result<HeldStream> {
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            // RFC 8441 section 5: there is nothing to switch.
            parts.status = StatusCode::OK;
        }
        dress(&mut parts);
        let stream = self.respond.send_response(Response::from_parts(parts, ()), false).map_err(broken)?;
        Ok(HeldStream::new(stream, self.outlet, hears.then_some(self.body)))
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
                Pace::Steady => {
                    let limit = self.pacing.left(self.settings.body);
                    self.alarm.within(limit, |cx| self.body.poll_data(cx)).await
                }
                Pace::Unhurried => {
                    self.pacing.begin_anew();
                    Some(poll_fn(|cx| self.body.poll_data(cx)).await)
                }
            };
            let data = match data {
                None => return Err(BodyError::Slow),
                // Trailers may follow, which say nothing here.
                Some(None) => match poll_fn(|cx| self.body.poll_trailers(cx)).await {
                    Ok(_) => return Ok(None),
                    Err(error) if error.is_io() => return Err(BodyError::Io(broken(error))),
                    Err(_) => return Err(BodyError::CutOff),
                },
                Some(Some(Err(error))) if error.is_io() => return Err(BodyError::Io(broken(error))),
                Some(Some(Err(_))) => return Err(BodyError::CutOff),
                Some(Some(Ok(data))) => data,
            };
            self.pacing.moved(data.len());
            // Room for as much again.
            let _ = self.body.flow_control().release_capacity(data.len());
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    fn begin_anew(&mut self) {
        self.pacing.begin_anew();
    }

    async fn gone(&mut self) {
        // A reset or the end of the connection.
        let _ = poll_fn(|cx| self.respond.poll_reset(cx)).await;
    }

    fn expected(&self) -> u64 {
        self.left.unwrap_or(0)
    }
}

impl Peer for Exchange {
    async fn inform(&mut self, status: StatusCode, fields: &HeaderMap) -> io::Result<()> {
        let mut interim = Response::new(());
        *interim.status_mut() = status;
        *interim.headers_mut() = fields.clone();
        self.respond.send_informational(interim).map_err(broken)
    }

    fn promise(&mut self, path: &str, fields: HeaderMap) -> Option<Promise> {
        let origin = self.origin.as_ref()?;
        self.promises.open(origin, path, fields, &self.settings, (&mut self.respond, &self.outlet))
    }

    /// With its connection. A stream alone that is reset counts until it is answered.
    fn left(&self) -> impl Future<Output = ()> + use<> {
        let outlet = self.outlet.clone();
        async move { outlet.closed().await }
    }
}

/// Writes a body and ends the stream, as far as the client takes it. `limit` is for the time without progress, on either
/// side; what cannot be written to its end breaks off.
pub(super) async fn write(
    stream: &mut SendStream<Bytes>,
    body: Body,
    limit: Duration,
    alarm: &mut Alarm,
    outlet: &Arc<Outlet>,
) -> io::Result<()> {
    let mut pieces = match body {
        Body::Whole(body) => return write_piece(stream, body, true, limit, alarm).await,
        Body::Pieces(pieces) => pieces,
    };
    loop {
        let piece = alarm.within(limit, |cx| pieces.poll_piece(cx)).await;
        match piece.unwrap_or_else(|| Some(Err(io::ErrorKind::TimedOut.into()))) {
            Some(Ok(piece)) => write_piece(stream, piece, pieces.left() == 0, limit, alarm).await?,
            Some(Err(error)) => {
                // A reset takes back what is not on its way.
                let mut wait = None;
                let over =
                    |cx: &mut Context<'_>| match outlet.is_over(*wait.get_or_insert_with(|| outlet.wait(cx.waker()))) {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    };
                alarm.within(limit, over).await;
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Err(error);
            }
            None => return Ok(()),
        }
    }
}

async fn write_piece(
    stream: &mut SendStream<Bytes>,
    mut piece: Bytes,
    ends: bool,
    limit: Duration,
    alarm: &mut Alarm,
) -> io::Result<()> {
    let mut pacing = Pacing::default();
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        let room = match stream.capacity() {
            0 => match alarm.within(pacing.left(limit), |cx| stream.poll_capacity(cx)).await {
                Some(Some(room)) => room.map_err(broken)?,
                Some(None) => return Err(io::ErrorKind::BrokenPipe.into()),
                None => {
                    stream.send_reset(Reason::CANCEL);
                    return Err(io::ErrorKind::TimedOut.into());
                }
            },
            room => room,
        };
        let part = piece.split_to(room.min(piece.len()));
        pacing.moved(part.len());
        stream.send_data(part, ends && piece.is_empty()).map_err(broken)?;
    }
    Ok(())
}

/// Makes the fields of an answer those of HTTP/2, and tells how many bytes they have.
pub(super) fn dress(parts: &mut Parts) -> usize {
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

pub(super) fn broken(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()),
        false => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}
