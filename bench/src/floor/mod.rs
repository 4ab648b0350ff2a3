//! The floor: the smallest program that does the same sends on the same number of sockets.
//!
//! One thread, plain epoll. A subscriber is a socket and a number; an event is encoded once, as Switchboard encodes it,
//! and sent with one `send` to each subscriber. It checks nothing, limits nothing, keeps nothing and knows no
//! heartbeat: what a server costs beyond this is what it does beyond this. The other policies put several events into
//! one `send`, which is the floor for a server that coalesces.

mod lane;
mod polls;
mod request;

use lane::Lane;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use polls::Polls;
use request::{Request, WAYS};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// When and how much is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Policy {
    /// Each event at once, one `send` for each subscriber
    Each,
    /// Four events in one `send`
    Four,
    /// All events that a subscriber has not been sent in one `send`; subscribers are visited in turn, and new events
    /// are let in between
    Sweep,
}

impl Policy {
    /// What it is called on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Policy::Each => "each",
            Policy::Four => "four",
            Policy::Sweep => "sweep",
        }
    }

    /// What a floor with this policy is called as a target.
    pub fn target(self) -> &'static str {
        match self {
            Policy::Each => "floor",
            Policy::Four => "floor-four",
            Policy::Sweep => "floor-sweep",
        }
    }
}

const LISTENER: Token = Token(usize::MAX - 1);
/// Subscribers visited before new input is looked for.
const SLICE: usize = 32;
/// How long fewer than four events wait for more.
const LINGER: Duration = Duration::from_millis(2);

struct Server {
    poll: Poll,
    listener: TcpListener,
    policy: Policy,
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    lanes: Vec<Lane>,
    /// Where a path's channel is. Its lanes are one for each way, from its index times their number on.
    paths: HashMap<String, usize>,
    polls: Vec<Polls>,
    /// Lanes that owe their subscribers something.
    owing: Vec<u32>,
    scratch: Vec<u8>,
    seq: u64,
}

/// What a token stands for.
enum Entry {
    Vacant,
    /// A connection that asks, or publishes.
    Asking(TcpStream, Vec<u8>),
    Subscriber {
        lane: u32,
        place: u32,
    },
}

/// Serves until the process is killed. Prints where it listens.
pub fn serve(policy: Policy, listen: SocketAddr, print: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let mut listener = TcpListener::from_std(listener(listen)?);
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    print(listener.local_addr()?);
    let mut server = Server {
        poll,
        listener,
        policy,
        entries: Vec::new(),
        vacant: Vec::new(),
        lanes: Vec::new(),
        paths: HashMap::new(),
        polls: Vec::new(),
        owing: Vec::new(),
        scratch: vec![0; 64 << 10],
        seq: 0,
    };
    let mut events = Events::with_capacity(1024);
    loop {
        server.turn(&mut events)?;
    }
}

fn listener(listen: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(listen), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&listen.into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl Server {
    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = match self.policy {
            _ if self.owing.is_empty() => None,
            Policy::Sweep => Some(Duration::ZERO),
            Policy::Each | Policy::Four => Some(LINGER),
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &*events {
            match event.token() {
                LISTENER => self.accept(),
                Token(token) => self.ready(token),
            }
        }
        let idle = events.is_empty();
        let mut owing = std::mem::take(&mut self.owing);
        owing.retain(|lane| {
            let lane = &mut self.lanes[*lane as usize];
            match self.policy {
                Policy::Sweep => lane.visit(SLICE),
                _ if idle => lane.send_to_all(),
                _ => {}
            }
            lane.owes()
        });
        self.owing.extend(owing);
        Ok(())
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let token = self.vacant.pop().map_or(self.entries.len(), |token| token as usize);
            let _ = stream.set_nodelay(true);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, Token(token), interest).is_err() {
                continue;
            }
            let entry = Entry::Asking(stream, Vec::new());
            match self.entries.get_mut(token) {
                Some(place) => *place = entry,
                None => self.entries.push(entry),
            }
        }
    }

    fn ready(&mut self, token: usize) {
        match std::mem::replace(&mut self.entries[token], Entry::Vacant) {
            Entry::Vacant => {}
            Entry::Asking(stream, received) => self.asked(token, stream, received),
            Entry::Subscriber { lane, place } => {
                let of = &mut self.lanes[lane as usize];
                if of.ready(place as usize, &mut self.scratch) {
                    self.entries[token] = Entry::Subscriber { lane, place };
                    return;
                }
                if let Some(moved) = of.remove(place as usize) {
                    self.entries[moved as usize] = Entry::Subscriber { lane, place };
                }
                self.vacant.push(token as u32);
            }
        }
    }

    /// Reads requests, and answers each.
    fn asked(&mut self, token: usize, mut stream: TcpStream, mut received: Vec<u8>) {
        loop {
            match stream.read(&mut self.scratch) {
                Ok(0) => return self.forget(token),
                Ok(count) => received.extend_from_slice(&self.scratch[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.forget(token),
            }
        }
        while let Some((request, length)) = request::parse(&received) {
            match request {
                Request::Publish { path, body } => {
                    // Answered before the fan-out, as Switchboard does.
                    let _ = stream.write(request::PUBLISHED);
                    self.publish(path, body);
                }
                Request::Subscribe { path, way } => {
                    let lane = (self.channel(path) * WAYS.len() + way as usize) as u32;
                    let _ = stream.write(&request::opening(way));
                    let place = self.lanes[lane as usize].add(token as u32, stream);
                    self.entries[token] = Entry::Subscriber { lane, place };
                    return;
                }
                Request::Poll { path, since, waits } => {
                    let channel = self.channel(path);
                    if let Some(page) = self.polls[channel].ask(token as u32, since, waits) {
                        let _ = stream.write(&page);
                    }
                }
                Request::Unknown => return self.forget(token),
            }
            received.drain(..length);
        }
        self.entries[token] = Entry::Asking(stream, received);
    }

    /// A connection that asked is gone.
    fn forget(&mut self, token: usize) {
        self.polls.iter_mut().for_each(|polls| polls.forget(token as u32));
        self.vacant.push(token as u32);
    }

    fn channel(&mut self, path: &str) -> usize {
        if let Some(channel) = self.paths.get(path) {
            return *channel;
        }
        let channel = self.polls.len();
        self.polls.push(Polls::default());
        self.lanes.extend(WAYS.map(|_| Lane::default()));
        self.paths.insert(path.to_owned(), channel);
        channel
    }

    fn publish(&mut self, path: &str, body: &[u8]) {
        self.seq += 1;
        let channel = self.channel(path);
        let Some(event) = request::event(path, body, self.seq) else { return };
        for way in WAYS {
            let lane = (channel * WAYS.len() + way as usize) as u32;
            let of = &mut self.lanes[lane as usize];
            if of.is_empty() {
                continue;
            }
            of.append(&request::encode(&event, way));
            match self.policy {
                Policy::Each => of.send_to_all(),
                Policy::Four if of.waiting() == 4 => of.send_to_all(),
                Policy::Four | Policy::Sweep if !self.owing.contains(&lane) => self.owing.push(lane),
                Policy::Four | Policy::Sweep => {}
            }
        }
        if let Some((page, waiting)) = self.polls[channel].publish(&event, self.seq) {
            for token in waiting {
                if let Some(Entry::Asking(stream, _)) = self.entries.get_mut(token as usize) {
                    let _ = stream.write(&page);
                }
            }
        }
    }
}
