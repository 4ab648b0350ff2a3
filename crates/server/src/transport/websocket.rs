//! WebSocket streams: what the server says of the connection itself.

use super::Ending;
use bytes::Bytes;
use switchboard_wire::Code;
use switchboard_wire::websocket::close;

/// An empty ping (RFC 6455 section 5.5.2).
pub(crate) const PING: [u8; 2] = [0x89, 0];

/// Subprotocol of the raw form.
pub(crate) const RAW: &str = "switchboard.raw.v1";

/// Subprotocol of the event form.
pub(crate) const EVENT: &str = "switchboard.event.v1";

/// Subprotocol of sessions.
pub(crate) const SESSION: &str = "switchboard.v1";

/// The close frame, in event form after the notice that says why.
pub(crate) fn farewell(raw: bool, ending: Ending, closing: impl Fn(Code) -> Bytes) -> Bytes {
    let (code, notice) = match ending {
        Ending::Complete => (Code::Ended, None),
        Ending::Broken => (Code::GapClose, None),
        Ending::Closing(code) => (code, (!raw).then(|| closing(code))),
    };
    let mut out = notice.map(|bytes| bytes.to_vec()).unwrap_or_default();
    close::write_failure(&code.into(), None, &mut out);
    Bytes::from(out)
}
