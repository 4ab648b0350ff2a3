//! `--transport websocket`: a message of JSON for each event and notice.

use super::follow::{Audience, Follow, Next};
use super::{Cut, Link, MESSAGE_MAX, SILENCE, bad_request, cut, silent};
use crate::failure::Failure;
use crate::http;
use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming as Body;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use switchboard_wire::websocket::deflate::Inflaters;
use switchboard_wire::websocket::message::{Incoming, Limits, Reader};
use switchboard_wire::websocket::{Role, close, handshake::Offer, write};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// Bytes read at a time.
const BUFFER: usize = 64 << 10;

type Socket = TokioIo<Upgraded>;

pub async fn read(link: &Link<'_>, follow: &mut Follow, audience: &mut dyn Audience) -> Result<(), Cut> {
    let Some((mut socket, deflate)) = open(link, follow.position()).await? else { return Ok(()) };
    let limits = Limits { message: MESSAGE_MAX, ..Limits::default() };
    let mut reader = Reader::new(Role::Client, deflate, limits);
    let mut inflaters = Inflaters::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = timeout(SILENCE, socket.read(&mut buffer)).await.map_err(|_| silent())?;
        let read = read.map_err(|error| cut(format!("the connection was lost: {}", crate::failure::plain(&error))))?;
        if read == 0 {
            return Err(cut("the server dropped the connection"));
        }
        let mut input = &mut buffer[..read];
        loop {
            let incoming = match reader.read(&mut input, &mut inflaters) {
                Ok(Some(incoming)) => incoming,
                Ok(None) => break,
                Err(problem) => {
                    let mut frame = Vec::new();
                    close::write_failure(&problem, Some(mask()), &mut frame);
                    send(&mut socket, &frame).await;
                    return Err(cut(format!("the server breaks the WebSocket protocol: {}", problem.detail)));
                }
            };
            match take(&mut socket, incoming, follow, audience).await? {
                Next::Read => {}
                Next::Stop => return Ok(audience.pause().map_err(Failure::from)?),
                Next::Again(why) => return Err(cut(why)),
            }
        }
        audience.pause().map_err(Failure::from)?;
    }
}

/// Shakes hands; gives the socket, and whether messages may be compressed. `None` where everything has ended already.
async fn open(link: &Link<'_>, since: Option<&str>) -> Result<Option<(Socket, bool)>, Cut> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::Usage(format!("the system gives no random numbers: {error}")))?;
    let offer = Offer::new(random, &[], true);
    let request = Request::get(link.target(since, &[]));
    let request = offer.fields().into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| bad_request(&error))?;
    let response = timeout(SILENCE, http::send(link.server, request)).await.map_err(|_| silent())??;
    match response.status().as_u16() {
        101 => {}
        204 => return Ok(None),
        200..=299 => {
            return Err(Cut::Failed(Failure::Refused(format!("{} does not speak WebSocket here", link.server))));
        }
        _ => return Err(link.refusal(response).await),
    }
    let agreed = check(&offer, &response).map_err(Failure::Refused)?;
    let upgraded = hyper::upgrade::on(response).await;
    let socket = upgraded.map_err(|error| cut(http::explain(link.server, &error)))?;
    Ok(Some((TokioIo::new(socket), agreed)))
}

fn check(offer: &Offer<'_>, response: &Response<Body>) -> Result<bool, String> {
    let headers: Vec<_> = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let agreed = offer.check(101, headers.into_iter()).map_err(|problem| problem.detail.into_owned())?;
    Ok(agreed.deflate.is_some())
}

async fn take(
    socket: &mut Socket,
    incoming: Incoming,
    follow: &mut Follow,
    audience: &mut dyn Audience,
) -> Result<Next, Cut> {
    let mut frame = Vec::new();
    let next = match incoming {
        Incoming::Text(text) => {
            let text = std::str::from_utf8(&text).map_err(|_| cut("the server sent what is not UTF-8"))?;
            follow.json(text, audience)?
        }
        Incoming::Binary(_) => return Err(cut("the server sent binary data where events are JSON")),
        Incoming::Ping(payload) => {
            write::write_pong(&payload, Some(mask()), &mut frame);
            Next::Read
        }
        Incoming::Pong(_) => Next::Read,
        Incoming::Close(received) => {
            close::write_answer(&received, Some(mask()), &mut frame);
            send(socket, &frame).await;
            return closed(&received);
        }
    };
    if next == Next::Stop {
        close::write_close(close::NORMAL, "", Some(mask()), &mut frame);
    }
    if !frame.is_empty() {
        send(socket, &frame).await;
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

/// Sends what the server need not wait for; a connection that is lost shows at the next read.
async fn send(socket: &mut Socket, frame: &[u8]) {
    let _ = timeout(SILENCE, async {
        socket.write_all(frame).await?;
        socket.flush().await
    })
    .await;
}

/// A new mask key (RFC 6455 section 5.3). What is masked here was chosen by the server or by us, never by a third
/// party, so that a fast generator does.
fn mask() -> [u8; 4] {
    fastrand::u32(..).to_be_bytes()
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
