//! How bytes arrive. Nothing in here knows what a request is for.
//!
//! [`http1`] and `http2` share what lies beside them: `head` and `target` are what a request says, `body` and `source` the
//! bodies of answers and of requests, `settings` what connections are held to.

mod accept;
mod body;
mod date;
mod head;
pub mod http1;
pub(crate) mod http2;
mod pacing;
mod peer;
pub(crate) mod proxy;
mod settings;
mod socket;
mod source;
mod target;
pub(crate) mod tls;
mod unix;

pub(crate) use accept::{Accepted, Admission, Connections, Listener, USER_TIMEOUT, accept};
pub use body::{Body, Frames, Pieces, Source};
pub use head::{Framing, Head};
pub(crate) use peer::Peer;
pub use settings::Settings;
pub(crate) use socket::Socket;
pub use source::{BodyError, BodySource, Pace};
pub(crate) use unix::UnixSocket;
