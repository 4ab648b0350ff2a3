//! A small HTTP/1.1 client: a connection for each request, no pool, no redirects.

use crate::failure::{Failure, plain};
use crate::url::Server;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How much of an answer that is no stream is read, in bytes.
const ANSWER_MAX: usize = 64 << 20;

/// The request was not answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Whether there was a connection: if so, the server may have done what it was asked.
    pub connected: bool,
    pub sentence: String,
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Failure {
        Failure::Unreachable(lost.sentence)
    }
}

/// Sends a request. Its URI is the path with the query; `Host`, `User-Agent` and, where there is something to show,
/// `Authorization` are added.
pub async fn send<B>(server: &Server, mut request: Request<B>) -> Result<Response<Incoming>, Lost>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = connect(server).await?;
    let lost = |error: hyper::Error| Lost { connected: true, sentence: explain(server, &error) };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, B>(TokioIo::new(stream)).await.map_err(lost)?;
    // Ends with the connection; what goes wrong on it is told to whoever waits for the answer.
    tokio::spawn(connection.with_upgrades());
    let authority = HeaderValue::try_from(server.authority())
        .map_err(|_| Lost { connected: false, sentence: format!("{server} is not a host") })?;
    request.headers_mut().insert(header::HOST, authority);
    let agent = HeaderValue::from_static(concat!("switchboard/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(header::USER_AGENT, agent);
    if let Some(credential) = &server.credential {
        request.headers_mut().insert(header::AUTHORIZATION, credential.header().clone());
    }
    sender.send_request(request).await.map_err(lost)
}

async fn connect(server: &Server) -> Result<TcpStream, Lost> {
    let lost = |sentence: String| Lost { connected: false, sentence };
    match timeout(CONNECT, TcpStream::connect((server.host.as_str(), server.port))).await {
        Ok(Ok(stream)) => {
            // Small requests and pings gain by it; if it cannot be set they are only slower.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(lost(format!(
            "nothing listens at {server}. `switchboard serve` starts a server here; --server URL or SWITCHBOARD_URL \
             names another"
        ))),
        Ok(Err(error)) => Err(lost(format!("{server} cannot be reached: {}", plain(&error)))),
        Err(_) => Err(lost(format!("{server} did not answer within {} s", CONNECT.as_secs()))),
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

/// A whole body, if it is not beyond all reason.
pub async fn body(server: &Server, response: Response<Incoming>) -> Result<Bytes, Lost> {
    let lost = |sentence: String| Lost { connected: true, sentence };
    let mut body = response.into_body();
    let mut out = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| lost(explain(server, &error)))?;
        if let Ok(data) = frame.into_data() {
            if out.len() + data.len() > ANSWER_MAX {
                return Err(lost(format!("{server} answered with more than {} MiB", ANSWER_MAX >> 20)));
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
    title: String,
    detail: String,
    /// The line of a streamed body that was refused, from 1.
    pub line: Option<u64>,
    /// Events appended before it.
    pub appended: Option<u64>,
    /// From `Retry-After`, in seconds.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// Whether something was shown.
    #[serde(skip)]
    shown: bool,
}

impl Problem {
    /// Reads the answer that refuses.
    pub async fn read(server: &Server, response: Response<Incoming>) -> Problem {
        let status = response.status();
        let retry_after = number(&response, header::RETRY_AFTER);
        let body = body(server, response).await.unwrap_or_default();
        let mut problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
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
        let advice = self.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        match self.code.as_str() {
            "" => format!("{text} ({}){advice}", self.status),
            code => format!("{text} ({} {code}){advice}", self.status),
        }
    }

    /// What may help whoever is refused for who they are.
    fn advice(&self) -> Option<&'static str> {
        match (self.status, self.code.as_str(), self.shown) {
            (401, _, false) => {
                Some("show a token or an API key: --token-file FILE, or SWITCHBOARD_TOKEN in the environment")
            }
            (401, "token_expired" | "token_revoked", true) => Some("show a new one"),
            (401, _, true) => Some("`switchboard token --config FILE TOKEN` looks into a token"),
            (403, "forbidden", true) => {
                Some("`switchboard may --config FILE TOKEN ACTION CHANNEL` tells which rule decides")
            }
            _ => None,
        }
    }
}

fn number(response: &Response<Incoming>, name: HeaderName) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The runtime of a client command: everything happens on this thread.
pub fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::Unreachable(format!("the system refuses what a connection needs: {}", plain(&error)))
    })?;
    let result = runtime.block_on(work);
    // A thread may still be reading standard input, which has no end in sight.
    runtime.shutdown_background();
    result
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
        let refused = |status, code: &str, shown| Problem { status, code: code.into(), shown, ..Problem::default() };
        for (problem, advice) in [
            (refused(401, "unauthorized", false), "SWITCHBOARD_TOKEN"),
            (refused(401, "unauthorized", true), "switchboard token"),
            (refused(401, "token_expired", true), "a new one"),
            (refused(403, "forbidden", true), "switchboard may"),
        ] {
            assert!(problem.sentence().contains(advice), "{}", problem.sentence());
        }
        assert!(!refused(403, "forbidden_origin", true).sentence().contains(';'));
        let bare = Problem { status: 502, title: "Bad Gateway".to_owned(), ..Problem::default() };
        assert_eq!((bare.sentence().as_str(), bare.passes()), ("Bad Gateway (502)", true));
    }
}
