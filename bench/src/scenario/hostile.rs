//! Thousands that mean harm beside those who read: whether these feel it, and what it takes of memory.
//!
//! A third of them sends a head, a third a body, both a byte now and then, and a third subscribes to large events and reads
//! nothing. They are on a thread of their own, which sleeps for most of the time.

use super::{Outcome, Setting, Stage, polling};
use crate::targets::Target;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often each sends its byte.
const ROUND: Duration = Duration::from_secs(1);
/// In so many parts of a round they take their turn: all at once they would keep the thread that measures from its CPU.
const PARTS: usize = 500;
/// The receive buffer of one that reads nothing, in bytes.
const SMALL: usize = 4 << 10;
/// What they subscribe to: so large that each of them has a part of one, and so many.
const LOUD: (usize, usize) = (200_000, 30);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Malice {
    SlowHead,
    SlowBody,
    DeadReader,
}

/// Those who mean harm, until this is dropped.
struct Mob {
    stop: Arc<AtomicBool>,
    held: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Mob {
    fn gather(address: SocketAddr, each: usize) -> Result<Mob, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let kinds = [Malice::SlowHead, Malice::SlowBody, Malice::DeadReader];
        let mut members: Vec<(Malice, Option<TcpStream>)> =
            kinds.iter().flat_map(|malice| (0..each).map(|_| (*malice, None))).collect();
        for (malice, stream) in &mut members {
            *stream = Some(come(address, *malice).map_err(|error| format!("one that means harm: {error}"))?);
        }
        // All of them, until the first round is over.
        let held = Arc::new(AtomicUsize::new(members.len()));
        let (stopped, there_are) = (Arc::clone(&stop), Arc::clone(&held));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let some = members.len().div_ceil(PARTS).max(1);
                for part in members.chunks_mut(some) {
                    for (malice, stream) in part {
                        if !stream.as_mut().is_some_and(|stream| act(*malice, stream)) {
                            // Whoever was let go comes again.
                            *stream = come(address, *malice).ok();
                        }
                    }
                    thread::sleep(ROUND / PARTS as u32);
                }
                let held = members.iter().filter(|(_, stream)| stream.is_some()).count();
                there_are.store(held, Ordering::Relaxed);
            }
        });
        Ok(Mob { stop, held, thread: Some(thread) })
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

fn come(address: SocketAddr, malice: Malice) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if malice == Malice::DeadReader {
        socket.set_recv_buffer_size(SMALL)?;
    }
    socket.connect(&SockAddr::from(address))?;
    let mut stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    let first = match malice {
        Malice::SlowHead => "GET /channels/loud HTTP/1.1\r\nHost: localhost\r\nX: ",
        Malice::SlowBody => "POST /channels/loud HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
        Malice::DeadReader => "GET /channels/loud HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
    };
    stream.write_all(first.as_bytes())?;
    Ok(stream)
}

/// Sends a byte, where that is what it does; `false` if the connection is gone.
fn act(malice: Malice, stream: &mut TcpStream) -> bool {
    if malice == Malice::DeadReader {
        return stream.take_error().is_ok_and(|error| error.is_none());
    }
    let written = stream.write(b"x").map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |_| true);
    written && stream.read(&mut [0; 512]).map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |read| read > 0)
}

/// Publishes what is loud, one request after the other.
fn shout(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let (size, count) = LOUD;
    let body = "z".repeat(size);
    for _ in 0..count {
        write!(stream, "POST /channels/loud HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n{body}")?;
        let mut answer = Vec::new();
        // The answer ends with its JSON's line.
        while !answer.ends_with(b"}\n") {
            let mut piece = [0; 1024];
            match stream.read(&mut piece)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => answer.extend_from_slice(&piece[..read]),
            }
        }
    }
    Ok(())
}

/// `count` events are published at `rate` with nobody else there, and as many while `each` of the three kinds is.
pub fn run(target: &dyn Target, setting: &Setting, rate: f64, count: u64, each: usize) -> Result<Outcome, String> {
    let mut stage = Stage::set(target, setting)?;
    stage.warm_up()?;
    let (every, address) = ((1e9 / rate) as u64, stage.server.address);
    stage.publish_evenly(count, every)?;
    let (before, alone) = (stage.server.memory().pss as f64, stage.load.tally.latency.clone());

    let mob = Mob::gather(address, each)?;
    let loud = thread::spawn(move || shout(address));
    while !loud.is_finished() {
        stage.load.turn(Duration::from_millis(50)).map_err(polling)?;
    }
    loud.join().map_err(|_| "the loud publisher broke off")?.map_err(|error| format!("the loud publisher: {error}"))?;
    stage.load.tally.begin(stage.load.clock.nanos());
    let used = stage.used();
    stage.publish_evenly(count, every)?;
    let usage = stage.usage(used);
    let meanwhile = stage.load.tally.latency.clone();
    let grown = stage.server.memory().pss as f64 - before;
    let held = mob.held.load(Ordering::Relaxed);
    drop(mob);
    let figures = [
        ("hostile", held as f64),
        ("live_p99_us_before", alone.micros(0.99)),
        ("live_p99_us_meanwhile", meanwhile.micros(0.99)),
        ("live_p50_us_before", alone.micros(0.5)),
        ("live_p50_us_meanwhile", meanwhile.micros(0.5)),
        ("grown_kib", grown / 1024.0),
        ("grown_bytes_per_hostile", grown / held.max(1) as f64),
    ];
    let figures: Vec<(&str, f64)> = figures.into_iter().chain(usage.figures(stage.load.tally.delivered)).collect();
    Ok(stage.outcome("hostile", figures))
}
