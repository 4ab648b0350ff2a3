//! The one table of errors. Every refusal, on every transport, is a row of it.
//!
//! HTTP answers are problems (RFC 9457) whose `code` is the row's name; a WebSocket closes with the row's close code
//! (RFC 6455 section 7.4; 4000–4999 are ours); JSON-RPC errors carry the row's number, outside the range −32768…−32000
//! that the specification reserves, except for the rows that the specification itself defines.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// What a program compares: stable, in `snake_case`.
    pub name: &'static str,
    /// The JSON-RPC 2.0 error code.
    pub rpc: i32,
    /// The HTTP status.
    pub http: u16,
    /// The WebSocket close code.
    pub close: u16,
    /// Whether the same request may succeed later, unchanged: reconnect, after a jittered wait.
    pub reconnect: bool,
    /// What a person reads: who is to blame and what to do next.
    pub sentence: &'static str,
}

macro_rules! table {
    ($($variant:ident $name:literal $rpc:literal $http:literal $close:literal $reconnect:literal $sentence:literal)*) => {
        /// Names one error of the table.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code { $(#[doc = $sentence] $variant),* }

        /// Every row, in the order of the enum.
        pub const TABLE: &[(Code, Row)] = &[
            $((Code::$variant, Row {
                name: $name, rpc: $rpc, http: $http, close: $close, reconnect: $reconnect, sentence: $sentence,
            })),*
        ];
    };
}

table! {
//  variant             name                    rpc     http close reconnect sentence
    BadRequest          "bad_request"           40000   400  4400  false "The request is not well-formed HTTP or lacks something it must have."
    ChannelName         "channel_name"          40001   400  4400  false "The channel name or pattern breaks the naming rules."
    EventType           "event_type"            40002   400  4400  false "The event type is empty, too long, begins with `$`, or holds a line break or NUL."
    InvalidJson         "invalid_json"          40003   400  4400  false "The body is not JSON, or not the JSON that is wanted here."
    InvalidText         "invalid_text"          40004   400  1007  false "The data was declared as text and is not UTF-8."
    InvalidParameter    "invalid_parameter"     40005   400  4400  false "A query parameter or header has a value it cannot have."
    InvalidItem         "invalid_item"          40006   400  4400  false "A line or item of the body is not an event."
    Unauthorized        "unauthorized"          40100   401  4401  false "The request carries no valid credentials."
    TokenExpired        "token_expired"         40101   401  4401  false "The token has expired; come with a new one."
    TokenRevoked        "token_revoked"         40102   401  4401  false "The token was revoked."
    Forbidden           "forbidden"             40300   403  4403  false "The credentials do not allow this."
    ForbiddenOrigin     "forbidden_origin"      40301   403  4403  false "Web pages of this origin may not use this server."
    NotFound            "not_found"             40400   404  4404  false "There is nothing at this address."
    MethodNotAllowed    "method_not_allowed"    40500   405  4405  false "This address does not answer that method; `Allow` lists those it does."
    RequestTimeout      "request_timeout"       40800   408  4408  true  "The request did not arrive in time."
    ChannelEnded        "channel_ended"         40900   409  4409  false "The channel has ended; delete it to use its name again."
    GapClose            "gap"                   41000   410  4410  true  "Events were lost, and this form has no way to say which: read again in event form."
    TooLarge            "too_large"             41300   413  1009  false "The message is larger than the server takes."
    ExpectationFailed   "expectation_failed"    41700   417 4417 false "The server knows no expectation but `100-continue`."
    UnsupportedEncoding "unsupported_encoding"  41500   415  4415  false "The body is in a content coding; publish it as it is."
    Misdirected         "misdirected"           42100   421  4421  false "This server does not serve that host name."
    KeyReused           "idempotency_key_reused" 42200  422  4422  false "The idempotency key was used before, with another body."
    UpgradeRequired     "upgrade_required"      42600   426  4426  false "The WebSocket version is not 13."
    HeadTooLarge        "head_too_large"        43100   431  4431  false "The request head is larger than the server takes."
    RateLimited         "rate_limited"          42900   429  4429  true  "This comes faster than the server takes it from one sender; slow down."
    TooMany             "too_many"              42901   429  4429  true  "As many connections or streams are open as one user or address may have; close some."
    Internal            "internal"              -32603  500  1011  true  "The server failed; its log says more."
    NotImplemented      "not_implemented"       50100   501  4501  false "The server does not know this transfer coding."
    ApplicationFailed   "application_failed"    50200   502  4502  true  "The application behind the server gave no answer that counts; the server's log says more."
    Overloaded          "overloaded"            50300   503  1013  true  "The server is at a limit; try again later."
    Draining            "draining"              50301   503  1012  true  "The server is shutting down; connect again."
    VersionNotSupported "version_not_supported" 50500   505  4505  false "The server speaks HTTP/1.0 and HTTP/1.1 here."
    Ended               "ended"                 20400   204  1000  false "The channel has ended and everything was read."
    WsProtocol          "websocket_protocol"    40007   400  1002  false "A WebSocket frame breaks RFC 6455."
    WsUnsupported       "websocket_unsupported" 40008   400  1003  false "This WebSocket takes no such message."
    Unresponsive        "unresponsive"          40801   408  4408  true  "The client did not answer a ping in time."
    ParseError          "parse_error"           -32700  400  4400  false "The message is not JSON, or it is nested too deep."
    InvalidRequest      "invalid_request"       -32600  400  4400  false "The JSON is not a message of JSON-RPC 2.0."
    MethodNotFound      "method_not_found"      -32601  404  4404  false "Nothing here answers to this method."
    InvalidParams       "invalid_params"        -32602  400  4400  false "The method takes no such parameters."
    StaleAttempt        "stale_attempt"         40901   409  4409  false "A newer connection has taken this session over."
    CallTimeout         "call_timeout"          50400   504  4504  true  "The call was not answered in time."
    OutOfOrder          "out_of_order"          40902   409  4409  false "Messages before this one did not come; go on with the number in `expected`."
    SessionEnded        "session_ended"         41002   410  1000  false "The session was ended."
    SessionFull         "session_full"          41001   410  4410  true  "More waits for the client than its session may keep; begin another."
}

impl Code {
    /// The code's row.
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize].1
    }

    /// This error, with a sentence about this occurrence of it.
    pub fn because(self, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { code: self, detail: detail.into(), after: None }
    }
}

/// An error and what is particular about this occurrence: the body of an HTTP refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub code: Code,
    pub detail: Cow<'static, str>,
    /// How long to wait before it may be tried again, where that is known.
    pub after: Option<Duration>,
}

impl Problem {
    /// The same, where it is known how long to wait.
    #[must_use]
    pub fn after(self, wait: Duration) -> Problem {
        Problem { after: Some(wait), ..self }
    }

    /// The problem as `application/problem+json` (RFC 9457 section 3.1). `extra` is appended as further members and
    /// is either empty or begins with a comma.
    pub fn to_json(&self, extra: &str) -> String {
        let row = self.code.row();
        let mut out = Vec::with_capacity(160 + self.detail.len());
        out.extend_from_slice(b"{\"type\":\"about:blank\",\"title\":");
        crate::json::string(row.sentence, &mut out);
        out.extend_from_slice(format!(",\"status\":{},\"code\":\"{}\"", row.http, row.name).as_bytes());
        if !self.detail.is_empty() {
            out.extend_from_slice(b",\"detail\":");
            crate::json::string(&self.detail, &mut out);
        }
        out.extend_from_slice(extra.as_bytes());
        out.push(b'}');
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Problem {
        code.because("")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.code.row();
        write!(f, "{}: {}", row.name, if self.detail.is_empty() { row.sentence } else { &self.detail })
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_row_is_its_codes_and_every_name_and_number_stands_once() {
        let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
        for (i, (code, row)) in TABLE.iter().enumerate() {
            assert_eq!(*code as usize, i);
            assert!(names.insert(row.name), "{}", row.name);
            assert!(numbers.insert(row.rpc), "{}", row.rpc);
            let standard = [-32700, -32600, -32601, -32602, -32603].contains(&row.rpc);
            assert_eq!((-32768..=-32000).contains(&row.rpc), standard, "{}", row.name);
            assert!((1000..=1013).contains(&row.close) || (4000..5000).contains(&row.close), "{}", row.name);
            assert!(row.sentence.ends_with('.'), "{}", row.name);
        }
    }
}
