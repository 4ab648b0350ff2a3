//! What a request's head says, whatever version of HTTP it is written in, and the rules that every version keeps.

use super::target;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, Method, Version};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// A request head that keeps every rule.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: Method,
    /// As written, percent-encoding and all: `/…`, or `*` with OPTIONS.
    pub path: String,
    /// What follows the first `?`, as written.
    pub query: Option<String>,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    pub headers: HeaderMap,
    /// `host [ ":" port ]`: of the target's absolute form or `:authority`, else of `Host`. Missing in HTTP/1.0 alone.
    pub host: Option<String>,
    pub framing: Framing,
    /// Whether it opens a WebSocket by HTTP/2 (RFC 8441). What HTTP/1.1 asks for in its fields is for others to see.
    pub websocket: bool,
    /// Whether the peer would send another request on this connection.
    pub keep_alive: bool,
    /// Whether the peer waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// How long it is, in bytes.
    pub length: usize,
}

/// How the body is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    Chunked,
}

/// RFC 9112 section 3.2: HTTP/1.1 has exactly one `Host`, even where the target names the host.
pub(super) fn host_of(
    headers: &HeaderMap,
    version: Version,
    authority: Option<&str>,
) -> Result<Option<String>, Problem> {
    let mut values = all(headers, HOST);
    let first = values.next();
    if values.next().is_some() {
        return Err(Code::BadRequest.because("the request has more than one Host"));
    }
    let named = match first {
        Some(value) => match std::str::from_utf8(value) {
            Ok(text) if target::is_host(text) => Some(text),
            _ => return Err(Code::BadRequest.because("the Host is malformed")),
        },
        None if version == Version::HTTP_11 => return Err(Code::BadRequest.because("the request has no Host")),
        None => None,
    };
    Ok(authority.or(named).map(str::to_owned))
}

/// The one length that all `Content-Length` fields give.
pub(super) fn length(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let malformed = || Code::BadRequest.because("the Content-Length is malformed");
    let mut agreed: Option<&[u8]> = None;
    // Unlike in other lists an empty element is refused here: what is left out could be meant.
    let lists = all(headers, CONTENT_LENGTH);
    for element in lists.flat_map(|list| list.split(|b| *b == b',')).map(<[u8]>::trim_ascii) {
        if element.is_empty() || !element.iter().all(u8::is_ascii_digit) {
            return Err(malformed());
        }
        if agreed.is_some_and(|agreed| agreed != element) {
            return Err(Code::BadRequest.because("the request has unlike lengths in Content-Length"));
        }
        agreed = Some(element);
    }
    let Some(agreed) = agreed else { return Ok(None) };
    let text = std::str::from_utf8(agreed).map_err(|_| malformed())?;
    text.parse().map(Some).map_err(|_| malformed())
}

/// The values of all fields of one name. To look at each is quicker than to look one up, as long as there are few.
pub(super) fn all(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.iter().filter(move |(other, _)| **other == name).map(|(_, value)| value.as_bytes())
}
