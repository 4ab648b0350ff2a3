//! What is done by asking once: publishing, listing, deleting. An answer is whole, and is written by whoever asked.

mod batch;
mod channels;
pub(crate) mod documents;
pub(crate) mod key;
mod presence;
pub(crate) mod problem;
mod publish;
pub(crate) mod query;
mod stream;
mod tokens;

use crate::limits::Asker;
use crate::limits::transit::Load;
use crate::listen::{BodySource, Head, Pace};
use crate::node::Node;
use crate::session::manage;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use problem::with_allow;
use query::Query;
use std::sync::atomic::Ordering;
use switchboard_hub::access::Action;
use switchboard_store::{Pause, Refusal};
use switchboard_wire::code::Problem;
use switchboard_wire::{ChannelName, Code};

/// Whose a path is.
enum Route {
    /// `/channels/{channel}`
    Channel(ChannelName),
    /// `/channels`
    Channels,
    /// `/api/publish`
    Publish,
    /// `/api/channels`
    List,
    /// `/api/presence/{channel}`
    Presence(ChannelName),
    /// `/api/token`
    Token,
    /// `/api/revoke`
    Revoke,
    /// `/api/sessions` and below, `/api/users/…`
    Sessions(manage::Path),
    /// `*`, which the front lets through with OPTIONS only.
    Server,
}

impl Route {
    /// The route of a path, as written in the request.
    fn of(path: &str) -> Result<Route, Problem> {
        match path {
            "/channels" => Ok(Route::Channels),
            "/api/publish" => Ok(Route::Publish),
            "/api/channels" => Ok(Route::List),
            "/api/token" => Ok(Route::Token),
            "/api/revoke" => Ok(Route::Revoke),
            "*" => Ok(Route::Server),
            _ => match (path.strip_prefix("/channels/"), path.strip_prefix("/api/presence/")) {
                (Some(name), _) => query::channel(name).map(Route::Channel),
                (_, Some(name)) => query::channel(name).map(Route::Presence),
                (None, None) => manage::Path::of(path).map(Route::Sessions).ok_or_else(|| {
                    let why = "channels are at `/channels/{channel}`; `GET /api` says where each address is described";
                    Code::NotFound.because(why)
                }),
            },
        }
    }

    /// The methods that the route answers, as `Allow` lists them.
    fn allow(&self) -> &'static str {
        match self {
            Route::Channel(_) | Route::Server => "GET, HEAD, POST, DELETE, OPTIONS",
            Route::Channels | Route::List | Route::Presence(_) => "GET, HEAD, OPTIONS",
            Route::Sessions(path) => path.allow(),
            Route::Publish | Route::Token | Route::Revoke => "POST, OPTIONS",
        }
    }
}

/// Answers all but reading: `GET` and `HEAD` of channels are not for here. What takes long waits for its turns.
pub(crate) async fn answer(
    node: &Node,
    turns: &impl Pause,
    head: &Head,
    asker: &Asker,
    query: &Query,
    body: &mut impl BodySource,
) -> Result<Response<Bytes>, Problem> {
    let identity = &asker.identity;
    let route = Route::of(&head.path)?;
    let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
    if head.method == Method::POST && encodings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        // It would be kept without its coding, and read as what it is not (RFC 9110 section 8.4).
        return Err(Code::UnsupportedEncoding.into());
    }
    match (&route, &head.method) {
        (_, &Method::OPTIONS) => Ok(with_allow(no_content(), route.allow())),
        (Route::Channel(channel), &Method::POST) => {
            publish::publish(node, asker, channel, query, &head.headers, body).await
        }
        (Route::Channel(channel), &Method::DELETE) => {
            node.auth.allow(identity, Action::Manage, channel)?;
            Ok(channels::delete(node, channel))
        }
        (Route::Publish, &Method::POST) => batch::publish(node, turns, asker, &head.headers, body).await,
        (Route::List, &Method::GET | &Method::HEAD) => {
            node.auth.allow_managing(identity)?;
            channels::list(node, query).await
        }
        (Route::Presence(channel), &Method::GET | &Method::HEAD) => presence::answer(node, identity, channel, query),
        (Route::Sessions(path), method) => {
            node.auth.allow_managing(identity)?;
            let answer = manage::answer(node, path, method, query.one("user")?, body).await?;
            Ok(answer.unwrap_or_else(|| with_allow(refuse(node, &Code::MethodNotAllowed.into(), ""), route.allow())))
        }
        (Route::Token, &Method::POST) => tokens::renew(node, identity, body).await,
        (Route::Revoke, &Method::POST) => tokens::revoke(node, identity, body).await,
        _ => Ok(with_allow(refuse(node, &Code::MethodNotAllowed.into(), ""), route.allow())),
    }
}

/// A refusal that says more than a bare problem does; see [`problem::extended`]. The others are the caller's to count.
fn refuse(node: &Node, problem: &Problem, extra: &str) -> Response<Bytes> {
    node.figures.problems.fetch_add(1, Ordering::Relaxed);
    problem::extended(problem, extra)
}

fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A JSON answer that nobody keeps.
pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Response<Bytes> {
    // Invariant: what is answered has string keys only, so it cannot fail to be JSON.
    json_text(status, serde_json::to_vec(body).unwrap_or_default())
}

/// As [`json`], of what is JSON already.
fn json_text(status: StatusCode, mut text: Vec<u8>) -> Response<Bytes> {
    text.push(b'\n');
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Reads a body of at most `limit` bytes, and counts it among what is on its way for as long as it is held. One that says
/// that it is larger is refused at its word.
pub(crate) async fn collect(node: &Node, body: &mut impl BodySource, limit: usize) -> Result<(Bytes, Load), Problem> {
    let check = |length: u64| match length > limit as u64 {
        true => Err(Code::TooLarge.because(format!("the body has more than {limit} bytes"))),
        false => Ok(()),
    };
    check(body.expected())?;
    let (mut whole, mut load) = (Vec::new(), node.limits.transit.arriving.load());
    while let Some(piece) = body.piece(Pace::Steady).await.map_err(|error| error.problem())? {
        check(((whole.len() + piece.len()) as u64).saturating_add(body.expected()))?;
        if whole.is_empty() && body.expected() == 0 {
            whole.reserve_exact(piece.len());
        }
        load.resize(whole.len() + piece.len())?;
        whole.extend_from_slice(&piece);
    }
    // A copy of just the right size: what is published is kept, and must not keep a larger buffer alive.
    Ok((Bytes::from(whole.into_boxed_slice()), load))
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::KeysFull => refusal.code().because(refusal.to_string()),
        // Their sentences in the table say it all.
        Refusal::Ended | Refusal::KeyReused => refusal.code().into(),
    }
}

#[cfg(test)]
mod tests;
