//! The transports of a session: how it is opened, its way down and, where that is another, its way up.

use crate::http::{self, Kept, Lost, Problem};
use crate::session::Said;
use crate::url::Server;
use crate::websocket::{self, Handshake, Incoming, Socket};
use ::http::{Request, Response, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming as Body;
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;
use switchboard_wire::ndjson::Lines;
use switchboard_wire::sse::decode::Decoder;
use switchboard_wire::websocket::close::Close;
use tokio::time::Instant;

/// Longest message, in bytes: what a server may be told to take, and then some.
const MESSAGE_MAX: usize = 256 << 20;
/// The subprotocol of sessions.
const PROTOCOL: &str = "switchboard.v1";

pub(crate) type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How a session travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Both ways on one connection.
    WebSocket,
    /// Server-Sent Events down, POST up.
    Sse,
    /// A line of JSON for each message down, POST up.
    Stream,
    /// Long polls down, POST up.
    Poll,
}

/// Why a connection is no more, or never was.
#[derive(Debug)]
pub(crate) enum Cut {
    /// Connect again.
    Lost { lost: Lost, wait: Option<Duration> },
    /// There is no such session any more.
    Gone,
    /// The server does not let this client in.
    Refused(Box<Problem>),
    /// This transport does not get through.
    Unfit(Lost),
    /// The server closed a WebSocket, for its reasons.
    Closed(Close),
}

impl Cut {
    /// What an answer means that is not the one hoped for. `is_known`: the request was for the location of a session.
    pub(crate) fn of(problem: Problem, is_known: bool) -> Cut {
        match (problem.status, problem.code.as_str()) {
            (404, "not_found") | (410, "session_full") if is_known => Cut::Gone,
            (409, "stale_attempt") => lost(problem.sentence()),
            _ if problem.passes() => {
                let wait = problem.retry_after.map(Duration::from_secs);
                Cut::Lost { lost: Lost::answered(problem), wait }
            }
            // What answers may be a proxy that knows no better.
            (_, "" | "bad_request" | "upgrade_required" | "not_implemented") => Cut::Unfit(Lost::answered(problem)),
            _ => Cut::Refused(Box::new(problem)),
        }
    }
}

impl From<Lost> for Cut {
    fn from(lost: Lost) -> Cut {
        Cut::Lost { lost, wait: None }
    }
}

pub(crate) fn lost(sentence: impl Into<String>) -> Cut {
    Lost::connected(sentence).into()
}

fn unfit(sentence: impl Into<String>) -> Cut {
    Cut::Unfit(Lost::connected(sentence))
}

/// What came down.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A message, with the place after it where the transport says one.
    Message {
        text: Bytes,
        place: Option<String>,
    },
    Page(Bytes),
}

/// A way down that is open.
pub(crate) struct Down {
    way: Way,
    /// When something was heard last.
    pub(crate) heard: Instant,
}

enum Way {
    WebSocket(Box<Socket>),
    Sse { body: Body, decoder: Decoder, read: VecDeque<(Bytes, String)> },
    Stream { body: Body, lines: Lines },
    Poll { kept: Option<Kept>, asking: Option<Task<(Kept, Result<Bytes, Cut>)>> },
}

/// Opens a session by POST, for the transports whose way up is another request.
pub(crate) async fn open_session(server: Server) -> Result<Said, Cut> {
    let request = Request::post(server.target("/session")).body(Full::new(Bytes::new())).map_err(foul)?;
    let response = http::send(&server, request).await?;
    if response.status() != 201 {
        return Err(refusal(&server, response, false).await);
    }
    let body = http::body(&server, response).await?;
    serde_json::from_slice(&body)
        .map_err(|error| unfit(format!("{server} answers `POST /session` as no Switchboard does: {error}")))
}

/// Opens the way down: of a session whose location and query are given, or, over a WebSocket, of a new one.
pub(crate) async fn open(server: Server, transport: Transport, location: Option<String>) -> Result<Down, Cut> {
    let is_known = location.is_some();
    let target = server.target(location.as_deref().unwrap_or("/session"));
    let way = match transport {
        Transport::WebSocket => match websocket::open(&server, target, &[PROTOCOL], MESSAGE_MAX).await? {
            Handshake::Open(socket) => Way::WebSocket(socket),
            Handshake::Answered(response) => return Err(refusal(&server, *response, is_known).await),
            Handshake::Foul(why) => return Err(unfit(why)),
        },
        Transport::Sse => {
            let body = stream(&server, target, "text/event-stream", is_known).await?;
            Way::Sse { body, decoder: Decoder::new(MESSAGE_MAX), read: VecDeque::new() }
        }
        Transport::Stream => {
            let body = stream(&server, target, "application/x-ndjson", is_known).await?;
            Way::Stream { body, lines: Lines::new(MESSAGE_MAX) }
        }
        Transport::Poll => Way::Poll { kept: Some(Kept::default()), asking: None },
    };
    Ok(Down { way, heard: Instant::now() })
}

async fn stream(server: &Server, target: String, accept: &'static str, is_known: bool) -> Result<Body, Cut> {
    let request = Request::get(target).header(header::ACCEPT, accept).body(Empty::<Bytes>::new()).map_err(foul)?;
    let response = http::send(server, request).await?;
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match response.status().as_u16() {
        200 if content_type.is_some_and(|kind| kind.starts_with(accept)) => Ok(response.into_body()),
        200 => Err(unfit(format!("{server} answers with something else than {accept}"))),
        _ => Err(refusal(server, response, is_known).await),
    }
}

async fn refusal(server: &Server, response: Response<Body>, is_known: bool) -> Cut {
    Cut::of(Problem::read(server, response).await, is_known)
}

fn foul(error: ::http::Error) -> Cut {
    unfit(format!("the request cannot be written: {error}"))
}

impl Down {
    /// Whether the way up is the same connection.
    pub(crate) fn socket(&mut self) -> Option<&mut Socket> {
        match &mut self.way {
            Way::WebSocket(socket) => Some(socket),
            _ => None,
        }
    }

    pub(crate) fn is_socket(&self) -> bool {
        matches!(self.way, Way::WebSocket(_))
    }

    /// Whether this is a poll, and its next page is to be asked for.
    pub(crate) fn wants_page(&self) -> bool {
        matches!(&self.way, Way::Poll { asking: None, .. })
    }

    /// Asks for the next page.
    pub(crate) fn ask(&mut self, server: &Server, location: &str) {
        let Way::Poll { kept, asking } = &mut self.way else { return };
        let mut kept = kept.take().unwrap_or_default();
        let (server, target) = (server.clone(), server.target(location));
        self.heard = Instant::now();
        *asking = Some(Box::pin(async move {
            let page = page(&mut kept, &server, target).await;
            (kept, page)
        }));
    }

    /// What comes next. It may be dropped and called again: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Heard, Cut> {
        let heard = &mut self.heard;
        match &mut self.way {
            Way::WebSocket(socket) => loop {
                let incoming = socket.next().await.map_err(lost)?;
                *heard = Instant::now();
                match incoming {
                    Incoming::Text(text) => return Ok(Heard::Message { text, place: None }),
                    Incoming::Binary(_) => return Err(lost("the server sent binary data where messages are JSON")),
                    Incoming::Ping(_) | Incoming::Pong(_) => {}
                    Incoming::Close(close) => {
                        socket.close(Some(&close), 0).await;
                        return Err(Cut::Closed(close));
                    }
                }
            },
            Way::Sse { body, decoder, read } => loop {
                if let Some((text, place)) = read.pop_front() {
                    return Ok(Heard::Message { text, place: Some(place) });
                }
                let bytes = bytes(body).await?;
                *heard = Instant::now();
                let mut events = Vec::new();
                decoder.feed(&bytes, &mut events).map_err(|_| lost("the server sent an endless message"))?;
                read.extend(events.into_iter().map(|event| (event.data.into(), event.last_event_id)));
            },
            Way::Stream { body, lines } => loop {
                match lines.next_line() {
                    Ok(Some((_, line))) if line.trim_ascii().is_empty() => continue,
                    Ok(Some((_, line))) => {
                        return Ok(Heard::Message { text: Bytes::copy_from_slice(line), place: None });
                    }
                    Ok(None) => {}
                    Err(_) => return Err(lost("the server sent an endless message")),
                }
                let bytes = bytes(body).await?;
                *heard = Instant::now();
                lines.feed(&bytes);
            },
            Way::Poll { kept, asking } => {
                let Some(task) = asking else { return std::future::pending().await };
                let (connection, page) = task.await;
                (*kept, *asking, *heard) = (Some(connection), None, Instant::now());
                page.map(Heard::Page)
            }
        }
    }
}

async fn bytes(body: &mut Body) -> Result<Bytes, Cut> {
    loop {
        match body.frame().await {
            None => return Err(lost("the server ended the stream")),
            Some(Err(error)) => return Err(lost(format!("the connection was lost: {error}"))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(data);
                }
            }
        }
    }
}

async fn page(kept: &mut Kept, server: &Server, target: String) -> Result<Bytes, Cut> {
    let request = Request::get(target).header(header::ACCEPT, "application/json");
    let request = request.body(Full::new(Bytes::new())).map_err(foul)?;
    let response = kept.send(server, request).await?;
    match response.status().as_u16() {
        200 => Ok(http::body(server, response).await?),
        _ => Err(refusal(server, response, true).await),
    }
}

/// What became of a message that was sent by POST.
#[derive(Debug)]
pub(crate) enum Posted {
    Applied,
    /// The server goes on with this number.
    Expected(u64),
    /// It does not take the message.
    Refused(Problem),
    /// There is no such session any more.
    Gone,
    Lost(Option<Duration>),
}

impl Posted {
    /// What an answer means that is no success.
    pub(crate) fn of(problem: Problem) -> Posted {
        match (problem.status, problem.code.as_str(), problem.expected) {
            (404, _, _) => Posted::Gone,
            (409, _, Some(expected)) => Posted::Expected(expected),
            _ if problem.passes() => Posted::Lost(problem.retry_after.map(Duration::from_secs)),
            _ => Posted::Refused(problem),
        }
    }
}

/// Sends a message up; without one, only what is acknowledged.
pub(crate) async fn post(
    kept: &mut Kept,
    server: &Server,
    location: &str,
    message: Option<(u64, Bytes)>,
    acknowledged: u64,
) -> Posted {
    let (seq, body) = message.map_or((None, Bytes::new()), |(seq, body)| (Some(seq), body));
    let mut request = Request::post(server.target(location)).header("session-ack", acknowledged);
    if let Some(seq) = seq {
        request = request.header("session-seq", seq).header(header::CONTENT_TYPE, "application/json");
    }
    let Ok(request) = request.body(Full::new(body)) else { return Posted::Lost(None) };
    let Ok(response) = kept.send(server, request).await else { return Posted::Lost(None) };
    if response.status().is_success() {
        return match http::body(server, response).await {
            Ok(_) => Posted::Applied,
            Err(_) => Posted::Lost(None),
        };
    }
    Posted::of(Problem::read(server, response).await)
}

/// Ends a session whose way up is another request.
pub(crate) async fn delete(server: &Server, location: &str) {
    if let Ok(request) = Request::delete(server.target(location)).body(Empty::<Bytes>::new()) {
        // If it cannot be reached, it ends by itself after a while.
        let _ = http::send(server, request).await;
    }
}
