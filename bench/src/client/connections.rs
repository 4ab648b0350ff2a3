//! The table of connections and the loop that reads them.

use super::dialogue::{Dialogue, Expect, Framing, Link, position};
use super::frames::{Decoder, Part, Scratch};
use super::publisher::{Answers, Publisher};
use super::sequence::{Arrival, Sequence};
use super::tally::Tally;
use crate::payload::{Clock, Payloads, Stamp};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};
use switchboard_wire::websocket::header::Opcode;
use switchboard_wire::websocket::write::{write_message, write_pong};

/// Connections that are being opened at once: less than a server's backlog.
const OPENING: usize = 200;
/// How long nothing may happen while something is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Tokens from here on are publishers.
const PUBLISHERS: usize = usize::MAX / 4;
/// What one read takes.
const SCRATCH: usize = 128 << 10;
/// What a client masks its frames with; a real one draws it anew for each frame.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x39, 0x96];

/// Subscribers and publishers of one server.
#[derive(Debug)]
pub struct Load {
    poll: Poll,
    events: Events,
    address: SocketAddr,
    connections: Vec<Connection>,
    publishers: Vec<Publisher>,
    plan: Option<Plan>,
    pub channels: Vec<Channel>,
    pub payloads: Payloads,
    pub clock: Clock,
    pub tally: Tally,
    /// The size of sockets' receive buffers, where it is not left to the kernel.
    pub receive_buffer: Option<usize>,
    read: Vec<u8>,
    scratch: Scratch,
    reply: Vec<u8>,
}

/// Connections that are to be opened.
#[derive(Debug)]
struct Plan {
    channels: Range<usize>,
    count: usize,
    opened: usize,
    /// How many connections were settled before.
    before: usize,
}

/// A channel: how to subscribe to it, and how far it is.
#[derive(Debug)]
pub struct Channel {
    dialogue: Rc<Dialogue>,
    /// Where subscribers begin, if not with the next event.
    from: Option<u32>,
    /// Events published so far.
    pub published: u32,
    /// Events received by its subscribers, each by each, doubles not counted.
    pub received: u64,
    /// Live subscribers.
    pub subscribers: u32,
    /// For the oldest event that some have not received and all after it: how many have not.
    missing: VecDeque<u32>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    dialogue: Rc<Dialogue>,
    sequence: Sequence,
    channel: u32,
    step: u16,
    stage: Stage,
    stalled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Connecting,
    Talking,
    Live,
    Gone,
}

impl Load {
    pub fn new(address: SocketAddr, payloads: Payloads) -> io::Result<Load> {
        Ok(Load {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            address,
            connections: Vec::new(),
            publishers: Vec::new(),
            plan: None,
            channels: Vec::new(),
            payloads,
            clock: Clock::start(),
            tally: Tally::default(),
            receive_buffer: None,
            read: vec![0; SCRATCH],
            scratch: Scratch::default(),
            reply: Vec::new(),
        })
    }

    /// Adds a channel, and gives its index.
    pub fn channel(&mut self, dialogue: Dialogue) -> usize {
        self.channels.push(Channel {
            dialogue: Rc::new(dialogue),
            from: None,
            published: 0,
            received: 0,
            subscribers: 0,
            missing: VecDeque::new(),
        });
        self.channels.len() - 1
    }

    /// Subscribers of a channel do otherwise from now on: they begin with event `from`.
    pub fn resume(&mut self, channel: usize, dialogue: Dialogue, from: u32) {
        self.channels[channel].dialogue = Rc::new(dialogue);
        self.channels[channel].from = Some(from);
    }

    /// Opens `count` connections, the n-th to the n-th of the channels and so round, and waits until all are live.
    /// Those that are refused are faults of the tally.
    pub fn subscribe(&mut self, channels: Range<usize>, count: usize) -> io::Result<()> {
        self.begin(channels, count)?;
        let (mut settled, mut last) = (self.settled(), Instant::now());
        while let Some(plan) = &self.plan {
            let end = plan.before + plan.count;
            self.turn(Duration::from_millis(100))?;
            if self.settled() > settled {
                (settled, last) = (self.settled(), Instant::now());
            } else if last.elapsed() > PATIENCE {
                let waiting = end - settled;
                self.plan = None;
                self.tally.faults.refused += waiting as u64;
                self.tally.first_fault.get_or_insert(format!("{waiting} connections wait for an answer"));
            }
        }
        Ok(())
    }

    /// The same without waiting: turns open connections, a limited number at once.
    pub fn begin(&mut self, channels: Range<usize>, count: usize) -> io::Result<()> {
        self.plan = Some(Plan { channels, count, opened: 0, before: self.settled() });
        self.open_planned()
    }

    fn open_planned(&mut self) -> io::Result<()> {
        let settled = self.settled();
        let Some(mut plan) = self.plan.take() else { return Ok(()) };
        while plan.opened < plan.count && plan.opened < settled - plan.before + OPENING {
            self.open(plan.channels.start + plan.opened % plan.channels.len().max(1))?;
            plan.opened += 1;
        }
        if self.settled() < plan.before + plan.count {
            self.plan = Some(plan);
        }
        Ok(())
    }

    /// Closes all connections from this one on, at once.
    pub fn dismiss(&mut self, from: usize) {
        for connection in self.connections.drain(from..) {
            if connection.stage == Stage::Live {
                self.channels[connection.channel as usize].subscribers -= 1;
                self.tally.live -= 1;
                self.tally.dismissed += 1;
            }
        }
    }

    /// How many connections there are, or were.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Bytes that wait in the kernel for a connection to be read.
    pub fn unread(&self, index: usize) -> u64 {
        rustix::io::ioctl_fionread(&self.connections[index].stream).unwrap_or(0)
    }

    /// Connections that became live or were refused.
    fn settled(&self) -> usize {
        self.tally.live + (self.tally.dismissed + self.tally.faults.refused + self.tally.faults.dropped) as usize
    }

    fn open(&mut self, channel: usize) -> io::Result<()> {
        let dialogue = Rc::clone(&self.channels[channel].dialogue);
        let mut stream = match connect(self.address, self.receive_buffer) {
            Ok(stream) => stream,
            Err(error) => {
                self.tally.fault(|faults| faults.refused += 1, || format!("connecting: {error}"));
                return Ok(());
            }
        };
        let token = Token(self.connections.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.connections.push(Connection {
            stream,
            decoder: Decoder::new(dialogue.link, dialogue.framing),
            dialogue,
            sequence: Sequence::from(self.channels[channel].from.unwrap_or(self.channels[channel].published)),
            channel: channel as u32,
            step: 0,
            stage: Stage::Connecting,
            stalled: false,
        });
        Ok(())
    }

    /// Adds a publisher, and gives its index. `greeting` is sent once, and answered like a publish.
    pub fn publisher(&mut self, address: SocketAddr, answers: Answers, greeting: &[u8]) -> io::Result<usize> {
        let index = self.publishers.len();
        let stream = self.connect_publisher(index, address, greeting)?;
        let waiting = (!greeting.is_empty()).then(|| self.clock.nanos());
        self.publishers.push(Publisher::new(stream, address, answers, waiting));
        Ok(index)
    }

    fn connect_publisher(&self, index: usize, address: SocketAddr, greeting: &[u8]) -> io::Result<TcpStream> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.write_all(greeting)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(PUBLISHERS + index), interest)?;
        Ok(stream)
    }

    /// Sends on a publisher's connection, on a new one where the server has closed the old one for being idle.
    fn send(&mut self, publisher: usize, request: &[u8]) -> Result<(), String> {
        let Publisher { closed, address, answers, .. } = self.publishers[publisher];
        if closed {
            let stream = self.connect_publisher(publisher, address, b"");
            let stream = stream.map_err(|error| format!("connecting a publisher again: {error}"))?;
            self.publishers[publisher] = Publisher::new(stream, address, answers, None);
        }
        self.publishers[publisher].send(request, self.clock.nanos())
    }

    /// Whether a publisher waits for no answer.
    pub fn is_free(&self, publisher: usize) -> bool {
        self.publishers[publisher].is_free()
    }

    /// Publishes the channel's next event. `request` makes the request of a payload; `due` is the time it carries.
    pub fn publish(&mut self, publisher: usize, channel: usize, due: u64, request: impl FnOnce(&[u8]) -> Vec<u8>) {
        let of = &mut self.channels[channel];
        let stamp = Stamp { seq: of.published, nanos: due, channel: channel as u32 };
        of.published += 1;
        of.missing.push_back(of.subscribers);
        of.settle();
        let mut payload = Vec::with_capacity(self.payloads.size());
        self.payloads.write(stamp, &mut payload);
        if let Err(why) = self.send(publisher, &request(&payload)) {
            self.tally.fault(|faults| faults.unpublished += 1, || why);
        }
    }

    /// Events that some subscriber of the channel has not received.
    pub fn outstanding(&self, channel: usize) -> usize {
        self.channels[channel].missing.len()
    }

    /// Whether everything published was received by all, and every publish was answered.
    pub fn is_quiet(&self) -> bool {
        self.channels.iter().all(|channel| channel.missing.is_empty()) && self.publishers.iter().all(Publisher::is_free)
    }

    /// Waits for something to happen, and deals with it. Whether something did.
    pub fn turn(&mut self, timeout: Duration) -> io::Result<bool> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, Some(timeout));
        for event in &events {
            match event.token().0 {
                token if token >= PUBLISHERS => self.answered(token - PUBLISHERS),
                token => self.ready(token, event.is_read_closed()),
            }
        }
        let happened = !events.is_empty();
        self.events = events;
        self.open_planned()?;
        match polled {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(happened),
            Err(error) => Err(error),
            Ok(()) => Ok(happened),
        }
    }

    /// Turns until `done`; false if nothing happened for [`PATIENCE`].
    pub fn run_until(&mut self, done: impl Fn(&Load) -> bool) -> io::Result<bool> {
        let mut last = Instant::now();
        while !done(self) {
            if self.turn(Duration::from_millis(100))? {
                last = Instant::now();
            } else if last.elapsed() > PATIENCE {
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
        let Load { connections, channels, tally, .. } = self;
        for connection in connections.iter().filter(|connection| connection.stage == Stage::Live) {
            let published = channels[connection.channel as usize].published;
            let missing = published.saturating_sub(connection.sequence.next());
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

    fn ready(&mut self, index: usize, ends: bool) {
        // An event may be of a connection that was dismissed meanwhile.
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.stage == Stage::Connecting {
            match connection.stream.take_error() {
                Ok(None) if connection.stream.peer_addr().is_ok() => {
                    connection.stage = Stage::Talking;
                    let request = connection.dialogue.steps.first().map(|step| step.send.clone());
                    self.reply.extend_from_slice(&request.unwrap_or_default());
                    self.say(index);
                }
                Ok(None) => return,
                Ok(Some(error)) | Err(error) => return self.gone(index, &format!("connecting: {error}")),
            }
        }
        if !self.connections[index].stalled {
            self.hear(index, ends);
        }
    }

    /// Stops reading a connection, or reads it again.
    pub fn stall(&mut self, index: usize, stalled: bool) {
        self.connections[index].stalled = stalled;
        if !stalled {
            self.hear(index, true);
        }
    }

    /// Reads what is there. A read that is not full took everything, so the edge is not lost; but for the end, which has
    /// an edge of its own only if it came later. Where it `ends`, reading goes on until it is there.
    fn hear(&mut self, index: usize, ends: bool) {
        let mut read = std::mem::take(&mut self.read);
        while matches!(self.connections[index].stage, Stage::Talking | Stage::Live) {
            match self.connections[index].stream.read(&mut read) {
                Ok(0) => self.gone(index, "the server closed the connection"),
                Ok(count) => {
                    self.understand(index, &read[..count]);
                    if count < read.len() && !ends {
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
        let Load { connections, channels, tally, payloads, clock, scratch, reply, .. } = self;
        let Connection { decoder, dialogue, sequence, channel, step, stage, .. } = &mut connections[index];
        let of = &mut channels[*channel as usize];
        let now = clock.nanos();
        let mut broken: Option<String> = None;
        let delivered = tally.delivered;
        decoder.feed(input, scratch, |part| match part {
            Part::Head(status) => match dialogue.steps.get(usize::from(*step)).map(|step| &step.expect) {
                Some(Expect::Status(expected)) if *expected == status => advance(dialogue, step, reply),
                None if dialogue.framing == Framing::Pages && status == 200 => {}
                _ => broken = Some(format!("a subscription was answered with status {status}")),
            },
            Part::Piece(piece) => {
                let waits_for = dialogue.steps.get(usize::from(*step)).map(|step| &step.expect);
                if let Some(Expect::Piece(expected)) = waits_for
                    && memchr::memmem::find(piece, expected).is_some()
                {
                    advance(dialogue, step, reply);
                }
                if dialogue.framing == Framing::Pages
                    && let Some(position) = position(piece)
                {
                    let (before, after) = &dialogue.again;
                    [before, position, after].into_iter().for_each(|part| reply.extend_from_slice(part));
                }
                payloads.find(piece, |stamp| match stamp.filter(|stamp| stamp.channel == *channel) {
                    Some(stamp) => take(stamp, now, sequence, of, tally),
                    None => tally.fault(|faults| faults.damaged += 1, || "a payload is damaged".into()),
                });
            }
            Part::Ping(payload) => write_pong(payload, Some(MASK), reply),
            Part::End(why) | Part::Damaged(why) => broken = Some(why.to_owned()),
        });
        tally.reads += u64::from(tally.delivered > delivered);
        if *stage == Stage::Talking && usize::from(*step) == dialogue.steps.len() {
            *stage = Stage::Live;
            tally.live += 1;
            of.subscribers += 1;
        }
        if !reply.is_empty() {
            self.say(index);
        }
        if let Some(why) = broken {
            self.gone(index, &why);
        }
    }

    /// Sends the reply at hand. It is small, and a socket that has no room for it is broken.
    fn say(&mut self, index: usize) {
        let reply = std::mem::take(&mut self.reply);
        let written = self.connections[index].stream.write(&reply);
        if written.as_ref().ok() != Some(&reply.len()) {
            self.gone(index, &format!("sending to the server: {written:?}"));
        }
        self.reply = reply;
        self.reply.clear();
    }

    /// A connection has ended, which none should.
    fn gone(&mut self, index: usize, why: &str) {
        let connection = &mut self.connections[index];
        match std::mem::replace(&mut connection.stage, Stage::Gone) {
            Stage::Gone => return,
            Stage::Live => {
                let of = &mut self.channels[connection.channel as usize];
                of.subscribers -= 1;
                let received = connection.sequence.next();
                let first = of.published - of.missing.len() as u32;
                of.missing.range_mut(received.saturating_sub(first) as usize..).for_each(|missing| *missing -= 1);
                of.settle();
                self.tally.live -= 1;
                self.tally.fault(|faults| faults.dropped += 1, || why.to_owned());
            }
            Stage::Connecting | Stage::Talking => {
                self.tally.fault(|faults| faults.refused += 1, || why.to_owned());
            }
        }
        let _ = self.poll.registry().deregister(&mut connection.stream);
    }
}

impl Channel {
    fn settle(&mut self) {
        while self.missing.front() == Some(&0) {
            self.missing.pop_front();
        }
    }

    fn received(&mut self, seq: u32) {
        self.received += 1;
        let first = self.published - self.missing.len() as u32;
        if let Some(missing) = seq.checked_sub(first).and_then(|at| self.missing.get_mut(at as usize)) {
            *missing = missing.saturating_sub(1);
            if *missing == 0 {
                self.settle();
            }
        }
    }
}

fn take(stamp: Stamp, now: u64, sequence: &mut Sequence, of: &mut Channel, tally: &mut Tally) {
    tally.arrived(stamp.nanos, now);
    match sequence.take(stamp.seq) {
        Arrival::Expected => of.received(stamp.seq),
        Arrival::After(missing) => {
            of.received(stamp.seq);
            tally.fault(|faults| faults.lost += u64::from(missing), || format!("{missing} events did not come"));
        }
        Arrival::Late => {
            of.received(stamp.seq);
            tally.faults.lost -= 1;
            tally.fault(|faults| faults.disordered += 1, || "an event came after a later one".into());
        }
        Arrival::Double => tally.fault(|faults| faults.doubled += 1, || "an event came twice".into()),
    }
}

/// On to the next step: what it says goes into the reply.
fn advance(dialogue: &Dialogue, step: &mut u16, reply: &mut Vec<u8>) {
    *step += 1;
    let Some(next) = dialogue.steps.get(usize::from(*step)).filter(|next| !next.send.is_empty()) else { return };
    match dialogue.link {
        Link::WebSocket => write_message(Opcode::Text, &next.send, Some(MASK), reply),
        Link::Http => reply.extend_from_slice(&next.send),
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
