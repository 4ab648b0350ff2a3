//! The PROXY protocol in front of a connection; see [`switchboard_wire::proxy`].

use bytes::{Buf, BytesMut};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use switchboard_wire::proxy::{HEADER_MAX, parse};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// Reads the header, and returns whose the connection is, if it says so, and what was read behind it.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    socket: &mut S,
    within: Duration,
) -> io::Result<(Option<IpAddr>, BytesMut)> {
    let mut bytes = BytesMut::new();
    let header = async {
        loop {
            let room = HEADER_MAX.saturating_sub(bytes.len()).max(1);
            if (&mut *socket).take(room as u64).read_buf(&mut bytes).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            let parsed = parse(&bytes).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad.0))?;
            if let Some(said) = parsed {
                return Ok(said);
            }
        }
    };
    let said = timeout(within, header).await??;
    bytes.advance(said.length);
    Ok((said.source, bytes))
}
