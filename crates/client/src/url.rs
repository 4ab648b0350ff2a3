//! Where the server is, and the addresses of what it serves.

use crate::credential::Credential;
use std::fmt;
use std::path::PathBuf;

/// `http://HOST:PORT` or `https://HOST:PORT`, perhaps with a path that a proxy puts in front.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// Whether TLS is spoken there.
    pub secure: bool,
    /// A file of roots in PEM that its certificate may lead to, besides those that are built in.
    pub ca: Option<PathBuf>,
    /// Empty, or begins with a slash and ends without one.
    prefix: String,
    /// What is shown there.
    pub credential: Option<Credential>,
}

impl Server {
    /// Reads a URL; without a scheme it is `http://`. That of a WebSocket is taken for the one it goes with.
    pub fn parse(text: &str) -> Result<Server, String> {
        let bad = |why: &str| format!("`{text}` is not a server: {why}");
        let (secure, rest) = match text.split_once("://") {
            Some(("http" | "ws", rest)) => (false, rest),
            Some(("https" | "wss", rest)) => (true, rest),
            Some((scheme, _)) => return Err(bad(&format!("`{scheme}://` is neither http:// nor https://"))),
            None => (false, text),
        };
        if rest.contains(['?', '#']) {
            return Err(bad("leave out what follows `?` or `#`"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(bad("user names and passwords in it are not supported"));
        }
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad("it holds a space or a character beyond ASCII"));
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(|| bad("after `]` comes `:PORT`"))?)),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => default_port(secure),
            Some(port) => port.parse().map_err(|_| bad(&format!("`{port}` is not a port")))?,
        };
        if host.is_empty() {
            return Err(bad("write it such as http://127.0.0.1:8000"));
        }
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Server { host: host.to_owned(), port, secure, ca: None, prefix, credential: None })
    }

    /// The value of `Host`.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.secure) { host } else { format!("{host}:{}", self.port) }
    }

    /// The request target of a path that begins with a slash.
    pub fn target(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// `/channels/…` of a channel, percent-encoded.
pub fn channel_path(name: &str) -> String {
    format!("/channels/{}", encode(name, "/"))
}

/// `?name=value&…`, percent-encoded; empty without any.
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&encode(value, "/*"));
    }
    out
}

/// Percent-encodes all but the unreserved characters (RFC 3986 section 2.3) and those of `keep`.
fn encode(text: &str, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') || keep.as_bytes().contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_shown() {
        for (text, shown) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("localhost:9", "http://localhost:9"),
            ("http://example.com/", "http://example.com"),
            ("http://[::1]:8000/a/b/", "http://[::1]:8000/a/b"),
            ("http://[::1]", "http://[::1]"),
            ("https://example.com:443/a", "https://example.com/a"),
            ("https://example.com:80", "https://example.com:80"),
            ("wss://[::1]:8443", "https://[::1]:8443"),
            ("ws://example.com", "http://example.com"),
        ] {
            assert_eq!(Server::parse(text).unwrap().to_string(), shown);
        }
        for (text, hint) in [
            ("ftp://x", "neither http:// nor https://"),
            ("http://", "such as"),
            ("http://a:b", "not a port"),
            ("http://a:b@c", "passwords"),
            ("http://a?b", "leave out"),
            ("http://a b", "space"),
            ("", "such as"),
        ] {
            assert!(Server::parse(text).unwrap_err().contains(hint), "{text}");
        }
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(channel_path("chat/room 1%é?"), "/channels/chat/room%201%25%C3%A9%3F");
        assert_eq!(query([("channel", "a/**"), ("event", "x&y")]), "?channel=a/**&event=x%26y");
        assert_eq!(query([]), "");
        let server = Server::parse("http://h/p").unwrap();
        assert_eq!(server.target(&channel_path("a")), "/p/channels/a");
    }
}
