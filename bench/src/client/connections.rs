//! The table of connections and the loop that reads them.

use super::channel::Channel;
use super::dialogue::{Dialogue, Link};
use super::frames::Scratch;
use super::http2::{Session, Windows};
use super::line::Line;
use super::publisher::{Answers, Publisher};
use super::subscriber::{Around, Stage, Subscriber};
use super::tally::Tally;
use crate::payload::{Clock, Payloads, Stamp};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections that are being opened at once: less than a server's backlog.
const OPENING: usize = 200;
/// Streams that are being opened at once, on all connections.
const OPENING_STREAMS: usize = 2_000;
/// Streams of a connection where nothing else is said: as many as a browser may expect a server to allow (RFC 9113 section
/// 6.5.2).
pub const STREAMS: usize = 100;
/// How long nothing may come while something is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Tokens from here on are publishers.
const PUBLISHERS: usize = usize::MAX / 4;
/// What one read takes.
const SCRATCH: usize = 128 << 10;

/// Subscribers and publishers of one server.
#[derive(Debug)]
pub struct Load {
    poll: Poll,
    events: Events,
    address: SocketAddr,
    pub(super) connections: Vec<Connection>,
    pub(super) subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    plan: Option<Plan>,
    pub channels: Vec<Channel>,
    pub payloads: Payloads,
    pub clock: Clock,
    pub tally: Tally,
    /// The size of sockets' receive buffers, where it is not left to the kernel.
    pub receive_buffer: Option<usize>,
    /// How long nothing may come while something is waited for.
    pub patience: Duration,
    /// Subscribers on one connection, where they are streams of HTTP/2.
    pub streams: usize,
    /// How connections speak TLS, where they do.
    pub secure: Option<Secure>,
    /// What came for streams that are not read, by subscriber.
    pub(super) held: HashMap<usize, Vec<u8>>,
    read: Vec<u8>,
    /// When what is being dealt with was read.
    now: u64,
    scratch: Scratch,
    pub(super) reply: Vec<u8>,
}

/// How connections speak TLS.
#[derive(Clone, Debug)]
pub struct Secure {
    pub subscribers: Arc<ClientConfig>,
    /// `None` where publishers do not.
    pub publishers: Option<Arc<ClientConfig>>,
    /// Whom the server's certificate is to be for.
    pub name: ServerName<'static>,
}

impl Secure {
    fn subscriber(&self) -> io::Result<ClientConnection> {
        self.begin(&self.subscribers)
    }

    fn publisher(&self) -> Option<io::Result<ClientConnection>> {
        self.publishers.as_ref().map(|config| self.begin(config))
    }

    fn begin(&self, config: &Arc<ClientConfig>) -> io::Result<ClientConnection> {
        ClientConnection::new(Arc::clone(config), self.name.clone()).map_err(io::Error::other)
    }
}

/// Subscribers that are to be opened.
#[derive(Debug)]
struct Plan {
    channels: Range<usize>,
    count: usize,
    opened: usize,
    /// How many were settled before.
    before: usize,
}

/// A socket, and the subscribers whose events come down it: one, or the streams of HTTP/2.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) line: Line,
    pub(super) state: State,
    pub(super) subscribers: Range<u32>,
    /// Where they are streams of HTTP/2.
    pub(super) session: Option<Box<Session>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Connecting,
    Open,
    Gone,
}

impl Load {
    pub fn new(address: SocketAddr, payloads: Payloads) -> io::Result<Load> {
        Ok(Load {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            address,
            connections: Vec::new(),
            subscribers: Vec::new(),
            publishers: Vec::new(),
            plan: None,
            channels: Vec::new(),
            payloads,
            clock: Clock::start(),
            tally: Tally::default(),
            receive_buffer: None,
            patience: PATIENCE,
            streams: STREAMS,
            secure: None,
            held: HashMap::new(),
            read: vec![0; SCRATCH],
            now: 0,
            scratch: Scratch::default(),
            reply: Vec::new(),
        })
    }

    /// Adds a channel, and gives its index.
    pub fn channel(&mut self, dialogue: Dialogue) -> usize {
        self.channels.push(Channel::new(dialogue));
        self.channels.len() - 1
    }

    /// Subscribers of a channel do otherwise from now on: they begin with event `from`.
    pub fn resume(&mut self, channel: usize, dialogue: Dialogue, from: u32) {
        self.channels[channel].dialogue = dialogue.into();
        self.channels[channel].from = Some(from);
    }

    /// Opens `count` subscribers, the n-th to the n-th of the channels and so round, and waits until all are live.
    /// Those that are refused are faults of the tally.
    pub fn subscribe(&mut self, channels: Range<usize>, count: usize) -> io::Result<()> {
        self.begin(channels, count)?;
        let (mut settled, mut last) = (self.settled(), Instant::now());
        while let Some(plan) = &self.plan {
            let end = plan.before + plan.count;
            self.turn(Duration::from_millis(100))?;
            if self.settled() > settled {
                (settled, last) = (self.settled(), Instant::now());
            } else if last.elapsed() > self.patience {
                let waiting = end - settled;
                self.plan = None;
                self.tally.faults.refused += waiting as u64;
                self.tally.first_fault.get_or_insert(format!("{waiting} subscribers wait for an answer"));
            }
        }
        Ok(())
    }

    /// The same without waiting: turns open them, a limited number at once.
    pub fn begin(&mut self, channels: Range<usize>, count: usize) -> io::Result<()> {
        self.plan = Some(Plan { channels, count, opened: 0, before: self.settled() });
        self.open_planned()
    }

    fn open_planned(&mut self) -> io::Result<()> {
        let settled = self.settled();
        let Some(mut plan) = self.plan.take() else { return Ok(()) };
        let is_shared = self.channels.get(plan.channels.start).is_some_and(|of| of.dialogue.link == Link::Http2);
        let (each, at_once) = if is_shared { (self.streams.max(1), OPENING_STREAMS) } else { (1, OPENING) };
        let at_once = at_once.min(OPENING * each);
        while plan.opened < plan.count && plan.opened < settled - plan.before + at_once {
            let count = each.min(plan.count - plan.opened);
            let channels = plan.channels.clone().cycle().skip(plan.opened % plan.channels.len().max(1));
            self.open(channels.take(count))?;
            plan.opened += count;
        }
        if self.settled() < plan.before + plan.count {
            self.plan = Some(plan);
        }
        Ok(())
    }

    /// Closes the connections of all subscribers from this one on, at once. A connection's subscribers were opened together,
    /// and leave together.
    pub fn dismiss(&mut self, from: usize) {
        let first = self.connections.partition_point(|connection| (connection.subscribers.start as usize) < from);
        self.connections.truncate(first);
        for subscriber in self.subscribers.drain(from..) {
            if subscriber.stage() == Stage::Live {
                self.channels[subscriber.channel()].subscribers -= 1;
                self.tally.live -= 1;
                self.tally.dismissed += 1;
            }
        }
    }

    /// Bytes that have come for a subscriber who does not read: in the kernel, or within its stream's window.
    pub fn unread(&self, index: usize) -> u64 {
        match self.held.get(&index) {
            Some(held) => held.len() as u64,
            None => rustix::io::ioctl_fionread(&self.connections[self.carrier(index)].line.socket).unwrap_or(0),
        }
    }

    /// The connection of a subscriber.
    pub(super) fn carrier(&self, index: usize) -> usize {
        self.connections.partition_point(|connection| (connection.subscribers.end as usize) <= index)
    }

    /// Subscribers that became live or were refused.
    fn settled(&self) -> usize {
        self.tally.live + (self.tally.dismissed + self.tally.faults.refused + self.tally.faults.dropped) as usize
    }

    /// Opens one connection for a subscriber of each of the channels.
    fn open(&mut self, channels: impl Iterator<Item = usize>) -> io::Result<()> {
        let first = self.subscribers.len();
        for index in channels {
            self.subscribers.push(Subscriber::new(index, &self.channels[index]));
        }
        let is_shared = self.subscribers.get(first).is_some_and(|one| one.link() == Link::Http2);
        // A reader of one stream does not keep the others' from being read: it is held up by its window.
        let receive_buffer = self.receive_buffer.filter(|_| !is_shared);
        let mut stream = match connect(self.address, receive_buffer) {
            Ok(stream) => stream,
            Err(error) => {
                let refused = self.subscribers.drain(first..).count() as u64;
                self.tally.fault(|faults| faults.refused += refused, || format!("connecting: {error}"));
                return Ok(());
            }
        };
        let token = Token(self.connections.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let tls = self.secure.as_ref().map(Secure::subscriber).transpose()?;
        self.connections.push(Connection {
            line: Line::new(stream, tls),
            state: State::Connecting,
            subscribers: first as u32..self.subscribers.len() as u32,
            session: is_shared.then(|| Box::new(Session::new(self.windows()))),
        });
        Ok(())
    }

    fn windows(&self) -> Windows {
        let usual = Windows::default();
        Windows { stream: self.receive_buffer.map_or(usual.stream, |size| size as u32), ..usual }
    }

    /// Adds a publisher, and gives its index. `greeting` is sent once, and answered like a publish.
    pub fn publisher(&mut self, address: SocketAddr, answers: Answers, greeting: &[u8]) -> io::Result<usize> {
        let index = self.publishers.len();
        let line = self.connect_publisher(index, address, greeting)?;
        let waiting = (!greeting.is_empty()).then(|| self.clock.nanos());
        self.publishers.push(Publisher::new(line, address, answers, waiting));
        Ok(index)
    }

    fn connect_publisher(&self, index: usize, address: SocketAddr, greeting: &[u8]) -> io::Result<Line> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(PUBLISHERS + index), interest)?;
        let tls = self.secure.as_ref().and_then(Secure::publisher).transpose()?;
        let mut line = Line::new(stream, tls);
        // A fresh socket has room for it.
        line.write_all(greeting)?;
        Ok(line)
    }

    /// Sends on a publisher's connection, on a new one where the server has closed the old one for being idle.
    fn send(&mut self, publisher: usize, request: &[u8]) -> Result<(), String> {
        let Publisher { closed, address, answers, .. } = self.publishers[publisher];
        if closed {
            let line = self.connect_publisher(publisher, address, b"");
            let line = line.map_err(|error| format!("connecting a publisher again: {error}"))?;
            self.publishers[publisher] = Publisher::new(line, address, answers, None);
        }
        self.publishers[publisher].send(request, self.clock.nanos())
    }

    /// Whether a publisher waits for no answer.
    pub fn is_free(&self, publisher: usize) -> bool {
        self.publishers[publisher].is_free()
    }

    /// For how long a publisher has waited for an answer, in nanoseconds.
    pub fn waits(&self, publisher: usize) -> u64 {
        let since = self.publishers[publisher].waits_since();
        since.map_or(0, |since| self.clock.nanos().saturating_sub(since))
    }

    /// Publishes the channel's next event. `request` makes the request of a payload; `due` is the time it carries.
    pub fn publish(&mut self, publisher: usize, channel: usize, due: u64, request: impl FnOnce(&[u8]) -> Vec<u8>) {
        let stamp = Stamp { seq: self.channels[channel].publish(), nanos: due, channel: channel as u32 };
        let mut payload = Vec::with_capacity(self.payloads.size());
        self.payloads.write(stamp, &mut payload);
        if let Err(why) = self.send(publisher, &request(&payload)) {
            self.tally.fault(|faults| faults.unpublished += 1, || why);
        }
    }

    /// Events that some subscriber of the channel has not received.
    pub fn outstanding(&self, channel: usize) -> usize {
        self.channels[channel].outstanding()
    }

    /// Whether everything published was received by all, and every publish was answered.
    pub fn is_quiet(&self) -> bool {
        self.channels.iter().all(|channel| channel.outstanding() == 0) && self.publishers.iter().all(Publisher::is_free)
    }

    /// Waits for something to happen, and deals with it.
    pub fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, Some(timeout));
        for event in &events {
            match event.token().0 {
                token if token >= PUBLISHERS => self.answered(token - PUBLISHERS),
                token => self.ready(token, event.is_read_closed(), event.is_writable()),
            }
        }
        self.events = events;
        self.open_planned()?;
        match polled {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Turns until `done`; false if its patience ran out. Heartbeats are nothing that comes.
    pub fn run_until(&mut self, done: impl Fn(&Load) -> bool) -> io::Result<bool> {
        let mut last = (self.tally.progress(), Instant::now());
        while !done(self) {
            self.turn(Duration::from_millis(100))?;
            if self.tally.progress() != last.0 {
                last = (self.tally.progress(), Instant::now());
            } else if last.1.elapsed() > self.patience {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until everything published was received; what has not come by then is lost.
    pub fn settle(&mut self) -> io::Result<()> {
        let failed = |load: &Load| load.tally.faults.unpublished > 0;
        if self.run_until(|load| load.is_quiet() || failed(load))? {
            return Ok(());
        }
        let Load { subscribers, channels, tally, .. } = self;
        for subscriber in subscribers.iter().filter(|subscriber| subscriber.stage() == Stage::Live) {
            let published = channels[subscriber.channel()].published;
            let missing = published.saturating_sub(subscriber.next());
            if missing > 0 {
                tally.faults.lost += u64::from(missing);
                tally.first_fault.get_or_insert_with(|| format!("a subscriber waits for {missing} events"));
            }
        }
        let unanswered = self.publishers.iter().filter(|publisher| !publisher.is_free()).count();
        self.tally.faults.unpublished += unanswered as u64;
        Ok(())
    }

    fn answered(&mut self, index: usize) {
        let publisher = &mut self.publishers[index];
        match publisher.flush().and_then(|()| publisher.read(&mut self.read)) {
            Ok(Some(sent)) => {
                self.tally.published += 1;
                self.tally.publishing.record(self.clock.nanos().saturating_sub(sent));
            }
            Ok(None) => {}
            Err(why) => self.tally.fault(|faults| faults.unpublished += 1, || why),
        }
    }

    fn ready(&mut self, index: usize, ends: bool, writable: bool) {
        // An event may be of a connection that was dismissed meanwhile.
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.state == State::Connecting {
            match connection.line.socket.take_error() {
                Ok(None) if connection.line.socket.peer_addr().is_ok() => {
                    connection.state = State::Open;
                    match &connection.session {
                        Some(session) => session.begin(&mut self.reply),
                        None => {
                            let request = self.subscribers[connection.subscribers.start as usize].request();
                            self.reply.extend_from_slice(request);
                        }
                    }
                    self.say(index);
                }
                Ok(None) => return,
                Ok(Some(error)) | Err(error) => return self.gone(index, &format!("connecting: {error}")),
            }
        } else if writable {
            self.say(index);
        }
        let connection = &self.connections[index];
        if connection.session.is_some() || !self.subscribers[connection.subscribers.start as usize].is_stalled() {
            self.hear(index, ends);
        }
    }

    /// Stops reading what is sent to a subscriber, or reads it again.
    pub fn stall(&mut self, index: usize, stalled: bool) {
        self.subscribers[index].stall(stalled);
        let carrier = self.carrier(index);
        self.now = self.clock.nanos();
        if self.connections[carrier].session.is_some() {
            self.stall_stream(index, carrier, stalled);
        } else if !stalled {
            self.hear(carrier, true);
        }
    }

    /// Reads what is there. A read that is not full took everything, so the edge is not lost; but for the end, which has
    /// an edge of its own only if it came later. Where it `ends`, reading goes on until it is there.
    fn hear(&mut self, index: usize, ends: bool) {
        let mut read = std::mem::take(&mut self.read);
        while self.connections[index].state == State::Open {
            let line = &mut self.connections[index].line;
            let is_in_records = line.is_in_records();
            match line.read(&mut read) {
                Ok(0) => self.gone(index, "the server closed the connection"),
                Ok(count) => {
                    self.understand(index, &read[..count]);
                    if count < read.len() && !ends && !is_in_records {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.gone(index, &error.to_string()),
            }
        }
        self.read = read;
    }

    fn understand(&mut self, index: usize, input: &[u8]) {
        self.now = self.clock.nanos();
        let delivered = self.tally.delivered;
        let broken = if self.connections[index].session.is_some() {
            self.understand_streams(index, input)
        } else {
            let (subscriber, mut around) = self.subscriber(self.connections[index].subscribers.start as usize);
            subscriber.hear(input, &mut around)
        };
        self.tally.reads += u64::from(self.tally.delivered > delivered);
        if !self.reply.is_empty() {
            self.say(index);
        }
        if let Some(why) = broken {
            self.gone(index, &why);
        }
    }

    /// A subscriber, and what it needs to deal with what it received.
    pub(super) fn subscriber(&mut self, index: usize) -> (&mut Subscriber, Around<'_>) {
        let Load { subscribers, channels, tally, payloads, now, scratch, reply, .. } = self;
        (&mut subscribers[index], Around { channels, tally, payloads, scratch, now: *now, reply })
    }

    /// Sends the reply at hand, after what was not sent before. Where many streams share a connection it may be more than
    /// the socket has room for; else it is small, and a socket that has no room for it is broken.
    pub(super) fn say(&mut self, index: usize) {
        let Connection { line, session, .. } = &mut self.connections[index];
        if let Err(error) = line.flush() {
            return self.gone(index, &format!("sending to the server: {error}"));
        }
        let mut nothing = Vec::new();
        let unsent = session.as_mut().map_or(&mut nothing, |session| &mut session.unsent);
        unsent.append(&mut self.reply);
        if unsent.is_empty() {
            return;
        }
        match line.write(unsent) {
            Ok(written) => drop(unsent.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return self.gone(index, &format!("sending to the server: {error}")),
        }
        if unsent.is_empty() {
            *unsent = Vec::new();
        } else if session.is_none() {
            self.gone(index, "the socket has no room for a request");
        }
    }

    /// A connection has ended, which none should.
    pub(super) fn gone(&mut self, index: usize, why: &str) {
        let connection = &mut self.connections[index];
        if std::mem::replace(&mut connection.state, State::Gone) == State::Gone {
            return;
        }
        let _ = self.poll.registry().deregister(&mut connection.line.socket);
        let why = connection.session.as_ref().and_then(|session| session.goodbye()).unwrap_or(why);
        for index in connection.subscribers.clone() {
            self.subscribers[index as usize].lose(why, &mut self.channels, &mut self.tally);
        }
    }
}

/// Begins to connect. Closing will be a reset, so that no port is kept waiting.
fn connect(address: SocketAddr, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(size) = receive_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    socket.set_nonblocking(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&SockAddr::from(address)) {
        Err(error) if error.kind() != ErrorKind::WouldBlock && error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// What `connect` says on a non-blocking socket when all is well.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
