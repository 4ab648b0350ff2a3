//! The answer to a request: read from a connection, within a limit.

use crate::listen::Framing;
use crate::listen::http1::{BodyDecoder, Decoded};
use bytes::{Buf as _, BytesMut};
use switchboard_wire::code::Problem;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Fields of a head.
const FIELDS: usize = 64;
/// Most bytes of a head.
const HEAD: usize = 64 << 10;
/// What a TLS alert begins with: somebody heard HTTP where TLS is spoken.
const ALERT: u8 = 0x15;

/// What was answered, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether the connection can be asked again.
    pub(crate) kept: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection was closed before a byte of it.
    Silent,
    /// The connection failed.
    Io(std::io::Error),
    /// It is no answer, or one that is not understood here.
    Foul(String),
}

/// Where the head says that the body ends.
#[derive(Clone, Copy)]
enum Extent {
    Framed(Framing),
    /// With the connection.
    Connection,
}

struct Head {
    status: u16,
    extent: Extent,
    kept: bool,
}

/// Reads an answer whose body has at most `limit` bytes.
pub(crate) async fn read(socket: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Answer, Broken> {
    let mut buffer = BytesMut::new();
    let head = loop {
        if let Some(head) = take_head(&mut buffer)? {
            // One with 1xx is on the way to the answer (RFC 9110 section 15.2).
            if head.status >= 200 {
                break head;
            }
            continue;
        }
        if buffer.len() > HEAD {
            return Err(Broken::Foul(format!("the head of the answer has more than {HEAD} bytes")));
        }
        match receive(socket, &mut buffer).await {
            Ok(0) if buffer.is_empty() => return Err(Broken::Silent),
            Ok(0) => return Err(cut_off()),
            Ok(_) => {}
            // Whoever resets a connection that was idle has not heard us, or not said that it did.
            Err(Broken::Io(error)) if buffer.is_empty() && is_end(&error) => return Err(Broken::Silent),
            Err(broken) => return Err(broken),
        }
    };
    let mut body = Vec::new();
    match head.extent {
        Extent::Framed(framing) => framed(socket, &mut buffer, framing, limit, &mut body).await?,
        Extent::Connection => loop {
            body.extend_from_slice(&buffer);
            buffer.clear();
            within(body.len(), limit)?;
            if receive(socket, &mut buffer).await? == 0 {
                break;
            }
        },
    }
    // Bytes that nobody asked for belong to no answer.
    Ok(Answer { status: head.status, body, kept: head.kept && buffer.is_empty() })
}

async fn receive(socket: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<usize, Broken> {
    socket.read_buf(buffer).await.map_err(Broken::Io)
}

fn is_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

async fn framed(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    framing: Framing,
    limit: usize,
    body: &mut Vec<u8>,
) -> Result<(), Broken> {
    let mut decoder = BodyDecoder::new(framing);
    loop {
        match decoder.decode(buffer).map_err(|problem: Problem| Broken::Foul(problem.to_string()))? {
            Decoded::Done { skip } => {
                buffer.advance(skip);
                return Ok(());
            }
            Decoded::Data { skip, len } => {
                within(body.len() + len, limit)?;
                body.extend_from_slice(&buffer[skip..skip + len]);
                buffer.advance(skip + len);
            }
            Decoded::More if receive(socket, buffer).await? == 0 => return Err(cut_off()),
            Decoded::More => {}
        }
    }
}

fn within(length: usize, limit: usize) -> Result<(), Broken> {
    if length > limit { Err(Broken::Foul(format!("the answer has more than {limit} bytes"))) } else { Ok(()) }
}

fn cut_off() -> Broken {
    Broken::Foul("the answer was cut off".into())
}

/// Takes a head off the front of the buffer, once it is there whole.
fn take_head(buffer: &mut BytesMut) -> Result<Option<Head>, Broken> {
    let foul = |why: &str| Broken::Foul(why.to_owned());
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(buffer).map_err(|_| match buffer.first() {
        Some(&ALERT) => foul("what answers there speaks TLS: write https://"),
        _ => foul("the answer is no HTTP"),
    })?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let field = |name: &str| response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let text = |name: &str| field(name).and_then(|field| std::str::from_utf8(field.value).ok()).map(str::trim);
    let extent = match (text("transfer-encoding"), text("content-length")) {
        // These have no body, whatever they say of it (RFC 9112 section 6.3).
        _ if matches!(status, 100..=199 | 204 | 304) => Extent::Framed(Framing::None),
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Extent::Framed(Framing::Chunked),
        (Some(_), _) => return Err(foul("the answer is in a transfer coding that is not known here")),
        (None, Some(length)) if length.bytes().all(|b| b.is_ascii_digit()) => {
            Extent::Framed(Framing::Length(length.parse().map_err(|_| foul("the answer has no length"))?))
        }
        (None, Some(_)) => return Err(foul("the answer has no length")),
        (None, None) => Extent::Connection,
    };
    let closes = text("connection").is_some_and(|told| told.to_ascii_lowercase().contains("close"));
    let kept = response.version == Some(1) && !closes && matches!(extent, Extent::Framed(_));
    buffer.advance(length);
    Ok(Some(Head { status, extent, kept }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str, limit: usize) -> Result<Answer, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcome = runtime.block_on(read(&mut text.as_bytes(), limit));
        outcome.map_err(|broken| match broken {
            Broken::Silent => "silent".to_owned(),
            Broken::Io(error) => error.to_string(),
            Broken::Foul(why) => why,
        })
    }

    #[test]
    fn a_body_ends_by_its_length_its_chunks_or_the_connection() {
        let kept = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Some("abc"), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: Close\r\n\r\nabc", Some("abc"), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", Some("abc"), false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", Some("abc"), false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", None, false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", Some("abc"), true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", None, false),
            ("HTTP/1.1 200 OK\r\nX: y\r\n\r\nabc", Some("abc"), false),
            ("HTTP/1.1 204 No\r\n\r\n", Some(""), true),
            (
                "HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
                Some("a"),
                true,
            ),
        ];
        for (text, body, kept) in kept {
            let found = read_all(text, 3);
            match body {
                Some(body) => {
                    let found = found.unwrap();
                    assert_eq!((found.body.as_slice(), found.kept), (body.as_bytes(), kept), "{text}");
                }
                None => assert_eq!(found, Err("the answer was cut off".into()), "{text}"),
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for (bad, why) in [
            ("", "silent"),
            ("HTTP/1.1 200 OK\r\nContent-", "cut off"),
            ("SSH-2.0\r\n", "no HTTP"),
            ("\x15\x03\x03\0\x02\x02\x16", "write https://"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer coding"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", "more than 3 bytes"),
            ("HTTP/1.1 200 OK\r\n\r\nabcd", "more than 3 bytes"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
                "more than 3 bytes",
            ),
        ] {
            let told = read_all(bad, 3).unwrap_err();
            assert!(told.contains(why), "{bad}: {told}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(2 * HEAD));
        assert!(read_all(&long, 3).unwrap_err().contains("the head"));
    }
}
