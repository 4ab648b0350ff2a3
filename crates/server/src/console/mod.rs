//! The page at `/console`, and at `/` where no site is: one channel over every transport, for a person to look at.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and content of each file.
const FILES: [(&str, &str, &str); 20] = [
    ("/", HTML, include_str!("index.html")),
    ("/console", HTML, include_str!("index.html")),
    ("/console/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("/console/page.css", CSS, include_str!("page.css")),
    ("/console/readers.css", CSS, include_str!("readers.css")),
    ("/console/page.js", SCRIPT, include_str!("page.js")),
    ("/console/parts.js", SCRIPT, include_str!("parts.js")),
    ("/console/token.js", SCRIPT, include_str!("token.js")),
    ("/console/access.js", SCRIPT, include_str!("access.js")),
    ("/console/address.js", SCRIPT, include_str!("address.js")),
    ("/console/connections.js", SCRIPT, include_str!("connections.js")),
    ("/console/worker.js", SCRIPT, include_str!("worker.js")),
    ("/console/transports.js", SCRIPT, include_str!("transports.js")),
    ("/console/reader.js", SCRIPT, include_str!("reader.js")),
    ("/console/log.js", SCRIPT, include_str!("log.js")),
    ("/console/figures.js", SCRIPT, include_str!("figures.js")),
    ("/console/show.js", SCRIPT, include_str!("show.js")),
    ("/console/publish.js", SCRIPT, include_str!("publish.js")),
    ("/console/snippets.js", SCRIPT, include_str!("snippets.js")),
    ("/console/examples.js", SCRIPT, include_str!("examples.js")),
];

/// The page talks to its own server, asks whether the examples run on this machine before it goes there, talks to nobody
/// else, and makes no markup out of strings.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self' http://127.0.0.1:8001; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types worker";

pub(crate) fn serves(path: &str) -> bool {
    FILES.iter().any(|(known, ..)| *known == path)
}

/// The file at a path that is served.
pub(crate) fn respond(path: &str) -> Response<Bytes> {
    let (_, content_type, content) = FILES.iter().find(|(known, ..)| *known == path).unwrap_or(&FILES[0]);
    let mut response = Response::new(Bytes::from_static(content.as_bytes()));
    let headers = response.headers_mut();
    let mut say = |name, value| headers.insert(name, HeaderValue::from_static(value));
    say(CONTENT_TYPE, content_type);
    say(CACHE_CONTROL, "no-cache");
    say(X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(REFERRER_POLICY, "no-referrer");
    say(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    // The icon brings its colours along, for light and for dark, in a style of its own.
    let policy = if path.ends_with(".svg") { "default-src 'none'; style-src 'unsafe-inline'" } else { POLICY };
    say(CONTENT_SECURITY_POLICY, policy);
    response
}
