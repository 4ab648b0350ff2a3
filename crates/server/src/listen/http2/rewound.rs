//! A connection with what was read from it put back in front.

use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads `front` first. It does not write vectored: frames of a few hundred bytes are copied side by side, which costs less
/// than a write for each.
pub(crate) struct Rewound<S> {
    front: Bytes,
    io: S,
}

impl<S> Rewound<S> {
    pub(crate) fn new(io: S, front: Bytes) -> Rewound<S> {
        Rewound { front, io }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.front.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, out);
        }
        let length = self.front.len().min(out.remaining());
        out.put_slice(&self.front[..length]);
        self.front.advance(length);
        if self.front.is_empty() {
            self.front = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[test]
    fn what_was_put_back_is_read_first_however_little_is_asked_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rewound = Rewound::new(&b"behind"[..], Bytes::from_static(b"in front, "));
        let read = runtime.block_on(async {
            let (mut all, mut some) = (Vec::new(), [0; 3]);
            loop {
                match rewound.read(&mut some).await.unwrap() {
                    0 => return all,
                    read => all.extend_from_slice(&some[..read]),
                }
            }
        });
        assert_eq!(read, b"in front, behind");
    }
}
