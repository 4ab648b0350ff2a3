//! The page at `/`: one channel over every transport, for a person to look at.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response};

/// Path, content type and content of each file.
const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("index.html")),
    ("/console/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/console/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
];

/// The page talks to its own server and to nobody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn serves(path: &str) -> bool {
    FILES.iter().any(|(known, ..)| *known == path)
}

/// The file at a path that is served.
pub(crate) fn respond(path: &str) -> Response<Bytes> {
    let (_, content_type, content) = FILES.iter().find(|(known, ..)| *known == path).unwrap_or(&FILES[0]);
    let mut response = Response::new(Bytes::from_static(content.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    response
}
