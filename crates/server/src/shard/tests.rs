//! A shard without its thread: each turn is taken by hand, so that what is done in which can be told without a clock.

use super::*;
use crate::config::Config;
use crate::session::{Ask, Location, Opener, Take};
use crate::traffic::{COUNTED, Way};
use crate::transport::{Over, Transport};
use bytes::Bytes;
use mio::Poll;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;
use switchboard_store::Append;
use switchboard_wire::Kind;
use switchboard_wire::event::Draft;
use switchboard_wire::websocket::header::Opcode;
use switchboard_wire::websocket::write::write_message;

/// Readers of the channel of which all others are to be left alone.
const CROWD: usize = 200;

const LINES: Transport = Transport::Stream { raw: false, gzip: false };
const EVENTS: Transport = Transport::WebSocket { raw: false, deflated: None };
const RAW: Transport = Transport::WebSocket { raw: true, deflated: None };
const SESSION: Transport = Transport::Session(Over::WebSocket { deflated: None });

struct Hall {
    node: Arc<Node>,
    shard: Shard,
    crowd: Vec<BufReader<TcpStream>>,
    poll: Poll,
}

impl Hall {
    /// With a crowd that reads `crowd`, line by line.
    fn new() -> Hall {
        let config = Config { heartbeat: Duration::from_secs(3600), ..Config::default() };
        let node = Arc::new(Node::new(config, None, 1).unwrap());
        let poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let shard = Shard::new(node.clone(), 0, registry, Arc::default());
        let mut hall = Hall { node, shard, crowd: Vec::new(), poll };
        hall.crowd = (0..CROWD).map(|_| BufReader::new(hall.connect(LINES, "crowd", None).1)).collect();
        hall
    }

    /// Holds a connection open, and gives its token and its peer.
    fn connect(&mut self, transport: Transport, channel: &str, take: Option<Take>) -> (Token, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut selection = Selection::default();
        if take.is_none() {
            selection.add(channel).unwrap();
        }
        let token = self.shard.slots.vacant_key() as Token;
        let answer = Answer {
            fields: None,
            head: Bytes::new(),
            head_length: 0,
            transport,
            chunked: false,
            gzip: None,
            selection: Arc::new(selection),
            place: Place::at(self.node.log.head()),
            ending: None,
            take,
            guest: None,
        };
        let carrier = Carrier::plain(socket);
        self.shard.take_over(Adopted { carrier, received: Vec::new(), answer, admission: None });
        (token, peer)
    }

    fn open_session(&mut self) -> Location {
        let opener = Opener {
            identity: Identity::default(),
            allowance: Default::default(),
            seats: Default::default(),
            address: Ipv4Addr::LOCALHOST.into(),
            subscriptions: Vec::new(),
        };
        let location = self.shard.name_session().unwrap();
        self.shard.open_session(location, opener).unwrap().location
    }

    /// A session with a WebSocket, which has said so.
    fn session(&mut self) -> (Token, TcpStream) {
        let take = Take { id: self.open_session().id, known: None, attempt: None };
        let (token, mut peer) = self.connect(SESSION, "", Some(take));
        assert_eq!(word(&mut peer)["method"], "session");
        (token, peer)
    }

    fn append(&self, channel: &str, data: Option<&str>) {
        let draft =
            data.map(|data| Draft::new(None, Kind::Text, None, Bytes::copy_from_slice(data.as_bytes())).unwrap());
        let append = Append { channel: ChannelName::new(channel).unwrap(), end: draft.is_none(), draft, key: None };
        self.node.log.append(self.node.now(), &[append]).unwrap();
    }

    fn publish(&self, channel: &str, texts: &[&str]) {
        texts.iter().for_each(|text| self.append(channel, Some(text)));
    }

    /// A peer says something on its WebSocket.
    fn hear(&mut self, token: Token, opcode: Opcode, payload: &[u8]) {
        let mut words = Vec::new();
        write_message(opcode, payload, Some([1, 2, 3, 4]), &mut words);
        self.shard.hear(token, &mut words);
    }

    fn call(&mut self, token: Token, id: u64, method: &str, params: Value) {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.hear(token, Opcode::Text, call.to_string().as_bytes());
    }

    /// A session has been told nothing more.
    fn assert_told_all(&mut self, token: Token, peer: &mut TcpStream) {
        self.call(token, 99, "ping", json!({}));
        assert_eq!(told(peer, 1), [99]);
    }

    /// Events that the crowd's connections were sent, all together.
    fn sent_to_crowd(&self) -> u64 {
        let (name, _, events) = COUNTED[1];
        assert_eq!(name, "read_events");
        events(self.shard.traffic().of(Way::Stream)).load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Takes turns until there is nothing left to do, and then each of the crowd has heard this.
    fn settle(&mut self, expected: &[&str]) {
        while self.shard.turn(Instant::now()) {}
        assert_eq!(self.sent_to_crowd(), (CROWD * expected.len()) as u64);
        for peer in &mut self.crowd {
            let heard: Vec<String> = expected.iter().map(|_| line(peer)["data"].as_str().unwrap().to_owned()).collect();
            assert_eq!(heard, expected);
        }
    }
}

fn line(peer: &mut impl BufRead) -> Value {
    let mut line = String::new();
    peer.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// The next frame: its first byte and its payload.
fn frame(peer: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    peer.read_exact(&mut head).unwrap();
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            peer.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    peer.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

/// The next text message, as JSON. What a session asks by pings is passed over.
fn word(peer: &mut TcpStream) -> Value {
    loop {
        let (first, payload) = frame(peer);
        if first == 0x81 {
            return serde_json::from_slice(&payload).unwrap();
        }
        assert_eq!(first, 0x89, "{payload:?}");
    }
}

/// What a session was told: the data of events, and the numbers of calls that were answered.
fn told(peer: &mut TcpStream, count: usize) -> Vec<Value> {
    let told = |word: Value| match &word["params"]["data"] {
        Value::Null => word["id"].clone(),
        data => data.clone(),
    };
    let words = std::iter::repeat_with(|| word(peer)).filter(|word| word["method"] != "caught_up");
    words.take(count).map(told).collect()
}

/// A session changes what it reads again and again, and publishes what it does not want to hear: each time it hears first
/// what was published before, and nobody else is served for that.
#[test]
fn what_a_session_changes_is_delivered_ahead_of_to_itself_alone() {
    let mut hall = Hall::new();
    let (token, mut peer) = hall.session();
    hall.call(token, 1, "subscribe", json!({ "channel": "crowd" }));
    assert_eq!(told(&mut peer, 1), [1]);

    hall.publish("crowd", &["a", "b"]);
    hall.call(token, 2, "subscribe", json!({ "channel": "other" }));
    hall.publish("crowd", &["c"]);
    hall.publish("other", &["d"]);
    hall.call(token, 3, "unsubscribe", json!({ "channel": "other" }));
    hall.publish("crowd", &["e"]);
    hall.publish("other", &["unheard"]);
    hall.call(token, 4, "publish", json!({ "channel": "crowd", "data": "f", "echo": false }));
    let expected = [json!("a"), json!("b"), json!(2), json!("c"), json!("d"), json!(3), json!("e"), json!(4)];
    assert_eq!(told(&mut peer, 8), expected);
    assert_eq!(hall.sent_to_crowd(), 0);

    hall.settle(&["a", "b", "c", "e", "f"]);
    hall.publish("crowd", &["g"]);
    while hall.shard.turn(Instant::now()) {}
    assert_eq!(told(&mut peer, 1), ["g"]);
    hall.assert_told_all(token, &mut peer);
}

/// What is large, and compressed anew for each, is no more than a turn's work each; many that are small are one turn together.
#[test]
fn a_large_event_that_is_compressed_is_the_work_of_a_turn() {
    const READERS: usize = 8;
    let mut hall = Hall::new();
    let channels: Vec<String> = (0..READERS).map(|number| format!("large/{number}")).collect();
    let deflated = Transport::WebSocket { raw: true, deflated: Some(15) };
    let mut peers: Vec<_> = channels.iter().map(|channel| hall.connect(deflated, channel, None).1).collect();
    for (data, turns) in [("x".repeat(100), 1..=1), ("x".repeat(1 << 20), READERS..=READERS + 1)] {
        channels.iter().for_each(|channel| hall.append(channel, Some(&data)));
        let mut taken = 1;
        while hall.shard.turn(Instant::now()) {
            taken += 1;
        }
        assert!(turns.contains(&taken), "{taken} turns for {READERS} events of {} bytes", data.len());
        assert!(peers.iter_mut().all(|peer| frame(peer).0 == 0xC1));
    }
}

/// It was let in before, and was on its way while all others were told.
#[test]
fn a_reader_that_comes_to_a_shard_that_drains_is_told_so() {
    let mut hall = Hall::new();
    hall.shard.drain();
    let mut peer = BufReader::new(hall.connect(LINES, "late", None).1);
    while hall.shard.turn(Instant::now()) {}
    assert!(line(&mut peer)["$closing"].is_object());
}

/// It asked before the server drained, and its question came behind.
#[test]
fn a_poll_that_comes_to_a_shard_that_drains_is_told_so_and_does_not_wait() {
    let mut hall = Hall::new();
    let opened = hall.open_session();
    hall.shard.drain();
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    let take = Take { id: opened.id, known: None, attempt: None };
    hall.shard.ask(opened.id, Some(opened.key), Ask::Poll { take, waits: Some(1), reply });
    assert!(answer.try_recv().unwrap().is_err_and(|problem| problem.code == Code::Draining));
    assert!(hall.shard.slots.iter().all(|(_, slot)| !matches!(slot, Slot::Polling)));
}

/// A peer that does not take its pongs is not read. It takes them, and before the shard hears of that, an event for it finds
/// room: what it says from then on is heard all the same.
#[test]
fn a_websocket_that_was_not_read_for_its_pongs_is_read_again_though_an_event_came_before() {
    let mut hall = Hall::new();
    let (token, mut peer) = hall.connect(EVENTS, "own", None);
    let held = |hall: &Hall| match &hall.shard.slots[token as usize] {
        Slot::Held(held) => (held.paused, held.sink.control_waiting()),
        _ => panic!("it is held"),
    };
    let mut said = 0;
    while !held(&hall).0 {
        hall.hear(token, Opcode::Ping, &[b'x'; 125]);
        said += 127;
    }
    let waiting = held(&hall).1;
    // What the shard keeps is that, and the rest of a pong at most.
    let (mut taken, mut room) = (0, vec![0; 1 << 16]);
    while taken + waiting + 127 < said {
        taken += peer.read(&mut room).unwrap();
    }
    hall.publish("own", &["a"]);
    while hall.shard.turn(Instant::now()) {}
    assert_eq!(held(&hall), (true, 0), "the event has taken along what waited");
    peer.read_exact(&mut vec![0; said - taken]).unwrap();
    assert_eq!(word(&mut peer)["data"], "a");
    let mut words = Vec::new();
    write_message(Opcode::Ping, b"heard", Some([0; 4]), &mut words);
    peer.write_all(&words).unwrap();
    let mut events = mio::Events::with_capacity(1024);
    let mut heard = false;
    while !heard {
        hall.poll.poll(&mut events, None).unwrap();
        events.iter().for_each(|event| hall.shard.on_event(event));
        heard = events.iter().any(|event| event.token().0 == token as usize && event.is_readable());
    }
    while hall.shard.turn(Instant::now()) {}
    assert_eq!(frame(&mut peer), (0x8A, b"heard".to_vec()));
}

/// The same in the midst of a pass: it goes on where it was, and a session that it has yet to come to is not served twice.
#[test]
fn a_pass_goes_on_where_it_was_after_one_reader_was_served_ahead() {
    let mut hall = Hall::new();
    let (token, mut peer) = hall.session();
    hall.call(token, 1, "subscribe", json!({ "channel": "crowd" }));
    hall.publish("crowd", &["a"]);
    assert!(hall.shard.turn(Instant::now()));
    let served = hall.sent_to_crowd();
    assert!((1..CROWD as u64).contains(&served), "{served}");
    hall.publish("crowd", &["b"]);
    hall.call(token, 2, "subscribe", json!({ "channel": "other" }));
    assert_eq!(hall.sent_to_crowd(), served);
    assert_eq!(told(&mut peer, 4), [json!(1), json!("a"), json!("b"), json!(2)]);
    hall.settle(&["a", "b"]);
    hall.assert_told_all(token, &mut peer);
}

/// More than is delivered ahead: the rest of it is read from the log, before the answer.
#[test]
fn what_is_too_much_to_be_delivered_ahead_comes_before_the_answer_all_the_same() {
    let mut hall = Hall::new();
    let (token, mut peer) = hall.session();
    hall.call(token, 1, "subscribe", json!({ "channel": "crowd" }));
    assert_eq!(told(&mut peer, 1), [1]);
    let texts: Vec<String> = (0..1500).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    hall.publish("crowd", &texts);
    hall.call(token, 2, "subscribe", json!({ "channel": "other" }));
    assert_eq!(hall.sent_to_crowd(), 0);
    while hall.shard.turn(Instant::now()) {}
    assert_eq!(told(&mut peer, 1500), texts);
    assert_eq!(told(&mut peer, 1), [2]);
    hall.assert_told_all(token, &mut peer);
}

/// Its peer has reset its connection, which is seen as it is served ahead.
#[test]
fn a_session_whose_connection_breaks_while_it_calls_leaves_no_reader_behind() {
    let mut hall = Hall::new();
    let (token, peer) = hall.session();
    hall.call(token, 1, "subscribe", json!({ "channel": "crowd" }));
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let is_reset = |event: &mio::event::Event| event.token().0 == token as usize && event.is_error();
    let mut events = mio::Events::with_capacity(1024);
    while !events.iter().any(is_reset) {
        hall.poll.poll(&mut events, None).unwrap();
    }
    hall.publish("crowd", &["a"]);
    let subscribe = json!({ "jsonrpc": "2.0", "method": "subscribe", "params": { "channel": "other" } });
    hall.hear(token, Opcode::Text, subscribe.to_string().as_bytes());
    assert_eq!((hall.shard.readers.len(), hall.shard.len()), (CROWD, CROWD));
    hall.settle(&["a"]);
}

#[test]
fn a_websocket_that_fails_or_closes_is_told_what_it_is_due_and_nobody_else_is_served_for_that() {
    let mut hall = Hall::new();
    let (failing, mut failed) = hall.connect(EVENTS, "crowd", None);
    let (closing, mut closed) = hall.connect(EVENTS, "crowd", None);
    hall.publish("crowd", &["a", "b"]);
    hall.hear(failing, Opcode::Text, b"x");
    hall.publish("crowd", &["c"]);
    hall.hear(closing, Opcode::Close, &1000_u16.to_be_bytes());
    assert_eq!(hall.sent_to_crowd(), 0);
    for (peer, expected) in [(&mut failed, &["a", "b"][..]), (&mut closed, &["a", "b", "c"])] {
        for text in expected {
            assert_eq!(word(peer)["data"], *text);
        }
        assert_eq!(frame(peer).0, 0x88);
    }
    hall.settle(&["a", "b", "c"]);
}

/// What it has just said itself, in raw form.
#[test]
fn a_websocket_in_raw_form_hears_itself_before_it_closes() {
    let mut hall = Hall::new();
    let (token, mut peer) = hall.connect(RAW, "crowd", None);
    hall.hear(token, Opcode::Text, b"mine");
    hall.hear(token, Opcode::Close, b"");
    assert_eq!(frame(&mut peer), (0x81, b"mine".to_vec()));
    assert_eq!(frame(&mut peer).0, 0x88);
    assert_eq!(hall.sent_to_crowd(), 0);
    hall.settle(&["mine"]);
}

/// Its channel ends, and before the shard has come to tell it fails.
#[test]
fn a_websocket_whose_channel_has_ended_is_closed_once() {
    let mut hall = Hall::new();
    let (token, mut peer) = hall.connect(EVENTS, "over", None);
    hall.append("over", Some("last"));
    hall.append("over", None);
    hall.hear(token, Opcode::Text, b"x");
    while hall.shard.turn(Instant::now()) {}
    assert_eq!(word(&mut peer)["data"], "last");
    let mut closes = 0;
    while closes == 0 {
        closes += usize::from(frame(&mut peer).0 == 0x88);
    }
    hall.hear(token, Opcode::Close, b"");
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

/// However much a peer says, the crowd is served in its turns.
#[test]
fn a_flood_of_pings_has_nobody_served_out_of_turn() {
    let mut hall = Hall::new();
    let (token, _peer) = hall.connect(RAW, "crowd", None);
    hall.publish("crowd", &["a"]);
    let mut words = Vec::new();
    for _ in 0..1000 {
        write_message(Opcode::Ping, b"", Some([0; 4]), &mut words);
    }
    hall.shard.hear(token, &mut words);
    assert_eq!(hall.sent_to_crowd(), 0);
    hall.settle(&["a"]);
}

/// One message may ask for many such pages.
#[test]
fn what_history_finds_by_pattern_is_looked_for_in_its_turn() {
    let mut hall = Hall::new();
    let (token, mut peer) = hall.session();
    hall.publish("a/b", &["x"]);
    hall.call(token, 1, "history", json!({ "channel": "a/b" }));
    assert_eq!(told(&mut peer, 1), [1]);
    assert!(hall.shard.errands().is_empty());
    hall.call(token, 2, "history", json!({ "channel": "a/*" }));
    assert_eq!(hall.shard.errands().len(), 1);
}
