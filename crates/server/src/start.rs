//! Starting and stopping.

use crate::auth::{self, Settings};
use crate::config::Config;
use crate::listen;
use crate::node::{Command, Node, ShardHandle};
use crate::publisher::Publisher;
use crate::shard::driver;
use crate::site::{Refused, Site};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
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
    threads: Vec<JoinHandle<()>>,
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
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
    if let Some(public) = config.listen.iter().find(|address| !address.ip().to_canonical().is_loopback())
        && !config.insecure
        && config.auth.is_open()
    {
        return Err(StartError::Public(*public));
    }
    let site = config.site.clone().map(Site::new).transpose().map_err(StartError::Site)?;
    let listeners: Vec<TcpListener> = config
        .listen
        .iter()
        .map(|address| listen_on(*address).map_err(|error| StartError::Listen(*address, error)))
        .collect::<Result<_, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>().map_err(StartError::Io)?;
    let shards = config.shards.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    let node = Arc::new(Node::new(config, site, shards).map_err(StartError::Io)?);
    let threads = spawn(&node, listeners, shards).map_err(StartError::Io)?;
    Ok(Running { node, addresses, threads })
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

fn spawn(node: &Arc<Node>, listeners: Vec<TcpListener>, shards: usize) -> io::Result<Vec<JoinHandle<()>>> {
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
        for listener in listeners {
            let node = node.clone();
            tasks.spawn_local(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listen::accept(listener, node).await,
                    Err(error) => tracing::error!(%error, "a listener cannot be used"),
                }
            });
        }
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

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Running {
    /// The addresses listened on, in the order they were asked for, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
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
            let _ = shard.commands.send(Command::Reconsider(oneshot::channel().0));
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
