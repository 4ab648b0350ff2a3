//! `/api/sessions` and `/api/users`: backends reach clients.

use super::{Ask, Id, not_found};
use crate::api::{collect, json};
use crate::listen::BodySource;
use crate::node::Node;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{Json, Params};

/// How long a call may take if nothing is said, in milliseconds.
const TIMEOUT: u64 = 10_000;

/// What is done, to one session or to all of a user.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Look,
    Call,
    Notify,
    Subscribe,
    Unsubscribe,
}

/// Whom it is done to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    All,
    Session(String),
    User(String),
}

/// A path below `/api/sessions` or `/api/users`, understood.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Path {
    whom: Whom,
    deed: Deed,
}

impl Path {
    /// `None` if the path is none of these.
    pub(crate) fn of(path: &str) -> Option<Path> {
        let (whom, deed): (fn(String) -> Whom, &str) = match path.strip_prefix("/api/sessions") {
            Some("") => return Some(Path { whom: Whom::All, deed: Deed::Look }),
            Some(rest) => (Whom::Session, rest),
            None => (Whom::User, path.strip_prefix("/api/users")?),
        };
        let mut segments = deed.strip_prefix('/')?.split('/');
        let name = segments.next().filter(|name| !name.is_empty())?;
        let deed = match (segments.next(), segments.next()) {
            (None, None) => Deed::Look,
            (Some("call"), None) => Deed::Call,
            (Some("notify"), None) => Deed::Notify,
            (Some("subscribe"), None) => Deed::Subscribe,
            (Some("unsubscribe"), None) => Deed::Unsubscribe,
            _ => return None,
        };
        let whom = whom(crate::api::query::decode(name)?);
        match (&whom, deed) {
            (Whom::User(_), Deed::Look | Deed::Subscribe | Deed::Unsubscribe) => None,
            _ => Some(Path { whom, deed }),
        }
    }

    pub(crate) fn allow(&self) -> &'static str {
        match (&self.whom, self.deed) {
            (Whom::All, _) => "GET, HEAD, OPTIONS",
            (_, Deed::Look) => "GET, HEAD, DELETE, OPTIONS",
            _ => "POST, OPTIONS",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said<'a> {
    method: String,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(default)]
    timeout: Option<f64>,
}

impl Said<'_> {
    fn read(body: &[u8]) -> Result<Said<'_>, Problem> {
        serde_json::from_slice(body)
            .map_err(|error| Code::InvalidJson.because(format!("the body is {{\"method\",\"params\"?}}: {error}")))
    }

    /// Refuses names that mean something of the server's own to a client.
    fn check(self) -> Result<Self, Problem> {
        match is_own(&self.method) {
            true => Err(Code::InvalidParameter.because(format!("`{}` is a method of the server's own", self.method))),
            false => Ok(self),
        }
    }

    fn params(&self) -> Result<Params<'static>, Problem> {
        let Some(raw) = self.params else { return Ok(Params::ABSENT) };
        let params = Params::new(Json::from(raw)).map(Params::into_owned);
        params.ok_or_else(|| Code::InvalidParameter.because("`params` is an array or an object"))
    }

    /// In milliseconds. JSON has one kind of number, so a whole one may be written with a point or be very large.
    fn timeout(&self) -> Result<u64, Problem> {
        match self.timeout {
            None => Ok(TIMEOUT),
            Some(timeout) if timeout >= 0.0 && timeout.fract() == 0.0 => Ok(timeout as u64),
            Some(_) => Err(Code::InvalidParameter.because("`timeout` is a whole number of milliseconds")),
        }
    }
}

/// Whether a client takes a message with this method for one of the server's own, or of the specification's.
fn is_own(method: &str) -> bool {
    const OWN: [&str; 11] = [
        "session",
        "event",
        "presence",
        "gap",
        "end",
        "position",
        "caught_up",
        "closing",
        "expiring",
        "subscribed",
        "unsubscribed",
    ];
    method.is_empty() || method.starts_with("rpc.") || OWN.contains(&method)
}

/// Answers a request for one of these paths, for a backend that may. `None` where the method is none of the path's.
pub(crate) async fn answer(
    node: &Node,
    path: &Path,
    method: &Method,
    user: Option<&str>,
    body: &mut impl BodySource,
) -> Result<Option<Response<Bytes>>, Problem> {
    let one = |text: &str| Id::parse(text).ok_or_else(not_found);
    Ok(Some(match (&path.whom, path.deed, method) {
        (Whom::All, _, &Method::GET | &Method::HEAD) => {
            json(StatusCode::OK, &serde_json::json!({ "sessions": node.sessions(user).await }))
        }
        (Whom::Session(id), Deed::Look, &Method::GET | &Method::HEAD) => {
            json(StatusCode::OK, &node.ask_session(one(id)?, None, |reply| Ask::Look { reply }).await?)
        }
        (Whom::Session(id), Deed::Look, &Method::DELETE) => {
            let end = |reply| Ask::End { code: Code::SessionEnded, closed: false, reply };
            node.ask_session(one(id)?, None, end).await?;
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        (Whom::Session(id), Deed::Subscribe | Deed::Unsubscribe, &Method::POST) => {
            let (body, _load) = collect(node, body, node.config.limits.message).await?;
            subscribe(node, one(id)?, path.deed, &body).await?
        }
        (_, Deed::Call | Deed::Notify, &Method::POST) => {
            let (body, _load) = collect(node, body, node.config.limits.message).await?;
            let said = Said::read(&body)?.check()?;
            match (&path.whom, path.deed) {
                (Whom::Session(id), Deed::Call) => json(StatusCode::OK, &call(node, one(id)?, &said).await?),
                (Whom::Session(id), _) => {
                    notify(node, one(id)?, &said).await?;
                    accepted(&serde_json::json!({}))
                }
                (Whom::User(user), Deed::Call) => json(StatusCode::OK, &call_user(node, user, &said).await?),
                (Whom::User(user), _) => accepted(&notify_user(node, user, &said).await?),
                (Whom::All, _) => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

fn accepted(body: &serde_json::Value) -> Response<Bytes> {
    json(StatusCode::ACCEPTED, body)
}

async fn subscribe(node: &Node, id: Id, deed: Deed, body: &[u8]) -> Result<Response<Bytes>, Problem> {
    let object = std::str::from_utf8(body).ok().and_then(Json::parse).filter(|json| json.as_str().starts_with('{'));
    let params = object
        .and_then(Params::new)
        .ok_or_else(|| Code::InvalidJson.because("the body is {\"channel\",\"since\"?}"))?
        .into_owned();
    let done = node.ask_session(id, None, |reply| match deed {
        Deed::Unsubscribe => Ask::Unsubscribe { params, reply },
        _ => Ask::Subscribe { params, reply },
    });
    let done: serde_json::Value = done.await?.read().map_err(|_| Code::Internal)?;
    Ok(json(StatusCode::OK, &done))
}

async fn notify(node: &Node, id: Id, said: &Said<'_>) -> Result<(), Problem> {
    let (method, params) = (said.method.clone(), said.params()?);
    node.ask_session(id, None, |reply| Ask::Notify { method, params, reply }).await
}

/// Calls one client: `{"result"}` or `{"error"}`, whatever it answers.
async fn call(node: &Node, id: Id, said: &Said<'_>) -> Result<serde_json::Value, Problem> {
    let (method, params, timeout) = (said.method.clone(), said.params()?, said.timeout()?);
    let outcome = node.ask_session(id, None, |reply| Ask::Call { method, params, timeout, reply }).await?;
    let value = |json: &Json<'_>| json.read::<serde_json::Value>().map_err(|_| Problem::from(Code::Internal));
    Ok(match outcome {
        Ok(result) => serde_json::json!({ "result": value(&result)? }),
        Err(error) => {
            let mut told = serde_json::json!({ "code": error.code, "message": error.message });
            if let Some(data) = &error.data {
                told["data"] = value(data)?;
            }
            serde_json::json!({ "error": told })
        }
    })
}

/// Calls every session of a user at once, and tells what each answers.
async fn call_user(node: &Node, user: &str, said: &Said<'_>) -> Result<serde_json::Value, Problem> {
    said.params()?;
    said.timeout()?;
    let listed = node.sessions(Some(user)).await;
    let calls = listed.iter().filter_map(|listed| Some((&listed.id, Id::parse(&listed.id)?)));
    let calls: Vec<_> = calls.map(|(name, id)| async move { (name, call(node, id, said).await) }).collect();
    let mut answers = Vec::new();
    for (name, answer) in futures(calls).await {
        let mut answer = answer.unwrap_or_else(|problem| {
            let row = problem.code.row();
            serde_json::json!({ "error": { "code": row.rpc, "message": row.sentence } })
        });
        answer["session"] = name.as_str().into();
        answers.push(answer);
    }
    Ok(serde_json::json!({ "answers": answers }))
}

/// Drives futures side by side, and gives what they came to in their order.
async fn futures<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

async fn notify_user(node: &Node, user: &str, said: &Said<'_>) -> Result<serde_json::Value, Problem> {
    said.params()?;
    let mut told = 0;
    for listed in node.sessions(Some(user)).await {
        // One that has just ended is not told.
        if let Some(id) = Id::parse(&listed.id) {
            told += usize::from(notify(node, id, said).await.is_ok());
        }
    }
    Ok(serde_json::json!({ "sessions": told }))
}
