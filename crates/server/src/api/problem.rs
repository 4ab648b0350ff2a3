//! temp
use bytes::Bytes;
use http::Response;
use switchboard_wire::code::Problem;
pub(crate) fn respond(p: &Problem) -> Response<Bytes> {
    let mut r = Response::new(Bytes::from(p.to_json("")));
    *r.status_mut() = http::StatusCode::from_u16(p.code.row().http).unwrap_or_default();
    r
}
pub(crate) fn with_allow(mut r: Response<Bytes>, a: &'static str) -> Response<Bytes> {
    r.headers_mut().insert("allow", http::HeaderValue::from_static(a));
    r
}
