//! A script read against a log that is but a list, by a client that is cut anywhere and keeps its place as the documents say.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use switchboard_wire::ChannelName;

const CHANNELS: [&str; 4] = ["a", "b", "c", "d"];

/// What is done, one after the other.
#[derive(Clone, Debug)]
enum Deed {
    /// An event on a channel.
    Publish(usize),
    /// The client adds a channel, from an earlier place: so many parts of 256 of what there is.
    Add(usize, u8),
    Remove(usize),
    /// The client publishes, and is not to hear it.
    Quiet(usize),
    /// So many messages reach the client.
    Read(u8),
    /// The connection is cut, so that what was not read is lost, and made anew.
    Cut,
    /// The server learns where the client is, as by a pong.
    Acknowledge,
}

fn deed() -> impl Strategy<Value = Deed> {
    let channel = 0..CHANNELS.len();
    prop_oneof![
        4 => channel.clone().prop_map(Deed::Publish),
        2 => (channel.clone(), any::<u8>()).prop_map(|(channel, from)| Deed::Add(channel, from)),
        1 => channel.clone().prop_map(Deed::Remove),
        1 => channel.prop_map(Deed::Quiet),
        4 => (0..6u8).prop_map(Deed::Read),
        2 => Just(Deed::Cut),
        1 => Just(Deed::Acknowledge),
    ]
}

/// What a client is sent: a control message, or an event by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    Control(u64),
    Event(u64),
}

struct World {
    /// The channel of each event, numbered from 1.
    log: Vec<usize>,
    script: Script,
    walk: Walk,
    /// Where a control message says that reading begins.
    says: BTreeMap<u64, u64>,
    controls: u64,
    /// The last one sent on the present connection.
    sent: u64,
    /// What would have come on a connection that was never cut, each thing as it is decided.
    expected: Vec<Sent>,
    /// The selection of an uncut reader, and how far it has come.
    reader: (Selection, u64),
    seen: Vec<Sent>,
    known: Known,
}

impl World {
    fn new() -> World {
        let mut script = Script::new(0);
        World {
            log: Vec::new(),
            walk: script.walk(None),
            script,
            says: BTreeMap::new(),
            controls: 0,
            sent: 0,
            expected: Vec::new(),
            reader: (Selection::default(), 0),
            seen: Vec::new(),
            known: Known { control: 0, position: 0, caught_up: false },
        }
    }

    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn selects(&self, selection: &Selection, seq: u64) -> bool {
        selection.selects(&ChannelName::new(CHANNELS[self.log[seq as usize - 1]]).unwrap())
    }

    /// What an uncut reader is sent up to here.
    fn read_upto(&mut self, upto: u64) {
        let (selection, from) = (self.reader.0.clone(), self.reader.1);
        let due = (from + 1..=upto).filter(|seq| self.selects(&selection, *seq)).map(Sent::Event);
        self.expected.extend(due.collect::<Vec<_>>());
        self.reader.1 = from.max(upto);
    }

    fn step(&mut self, change: impl FnOnce(&mut Selection), past: Option<(Selection, u64)>, at: u64, onward: u64) {
        self.read_upto(at);
        self.controls += 1;
        change(&mut self.reader.0);
        self.expected.push(Sent::Control(self.controls));
        if let Some((selection, from)) = &past {
            let due = (from + 1..=at).filter(|seq| self.selects(selection, *seq)).map(Sent::Event);
            self.expected.extend(due.collect::<Vec<_>>());
            self.says.insert(self.controls, *from);
        }
        self.reader.1 = onward;
        let past = past.map(|(selection, from)| (Arc::new(selection), Place::at(from)));
        let selection = Arc::new(self.reader.0.clone());
        self.script.add(Step { control: self.controls, at, past, onward, selection });
    }

    fn act(&mut self, deed: &Deed) {
        let head = self.head();
        let one = |channel: usize| Selection::one(ChannelName::new(CHANNELS[channel]).unwrap());
        match deed {
            Deed::Publish(channel) => self.log.push(*channel),
            Deed::Add(channel, from) => {
                let from = head * u64::from(*from) / 256;
                let add = |selection: &mut Selection| selection.add(CHANNELS[*channel]).unwrap();
                self.step(add, Some((one(*channel), from)), head, head);
            }
            Deed::Remove(channel) => {
                let remove = |selection: &mut Selection| assert!(selection.remove(CHANNELS[*channel]).is_ok());
                self.step(remove, None, head, head);
            }
            Deed::Quiet(channel) => {
                self.log.push(*channel);
                self.step(|_| (), None, head, head + 1);
            }
            Deed::Read(count) => {
                let _ = (0..*count).all(|_| self.receive());
            }
            Deed::Cut => {
                self.walk = self.script.walk(Some(self.known));
                self.sent = self.known.control;
            }
            Deed::Acknowledge => {
                // As by a pong: the server knows where the connection was when it asked.
                let caught_up = self.script.in_past(&self.walk).is_none();
                self.script.acknowledge(Known { caught_up, ..self.known });
                assert!(!self.script.keep_up(&mut self.walk), "nobody has what was not sent");
            }
        }
    }

    /// The next message reaches the client. `false` if there is none.
    fn receive(&mut self) -> bool {
        loop {
            let barrier = self.script.barrier(&self.walk).unwrap_or(u64::MAX);
            if self.sent < self.controls && self.sent + 1 < barrier {
                self.sent += 1;
                self.seen.push(Sent::Control(self.sent));
                let said = self.says.get(&self.sent).copied();
                let position = said.unwrap_or(self.known.position);
                self.known = Known { control: self.sent, position, caught_up: false };
                return true;
            }
            let Piece { selection, place, upto } = self.script.next(&self.walk);
            let end = upto.unwrap_or(self.head());
            let next = (place.cursor + 1..=end).find(|seq| self.selects(&selection, *seq));
            if let Some(seq) = next {
                self.walk.place = Place::at(seq);
                self.seen.push(Sent::Event(seq));
                self.known.position = seq;
                return true;
            }
            if upto.is_none() {
                return false;
            }
            let caught_up = self.script.in_past(&self.walk).map(|step| step.onward);
            self.script.finish(&mut self.walk);
            if let Some(position) = caught_up {
                self.known.position = position;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_client_that_is_cut_anywhere_gets_word_by_word_what_one_gets_that_never_is(
        deeds in prop::collection::vec(deed(), 1..80),
    ) {
        let mut world = World::new();
        for deed in &deeds {
            world.act(deed);
            prop_assert!(world.script.len() as u64 <= world.controls);
        }
        while world.receive() {}
        world.read_upto(world.head());
        prop_assert_eq!(&world.seen, &world.expected);
        world.script.acknowledge(world.known);
        world.script.acknowledge(Known { position: world.head(), caught_up: true, ..world.known });
        prop_assert!(world.script.is_empty(), "what is known to have arrived is not kept");
    }
}
