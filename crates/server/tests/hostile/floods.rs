//! Floods of what is allowed: pings, closes, subscriptions, names, nesting.

use crate::figure;
use serde_json::json;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use switchboard::Config;
use switchboard_testkit::{Message, Server, WebSocket, config, eventually, websocket};

fn one_shard(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = config();
    config.shards = Some(1);
    change(&mut config);
    Server::start(config)
}

/// Says when a session's call of this number is answered.
fn answered_last(mut session: WebSocket, number: usize, done: &Arc<AtomicBool>) -> JoinHandle<()> {
    let done = done.clone();
    std::thread::spawn(move || {
        while session.json()["id"] != number {}
        done.store(true, Ordering::Relaxed);
    })
}

#[test]
fn a_flood_of_pings_is_answered_one_by_one_and_in_order() {
    const PINGS: usize = 20_000;
    let server = one_shard(|_| ());
    let mut socket = server.websocket("/channels/a?form=event");
    socket.notice("$open");
    let mut flood = Vec::new();
    (0..PINGS).for_each(|i| flood.extend(websocket::frame(true, 9, i.to_string().as_bytes())));
    let sender = socket.conn.socket().try_clone().unwrap();
    let writer = std::thread::spawn(move || (&sender).write_all(&flood).unwrap());
    for i in 0..PINGS {
        let pong = loop {
            let frame = socket.next_frame().unwrap();
            if frame.opcode == 10 {
                break frame;
            }
        };
        assert_eq!(pong.payload, i.to_string().as_bytes());
    }
    writer.join().unwrap();
    server.publish("a", "still there");
    assert_eq!(socket.event()["data"], "still there");
}

#[test]
fn a_peer_that_pings_and_does_not_read_is_not_read() {
    let server = one_shard(|config| config.heartbeat = Duration::from_secs(60));
    let socket = server.websocket("/channels/a");
    let mut peer = socket.conn.socket();
    peer.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let flood = websocket::frame(true, 9, &[b'p'; 125]).repeat(1000);
    let (mut sent, mut is_full) = (0, false);
    // A server that gets no turn takes nothing for a while, and then goes on.
    while !is_full || figure(&server, "paused_total") == 0 {
        match peer.write(&flood[sent % flood.len()..]) {
            Ok(written) => (sent, is_full) = (sent + written, false),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                is_full = true;
            }
        }
        assert!(sent < 1 << 30, "it takes them for ever");
    }
    assert_eq!(figure(&server, "paused_total"), 1);
    server.is_alive();
}

#[test]
fn what_follows_a_close_costs_nothing_and_the_connection_goes_in_time() {
    let server = one_shard(|config| config.timeouts.close = Duration::from_millis(300));
    let mut socket = server.websocket("/channels/a");
    socket.send_close(1000);
    for _ in 0..1000 {
        // The server may have closed meanwhile.
        let _ = socket.conn.try_send(websocket::frame(true, 8, &1000_u16.to_be_bytes()));
    }
    eventually("it is gone", || figure(&server, "readers_websocket") == 0);
    eventually("and so is its socket", || figure(&server, "connections") == 1);
    server.is_alive();
}

#[test]
fn a_flood_of_subscriptions_in_a_session_is_answered_refused_or_ends_it() {
    let server = one_shard(|_| ());
    let protocol = ("Sec-WebSocket-Protocol", "switchboard.v1");
    let mut socket = server.handshake("/session", &[protocol]).unwrap();
    let sender = socket.conn.socket().try_clone().unwrap();
    const CALLS: usize = 20_000;
    let writer = std::thread::spawn(move || {
        for i in 0..CALLS / 2 {
            for (n, method) in [(2 * i, "subscribe"), (2 * i + 1, "unsubscribe")] {
                let params = json!({"channel": format!("c/{}", i % 200)});
                let call = json!({"jsonrpc": "2.0", "id": n, "method": method, "params": params}).to_string();
                if (&sender).write_all(&websocket::frame(true, 1, call.as_bytes())).is_err() {
                    return;
                }
            }
        }
    });
    let mut answered = 0;
    while answered < CALLS {
        match socket.next() {
            Message::Text(text) => {
                let said: serde_json::Value = serde_json::from_str(&text).unwrap();
                answered += usize::from(said.get("id").is_some() && said.get("method").is_none());
            }
            Message::Close(4410, _) => break,
            other => panic!("{other:?}"),
        }
    }
    writer.join().unwrap();
    assert!(figure(&server, "channels") <= 1, "who listens makes no channel");
    server.is_alive();
}

#[test]
fn changes_of_what_a_session_reads_are_refused_beyond_a_thousand_that_it_has_not_acknowledged() {
    const CHANGES: usize = 1_024;
    let server = one_shard(|config| {
        config.session.memory = 64 << 20;
        // A pong acknowledges.
        config.heartbeat = Duration::from_secs(600);
    });
    let mut socket = server.handshake("/session", &[("Sec-WebSocket-Protocol", "switchboard.v1")]).unwrap();
    let mut answer_to = |id: usize| {
        let method = if id.is_multiple_of(2) { "subscribe" } else { "unsubscribe" };
        let call = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"channel": "a"}}).to_string();
        socket.conn.send(websocket::frame(true, 1, call.as_bytes()));
        loop {
            let Message::Text(text) = socket.next() else { panic!("an answer") };
            let said: serde_json::Value = serde_json::from_str(&text).unwrap();
            if said["id"] == id {
                return said;
            }
        }
    };
    for id in 0..CHANGES {
        let answer = answer_to(id);
        assert!(answer.get("result").is_some(), "{id}: {answer}");
    }
    let refused = answer_to(CHANGES);
    assert_eq!(refused["error"]["code"], 50_300, "{refused}");
    server.is_alive();
}

/// A hundred bytes inflate to a hundred thousand, or to a batch of more than a hundred calls, and each may publish, so that there
/// is news for the shard at once. However many of them a read brings, others have their turn between two of them.
#[test]
fn messages_that_inflate_to_much_hold_up_nobody() {
    const MESSAGES: usize = 400;
    let call = r#"{"jsonrpc":"2.0","method":"ping"}"#;
    let long = format!("{}{call}", " ".repeat(100_000));
    let batch = format!("[{}]", [call; 128].join(","));
    let publish = r#"{"jsonrpc":"2.0","method":"publish","params":{"channel":"a","data":1}}"#;
    for message in [long, batch, format!("{}{publish}", " ".repeat(100_000))] {
        let server = one_shard(|_| ());
        let mut reader = server.lines("/channels/calm");
        reader.notice("$open");
        let fields = [("Sec-WebSocket-Protocol", "switchboard.v1"), ("Sec-WebSocket-Extensions", "permessage-deflate")];
        let socket = server.handshake("/session", &fields).unwrap();
        let frame = websocket::frame_with(0xc1, &websocket::deflate(message.as_bytes()));
        let mut flood = Vec::new();
        for n in 1..=MESSAGES {
            flood.extend_from_slice(&frame);
            if n.is_multiple_of(MESSAGES / 8) {
                let asked = format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"ping"}}"#);
                flood.extend(websocket::frame(true, 1, asked.as_bytes()));
            }
        }
        let sender = socket.conn.socket().try_clone().unwrap();
        let writer = std::thread::spawn(move || (&sender).write_all(&flood).unwrap());
        let done = Arc::new(AtomicBool::new(false));
        let last = answered_last(socket, MESSAGES, &done);
        let mut heard = 0;
        while !done.load(Ordering::Relaxed) {
            server.publish("calm", heard.to_string());
            assert_eq!(reader.event()["data"], heard.to_string());
            heard += 1;
        }
        writer.join().unwrap();
        last.join().unwrap();
        // All in one turn it would be one, or two.
        assert!(heard >= 8, "{heard} events while {MESSAGES} messages were taken in");
    }
}

/// All that they say lies there before anybody else says anything.
#[test]
fn whoever_calls_for_much_is_heard_behind_those_who_do_not() {
    const PEERS: usize = 20;
    const MESSAGES: usize = 40;
    let server = one_shard(|_| ());
    let fields = [("Sec-WebSocket-Protocol", "switchboard.v1"), ("Sec-WebSocket-Extensions", "permessage-deflate")];
    let mut calm = server.handshake("/session", &fields).unwrap();
    let mut ask = |id: usize| {
        let ping = json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }).to_string();
        calm.conn.send(websocket::frame(true, 1, ping.as_bytes()));
        while calm.json()["id"] != id {}
    };
    ask(0);
    let peers: Vec<_> = (0..PEERS).map(|_| server.handshake("/session", &fields).unwrap()).collect();
    let publish = r#"{"jsonrpc":"2.0","method":"publish","params":{"channel":"taken","data":"in"}}"#;
    let long = format!("{}{publish}", " ".repeat(300_000));
    let flood = websocket::frame_with(0xc1, &websocket::deflate(long.as_bytes())).repeat(MESSAGES);
    for peer in &peers {
        let mut socket = peer.conn.socket();
        socket.write_all(&flood).unwrap();
    }
    let taken_in = || figure(&server, "appended_total");
    eventually("the first are taken in", || taken_in() > 0);
    (1..=3).for_each(&mut ask);
    let before = taken_in();
    assert!(before < PEERS * MESSAGES / 2, "{before} of theirs were taken in before three of another's");
}

/// Sockets that have news in every round, and one that has the shard go round without a rest.
#[test]
fn sockets_that_always_have_news_do_not_keep_newcomers_waiting() {
    const MESSAGES: usize = 100;
    const TALKING: usize = 16;
    let server = one_shard(|_| ());
    let fields = [("Sec-WebSocket-Protocol", "switchboard.v1"), ("Sec-WebSocket-Extensions", "permessage-deflate")];
    let heavy = server.handshake("/session", &fields).unwrap();
    let talking: Vec<_> = (0..TALKING).map(|_| server.websocket("/channels/calm")).collect();
    let call = |id: usize| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }).to_string();
    let long = format!("{}{}", " ".repeat(500_000), call(0));
    let mut flood = websocket::frame_with(0xc1, &websocket::deflate(long.as_bytes())).repeat(MESSAGES);
    flood.extend(websocket::frame(true, 1, call(MESSAGES).as_bytes()));
    let sender = heavy.conn.socket().try_clone().unwrap();
    let writer = std::thread::spawn(move || (&sender).write_all(&flood).unwrap());
    let done = Arc::new(AtomicBool::new(false));
    // Each says a little as soon as it was answered.
    let talk = |mut socket: WebSocket| {
        let done = done.clone();
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                socket.conn.send(websocket::frame(true, 9, b""));
                assert_eq!(socket.next_frame().unwrap().opcode, 10);
            }
        })
    };
    let talkers: Vec<_> = talking.into_iter().map(talk).collect();
    let last = answered_last(heavy, MESSAGES, &done);
    let mut answered = 0;
    while !done.load(Ordering::Relaxed) {
        server.get("/readyz").expect(200);
        answered += 1;
    }
    [writer, last].into_iter().chain(talkers).for_each(|thread| thread.join().unwrap());
    assert!(answered > 0, "no newcomer was answered while {MESSAGES} messages were taken in");
}

#[test]
fn names_that_are_only_read_leave_nothing_behind() {
    let server = one_shard(|_| ());
    for i in 0..50 {
        let names: Vec<String> = (0..100).map(|n| format!("channel=flood/{i}/{n}")).collect();
        let mut lines = server.lines(&format!("/channels?{}", names.join("&")));
        lines.notice("$open");
    }
    eventually("they are gone", || figure(&server, "readers_stream") == 0);
    assert_eq!(
        (figure(&server, "channels"), server.page("/api/channels")["channels"].as_array().unwrap().len()),
        (0, 0)
    );
}

#[test]
fn json_of_any_depth_is_refused_or_taken_and_harms_nobody() {
    let server = one_shard(|_| ());
    for open in ["[", "{\"a\":"] {
        let deep = open.repeat((1 << 20) / open.len());
        server.post("/channels/a", &[("Content-Type", "application/json")], &deep).expect_problem(400, "invalid_json");
        let line = format!("{{\"data\":{}", &deep[..1 << 19]);
        server.post("/channels/a", &[("Content-Type", "application/x-ndjson")], line).expect_refusal(400);
        server.post("/api/publish", &[], &deep).expect_refusal(400);
    }
    let mut socket = server.handshake("/session", &[("Sec-WebSocket-Protocol", "switchboard.v1")]).unwrap();
    socket.send_text(&"[".repeat(1 << 19));
    let told = loop {
        let said = socket.json();
        if said.get("error").is_some() {
            break said;
        }
    };
    assert_eq!(told["error"]["code"], -32700);
    server.is_alive();
}
