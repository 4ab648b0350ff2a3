//! A session that is cut again and again, over whatever transport, loses nothing, doubles nothing and reorders nothing.

use crate::talk::{Talk, Way};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::thread;
use switchboard_testkit::{Server, config, seed};

const STEPS: u64 = 1_000;
const CUTS: u64 = 200;
/// Channels, each with events from before it is subscribed to.
const CHANNELS: u64 = 24;
const BEFORE: u64 = 40;

/// What the client saw, checked as it comes.
#[derive(Default)]
struct Seen {
    /// The next event of each channel.
    next: BTreeMap<String, u64>,
    answered: BTreeSet<u64>,
    called: BTreeSet<u64>,
    noticed: u64,
}

impl Seen {
    /// Takes a message in. Gives the call to reply to, if it is one.
    fn take(&mut self, message: &Value, story: &str) -> Option<u64> {
        match message["method"].as_str() {
            None => {
                let id = message["id"].as_u64().unwrap();
                assert!(message.get("error").is_none(), "{story}: {message}");
                assert!(self.answered.insert(id), "{story}: the call {id} is answered twice");
            }
            Some("event") => {
                let channel = message["params"]["channel"].as_str().unwrap();
                let next = self.next.entry(channel.to_owned()).or_default();
                assert_eq!(message["params"]["data"], *next, "{story}: {channel}");
                *next += 1;
            }
            Some("double") => {
                let n = message["params"][0].as_u64().unwrap();
                assert!(self.called.insert(n), "{story}: called twice with {n}");
                return Some(n);
            }
            Some("news") => {
                assert_eq!(message["params"][0], self.noticed, "{story}");
                self.noticed += 1;
            }
            Some(other) => panic!("{story}: {other}"),
        }
        None
    }
}

struct World<'a> {
    server: &'a Server,
    chance: fastrand::Rng,
    talk: Option<Talk>,
    seen: Seen,
    story: String,
}

impl World<'_> {
    fn talk(&mut self) -> &mut Talk {
        self.talk.as_mut().unwrap()
    }

    /// Reads one message, and replies to it if it is a call.
    fn read_one(&mut self) -> Value {
        let message = self.talk().next();
        if let Some(n) = self.seen.take(&message, &self.story) {
            self.talk().reply(&message, &json!(2 * n));
        }
        message
    }

    fn await_answer(&mut self, id: u64) {
        while !self.seen.answered.contains(&id) {
            self.read_one();
        }
    }

    fn cut(&mut self) {
        let way = Way::ALL[self.chance.usize(0..Way::ALL.len())];
        self.story.push_str(&format!(" {way:?}"));
        let kept = self.talk.take().unwrap().cut();
        self.talk = Some(Talk::resume(self.server, way, kept));
    }
}

#[test]
fn two_hundred_cuts_under_a_thousand_calls_and_events_each_way_lose_nothing() {
    let seed = seed("cuts");
    let mut config = config();
    config.session.memory = 1 << 20;
    let server = Server::start(config);
    let (calling, calls) = mpsc::channel::<u64>();
    let talk = Talk::open(&server, Way::WebSocket);
    let at = format!("/api/sessions/{}", talk.id());
    let chance = fastrand::Rng::with_seed(seed);
    let mut world =
        World { server: &server, chance, talk: Some(talk), seen: Seen::default(), story: format!("seed {seed}:") };
    let mut published: BTreeMap<String, u64> = BTreeMap::new();
    let publish = |published: &mut BTreeMap<String, u64>, channel: u64| {
        let name = format!("c/{channel}");
        let next = published.entry(name.clone()).or_default();
        server.publish_json(&name, &next.to_string());
        *next += 1;
    };
    for channel in 0..CHANNELS {
        (0..BEFORE).for_each(|_| publish(&mut published, channel));
    }
    thread::scope(|scope| {
        let backend = scope.spawn(|| {
            let mut conn = server.connect();
            for n in calls {
                let body = json!({ "method": "double", "params": [n], "timeout": 30_000 }).to_string();
                let answer = conn.post(&format!("{at}/call"), &[], body).expect(200).json();
                assert_eq!(answer, json!({ "result": 2 * n }));
            }
        });
        let mut told = 0;
        for step in 0..STEPS {
            publish(&mut published, step % CHANNELS);
            calling.send(step).unwrap();
            if step % 2 == 0 {
                let news = json!({ "method": "news", "params": [told] }).to_string();
                server.post(&format!("{at}/notify"), &[], news).expect(202);
                told += 1;
            }
            let params = json!({ "channel": format!("c/{}", step / 40), "since": "earliest" });
            let id = match step % 40 {
                // The events from before come while others go on.
                0 if step / 40 < CHANNELS => world.talk().begin("subscribe", &params),
                _ => world.talk().begin("ping", &json!({})),
            };
            if step % (STEPS / CUTS) == 3 {
                for _ in 0..world.chance.u64(0..2) {
                    world.read_one();
                }
                world.cut();
            }
            if world.chance.bool() {
                world.await_answer(id);
            }
        }
        drop(calling);
        let last = world.talk().begin("ping", &json!({}));
        world.await_answer(last);
        while (world.seen.called.len() as u64) < STEPS || world.seen.noticed < told {
            world.read_one();
        }
        while world.seen.next != published {
            world.read_one();
        }
        backend.join().unwrap();
        assert_eq!(world.seen.answered.len() as u64, STEPS + 1);
    });
}
