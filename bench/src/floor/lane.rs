//! The subscribers of one channel on one transport, and the bytes that they have not all been sent.

use mio::net::TcpStream;
use rustix::net::{SendFlags, send};
use std::io::{ErrorKind, Read};

/// Numbers of bytes count from the channel's first.
#[derive(Default)]
pub(super) struct Lane {
    subscribers: Vec<Subscriber>,
    bytes: Vec<u8>,
    /// The number of the first of `bytes`.
    base: u64,
    /// Events that nobody has been sent.
    waiting: u32,
    /// Where the next visit goes, and how many visits until everyone was sent everything.
    next: usize,
    visits: usize,
}

struct Subscriber {
    stream: TcpStream,
    token: u32,
    sent: u64,
}

impl Lane {
    pub(super) fn add(&mut self, token: u32, stream: TcpStream) -> u32 {
        let sent = self.end();
        self.subscribers.push(Subscriber { stream, token, sent });
        self.subscribers.len() as u32 - 1
    }

    /// Removes one. The token of the subscriber that is in its place now, if another is.
    pub(super) fn remove(&mut self, place: usize) -> Option<u32> {
        self.subscribers.swap_remove(place);
        self.next = 0;
        self.visits = if self.visits > 0 { self.subscribers.len() } else { 0 };
        self.subscribers.get(place).map(|moved| moved.token)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    pub(super) fn owes(&self) -> bool {
        self.waiting > 0 || self.visits > 0
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    pub(super) fn append(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.waiting += 1;
        self.visits = self.subscribers.len();
    }

    /// One `send` for each subscriber.
    pub(super) fn send_to_all(&mut self) {
        for subscriber in &mut self.subscribers {
            subscriber.send(&self.bytes, self.base);
        }
        self.visits = 0;
        self.waiting = 0;
        self.forget();
    }

    /// One `send` for each of the next few subscribers that have not been sent everything.
    pub(super) fn visit(&mut self, count: usize) {
        for _ in 0..count.min(self.visits) {
            let Some(subscriber) = self.subscribers.get_mut(self.next) else { break };
            subscriber.send(&self.bytes, self.base);
            self.next = (self.next + 1) % self.subscribers.len();
            self.visits -= 1;
        }
        if self.visits == 0 {
            self.waiting = 0;
            self.forget();
        }
    }

    /// Forgets the bytes once everyone was sent them.
    fn forget(&mut self) {
        let end = self.end();
        if self.subscribers.iter().all(|subscriber| subscriber.sent == end) {
            self.base = end;
            self.bytes.clear();
        }
    }

    /// A subscriber's socket is ready: sends what it has not been sent. False if it is gone.
    pub(super) fn ready(&mut self, place: usize, scratch: &mut [u8]) -> bool {
        let Some(subscriber) = self.subscribers.get_mut(place) else { return false };
        if self.visits == 0 && self.waiting == 0 {
            subscriber.send(&self.bytes, self.base);
        }
        loop {
            match subscriber.stream.read(scratch) {
                Ok(0) => return false,
                // What a subscriber says is passed over.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

impl Subscriber {
    /// What the socket does not take now is sent when it is ready, or with the next event.
    fn send(&mut self, bytes: &[u8], base: u64) {
        let rest = &bytes[(self.sent - base) as usize..];
        if rest.is_empty() {
            return;
        }
        if let Ok(count) = send(&self.stream, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            self.sent += count as u64;
        }
    }
}
