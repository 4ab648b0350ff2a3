//! The request head: what a peer asks for, and where its request ends.
//!
//! Strict wherever two parsers could disagree (RFC 9112): a request that could be read in two ways is refused, and the
//! connection closed.

use crate::listen::head::{Framing, Head, all, host_of, length};
use crate::listen::target;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use std::mem::MaybeUninit;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// Most header fields of one request.
pub const FIELDS_MAX: usize = 100;

/// Reads one head from the front of `buf`: the head and the bytes it takes up, or `None` if it is not all there. A head
/// of more than `max` bytes is refused (431), however much of it is the target. Empty lines in front are
/// skipped. However the bytes arrive, the head is the same.
pub fn parse(buf: &[u8], max: usize) -> Result<Option<(Head, usize)>, Problem> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let outcome = httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut request, buf, &mut fields);
    let length = match outcome {
        Ok(httparse::Status::Complete(length)) if length <= max => length,
        Ok(httparse::Status::Complete(_)) => return Err(Code::HeadTooLarge.into()),
        Ok(httparse::Status::Partial) if buf.len() < max => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Code::HeadTooLarge.into()),
        Err(httparse::Error::Version) => return bad_version(buf, max),
        Err(error) => return Err(malformed(error)),
    };
    let text = &buf[..length];
    if has_bare_lf(text) {
        return Err(Code::BadRequest.because("a line of the head ends in a bare LF"));
    }
    let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| Code::BadRequest.because("the method is no token"))?;
    let target = target::parse(&method, path)?;
    let version = if request.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let headers = collect(text, request.headers)?;
    let head = Head {
        path: target.path.to_owned(),
        query: target.query.map(str::to_owned),
        websocket: false,
        host: host_of(&headers, version, target.authority)?,
        framing: framing(&headers, version)?,
        keep_alive: keep_alive(&headers, version),
        expect_continue: expects_continue(&headers, version)?,
        method,
        version,
        headers,
        length,
    };
    Ok(Some((head, length)))
}

/// Whether a line ends in LF alone. No pair of bytes ends the search, so that many are looked at in one step.
fn has_bare_lf(text: &[u8]) -> bool {
    let pairs = text.iter().zip(text.iter().skip(1));
    pairs.fold(text.starts_with(b"\n"), |found, (before, b)| found | ((*b == b'\n') & (*before != b'\r')))
}

/// 505 for a version that has the right shape, and patience for one that may yet get it.
fn bad_version(buf: &[u8], max: usize) -> Result<Option<(Head, usize)>, Problem> {
    let line = buf.iter().position(|b| !matches!(b, b'\r' | b'\n')).map_or(&[][..], |start| &buf[start..]);
    let version = line.splitn(3, |b| *b == b' ').nth(2).unwrap_or_default();
    let shape = b"HTTP/0.0".iter().zip(version);
    let fits = shape.clone().all(|(want, b)| if *want == b'0' { b.is_ascii_digit() } else { want == b });
    match shape.len() {
        8 if fits => Err(Code::VersionNotSupported.into()),
        0..8 if fits && buf.len() < max => Ok(None),
        0..8 if fits => Err(Code::HeadTooLarge.into()),
        _ => Err(Code::BadRequest.because("the request line does not end in a version of HTTP")),
    }
}

fn malformed(error: httparse::Error) -> Problem {
    let why = match error {
        httparse::Error::TooManyHeaders => return Code::HeadTooLarge.because("the head has more than 100 fields"),
        httparse::Error::HeaderName => "a field name is not a token that a colon follows",
        httparse::Error::HeaderValue => "a field value holds a control character or is folded",
        httparse::Error::NewLine => "a line of the head holds a bare CR or does not end in CRLF",
        _ => "the request line is not `method target version`",
    };
    Code::BadRequest.because(why)
}

/// Copies the fields. The values share one copy of the head, which costs one allocation and not one for each.
fn collect(text: &[u8], fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Problem> {
    let unfit = |_| Code::BadRequest.because("a header field is malformed");
    let shared = Bytes::copy_from_slice(text);
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Code::BadRequest.because("a field name is malformed"))?;
        let start = field.value.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        // Values lie within the head, but an empty one may be given as a slice from anywhere.
        let value = match text.get(start..start.wrapping_add(field.value.len())) {
            Some(_) => shared.slice(start..start + field.value.len()),
            None => Bytes::copy_from_slice(field.value),
        };
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(unfit)?);
    }
    Ok(headers)
}

/// The comma-separated elements of all fields of one name, empty ones left out (RFC 9110 section 5.6.1).
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lists = all(headers, name).flat_map(|list| list.split(|b| *b == b','));
    lists.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// RFC 9112 section 6.3, without its leniencies.
fn framing(headers: &HeaderMap, version: Version) -> Result<Framing, Problem> {
    let length = length(headers)?;
    if all(headers, TRANSFER_ENCODING).next().is_none() {
        return Ok(length.map_or(Framing::None, Framing::Length));
    }
    if length.is_some() {
        return Err(Code::BadRequest.because("the request has both Content-Length and Transfer-Encoding"));
    }
    if version != Version::HTTP_11 {
        return Err(Code::BadRequest.because("HTTP/1.0 has no Transfer-Encoding"));
    }
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let codings: Vec<&[u8]> = elements(headers, TRANSFER_ENCODING).collect();
    match codings.split_last() {
        None => Err(Code::BadRequest.because("the Transfer-Encoding is empty")),
        Some((last, [])) if is_chunked(last) => Ok(Framing::Chunked),
        Some((_, front)) if front.iter().any(|coding| is_chunked(coding)) => {
            Err(Code::BadRequest.because("`chunked` stands once, at the end of the Transfer-Encoding"))
        }
        Some(_) => Err(Code::NotImplemented.because("the only transfer coding taken is `chunked`")),
    }
}

/// RFC 9112 section 9.3.
fn keep_alive(headers: &HeaderMap, version: Version) -> bool {
    let says = |word: &str| elements(headers, CONNECTION).any(|option| option.eq_ignore_ascii_case(word.as_bytes()));
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

/// RFC 9110 section 10.1.1. HTTP/1.0 knows no expectations.
fn expects_continue(headers: &HeaderMap, version: Version) -> Result<bool, Problem> {
    if version != Version::HTTP_11 {
        return Ok(false);
    }
    let mut expected = false;
    for expectation in elements(headers, EXPECT) {
        if !expectation.eq_ignore_ascii_case(b"100-continue") {
            return Err(Code::ExpectationFailed.into());
        }
        expected = true;
    }
    Ok(expected)
}

#[cfg(test)]
mod tests;
