//! A way to a server that is cut now and then, and a client on it.
#![allow(dead_code, reason = "each test file is a crate of its own and uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails fails the test")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use switchboard_client::{Client, Item, Options, Subscription, Transport};
use switchboard_testkit::{PATIENCE, Server};

pub(crate) const ALL: [Transport; 4] = [Transport::WebSocket, Transport::Sse, Transport::Stream, Transport::Poll];

/// Carries bytes to a server and back.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<SocketAddr>,
    open: Mutex<Vec<TcpStream>>,
    /// Each connection is cut after so many bytes at most, either way; 0 is never.
    most: AtomicU64,
    cuts: AtomicU64,
    /// How often all that was open has been cut: what is opening meanwhile is cut as well.
    turns: AtomicU64,
    /// Requests that ask for a WebSocket are refused, as by a proxy that knows no better.
    plain: bool,
}

impl Relay {
    pub(crate) fn new(server: &Server, most: u64, plain: bool) -> Relay {
        let seed = if most > 0 { switchboard_testkit::seed("where connections are cut") } else { 0 };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            upstream: Mutex::new(server.address()),
            open: Mutex::default(),
            most: AtomicU64::new(most),
            cuts: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            plain,
        });
        let relay = Relay { url, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for (number, near) in listener.incoming().enumerate() {
                let Ok(near) = near else { return };
                let (shared, chance) = (Arc::clone(&shared), fastrand::Rng::with_seed(seed ^ number as u64));
                std::thread::spawn(move || shared.serve(near, chance));
            }
        });
        relay
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// From now on nothing is cut.
    pub(crate) fn calm(&self) {
        self.shared.most.store(0, Ordering::Relaxed);
    }

    /// Leads to another server from now on, and cuts what is open.
    pub(crate) fn lead_to(&self, server: &Server) {
        *self.shared.upstream.lock().unwrap() = server.address();
        self.cut();
    }

    /// Cuts all that is open.
    pub(crate) fn cut(&self) {
        let mut open = self.shared.open.lock().unwrap();
        self.shared.turns.fetch_add(1, Ordering::Relaxed);
        for stream in open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn serve(self: Arc<Shared>, mut near: TcpStream, mut chance: fastrand::Rng) {
        let turn = self.turns.load(Ordering::Relaxed);
        let mut first = Vec::new();
        // A head may come in pieces.
        while !first.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut piece = [0; 4096];
            let Ok(read @ 1..) = near.read(&mut piece) else { return };
            first.extend_from_slice(&piece[..read]);
        }
        if self.plain && first.windows(10).any(|word| word.eq_ignore_ascii_case(b"\r\nupgrade:")) {
            let _ = near.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        let upstream = *self.upstream.lock().unwrap();
        let Ok(mut far) = TcpStream::connect(upstream) else { return };
        {
            let mut open = self.open.lock().unwrap();
            if turn != self.turns.load(Ordering::Relaxed) {
                return;
            }
            open.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
        }
        if far.write_all(&first).is_err() {
            return;
        }
        let (up, down) = ((near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near));
        for (from, to) in [up, down] {
            let (shared, left) = (Arc::clone(&self), chance.u64(1..=self.most.load(Ordering::Relaxed).max(1)));
            std::thread::spawn(move || shared.carry(from, to, left));
        }
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, mut left: u64) {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if self.most.load(Ordering::Relaxed) > 0 {
                let whole = read as u64 <= left;
                left -= left.min(read as u64);
                // A part of it may arrive, as when a connection breaks.
                let arrives = if whole { read } else { left as usize };
                if to.write_all(&buffer[..arrives]).is_err() || !whole {
                    self.cuts.fetch_add(u64::from(!whole), Ordering::Relaxed);
                    break;
                }
            } else if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Runs to the end, or fails when that takes too long.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let most = 6 * PATIENCE;
    runtime.block_on(async { tokio::time::timeout(most, work).await.expect("it comes to an end") })
}

pub(crate) async fn connect(url: &str, transport: Transport) -> Client {
    let options = Options::new().transports(&[transport]).call_timeout(Duration::from_secs(60));
    // A connection may be cut before it is one.
    for _ in 0..20 {
        if let Ok(client) = Client::connect(url, options.clone()).await {
            return client;
        }
    }
    panic!("no connection is to be had by {transport:?}");
}

/// The data of the next so many events, which are numbers. Gaps are not expected.
pub(crate) async fn numbers(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match subscription.next().await {
            Some(Item::Event(event)) => numbers.push(event.json().unwrap()),
            other => panic!("{other:?} after {numbers:?}"),
        }
    }
    numbers
}

/// Waits for what comes about in another task; only a failure reaches the deadline.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    // Some of it takes its own time: tokens come to their ends.
    let end = tokio::time::Instant::now() + 3 * PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < end, "it never became true that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The sessions that the server lists.
pub(crate) fn sessions(server: &Server) -> Vec<serde_json::Value> {
    server.get("/api/sessions").json()["sessions"].as_array().unwrap().clone()
}
