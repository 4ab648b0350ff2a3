//! Accepting connections, counting them against the limit, and dealing them out to the shards.

use crate::limits::AddressSeat;
use crate::node::{Command, Node};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use switchboard_wire::Code;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;

/// Descriptors kept for everything but held connections.
const RESERVE: usize = 64;
/// Connections beyond the limit that are being refused at once: they live off the reserve.
const REFUSALS: usize = 32;
/// Unacknowledged bytes or keep-alive probes are given up on after this: it finds peers that vanished. A peer that is
/// there and does not read is another thing: see [`crate::shard`], which lifts the limit while a socket is full. While
/// some waits for it and the socket has room for more, nobody can tell the two apart, so this is not short.
pub(crate) const USER_TIMEOUT: Duration = Duration::from_secs(300);
/// A connection that is quiet for so long is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Unsent bytes the kernel keeps for one connection before the socket counts as full.
const NOT_SENT_LOWAT: u32 = 128 << 10;

/// Counts connections against the limit.
#[derive(Debug)]
pub(crate) struct Connections {
    open: AtomicUsize,
    limit: usize,
    released: Notify,
}

/// A connection's place in the count, given up when dropped.
#[derive(Debug)]
pub(crate) struct Admission(Arc<Connections>);

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) socket: TcpStream,
    /// TLS is spoken.
    pub(crate) secure: bool,
    pub(crate) admission: Admission,
    /// Where it comes from.
    pub(crate) address: IpAddr,
    /// Its place among those of that address, where they are counted.
    pub(crate) seat: Option<AddressSeat>,
    /// The limit that it is beyond, to be told so and closed.
    pub(crate) refused: Option<Code>,
}

impl Connections {
    /// `files`: descriptors that are kept for files, besides, where the limit is not said.
    pub(crate) fn new(limit: Option<usize>, files: usize) -> Connections {
        let limit = limit.unwrap_or_else(|| default_limit(files));
        Connections { open: AtomicUsize::new(0), limit, released: Notify::new() }
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

impl Admission {
    fn new(connections: &Arc<Connections>) -> (Admission, usize) {
        let before = connections.open.fetch_add(1, Ordering::Relaxed);
        (Admission(connections.clone()), before)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.released.notify_one();
    }
}

/// The limit of open files, raised as far as it may be, less the reserve. However low it is, the server starts.
fn default_limit(reserved: usize) -> usize {
    let mut files = getrlimit(Resource::Nofile);
    if files.current < files.maximum {
        let raised = Rlimit { current: files.maximum, maximum: files.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            files = raised;
        }
    }
    let files = files.current.map_or(1 << 20, |files| usize::try_from(files).unwrap_or(usize::MAX));
    files.saturating_sub(RESERVE).saturating_sub(reserved).max(1)
}

/// Where connections come in.
pub(crate) enum Listener {
    Plain(TcpListener),
    Tls(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> io::Result<(TcpStream, IpAddr)> {
        match self {
            Listener::Plain(listener) | Listener::Tls(listener) => {
                let (socket, peer) = listener.accept().await?;
                Ok((prepare(socket)?, peer.ip()))
            }
            Listener::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                // Read and written like any other, which is all that is done with a socket once it is prepared. An option
                // of TCP that is set later is refused by the system, and nothing hangs on it.
                let socket = TcpStream::from(OwnedFd::from(socket.into_std()?));
                Ok((socket, Ipv4Addr::LOCALHOST.into()))
            }
        }
    }

    fn is_secure(&self) -> bool {
        matches!(self, Listener::Tls(_))
    }
}

/// Accepts connections and deals them out to the shards in turn, until the server drains.
pub(crate) async fn accept(listener: Listener, node: Arc<Node>) {
    let mut draining = node.draining.subscribe();
    let mut next = 0;
    loop {
        let open = node.connections.open();
        if open >= node.connections.limit() + REFUSALS {
            // Accepting more would take descriptors from those who are in.
            tokio::select! {
                () = node.connections.released.notified() => continue,
                () = tokio::time::sleep(Duration::from_millis(100)) => continue,
                _ = draining.wait_for(|draining| *draining) => return,
            }
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => return,
        };
        match accepted {
            Ok((socket, address)) => {
                let Some(mut accepted) = admit(&node, socket, address) else { continue };
                accepted.secure = listener.is_secure();
                let shards = node.shards();
                next = (next + 1) % shards.len().max(1);
                let _ = shards[next].commands.send(Command::Serve(accepted));
                tokio::select! {
                    () = pace(&node) => {}
                    _ = draining.wait_for(|draining| *draining) => return,
                }
            }
            Err(error) if out_of_resources(&error) => pause(&node, &error).await,
            // The peer went away before it was accepted: nothing to do.
            Err(error) => tracing::debug!(%error, "a connection failed while it was accepted"),
        }
    }
}

/// Counts a connection, and tells whether it is beyond a limit.
///
/// `None`: from that address as many are being refused as are told so, and this one is closed without a word. It takes
/// neither a descriptor nor a turn from those who come from elsewhere.
fn admit(node: &Node, socket: TcpStream, address: IpAddr) -> Option<Accepted> {
    let (admission, before) = Admission::new(&node.connections);
    let beyond = (before >= node.connections.limit()).then_some(Code::Overloaded);
    // What comes from a proxy is others', who are counted when it is known who they are.
    let proxies = &node.config.proxies;
    let counted = beyond.is_none() && !proxies.are(address) && !proxies.speaks_protocol(address);
    let seat = if counted { node.limits.connection(address) } else { Ok(None) };
    let refused = beyond.or(seat.as_ref().err().map(|problem| problem.code));
    let counter = if refused.is_none() { &node.figures.accepted } else { &node.figures.refused };
    counter.fetch_add(1, Ordering::Relaxed);
    let seat = match seat {
        Ok(seat) => seat,
        Err(problem) => match node.limits.refusal(address) {
            Some(seat) => Some(seat),
            None => {
                if node.denies(problem.code) {
                    let code = problem.code.row().name;
                    tracing::info!(target: "switchboard::audit", code, peer = %address, "closed without a word");
                }
                return None;
            }
        },
    };
    Some(Accepted { socket, secure: false, admission, address, seat, refused })
}

/// Lets newcomers in at the rate that is set for them. Those who wait do so in the queue of the system, and by trying
/// again where that is full: nobody is refused for it.
async fn pace(node: &Node) {
    let mut counted = false;
    while let Err(wait) = node.limits.newcomer(node.now()) {
        if !std::mem::replace(&mut counted, true) {
            node.limits.refused.accepts.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(wait).await;
    }
}

fn prepare(socket: tokio::net::TcpStream) -> io::Result<TcpStream> {
    let socket = socket.into_std()?;
    let options = socket2::SockRef::from(&socket);
    options.set_tcp_nodelay(true)?;
    options.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    options.set_tcp_notsent_lowat(NOT_SENT_LOWAT)?;
    options.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3))?;
    Ok(socket)
}

fn out_of_resources(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Out of descriptors: those who are in stay in, and accepting goes on when one of them leaves.
async fn pause(node: &Node, error: &io::Error) {
    node.figures.accept_pauses.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(%error, connections = node.connections.open(), "accepting pauses");
    tokio::select! {
        () = node.connections.released.notified() => {}
        () = tokio::time::sleep(Duration::from_millis(250)) => {}
    }
}
