//! The request target (RFC 9112 section 3.2) and the host it names (RFC 3986 section 3.2.2).

use http::Method;
use std::net::Ipv6Addr;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// A request target, split where its form splits it. Nothing is decoded.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Target<'a> {
    /// `/…`, or `*` for the server as a whole.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    /// The authority of the absolute form, which counts in place of `Host`.
    pub(super) authority: Option<&'a str>,
}

/// Reads a target in origin, absolute or asterisk form. The authority form belongs to CONNECT, which asks for a proxy.
pub(super) fn parse<'a>(method: &Method, text: &'a str) -> Result<Target<'a>, Problem> {
    if let Some(odd) = text.bytes().find(|b| !matches!(b, b'!'..=b'~') || *b == b'#') {
        let why = match odd {
            b'#' => "the request target holds a fragment: `#` is written `%23`",
            _ => "the request target holds a byte outside visible ASCII: percent-encode it",
        };
        return Err(Code::BadRequest.because(why));
    }
    if text.starts_with('/') && *method != Method::CONNECT {
        return Ok(split(text, None));
    }
    if text == "*" {
        if *method != Method::OPTIONS {
            return Err(Code::BadRequest.because("the request target `*` goes with OPTIONS only"));
        }
        return Ok(Target { path: "*", query: None, authority: None });
    }
    if *method == Method::CONNECT {
        return Err(Code::BadRequest.because("CONNECT asks for a proxy, and this is none"));
    }
    absolute(text)
}

fn absolute(text: &str) -> Result<Target<'_>, Problem> {
    let rest = text
        .split_once("://")
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
        .map(|(_, rest)| rest)
        .ok_or_else(|| Code::BadRequest.because("the request target is neither a path nor an http URL"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !is_host(authority) {
        return Err(Code::BadRequest.because("the host in the request target is malformed"));
    }
    Ok(split(path, Some(authority)))
}

fn split<'a>(text: &'a str, authority: Option<&'a str>) -> Target<'a> {
    let (path, query) = match text.bytes().position(|b| b == b'?') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    Target { path: if path.is_empty() { "/" } else { path }, query, authority }
}

/// Whether `text` is `host [ ":" port ]` with a host that is not empty: an http URI without one must be rejected
/// (RFC 9110 section 4.2.1).
pub(super) fn is_host(text: &str) -> bool {
    let (host, port) = if let Some(literal) = text.strip_prefix('[') {
        let Some((address, rest)) = literal.split_once(']') else { return false };
        if address.parse::<Ipv6Addr>().is_err() {
            return false;
        }
        match rest.strip_prefix(':') {
            Some(port) => (text, port),
            None if rest.is_empty() => return true,
            None => return false,
        }
    } else {
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        if !is_registered_name(host) {
            return false;
        }
        (host, port)
    };
    !host.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// `reg-name`, which takes in dotted IPv4 addresses. The comma that RFC 3986 allows is refused: no host has one, but two
/// fields that somebody joined do (RFC 9110 section 5.2).
fn is_registered_name(host: &str) -> bool {
    let mut bytes = host.bytes();
    while let Some(b) = bytes.next() {
        let fine = match b {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|b| b.is_ascii_hexdigit());
                hex() && hex()
            }
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=' => true,
            _ => b.is_ascii_alphanumeric(),
        };
        if !fine {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_split_where_their_form_splits_them() {
        let get = |text| parse(&Method::GET, text);
        let target = |path, query, authority| Target { path, query, authority };
        assert_eq!(get("/a%2Fb?c=d?e"), Ok(target("/a%2Fb", Some("c=d?e"), None)));
        assert_eq!(get("/"), Ok(target("/", None, None)));
        assert_eq!(get("/?"), Ok(target("/", Some(""), None)));
        assert_eq!(get("//a//b"), Ok(target("//a//b", None, None)));
        assert_eq!(get("http://h:1/a?b"), Ok(target("/a", Some("b"), Some("h:1"))));
        assert_eq!(get("HTTPS://[::1]?b"), Ok(target("/", Some("b"), Some("[::1]"))));
        assert_eq!(get("http://h"), Ok(target("/", None, Some("h"))));
        assert_eq!(parse(&Method::OPTIONS, "*"), Ok(target("*", None, None)));
        for bad in ["*", "a", "h:80", "ftp://h/", "http:///a", "http://u@h/", "http://h:x/", "/a#b", "/\u{fc}", "/a b"]
        {
            assert_eq!(get(bad).unwrap_err().code, Code::BadRequest, "{bad}");
        }
        assert!(parse(&Method::CONNECT, "h:80").is_err());
        assert!(parse(&Method::CONNECT, "/").is_err());
    }

    #[test]
    fn hosts_are_a_name_or_an_address_and_maybe_a_port() {
        for good in ["localhost", "127.0.0.1:80", "[::1]", "[::1]:8000", "a_b.example:", "x%20y", "a:65535"] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a/b", "u@h", "a,b", "a,", "a,b:c", "[::1", "[x]", "[::1]x", "a:65536", "a:+1", "a%2",
            "a?b",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
