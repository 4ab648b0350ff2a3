//! Server-Sent Events (WHATWG HTML section 9.2).

use bytes::Bytes;
use std::time::Duration;
use switchboard_wire::{Code, Form, Notice, form};

/// A comment line without a blank line after it: it ends no block, so it costs a client nothing.
pub(crate) const HEARTBEAT: &[u8] = b":\n";

/// The `retry:` field that opens a stream.
pub(crate) fn retry(wait: Duration) -> String {
    format!("retry: {}\n", wait.as_millis())
}

/// What a stream says before it closes: when to come back, and why. An EventSource comes back by itself, so it is
/// told to wait for a random time of up to twice the usual one, lest all come back at once.
pub(crate) fn farewell(wait: Duration, closing: &[u8]) -> Bytes {
    let jittered = wait.mul_f64(0.5 + 1.5 * fastrand::f64());
    Bytes::from([retry(jittered).as_bytes(), closing].concat())
}

/// A refusal that an EventSource survives: it stops for good at any status but 200. `form` is that of the stream.
pub(crate) fn refusal(code: Code, wait: Duration, form: Form) -> Bytes {
    farewell(wait, &form::notice(&Notice::Closing(code), form).payload())
}
