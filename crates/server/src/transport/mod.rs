//! How an answer is held open: what each transport says, and what it hears.
//!
//! Nothing here names an HTTP version: a transport writes payloads, and how bytes arrive is [`crate::listen`]'s.

pub(crate) mod poll;
pub(crate) mod sse;
pub(crate) mod stream;
pub(crate) mod websocket;

use bytes::Bytes;
use std::time::Duration;
use switchboard_wire::{Code, Form, Notice, form};

/// A way to hold an answer open. (A page, with or without a wait, is answered and done: [`poll`].)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    /// Server-Sent Events, compressed or not.
    Sse { raw: bool, gzip: bool },
    /// NDJSON, compressed or not, or with `raw` the data alone.
    Stream { raw: bool, gzip: bool },
    /// `deflated` is the window, in bits, of the compressed messages the client agreed to.
    WebSocket { raw: bool, deflated: Option<u8> },
}

/// How a stream ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// Everything was said: the channel has ended.
    Complete,
    /// Something is missing, and the transport has no way to say so but to break off.
    Broken,
    /// The server closes the stream, for this reason.
    Closing(Code),
}

impl Transport {
    pub(crate) fn form(self) -> Form {
        match self {
            Transport::Sse { raw: true, gzip } => Form::SseRaw { gzip },
            Transport::Sse { raw: false, gzip } => Form::SseEvent { gzip },
            Transport::Stream { raw: true, .. } => Form::Body,
            Transport::Stream { raw: false, gzip } => Form::NdJson { gzip },
            Transport::WebSocket { raw: true, deflated } => Form::WsRaw { deflated },
            Transport::WebSocket { raw: false, deflated } => Form::WsEvent { deflated },
        }
    }

    /// The same without compression.
    pub(crate) fn plain(self) -> Transport {
        match self {
            Transport::Sse { raw, .. } => Transport::Sse { raw, gzip: false },
            Transport::Stream { raw, .. } => Transport::Stream { raw, gzip: false },
            Transport::WebSocket { .. } => self,
        }
    }

    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Transport::WebSocket { .. })
    }

    /// What says that the stream lives, where the transport has something that says no more than that.
    pub(crate) fn heartbeat(self) -> Option<form::Encoded> {
        match self {
            Transport::Sse { .. } => Some(form::verbatim(sse::HEARTBEAT, self.form())),
            Transport::Stream { raw: false, .. } => Some(form::verbatim(stream::HEARTBEAT, self.form())),
            Transport::Stream { raw: true, .. } => None,
            Transport::WebSocket { .. } => Some(form::verbatim(&websocket::PING, self.form())),
        }
    }

    /// The last words before the stream ends, and whether the body then ends cleanly.
    pub(crate) fn farewell(self, ending: Ending, retry: Duration) -> (Bytes, bool) {
        let closing = |code| form::notice(&Notice::Closing(code), self.plain().form()).payload();
        match (self, ending) {
            (Transport::WebSocket { raw, .. }, _) => (websocket::farewell(raw, ending, closing), true),
            (_, Ending::Complete) => (Bytes::new(), true),
            (_, Ending::Broken) => (Bytes::new(), false),
            (Transport::Sse { .. }, Ending::Closing(code)) => (sse::farewell(retry, &closing(code)), true),
            (Transport::Stream { raw: false, .. }, Ending::Closing(code)) => (closing(code), true),
            // A body cut short by a stop must not look complete.
            (Transport::Stream { raw: true, .. }, Ending::Closing(_)) => (Bytes::new(), false),
        }
    }
}
