//! What a read asks for: which channels, from where, and over which transport.

use crate::api::query::Query;
use crate::auth::PARAMETER;
use crate::config::Config;
use crate::listen::Head;
use crate::traffic::Way;
use crate::transport::{Over, Transport, websocket};
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, COOKIE};
use http::{HeaderMap, Method, Version};
use std::sync::Arc;
use std::time::Duration;
use switchboard_store::Since;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::name::{ChannelName, Selection};
use switchboard_wire::websocket::handshake;

/// Events on a page unless `limit` says otherwise.
const PAGE: usize = 100;

/// A read, understood.
pub(crate) struct Reading {
    pub(crate) selection: Arc<Selection>,
    since: Option<String>,
    pub(crate) how: How,
}

/// How a read is answered.
pub(crate) enum How {
    Page(PageWanted),
    /// Held open. For a WebSocket with what the handshake agreed.
    Hold {
        transport: Transport,
        accepted: Option<handshake::Accepted<'static>>,
    },
}

impl How {
    /// What it counts as.
    pub(crate) fn way(&self) -> Way {
        match self {
            How::Page(PageWanted { is_long: false, .. }) => Way::Poll,
            How::Page(PageWanted { is_long: true, .. }) => Way::LongPoll,
            How::Hold { transport, .. } => (*transport).into(),
        }
    }
}

/// A page, perhaps after a wait.
pub(crate) struct PageWanted {
    pub(crate) limit: usize,
    pub(crate) wait: Option<Duration>,
    /// Whether a wait was asked for, be it of no time: then it counts as a long poll.
    pub(crate) is_long: bool,
    /// Whether the wait was asked for by `Prefer` (RFC 7240), which is then said to have been honoured.
    pub(crate) preferred: bool,
    /// Whether `transport=poll` was asked for by name.
    pub(crate) named: bool,
    /// Whether the request carries credentials.
    pub(crate) credentials: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    WebSocket,
    Sse,
    Stream,
    Poll,
}

impl Reading {
    /// Understands `GET /channels/{channel}` and, without a channel, `GET /channels?channel=…`.
    pub(crate) fn of(
        head: &Head,
        query: &Query,
        channel: Option<ChannelName>,
        config: &Config,
    ) -> Result<Reading, Problem> {
        let single = channel.is_some();
        let selection = match channel {
            Some(_) if query.last("channel").is_some() => {
                let why = "`channel` goes with `/channels`; the path names one channel already";
                return Err(Code::InvalidParameter.because(why));
            }
            Some(channel) => Selection::one(channel),
            None => selection(query, config.limits.channels)?,
        };
        let choice = choose(head, query)?;
        let raw = raw(query, single)?;
        let gzip = config.gzip && takes_gzip(&head.headers);
        // What cannot be is refused whatever the transport makes of it.
        let wanted = page(head, query, config)?;
        let how = match choice {
            Choice::Poll if raw == Some(true) => {
                return Err(Code::InvalidParameter.because("a page is always in event form"));
            }
            Choice::Poll => How::Page(wanted),
            Choice::Sse => hold(Transport::Sse { raw: raw.unwrap_or(single), gzip }),
            Choice::Stream if raw == Some(true) && !single => {
                let why = "`form=raw` streams the data of one channel: name it in the path";
                return Err(Code::InvalidParameter.because(why));
            }
            Choice::Stream => hold(Transport::Stream { raw: raw.unwrap_or(false), gzip }),
            Choice::WebSocket => websocket(head, raw, single)?,
        };
        let of_stream = matches!(how, How::Hold { .. }).then(|| text(&head.headers, "last-event-id")).flatten();
        let since = of_stream.or_else(|| query.last("since").filter(|since| !since.is_empty()).map(str::to_owned));
        Ok(Reading { selection: Arc::new(selection), since, how })
    }

    /// Where the reader said to begin, in its own words.
    pub(crate) fn since_text(&self) -> Option<&str> {
        self.since.as_deref()
    }

    pub(crate) fn since(&self) -> Since<'_> {
        match self.since_text() {
            None => Since::Default,
            Some("earliest") => Since::Earliest,
            Some("latest") => Since::Latest,
            Some(position) => Since::At(position),
        }
    }

    /// Whether the reader named a position, rather than a word or nothing.
    pub(crate) fn is_explicit(&self) -> bool {
        matches!(self.since(), Since::At(_))
    }
}

/// Whether a request to read would be answered as an event stream: such a client is refused in its own way.
pub(crate) fn is_event_stream(head: &Head, query: &Query) -> bool {
    head.method == Method::GET && matches!(choose(head, query), Ok(Choice::Sse))
}

fn hold(transport: Transport) -> How {
    How::Hold { transport, accepted: None }
}

fn selection(query: &Query, most: usize) -> Result<Selection, Problem> {
    let mut selection = Selection::default();
    for text in query.all("channel") {
        selection.add(text).map_err(|bad| Code::ChannelName.because(bad.to_string()))?;
        if text.starts_with('$') {
            return Err(Code::ChannelName.because("names that begin with `$` are the system's own"));
        }
        if selection.len() > most {
            return Err(Code::InvalidParameter.because(format!("a reader names at most {most} channels")));
        }
    }
    match selection.is_empty() {
        true => Err(Code::InvalidParameter.because("say which channels: `?channel=a&channel=b/**`")),
        false => Ok(selection),
    }
}

/// The transport: `?transport=` overrides, then a handshake, then the highest `q` of `Accept`, then the order of the
/// table. Wildcards select no stream, and HEAD never streams.
fn choose(head: &Head, query: &Query) -> Result<Choice, Problem> {
    if head.method == Method::HEAD {
        return Ok(Choice::Poll);
    }
    match query.last("transport") {
        Some("websocket") => return Ok(Choice::WebSocket),
        Some("sse") => return Ok(Choice::Sse),
        Some("stream") => return Ok(Choice::Stream),
        Some("poll") => return Ok(Choice::Poll),
        Some(_) => {
            return Err(Code::InvalidParameter.because("`transport` is one of websocket, sse, stream and poll"));
        }
        None => {}
    }
    if head.websocket || handshake::is_websocket_request(version(head), fields(&head.headers).into_iter()) {
        return Ok(Choice::WebSocket);
    }
    let accept = Accept::of(&head.headers);
    if accept.sse > 0 && accept.sse >= accept.stream && accept.sse >= accept.page {
        Ok(Choice::Sse)
    } else if accept.stream > 0 && accept.stream >= accept.page {
        Ok(Choice::Stream)
    } else {
        Ok(Choice::Poll)
    }
}

/// What `Accept` (RFC 9110 section 12.5.1) thinks of each answer, in thousandths.
#[derive(Default)]
struct Accept {
    sse: u16,
    stream: u16,
    page: u16,
}

impl Accept {
    fn of(headers: &HeaderMap) -> Accept {
        let mut accept = Accept::default();
        for range in headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')) {
            let (range, q) = weighed(range);
            let of = match &*range {
                "text/event-stream" => &mut accept.sse,
                "application/x-ndjson" => &mut accept.stream,
                "application/json" | "application/*" | "*/*" => &mut accept.page,
                _ => continue,
            };
            *of = q.max(*of);
        }
        accept
    }
}

/// Whether `Accept-Encoding` (RFC 9110 section 12.5.3) names gzip, by a name of its own or as any other.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut named, mut any) = (None, None);
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, q) = weighed(coding);
        match &*name {
            "gzip" | "x-gzip" => named = named.max(Some(q)),
            "*" => any = Some(q),
            _ => {}
        }
    }
    named.or(any).is_some_and(|q| q > 0)
}

/// A name and its weight in thousandths (RFC 9110 section 12.4.2).
fn weighed(item: &str) -> (String, u16) {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, q.map_or(1000, |q| q.parse::<f32>().map_or(0, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16)))
}

fn raw(query: &Query, single: bool) -> Result<Option<bool>, Problem> {
    match query.last("form") {
        None if single => Ok(None),
        None => Ok(Some(false)),
        Some("raw") => Ok(Some(true)),
        Some("event") => Ok(Some(false)),
        Some(_) => Err(Code::InvalidParameter.because("`form` is raw or event")),
    }
}

fn websocket(head: &Head, raw: Option<bool>, single: bool) -> Result<How, Problem> {
    if raw == Some(true) && !single {
        let why = "a raw WebSocket publishes what it hears: it reads one channel, named in the path";
        return Err(Code::InvalidParameter.because(why));
    }
    // A subprotocol means a form, so it is not agreed to where the other form was asked for.
    let supported: &[&'static str] = match raw {
        Some(true) => &[websocket::RAW],
        Some(false) => &[websocket::EVENT],
        None => &[websocket::RAW, websocket::EVENT],
    };
    let fields = fields(&head.headers);
    let accepted = shake(head, &fields, supported)?;
    let deflated = accepted.deflate.map(|deflate| deflate.window);
    let raw = raw.unwrap_or(accepted.protocol != Some(websocket::EVENT));
    let transport = Transport::WebSocket { raw, deflated };
    Ok(How::Hold { transport, accepted: Some(accepted) })
}

/// How the way down of a session is asked for.
pub(crate) enum Conversing {
    /// A page, after a wait if there is one.
    Page(Option<Duration>),
    Held {
        over: Over,
        accepted: Option<handshake::Accepted<'static>>,
    },
}

impl Conversing {
    /// Understands `GET /session` and `GET` of a session's location.
    pub(crate) fn of(head: &Head, query: &Query, config: &Config) -> Result<Conversing, Problem> {
        let choice = choose(head, query)?;
        let wanted = page(head, query, config)?;
        Ok(match choice {
            Choice::Poll => Conversing::Page(wanted.wait),
            Choice::Sse => Conversing::Held { over: Over::Sse, accepted: None },
            Choice::Stream => Conversing::Held { over: Over::Stream, accepted: None },
            Choice::WebSocket => {
                let accepted = shake(head, &fields(&head.headers), &[websocket::SESSION])?;
                if accepted.protocol.is_none() {
                    let why = "a session's WebSocket offers the subprotocol `switchboard.v1`";
                    return Err(Code::BadRequest.because(why));
                }
                let over = Over::WebSocket { deflated: accepted.deflate.map(|deflate| deflate.window) };
                Conversing::Held { over, accepted: Some(accepted) }
            }
        })
    }
}

fn page(head: &Head, query: &Query, config: &Config) -> Result<PageWanted, Problem> {
    let limit = match query.last("limit").map(whole_number) {
        None => PAGE as u64,
        Some(Some(limit)) if limit > 0 => limit,
        Some(_) => return Err(Code::InvalidParameter.because("`limit` is a number of events, at least 1")),
    };
    let asked = match query.last("wait").map(whole_number) {
        None => None,
        Some(Some(seconds)) => Some(seconds),
        Some(None) => return Err(Code::InvalidParameter.because("`wait` is a whole number of seconds")),
    };
    let preferred = preferred_wait(&head.headers);
    let wait = asked.or(preferred).map(|seconds| Duration::from_secs(seconds).min(config.timeouts.wait));
    Ok(PageWanted {
        limit: usize::try_from(limit).unwrap_or(usize::MAX).min(config.limits.page),
        // HEAD never waits.
        wait: wait.filter(|wait| !wait.is_zero() && head.method != Method::HEAD),
        is_long: wait.is_some(),
        preferred: asked.is_none() && preferred.is_some(),
        named: query.last("transport") == Some("poll"),
        credentials: head.headers.contains_key(AUTHORIZATION)
            || head.headers.contains_key(COOKIE)
            || query.last(PARAMETER).is_some(),
    })
}

/// `Prefer: wait=N` (RFC 7240 section 4.3). A preference that cannot be read is ignored, as the RFC says.
fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split([',', ';'])).find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| whole_number(value.trim().trim_matches('"')))?
    })
}

/// A whole number, however large: it is bounded by the server's own limit.
fn whole_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned()).filter(|text| !text.is_empty())
}

fn shake(
    head: &Head,
    fields: &[(&str, &[u8])],
    supported: &[&'static str],
) -> Result<handshake::Accepted<'static>, Problem> {
    let fields = fields.iter().copied();
    match head.websocket {
        true => handshake::accept_stream(fields, supported, true),
        false => handshake::accept(head.method.as_str(), version(head), fields, supported, true),
    }
}

fn version(head: &Head) -> (u8, u8) {
    match head.version {
        Version::HTTP_10 => (1, 0),
        Version::HTTP_2 => (2, 0),
        _ => (1, 1),
    }
}

fn fields(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}
