//! A small HTTP/1.1 client: no pool, no redirects.

use crate::tls::{self, Socket};
use crate::url::Server;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How much of an answer that is no stream is read, in bytes.
const ANSWER_MAX: usize = 64 << 20;
/// How much of a text that came in the place of a problem is passed on, in characters.
const LINE_MAX: usize = 200;

/// The request was not answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Whether there was a connection: if so, the server may have done what it was asked.
    pub connected: bool,
    /// Whether nothing listens there at all.
    pub refused: bool,
    /// Whether its certificate is from an issuer that is not among the roots: a file of further ones may help.
    pub distrusted: bool,
    /// What was answered all the same: a refusal that may pass, or one by which no session comes about.
    pub problem: Option<Box<Problem>>,
    pub sentence: String,
}

impl Lost {
    /// A connection that came to nothing.
    pub fn connected(sentence: impl Into<String>) -> Lost {
        Lost { connected: true, ..Lost::unconnected(sentence.into()) }
    }

    /// A connection that is there, and an answer that does not help.
    pub(crate) fn answered(problem: Problem) -> Lost {
        Lost { problem: Some(Box::new(problem.clone())), ..Lost::connected(problem.sentence()) }
    }

    fn unconnected(sentence: String) -> Lost {
        Lost { connected: false, refused: false, distrusted: false, problem: None, sentence }
    }
}

/// Sends a request on a connection of its own. Its URI is the path with the query; `Host`, `User-Agent` and, where there
/// is something to show, `Authorization` are added.
pub async fn send<B>(server: &Server, request: Request<B>) -> Result<Response<Incoming>, Lost>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut sender = connect(server).await?;
    let request = dress(server, request)?;
    sender.send_request(request).await.map_err(|error| Lost::connected(explain(server, &error)))
}

/// A connection that is kept for the next request.
#[derive(Debug, Default)]
pub struct Kept {
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Kept {
    /// Sends a request that may be sent twice: a connection that was kept may turn out to be closed, and then a new one is
    /// tried. The body of the answer has to be read before the next request.
    pub async fn send(&mut self, server: &Server, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Lost> {
        let request = dress(server, request)?;
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
            && let Ok(response) = sender.send_request(request.clone()).await
        {
            self.sender = Some(sender);
            return Ok(response);
        }
        let mut sender = connect(server).await?;
        let response = sender.send_request(request).await.map_err(|error| Lost::connected(explain(server, &error)))?;
        self.sender = Some(sender);
        Ok(response)
    }
}

async fn connect<B>(server: &Server) -> Result<SendRequest<B>, Lost>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = reach(server).await?;
    let handshake = hyper::client::conn::http1::handshake::<_, B>(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| Lost::connected(explain(server, &error)))?;
    // Ends with the connection; what goes wrong on it is told to whoever waits for the answer.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

fn dress<B>(server: &Server, mut request: Request<B>) -> Result<Request<B>, Lost> {
    let authority =
        HeaderValue::try_from(server.authority()).map_err(|_| Lost::unconnected(format!("{server} is not a host")))?;
    request.headers_mut().insert(header::HOST, authority);
    let agent = HeaderValue::from_static(concat!("switchboard/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(header::USER_AGENT, agent);
    if let Some(credential) = &server.credential {
        request.headers_mut().insert(header::AUTHORIZATION, credential.header().clone());
    }
    Ok(request)
}

async fn reach(server: &Server) -> Result<Socket, Lost> {
    timeout(CONNECT, attempt(server))
        .await
        .unwrap_or_else(|_| Err(Lost::unconnected(format!("{server} did not answer within {} s", CONNECT.as_secs()))))
}

async fn attempt(server: &Server) -> Result<Socket, Lost> {
    let unreached = |why: &str| Lost::unconnected(format!("{server} cannot be reached: {why}"));
    let socket = match TcpStream::connect((server.host.as_str(), server.port)).await {
        Ok(socket) => socket,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            return Err(Lost { refused: true, ..Lost::unconnected(format!("nothing listens at {server}")) });
        }
        Err(error) => return Err(unreached(&plain(&error))),
    };
    // Small requests and pings gain by it; if it cannot be set they are only slower.
    let _ = socket.set_nodelay(true);
    match server.secure {
        false => Ok(Box::new(socket)),
        true => tls::agree(socket, &server.host, server.ca.as_deref())
            .await
            .map_err(|why| Lost { distrusted: why.distrusted, ..unreached(&why.sentence) }),
    }
}

/// What a lost connection is called.
pub fn explain(server: &Server, error: &hyper::Error) -> String {
    if error.is_parse() {
        return format!("what answers at {server} does not speak HTTP/1.1");
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return format!("{server} closed the connection before it answered");
    }
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let cause = cause.map_or_else(|| error.to_string(), plain);
    format!("the connection to {server} was lost: {cause}")
}

/// An error of the system as a person reads it: without its number.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    // Sentences go on with it after a colon.
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// A whole body, if it is not beyond all reason.
pub async fn body(server: &Server, response: Response<Incoming>) -> Result<Bytes, Lost> {
    let mut body = response.into_body();
    let mut out = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Lost::connected(explain(server, &error)))?;
        if let Ok(data) = frame.into_data() {
            if out.len() + data.len() > ANSWER_MAX {
                return Err(Lost::connected(format!("{server} answered with more than {} MiB", ANSWER_MAX >> 20)));
            }
            out.extend_from_slice(&data);
        }
    }
    Ok(out.freeze())
}

/// A refusal, as the server put it (RFC 9457).
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Default)]
#[serde(default)]
pub struct Problem {
    #[serde(skip)]
    pub status: u16,
    pub code: String,
    pub title: String,
    pub detail: String,
    /// The line of a streamed body that was refused, from 1.
    pub line: Option<u64>,
    /// Events appended before it.
    pub appended: Option<u64>,
    /// The number that a session goes on with.
    pub expected: Option<u64>,
    /// From `Retry-After`, in seconds.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// Whether something was shown.
    #[serde(skip)]
    pub shown: bool,
}

impl Problem {
    /// Reads the answer that refuses.
    pub async fn read(server: &Server, response: Response<Incoming>) -> Problem {
        let status = response.status();
        let retry_after = number(&response, header::RETRY_AFTER);
        let is_text = is_text(&response);
        let body = body(server, response).await.unwrap_or_default();
        let mut problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        if is_text && problem.title.is_empty() && problem.detail.is_empty() {
            problem.detail = first_line(&body);
        }
        problem.status = status.as_u16();
        problem.retry_after = retry_after;
        problem.shown = server.credential.is_some();
        if problem.title.is_empty() {
            problem.title = status.canonical_reason().unwrap_or("refused").to_owned();
        }
        problem
    }

    /// Whether the same request may succeed later.
    pub fn passes(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
    }

    /// What a person reads: the sentence, and what a program compares.
    pub fn sentence(&self) -> String {
        let text = if self.detail.is_empty() { &self.title } else { &self.detail };
        let text = text.trim_end_matches('.');
        match self.code.as_str() {
            "" => format!("{text} ({})", self.status),
            code => format!("{text} ({} {code})", self.status),
        }
    }
}

/// Whether the body is for people to read.
fn is_text(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("text/plain")
}

/// The first line of a text that says something, as far as a person reads it. Whoever wrote it is not to steer a terminal.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * LINE_MAX)]);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let shown: String =
        line.chars().take(LINE_MAX).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if line.chars().nth(LINE_MAX).is_some() { format!("{shown}…") } else { shown }
}

fn number(response: &Response<Incoming>, name: HeaderName) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_read_as_sentences() {
        let mut problem: Problem =
            serde_json::from_str(r#"{"title":"T.","detail":"the channel has ended.","code":"channel_ended","line":3}"#)
                .unwrap();
        problem.status = 409;
        assert_eq!(problem.sentence(), "the channel has ended (409 channel_ended)");
        assert_eq!((problem.line, problem.passes()), (Some(3), false));
        let bare = Problem { status: 502, title: "Bad Gateway".to_owned(), ..Problem::default() };
        assert_eq!((bare.sentence().as_str(), bare.passes()), ("Bad Gateway (502)", true));
    }

    #[test]
    fn of_a_text_the_first_line_is_passed_on() {
        assert_eq!(first_line(b"\n  a \xff line \r\nand another"), "a \u{fffd} line");
        assert_eq!(first_line(b"a\x1b[2Jb\tc"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(first_line(b""), "");
        assert_eq!(first_line("é".repeat(LINE_MAX).as_bytes()), "é".repeat(LINE_MAX));
        assert_eq!(first_line("é".repeat(9 * LINE_MAX).as_bytes()), format!("{}…", "é".repeat(LINE_MAX)));
    }

    #[test]
    fn errors_of_the_system_read_as_words() {
        assert_eq!(plain(&std::io::Error::from_raw_os_error(2)), "no such file or directory");
    }
}
