//! Response heads (RFC 9112 section 4), written in one go.

use crate::listen::date;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// How the body of a response is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// By `Content-Length`, in bytes.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection, or there is none.
    Unsaid,
}

/// Appends a whole response head, the empty line included. `connection` is what `Connection` says besides what the
/// response brings along. `Content-Length` and `Transfer-Encoding` follow from `extent` alone.
pub fn write_head(parts: &Parts, extent: Extent, connection: Option<&str>, out: &mut Vec<u8>) {
    out.reserve(192 + parts.headers.len() * 48);
    status_line(parts.status, out);
    // Among the few fields of an answer, looking at each is quicker than looking one up.
    if !parts.headers.keys().any(|name| *name == DATE) {
        line(b"Date", &date::now(), out);
    }
    for (name, value) in &parts.headers {
        let ours = *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING || (*name == CONNECTION && is_close(value));
        if !ours {
            field(name, value, out);
        }
    }
    match extent {
        Extent::Length(length) => length_line(length, out),
        Extent::Chunked => line(b"Transfer-Encoding", b"chunked", out),
        Extent::Unsaid => {}
    }
    if let Some(connection) = connection {
        line(b"Connection", connection.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a whole interim response, which nothing but fields belongs to (RFC 9110 section 15.2).
pub fn write_interim(status: StatusCode, fields: &HeaderMap, out: &mut Vec<u8>) {
    status_line(status, out);
    for (name, value) in fields {
        field(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
}

fn status_line(status: StatusCode, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("Other").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Whether the handler asked for the connection to be closed.
pub(super) fn says_close(parts: &Parts) -> bool {
    parts.headers.iter().any(|(name, value)| *name == CONNECTION && is_close(value))
}

fn is_close(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"close")
}

/// Names are written the customary way, `Content-Type`: case means nothing, but people read it.
fn field(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(name.as_str().as_bytes());
    let mut initial = true;
    for b in &mut out[start..] {
        if initial {
            b.make_ascii_uppercase();
        }
        initial = *b == b'-';
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn length_line(mut length: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    while length > 0 || start == digits.len() {
        start -= 1;
        digits[start] = b'0' + (length % 10) as u8;
        length /= 10;
    }
    line(b"Content-Length", &digits[start..], out);
}

fn line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    #[test]
    fn what_delimits_the_body_is_said_once() {
        let parts = Response::builder()
            .status(200)
            .header("date", "never")
            .header("content-type", "text/plain")
            .header("content-length", "77")
            .header("transfer-encoding", "gzip")
            .header("connection", "Upgrade")
            .header("connection", "close")
            .body(());
        let parts = parts.unwrap().into_parts().0;
        let head = |extent, connection| {
            let mut out = Vec::new();
            write_head(&parts, extent, connection, &mut out);
            String::from_utf8(out).unwrap()
        };
        let fixed = "HTTP/1.1 200 OK\r\nDate: never\r\nContent-Type: text/plain\r\nConnection: Upgrade\r\n";
        assert_eq!(head(Extent::Unsaid, None), format!("{fixed}\r\n"));
        assert_eq!(head(Extent::Length(5), None), format!("{fixed}Content-Length: 5\r\n\r\n"));
        let chunked = format!("{fixed}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
        assert_eq!(head(Extent::Chunked, Some("close")), chunked);
        assert!(says_close(&parts));
    }
}
