//! What is done by asking once: publishing, listing, deleting. Nothing in here knows how bytes arrive: a request is its
//! parts and a [`BodySource`], an answer a whole response.
//!
//! [`Route::of`] says whose a path is. Reading (`GET` and `HEAD` of channels) is not answered here; [`answer`] does the
//! rest of what the routes allow, and refuses the methods they do not.

mod batch;
mod channels;
pub mod key;
pub mod problem;
mod publish;
pub mod query;
mod stream;

pub use channels::Readers;
pub use query::Query;

use crate::config::Limits;
use crate::listen::{BodySource, Pace};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use std::sync::Arc;
use switchboard_store::{Memory, Refusal};
use switchboard_wire::code::Problem;
use switchboard_wire::{ChannelName, Code};

/// What handlers work on.
#[derive(Clone)]
pub struct Node {
    pub log: Arc<Memory>,
    pub limits: Limits,
    /// Milliseconds since the Unix epoch.
    pub now: fn() -> u64,
}

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a Method,
    /// What follows the `?`, as written.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// Who publishes, as far as idempotency keys are told apart; empty where nobody is told apart.
    pub publisher: &'a str,
}

/// Whose a path is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    /// `/channels/{channel}`, or why that is no channel's name.
    Channel(Result<ChannelName, Problem>),
    /// `/channels`
    Channels,
    /// `/api/publish`
    Publish,
    /// `/api/channels`
    List,
    /// None of these.
    Other,
}

impl Route {
    /// The route of a path, as written in the request.
    pub fn of(path: &str) -> Route {
        match path {
            "/channels" => Route::Channels,
            "/api/publish" => Route::Publish,
            "/api/channels" => Route::List,
            _ => path.strip_prefix("/channels/").map_or(Route::Other, |name| Route::Channel(query::channel(name))),
        }
    }

    /// The methods that the route answers, as `Allow` lists them.
    pub fn allow(&self) -> &'static str {
        match self {
            Route::Channel(_) => "GET, HEAD, POST, DELETE, OPTIONS",
            Route::Channels | Route::List | Route::Other => "GET, HEAD, OPTIONS",
            Route::Publish => "POST, OPTIONS",
        }
    }
}

/// Answers all that the routes take but reading. `readers` is asked for where a list of channels tells them.
pub async fn answer(
    node: &Node,
    route: &Route,
    request: &Request<'_>,
    body: &mut impl BodySource,
    readers: impl AsyncFnOnce() -> Readers,
) -> Response<Bytes> {
    let outcome = match (route, request.method) {
        (Route::Other, _) => Err(Code::NotFound.into()),
        (_, &Method::OPTIONS) => Ok(options(route)),
        (Route::Channel(name), &Method::POST | &Method::DELETE) => match (name, request.method) {
            (Err(problem), _) => Err(problem.clone()),
            (Ok(channel), &Method::DELETE) => Ok(channels::delete(node, channel)),
            (Ok(channel), _) => publish::publish(node, channel, request, body).await,
        },
        (Route::Publish, &Method::POST) => batch::publish(node, request, body).await,
        (Route::List, &Method::GET | &Method::HEAD) => match channels::Paging::of(request) {
            Ok(paging) => Ok(channels::list(node, &paging, &readers().await)),
            Err(problem) => Err(problem),
        },
        _ => return not_allowed(route),
    };
    outcome.unwrap_or_else(|problem| problem::response(&problem))
}

/// 405, with what is allowed.
pub fn not_allowed(route: &Route) -> Response<Bytes> {
    let mut response = problem::response(&Code::MethodNotAllowed.into());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(route.allow()));
    response
}

/// The answer to OPTIONS: 204, with what is allowed.
pub fn options(route: &Route) -> Response<Bytes> {
    let mut response = no_content();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(route.allow()));
    response
}

fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A JSON answer that nobody keeps.
fn json(status: StatusCode, body: &impl serde::Serialize) -> Response<Bytes> {
    // Invariant: what is answered has string keys only, so it cannot fail to be JSON.
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Reads a body of at most `limit` bytes. One that says beforehand that it is larger is refused unread.
async fn collect(body: &mut impl BodySource, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Code::TooLarge.because(format!("the body has more than {limit} bytes"));
    if body.expected().is_some_and(|expected| expected > limit as u64) {
        return Err(too_large());
    }
    let mut whole = Vec::new();
    while let Some(piece) = body.piece(Pace::Steady).await.map_err(|error| error.problem())? {
        if piece.len() > limit - whole.len() {
            return Err(too_large());
        }
        if whole.is_empty() && body.expected() == Some(0) {
            whole.reserve_exact(piece.len());
        }
        whole.extend_from_slice(&piece);
    }
    // A copy of just the right size: what is published is kept, and must not keep a larger buffer alive.
    Ok(Bytes::from(whole.into_boxed_slice()))
}

fn refused(refusal: Refusal) -> Problem {
    refusal.code().because(match refusal {
        Refusal::Ended => "",
        Refusal::KeyReused => "",
        Refusal::KeysFull => "as many idempotency keys are kept as may be",
    })
}

#[cfg(test)]
mod tests;
