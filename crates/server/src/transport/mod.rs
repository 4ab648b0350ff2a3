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
    /// The way down of a session; over a WebSocket the way up as well.
    Session(Over),
}

/// What a session's way down is held open as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    Sse,
    Stream,
    WebSocket { deflated: Option<u8> },
}

impl Over {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Over::Sse => "sse",
            Over::Stream => "stream",
            Over::WebSocket { .. } => "websocket",
        }
    }
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
            Transport::Session(Over::Sse) => Form::SseSession,
            Transport::Session(Over::Stream) => Form::NdSession,
            Transport::Session(Over::WebSocket { deflated }) => Form::WsSession { deflated },
        }
    }

    /// The same without compression.
    pub(crate) fn plain(self) -> Transport {
        match self {
            Transport::Sse { raw, .. } => Transport::Sse { raw, gzip: false },
            Transport::Stream { raw, .. } => Transport::Stream { raw, gzip: false },
            Transport::WebSocket { .. } | Transport::Session(_) => self,
        }
    }

    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Transport::WebSocket { .. } | Transport::Session(Over::WebSocket { .. }))
    }

    /// The window of the compressed messages of a WebSocket, if there are any.
    pub(crate) fn deflated(self) -> Option<u8> {
        match self {
            Transport::WebSocket { deflated, .. } | Transport::Session(Over::WebSocket { deflated }) => deflated,
            _ => None,
        }
    }

    /// Whether what its client says is published, or may be.
    pub(crate) fn publishes(self) -> bool {
        matches!(self, Transport::WebSocket { raw: true, .. } | Transport::Session(Over::WebSocket { .. }))
    }

    pub(crate) fn is_session(self) -> bool {
        matches!(self, Transport::Session(_))
    }

    /// Whether what is sent in several connections' words goes after an `id:` of its own.
    pub(crate) fn has_places(self) -> bool {
        matches!(self, Transport::Session(Over::Sse))
    }

    /// What says that the stream lives, where the transport has something that says no more than that.
    pub(crate) fn heartbeat(self) -> Option<form::Encoded> {
        match self {
            Transport::Sse { .. } | Transport::Session(Over::Sse) => Some(form::verbatim(sse::HEARTBEAT, self.form())),
            Transport::Stream { raw: true, .. } => None,
            Transport::Stream { .. } | Transport::Session(Over::Stream) => {
                Some(form::verbatim(stream::HEARTBEAT, self.form()))
            }
            Transport::WebSocket { .. } | Transport::Session(Over::WebSocket { .. }) => {
                Some(form::verbatim(&websocket::PING, self.form()))
            }
        }
    }

    /// The last words before the stream ends, and whether the body then ends cleanly.
    pub(crate) fn farewell(self, ending: Ending, retry: Duration) -> (Bytes, bool) {
        let closing = |code| form::notice(&Notice::Closing(code), self.plain().form()).payload();
        match (self, ending) {
            (Transport::WebSocket { raw, .. }, _) => (websocket::farewell(raw, ending, closing), true),
            (Transport::Session(Over::WebSocket { .. }), _) => (websocket::farewell(false, ending, closing), true),
            (_, Ending::Complete) => (Bytes::new(), true),
            (_, Ending::Broken) => (Bytes::new(), false),
            (Transport::Sse { .. } | Transport::Session(Over::Sse), Ending::Closing(code)) => {
                (sse::farewell(retry, &closing(code)), true)
            }
            (Transport::Stream { raw: false, .. } | Transport::Session(Over::Stream), Ending::Closing(code)) => {
                (closing(code), true)
            }
            // A body cut short by a stop must not look complete.
            (Transport::Stream { raw: true, .. }, Ending::Closing(_)) => (Bytes::new(), false),
        }
    }
}
