//! How bytes arrive. Nothing in here knows what a request is for.

mod accept;
mod body;
mod date;
pub mod http1;
pub(crate) mod http2;
mod pacing;
mod peer;
pub(crate) mod proxy;
mod source;
mod stream;
pub(crate) mod tls;
mod unix;

pub(crate) use accept::{Accepted, Admission, Connections, Listener, USER_TIMEOUT, accept};
pub use body::{Body, Frames, Pieces, Source};
pub(crate) use peer::Peer;
pub use source::{BodyError, BodySource, Pace};
pub(crate) use stream::Stream;
pub(crate) use unix::UnixSocket;
