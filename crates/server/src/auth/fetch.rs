//! A small client for one thing: `GET` a document over HTTP/1.1, and no more of it than a limit.

use crate::listen::http1::{BodyDecoder, Decoded, Framing};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long it may take, from the look-up of the name to the last byte.
const TIME: Duration = Duration::from_secs(10);
/// Most that is read, the head included.
const SIZE: usize = 1 << 20;
/// Fields of a head.
const FIELDS: usize = 64;

/// `http://host[:port]/path`, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// As it goes into `Host`.
    host: String,
    /// As it is connected to.
    authority: String,
    target: String,
}

impl Address {
    pub fn parse(url: &str) -> Result<Address, String> {
        if url.starts_with("https://") {
            return Err(
                "https:// is not there yet: fetch it over http:// from a place that you trust the way to".into()
            );
        }
        let rest = url.strip_prefix("http://").ok_or("it does not begin with http://")?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let fine = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if host.is_empty() || host.contains(['@', '?']) || !fine(host) || !fine(path) {
            return Err("it is not `http://host[:port]/path`".into());
        }
        let has_port = host.rsplit_once(':').is_some_and(|(name, port)| {
            !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']'))
        });
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Address { host: host.to_owned(), authority, target: path.to_owned() })
    }
}

/// The document, if it is there whole.
pub(crate) async fn get(address: &Address) -> Result<Vec<u8>, String> {
    match timeout(TIME, exchange(address)).await {
        Ok(outcome) => outcome,
        Err(_) => Err("it took too long".into()),
    }
}

async fn exchange(address: &Address) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| error.to_string();
    let mut socket = TcpStream::connect(&address.authority).await.map_err(failed)?;
    let Address { host, target, .. } = address;
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut bytes = Vec::new();
    loop {
        if bytes.len() > SIZE {
            return Err(format!("it has more than {SIZE} bytes"));
        }
        let read = socket.read_buf(&mut bytes).await.map_err(failed)?;
        if let Some(body) = whole(&bytes, read == 0)? {
            return Ok(body);
        }
        if read == 0 {
            return Err("the answer was cut off".into());
        }
    }
}

/// The body of an answer, once it is there. `over`: nothing more comes.
fn whole(bytes: &[u8], over: bool) -> Result<Option<Vec<u8>>, String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let status = response.parse(bytes).map_err(|_| "the answer is no HTTP".to_owned())?;
    let httparse::Status::Complete(head) = status else { return Ok(None) };
    let code = response.code.unwrap_or_default();
    if code != 200 {
        return Err(format!("the answer has status {code}"));
    }
    let field = |name: &str| response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let text = |name: &str| field(name).and_then(|field| std::str::from_utf8(field.value).ok());
    let framing = match (text("transfer-encoding"), text("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Framing::Chunked,
        (Some(_), _) => return Err("the answer is in a transfer coding that is not known here".into()),
        (None, Some(length)) => {
            Framing::Length(length.trim().parse().map_err(|_| "the answer has no length".to_owned())?)
        }
        // To the end of the connection.
        (None, None) => return Ok(over.then(|| bytes[head..].to_vec())),
    };
    let (mut decoder, mut rest, mut body) = (BodyDecoder::new(framing), &bytes[head..], Vec::new());
    loop {
        match decoder.decode(rest).map_err(|problem| problem.to_string())? {
            Decoded::More => return Ok(None),
            Decoded::Done { .. } => return Ok(Some(body)),
            Decoded::Data { skip, len } => {
                body.extend_from_slice(&rest[skip..skip + len]);
                rest = &rest[skip + len..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (url, host, authority, target) in [
            ("http://keys/jwks.json", "keys", "keys:80", "/jwks.json"),
            ("http://127.0.0.1:81", "127.0.0.1:81", "127.0.0.1:81", "/"),
            ("http://[::1]/a?b=c", "[::1]", "[::1]:80", "/a?b=c"),
            ("http://[::1]:82/", "[::1]:82", "[::1]:82", "/"),
        ] {
            let expected = Address { host: host.into(), authority: authority.into(), target: target.into() };
            assert_eq!(Address::parse(url), Ok(expected), "{url}");
        }
        for bad in [
            "",
            "keys",
            "ftp://a",
            "http://",
            "http:///a",
            "http://u@h/",
            "http://h/a b",
            "http://h\r\n/",
            "http://h/#a",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        assert!(Address::parse("https://a/").unwrap_err().contains("not there yet"));
    }

    #[test]
    fn a_body_is_whole_by_its_length_its_chunks_or_the_end() {
        let cases = [
            ("Content-Length: 3\r\n\r\nabcd", false, Some("abc")),
            ("Content-Length: 3\r\n\r\nab", false, None),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", false, Some("abc")),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", true, None),
            ("X: y\r\n\r\nabc", true, Some("abc")),
            ("X: y\r\n\r\nabc", false, None),
        ];
        for (rest, over, body) in cases {
            let found = whole(format!("HTTP/1.1 200 OK\r\n{rest}").as_bytes(), over);
            assert_eq!(found, Ok(body.map(|body| body.as_bytes().to_vec())), "{rest}");
        }
        for bad in ["HTTP/1.1 404 No\r\n\r\n", "SSH-2.0\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"] {
            assert!(whole(bad.as_bytes(), true).is_err(), "{bad}");
        }
    }
}
