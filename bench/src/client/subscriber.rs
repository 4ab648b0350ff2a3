//! One subscriber, whatever carries it: how far it is in becoming live, and what it has received.

use super::channel::Channel;
use super::dialogue::{Dialogue, Expect, Framing, Link, position};
use super::frames::{Decoder, Part, Scratch};
use super::sequence::{Arrival, Sequence};
use super::tally::Tally;
use crate::payload::{Payloads, Stamp};
use std::rc::Rc;
use switchboard_wire::websocket::header::Opcode;
use switchboard_wire::websocket::write::{write_message, write_pong};

/// What a client masks its frames with; a real one draws it anew for each frame.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x39, 0x96];

/// Where a subscriber is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Waiting,
    Live,
    Gone,
}

#[derive(Debug)]
pub(super) struct Subscriber {
    decoder: Decoder,
    reader: Reader,
}

#[derive(Debug)]
struct Reader {
    dialogue: Rc<Dialogue>,
    sequence: Sequence,
    channel: u32,
    step: u16,
    stage: Stage,
    is_stalled: bool,
}

/// What a subscriber needs of the load generator to deal with what it received.
pub(super) struct Around<'l> {
    pub(super) channels: &'l mut [Channel],
    pub(super) tally: &'l mut Tally,
    pub(super) payloads: &'l Payloads,
    pub(super) scratch: &'l mut Scratch,
    pub(super) now: u64,
    /// What is to be sent.
    pub(super) reply: &'l mut Vec<u8>,
}

impl Subscriber {
    pub(super) fn new(index: usize, channel: &Channel) -> Subscriber {
        let dialogue = Rc::clone(&channel.dialogue);
        Subscriber {
            decoder: Decoder::new(dialogue.link, dialogue.framing),
            reader: Reader {
                dialogue,
                sequence: Sequence::from(channel.first()),
                channel: index as u32,
                step: 0,
                stage: Stage::Waiting,
                is_stalled: false,
            },
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.reader.stage
    }

    pub(super) fn channel(&self) -> usize {
        self.reader.channel as usize
    }

    /// The number of the event it waits for.
    pub(super) fn next(&self) -> u32 {
        self.reader.sequence.next()
    }

    pub(super) fn link(&self) -> Link {
        self.reader.dialogue.link
    }

    /// What it says first.
    pub(super) fn request(&self) -> &[u8] {
        self.reader.dialogue.steps.first().map(|step| step.send.as_slice()).unwrap_or_default()
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.reader.is_stalled
    }

    pub(super) fn stall(&mut self, stalled: bool) {
        self.reader.is_stalled = stalled;
    }

    /// Deals with the next bytes that came down; says why nothing more will, if so.
    pub(super) fn hear(&mut self, input: &[u8], around: &mut Around<'_>) -> Option<String> {
        let Subscriber { decoder, reader } = self;
        let Around { channels, tally, payloads, scratch, now, reply } = around;
        let of = &mut channels[reader.channel as usize];
        let mut broken = None;
        decoder.feed(input, scratch, |part| match part {
            Part::Head(status) => broken = reader.head(status, reply),
            Part::Piece(piece) => {
                reader.piece(piece, reply);
                let channel = reader.channel;
                payloads.find(piece, |stamp| match stamp.filter(|stamp| stamp.channel == channel) {
                    Some(stamp) => take(stamp, *now, &mut reader.sequence, of, tally),
                    None => tally.fault(|faults| faults.damaged += 1, || "a payload is damaged".into()),
                });
            }
            Part::Ping(payload) => write_pong(payload, Some(MASK), reply),
            Part::End(why) | Part::Damaged(why) => broken = Some(why.to_owned()),
        });
        reader.settle(of, tally);
        broken
    }

    /// Deals with a response's head that came apart from the body, as over HTTP/2.
    pub(super) fn head(&mut self, status: u16, around: &mut Around<'_>) -> Option<String> {
        let broken = self.reader.head(status, around.reply);
        self.reader.settle(&mut around.channels[self.reader.channel as usize], around.tally);
        broken
    }

    /// Nothing more will come: a fault, once.
    pub(super) fn lose(&mut self, why: &str, channels: &mut [Channel], tally: &mut Tally) {
        match std::mem::replace(&mut self.reader.stage, Stage::Gone) {
            Stage::Gone => {}
            Stage::Waiting => tally.fault(|faults| faults.refused += 1, || why.to_owned()),
            Stage::Live => {
                channels[self.channel()].leave(self.next());
                tally.live -= 1;
                tally.fault(|faults| faults.dropped += 1, || why.to_owned());
            }
        }
    }
}

impl Reader {
    fn expects(&self) -> Option<&Expect> {
        self.dialogue.steps.get(usize::from(self.step)).map(|step| &step.expect)
    }

    fn head(&mut self, status: u16, reply: &mut Vec<u8>) -> Option<String> {
        match self.expects() {
            Some(Expect::Status(expected)) if *expected == status => self.advance(reply),
            None if self.dialogue.framing == Framing::Pages && status == 200 => {}
            _ => return Some(format!("a subscription was answered with status {status}")),
        }
        None
    }

    fn piece(&mut self, piece: &[u8], reply: &mut Vec<u8>) {
        if let Some(Expect::Piece(expected)) = self.expects()
            && memchr::memmem::find(piece, expected).is_some()
        {
            self.advance(reply);
        }
        if self.dialogue.framing == Framing::Pages
            && let Some(position) = position(piece)
        {
            let (before, after) = &self.dialogue.again;
            [before, position, after].into_iter().for_each(|part| reply.extend_from_slice(part));
        }
    }

    /// On to the next step: what it says goes into the reply.
    fn advance(&mut self, reply: &mut Vec<u8>) {
        self.step += 1;
        let next = self.dialogue.steps.get(usize::from(self.step)).filter(|next| !next.send.is_empty());
        match (next, self.dialogue.link) {
            (Some(next), Link::WebSocket) => write_message(Opcode::Text, &next.send, Some(MASK), reply),
            (Some(next), Link::Http) => reply.extend_from_slice(&next.send),
            // A stream carries one request, which has no body.
            (Some(_), Link::Http2) | (None, _) => {}
        }
    }

    /// Live, after the last step.
    fn settle(&mut self, of: &mut Channel, tally: &mut Tally) {
        if self.stage == Stage::Waiting && usize::from(self.step) == self.dialogue.steps.len() {
            self.stage = Stage::Live;
            tally.live += 1;
            of.subscribers += 1;
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

#[cfg(test)]
mod tests {
    use super::Subscriber;

    #[test]
    fn a_million_subscribers_are_fifty_megabytes() {
        assert_eq!(size_of::<Subscriber>(), 48);
    }
}
