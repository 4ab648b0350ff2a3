//! What a request's fields say, by the rules that HTTP/1.1's heads are read by.

use crate::listen::head::{Framing, Head, host_of, length};
use crate::listen::target;
use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::ext::Protocol;
use http::header::{COOKIE, EXPECT, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// Reads the fields of a request. That they are well formed, that none speaks of the connection and that the body is as
/// long as it says has been seen to.
pub(super) fn read(request: Request<RecvStream>) -> (Result<Head, Problem>, RecvStream) {
    let (mut parts, body) = request.into_parts();
    join_cookies(&mut parts.headers);
    let ended = body.is_end_stream();
    let head = (|| {
        let websocket = is_websocket(&parts.method, parts.extensions.get())?;
        let authority = parts.uri.authority().map(|authority| authority.as_str());
        let host = host(&parts.headers, authority)?;
        let text = parts.uri.path_and_query().map_or("", |target| target.as_str());
        // To whoever answers, a WebSocket is what it is in HTTP/1.1.
        let method = if websocket { Method::GET } else { parts.method.clone() };
        let target = target::parse(&method, text)?;
        let framing = match length(&parts.headers)? {
            _ if ended || websocket => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        let size = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        Ok(Head {
            path: target.path.to_owned(),
            query: target.query.map(str::to_owned),
            host,
            framing,
            keep_alive: true,
            expect_continue: !ended && parts.headers.contains_key(EXPECT),
            length: text.len() + size,
            websocket,
            method,
            version: Version::HTTP_2,
            headers: std::mem::take(&mut parts.headers),
        })
    })();
    (head, body)
}

/// Whether a request opens a WebSocket (RFC 8441 section 5).
fn is_websocket(method: &Method, protocol: Option<&Protocol>) -> Result<bool, Problem> {
    match (method == Method::CONNECT, protocol) {
        (true, Some(protocol)) if protocol.as_str() == "websocket" => Ok(true),
        (true, Some(_)) => Err(Code::NotImplemented.because("the only protocol to connect by is `websocket`")),
        (true, None) => Err(Code::BadRequest.because("CONNECT asks for a proxy, and this is none")),
        (false, _) => Ok(false),
    }
}

/// The host that is asked for: `:authority`, and where both are there `Host` says the same (RFC 9113 section 8.3.1).
fn host(headers: &HeaderMap, authority: Option<&str>) -> Result<Option<String>, Problem> {
    let named = host_of(headers, Version::HTTP_2, None)?;
    match authority {
        None if named.is_none() => Err(Code::BadRequest.because("the request names no host")),
        None => Ok(named),
        Some(authority) if !target::is_host(authority) => Err(Code::BadRequest.because("`:authority` is malformed")),
        Some(authority) if named.as_ref().is_some_and(|named| !named.eq_ignore_ascii_case(authority)) => {
            Err(Code::BadRequest.because(format!("`:authority` and `{HOST}` name two hosts")))
        }
        Some(authority) => Ok(Some(authority.to_owned())),
    }
}

/// A cookie may arrive in crumbs, for the sake of compression (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let mut whole = BytesMut::new();
    for crumb in headers.get_all(COOKIE) {
        if !whole.is_empty() {
            whole.put_slice(b"; ");
        }
        whole.put_slice(crumb.as_bytes());
    }
    // What is made of fields is a field.
    if let Ok(whole) = HeaderValue::from_maybe_shared(Bytes::from(whole)) {
        headers.insert(COOKIE, whole);
    }
}
