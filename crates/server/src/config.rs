//! What the server is told, resolved: no strings to parse, no defaults to look up.

use crate::application;
use crate::auth;
use crate::proxies::Proxies;
use crate::site;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use switchboard_hub::presence::Tracking;
use switchboard_store::Policy;
use switchboard_wire::limits::SELECTION_MAX;

/// Everything a server needs to know to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Sockets in the file system to listen on.
    pub sockets: Vec<Socket>,
    /// Addresses to listen on with TLS, and the certificate.
    pub tls: Option<Tls>,
    /// Allows addresses other than loopback in open mode, where everyone may do everything.
    pub insecure: bool,
    /// Threads that hold connections; `None` is one for each CPU this process may use.
    pub shards: Option<usize>,
    /// Connections held at most; `None` is the limit of open files less a reserve of 64.
    pub connections: Option<usize>,
    /// How long a stop may take.
    pub drain: Duration,
    /// How often a quiet stream says that it lives.
    pub heartbeat: Duration,
    /// What SSE clients are told to wait before they connect again.
    pub retry: Duration,
    /// Compresses SSE and NDJSON for clients that take gzip: once for each event, not for each client.
    pub gzip: bool,
    pub limits: Limits,
    pub session: Session,
    pub timeouts: Timeouts,
    /// Who is in front, and says whom a connection is from.
    pub proxies: Proxies,
    /// How channels are kept.
    pub policy: Policy,
    /// Bytes on their way in all: bodies and messages that have arrived in part, answers and events that have yet to be
    /// taken; and what sessions keep and names and patterns take. The first 16 KiB of each are not counted.
    pub transit: usize,
    /// Who may do what.
    pub auth: auth::Settings,
    /// What answers what the server cannot.
    pub application: application::Backend,
    pub presence: Presence,
    /// Files that are served beside the channels.
    pub site: Option<site::Settings>,
}

/// TLS towards clients.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Addresses on which it is spoken.
    pub listen: Vec<SocketAddr>,
    /// A file in PEM: the server's certificate, and those that lead from it to a root.
    pub certificate: PathBuf,
    /// A file in PEM: the certificate's key.
    pub key: PathBuf,
}

impl Tls {
    /// Says what is wrong with the certificate and its key, or else what clients will complain of, for people.
    pub fn check(&self) -> Result<Vec<String>, Unfit> {
        crate::listen::tls::check(&self.certificate, &self.key, SystemTime::now())
    }

    /// Says what is wrong with the key alone, if anything is.
    pub fn check_key(&self) -> Result<(), Unfit> {
        crate::listen::tls::check_key(&self.key)
    }
}

/// Which of two files TLS cannot be spoken with, and why, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unfit {
    Certificate(String),
    Key(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Unfit::Certificate(why) | Unfit::Key(why)) = self;
        f.write_str(why)
    }
}

/// A socket in the file system. Who comes through it counts as from 127.0.0.1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Socket {
    pub path: PathBuf,
    /// Who may connect, as permissions of a file: 0o660.
    pub mode: u32,
}

impl Config {
    /// All addresses to listen on, those without TLS first.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen.iter().chain(self.tls.iter().flat_map(|tls| &tls.listen)).copied()
    }
}

/// Who is on which channel.
#[derive(Clone, Debug)]
pub struct Presence {
    /// How long a member that left may take to come back unnoticed.
    pub debounce: Duration,
    /// What is kept of which channel.
    pub tracking: Tracking,
}

/// What one peer may make the server hold, in bytes unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The data of one event, and one WebSocket message.
    pub message: usize,
    /// Frames of one WebSocket message, without an empty one that ends it (a count).
    pub fragments: u32,
    /// Request line and header fields together.
    pub head: usize,
    /// Streams of one HTTP/2 connection that are open at once (a count).
    pub streams: u32,
    /// A whole batch of `POST /api/publish`.
    pub batch: usize,
    /// Events on one page, whatever `limit` asks for (a count).
    pub page: usize,
    /// Channels and patterns that one reader names (a count).
    pub channels: usize,
    /// Connections of one address (a count). Here and below, `None` is no limit in open mode, and else a default.
    pub address: Option<usize>,
    /// Streams and waiting polls of one user (a count).
    pub user: Option<usize>,
    /// New connections a second: more than that wait.
    pub accepts: Option<u32>,
    /// Events that one user publishes a second, or one address without a token.
    pub publishes: Option<u32>,
}

/// How sessions are kept.
#[derive(Clone, Debug)]
pub struct Session {
    /// Without a connection.
    pub linger: Duration,
    /// Bytes of messages that wait for the client, or for their turn, in one session.
    pub memory: usize,
    /// Sessions in all (a count); `None` is the limit of connections.
    pub count: Option<usize>,
    /// Calls of one session that may be open, in each direction (a count).
    pub calls: usize,
    /// The longest that a client's call may be worked on.
    pub call_timeout: Duration,
}

impl Session {
    pub(crate) fn limits(&self) -> switchboard_hub::session::Limits {
        switchboard_hub::session::Limits {
            memory: self.memory,
            linger: self.linger.as_millis() as u64,
            calls: self.calls,
            call_timeout: self.call_timeout.as_millis() as u64,
            ahead: AHEAD,
            hole: HOLE,
        }
    }
}

/// Messages up that may come before their turn, and how long they are held for it, in milliseconds.
const AHEAD: usize = 64;
const HOLE: u64 = 2_000;

/// How long a peer may take.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// To send a request head once it has begun.
    pub head: Duration,
    /// Between requests on a kept-alive connection.
    pub idle: Duration,
    /// Without a byte of a body that is being read, within an event.
    pub body: Duration,
    /// The longest long poll, whatever `wait` asks for.
    pub wait: Duration,
    /// To answer a WebSocket close.
    pub close: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8000))],
            sockets: Vec::new(),
            tls: None,
            insecure: false,
            shards: None,
            connections: None,
            drain: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            gzip: false,
            limits: Limits {
                message: 1 << 20,
                fragments: 4096,
                head: 16 << 10,
                streams: 256,
                batch: 16 << 20,
                page: 1000,
                channels: SELECTION_MAX,
                address: None,
                user: None,
                accepts: None,
                publishes: None,
            },
            session: Session {
                linger: Duration::from_secs(30),
                memory: 256 << 10,
                count: None,
                calls: 64,
                call_timeout: Duration::from_secs(60),
            },
            timeouts: Timeouts {
                head: Duration::from_secs(10),
                idle: Duration::from_secs(75),
                body: Duration::from_secs(30),
                wait: Duration::from_secs(60),
                close: Duration::from_secs(3),
            },
            proxies: Proxies::default(),
            policy: Policy::default(),
            transit: 256 << 20,
            auth: auth::Settings::default(),
            application: application::Backend::None,
            presence: Presence { debounce: Duration::from_secs(5), tracking: Tracking::default() },
            site: None,
        }
    }
}

/// Why a file of the configuration is no good, in the system's words without its number: a sentence goes on with it.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let mut chars = text.split(" (os error").next().unwrap_or_default().chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
