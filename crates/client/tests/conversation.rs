//! What a client says and hears, on each transport.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do: by panicking")]

mod support;

use serde_json::{Value, json};
use std::time::Duration;
use support::{ALL, connect, eventually, numbers, run, sessions};
use switchboard_client::{Client, Error, Item, Options, RpcError};
use switchboard_hub::presence::{Track, Tracking};
use switchboard_testkit::{Pattern, Server, free_port};

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

#[test]
fn overlapping_subscriptions_each_hear_everything_once() {
    for transport in ALL {
        let server = Server::new();
        (0..20).for_each(|n| drop(server.publish_json("a/b", &n.to_string())));
        run(async {
            let client = connect(&url(&server), transport).await;
            let mut live = client.channel("a/**").subscribe().await.unwrap();
            let mut from_the_first = client.channel("a/b").subscribe().since("earliest").await.unwrap();
            let mut from_ten = client.channel("a/b").subscribe().since(at(&client, 10).await).await.unwrap();
            (20..30).for_each(|n| drop(server.publish_json("a/b", &n.to_string())));
            assert_eq!(numbers(&mut live, 10).await, (20..30).collect::<Vec<_>>(), "{transport:?}");
            assert_eq!(numbers(&mut from_the_first, 30).await, (0..30).collect::<Vec<_>>(), "{transport:?}");
            assert_eq!(numbers(&mut from_ten, 20).await, (10..30).collect::<Vec<_>>(), "{transport:?}");
            drop(from_ten);
            drop(from_the_first);
            server.publish_json("a/b", "30");
            assert_eq!(numbers(&mut live, 1).await, [30]);
            drop(live);
            let is_idle = || sessions(&server)[0]["channels"].as_array().unwrap().is_empty();
            eventually("nothing is subscribed to", is_idle).await;
        });
    }
}

/// The position before the event of this number.
async fn at(client: &Client, number: u64) -> String {
    client.channel("a/b").history(None, Some(number)).await.unwrap().position
}

#[test]
fn a_slow_listener_reads_on_from_the_log_and_keeps_nobody_waiting() {
    for transport in ALL {
        let server = Server::new();
        run(async {
            let options = Options::new().transports(&[transport]).queue(4);
            let client = Client::connect(&url(&server), options).await.unwrap();
            let mut slow = client.channel("a").subscribe().await.unwrap();
            let mut quick = client.channel("*").subscribe().await.unwrap();
            for n in 0..100 {
                server.publish_json("a", &n.to_string());
                assert_eq!(numbers(&mut quick, 1).await, [n], "{transport:?}");
            }
            let _: Value = client.call("ping", ()).await.unwrap();
            assert_eq!(numbers(&mut slow, 100).await, (0..100).collect::<Vec<_>>(), "{transport:?}");
            server.publish_json("a", "100");
            assert_eq!(numbers(&mut slow, 1).await, [100]);
        });
    }
}

#[test]
fn calls_come_to_their_answers_and_refusals_to_theirs() {
    for transport in ALL {
        let server = Server::new();
        run(async {
            let client = connect(&url(&server), transport).await;
            let refused = |error| match error {
                Error::Refused(error) => error,
                other => panic!("{other:?}"),
            };
            let unknown = refused(client.call::<_, Value>("no/such", ()).await.unwrap_err());
            assert_eq!((unknown.code, unknown.name()), (-32601, Some("method_not_found")));
            let foul = client.channel("a//b").subscribe().await.unwrap_err();
            assert!(matches!(foul, Error::Invalid(_)));
            let reserved = refused(client.channel("$sys").subscribe().await.unwrap_err());
            assert_eq!(reserved.name(), Some("channel_name"));
            // Larger than a message may be: the call fails, and the session goes on.
            let large = client.channel("a").publish("x".repeat(2 << 20)).await;
            assert_eq!(refused(large.unwrap_err()).name(), Some("too_large"), "{transport:?}");
            let published = client.channel("a").publish_bytes(&[0, 1]).event("b").key("k").await.unwrap();
            let page = client.channel("a").history(None, None).await.unwrap();
            let event = &page.events[0];
            assert_eq!((Some(&event.id), event.bytes().as_ref()), (published.id.as_ref(), &[0, 1][..]));
            assert_eq!((page.events.len(), event.event.as_deref()), (1, Some("b")));
        });
    }
}

#[test]
fn the_server_calls_and_notifies_the_client() {
    for transport in ALL {
        let server = Server::new();
        run(async {
            let client = connect(&url(&server), transport).await;
            let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
            client.handle("news", move |n: Value| {
                let heard = heard.clone();
                async move { heard.send(n).map_err(|_| RpcError::new(1, "nobody listens")) }
            });
            client.handle("fail", |(): ()| async { Err::<(), _>(RpcError::new(7, "so it is")) });
            client.handle("panic", |_: Value| async { panic!("a handler's own affair") as Result<(), RpcError> });
            let id = client.session_id();
            let call = |method: &'static str| {
                let (address, path) = (server.address(), format!("/api/sessions/{id}/call"));
                let body = json!({ "method": method, "params": {} }).to_string();
                tokio::task::spawn_blocking(move || {
                    switchboard_testkit::Conn::open(address).post(&path, &[], body).expect(200).json()
                })
            };
            assert_eq!(call("panic").await.unwrap()["error"]["code"], -32603);
            assert_eq!(call("none").await.unwrap()["error"]["code"], -32601);
            assert_eq!(call("fail").await.unwrap()["error"]["code"], -32602, "it takes no params");
            for n in 0..50 {
                let body = json!({ "method": "news", "params": [n] }).to_string();
                server.post(&format!("/api/sessions/{id}/notify"), &[], body).expect(202);
            }
            for n in 0..50 {
                assert_eq!(hears.recv().await.unwrap(), json!([n]), "{transport:?}");
            }
        });
    }
}

#[test]
fn an_end_ends_the_subscription_and_the_next_says_so() {
    for transport in ALL {
        let server = Server::new();
        run(async {
            let client = connect(&url(&server), transport).await;
            let mut a = client.channel("a").subscribe().await.unwrap();
            let mut all = client.channel("*").subscribe().await.unwrap();
            server.publish_json("a", "1");
            server.end("a");
            server.publish_json("b", "2");
            assert_eq!(numbers(&mut a, 1).await, [1]);
            assert!(matches!(a.next().await, Some(Item::End(channel)) if &*channel == "a"));
            assert!(a.next().await.is_none());
            assert_eq!(numbers(&mut all, 1).await, [1]);
            assert!(matches!(all.next().await, Some(Item::End(_))));
            assert_eq!(numbers(&mut all, 1).await, [2], "{transport:?}");
            let mut again = client.channel("a").subscribe().since("earliest").await.unwrap();
            assert_eq!(numbers(&mut again, 1).await, [1]);
            assert!(matches!(again.next().await, Some(Item::End(_))));
        });
    }
}

#[test]
fn who_is_sent_away_is_told_and_where_nothing_listens_one_is_told_at_once() {
    let server = Server::new();
    run(async {
        let client = connect(&url(&server), ALL[0]).await;
        let mut a = client.channel("a").subscribe().await.unwrap();
        let id = client.session_id();
        server.delete(&format!("/api/sessions/{id}")).expect(204);
        assert!(matches!(a.next().await, Some(Item::Refused(_))));
        assert!(a.next().await.is_none());
        assert_eq!(client.call::<_, Value>("ping", ()).await.unwrap_err(), Error::Closed);
        let nobody = format!("http://127.0.0.1:{}", free_port());
        let nobody = Client::connect(&nobody, Options::new()).await.unwrap_err();
        assert!(matches!(nobody, Error::Unreachable(lost) if lost.refused));
        let options = Options::new().call_timeout(Duration::from_millis(1));
        assert!(Client::connect("ftp://x", options).await.is_err());
    });
}

#[test]
fn a_subscription_with_presence_hears_who_comes_and_goes() {
    let mut config = switchboard_testkit::config();
    config.presence.debounce = Duration::from_millis(30);
    let rule = (Pattern::new("room/*").unwrap(), Some(Track::Members));
    config.presence.tracking = Tracking { rules: vec![rule] };
    let server = Server::start(config);
    run(async {
        // Between two polls nothing is held of it.
        for transport in &ALL[..3] {
            let watcher = connect(&url(&server), *transport).await;
            let mut room = watcher.channel("room/1").subscribe().presence().await.unwrap();
            let other = Client::connect(&url(&server), Options::new()).await.unwrap();
            let mut next = async || match room.next().await {
                Some(Item::Presence(presence)) => (presence.event.clone(), presence.member.session.clone()),
                other => panic!("{transport:?}: {other:?}"),
            };
            let (event, itself) = next().await;
            assert_eq!(event, "join", "it hears itself");
            let theirs = other.channel("room/1").subscribe().await.unwrap();
            let (event, who) = next().await;
            assert_eq!((event.as_str(), who != itself), ("join", true), "{transport:?}");
            let present = watcher.channel("room/1").present().await.unwrap();
            let there: Vec<&str> = present.members.iter().map(|member| member.session.as_str()).collect();
            assert!(present.count == 2 && there.contains(&&*who) && there.contains(&&*itself), "{present:?}");
            drop(theirs);
            assert_eq!(next().await, ("leave".to_owned(), who), "{transport:?}");
            watcher.close().await;
            let gone = || server.get("/api/presence/room%2F1").json()["count"] == 0;
            eventually("nobody is there", gone).await;
        }
    });
}
