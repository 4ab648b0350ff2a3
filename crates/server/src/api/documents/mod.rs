//! The descriptions of the server that programs read: OpenAPI for what is asked and answered, AsyncAPI for what is said
//! on streams and in sessions. They hold no secrets, so anyone may have them.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LINK};
use http::{HeaderValue, Response};

const OPENAPI: &str = include_str!("openapi.json");
const ASYNCAPI: &str = include_str!("asyncapi.json");

/// What `/api` answers.
const LINKS: &str = "{\"openapi\":\"/api/openapi.json\",\"asyncapi\":\"/api/asyncapi.json\"}\n";
/// The same for clients that look for links (RFC 8288, RFC 8631).
const LINK_FIELD: &str = "</api/openapi.json>; rel=\"service-desc\"; type=\"application/json\", \
                          </api/asyncapi.json>; rel=\"service-desc\"; type=\"application/json\"";

fn content(path: &str) -> Option<&'static str> {
    match path {
        "/api" => Some(LINKS),
        "/api/openapi.json" => Some(OPENAPI),
        "/api/asyncapi.json" => Some(ASYNCAPI),
        _ => None,
    }
}

pub(crate) fn serves(path: &str) -> bool {
    content(path).is_some()
}

/// The document at a path that is served.
pub(crate) fn respond(path: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(content(path).unwrap_or(LINKS).as_bytes()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if path == "/api" {
        headers.insert(LINK, HeaderValue::from_static(LINK_FIELD));
    }
    response
}
