//! Many connections that mean harm, held by one thread.

use crate::head::request;
use crate::http2::{self, PREFACE};
use crate::{tls, websocket};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often each of a mob does something.
const ROUND: Duration = Duration::from_millis(500);
/// The receive buffer of one that reads nothing, in bytes: soon full.
const SMALL: usize = 4096;

/// What one of a mob does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malice {
    /// Sends a head, a byte now and then.
    SlowHead,
    /// Sends a body, a byte now and then.
    SlowBody,
    /// Sends a line of a stream of events, a byte now and then.
    SlowLine,
    /// Subscribes, and never reads.
    DeadReader,
    /// Asks for pages, one behind the other, and never reads.
    DeadAsker,
    /// Pings, as fast as it is let.
    Pinger,
    /// Sends what is no request.
    Garbler,
    /// Comes and goes.
    Visitor,
    /// Begins TLS, a byte now and then.
    SlowHello,
    /// Begins TLS, and goes once the server has its work.
    Hello,
    /// Asks over HTTP/2, and takes it all back.
    Resetter,
    /// Opens streams of HTTP/2 whose windows are nothing.
    Windowless,
}

/// Connections that are opened again whenever the server has closed them, until this is dropped.
#[derive(Debug)]
pub struct Mob {
    stop: Arc<AtomicBool>,
    held: Arc<AtomicUsize>,
    /// How often one came again.
    returned: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

struct Member {
    malice: Malice,
    stream: Option<TcpStream>,
    /// How often it has acted on its connection.
    acted: u32,
}

impl Mob {
    /// So many of each, of whom those that read read `channel`. Waits until all are there.
    ///
    /// # Panics
    /// If the server cannot be reached.
    #[track_caller]
    pub fn gather(address: SocketAddr, channel: &str, kinds: &[(Malice, usize)]) -> Mob {
        let (stop, held, returned) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let mut members: Vec<Member> = kinds
            .iter()
            .flat_map(|(malice, count)| (0..*count).map(|_| Member { malice: *malice, stream: None, acted: 0 }))
            .collect();
        for member in &mut members {
            member.come(address, channel).unwrap_or_else(|error| panic!("{:?}: {error}", member.malice));
        }
        held.store(members.len(), Ordering::Relaxed);
        let channel = channel.to_owned();
        let (stopped, there_are, came) = (Arc::clone(&stop), Arc::clone(&held), Arc::clone(&returned));
        let work = move || {
            while !stopped.load(Ordering::Relaxed) {
                let mut there = 0;
                for member in &mut members {
                    if !member.act() {
                        came.fetch_add(1, Ordering::Relaxed);
                        // Who is not let in comes in the next round.
                        let _ = member.come(address, &channel);
                    }
                    there += usize::from(member.stream.is_some());
                }
                there_are.store(there, Ordering::Relaxed);
                std::thread::sleep(ROUND);
            }
        };
        Mob { stop, held, returned, thread: Some(std::thread::spawn(work)) }
    }

    /// How many are connected, as far as the last round tells.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How often one was closed, and came again.
    pub fn returned(&self) -> usize {
        self.returned.load(Ordering::Relaxed)
    }
}

impl Drop for Mob {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of it was its own message.
            let _ = thread.join();
        }
    }
}

impl Member {
    fn come(&mut self, address: SocketAddr, channel: &str) -> std::io::Result<()> {
        self.stream = None;
        self.acted = 0;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if matches!(self.malice, Malice::DeadReader | Malice::DeadAsker) {
            socket.set_recv_buffer_size(SMALL)?;
        }
        socket.connect(&SockAddr::from(address))?;
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let host = address.to_string();
        let target = format!("/channels/{channel}");
        let first = match self.malice {
            Malice::SlowHead => format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX: ").into_bytes(),
            Malice::SlowBody => request("POST", &target, &host, &[("Content-Length", "1000000")], Some(b"x")),
            Malice::SlowLine => {
                let fields = [("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")];
                let mut bytes = request("POST", &target, &host, &fields, None);
                bytes.extend_from_slice(b"9\r\n{\"data\":\"\r\n");
                bytes
            }
            Malice::DeadReader => request("GET", &target, &host, &[("Accept", "text/event-stream")], None),
            Malice::DeadAsker => request("GET", &format!("{target}?limit=1000"), &host, &[], None).repeat(50),
            Malice::Pinger => {
                let (key, _) = websocket::key();
                let fields = [
                    ("Upgrade", "websocket"),
                    ("Connection", "Upgrade"),
                    ("Sec-WebSocket-Version", "13"),
                    ("Sec-WebSocket-Key", key.as_str()),
                ];
                request("GET", &target, &host, &fields, None)
            }
            Malice::Garbler | Malice::Visitor => Vec::new(),
            Malice::SlowHello => tls::hello()[..100].to_vec(),
            Malice::Hello => tls::hello(),
            Malice::Resetter => [PREFACE, &http2::settings(&[])].concat(),
            Malice::Windowless => {
                let window = (http2::setting::INITIAL_WINDOW_SIZE, 0);
                let fields = http2::fields("GET", &target, &[("accept", "text/event-stream")]);
                let asked = (0..20).flat_map(|n| http2::headers(2 * n + 1, &fields, true));
                [PREFACE, &http2::settings(&[window])].concat().into_iter().chain(asked).collect()
            }
        };
        // A fresh socket has room for it, or its end is seen in the next round.
        let _ = stream.write(&first);
        self.stream = Some(stream);
        Ok(())
    }

    /// Does what it does. `false` if its connection is gone.
    fn act(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        self.acted += 1;
        let mut scratch = [0; 4096];
        let written = match self.malice {
            Malice::SlowHead | Malice::SlowBody | Malice::SlowHello => stream.write(b"x"),
            Malice::SlowLine => stream.write(b"1\r\nx\r\n"),
            Malice::DeadReader | Malice::DeadAsker => {
                // Nothing is read, so that the end of the connection is not seen but by an error.
                return stream.take_error().is_ok_and(|error| error.is_none())
                    && stream.peek(&mut []).map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |_| true);
            }
            Malice::Pinger => {
                let pings = websocket::frame(true, websocket::PING, b"").repeat(500);
                while stream.read(&mut scratch).is_ok_and(|read| read > 0) {}
                stream.write(&pings)
            }
            Malice::Garbler => {
                let garbage: Vec<u8> = (0..200).map(|_| fastrand::u8(..)).collect();
                stream.write(&garbage)
            }
            Malice::Resetter => {
                let asked = |n: u32| http2::headers(n, &http2::fields("GET", "/healthz", &[]), true);
                let both = |n: u32| [asked(n), http2::rst_stream(n, http2::error::CANCEL)].concat();
                let first = 20 * self.acted + 1;
                stream.write(&(0..10).flat_map(|n| both(first + 2 * n)).collect::<Vec<u8>>())
            }
            // It answers no ping, either.
            Malice::Windowless => Ok(0),
            Malice::Visitor | Malice::Hello => return false,
        };
        let ended = loop {
            match stream.read(&mut scratch) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        !ended && written.map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |_| true)
    }
}
