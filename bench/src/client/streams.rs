//! Where many subscribers share a connection: streams of HTTP/2.

use super::connections::{Connection, Load};
use super::http2::{Event, Session};

impl Load {
    /// Deals with what came down a connection; says why nothing more will, if so.
    pub(super) fn understand_streams(&mut self, index: usize, input: &[u8]) -> Option<String> {
        let Connection { session, subscribers, .. } = &mut self.connections[index];
        let (mut session, first) = (session.take()?, subscribers.start as usize);
        let joined = session.join(input);
        let mut rest = joined.as_deref().unwrap_or(input);
        let mut broken = None;
        while let Some(event) = session.next(&mut rest, &mut self.reply) {
            match event {
                Event::Ready { streams } => self.request(index, &mut session, streams as usize),
                Event::Head { stream, status } => {
                    let (subscriber, mut around) = self.subscriber(first + stream);
                    if let Some(why) = subscriber.head(status, &mut around) {
                        self.leave(first + stream, stream, &why, &mut session);
                    }
                }
                Event::Data { stream, data } => self.hear_stream(first + stream, stream, data, &mut session),
                Event::Over { stream, why } => self.lose(first + stream, &why),
                Event::Leaving { streams, why } => {
                    let subscribers = &self.connections[index].subscribers;
                    for subscriber in first + streams..subscribers.end as usize {
                        self.lose(subscriber, &why);
                    }
                }
                Event::Broken(why) => broken = Some(why),
            }
        }
        session.keep(rest);
        self.connections[index].session = Some(session);
        broken
    }

    /// Sends the requests of a connection's subscribers, as many as may be open.
    fn request(&mut self, index: usize, session: &mut Session, streams: usize) {
        for (stream, subscriber) in self.connections[index].subscribers.clone().enumerate() {
            if stream < streams {
                session.request(self.subscribers[subscriber as usize].request(), &mut self.reply);
            } else {
                self.lose(subscriber as usize, &format!("the server allows {streams} streams on a connection"));
            }
        }
    }

    fn hear_stream(&mut self, index: usize, stream: usize, data: &[u8], session: &mut Session) {
        if let Some(held) = self.held.get_mut(&index) {
            return held.extend_from_slice(data);
        }
        let (subscriber, mut around) = self.subscriber(index);
        let broken = subscriber.hear(data, &mut around);
        session.taken(stream, &mut self.reply);
        if let Some(why) = broken {
            self.leave(index, stream, &why, session);
        }
    }

    /// What comes for a stream that is not read stays where it is, and its window is not opened again until it is.
    pub(super) fn stall_stream(&mut self, index: usize, carrier: usize, stalled: bool) {
        if stalled {
            self.held.entry(index).or_default();
            return;
        }
        let (Some(held), Some(mut session)) = (self.held.remove(&index), self.connections[carrier].session.take())
        else {
            return;
        };
        let stream = index - self.connections[carrier].subscribers.start as usize;
        self.hear_stream(index, stream, &held, &mut session);
        self.connections[carrier].session = Some(session);
        self.say(carrier);
    }

    /// A stream that cannot be read, while its siblings can.
    fn leave(&mut self, index: usize, stream: usize, why: &str, session: &mut Session) {
        session.cancel(stream, &mut self.reply);
        self.lose(index, why);
    }

    fn lose(&mut self, index: usize, why: &str) {
        self.subscribers[index].lose(why, &mut self.channels, &mut self.tally);
    }
}
