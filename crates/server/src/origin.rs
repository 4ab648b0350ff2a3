//! Browser rules: which hosts are served, and which web pages may ask.
//!
//! In open mode everyone who reaches the server may do everything. That is only sound if nobody but this
//! machine reaches it, and a browser on this machine carries every web page's requests here. So a name that is not
//! loopback's is refused (it may be rebound to this address), and so is a page from anywhere else.

use crate::auth::Settings;
use crate::listen::Head;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method};
use std::net::Ipv4Addr;
use std::sync::Arc;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// What a page may send besides what any page may.
const ALLOWED_HEADERS: &str = "Content-Type, Last-Event-ID, Idempotency-Key, If-None-Match, Prefer, Authorization, \
                               Cache-Control, Session-Seq, Session-Ack";
const EXPOSED_HEADERS: &str = "ETag, Retry-After, Preference-Applied, Allow, Location, Switchboard-Connection";
const ALLOWED_METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// `Cross-Origin-Resource-Policy` (Fetch standard).
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Which hosts and which web pages are served.
#[derive(Debug)]
pub(crate) enum Pages {
    /// Open mode on loopback addresses: hosts and origins of this machine.
    Loopback,
    /// Open mode where others reach it, as `--insecure` allows: every host and origin.
    All,
    /// With authentication, hosts are as they come, and of web pages those of the server's own origin and these.
    Listed(Arc<Settings>),
}

impl Pages {
    /// `reached`: the server listens where others reach it.
    pub(crate) fn of(settings: Arc<Settings>, reached: bool) -> Pages {
        match settings.is_open() {
            true if reached => Pages::All,
            true => Pages::Loopback,
            false => Pages::Listed(settings),
        }
    }

    /// Checks `Host` and `Origin`.
    pub(crate) fn check(&self, head: &Head) -> Result<(), Problem> {
        match self {
            Pages::All => Ok(()),
            Pages::Loopback => check_loopback(head),
            Pages::Listed(settings) => {
                let listed = &settings.origins;
                let any = listed.iter().any(|origin| origin == ANY);
                match head.headers.get_all(ORIGIN).iter().all(|origin| any || is_own(origin, head, listed)) {
                    true => Ok(()),
                    false => {
                        Err(Code::ForbiddenOrigin.because("pages of this origin are not listed in `auth.origins`"))
                    }
                }
            }
        }
    }

    /// Checks where a request comes from that carries a cookie: `*` does not list it.
    pub(crate) fn check_cookie(&self, head: &Head) -> Result<(), Problem> {
        let Pages::Listed(settings) = self else { return Ok(()) };
        match head.headers.get_all(ORIGIN).iter().all(|origin| is_own(origin, head, &settings.origins)) {
            true => Ok(()),
            false => Err(Code::ForbiddenOrigin.because("a cookie counts for pages that `auth.origins` lists by name")),
        }
    }

    /// Adds what a browser needs to let a page of this origin see the answer (Fetch standard, CORS protocol). A page that
    /// is not served is told nothing, and cannot take the answer into itself as an image or a script either.
    pub(crate) fn allow(&self, head: &Head, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let origin = head.headers.get(ORIGIN).filter(|_| self.check(head).is_ok());
        if let Pages::Listed(_) = self {
            let whose = if origin.is_some() { "cross-origin" } else { "same-origin" };
            headers.insert(RESOURCE_POLICY, HeaderValue::from_static(whose));
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        let Some(origin) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        if let Pages::Listed(settings) = self
            && is_own(origin, head, &settings.origins)
        {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if is_preflight(head) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOWED_METHODS));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }
}

/// In a list of origins: any.
const ANY: &str = "*";

/// Whether a page is the server's own, by the name that the request calls it, or listed by name.
fn is_own(origin: &HeaderValue, head: &Head, listed: &[String]) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let own = host.is_some_and(|host| head.host.as_deref().is_some_and(|named| named.eq_ignore_ascii_case(host)));
    own || listed.iter().any(|listed| listed != ANY && listed.eq_ignore_ascii_case(origin))
}

fn check_loopback(head: &Head) -> Result<(), Problem> {
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
        None => match host.bytes().position(|b| b == b':') {
            Some(at) => (&host[..at], Some(&host[at + 1..])),
            None => (host, Some("")),
        },
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
