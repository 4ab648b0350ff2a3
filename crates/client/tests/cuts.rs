//! Connections are cut in the middle of everything, on each transport.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do: by panicking")]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{ALL, Relay, connect, eventually, numbers, run, sessions};
use switchboard_client::{Client, Options, RpcError, Transport};
use switchboard_testkit::Server;

const EVENTS: u64 = 200;
const CALLS: u64 = 60;
const BACK: u64 = 15;

/// Events, calls and calls by the server under cuts: nothing is lost, nothing comes twice, calls are answered once.
fn survive(transport: Transport) {
    let server = Arc::new(Server::new());
    let relay = Relay::new(&server, 6_000, false);
    run(async {
        let client = connect(&relay.url, transport).await;
        let worked = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&worked);
        client.handle("double", move |(n,): (u64,)| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move { Ok::<_, RpcError>(2 * n) }
        });
        let mut news = client.channel("news/*").subscribe().since("earliest").await.unwrap();
        let publisher = Arc::clone(&server);
        // A few are on their way at a time: a page of a poll has to get through whole.
        let (heard, is_heard) = std::sync::mpsc::channel();
        let publishes = std::thread::spawn(move || {
            for n in 0..EVENTS {
                publisher.publish_json(&format!("news/{}", n % 3), &n.to_string());
                if n >= 8 {
                    is_heard.recv().unwrap();
                }
            }
        });
        let (caller, id) = (Arc::clone(&server), client.session_id());
        // There may be another session, whose opening was cut.
        let own = id.clone();
        let calls_back = std::thread::spawn(move || {
            for n in 0..BACK {
                let body = json!({ "method": "double", "params": [n], "timeout": 60_000 }).to_string();
                // It is answered once the client is back, which waits longer after each cut.
                let mut conn = caller.connect();
                conn.set_patience(Duration::from_secs(60));
                let answer = conn.post(&format!("/api/sessions/{id}/call"), &[], body).expect(200).json();
                assert_eq!(answer["result"], 2 * n);
            }
        });
        let calling = client.clone();
        let calls = tokio::spawn(async move {
            for n in 0..CALLS {
                let published = calling.channel("log").publish(n).await.unwrap();
                assert_eq!(published.channel, "log");
            }
        });
        for n in 0..EVENTS {
            assert_eq!(numbers(&mut news, 1).await, [n]);
            // Nobody waits for the last few.
            let _ = heard.send(());
        }
        calls.await.unwrap();
        tokio::task::spawn_blocking(move || (publishes.join().unwrap(), calls_back.join().unwrap())).await.unwrap();
        assert!(relay.cuts() > 5, "only {} cuts", relay.cuts());
        relay.calm();
        let mut log = client.channel("log").subscribe().since("earliest").await.unwrap();
        assert_eq!(numbers(&mut log, CALLS as usize).await, (0..CALLS).collect::<Vec<_>>());
        assert_eq!(worked.load(Ordering::Relaxed), BACK, "each call of the server's is worked on once");
        client.close().await;
        let is_ended = || sessions(&server).iter().all(|session| session["id"] != *own);
        eventually("the session is ended", is_ended).await;
    });
}

#[test]
fn a_websocket_survives_cuts() {
    survive(Transport::WebSocket);
}

#[test]
fn server_sent_events_survive_cuts() {
    survive(Transport::Sse);
}

#[test]
fn an_http_stream_survives_cuts() {
    survive(Transport::Stream);
}

#[test]
fn long_polls_survive_cuts() {
    survive(Transport::Poll);
}

#[test]
fn another_server_is_told_by_a_gap_and_read_on_from() {
    for transport in ALL {
        let (first, second) = (Server::new(), Server::new());
        let relay = Relay::new(&first, 0, false);
        run(async {
            let client = connect(&relay.url, transport).await;
            let mut a = client.channel("a").subscribe().await.unwrap();
            first.publish_json("a", "1");
            assert_eq!(numbers(&mut a, 1).await, [1]);
            second.publish_json("a", "7");
            relay.lead_to(&second);
            match a.next().await {
                Some(switchboard_client::Item::Gap(gap)) => assert_eq!(gap.reason, "epoch", "{transport:?}"),
                other => panic!("{transport:?}: {other:?}"),
            }
            assert_eq!(numbers(&mut a, 1).await, [7], "what the other holds");
            second.publish_json("a", "8");
            assert_eq!(numbers(&mut a, 1).await, [8]);
            let _: Value = client.call("ping", ()).await.unwrap();
        });
    }
}

#[test]
fn where_no_websocket_gets_through_another_transport_does() {
    let server = Server::new();
    let relay = Relay::new(&server, 0, true);
    run(async {
        let client = Client::connect(&relay.url, Options::new()).await.unwrap();
        assert_eq!(sessions(&server)[0]["transport"], "sse");
        let mut a = client.channel("a").subscribe().await.unwrap();
        client.channel("a").publish(1).await.unwrap();
        assert_eq!(numbers(&mut a, 1).await, [1]);
        relay.cut();
        client.channel("a").publish(2).await.unwrap();
        assert_eq!(numbers(&mut a, 1).await, [2]);
    });
}
