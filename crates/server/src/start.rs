//! Starting and stopping.

use crate::auth::{self, Settings};
use crate::config::{self, Config, Socket};
use crate::listen::tls::Tls;
use crate::listen::{self, Listener, UnixSocket};
use crate::node::{Node, Question, ShardHandle};
use crate::publisher::Publisher;
use crate::shard::driver;
use crate::site::{Refused, Site};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::LocalSet;

/// Connections the kernel keeps waiting to be accepted, bounded further by `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// How often events that grew too old are dropped though nobody reads or publishes.
const TICK: Duration = Duration::from_secs(1);

/// A server that runs, on threads of its own, until it is drained.
pub struct Running {
    node: Arc<Node>,
    addresses: Vec<SocketAddr>,
    secure: Vec<SocketAddr>,
    sockets: Vec<UnixSocket>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The socket in the file system cannot be listened on.
    Socket(PathBuf, io::Error),
    /// The certificate or its key is no good.
    Certificate(String),
    /// Open mode refuses an address that others could reach.
    Public(SocketAddr),
    /// The site cannot be served: why, in full.
    Site(Vec<Refused>),
    /// The system refused something else.
    Io(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            StartError::Socket(path, error) => write!(f, "cannot listen on {}: {error}", path.display()),
            StartError::Certificate(why) => write!(f, "TLS cannot be spoken: {why}"),
            StartError::Public(address) => {
                write!(f, "{address} can be reached by others, and without authentication everyone may do everything")
            }
            StartError::Site(refused) => {
                let why: Vec<&str> = refused.iter().map(|refused| refused.why.as_str()).collect();
                f.write_str(&why.join("; "))
            }
            StartError::Io(error) => write!(f, "the system refused to start the server: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why settings are not taken over by a server that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReloadError {
    /// They would begin or end open mode, and which addresses may be listened on hangs on that.
    Mode,
    /// They would fetch keys from elsewhere.
    Jwks,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReloadError::Mode => "open mode begins and ends with a restart alone",
            ReloadError::Jwks => "where keys are fetched from changes with a restart alone",
        })
    }
}

impl std::error::Error for ReloadError {}

/// Starts a server. It listens when this returns.
pub fn start(config: Config) -> Result<Running, StartError> {
    if let Some(public) = config.addresses().find(|address| !address.ip().to_canonical().is_loopback())
        && !config.insecure
        && config.auth.is_open()
    {
        return Err(StartError::Public(public));
    }
    let site = config.site.clone().map(Site::new).transpose().map_err(StartError::Site)?;
    let tls = config.tls.as_ref().map(|tls| Tls::start(&tls.certificate, &tls.key)).transpose();
    let tls = tls.map_err(StartError::Certificate)?;
    let plain = listen_all(&config.listen)?;
    let secure = config.tls.as_ref().map_or(Ok(Vec::new()), |tls| listen_all(&tls.listen))?;
    let (unix, sockets): (Vec<_>, Vec<_>) = listen_on_sockets(&config.sockets)?.into_iter().unzip();
    let (addresses, secured) = (addresses(&plain)?, addresses(&secure)?);
    let listeners = Listeners { plain, secure, unix };
    let shards = config.shards.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    let node = Arc::new(Node::new(config, site, shards).map_err(StartError::Io)?.with_tls(tls));
    let threads = spawn(&node, listeners, shards).map_err(StartError::Io)?;
    Ok(Running { node, addresses, secure: secured, sockets, threads })
}

/// Everything that is listened on, before there is a runtime.
struct Listeners {
    plain: Vec<TcpListener>,
    secure: Vec<TcpListener>,
    unix: Vec<UnixListener>,
}

impl Listeners {
    /// For the runtime that this is called in.
    fn open(self) -> impl Iterator<Item = io::Result<Listener>> {
        let plain =
            self.plain.into_iter().map(|listener| tokio::net::TcpListener::from_std(listener).map(Listener::Plain));
        let secure =
            self.secure.into_iter().map(|listener| tokio::net::TcpListener::from_std(listener).map(Listener::Tls));
        let unix =
            self.unix.into_iter().map(|listener| tokio::net::UnixListener::from_std(listener).map(Listener::Unix));
        plain.chain(secure).chain(unix)
    }
}

fn listen_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let listen = |address: &SocketAddr| listen_on(*address).map_err(|error| StartError::Listen(*address, error));
    addresses.iter().map(listen).collect()
}

fn listen_on_sockets(sockets: &[Socket]) -> Result<Vec<(UnixListener, UnixSocket)>, StartError> {
    let listen = |socket: &Socket| {
        UnixSocket::listen(socket, BACKLOG).map_err(|error| StartError::Socket(socket.path.clone(), error))
    };
    sockets.iter().map(listen).collect()
}

fn addresses(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, StartError> {
    listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>().map_err(StartError::Io)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn spawn(node: &Arc<Node>, listeners: Listeners, shards: usize) -> io::Result<Vec<JoinHandle<()>>> {
    let mut handles = Vec::new();
    let mut inboxes = Vec::new();
    for _ in 0..shards {
        let (commands, inbox) = mpsc::unbounded_channel();
        let bell = Arc::new(Notify::new());
        inboxes.push((inbox, bell.clone()));
        handles.push(ShardHandle { commands, bell });
    }
    node.attach(handles);
    let mut threads = Vec::new();
    for (index, (inbox, bell)) in inboxes.into_iter().enumerate() {
        threads.push(driver::spawn(node.clone(), index, inbox, bell)?);
    }
    if let Some(jwks) = node.auth.settings().jwks.clone() {
        threads.push(auth::jwks::spawn(node.clone(), jwks)?);
    }
    let node = node.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let accepting = thread::Builder::new().name("accept".into()).spawn(move || {
        let tasks = LocalSet::new();
        let entered = runtime.enter();
        for listener in listeners.open() {
            match listener {
                Ok(listener) => drop(tasks.spawn_local(listen::accept(listener, node.clone()))),
                Err(error) => tracing::error!(%error, "a listener cannot be used"),
            }
        }
        drop(entered);
        let ticking = tick(&node);
        runtime.block_on(tasks.run_until(ticking));
        // What still listens stops with the listeners, which go with the tasks.
    })?;
    threads.push(accepting);
    Ok(threads)
}

/// Drops what grew too old, until the server drains.
async fn tick(node: &Node) {
    let mut draining = node.draining.subscribe();
    let mut interval = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = interval.tick() => {
                look_for_certificate(node);
                node.log.tick(node.now());
                node.auth.tick(node.now());
                node.limits.tick(node.now());
                node.occupancy.tick(Instant::now());
            }
            () = node.presence.due() => node.presence.tick(),
            _ = draining.wait_for(|draining| *draining) => return,
        }
    }
}

/// Takes a certificate into use whose files have changed.
fn look_for_certificate(node: &Node) {
    let now = SystemTime::now();
    let Some(tls) = node.tls.as_ref().filter(|tls| tls.has_news(now)) else { return };
    match tls.reload(None, now) {
        Ok(doubts) => {
            tracing::info!("the certificate has changed: new connections are shown the new one");
            warn_of(&doubts);
        }
        Err(why) => tracing::error!("the certificate has changed and is not taken into use, the old one stays: {why}"),
    }
}

fn warn_of(doubts: &[String]) {
    doubts.iter().for_each(|doubt| tracing::warn!("[tls]: {doubt}"));
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Running {
    /// The addresses listened on without TLS, in the order they were asked for, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Those of them on which TLS is spoken, which [`Running::addresses`] has not.
    pub fn secure_addresses(&self) -> &[SocketAddr] {
        &self.secure
    }

    /// The sockets in the file system that are listened on.
    pub fn sockets(&self) -> impl Iterator<Item = &Path> {
        self.sockets.iter().map(UnixSocket::path)
    }

    /// Reads the certificate and its key anew, from the files that are named now, without dropping a connection. Where
    /// anything is wrong with them, which is told, the old ones stay. By itself the server does so when it sees that the
    /// files have changed.
    pub fn reload_certificate(&self, tls: &config::Tls) -> Result<(), String> {
        match &self.node.tls {
            Some(served) => {
                served.reload(Some((&tls.certificate, &tls.key)), SystemTime::now()).map(|doubts| warn_of(&doubts))
            }
            None => Err("TLS begins with a restart alone".into()),
        }
    }

    /// Publishes from within the program.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.node.clone())
    }

    /// Puts other settings of access in place of those that hold, without dropping a connection. What they take away is
    /// taken from streams that are open.
    pub fn reload(&self, auth: Settings) -> Result<(), ReloadError> {
        let before = self.node.auth.settings();
        if auth.is_open() != before.is_open() {
            return Err(ReloadError::Mode);
        }
        if auth.jwks != before.jwks {
            return Err(ReloadError::Jwks);
        }
        self.node.limits.channels.replace(auth.channel_limits.clone());
        self.node.auth.replace(auth);
        for shard in self.node.shards() {
            // Nobody waits for how many streams that ends.
            shard.ask(Question::Reconsider(oneshot::channel().0));
        }
        Ok(())
    }

    /// Stops: no connection is accepted any more, every client is told, and what they still take is waited for, for
    /// at most the configured time.
    pub fn drain(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let begun = Instant::now();
        self.node.draining.send_replace(true);
        self.sockets.clear();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        // Sessions that end have something to tell.
        self.node.application.stop(self.node.config.drain.saturating_sub(begun.elapsed()));
        self.node.auth.audit.sum_up();
    }
}

/// A server that is dropped is drained.
impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
