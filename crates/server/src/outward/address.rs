//! Whom we ask, and a connection there.

use super::trust;
use rustls::pki_types::ServerName;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection, with TLS or without.
pub(crate) type Socket = Box<dyn Duplex>;

/// What is read and written.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Whom we trust to be who they say they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roots<'a> {
    /// A file of roots in PEM, besides those that are built in. It is read for each connection.
    pub(crate) file: Option<&'a Path>,
    /// The setting that names it.
    pub(crate) setting: &'static str,
}

/// `https://host[:port]/path` or `http://…`, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Whom the certificate has to name; there is none where TLS is not spoken.
    secure: Option<ServerName<'static>>,
    /// As it goes into `Host`.
    pub(crate) authority: String,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Path and query.
    pub(crate) target: String,
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

    /// A connection, TLS agreed on. Why there is none is said for people.
    pub(crate) async fn connect(&self, roots: Roots<'_>) -> Result<Socket, String> {
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await;
        let socket = socket.map_err(|error| format!("{} cannot be reached: {error}", self.authority))?;
        // What is written is written whole. Where the system refuses this, it is only slower.
        let _ = socket.set_nodelay(true);
        let Some(name) = &self.secure else { return Ok(Box::new(socket)) };
        let connector = TlsConnector::from(trust::client(roots.file)?);
        let socket = connector.connect(name.clone(), socket).await;
        Ok(Box::new(socket.map_err(|error| trust::explain(&error, roots.setting))?))
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
}
