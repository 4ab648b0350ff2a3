//! Requests for sessions: opening one, its way down, its way up.

use super::{Front, Outcome, empty};
use crate::api::problem::with_allow;
use crate::api::query::Query;
use crate::api::{collect, json, problem};
use crate::auth::Identity;
use crate::hold;
use crate::limits::Seats;
use crate::limits::bucket::Allowance;
use crate::listen::{Framing, Head, Peer};
use crate::reading::{Conversing, text};
use crate::session::opening::{self, Admitted};
use crate::session::{self, Ask, Location, Opened, Opener, PATH, Page, Take, read_place};
use crate::shard::Answer;
use crate::traffic::Way;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, VARY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use tokio::sync::oneshot;
use tokio::time::sleep;

impl<C: Peer> Front<C> {
    /// Answers a request for `/session` or for a session's location.
    pub(super) async fn session(&mut self, head: &Head, query: &Query) -> Result<Outcome, Problem> {
        let location = match head.path.strip_prefix(PATH) {
            Some(rest) => Some(Location::parse(rest).ok_or_else(session::not_found)?),
            None => None,
        };
        match (location, &head.method) {
            (None, &Method::GET) => self.converse(head, query).await,
            (None, &Method::POST) => self.open_session(head, query).await.map(Outcome::Respond),
            (Some(location), &Method::GET) => self.way_down(head, query, location).await,
            (Some(location), &Method::POST) => self.way_up(head, location).await.map(Outcome::Respond),
            (Some(location), &Method::DELETE) => {
                let ask = |reply| Ask::End { code: Code::SessionEnded, closed: true, reply };
                self.desk.node.ask_session(location.id, Some(location.key), ask).await?;
                Ok(Outcome::Respond(empty(StatusCode::NO_CONTENT)))
            }
            (location, method) => {
                let allow = if location.is_some() { "GET, POST, DELETE, OPTIONS" } else { "GET, POST, OPTIONS" };
                let response = match *method {
                    Method::OPTIONS => empty(StatusCode::NO_CONTENT),
                    _ => self.problem(&Code::MethodNotAllowed.into()),
                };
                Ok(Outcome::Respond(with_allow(response, allow)))
            }
        }
    }

    /// `GET /session`: a WebSocket that opens a session, and is both its ways.
    async fn converse(&mut self, head: &Head, query: &Query) -> Result<Outcome, Problem> {
        let node = &self.desk.node;
        let conversing = Conversing::of(head, query, &node.config)?;
        let Conversing::Held { over, accepted: Some(accepted) } = &conversing else {
            let why =
                "this opens a session over a WebSocket; else open one with `POST /session`, and read at its `Location`";
            return Err(Code::BadRequest.because(why));
        };
        let identity = self.identify(head, query).await?.identity;
        let location = self.begin(head, identity).await?.location;
        let take = Take { id: location.id, known: None, attempt: None };
        let dress = |headers: &mut HeaderMap| node.pages().allow(head, headers);
        let answer = hold::open_session(node, head, take, *over, Some(accepted), dress);
        Ok(self.held(head, answer))
    }

    /// A session's connection has the place of any other from its address; what else is limited is the session's.
    fn held(&mut self, head: &Head, mut answer: Box<Answer>) -> Outcome {
        let address = self.origin(head).0;
        self.seat(&mut answer, Seats::default(), Allowance::default(), address);
        Outcome::Hold(answer)
    }

    /// Opens a session on this shard, if the application lets it.
    async fn begin(&self, head: &Head, identity: Identity) -> Result<Opened, Problem> {
        let node = &self.desk.node;
        let address = self.origin(head).0;
        let location = self.desk.shard.borrow_mut().name_session()?;
        let name = location.id.to_string();
        let admitted = opening::admit(node, head, name.clone(), identity, address).await?;
        let Admitted { identity, subscriptions, asked } = admitted;
        let turns = self.desk.shard.borrow().turns();
        let found = node.unless_draining(opening::find(node, &turns, subscriptions)).await;
        let opened = found.and_then(|subscriptions| {
            let seats = node.limits.session(&identity, address)?;
            let allowance = node.limits.publisher(&identity, Some(address));
            let opener = Opener { identity: identity.clone(), allowance, seats, address, subscriptions };
            self.desk.shard.borrow_mut().open_session(location, opener)
        });
        if let (Err(problem), true, Some(application)) = (&opened, asked, node.application.get()) {
            // It has said yes, and is not to wait for a session that never comes.
            let caller = || opening::caller(&name, &identity, address);
            opening::farewell(&**application, caller, problem.code.row().name);
        }
        opened
    }

    /// `POST /session`: the session's way down is another request. A body is its first message up.
    async fn open_session(&mut self, head: &Head, query: &Query) -> Result<Response<Bytes>, Problem> {
        let node = &self.desk.node;
        let identity = self.identify(head, query).await?.identity;
        let (body, _load) = collect(node, &mut self.connection, node.config.limits.message).await?;
        let Opened { location, place } = self.begin(head, identity).await?;
        if !body.is_empty() {
            let up = |reply| Ask::Up { seq: None, ack: None, body, reply };
            node.ask_session(location.id, Some(location.key), up).await?;
        }
        let path = location.secret();
        let mut response = json(
            StatusCode::CREATED,
            &serde_json::json!({
                "id": location.id.to_string(),
                "location": path,
                "place": place,
                "linger": node.config.session.linger.as_millis() as u64,
            }),
        );
        if let Ok(path) = HeaderValue::try_from(path) {
            response.headers_mut().insert(LOCATION, path);
        }
        Ok(response)
    }

    /// `GET` of a location: takes the session up.
    async fn way_down(&mut self, head: &Head, query: &Query, location: Location) -> Result<Outcome, Problem> {
        let node = &self.desk.node;
        let conversing = Conversing::of(head, query, &node.config)?;
        if head.framing != Framing::None && head.framing != Framing::Length(0) {
            return Err(Code::BadRequest.because("a request that is answered by a stream has no body"));
        }
        let since = text(&head.headers, "last-event-id").or_else(|| query.last("since").map(str::to_owned));
        let known = since.and_then(|since| read_place(&since, &node.log));
        let attempt = query.number("attempt", 0..=u64::MAX)?;
        let take = Take { id: location.id, known, attempt };
        match conversing {
            Conversing::Page(wait) => self.page(location, take, wait).await,
            Conversing::Held { over, accepted } => {
                let check = |reply| Ask::Check { attempt, reply };
                node.ask_session(location.id, Some(location.key), check).await?;
                let dress = |headers: &mut HeaderMap| node.pages().allow(head, headers);
                let answer = hold::open_session(node, head, take, over, accepted.as_ref(), dress);
                Ok(self.held(head, answer))
            }
        }
    }

    /// Answers with what there is to say, once there is something or the wait is over.
    async fn page(&mut self, location: Location, take: Take, wait: Option<Duration>) -> Result<Outcome, Problem> {
        let node = &self.desk.node;
        let name = node.auth.name_connection();
        let (reply, mut replied) = oneshot::channel();
        let poll = Ask::Poll { take, waits: wait.map(|_| name), reply };
        node.tell_session(location.id, Some(location.key), poll);
        let over = |gone| {
            node.tell_session(location.id, Some(location.key), Ask::Unpoll { name });
            gone
        };
        let way = if wait.is_some() { Way::LongPoll } else { Way::Poll };
        let gone = tokio::select! {
            page = &mut replied => return self.answered(way, page),
            () = sleep(wait.unwrap_or(Duration::MAX)) => over(false),
            () = self.connection.gone() => over(true),
        };
        if gone { Ok(Outcome::Gone) } else { self.answered(way, replied.await) }
    }

    fn answered(
        &mut self,
        way: Way,
        page: Result<Result<Page, Problem>, oneshot::error::RecvError>,
    ) -> Result<Outcome, Problem> {
        let page = page.unwrap_or_else(|_| Err(session::not_found()))?;
        self.reading = Some((way, page.events));
        let load = self.desk.node.limits.transit.leaving.load_of(page.messages.iter().map(Bytes::len).sum())?;
        let mut response = Response::new(Bytes::from(page.to_json()));
        response.extensions_mut().insert(Arc::new(load));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        Ok(Outcome::Respond(response))
    }

    /// `POST` of a location: a message up.
    async fn way_up(&mut self, head: &Head, location: Location) -> Result<Response<Bytes>, Problem> {
        let node = &self.desk.node;
        let seq = number(&head.headers, "session-seq", 1)?;
        let ack = number(&head.headers, "session-ack", 0)?;
        let (body, _load) = collect(node, &mut self.connection, node.config.limits.message).await?;
        node.pace().await;
        let up = |reply| Ask::Up { seq, ack, body, reply };
        match node.ask_session(location.id, Some(location.key), up).await? {
            None => Ok(empty(StatusCode::ACCEPTED)),
            Some(expected) => {
                node.figures.problems.fetch_add(1, Ordering::Relaxed);
                Ok(problem::extended(&Code::OutOfOrder.into(), &format!(",\"expected\":{expected}")))
            }
        }
    }
}

/// A header field that is a whole number.
fn number(headers: &HeaderMap, name: &'static str, least: u64) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number =
        value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|t| t.parse().ok());
    match number.filter(|number| *number >= least) {
        Some(number) => Ok(Some(number)),
        None => Err(Code::InvalidParameter.because(format!("`{name}` is a whole number from {least} on"))),
    }
}
