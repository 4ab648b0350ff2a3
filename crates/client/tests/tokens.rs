//! Who the client is, for longer than one token lasts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do: by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{ALL, eventually, numbers, run};
use switchboard_client::{Client, Error, Options};
use switchboard_testkit::identity::{API_KEY, MASTER_KEY, bearer, settings, token, token_for};
use switchboard_testkit::{Server, Value, config};

/// How long a short token lasts: renewed at the half of it, on a machine that does much else.
const LIFE: Duration = Duration::from_secs(5);

fn server() -> Server {
    let mut config = config();
    config.auth = settings();
    Server::start(config)
}

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

fn sessions(server: &Server) -> Vec<Value> {
    let listed = server.get_with("/api/sessions", &[("Authorization", &bearer(MASTER_KEY))]).expect(200).json();
    listed["sessions"].as_array().unwrap().clone()
}

fn publish(server: &Server, data: &str) {
    let fields = [("Authorization", &*bearer(API_KEY)), ("Content-Type", "application/json")];
    server.post("/channels/a/x", &fields, data).expect(201);
}

#[test]
fn a_token_is_renewed_before_it_ends_without_a_new_session() {
    let server = server();
    run(async {
        let mut clients = Vec::new();
        for transport in ALL {
            let asked = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&asked);
            let options = Options::new().transports(&[transport]).token_from(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                async { Ok(token_for(LIFE, "ann", &["a/**"])) }
            });
            let client = Client::connect(&url(&server), options).await.unwrap();
            let subscription = client.channel("a/x").subscribe().await.unwrap();
            clients.push((client, subscription, asked));
        }
        let before: Vec<Value> = sessions(&server).iter().map(|session| session["id"].clone()).collect();
        for (_, _, asked) in &clients {
            eventually("the token was renewed some times", || asked.load(Ordering::Relaxed) >= 5).await;
        }
        publish(&server, "1");
        for (client, subscription, _) in &mut clients {
            assert_eq!(numbers(subscription, 1).await, [1]);
            let _: Value = client.call("ping", ()).await.unwrap();
        }
        let mut after: Vec<Value> = sessions(&server).iter().map(|session| session["id"].clone()).collect();
        after.retain(|id| before.contains(id));
        assert_eq!(after.len(), ALL.len(), "the sessions are those of the beginning");
    });
}

#[test]
fn a_session_that_ends_with_its_token_is_followed_by_another_that_reads_on() {
    let server = server();
    run(async {
        let mut clients = Vec::new();
        for transport in ALL {
            let asked = AtomicU64::new(0);
            let options = Options::new().transports(&[transport]).token_from(move || {
                // The second time, when the token is to be renewed, there is none to be had.
                let token = match asked.fetch_add(1, Ordering::Relaxed) {
                    0 => Ok(token_for(LIFE, "ann", &["a/**"])),
                    1 => Err("try again later".to_owned()),
                    _ => Ok(token("ann", &["a/**"])),
                };
                async { token }
            });
            let client = Client::connect(&url(&server), options).await.unwrap();
            let subscription = client.channel("a/x").subscribe().await.unwrap();
            clients.push((transport, client.session_id(), client, subscription));
        }
        for (_, first, ..) in &clients {
            let is_over = || sessions(&server).iter().all(|one| one["id"] != first.as_str());
            eventually("its session has ended", is_over).await;
        }
        publish(&server, "1");
        publish(&server, "2");
        for (transport, _, client, mut subscription) in clients {
            assert_eq!(numbers(&mut subscription, 2).await, [1, 2], "{transport:?}");
            client.close().await;
        }
    });
}

#[test]
fn who_may_not_is_told() {
    let server = server();
    run(async {
        for transport in ALL {
            let options = Options::new().transports(&[transport]);
            let foul = Client::connect(&url(&server), options.clone().token("a.b.c")).await.unwrap_err();
            assert!(
                matches!(&foul, Error::Turned(problem) if problem.code == "unauthorized"),
                "{transport:?}: {foul:?}"
            );
            let client = Client::connect(&url(&server), options.token(token("ann", &["b"]))).await.unwrap();
            match client.channel("a/x").subscribe().await {
                Err(Error::Refused(error)) => assert_eq!(error.name(), Some("forbidden")),
                other => panic!("{transport:?}: {other:?}"),
            }
        }
    });
}
