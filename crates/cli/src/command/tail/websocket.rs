//! `--transport websocket`: a message of JSON for each event and notice.

use super::follow::{Audience, Follow, Next};
use super::{Cut, Link, MESSAGE_MAX, SILENCE, cut, silent};
use crate::failure::Failure;
use crate::http;
use switchboard_client::websocket::{self, Handshake, Incoming, Socket};
use switchboard_wire::websocket::close;
use tokio::time::timeout;

pub async fn read(link: &Link<'_>, follow: &mut Follow, audience: &mut dyn Audience) -> Result<(), Cut> {
    let Some(mut socket) = open(link, follow.position()).await? else { return Ok(()) };
    loop {
        let incoming = match socket.ready() {
            Some(incoming) => incoming,
            None => {
                audience.pause().map_err(Failure::from)?;
                timeout(SILENCE, socket.next()).await.map_err(|_| silent())?.map_err(cut)?
            }
        };
        match take(&mut socket, incoming, follow, audience).await? {
            Next::Read => {}
            Next::Stop => return Ok(audience.pause().map_err(Failure::from)?),
            Next::Again(why) => return Err(cut(why)),
        }
    }
}

/// Shakes hands. `None` where everything has ended already.
async fn open(link: &Link<'_>, since: Option<&str>) -> Result<Option<Box<Socket>>, Cut> {
    let opening = websocket::open(link.server, link.target(since, &[]), &[], MESSAGE_MAX);
    let opened = timeout(SILENCE, opening).await.map_err(|_| silent())?;
    match opened.map_err(http::advised)? {
        Handshake::Open(socket) => Ok(Some(socket)),
        Handshake::Answered(response) => match response.status().as_u16() {
            204 => Ok(None),
            200..=299 => Err(Cut::Failed(Failure::Refused(format!("{} does not speak WebSocket here", link.server)))),
            _ => Err(link.refusal(*response).await),
        },
        Handshake::Foul(why) => Err(Cut::Failed(Failure::Refused(why))),
    }
}

async fn take(
    socket: &mut Socket,
    incoming: Incoming,
    follow: &mut Follow,
    audience: &mut dyn Audience,
) -> Result<Next, Cut> {
    let next = match incoming {
        Incoming::Text(text) => {
            let text = std::str::from_utf8(&text).map_err(|_| cut("the server sent what is not UTF-8"))?;
            follow.json(text, audience)?
        }
        Incoming::Binary(_) => return Err(cut("the server sent binary data where events are JSON")),
        Incoming::Ping(_) | Incoming::Pong(_) => Next::Read,
        Incoming::Close(received) => {
            let _ = timeout(SILENCE, socket.close(Some(&received), close::NORMAL)).await;
            return closed(&received);
        }
    };
    if next == Next::Stop {
        let _ = timeout(SILENCE, socket.close(None, close::NORMAL)).await;
    }
    Ok(next)
}

/// What a close means: 1000 that everything has ended, some codes that the same request would fare no better.
fn closed(received: &close::Close) -> Result<Next, Cut> {
    let reason = if received.reason.is_empty() { "no reason was given" } else { received.reason.trim_end_matches('.') };
    match received.code {
        Some(close::NORMAL) => Ok(Next::Stop),
        Some(code) if !passes(code) => {
            Err(Cut::Failed(Failure::Refused(format!("the server closed the WebSocket: {reason} ({code})"))))
        }
        _ => Ok(Next::Again(super::follow::farewell(reason))),
    }
}

/// Whether the error table says of a close code that connecting again may help.
fn passes(code: u16) -> bool {
    let mut rows = switchboard_wire::code::TABLE.iter().filter(|(_, row)| row.close == code).peekable();
    rows.peek().is_none() || rows.any(|(_, row)| row.reconnect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_say_whether_to_return() {
        let close = |code| close::Close { code, reason: "".into() };
        assert!(matches!(closed(&close(Some(1000))), Ok(Next::Stop)));
        for again in [None, Some(1001), Some(1011), Some(1012), Some(1013), Some(4408)] {
            assert!(matches!(closed(&close(again)), Ok(Next::Again(_))), "{again:?}");
        }
        for never in [1002, 1003, 4400, 4403] {
            assert!(matches!(closed(&close(Some(never))), Err(Cut::Failed(_))), "{never}");
        }
    }
}
