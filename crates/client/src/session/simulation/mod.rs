//! A client and a server over links that cut, delay, lose, double and reorder, in virtual time, with sessions that are
//! lost and listeners that are slow. Which of it happens when comes from a seed, which a failure names.

mod events;
mod server;

use super::*;
use events::{Chance, Event, Way};
use server::Server;
use std::collections::BTreeMap;
use switchboard_hub::session as hub;
use switchboard_wire::name::{ChannelName, Selection};

/// Calls, and notifications besides, in each direction; and events.
const EACH: u64 = 400;
const LIMITS: hub::Limits =
    hub::Limits { memory: 1 << 20, linger: 600_000, calls: 1024, call_timeout: 60_000, ahead: 24, hole: 150 };
const CHANNELS: [&str; 4] = ["a", "a/b", "c", "d/e"];
const WANTED: [&str; 6] = ["a", "a/*", "**", "c", "d/e", "a/b"];

/// What the client's application keeps of a listener.
struct Heard {
    selection: Selection,
    /// Events after this are to come.
    since: Option<u64>,
    seen: Vec<u64>,
    behind: bool,
}

struct World {
    chance: Chance,
    seed: u64,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    /// When the last thing arrives that was sent on the present connection, each way.
    arrives: (u64, u64),
    log: Vec<&'static str>,
    server: Server,
    client: Session,
    /// The client's connection.
    link: Option<(u64, Way)>,
    links: u64,
    posting: Option<u64>,
    listeners: BTreeMap<ListenerId, Heard>,
    calls: BTreeMap<u64, (u64, bool)>,
    said: u64,
    server_said: u64,
    /// What each end's application saw.
    called: Vec<u64>,
    notified: Vec<u64>,
    called_back: Vec<u64>,
    notified_back: Vec<u64>,
    answers: BTreeMap<u64, u64>,
    outcomes: [u64; 3],
    server_calls: BTreeMap<(u64, u64), u64>,
    losses: u64,
    cuts: u64,
}

fn params(number: u64) -> Params<'static> {
    Params::new(Json::of(&[number]).unwrap()).unwrap()
}

fn number(params: &Params<'_>) -> u64 {
    params.read::<(u64,)>().unwrap().0
}

fn at(position: &str) -> u64 {
    position.strip_prefix('p').unwrap().parse().unwrap()
}

impl World {
    fn new(seed: u64, loses: bool) -> World {
        let mut world = World {
            chance: Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            seed,
            now: 0,
            events: BTreeMap::new(),
            count: 0,
            arrives: (0, 0),
            log: Vec::new(),
            server: Server::new(1, 0, 0),
            client: Session::default(),
            link: None,
            links: 0,
            posting: None,
            listeners: BTreeMap::new(),
            calls: BTreeMap::new(),
            said: 0,
            server_said: 0,
            called: Vec::new(),
            notified: Vec::new(),
            called_back: Vec::new(),
            notified_back: Vec::new(),
            answers: BTreeMap::new(),
            outcomes: [0; 3],
            server_calls: BTreeMap::new(),
            losses: 0,
            cuts: 0,
        };
        world.open();
        for event in [Event::Publish, Event::ClientSays, Event::ServerSays] {
            world.after(1, event);
        }
        for _ in 0..8 {
            let delay = world.chance.below(4_000);
            world.after(delay, Event::Listen);
        }
        if loses {
            world.after(2_000, Event::Lose);
        }
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

    /// On a connection things arrive in order.
    fn down(&mut self, event: Event) {
        self.arrives.0 = self.arrives.0.max(self.now + self.delay());
        self.after(self.arrives.0 - self.now, event);
    }

    fn open(&mut self) {
        let said = self.server.tell(1);
        self.client.opened(serde_json::from_value(said).unwrap()).unwrap();
        self.posting = None;
        self.connect();
    }

    fn connect(&mut self) {
        let way = [Way::Duplex, Way::Stream, Way::Lines, Way::Poll][self.chance.below(4) as usize];
        self.links += 1;
        self.link = Some((self.links, way));
        self.arrives = (self.now, self.now);
        self.client.dropped();
        self.posting = None;
        let attempt = self.client.attempt();
        assert!(attempt > 1);
        let place = self.client.place().clone();
        let session = self.client.said().unwrap().id.parse().unwrap();
        for _ in 0..1 + u64::from(self.chance.one_in(8)) {
            let delay = self.delay();
            self.after(delay, Event::Reach { session, attempt: self.links, way, place: place.clone() });
        }
        let life = 20 + self.chance.below(400);
        self.after(life, Event::Cut { link: self.links });
    }

    /// Both ends send what they may.
    fn pump(&mut self) {
        self.server.control(None);
        if let Some((link, way, sent, _)) = self.server.link {
            let new: Vec<(Bytes, String)> =
                self.server.said[sent..].iter().map(|entry| (entry.text.clone(), entry.after.to_string())).collect();
            if way == Way::Poll && !new.is_empty() {
                let (messages, place) = (new.iter().map(|(text, _)| &text[..]), &new[new.len() - 1].1);
                let messages: Vec<&[u8]> = messages.collect();
                let seq = self.server.session.expected();
                let text = [b"{\"messages\":[", &messages.join(&b","[..])[..], b"]"].concat();
                let text = [&text[..], format!(",\"place\":\"{place}\",\"seq\":{seq}}}").as_bytes()].concat();
                self.server.link = None;
                self.down(Event::Page { link, text: text.into() });
            } else if way != Way::Poll {
                for (text, place) in new {
                    let place = (way == Way::Stream).then_some(place);
                    self.down(Event::Down { link, text, place });
                }
                let all = self.server.said.len();
                self.server.link = self.server.link.map(|(link, way, _, frame)| (link, way, all, frame));
            }
        }
        match self.link {
            // Over a WebSocket nothing is sent before `session` has said what to go on with.
            Some((link, Way::Duplex)) if self.posting == Some(0) => {
                while let Some((_, text)) = self.client.next_up(self.now) {
                    self.arrives.1 = self.arrives.1.max(self.now + self.delay());
                    self.after(self.arrives.1 - self.now, Event::Frame { link, text });
                }
            }
            Some((_, way)) if way != Way::Duplex && self.posting.is_none() => {
                if let Some((seq, text)) = self.client.next_up(self.now) {
                    self.posting = Some(seq);
                    self.post(seq, text);
                }
            }
            _ => {}
        }
    }

    /// The client sends a POST; it may be lost, late or doubled.
    fn post(&mut self, seq: u64, text: Bytes) {
        let session = self.client.said().unwrap().id.parse().unwrap();
        let ack = self.client.place().control;
        for _ in 0..1 + u64::from(self.chance.one_in(6)) {
            let delay = self.delay();
            if !self.chance.one_in(10) {
                self.after(delay, Event::Post { session, seq, ack, text: text.clone() });
            }
        }
        self.after(700, Event::Again { session, seq });
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Reach { session, attempt, way, place } => self.reach(session, attempt, way, &place),
            Event::Down { link, text, place } if self.link.is_some_and(|(mine, _)| mine == link) => {
                self.client.received(&text, place.as_deref(), self.now).unwrap();
                if text.starts_with(br#"{"jsonrpc":"2.0","method":"session""#) && self.link.unwrap().1 == Way::Duplex {
                    self.posting = Some(0);
                }
            }
            Event::Page { link, text } if self.link.is_some_and(|(mine, _)| mine == link) => {
                let mut client = std::mem::take(&mut self.client);
                client.received_page(&text, self.now, |client| self.hear(client)).unwrap();
                self.client = client;
                self.connect();
            }
            Event::Gone { link } if self.link.is_some_and(|(mine, _)| mine == link) => {
                self.client.lost();
                self.open();
            }
            Event::Frame { link, text } => {
                if let Some((mine, _, _, number)) = &mut self.server.link
                    && *mine == link
                {
                    *number += 1;
                    let seq = *number - 1;
                    self.server.session.arrive(Some(seq), text, self.now).unwrap();
                }
            }
            Event::Post { session, seq, ack, text } if session == self.server.number => {
                self.server.session.acknowledge(ack);
                let expected = match self.server.session.arrive(Some(seq), text, self.now).unwrap() {
                    hub::Arrival::Applied => None,
                    hub::Arrival::Conflict { expected } => Some(expected),
                    hub::Arrival::Held => panic!("POSTs come one by one"),
                };
                let delay = self.delay();
                if !self.chance.one_in(10) {
                    self.after(delay, Event::Posted { session, seq, expected });
                }
            }
            Event::Posted { session, seq, expected } if self.is_posting(session, seq) => {
                self.posting = None;
                match expected {
                    None => self.client.applied(seq),
                    Some(expected) => self.client.expected(expected).unwrap(),
                }
            }
            Event::Again { session, seq } if self.is_posting(session, seq) => {
                self.posting = None;
                self.client.dropped();
            }
            Event::Cut { link } if self.link.is_some_and(|(mine, _)| mine == link) => {
                self.cuts += 1;
                let again = self.chance.below(100);
                self.now += again;
                self.connect();
                self.now -= again;
            }
            Event::Lose if self.losses < 5 => {
                self.losses += 1;
                self.server = Server::new(self.server.number + 1, self.log.len() as u64, self.now);
                self.after(2_000, Event::Lose);
            }
            other => self.application(other),
        }
        let mut client = std::mem::take(&mut self.client);
        self.hear(&mut client);
        self.client = client;
        self.react();
        self.pump();
    }

    fn is_posting(&self, session: u64, seq: u64) -> bool {
        self.posting == Some(seq) && self.client.said().is_some_and(|said| said.id == session.to_string())
    }

    /// A connection reaches the server.
    fn reach(&mut self, session: u64, link: u64, way: Way, place: &Place) {
        if session != self.server.number {
            return self.down(Event::Gone { link });
        }
        if self.server.session.attach(Some(link)).is_err() {
            return;
        }
        self.server.control(None);
        self.server.session.acknowledge(place.control);
        let sent = self.server.said.iter().position(|entry| entry.after == *place).expect("a place that was said") + 1;
        let seq = self.server.session.expected();
        self.server.link = Some((link, way, sent, seq));
        if way != Way::Poll {
            let mut said = self.server.tell(seq);
            said["place"] = place.to_string().into();
            let text = format!(r#"{{"jsonrpc":"2.0","method":"session","params":{said}}}"#);
            let place = (way == Way::Stream).then(|| place.to_string());
            self.down(Event::Down { link, text: text.into(), place });
        }
    }

    fn application(&mut self, event: Event) {
        match event {
            Event::Publish => {
                let channel = CHANNELS[self.chance.below(4) as usize];
                self.log.push(channel);
                let (number, name) = (self.log.len() as u64, ChannelName::new(channel).unwrap());
                if self.server.subscribed.values().any(|selection| selection.selects(&name)) {
                    self.server.event(number, channel);
                } else if self.chance.one_in(3) {
                    self.server.say("position", serde_json::json!({"position": format!("p{number}")}), number);
                }
                if number < EACH {
                    let pause = 1 + self.chance.below(50);
                    self.after(pause, Event::Publish);
                }
            }
            Event::ClientSays => {
                let n = self.said;
                let repeats = n.is_multiple_of(3);
                let method = if repeats { "again" } else { "c" };
                self.calls.insert(self.client.call(method, params(n), repeats, None), (n, repeats));
                self.client.notify("c", params(n));
                self.said += 1;
                if self.said < EACH {
                    let pause = 1 + self.chance.below(50);
                    self.after(pause, Event::ClientSays);
                }
            }
            Event::ServerSays => {
                let n = self.server_said;
                if let Ok(call) = self.server.session.call("s", params(n), 60_000, self.now) {
                    self.server_calls.insert((self.server.number, call), n);
                    self.server.session.notify("s", params(n)).unwrap();
                    self.server_said += 1;
                }
                if self.server_said < EACH {
                    let pause = 1 + self.chance.below(50);
                    self.after(pause, Event::ServerSays);
                }
            }
            Event::Listen => {
                let channel = WANTED[self.chance.below(6) as usize];
                let since = self.chance.one_in(2).then(|| self.chance.below(self.log.len() as u64 + 1));
                let mut selection = Selection::default();
                selection.add(channel).unwrap();
                let listener = self.client.listen(channel, since.map(|n| format!("p{n}")), false).unwrap();
                self.listeners.insert(listener, Heard { selection, since, seen: Vec::new(), behind: false });
            }
            Event::Answer { session, ticket, number } if session == self.server.number => {
                self.server.session.answer(ticket, Ok(Json::of(&(2 * number)).unwrap()));
            }
            Event::Drained(listener) => {
                self.client.drained(listener);
                self.listeners.get_mut(&listener).unwrap().behind = false;
            }
            _ => {}
        }
    }

    /// The client's application sees what has happened.
    fn hear(&mut self, client: &mut Session) {
        while let Some(happening) = client.happening() {
            match happening {
                Happening::Answered { call, outcome } => {
                    let (n, _) = self.calls.remove(&call).expect("a call is answered once");
                    assert_eq!(outcome, Ok(Json::of(&(2 * n)).unwrap()));
                    self.outcomes[0] += 1;
                }
                Happening::Failed { call, error } => {
                    let (_, repeats) = self.calls.remove(&call).expect("a call fails once");
                    assert!(error == Error::Lost && !repeats, "seed {}: {error}", self.seed);
                    self.outcomes[1] += 1;
                }
                Happening::Called { session, id, params, .. } => {
                    let n = number(&params);
                    self.called_back.push(n);
                    client.answer(session, id, Ok(Json::of(&(2 * n)).unwrap()));
                }
                Happening::Notified { params, .. } => self.notified_back.push(number(&params)),
                Happening::Granted { listener, position } => {
                    let heard = self.listeners.get_mut(&listener).unwrap();
                    heard.since.get_or_insert(at(&position));
                }
                Happening::Heard { listeners, item: Item::Event(event) } => {
                    for listener in listeners {
                        let heard = self.listeners.get_mut(&listener).unwrap();
                        assert!(!heard.behind, "seed {}: who is behind hears nothing", self.seed);
                        if self.chance.one_in(25) {
                            heard.behind = true;
                            client.behind(listener);
                            let pause = self.chance.below(500);
                            self.after(pause, Event::Drained(listener));
                        } else {
                            heard.seen.push(event.json().unwrap());
                        }
                    }
                }
                other => panic!("seed {}: {other:?}", self.seed),
            }
        }
    }

    /// The server's application sees what has happened.
    fn react(&mut self) {
        while let Some(happening) = self.server.session.happening() {
            match happening {
                hub::Happening::Called { ticket, method, params } => match &*method {
                    "subscribe" => self.subscribe(ticket, &params),
                    "unsubscribe" => {
                        let wanted: serde_json::Value = params.read().unwrap();
                        self.server.subscribed.remove(wanted["channel"].as_str().unwrap());
                        let answer = serde_json::json!({"position": self.server.place.position});
                        self.server.session.answer(ticket, Ok(Json::of(&answer).unwrap()));
                    }
                    "ping" => _ = self.server.session.answer(ticket, Ok(Json::of(&0).unwrap())),
                    method => {
                        let number = number(&params);
                        if method == "c" {
                            self.called.push(number);
                        }
                        let (session, delay) = (self.server.number, self.delay());
                        self.after(delay, Event::Answer { session, ticket, number });
                    }
                },
                hub::Happening::Notified { params, .. } => self.notified.push(number(&params)),
                hub::Happening::Answered { call, outcome } => {
                    let n = self.server_calls[&(self.server.number, call)];
                    assert_eq!(outcome, Ok(Json::of(&(2 * n)).unwrap()));
                    *self.answers.entry(n).or_default() += 1;
                }
                hub::Happening::Left { .. } => {}
                other => panic!("seed {}: {other:?}", self.seed),
            }
        }
    }

    fn subscribe(&mut self, ticket: u64, params: &Params<'_>) {
        let wanted: serde_json::Value = params.read().unwrap();
        let (channel, head) = (wanted["channel"].clone(), self.log.len() as u64);
        let names = channel.as_array().cloned().unwrap_or_else(|| vec![channel.clone()]);
        let names: Vec<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
        let since = wanted["since"].as_str().map_or(head, at);
        let mut selection = Selection::default();
        names.iter().for_each(|name| selection.add(name).unwrap());
        self.server.control(None);
        let answer = serde_json::json!({"position": format!("p{since}"), "recovered": true});
        self.server.session.answer(ticket, Ok(Json::of(&answer).unwrap()));
        self.server.control(Some(since));
        for number in since + 1..=head {
            let name = self.log[number as usize - 1];
            if selection.selects(&ChannelName::new(name).unwrap()) {
                self.server.event(number, name);
            }
        }
        self.server.say("caught_up", serde_json::json!({"channel": channel, "position": format!("p{head}")}), head);
        for name in names {
            let mut selection = Selection::default();
            selection.add(name).unwrap();
            self.server.subscribed.insert(name.to_owned(), selection);
        }
    }

    fn expected(&self, heard: &Heard) -> Vec<u64> {
        let Some(since) = heard.since else { return Vec::new() };
        let selects = |n: &u64| heard.selection.selects(&ChannelName::new(self.log[*n as usize - 1]).unwrap());
        (since + 1..=self.log.len() as u64).filter(selects).collect()
    }

    fn is_done(&self) -> bool {
        let all = EACH as usize;
        let is_whole = |heard: &Heard| heard.since.is_some() && heard.seen.len() >= self.expected(heard).len();
        self.log.len() == all
            && self.said == EACH
            && self.server_said == EACH
            && self.listeners.len() == 8
            && self.calls.is_empty()
            && self.listeners.values().all(is_whole)
            && self.client.outbox.held().0 == 0
            && (self.losses > 0 || self.answers.len() == all && self.notified_back.len() == all)
    }
}

fn play(seed: u64, loses: bool) -> World {
    let mut world = World::new(seed, loses);
    let mut steps = 0_u64;
    // What was said in all is looked at now and then.
    while !steps.is_multiple_of(64) || !world.is_done() {
        steps += 1;
        let ((now, _), event) = world.events.pop_first().unwrap();
        world.now = now;
        assert!(now < 900_000, "seed {seed}: it takes too long");
        world.step(event);
    }
    for heard in world.listeners.values() {
        assert_eq!(heard.seen, world.expected(heard), "seed {seed}: {:?} since {:?}", heard.selection, heard.since);
    }
    world
}

#[test]
fn nothing_is_lost_doubled_or_reordered_however_the_links_behave() {
    for seed in 1..=12 {
        let world = play(seed, false);
        let all: Vec<u64> = (0..EACH).collect();
        let without_repeats: Vec<u64> = all.iter().copied().filter(|n| !n.is_multiple_of(3)).collect();
        assert_eq!(world.called, without_repeats, "seed {seed}: calls of the client");
        for (what, seen) in [
            ("notifications of the client", &world.notified),
            ("calls of the server", &world.called_back),
            ("notifications of the server", &world.notified_back),
        ] {
            assert_eq!(*seen, all, "seed {seed}: {what}");
        }
        assert!(world.answers.values().all(|times| *times == 1), "seed {seed}: a call was answered more than once");
        assert!(world.cuts > 20, "seed {seed}: too calm a link, with {} cuts", world.cuts);
    }
}

#[test]
fn a_lost_session_costs_no_event_and_leaves_no_call_without_an_end() {
    let mut failed = 0;
    for seed in 1..=12 {
        let world = play(seed, true);
        assert!(world.losses >= 3, "seed {seed}: {} sessions were lost", world.losses);
        assert_eq!(world.outcomes[0] + world.outcomes[1], EACH, "seed {seed}: each call comes to one end");
        // What is not safe to repeat is not repeated.
        let mut called = world.called.clone();
        called.dedup();
        assert_eq!(called, world.called, "seed {seed}");
        assert!(world.called.is_sorted() && world.notified.is_sorted(), "seed {seed}");
        failed += world.outcomes[1];
    }
    assert!(failed > 20, "only {failed} calls were caught in the middle");
}
