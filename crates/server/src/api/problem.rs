//! Refusals over HTTP: problems (RFC 9457).

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE,
    WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// The problem as a response, with the fields that go with its status. `Allow` is for [`with_allow`].
pub(crate) fn respond(problem: &Problem) -> Response<Bytes> {
    extended(problem, "")
}

/// As [`respond`], with further members: `extra` is empty or begins with a comma. The response says its code in its
/// extensions, for the log.
pub(crate) fn extended(problem: &Problem, extra: &str) -> Response<Bytes> {
    let status = StatusCode::from_u16(problem.code.row().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::NO_CONTENT {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return response;
    }
    let mut text = problem.to_json(extra);
    text.push('\n');
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response.extensions_mut().insert(problem.code);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match problem.code {
        Code::Overloaded | Code::Draining | Code::TooMany | Code::RateLimited => {
            // Whole seconds (RFC 9110 section 10.2.3). Where nobody knows better, at random: not all at once again.
            let known = problem.after.map(|after| after.as_millis().div_ceil(1000) as u64);
            headers.insert(RETRY_AFTER, HeaderValue::from(known.unwrap_or_else(|| fastrand::u64(1..=5))));
        }
        Code::Unauthorized | Code::TokenExpired | Code::TokenRevoked => {
            // RFC 6750 section 3; what is wrong with the token is said in the problem.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Code::UnsupportedEncoding => {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        Code::UpgradeRequired => {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        _ => {}
    }
    response
}

/// The response with the methods that its address answers.
pub(crate) fn with_allow(mut response: Response<Bytes>, methods: &'static str) -> Response<Bytes> {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_answers_with_its_status() {
        for (code, row) in switchboard_wire::code::TABLE {
            let response = extended(&code.because("why"), ",\"line\":3");
            assert_eq!(response.status().as_u16(), row.http);
            if row.http == 204 {
                assert!(response.body().is_empty());
                continue;
            }
            let json: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!((json["code"].as_str(), json["detail"].as_str()), (Some(row.name), Some("why")));
            assert_eq!((json["status"].as_u64(), json["line"].as_u64()), (Some(row.http.into()), Some(3)));
            assert_eq!(response.headers().contains_key(RETRY_AFTER), matches!(row.http, 429 | 503));
        }
    }
}
