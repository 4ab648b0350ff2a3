//! Lets requests in, and has them answered. [`connection`] is what stands in front of HTTP; [`http1`] answers requests one
//! after the other until one of them turns the connection into a stream, [`http2`] side by side. [`desk`] is where that is.

mod connection;
mod desk;
mod http1;
mod http2;
mod session;
mod site;

pub(crate) use connection::serve;
pub(crate) use desk::Desk;
pub(crate) use http2::Job;

use crate::api;
use crate::api::documents;
use crate::api::query::{self, Query};
use crate::auth::{self, Asked, Identity};
use crate::console;
use crate::hold::{self, Hold};
use crate::limits::bucket::Allowance;
use crate::limits::{AddressSeat, Asker, Seats};
use crate::listen::{Body, Framing, Head, Peer};
use crate::metrics;
use crate::origin;
use crate::reading::{How, PageWanted, Reading, is_event_stream};
use crate::session::{PATH, shown};
use crate::shard::{Answer, Guest};
use crate::traffic::Way;
use crate::transport::{poll, sse};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ORIGIN, VARY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use site::Promised;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use switchboard_hub::cost;
use switchboard_wire::code::Problem;
use switchboard_wire::{Code, Form};

const PLAIN: &str = "text/plain; charset=utf-8";

/// What became of a request.
enum Outcome {
    Respond(Response<Bytes>),
    /// A file of the site: what anyone may have, whatever page asks.
    File(Response<Body>),
    /// The connection becomes a stream.
    Hold(Box<Answer>),
    /// The client went away meanwhile.
    Gone,
}

/// Where a request comes from.
struct Client {
    address: IpAddr,
    /// Whether it comes by TLS.
    secure: bool,
    /// Its place among those of the address, where that is counted by connections and the request has the whole of one.
    seat: Option<AddressSeat>,
    /// The limit that its connection is beyond.
    refused: Option<Code>,
}

/// Answers requests, whatever protocol they arrive by: `C` is the other end of one.
struct Front<C> {
    connection: C,
    desk: Desk,
    client: Client,
    /// Set while a read is answered at once: how it reads, and the events it is given.
    reading: Option<(Way, usize)>,
    /// What the client was promised with the answer.
    promised: Vec<Promised>,
}

impl<C: Peer> Front<C> {
    fn new(connection: C, desk: Desk, client: Client) -> Front<C> {
        Front { connection, desk, client, reading: None, promised: Vec::new() }
    }

    /// Answers a request, with all that the log and the client are told of it.
    async fn handle(&mut self, mut head: Head) -> Outcome {
        if let Some(host) = self.desk.node.config.proxies.host(self.client.address, &head)
            && !self.desk.node.auth.settings().is_open()
        {
            // The server's own pages are those of the host that browsers know. In open mode, the one that is asked for
            // keeps strangers out.
            head.host = Some(host);
        }
        self.desk.node.figures.requests.fetch_add(1, Ordering::Relaxed);
        match self.answer(&head).await {
            Outcome::Respond(response) => {
                self.audit(&head, &response);
                // The path alone: a query may hold a token.
                tracing::debug!(method = %head.method, path = shown(&head.path), status = %response.status());
                Outcome::Respond(self.dress(&head, response))
            }
            Outcome::File(response) => {
                tracing::debug!(method = %head.method, path = head.path, status = %response.status());
                Outcome::File(response)
            }
            Outcome::Hold(answer) => {
                tracing::debug!(path = shown(&head.path), transport = ?answer.transport, "held");
                Outcome::Hold(answer)
            }
            Outcome::Gone => Outcome::Gone,
        }
    }

    async fn answer(&mut self, head: &Head) -> Outcome {
        match self.route(head).await {
            Ok(outcome) => outcome,
            Err(problem) => {
                self.reading = None;
                Outcome::Respond(self.problem(&problem))
            }
        }
    }

    async fn route(&mut self, head: &Head) -> Result<Outcome, Problem> {
        self.desk.node.pages().check(head)?;
        let left = self.connection.left();
        if self.is_file(head) {
            return while_there(left, self.file(head)).await;
        }
        let query = Query::parse(head.query.as_deref())?;
        let refused = self.refusal();
        if head.path == "/healthz" {
            return get_only(head, || text(PLAIN, "ok\n".into())).map(Outcome::Respond);
        }
        let converses = head.path == "/session" || head.path.starts_with(PATH);
        let reads = converses || head.path == "/channels" || head.path.starts_with("/channels/");
        if origin::is_preflight(head) {
            // Whatever becomes of what the page asks then, it is to be able to read.
            return Ok(Outcome::Respond(empty(StatusCode::NO_CONTENT)));
        }
        // Whoever watches the server is not to take it for dead because others come from the same address.
        let watches = matches!(&*head.path, "/readyz" | "/metrics") && refused == Some(Code::TooMany);
        if let Some(code) = refused.filter(|_| !watches) {
            // An EventSource stops for good at any status but 200, so it is refused within one.
            let lasting = reads && is_event_stream(head, &query);
            return if lasting {
                Ok(Outcome::Respond(self.refuse_event_stream(code, converses)))
            } else {
                Err(code.into())
            };
        }
        if converses && head.method != Method::GET {
            return self.session(head, &query).await;
        }
        if reads && matches!(head.method, Method::GET | Method::HEAD) {
            let read = match converses {
                true => self.session(head, &query).await,
                false => while_there(left, self.read(head, &query)).await,
            };
            return match read {
                // What may succeed later is refused in the way that an EventSource survives.
                Err(problem) if problem.code.row().reconnect && is_event_stream(head, &query) => {
                    Ok(Outcome::Respond(self.refuse_event_stream(problem.code, converses)))
                }
                read => read,
            };
        }
        Ok(Outcome::Respond(match &*head.path {
            "/metrics" => {
                if self.desk.node.auth.settings().metrics {
                    let asked = self.identify(head, &query).await?;
                    self.desk.node.auth.allow_managing(&asked.identity)?;
                }
                get_only(head, || {
                    let (content_type, body) = metrics::text(&self.desk.node, &head.headers);
                    text(content_type, body)
                })?
            }
            "/readyz" => {
                self.desk.node.check().await?;
                get_only(head, || text(PLAIN, "ready\n".into()))?
            }
            path if console::serves(path) => get_only(head, || console::respond(path))?,
            path if documents::serves(path) => get_only(head, || documents::respond(path))?,
            _ => {
                let asked = self.identify(head, &query).await?;
                let (address, proxied) = self.origin(head);
                // A publish may take long, as a stream of events does.
                let _seat = proxied.map(|address| self.desk.node.limits.connection(address)).transpose()?;
                let allowance = self.desk.node.limits.publisher(&asked.identity, Some(address));
                let asker = Asker { identity: asked.identity, allowance };
                let turns = self.desk.shard.borrow().turns();
                api::answer(&self.desk.node, &*turns, head, &asker, &query, &mut self.connection).await?
            }
        }))
    }

    /// Why nothing is answered, if nothing is.
    fn refusal(&self) -> Option<Code> {
        self.client.refused.or_else(|| self.desk.node.is_draining().then_some(Code::Draining))
    }

    /// Who asks. A cookie is sent along whatever page asks, so that it counts for pages that are listed alone.
    async fn identify(&self, head: &Head, query: &Query) -> Result<Asked, Problem> {
        let asked = self.desk.node.auth.identify(head, query, self.desk.node.now()).await?;
        if asked.way == Some(auth::Way::Cookie) {
            self.desk.node.pages().check_cookie(head)?;
        }
        Ok(asked)
    }

    async fn read(&mut self, head: &Head, query: &Query) -> Result<Outcome, Problem> {
        let node = &self.desk.node;
        let channel = match head.path.strip_prefix("/channels/") {
            Some(name) => Some(query::channel(name)?),
            None => None,
        };
        let reading = Reading::of(head, query, channel, &node.config)?;
        let identity = self.identify(head, query).await?.identity;
        node.auth.allow_reading(&identity, &reading.selection)?;
        let waits = match &reading.how {
            How::Page(PageWanted { wait, .. }) => wait.is_some_and(|wait| !wait.is_zero()),
            How::Hold { .. } => true,
        };
        let (address, proxied) = self.origin(head);
        let mut seats = if waits { node.limits.stream(&identity, proxied)? } else { Seats::default() };
        if waits {
            self.desk.shard.borrow().allow_names(&reading.selection)?;
            seats.patterns = node.limits.transit.stalled.load_if_large(cost(&reading.selection))?;
        }
        let way = reading.how.way();
        self.desk.shard.borrow().traffic().asked(way, head.length);
        self.reading = Some((way, 0));
        match &reading.how {
            How::Page(wanted) => {
                let gone = self.connection.gone();
                let page =
                    poll::answer(node, &self.desk.shard, &head.headers, &identity, &reading, wanted, gone).await?;
                let Some((response, events)) = page else { return Ok(Outcome::Gone) };
                if head.method != Method::HEAD {
                    self.reading = Some((way, events));
                }
                Ok(Outcome::Respond(response))
            }
            // What follows the head is the stream's: bytes that someone in between takes for a body must not be.
            How::Hold { .. } if head.framing != Framing::None && head.framing != Framing::Length(0) => {
                Err(Code::BadRequest.because("a request that is answered by a stream has no body"))
            }
            How::Hold { transport, accepted } => {
                let dress = |headers: &mut HeaderMap| node.pages().allow(head, headers);
                let turns = self.desk.shard.borrow().turns();
                let held = hold::open(node, &turns, head, &identity, &reading, (*transport, accepted.as_ref()), dress);
                Ok(match held.await? {
                    Hold::Answer(mut answer) => {
                        // Others may have come while the log was looked at.
                        self.desk.shard.borrow().allow_names(&reading.selection)?;
                        let allowance = node.limits.publisher(&identity, Some(address));
                        self.seat(&mut answer, seats, allowance, address);
                        Outcome::Hold(answer)
                    }
                    Hold::Finished => {
                        let mut response = empty(StatusCode::NO_CONTENT);
                        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
                        Outcome::Respond(response)
                    }
                })
            }
        }
    }

    /// Where a request is from; and, where it came through a proxy, that again. Of whom the proxy says nothing, they
    /// count as the proxy.
    fn origin(&self, head: &Head) -> (IpAddr, Option<IpAddr>) {
        let (proxies, peer) = (&self.desk.node.config.proxies, self.client.address);
        let address = proxies.origin(peer, head).unwrap_or(peer);
        (address, proxies.are(peer).then_some(address))
    }

    /// Lets a stream keep what it takes up of limits for as long as it is held. Anyone's has a guest for that alone.
    fn seat(&mut self, answer: &mut Answer, mut seats: Seats, allowance: Allowance, address: IpAddr) {
        seats.address = seats.address.or_else(|| self.client.seat.take());
        if answer.guest.is_none() && seats.is_empty() && !allowance.is_limited() {
            return;
        }
        let anyone = || Guest::new(Identity::default(), self.desk.node.auth.name_connection());
        let guest = answer.guest.get_or_insert_with(anyone);
        (guest.seats, guest.allowance, guest.address) = (seats, allowance, address);
    }

    /// Counts the read that was just answered, if it was one: in so many bytes of a head and of a body.
    fn count_read(&mut self, sizes: (usize, usize)) {
        let Some((way, events)) = self.reading.take() else { return };
        let (head, body) = sizes;
        let shard = self.desk.shard.borrow();
        shard.traffic().answered(way, head, body);
        shard.traffic().sent(way, events, 0);
    }

    fn problem(&self, problem: &Problem) -> Response<Bytes> {
        self.desk.node.figures.problems.fetch_add(1, Ordering::Relaxed);
        api::problem::respond(problem)
    }

    /// Says, once, that there seems to be a proxy in front that nobody named: all who come through it count as one.
    fn notice_proxy(&self, head: &Head) {
        let (node, peer) = (&self.desk.node, self.client.address);
        if !node.limits.count_addresses() || node.unnamed_proxy.load(Ordering::Relaxed) {
            return;
        }
        let Some(field) = node.config.proxies.unnamed(peer, head) else { return };
        if !node.unnamed_proxy.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "a request came with `{field}` from an address that is not listed as a proxy, so that nobody hears what it \
                 says: if it is a proxy of yours, list it in `addresses` of [proxies]; else all who come through it share \
                 the limits of one address"
            );
        }
    }

    /// A line for a request that is refused for who makes it, or for a limit, without anything that was shown.
    fn audit(&self, head: &Head, response: &Response<Bytes>) {
        let Some(code) = response.extensions().get::<Code>().filter(|code| self.desk.node.denies(**code)) else {
            return;
        };
        let (code, peer) = (code.row().name, self.origin(head).0.to_string());
        let (status, origin) =
            (response.status().as_u16(), head.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()));
        tracing::info!(target: "switchboard::audit", status, code, method = %head.method, path = shown(&head.path), peer, origin, "denied");
    }

    fn refuse_event_stream(&self, code: Code, converses: bool) -> Response<Bytes> {
        let form = if converses { Form::SseSession } else { Form::SseRaw { gzip: false } };
        let mut response = Response::new(sse::refusal(code, self.desk.node.config.retry, form));
        response.extensions_mut().insert(code);
        let headers = response.headers_mut();
        hold::stream_fields(HeaderValue::from_static("text/event-stream"), headers);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// Adds what is due to a browser.
    fn dress(&self, head: &Head, mut response: Response<Bytes>) -> Response<Bytes> {
        self.desk.node.pages().allow(head, response.headers_mut());
        response
    }
}

/// Answers for as long as there is anybody to take the answer: a connection may be gone long before its many requests have
/// had their turns.
async fn while_there(
    left: impl Future<Output = ()>,
    answer: impl Future<Output = Result<Outcome, Problem>>,
) -> Result<Outcome, Problem> {
    tokio::select! {
        biased;
        () = left => Ok(Outcome::Gone),
        answer = answer => answer,
    }
}

fn get_only(head: &Head, respond: impl FnOnce() -> Response<Bytes>) -> Result<Response<Bytes>, Problem> {
    match head.method {
        Method::GET | Method::HEAD => Ok(respond()),
        Method::OPTIONS => Ok(api::problem::with_allow(empty(StatusCode::NO_CONTENT), "GET, HEAD, OPTIONS")),
        _ => {
            let refusal = api::problem::respond(&Code::MethodNotAllowed.into());
            Ok(api::problem::with_allow(refusal, "GET, HEAD, OPTIONS"))
        }
    }
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn text(content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
