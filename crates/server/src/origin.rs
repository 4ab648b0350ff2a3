//! Open mode's browser rules: which hosts are served, and which web pages may ask.
//!
//! Without authentication everyone who reaches the server may do everything. That is only sound if nobody but this
//! machine reaches it, and a browser on this machine carries every web page's requests here. So a name that is not
//! loopback's is refused (it may be rebound to this address), and so is a page from anywhere else.

use crate::listen::http1::Head;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};
use std::net::Ipv4Addr;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// What a page may send besides what any page may.
const ALLOWED_HEADERS: &str =
    "Content-Type, Last-Event-ID, Idempotency-Key, If-None-Match, Prefer, Authorization, Cache-Control";
const EXPOSED_HEADERS: &str = "ETag, Retry-After, Preference-Applied, Allow";
const ALLOWED_METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// Checks `Host` and `Origin`. `public`: the server listens where others reach it, as `--insecure`
/// allows, and serves every host and origin.
pub(crate) fn check(head: &Head, public: bool) -> Result<(), Problem> {
    if public {
        return Ok(());
    }
    // Only HTTP/1.0 may lack a host, and no browser speaks it.
    if let Some(host) = &head.host
        && !is_loopback(host)
    {
        return Err(Code::Misdirected.because("in open mode only localhost, 127.0.0.0/8 and [::1] are served"));
    }
    for origin in head.headers.get_all(ORIGIN) {
        let host = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
        if !host.is_some_and(is_loopback) {
            return Err(Code::ForbiddenOrigin.because("in open mode only pages of a loopback origin may ask"));
        }
    }
    Ok(())
}

/// Whether `host [ ":" port ]` names this machine.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix("[::1]") {
        Some(rest) => ("[::1]", rest.strip_prefix(':').or_else(|| rest.is_empty().then_some(""))),
        None => host.split_once(':').map_or((host, Some("")), |(name, port)| (name, Some(port))),
    };
    port.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
        && (name == "[::1]"
            || name.eq_ignore_ascii_case("localhost")
            || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()))
}

/// Whether the request asks what a page may do (CORS preflight).
pub(crate) fn is_preflight(head: &Head) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Adds what a browser needs to let a page of this origin see the answer (Fetch standard, CORS protocol).
pub(crate) fn allow(origin: Option<&HeaderValue>, preflight: bool, headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    if preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOWED_METHODS));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_is_localhost_127_and_1_on_any_port_or_none() {
        for host in ["localhost", "LocalHost:8000", "127.0.0.1", "127.8.9.10:1", "[::1]", "[::1]:65535", "localhost:"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "10.0.0.1",
            "[::2]",
            "[::1]x",
            "::1",
            "127.0.0.1:80@example.com",
            "localhost:80/x",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
            "2130706433",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
