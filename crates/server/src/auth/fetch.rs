//! A small client for one thing: `GET` a document over HTTP/1.1, and no more of it than a limit; with TLS beneath where the
//! address says so.

use super::trust;
use crate::listen::http1::{BodyDecoder, Decoded, Framing};
use rustls::pki_types::ServerName;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Most that is read, the head included.
const SIZE: usize = 1 << 20;
/// Fields of a head.
const FIELDS: usize = 64;
/// What a TLS alert begins with: somebody heard HTTP where TLS is spoken.
const ALERT: u8 = 0x15;

/// `https://host[:port]/path` or `http://…`, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Whom the certificate has to name; there is none where TLS is not spoken.
    secure: Option<ServerName<'static>>,
    /// As it goes into `Host`.
    authority: String,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    target: String,
}

impl Address {
    pub fn parse(url: &str) -> Result<Address, String> {
        let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("it begins with neither https:// nor http://".into()),
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let fine = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        let foul = || "it is not `https://host[:port]/path`".to_owned();
        if authority.contains(['@', '?']) || !fine(authority) || !fine(path) {
            return Err(foul());
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(foul)?)),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None if secure => 443,
            None => 80,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().map_err(|_| foul())?,
            Some(_) => return Err(foul()),
        };
        if host.is_empty() {
            return Err(foul());
        }
        let name = || ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no name of a host"));
        Ok(Address {
            secure: if secure { Some(name()?) } else { None },
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            target: path.to_owned(),
        })
    }

    /// Whether TLS is spoken there.
    pub fn is_secure(&self) -> bool {
        self.secure.is_some()
    }
}

/// The document, if it is there whole within this time, from the look-up of the name to the last byte. `roots`: a file of
/// further roots, for an address with TLS.
pub(crate) async fn get(address: &Address, roots: Option<&Path>, time: Duration) -> Result<Vec<u8>, String> {
    match timeout(time, connect(address, roots)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("it took longer than {time:?}")),
    }
}

async fn connect(address: &Address, roots: Option<&Path>) -> Result<Vec<u8>, String> {
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await;
    let socket = socket.map_err(|error| format!("{} cannot be reached: {error}", address.authority))?;
    match &address.secure {
        None => exchange(socket, address).await,
        Some(name) => {
            let connector = TlsConnector::from(trust::client(roots)?);
            let socket = connector.connect(name.clone(), socket).await.map_err(|error| trust::explain(&error))?;
            exchange(socket, address).await
        }
    }
}

async fn exchange(mut socket: impl AsyncRead + AsyncWrite + Unpin, address: &Address) -> Result<Vec<u8>, String> {
    let failed = |error| trust::explain(&error);
    let Address { authority, target, .. } = address;
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.map_err(failed)?;
    socket.flush().await.map_err(failed)?;
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
    let status = response.parse(bytes).map_err(|_| match bytes.first() {
        Some(&ALERT) => "what answers there speaks TLS: write https://".to_owned(),
        _ => "the answer is no HTTP".to_owned(),
    })?;
    let httparse::Status::Complete(head) = status else { return Ok(None) };
    let code = response.code.unwrap_or_default();
    match code {
        200 => {}
        300..=399 => return Err(format!("the answer has status {code}, and redirections are not followed")),
        _ => return Err(format!("the answer has status {code}")),
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
        for (url, secure, authority, host, port, target) in [
            ("http://keys/jwks.json", false, "keys", "keys", 80, "/jwks.json"),
            ("https://keys/jwks.json", true, "keys", "keys", 443, "/jwks.json"),
            ("http://127.0.0.1:81", false, "127.0.0.1:81", "127.0.0.1", 81, "/"),
            ("https://127.0.0.1:81", true, "127.0.0.1:81", "127.0.0.1", 81, "/"),
            ("http://[::1]/a?b=c", false, "[::1]", "::1", 80, "/a?b=c"),
            ("https://[::1]:82/", true, "[::1]:82", "::1", 82, "/"),
        ] {
            let found = Address::parse(url).unwrap();
            assert_eq!(
                (found.is_secure(), &*found.authority, &*found.host, found.port, &*found.target),
                (secure, authority, host, port, target),
                "{url}"
            );
        }
        for bad in [
            "",
            "keys",
            "ftp://a",
            "HTTPS://a",
            "http://",
            "https:///a",
            "http:///a",
            "https://u@h/",
            "http://h/a b",
            "http://h\r\n/",
            "https://h/#a",
            "https://h:",
            "https://h:+1",
            "https://h:99999",
            "https://[::1",
            "https://[::1]x/",
            "https://a..b/",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
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
        for (bad, why) in [
            ("HTTP/1.1 404 No\r\n\r\n", "status 404"),
            ("HTTP/1.1 302 There\r\nLocation: /there\r\n\r\n", "redirections are not followed"),
            ("SSH-2.0\r\n", "no HTTP"),
            ("\x15\x03\x03\0\x02\x02\x16", "write https://"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer coding"),
        ] {
            let told = whole(bad.as_bytes(), true).unwrap_err();
            assert!(told.contains(why), "{bad}: {told}");
        }
    }
}
