//! Opening an answer that is held: its head, its first words, and where its reader begins.

use crate::auth::Identity;
use crate::listen::Head;
use crate::listen::http1::response::{Extent, write_head};
use crate::node::Node;
use crate::reading::Reading;
use crate::session::Take;
use crate::shard::{Answer, Guest, Turns};
use crate::transport::{Ending, Over, Transport, sse, stream};
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode, Version};
use std::sync::Arc;
use switchboard_hub::Place;
use switchboard_store::Opened;
use switchboard_wire::code::Problem;
use switchboard_wire::gzip::{self, Total};
use switchboard_wire::websocket::handshake::Accepted;
use switchboard_wire::{Form, Lease, Notice, form};

/// Proxies that buffer answers are told not to.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The name of a connection, by which it is renewed and revoked.
const CONNECTION_NAME: HeaderName = HeaderName::from_static("switchboard-connection");

/// What became of a read that was to be held open.
pub(crate) enum Hold {
    Answer(Box<Answer>),
    /// There is nothing more to read, ever: 204, at which an EventSource stops.
    Finished,
}

/// Opens a stream for whom it was found to be allowed. `dress` adds the header fields that are due to the client whatever
/// it asked for.
pub(crate) async fn open(
    node: &Node,
    turns: &Turns,
    head: &Head,
    identity: &Identity,
    reading: &Reading,
    (transport, accepted): (Transport, Option<&Accepted<'_>>),
    dress: impl FnOnce(&mut HeaderMap),
) -> Result<Hold, Problem> {
    let look = node.log.open_in_steps(node.now(), &reading.selection, reading.since(), false, turns);
    let opened = node.unless_draining(look).await?;
    if opened.finished && !transport.is_websocket() {
        return Ok(Hold::Finished);
    }
    let chunked = !transport.is_websocket() && head.version == Version::HTTP_11;
    let mut response = match accepted {
        Some(accepted) => switching(accepted),
        None => streaming(node, reading, transport),
    };
    dress(response.headers_mut());
    let lease =
        (!identity.is_anyone()).then(|| Lease { connection: node.auth.name_connection(), expires: identity.expires() });
    if let Some(lease) = lease.filter(|_| !transport.form().says_gaps()) {
        name(lease, response.headers_mut());
    }
    let (fields, mut bytes) = head_of(head, response, transport, chunked);
    let head_length = bytes.len();
    let form = transport.form();
    let ending = match &opened {
        _ if opened.finished => Some(Ending::Complete),
        Opened { gap: Some(_), .. } if !form.says_gaps() => Some(Ending::Broken),
        _ => None,
    };
    let mut gzip = form.is_gzipped().then(Total::default);
    if gzip.is_some() {
        let head = form::verbatim(&gzip::HEAD, Form::Body);
        bytes.extend_from_slice(&head.message(chunked).bytes);
    }
    if !opened.finished {
        let words = form::verbatim(&first_words(node, transport, &opened, lease), form).message(chunked);
        gzip.iter_mut().for_each(|total| total.add(words.sum));
        bytes.extend_from_slice(&words.bytes);
    }
    Ok(Hold::Answer(Box::new(Answer {
        fields,
        head: Bytes::from(bytes),
        head_length,
        transport,
        chunked,
        gzip,
        selection: reading.selection.clone(),
        place: Place { cursor: opened.cursor.seq, floor: opened.cursor.floor },
        ending,
        take: None,
        guest: lease.map(|lease| Guest::new(identity.clone(), lease.connection)),
    })))
}

/// Says how a connection is called where no `$open` can: in raw form.
fn name(lease: Lease, headers: &mut HeaderMap) {
    if let Ok(name) = HeaderValue::try_from(format!("{:016x}", lease.connection)) {
        headers.insert(CONNECTION_NAME, name);
    }
}

/// Opens the way down of a session. What is said on it is for the session's shard to say.
pub(crate) fn open_session(
    node: &Node,
    head: &Head,
    take: Take,
    over: Over,
    accepted: Option<&Accepted<'_>>,
    dress: impl FnOnce(&mut HeaderMap),
) -> Box<Answer> {
    let transport = Transport::Session(over);
    let chunked = !transport.is_websocket() && head.version == Version::HTTP_11;
    let mut response = match accepted {
        Some(accepted) => switching(accepted),
        None => Response::new(()),
    };
    match over {
        Over::WebSocket { .. } => {}
        Over::Sse => stream_fields(HeaderValue::from_static("text/event-stream"), response.headers_mut()),
        Over::Stream => stream_fields(HeaderValue::from_static(stream::NDJSON), response.headers_mut()),
    }
    dress(response.headers_mut());
    let (fields, mut bytes) = head_of(head, response, transport, chunked);
    let head_length = bytes.len();
    if over == Over::Sse {
        let retry = form::verbatim(sse::retry(node.config.retry).as_bytes(), transport.form());
        bytes.extend_from_slice(&retry.message(chunked).bytes);
    }
    Box::new(Answer {
        fields,
        head: Bytes::from(bytes),
        head_length,
        transport,
        chunked,
        gzip: None,
        selection: Arc::default(),
        place: Place::at(node.log.head()),
        ending: None,
        take: Some(take),
        guest: None,
    })
}

/// The head of an answer that is held open: for HTTP/2 as it is, else as it is sent.
fn head_of(head: &Head, response: Response<()>, transport: Transport, chunked: bool) -> (Option<Box<Parts>>, Vec<u8>) {
    let (parts, ()) = response.into_parts();
    if head.version == Version::HTTP_2 {
        return (Some(Box::new(parts)), Vec::new());
    }
    let (extent, connection) = match (transport.is_websocket(), chunked) {
        (true, _) => (Extent::Unsaid, None),
        (false, true) => (Extent::Chunked, Some("close")),
        (false, false) => (Extent::Unsaid, Some("close")),
    };
    let mut bytes = Vec::with_capacity(512);
    write_head(&parts, extent, connection, &mut bytes);
    (None, bytes)
}

/// `$open`, and `$gap` if reading opens with one.
fn first_words(node: &Node, transport: Transport, opened: &Opened, lease: Option<Lease>) -> Vec<u8> {
    let form = transport.plain().form();
    let gap = opened.gap.clone().or_else(|| opened.owed.clone());
    let open = Notice::Open { position: opened.position.clone(), recovered: opened.recovered, gap, lease };
    let mut words = match form {
        Form::SseRaw { .. } | Form::SseEvent { .. } => sse::retry(node.config.retry).into_bytes(),
        _ => Vec::new(),
    };
    words.extend_from_slice(&form::notice(&open, form).payload());
    if let Some(gap) = &opened.gap {
        words.extend_from_slice(&form::notice(&Notice::Gap(gap.clone()), form).payload());
    }
    words
}

fn switching(accepted: &Accepted<'_>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in accepted.fields() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn streaming(node: &Node, reading: &Reading, transport: Transport) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    let content_type = match transport {
        Transport::Sse { .. } => HeaderValue::from_static("text/event-stream"),
        Transport::Stream { raw: false, .. } | Transport::WebSocket { .. } | Transport::Session(_) => {
            HeaderValue::from_static(stream::NDJSON)
        }
        Transport::Stream { raw: true, .. } => {
            // What others published is not to be taken for a page of this server.
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
            body_type(node, reading)
        }
    };
    stream_fields(content_type, headers);
    if transport.form().is_gzipped() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if node.config.gzip {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

/// What every stream over HTTP says of itself.
pub(crate) fn stream_fields(content_type: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
}

/// The content type of the channel's newest event, which stands for the channel's.
fn body_type(node: &Node, reading: &Reading) -> HeaderValue {
    let newest = reading.selection.channels.first().and_then(|channel| node.log.content_type(channel));
    let named = match newest.as_deref() {
        Some("text/plain") => "text/plain; charset=utf-8",
        Some(named) => named,
        None => "application/octet-stream",
    };
    HeaderValue::from_str(named).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}
