//! Resume: clients that are cut at random points get every event once and in order, on every transport and across
//! every pair of them; and where the history is too small, they are told exactly what they lost.
//!
//! `SWITCHBOARD_SEED` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do: by panicking"
)]

use fastrand::Rng;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::time::Duration;
use switchboard_testkit::{
    Class, Config, Conn, Follower, Gap, Heard, Pattern, Retention, Said, Server, Stop, Transport,
};
use switchboard_testkit::{config, seed};

const CHANNELS: [&str; 5] = ["r/a", "r/b", "r/c/d", "q", "s/deep/er"];
const SELECTIONS: [&[&str]; 6] = [&["**"], &["r/**"], &["r/*", "q"], &["q", "r/a", "s/*/er"], &["r/b"], &["*/**", "q"]];
/// Every ordered pair of the four transports, round and round.
const PAIRS: [usize; 16] = [0, 0, 1, 0, 2, 0, 3, 1, 1, 2, 1, 3, 2, 2, 3, 3];
const EVENTS: usize = 1000;
const LAST: &str = "the last";

fn selects(selection: &[&str], channel: &str) -> bool {
    let name = switchboard_wire::ChannelName::new(channel).unwrap();
    selection.iter().any(|pattern| Pattern::new(pattern).unwrap().matches(&name))
}

/// A client that is cut now and then, and comes back with the cursor it has.
struct Client {
    selection: &'static [&'static str],
    transports: Box<dyn FnMut() -> Transport + Send>,
    random: Rng,
    cursor: String,
    heard: Vec<Heard>,
    cuts: usize,
}

impl Client {
    /// Gets a cursor from the first thing it is told, and is cut before the first event.
    fn new(
        server: &Server,
        selection: &'static [&'static str],
        mut transports: Box<dyn FnMut() -> Transport + Send>,
        random: Rng,
    ) -> Client {
        let mut follower = Follower::open(server, selection, None, transports());
        assert!(matches!(follower.next(), Said::Open { recovered: None, gap: None, .. } | Said::Position(_)));
        let cursor = follower.cut().unwrap();
        Client { selection, transports, random, cursor, heard: Vec::new(), cuts: 0 }
    }

    fn open(&mut self, server: &Server) -> Follower {
        let transport = (self.transports)();
        let mut follower = Follower::open(server, self.selection, Some(&self.cursor), transport);
        follower.limit = self.random.usize(1..40);
        follower
    }

    /// Reads until the last event of every selected channel has come.
    fn read_everything(mut self, server: &Server) -> (&'static [&'static str], Vec<Heard>, usize) {
        let mut open = CHANNELS.iter().filter(|channel| selects(self.selection, channel)).count();
        while open > 0 {
            let mut follower = self.open(server);
            // Sometimes it is cut before anything is read, or between `$open` and the first event.
            let mut things = if self.random.u8(0..4) == 0 { 0 } else { self.random.usize(1..80) };
            while things > 0 && open > 0 {
                things -= 1;
                match follower.next() {
                    Said::Event(heard) => {
                        open -= usize::from(heard.json["data"] == LAST);
                        self.heard.push(heard);
                    }
                    Said::Open { recovered, gap, .. } => assert_eq!((recovered, gap), (Some(true), None)),
                    Said::Position(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            let cursor = follower.cut().unwrap();
            assert!(cursor >= self.cursor, "a position never goes back: {} {cursor}", self.cursor);
            self.cursor = cursor;
            self.cuts += 1;
        }
        (self.selection, self.heard, self.cuts)
    }
}

/// Publishes to random channels, and a last event to each: what was published, in order.
fn publish(server: &Server, mut random: Rng) -> Vec<(String, &'static str)> {
    let mut conn = server.connect();
    let mut published = Vec::new();
    for i in 0..EVENTS {
        let channel = CHANNELS[random.usize(..CHANNELS.len())];
        published.push((conn.publish(channel, i.to_string()), channel));
    }
    published.extend(CHANNELS.map(|channel| (conn.publish(channel, LAST), channel)));
    published
}

/// Runs clients against a publisher, and checks that each got every event once and in order.
fn chaos(name: &str, config: Config, transports: impl Fn(usize) -> Box<dyn FnMut() -> Transport + Send>) {
    let mut random = Rng::with_seed(seed(name));
    let server = Server::start(config);
    let clients: Vec<Client> =
        (0..SELECTIONS.len()).map(|i| Client::new(&server, SELECTIONS[i], transports(i), random.fork())).collect();
    let publisher = random.fork();
    let mut cuts = 0;
    std::thread::scope(|scope| {
        let server = &server;
        let readers: Vec<_> =
            clients.into_iter().map(|client| scope.spawn(|| client.read_everything(server))).collect();
        let published = publish(server, publisher);
        for reader in readers {
            let (selection, heard, times) = reader.join().unwrap();
            let heard: Vec<&str> = heard.iter().map(|heard| heard.id.as_str()).collect();
            let expected = published.iter().filter(|(_, channel)| selects(selection, channel));
            let expected: Vec<&str> = expected.map(|(id, _)| id.as_str()).collect();
            assert_same(&heard, &expected, &format!("{selection:?}: every event once and in order"));
            cuts += times;
        }
    });
    assert!(cuts > 50, "only {cuts} cuts");
}

/// Compares what was heard with what was published, and tells only where they differ.
#[track_caller]
fn assert_same(heard: &[&str], expected: &[&str], what: &str) {
    let differs = (0..heard.len().max(expected.len())).find(|i| heard.get(*i) != expected.get(*i));
    let Some(at) = differs else { return };
    let lost: Vec<_> = expected.iter().filter(|id| !heard.contains(id)).collect();
    let around =
        |ids: &[&str]| ids.iter().skip(at.saturating_sub(2)).take(5).map(|id| id.to_string()).collect::<Vec<_>>();
    panic!("{what}: at {at} {:?} instead of {:?}; lost {lost:?}", around(heard), around(expected));
}

fn only(transport: Transport) -> impl Fn(usize) -> Box<dyn FnMut() -> Transport + Send> {
    move |_| Box::new(move || transport)
}

#[test]
fn sse_resumes() {
    chaos("sse_resumes", config(), only(Transport::Sse));
}

#[test]
fn ndjson_resumes() {
    chaos("ndjson_resumes", config(), only(Transport::Stream));
}

#[test]
fn long_polls_resume() {
    chaos("long_polls_resume", config(), only(Transport::Poll));
}

#[test]
fn websockets_in_event_form_resume() {
    chaos("websockets_in_event_form_resume", config(), only(Transport::WebSocket));
}

#[test]
fn a_cursor_of_any_transport_resumes_on_any_other() {
    chaos("a_cursor_of_any_transport", config(), |i| {
        let mut at = i * 3;
        Box::new(move || {
            at += 1;
            Transport::ALL[PAIRS[at % PAIRS.len()]]
        })
    });
}

#[test]
fn resuming_works_with_a_ring_that_overruns_every_shard() {
    let mut config = config();
    config.policy.ring = 8;
    // Often, for the cursors that it tells, and not so often that a client that gets no turn leaves two pings unanswered.
    config.heartbeat = Duration::from_millis(500);
    chaos("a_ring_that_overruns", config, |i| {
        let mut at = i * 5;
        Box::new(move || {
            at += 1;
            Transport::ALL[PAIRS[at % PAIRS.len()]]
        })
    });
}

#[test]
fn a_single_channel_in_raw_form_resumes_with_last_event_id_as_an_event_source_does() {
    let mut random = Rng::with_seed(seed("an_event_source"));
    let server = Server::new();
    let mut sse = server.sse("/channels/a");
    let mut cursor = sse.notice("$open").last_id;
    sse.stream.conn.cut();
    let mut publisher = server.connect();
    let (mut told, mut heard) = (Vec::new(), Vec::new());
    while told.len() < EVENTS || heard.len() < told.len() {
        for _ in 0..random.usize(0..40).min(EVENTS - told.len()) {
            told.push(publisher.publish("a", told.len().to_string()));
        }
        let mut sse = server.connect().sse("/channels/a", &[("Last-Event-ID", &cursor)]);
        for _ in 0..random.usize(0..40) {
            if heard.len() == told.len() {
                break;
            }
            let block = sse.block();
            cursor = block.last_id;
            if block.event.is_empty() {
                heard.push(block.id.unwrap());
            }
        }
        sse.stream.conn.cut();
    }
    let [heard, told] = [&heard, &told].map(|ids| ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert_same(&heard, &told, "every event once and in order");
}

/// A client of a server whose history is too small, and what is known of both.
struct Lossy {
    server: Server,
    publisher: Conn,
    random: Rng,
    held: usize,
    published: Vec<(String, &'static str)>,
}

impl Lossy {
    fn publish(&mut self, most: usize) {
        for _ in 0..self.random.usize(0..most) {
            // Skewed: some channels are busy and some are quiet.
            let channel = CHANNELS[self.random.usize(..CHANNELS.len()).min(self.random.usize(..CHANNELS.len()))];
            let id = self.publisher.publish(channel, self.published.len().to_string());
            self.published.push((id, channel));
        }
    }

    /// Whether the channel's history holds the event now.
    fn holds(&self, id: &str, channel: &str) -> bool {
        self.published.iter().rev().filter(|(_, of)| *of == channel).take(self.held).any(|(held, _)| held == id)
    }

    /// What lies in the gap, of the channel that lost it or, in a gap of the whole stream, of all that are selected.
    fn within(&self, gap: &Gap, selection: &[&str]) -> Vec<(String, &'static str)> {
        let of_gap = |channel: &str| gap.channel.as_deref().is_none_or(|of| of == channel);
        let lies = |id: &str| gap.from.as_str() < id && id <= gap.to.as_str();
        let all = self.published.iter();
        all.filter(|(id, channel)| selects(selection, channel) && of_gap(channel) && lies(id)).cloned().collect()
    }

    /// Goes on reading until everything published is accounted for, or it is cut.
    fn read(&mut self, selection: &'static [&'static str], transport: Transport, state: &mut Account) {
        let mut follower = Follower::open(&self.server, selection, Some(&state.cursor), transport);
        (follower.limit, follower.wait) = (self.random.usize(1..10), 1);
        let mut things = self.random.usize(0..40);
        while things > 0 && self.published.iter().any(|(id, of)| selects(selection, of) && !state.knows(id)) {
            things -= 1;
            let said = std::panic::catch_unwind(AssertUnwindSafe(|| follower.next()));
            // Nothing is published meanwhile, so an empty page has told everything.
            let told_nothing = matches!(said, Ok(Said::Position(_))) && transport == Transport::Poll && !state.told;
            let Ok(said) = said.map_err(drop).and_then(|said| if told_nothing { Err(()) } else { Ok(said) }) else {
                let unknown = self.published.iter().filter(|(id, of)| selects(selection, of) && !state.knows(id));
                let unknown: Vec<_> = unknown.map(|(id, channel)| (id, channel, self.holds(id, channel))).collect();
                panic!("never heard, and never told as lost: {unknown:?}, after {:#?}", state.log);
            };
            state.told = matches!(said, Said::Event(_) | Said::Gap(_));
            let shown = match &said {
                Said::Event(heard) => format!("{transport:?} {} {}", heard.id, heard.channel),
                other => format!("{transport:?} {other:?}"),
            };
            state.log.push(shown);
            match said {
                Said::Event(heard) => state.learn(&heard.id, "heard"),
                Said::Gap(gap) => {
                    assert_eq!(gap.reason, "trimmed", "{gap:?}");
                    let lost = self.within(&gap, selection);
                    assert!(!lost.is_empty(), "a gap in which nothing was lost: {gap:?}");
                    for (id, channel) in lost {
                        assert!(!self.holds(&id, channel), "{id} of {channel} is held, and told as lost: {gap:?}");
                        state.learn(&id, "lost");
                    }
                }
                Said::Open { recovered, gap, .. } => assert_eq!(recovered, Some(gap.is_none())),
                Said::Position(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let cursor = follower.cut().unwrap();
        assert!(cursor >= state.cursor, "a position never goes back");
        state.log.push(format!("cut at {cursor}"));
        state.cursor = cursor;
    }
}

/// What a client knows of every event: that it was heard, or that it was lost.
#[derive(Default)]
struct Account {
    cursor: String,
    known: BTreeMap<String, &'static str>,
    /// The last thing told was an event or a gap.
    told: bool,
    /// What it was told, for whoever reads the failure.
    log: Vec<String>,
}

impl Account {
    fn knows(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    #[track_caller]
    fn learn(&mut self, id: &str, what: &'static str) {
        let before = self.known.insert(id.to_owned(), what);
        assert!(before.is_none(), "{id} is {what}, and was {before:?} before");
    }
}

/// Publishes and reads by turns with a history too small, and checks that every event is heard or lies in a told gap,
/// and never both.
fn lossy(name: &str, selections: &[&'static [&'static str]]) {
    let mut random = Rng::with_seed(seed(name));
    let (mut heard, mut lost) = (0, 0);
    for (i, selection) in selections.iter().enumerate() {
        let held = random.usize(1..8);
        let mut config = config();
        config.policy.default = Class::History(Retention { events: held, ..Retention::default() });
        let server = Server::start(config);
        let cursor = server.page("/channels/q?since=latest")["position"].as_str().unwrap().to_owned();
        let publisher = server.connect();
        let mut lossy = Lossy { server, publisher, random: random.fork(), held, published: Vec::new() };
        let mut state = Account { cursor, ..Account::default() };
        for round in 0..60 {
            lossy.publish(40);
            lossy.read(selection, Transport::ALL[PAIRS[(round + i) % PAIRS.len()]], &mut state);
        }
        let count = |what| state.known.values().filter(|known| **known == what).count();
        (heard, lost) = (heard + count("heard"), lost + count("lost"));
    }
    assert!(heard > 50 && lost > 50, "{heard} heard, {lost} lost");
}

#[test]
fn with_a_history_too_small_every_event_of_a_channel_is_heard_or_lies_in_a_told_gap_and_never_both() {
    lossy("a_history_too_small_of_one", &[&["q"], &["r/a"], &["r/b"], &["r/c/*"]]);
}

#[test]
fn with_a_history_too_small_every_event_of_several_is_heard_or_lies_in_a_told_gap_and_never_both() {
    lossy("a_history_too_small_of_several", &SELECTIONS);
}

/// Publishes so many events to busy channels, and gives the last's id.
fn busy(publisher: &mut Conn, events: usize) -> String {
    (0..events).map(|i| publisher.publish(&format!("busy/{}", i % 3), "x".repeat(1000))).last().unwrap()
}

/// Has the log move on by more than it holds, and the follower follow meanwhile, until it is told where the log is then.
fn pass_by(server: &Server, follower: &mut Follower) {
    std::thread::scope(|scope| {
        let (stop, (told, last)) = (Stop::default(), mpsc::channel());
        let stopped = stop.watch();
        let mut publisher = server.connect();
        scope.spawn(move || {
            told.send(busy(&mut publisher, 300)).unwrap();
            // Once the log has moved on, a heartbeat tells where.
            while !stopped() {
                busy(&mut publisher, 1);
            }
        });
        let mut last_id = None;
        while last_id.is_none() || follower.cursor < last_id {
            let said = follower.next();
            assert!(matches!(said, Said::Open { gap: None, .. } | Said::Position(_)), "{said:?}");
            last_id = last_id.or_else(|| last.try_recv().ok());
        }
    });
}

#[test]
fn a_quiet_channel_beside_a_busy_one_resumes_without_a_false_gap() {
    let mut config = config();
    // Long enough for a client that gets no turn for a while to answer pings all the same, or a WebSocket would be given up.
    config.heartbeat = Duration::from_secs(1);
    config.policy.ring = 64;
    config.policy.bytes = 256 << 10;
    config.policy.default = Class::History(Retention { events: 20, ..Retention::default() });
    let server = Server::start(config);
    let mut publisher = server.connect();
    for transport in Transport::ALL {
        let mut follower = Follower::open(&server, &["quiet"], None, transport);
        assert!(matches!(follower.next(), Said::Open { gap: None, .. } | Said::Position(_)));
        match transport {
            Transport::Poll => drop(busy(&mut publisher, 300)),
            _ => pass_by(&server, &mut follower),
        }
        let cursor = follower.cut().unwrap();
        busy(&mut publisher, 300);
        let id = server.publish("quiet", "at last");
        for again in Transport::ALL {
            let mut follower = Follower::open(&server, &["quiet"], Some(&cursor), again);
            if again != Transport::Poll {
                let said = follower.next();
                assert!(matches!(said, Said::Open { recovered: Some(true), gap: None, .. }), "{transport:?}: {said:?}");
            }
            assert_eq!(follower.event().id, id, "{transport:?} then {again:?}");
        }
        // Only what the quiet channel holds may be held, for the next transport to begin with nothing.
        server.delete("/channels/quiet").expect(204);
    }
}

#[test]
fn a_restart_is_told_as_an_epoch_gap_wherever_the_client_comes_back() {
    let before = Server::new();
    before.publish("r/a", "lost with the log");
    let mut cursors = Vec::new();
    for transport in Transport::ALL {
        let mut follower = Follower::open(&before, &["r/**"], None, transport);
        assert!(matches!(follower.next(), Said::Open { .. } | Said::Position(_)));
        cursors.push(follower.cut().unwrap());
    }
    before.drain();
    let server = Server::new();
    let ids = [server.publish("r/a", "1"), server.publish("r/b", "2")];
    for cursor in &cursors {
        for transport in Transport::ALL {
            let mut follower = Follower::open(&server, &["r/**"], Some(cursor), transport);
            if transport != Transport::Poll {
                assert!(matches!(follower.next(), Said::Open { recovered: Some(false), gap: Some(_), .. }));
            }
            let said = follower.next();
            assert!(matches!(&said, Said::Gap(gap) if gap.reason == "epoch" && gap.from == *cursor), "{said:?}");
            assert_eq!([follower.event().id, follower.event().id], ids, "{transport:?}");
        }
    }
}

#[test]
fn a_reader_that_stops_reading_lags_and_goes_on_without_loss() {
    let mut config = config();
    config.policy.ring = 128;
    config.policy.default = Class::History(Retention { events: 100_000, bytes: 512 << 20, ..Retention::default() });
    config.policy.bytes = 1 << 30;
    let server = Server::start(config);
    for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket] {
        let channel = format!("{transport:?}");
        let mut slow = Follower::open(&server, &[&channel], None, transport);
        let mut fast = Follower::open(&server, &[&channel], None, transport);
        let mut publisher = server.connect();
        // More than the sockets between hold; the fast one reads as it is published.
        let ids: Vec<String> = (0..1500)
            .map(|i| {
                let id = publisher.publish(&channel, format!("{i} {}", "x".repeat(10_000)));
                assert_eq!(fast.event().id, id);
                id
            })
            .collect();
        for id in &ids {
            assert_eq!(slow.event().id, *id, "{transport:?}");
        }
        let id = publisher.publish(&channel, "live again");
        assert_eq!(slow.event().id, id);
        assert_eq!(fast.event().id, id);
    }
}
