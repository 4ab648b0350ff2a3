//! A request body, whatever protocol it arrives by.

use bytes::Bytes;
use std::fmt;
use std::io;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// How long the next piece of a body may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// The peer is in the midst of something: a limit runs, anew with each byte that arrives.
    Steady,
    /// The peer is between two events of a stream and may stay there.
    Unhurried,
}

/// A request body, read piece by piece.
pub trait BodySource {
    /// The next piece (never empty), or `None` at the clean end. Dropping the future loses nothing. After an error
    /// there is nothing more to read.
    fn piece(&mut self, pace: Pace) -> impl Future<Output = Result<Option<Bytes>, BodyError>>;

    /// What comes from here on is another event of a stream: the time that one may take begins anew.
    fn begin_anew(&mut self) {}

    /// Waits, while nothing is read, until the peer is known to have gone; for ever, where that cannot be told. Dropping the
    /// future loses nothing.
    fn gone(&mut self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    /// Bytes that are certain to come still, as far as the peer has said: all of them, or the rest of a chunk.
    fn expected(&self) -> u64;
}

/// Why a body has no clean end.
#[derive(Debug)]
pub enum BodyError {
    /// Its framing is broken.
    Malformed(Problem),
    /// The peer took too long.
    Slow,
    /// The peer closed before the end.
    CutOff,
    Io(io::Error),
}

impl BodyError {
    /// What the peer is told, should it still listen.
    pub fn problem(&self) -> Problem {
        match self {
            BodyError::Malformed(problem) => problem.clone(),
            BodyError::Slow => Code::RequestTimeout.into(),
            BodyError::CutOff | BodyError::Io(_) => Code::BadRequest.because("the body was cut off before its end"),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Io(error) => error.fmt(f),
            other => other.problem().fmt(f),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<io::Error> for BodyError {
    fn from(error: io::Error) -> BodyError {
        BodyError::Io(error)
    }
}
