//! What the fuzz targets look at and nobody else needs to: pure functions that a request goes through, and TLS as bytes.

use crate::api::query::{self, Query};
use crate::config::Config;
use crate::listen::Head;
use crate::listen::tls;
use crate::reading::Reading;
use rustls::ServerConfig;
use std::io;
use std::path::Path;
use std::sync::Arc;
use switchboard_wire::ChannelName;
use switchboard_wire::code::Problem;
use switchboard_wire::name::Selection;

/// The parameters of a query, in their order.
pub fn query(text: &str) -> Result<Vec<(String, String)>, Problem> {
    Query::parse(Some(text)).map(Query::into_pairs)
}

/// The channel that a path names, behind `/channels/`.
pub fn channel(path: &str) -> Result<ChannelName, Problem> {
    query::channel(path)
}

/// What a `GET` reads, and where it says to begin, if it does.
pub fn reading(head: &Head) -> Result<(Selection, Option<String>), Problem> {
    let query = Query::parse(head.query.as_deref())?;
    let channel = head.path.strip_prefix("/channels/").map(query::channel).transpose()?;
    let reading = Reading::of(head, &query, channel, &Config::default())?;
    let since = reading.since_text().map(str::to_owned);
    Ok((Selection::clone(&reading.selection), since))
}

/// Who shows a certificate.
pub struct Secured(Arc<ServerConfig>);

impl Secured {
    /// With the files of a certificate and its key.
    pub fn new(certificate: &Path, key: &Path) -> Result<Secured, String> {
        tls::configure(certificate, key).map(Secured)
    }

    /// A connection that begins.
    pub fn session(&self) -> io::Result<Session> {
        tls::Session::new(self.0.clone()).map(Session)
    }
}

/// The server's side of a TLS connection, without a socket.
pub struct Session(tls::Session);

impl Session {
    /// Takes in what has arrived. What is to be sent is appended to `out`, and what was said to `plain`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, plain: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = vec![0; tls::RECORD_MAX];
        let kept = self.0.put_kept(&mut buffer);
        buffer.truncate(kept);
        buffer.extend_from_slice(bytes);
        self.0.take_in(&mut buffer, out, &mut |said| plain.extend_from_slice(said))
    }

    /// Appends to `out` what it takes to say this.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.0.seal(plain, out)
    }

    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    pub fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// Bytes that are kept of a record of which only a part has arrived.
    pub fn kept(&self) -> usize {
        self.0.kept()
    }
}
