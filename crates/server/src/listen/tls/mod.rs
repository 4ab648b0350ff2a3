//! TLS towards clients, by rustls.
//!
//! - [`session`]: a connection as bytes, without a socket: the handshake is the library's, and what follows it is [`records`],
//!   sealed and opened with [`keys`]; [`tunnel`]: over a socket, in buffers that a thread shares;
//! - [`handshake`], of which a gate admits so much a turn; [`socket`]: while requests are read;
//! - [`certificate`]: what is shown to clients.

mod certificate;
mod fault;
mod handshake;
mod keys;
mod records;
mod session;
mod socket;
mod tunnel;

pub(crate) use handshake::{Failure, accept};
pub(crate) use session::{RECORD_MAX, Session};
pub(crate) use socket::Socket;
pub(crate) use tunnel::Tunnel;

use crate::config::Unfit;
use certificate::Facts;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// The protocols that are spoken over TLS, the best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Tickets that a client is given with a handshake of TLS 1.3.
const TICKETS: usize = 1;

/// Says what is wrong with a certificate and its key, or else what clients will complain of.
pub(crate) fn check(certificate: &Path, key: &Path, now: SystemTime) -> Result<Vec<String>, Unfit> {
    certificate::read(certificate, key).map(|read| read.doubts(now))
}

/// The same of the key alone.
pub(crate) fn check_key(key: &Path) -> Result<(), Unfit> {
    certificate::read_key(key).map(drop).map_err(Unfit::Key)
}

/// How TLS is spoken with the certificate and the key of these files.
pub(crate) fn configure(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    certificate::read(certificate, key).map_err(|unfit| unfit.to_string()).and_then(|read| speak(read.certified))
}

/// How a server speaks TLS, at present.
pub(crate) struct Tls {
    config: RwLock<Arc<ServerConfig>>,
    files: Mutex<Files>,
}

/// Where the certificate and its key are, and what is known of these files.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// As they were when they were read.
    read: Stamp,
    /// As they were when they were looked at.
    seen: Stamp,
    /// What is known of the certificate that is shown.
    facts: Option<Facts>,
    /// When what they hold is to be taken into use, where that is not yet valid.
    due: Option<SystemTime>,
}

/// What tells one state of the two files from another: device, inode, length and time of change of each.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl Tls {
    /// Reads the certificate and its key.
    pub(crate) fn start(certificate: &Path, key: &Path) -> Result<Tls, String> {
        let mut files = Files::new(certificate, key);
        let read = certificate::read(certificate, key).map_err(|unfit| unfit.to_string())?;
        files.facts = read.facts;
        Ok(Tls { config: RwLock::new(speak(read.certified)?), files: Mutex::new(files) })
    }

    /// For a new connection.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the certificate and its key again, from other files if they are named, for connections that are yet to come, and
    /// says what clients will complain of. Where anything is wrong with them, those that are in use stay in use; and so they do
    /// where they are valid today and the new ones are not.
    pub(crate) fn reload(&self, named: Option<(&Path, &Path)>, now: SystemTime) -> Result<Vec<String>, String> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let (certificate, key) = match named {
            Some((certificate, key)) => (certificate.to_owned(), key.to_owned()),
            None => (files.certificate.clone(), files.key.clone()),
        };
        *files = Files { facts: files.facts, ..Files::new(&certificate, &key) };
        let read = certificate::read(&certificate, &key).map_err(|unfit| unfit.to_string())?;
        if let Some(why) = read.why_refused(now)
            && files.facts.is_none_or(|facts| facts.is_valid(now))
        {
            files.due = read.facts.map(|facts| facts.from).filter(|from| *from > now);
            return Err(why);
        }
        let (facts, doubts) = (read.facts, read.doubts(now));
        let config = speak(read.certified)?;
        files.facts = facts;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(doubts)
    }

    /// Whether the files are others than those that were read, and have been left alone since they were last looked at, since two
    /// files are not replaced at once; or whether what they hold is valid by now.
    pub(crate) fn has_news(&self, now: SystemTime) -> bool {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&files.certificate, &files.key);
        let settled = stamp == std::mem::replace(&mut files.seen, stamp);
        let changed = stamp != files.read && stamp.iter().all(Option::is_some);
        settled && (changed || files.due.is_some_and(|due| due <= now))
    }
}

impl Files {
    fn new(certificate: &Path, key: &Path) -> Files {
        let stamp = stamp(certificate, key);
        Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            read: stamp,
            seen: stamp,
            facts: None,
            due: None,
        }
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|path| {
        let data = fs::metadata(path).ok()?;
        Some((data.dev(), data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
    })
}

/// What holds for all connections that are shown this certificate. Sessions are taken up by tickets that clients keep, so
/// that nothing is kept here for those who may come back; the key of the tickets is another for each certificate, and
/// changes by itself every six hours.
fn speak(certified: CertifiedKey) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| error.to_string())?;
    config.send_tls13_tickets = TICKETS;
    // For the records that follow the handshake.
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
