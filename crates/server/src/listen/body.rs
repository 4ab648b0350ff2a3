//! The body of an answer, whatever protocol it leaves by.

use bytes::Bytes;
use http::StatusCode;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// All of it, in memory.
    Whole(Bytes),
    /// One that is too long for that, to be taken as the peer takes it.
    Pieces(Pieces),
}

impl From<Bytes> for Body {
    fn from(whole: Bytes) -> Body {
        Body::Whole(whole)
    }
}

impl From<Pieces> for Body {
    fn from(pieces: Pieces) -> Body {
        Body::Pieces(pieces)
    }
}

impl Body {
    /// How long it is, in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Body::Whole(whole) => whole.len() as u64,
            Body::Pieces(pieces) => pieces.left,
        }
    }
}

/// Whether a response of this status has no body and says no length (RFC 9110 sections 8.6 and 15).
pub(super) fn is_bare(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Where pieces come from. Whoever asks for the next one only once the last is on its way makes the source wait with the
/// peer.
pub trait Source: Send {
    /// The next piece, never empty, or `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>;
}

/// A body that comes in pieces, of a length that is known beforehand.
pub struct Pieces {
    left: u64,
    source: Box<dyn Source>,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Pieces {
    /// `length`: what the peer is told, in bytes.
    pub fn new(length: u64, source: Box<dyn Source>) -> Pieces {
        Pieces { left: length, source }
    }

    /// A body of which only the length is asked for, as by HEAD.
    pub fn unread(length: u64) -> Pieces {
        Pieces { left: length, source: Box::new(Unread) }
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next piece, or `None` when all that was promised was given. Never more than that; and a source that ends
    /// early is an error, because the peer could not tell it from a whole body otherwise. After an error there is nothing
    /// more to ask for.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match ready!(self.source.poll_piece(cx)) {
            Some(Ok(mut piece)) => {
                piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= piece.len() as u64;
                Ok(piece)
            }
            Some(Err(error)) => Err(error),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }))
    }
}

struct Unread;

impl Source for Unread {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(None)
    }
}

/// A source of pieces that is a body of the `http-body` crate.
pub struct Frames<B>(pub Pin<Box<B>>);

impl<B: http_body::Body<Data = Bytes, Error = io::Error> + Send> Source for Frames<B> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match ready!(self.0.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => return Poll::Ready(Some(Ok(piece))),
                    // An empty piece says nothing, and neither does a trailer.
                    _ => {}
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::task::Waker;

    struct Given(VecDeque<&'static str>);

    impl Source for Given {
        fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))))
        }
    }

    fn read(length: u64, pieces: &[&'static str]) -> (String, Option<io::ErrorKind>) {
        let mut body = Pieces::new(length, Box::new(Given(pieces.iter().copied().collect())));
        let mut text = String::new();
        loop {
            match body.poll_piece(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(piece))) => text.push_str(std::str::from_utf8(&piece).unwrap()),
                Poll::Ready(Some(Err(error))) => return (text, Some(error.kind())),
                Poll::Ready(None) => return (text, None),
                Poll::Pending => unreachable!("everything is there"),
            }
        }
    }

    #[test]
    fn a_body_is_as_long_as_was_promised_or_ends_in_an_error() {
        assert_eq!(read(5, &["abc", "de"]), ("abcde".to_owned(), None));
        assert_eq!(read(4, &["abc", "de", "fg"]), ("abcd".to_owned(), None));
        assert_eq!(read(6, &["abc", "de"]), ("abcde".to_owned(), Some(io::ErrorKind::UnexpectedEof)));
        assert_eq!(read(0, &["abc"]), (String::new(), None));
    }
}
