//! Every transport, in both versions of TLS.

use crate::Both;
use std::sync::Arc;
use std::time::Duration;
use switchboard_testkit::bridge::to_http2;
use switchboard_testkit::tls::{Bridge, VERSIONS, connect};
use switchboard_testkit::{Conn, Follower, Message, Piece, Server, Transport, config, json};

/// A server for each version.
fn servers() -> [Server; 2] {
    VERSIONS.map(|version| Server::secure(config(), &[version]))
}

#[test]
fn every_transport_gives_history_and_what_is_live() {
    for server in servers() {
        server.publish("a", "one");
        for transport in Transport::ALL {
            let mut follower = Follower::open(&server, &["a"], Some("earliest"), transport);
            assert_eq!(follower.event().json["data"], "one", "{transport:?}");
        }
        let mut followers: Vec<Follower> =
            Transport::ALL.iter().map(|transport| Follower::open(&server, &["b"], None, *transport)).collect();
        server.await_readers("b", 3);
        for i in 0..100 {
            server.publish_json("b", &i.to_string());
        }
        for follower in &mut followers {
            for i in 0..100 {
                assert_eq!(follower.event().json["data"], i);
            }
        }
    }
}

#[test]
fn where_http2_is_agreed_on_it_is_spoken() {
    let both = Both::start();
    let mut config = (*both.client()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    assert_eq!(connect(both.secure(), &Arc::new(config.clone())).conn.alpn_protocol(), Some(&b"h2"[..]));
    let address = to_http2(Bridge::to(both.secure(), config).address());
    let mut sse = Conn::open(address).sse("/channels/two", &[]);
    let mut socket = Conn::open(address).websocket("/channels/two", &[]);
    sse.notice("$open");
    both.server.await_readers("two", 2);
    Conn::open(address).publish("two", "hello");
    assert_eq!((sse.event().data, socket.text()), ("hello".to_owned(), "hello".to_owned()));
    let metrics = String::from_utf8(both.server.get("/metrics").body).unwrap();
    assert!(metrics.contains("\nswitchboard_http2_total 3\n"), "{metrics}");
}

#[test]
fn a_large_event_arrives_whole_on_every_transport_and_through_a_socket_both_ways() {
    for server in servers() {
        let data = "0123456789abcdef".repeat((1 << 20) / 16);
        let mut followers: Vec<Follower> =
            Transport::ALL.iter().map(|transport| Follower::open(&server, &["big"], None, *transport)).collect();
        let mut socket = server.websocket("/channels/big");
        server.await_readers("big", 4);
        server.publish("big", &data);
        for follower in &mut followers {
            assert!(follower.event().json["data"] == *data);
        }
        assert!(socket.text() == data);
        let mine = data.replace('0', "z");
        socket.send_text(&mine);
        assert!(socket.text() == mine);
        for follower in &mut followers {
            assert!(follower.event().json["data"] == *mine);
        }
        socket.send_close(1000);
        assert!(matches!(socket.next(), Message::Close(1000, _)));
        socket.conn.expect_close();
    }
}

#[test]
fn a_stream_of_events_is_published_and_ends_cleanly() {
    for server in servers() {
        let mut sse = server.sse("/channels/words");
        sse.notice("$open");
        let mut conn = server.connect();
        conn.send(
            "POST /channels/words?end=true HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
        );
        for word in ["one", "two", "three"] {
            let line = format!("{{\"data\":\"{word}\"}}\n");
            conn.send(format!("{:x}\r\n{line}\r\n", line.len()));
            assert_eq!(sse.event().data, word);
        }
        conn.send("0\r\n\r\n");
        assert_eq!(conn.response_to("POST").status(), 201);
        let (blocks, complete) = sse.rest();
        assert!(complete && blocks.iter().any(|block| block.event == "$end"), "{blocks:?}");
    }
}

#[test]
fn a_session_calls_and_hears_over_a_socket_and_over_a_stream_with_posts() {
    for server in servers() {
        let mut socket = server.connect().websocket("/session", &[("Sec-WebSocket-Protocol", "switchboard.v1")]);
        let mut call = |id: u32, method: &str, params: switchboard_testkit::Value| {
            socket.send_text(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
            loop {
                let heard = socket.json();
                if heard["id"] == id {
                    return heard["result"].clone();
                }
            }
        };
        assert!(call(1, "subscribe", json!({"channel": "talk"})).is_object());
        assert!(call(2, "publish", json!({"channel": "talk", "data": "hello"})).is_object());
        let opened = server.post("/session", &[], "").expect(201);
        let place = opened.field("location").unwrap().to_owned();
        let say = json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"channel": "talk", "since": "earliest"}});
        assert!((200..300).contains(&server.post(&place, &[], say.to_string()).status()));
        let mut stream = server.stream(&place, &[("Accept", "text/event-stream")]);
        let mut heard = String::new();
        while !heard.contains("hello") {
            let Piece::Data(data) = stream.next() else { panic!("the stream ended: {heard}") };
            heard.push_str(&String::from_utf8(data).unwrap());
        }
    }
}

#[test]
fn a_reader_that_does_not_read_falls_behind_and_catches_up_with_all() {
    for server in servers() {
        for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket] {
            let channel = format!("slow/{transport:?}");
            let mut slow = Follower::open(&server, &[&channel], None, transport);
            server.await_readers(&channel, 1);
            let filler = "x".repeat(50_000);
            let before = behind(&server);
            // More than the bridge and the sockets between have room for.
            let mut sent = 0;
            while behind(&server) == before || sent % 50 != 0 {
                server.publish_json(&channel, &json!({"n": sent, "filler": filler}).to_string());
                sent += 1;
                assert!(sent < 5_000, "nobody falls behind");
            }
            let mut told = 0;
            for n in 0..sent {
                let event = slow.event();
                assert_eq!(event.json["data"]["n"], n, "{transport:?}");
                told += 1;
            }
            assert_eq!(told, sent);
        }
    }
}

fn behind(server: &Server) -> u64 {
    let metrics = String::from_utf8(server.get("/metrics").body).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("switchboard_fell_behind_total "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_drain_tells_every_stream_and_ends_it_cleanly() {
    for version in VERSIONS {
        let mut config = config();
        config.drain = Duration::from_secs(5);
        let server = Server::secure(config, &[version]);
        let mut sse = server.sse("/channels/a");
        let mut socket = server.websocket("/channels/a");
        server.await_readers("a", 2);
        let draining = std::thread::spawn(move || server.drain());
        let (blocks, complete) = sse.rest();
        assert!(complete && blocks.iter().any(|block| block.event == "$closing"), "{blocks:?}");
        socket.expect_close(1012);
        draining.join().unwrap();
    }
}
