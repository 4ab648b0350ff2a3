//! Two ends of a session over a link that cuts, delays, loses, doubles and reorders, in virtual time. Which of it happens
//! when comes from a seed, which a failure names.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// Calls, and notifications besides, in each direction.
const EACH: u64 = 1_000;
const LIMITS: Limits =
    Limits { memory: 128 << 10, linger: 30_000, calls: 64, call_timeout: 60_000, ahead: 24, hole: 150 };

/// A 64-bit xorshift generator.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// What reaches one end or the other, at its time.
enum Event {
    /// A connection reaches the server, for a client that has everything up to `after`.
    Attach {
        attempt: u64,
        after: u64,
        polls: bool,
    },
    /// The server sees that a connection is lost.
    Lost {
        attempt: u64,
    },
    /// Control messages reach the client on the connection of this attempt; `last` on one that is over with them.
    Down {
        attempt: u64,
        messages: Vec<(u64, Bytes)>,
        last: bool,
    },
    /// A request reaches the server, with what the client has.
    Up {
        seq: u64,
        has: u64,
    },
    /// The client sees that a request was applied, or that it was not and where to go on.
    Applied {
        seq: u64,
    },
    Refused {
        expected: u64,
    },
    /// The client sends a request again, unless it was applied.
    Again {
        seq: u64,
    },
    /// The client's connection is lost, if it has not moved on.
    Cut {
        attempt: u64,
    },
    /// Each end has something to say.
    ServerSays,
    ClientSays,
    /// The application is done with a call.
    Answer {
        ticket: u64,
        number: u64,
    },
    Tick,
}

/// The client: it has its conversation in memory, and a connection or none.
#[derive(Default)]
struct Client {
    attempt: u64,
    seen: u64,
    /// What it sent, and the numbers that were applied.
    sent: Vec<Bytes>,
    posted: usize,
    applied: BTreeSet<u64>,
    /// The last number that it was sent back to, and when.
    went_back: (u64, u64),
    said: u64,
    /// How often each of its calls was answered.
    answers: BTreeMap<u64, u32>,
    called: Vec<u64>,
    heard: Vec<u64>,
}

struct World {
    chance: Chance,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    session: Session,
    client: Client,
    /// The server's side of the connection: its attempt, what was sent on it, when that arrives, whether it is a poll.
    connection: Option<(u64, u64, u64, bool)>,
    /// The session's own numbers of connections, by their attempts.
    numbers: BTreeMap<u64, u64>,
    said: u64,
    calls: BTreeMap<u64, u64>,
    /// What the server's application saw.
    called: Vec<u64>,
    heard: Vec<u64>,
    answers: BTreeMap<u64, u32>,
    /// What the link did: connections cut, attempts that came late or twice, requests that came ahead of their turn and
    /// were held or sent back.
    cuts: u32,
    stale: u32,
    held: u32,
    sent_back: u32,
    most: usize,
}

fn params(number: u64) -> Params<'static> {
    Params::new(Json::of(&[number]).unwrap()).unwrap()
}

fn number(params: &Params<'_>) -> u64 {
    params.read::<(u64,)>().unwrap().0
}

fn doubled(number: u64) -> Json<'static> {
    Json::of(&(2 * number)).unwrap()
}

impl World {
    fn new(seed: u64) -> World {
        let mut world = World {
            chance: Chance(seed),
            now: 0,
            events: BTreeMap::new(),
            count: 0,
            session: Session::new(LIMITS, 0),
            client: Client::default(),
            connection: None,
            numbers: BTreeMap::new(),
            said: 0,
            calls: BTreeMap::new(),
            called: Vec::new(),
            heard: Vec::new(),
            answers: BTreeMap::new(),
            cuts: 0,
            stale: 0,
            held: 0,
            sent_back: 0,
            most: 0,
        };
        world.connect();
        world.after(1, Event::ServerSays);
        world.after(1, Event::ClientSays);
        world.after(1, Event::Tick);
        world
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.count += 1;
        self.events.insert((self.now + delay, self.count), event);
    }

    /// Between the ends: a few milliseconds, and seldom many.
    fn delay(&mut self) -> u64 {
        if self.chance.one_in(20) { 50 + self.chance.below(400) } else { 1 + self.chance.below(10) }
    }

    /// The client comes with a new connection, of any transport. The attempt may arrive twice, or after a later one.
    fn connect(&mut self) {
        self.client.attempt += 1;
        let (attempt, after, polls) = (self.client.attempt, self.client.seen, self.chance.one_in(2));
        for _ in 0..1 + u64::from(self.chance.one_in(8)) {
            let delay = self.delay();
            self.after(delay, Event::Attach { attempt, after, polls });
        }
        let life = 20 + self.chance.below(250);
        self.after(life, Event::Cut { attempt });
    }

    /// The client sends a request; it may be lost, late or doubled.
    fn post(&mut self, seq: u64) {
        let has = self.client.seen;
        for _ in 0..1 + u64::from(self.chance.one_in(6)) {
            let delay = self.delay();
            if !self.chance.one_in(10) {
                self.after(delay, Event::Up { seq, has });
            }
        }
        let again = 200 + self.chance.below(300);
        self.after(again, Event::Again { seq });
    }

    /// The client has a number of requests on their way at most, and the others wait.
    fn post_more(&mut self) {
        while self.client.posted < self.client.sent.len().min(self.client.applied.len() + 32) {
            self.client.posted += 1;
            self.post(self.client.posted as u64);
        }
    }

    fn send_up(&mut self, message: Message<'_>) {
        let mut out = Vec::new();
        message.write(&mut out);
        self.client.sent.push(out.into());
        self.post_more();
    }

    /// What was said goes down on the connection that there is.
    fn pump(&mut self) {
        let Some((attempt, sent, arrives, polls)) = self.connection else { return };
        let messages: Vec<(u64, Bytes)> =
            self.session.unacknowledged(sent).map(|(number, text)| (number, text.clone())).collect();
        let Some((last, _)) = messages.last() else { return };
        let (last, delay) = (*last, self.delay());
        // In order on one connection.
        let arrives = arrives.max(self.now + delay);
        self.connection = if polls { None } else { Some((attempt, last, arrives, false)) };
        self.after(arrives - self.now, Event::Down { attempt, messages, last: polls });
        if polls {
            self.detach(attempt);
        }
    }

    fn detach(&mut self, attempt: u64) {
        if let Some(connection) = self.numbers.get(&attempt) {
            self.session.detach(*connection, self.now);
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Attach { attempt, after, polls } => {
                if let Ok(connection) = self.session.attach(Some(attempt)) {
                    self.numbers.insert(attempt, connection);
                    self.session.acknowledge(after);
                    self.connection = Some((attempt, after, self.now, polls));
                } else {
                    self.stale += 1;
                }
            }
            Event::Lost { attempt } => {
                self.detach(attempt);
                self.connection = self.connection.filter(|connection| connection.0 != attempt);
            }
            Event::Cut { attempt } if attempt == self.client.attempt => {
                self.cuts += 1;
                // The server may see it long after the client has come again.
                let (seen, again) = (self.delay(), self.chance.below(300));
                self.after(seen, Event::Lost { attempt });
                self.now += again;
                self.connect();
                self.now -= again;
            }
            Event::Cut { .. } => {}
            Event::Down { attempt, messages, last } => self.down(attempt, messages, last),
            Event::Up { seq, has } => self.up(seq, has),
            Event::Applied { seq } => {
                self.client.applied.insert(seq);
                self.post_more();
            }
            Event::Refused { expected } => {
                self.sent_back += 1;
                // Many are sent back at once, to the same place.
                let (went, at) = self.client.went_back;
                let is_there = self.client.sent.len() as u64 >= expected;
                if is_there && (went < expected || at + 100 < self.now) {
                    self.client.went_back = (expected, self.now);
                    self.post(expected);
                }
            }
            Event::Again { seq } if !self.client.applied.contains(&seq) => self.post(seq),
            Event::Again { .. } => {}
            Event::ServerSays => self.server_says(),
            Event::ClientSays => self.client_says(),
            Event::Answer { ticket, number } => {
                self.session.answer(ticket, Ok(doubled(number)));
                assert!(!self.session.answer(ticket, Ok(doubled(number))), "a second answer is dropped");
            }
            Event::Tick => {
                self.session.tick(self.now);
                self.after(25, Event::Tick);
            }
        }
        self.react();
        self.pump();
        self.most = self.most.max(self.session.memory());
    }

    fn up(&mut self, seq: u64, has: u64) {
        self.session.acknowledge(has);
        let body = self.client.sent[seq as usize - 1].clone();
        match self.session.arrive(Some(seq), body, self.now).unwrap() {
            Arrival::Applied => self.tell(Event::Applied { seq }),
            Arrival::Conflict { expected } => self.tell(Event::Refused { expected }),
            Arrival::Held => self.held += 1,
        }
    }

    /// An answer over HTTP, which may be lost.
    fn tell(&mut self, event: Event) {
        let delay = self.delay();
        if !self.chance.one_in(10) {
            self.after(delay, event);
        }
    }

    fn down(&mut self, attempt: u64, messages: Vec<(u64, Bytes)>, last: bool) {
        if attempt != self.client.attempt {
            return;
        }
        for (number, text) in messages {
            assert_eq!(number, self.client.seen + 1, "control has no holes and nothing twice");
            self.client.seen = number;
            self.read(&text);
        }
        if last {
            self.connect();
        }
    }

    /// The client reads a message.
    fn read(&mut self, text: &[u8]) {
        match parse(text).unwrap() {
            Incoming::One(Ok(Message::Request(call))) => {
                let n = number(&call.params);
                self.client.called.push(n);
                let answer = Response { id: call.id, outcome: Ok(doubled(n)) };
                self.send_up(Message::Response(answer.clone()));
                if self.chance.one_in(10) {
                    self.send_up(Message::Response(answer));
                }
            }
            Incoming::One(Ok(Message::Notification(said))) => self.client.heard.push(number(&said.params)),
            Incoming::One(Ok(Message::Response(answer))) => {
                let n = answer.id.as_u64().unwrap();
                assert_eq!(answer.outcome, Ok(doubled(n)));
                *self.client.answers.entry(n).or_default() += 1;
            }
            other => panic!("{other:?}"),
        }
    }

    /// The server's application sees what has happened.
    fn react(&mut self) {
        while let Some(happening) = self.session.happening() {
            match happening {
                Happening::Called { ticket, params, .. } => {
                    let number = number(&params);
                    self.called.push(number);
                    let delay = self.delay();
                    self.after(delay, Event::Answer { ticket, number });
                }
                Happening::Notified { params, .. } => self.heard.push(number(&params)),
                Happening::Answered { call, outcome } => {
                    let n = self.calls[&call];
                    assert_eq!(outcome, Ok(doubled(n)));
                    *self.answers.entry(n).or_default() += 1;
                }
                Happening::Left { .. } => {}
                Happening::Applied { seq } => self.tell(Event::Applied { seq }),
                Happening::Refused { expected, .. } => self.tell(Event::Refused { expected }),
                other => panic!("{other:?}"),
            }
        }
    }

    fn server_says(&mut self) {
        let n = self.said;
        let Ok(call) = self.session.call("s", params(n), 60_000, self.now) else {
            // As many as may be are open.
            return self.after(50, Event::ServerSays);
        };
        self.calls.insert(call, n);
        self.session.notify("s", params(n)).unwrap();
        self.said += 1;
        if self.said < EACH {
            let pause = 1 + self.chance.below(40);
            self.after(pause, Event::ServerSays);
        }
    }

    fn client_says(&mut self) {
        let n = self.client.said;
        let (method, params) = ("c".into(), params(n));
        self.send_up(Message::Request(Request { id: Id::from(n), method, params: params.clone() }));
        self.send_up(Message::Notification(Notification { method: "c".into(), params }));
        self.client.said += 1;
        if self.client.said < EACH {
            let pause = 1 + self.chance.below(40);
            self.after(pause, Event::ClientSays);
        }
    }

    fn is_done(&self) -> bool {
        let all = EACH as usize;
        self.client.answers.len() == all
            && self.answers.len() == all
            && self.client.heard.len() >= all
            && self.heard.len() >= all
            && self.client.applied.len() == self.client.sent.len()
    }
}

#[test]
fn nothing_is_lost_doubled_or_reordered_however_the_link_behaves() {
    for seed in 1..=12_u64 {
        let mut world = World::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        while !world.is_done() {
            let ((now, _), event) = world.events.pop_first().unwrap();
            world.now = now;
            assert!(now < 600_000, "seed {seed}: it takes too long");
            world.step(event);
        }
        let all: Vec<u64> = (0..EACH).collect();
        for (what, seen) in [
            ("calls of the client", &world.called),
            ("notifications of the client", &world.heard),
            ("calls of the server", &world.client.called),
            ("notifications of the server", &world.client.heard),
        ] {
            assert!(*seen == all, "seed {seed}: {what} came otherwise");
        }
        for answers in [&world.answers, &world.client.answers] {
            assert!(answers.values().all(|times| *times == 1), "seed {seed}: a call was answered more than once");
        }
        let (cuts, stale, held, sent_back) = (world.cuts, world.stale, world.held, world.sent_back);
        println!("seed {seed}: {} ms, {cuts} cuts, {stale} stale, {held} held, {sent_back} sent back", world.now);
        assert!(cuts >= 100 && stale >= 20 && held >= 100 && sent_back >= 20, "seed {seed}: too calm a link");
        assert!(world.most <= LIMITS.memory, "seed {seed}: {} bytes", world.most);
        world.session.acknowledge(world.client.seen);
        assert_eq!(world.session.memory(), 0, "seed {seed}: nothing stays");
    }
}
