//! Lets requests in: one connection's, one after the other, until one of them turns it into a stream.

mod session;

use crate::api;
use crate::api::documents;
use crate::api::query::{self, Query};
use crate::auth::{self, Asked, Identity};
use crate::console;
use crate::hold::{self, Hold};
use crate::limits::bucket::Allowance;
use crate::limits::{AddressSeat, Asker, Seats};
use crate::listen::http1::{Connection, Framing, Head, Next};
use crate::listen::{Accepted, Stream, proxy, tls};
use crate::metrics;
use crate::node::Node;
use crate::origin;
use crate::reading::{How, PageWanted, Reading, is_event_stream};
use crate::session::{PATH, shown};
use crate::shard::{Adopted, Answer, Carrier, Guest, SharedShard};
use crate::traffic::Way;
use crate::transport::{poll, sse};
use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ORIGIN, VARY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use switchboard_wire::code::Problem;
use switchboard_wire::{Code, Form};
use tokio::net::TcpStream;
use tokio::sync::Notify;

const PLAIN: &str = "text/plain; charset=utf-8";

/// What became of a request.
enum Outcome {
    Respond(Response<Bytes>),
    /// The connection becomes a stream.
    Hold(Box<Answer>),
    /// The client went away meanwhile.
    Gone,
}

/// Serves a connection until it closes or becomes a stream.
pub(crate) async fn serve(accepted: Accepted, node: Arc<Node>, shard: SharedShard, bell: Arc<Notify>) {
    let Accepted { socket, secure, admission, address, seat, refused } = accepted;
    let Ok(mut socket) = TcpStream::from_std(socket) else { return };
    let mut refused = refused;
    let mut client = Client { address, seat };
    let mut leftover = BytesMut::new();
    if node.config.proxies.speaks_protocol(address) {
        let mut draining = node.draining.subscribe();
        let header = tokio::select! {
            header = proxy::read(&mut socket, node.http1.head) => header,
            _ = draining.wait_for(|draining| *draining) => return,
        };
        match header {
            Ok((said, behind)) => (client.address, leftover) = (said.unwrap_or(address), behind),
            Err(error) => return tracing::warn!(%address, %error, "no PROXY header from a proxy"),
        }
        if refused.is_none() && !node.config.proxies.are(client.address) {
            match node.limits.connection(client.address) {
                Ok(seat) => client.seat = seat,
                Err(problem) => refused = Some(problem.code),
            }
        }
    }
    let settings = if refused.is_none() { node.http1.clone() } else { node.refusing.clone() };
    let stream = match secure {
        false => Stream::Plain(socket),
        true => {
            let read = std::mem::take(&mut leftover);
            // Not part of every connection's task.
            match Box::pin(shake_hands(socket, read, client.address, &node, &shard)).await {
                Some(stream) => Stream::Tls(stream),
                None => return,
            }
        }
    };
    let connection = Connection::with_leftover(stream, settings, leftover);
    let front = Front { connection, node: node.clone(), shard: shard.clone(), refused, client, reading: None };
    if let Some((answer, connection)) = front.run().await {
        let (stream, received) = connection.into_parts();
        let mut received = Vec::from(received);
        let Ok(carrier) = Carrier::of(stream, &mut received) else { return };
        let adopted = Adopted { carrier, received, answer: *answer, admission };
        match adopted.answer.take.map(|take| usize::from(take.id.shard)) {
            // A session has its connections where it is itself.
            Some(home) if home != shard.borrow().index() => node.hand_over(home, adopted),
            _ => shard.borrow_mut().take_over(adopted),
        }
        bell.notify_one();
    }
}

/// Agrees on TLS, if that comes to anything before the server stops.
async fn shake_hands(
    socket: TcpStream,
    read: BytesMut,
    address: IpAddr,
    node: &Node,
    shard: &SharedShard,
) -> Option<tls::Stream> {
    let config = node.tls.as_ref()?.config();
    let (gate, mut draining) = (shard.borrow().gate(), node.draining.subscribe());
    let shaken = tokio::select! {
        shaken = tls::accept(socket, &read, config, &gate, node.http1.head, &node.figures.handshakes) => shaken,
        _ = draining.wait_for(|draining| *draining) => return None,
    };
    match shaken {
        Ok(stream) => {
            let protocol = stream.session().protocol().map(String::from_utf8_lossy);
            tracing::debug!(%address, ?protocol, "TLS is agreed on");
            Some(stream)
        }
        Err(why) => {
            tracing::debug!(%address, ?why, "a TLS handshake failed");
            None
        }
    }
}

/// Where a connection comes from.
struct Client {
    address: IpAddr,
    /// Its place among those of the address, where that is counted by connections.
    seat: Option<AddressSeat>,
}

/// A connection that reads requests.
struct Front {
    connection: Connection<Stream>,
    node: Arc<Node>,
    shard: SharedShard,
    /// The limit that the connection is beyond.
    refused: Option<Code>,
    client: Client,
    /// Set while a read is answered at once: how it reads, and the events it is given.
    reading: Option<(Way, usize)>,
}

impl Front {
    /// Answers requests until one is to be held open, or there are no more.
    async fn run(mut self) -> Option<(Box<Answer>, Connection<Stream>)> {
        let mut draining = self.node.draining.subscribe();
        let mut is_first = true;
        // One wait for all requests.
        let mut drained = pin!(draining.wait_for(|draining| *draining));
        loop {
            let next = tokio::select! {
                biased;
                next = self.connection.next_request() => next,
                _ = &mut drained => return None,
            };
            let mut response = match next {
                Next::Closed | Next::Idle => return None,
                Next::Refused(problem) => self.problem(&problem),
                Next::Request(mut head) => {
                    if let Some(host) = self.node.config.proxies.host(self.client.address, &head)
                        && !self.node.auth.settings().is_open()
                    {
                        // The server's own pages are those of the host that browsers know. In open mode, the one that
                        // is asked for keeps strangers out.
                        head.host = Some(host);
                    }
                    self.node.figures.requests.fetch_add(1, Ordering::Relaxed);
                    if std::mem::take(&mut is_first) {
                        self.notice_proxy(&head);
                    }
                    match self.answer(&head).await {
                        Outcome::Respond(response) => {
                            self.audit(&head, &response);
                            // The path alone: a query may hold a token.
                            tracing::debug!(method = %head.method, path = shown(&head.path), status = %response.status());
                            self.dress(&head, response)
                        }
                        Outcome::Hold(answer) => {
                            tracing::debug!(path = shown(&head.path), transport = ?answer.transport, "held");
                            return Some((answer, self.connection));
                        }
                        Outcome::Gone => return None,
                    }
                }
            };
            if self.refused.is_some() || self.node.is_draining() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let goes_on = self.connection.respond(response).await.unwrap_or(false);
            self.count_read();
            if !goes_on {
                return None;
            }
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
        self.node.pages().check(head)?;
        let query = Query::parse(head.query.as_deref())?;
        let refused = self.refused.or_else(|| self.node.is_draining().then_some(Code::Draining));
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
                false => self.read(head, &query).await,
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
                if self.node.auth.settings().metrics {
                    let asked = self.identify(head, &query).await?;
                    self.node.auth.allow_managing(&asked.identity)?;
                }
                get_only(head, || {
                    let (content_type, body) = metrics::text(&self.node, &head.headers);
                    text(content_type, body)
                })?
            }
            "/readyz" => {
                self.node.check().await?;
                get_only(head, || text(PLAIN, "ready\n".into()))?
            }
            path if console::serves(path) => get_only(head, || console::respond(path))?,
            path if documents::serves(path) => get_only(head, || documents::respond(path))?,
            _ => {
                let asked = self.identify(head, &query).await?;
                let (address, proxied) = self.origin(head);
                // A publish may take long, as a stream of events does.
                let _seat = proxied.map(|address| self.node.limits.connection(address)).transpose()?;
                let allowance = self.node.limits.publisher(&asked.identity, Some(address));
                let asker = Asker { identity: asked.identity, allowance };
                api::answer(&self.node, head, &asker, &query, &mut self.connection).await?
            }
        }))
    }

    /// Who asks. A cookie is sent along whatever page asks, so that it counts for pages that are listed alone.
    async fn identify(&self, head: &Head, query: &Query) -> Result<Asked, Problem> {
        let asked = self.node.auth.identify(head, query, self.node.now()).await?;
        if asked.way == Some(auth::Way::Cookie) {
            self.node.pages().check_cookie(head)?;
        }
        Ok(asked)
    }

    async fn read(&mut self, head: &Head, query: &Query) -> Result<Outcome, Problem> {
        let channel = match head.path.strip_prefix("/channels/") {
            Some(name) => Some(query::channel(name)?),
            None => None,
        };
        let reading = Reading::of(head, query, channel, &self.node.config)?;
        let identity = self.identify(head, query).await?.identity;
        self.node.auth.allow_reading(&identity, &reading.selection)?;
        let waits = match &reading.how {
            How::Page(PageWanted { wait, .. }) => wait.is_some_and(|wait| !wait.is_zero()),
            How::Hold { .. } => true,
        };
        let (address, proxied) = self.origin(head);
        let seats = if waits { self.node.limits.stream(&identity, proxied)? } else { Seats::default() };
        let way = reading.how.way();
        self.shard.borrow().traffic().asked(way, head.length);
        self.reading = Some((way, 0));
        match &reading.how {
            How::Page(wanted) => {
                let gone = self.connection.gone();
                let page =
                    poll::answer(&self.node, &self.shard, &head.headers, &identity, &reading, wanted, gone).await?;
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
                let dress = |headers: &mut HeaderMap| self.node.pages().allow(head, headers);
                Ok(match hold::open(&self.node, head, &identity, &reading, *transport, accepted.as_ref(), dress) {
                    Hold::Answer(mut answer) => {
                        let allowance = self.node.limits.publisher(&identity, Some(address));
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
        let (proxies, peer) = (&self.node.config.proxies, self.client.address);
        let address = proxies.origin(peer, head).unwrap_or(peer);
        (address, proxies.are(peer).then_some(address))
    }

    /// Lets a stream keep what it takes up of limits for as long as it is held. Anyone's has a guest for that alone.
    fn seat(&mut self, answer: &mut Answer, mut seats: Seats, allowance: Allowance, address: IpAddr) {
        seats.address = seats.address.or_else(|| self.client.seat.take());
        if answer.guest.is_none() && seats.is_empty() && !allowance.is_limited() {
            return;
        }
        let anyone = || Guest::new(Identity::default(), self.node.auth.name_connection());
        let guest = answer.guest.get_or_insert_with(anyone);
        (guest.seats, guest.allowance, guest.address) = (seats, allowance, address);
    }

    /// Counts the read that was just answered, if it was one.
    fn count_read(&mut self) {
        let Some((way, events)) = self.reading.take() else { return };
        let (head, body) = self.connection.answered();
        let shard = self.shard.borrow();
        shard.traffic().answered(way, head, body);
        shard.traffic().sent(way, events, 0);
    }

    fn problem(&self, problem: &Problem) -> Response<Bytes> {
        self.node.figures.problems.fetch_add(1, Ordering::Relaxed);
        api::problem::respond(problem)
    }

    /// Says, once, that there seems to be a proxy in front that nobody named: all who come through it count as one.
    fn notice_proxy(&self, head: &Head) {
        let (node, peer) = (&self.node, self.client.address);
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
        let Some(code) = response.extensions().get::<Code>().filter(|code| self.node.denies(**code)) else { return };
        let (code, peer) = (code.row().name, self.origin(head).0.to_string());
        let (status, origin) =
            (response.status().as_u16(), head.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()));
        tracing::info!(target: "switchboard::audit", status, code, method = %head.method, path = shown(&head.path), peer, origin, "denied");
    }

    fn refuse_event_stream(&self, code: Code, converses: bool) -> Response<Bytes> {
        let form = if converses { Form::SseSession } else { Form::SseRaw { gzip: false } };
        let mut response = Response::new(sse::refusal(code, self.node.config.retry, form));
        response.extensions_mut().insert(code);
        let headers = response.headers_mut();
        hold::stream_fields(HeaderValue::from_static("text/event-stream"), headers);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// Adds what is due to a browser.
    fn dress(&self, head: &Head, mut response: Response<Bytes>) -> Response<Bytes> {
        self.node.pages().allow(head, response.headers_mut());
        response
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
