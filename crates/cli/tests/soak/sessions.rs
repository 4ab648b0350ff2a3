//! Sessions that subscribe, publish, call and are called, over connections that are cut.

use crate::{Soak, count, work};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use switchboard_client::{Client, Error, Item, Options, RpcError, Transport};

const SESSIONS: u64 = 8;
const TRANSPORTS: [Transport; 4] = [Transport::WebSocket, Transport::Sse, Transport::Stream, Transport::Poll];

pub(crate) fn start(soak: &Arc<Soak>) -> Vec<JoinHandle<()>> {
    (0..SESSIONS).map(|i| work(soak, "session", move |soak| converse_for_ever(soak, i))).collect()
}

fn converse_for_ever(soak: &Soak, who: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut chance = soak.chance(3000 + who);
    let mut round = 0;
    while !soak.is_over() {
        round += 1;
        let lasts = chance.u64(20..200);
        let transport = TRANSPORTS[chance.usize(..TRANSPORTS.len())];
        let most = Duration::from_secs(300);
        let url = soak.ways.url(&mut chance).to_owned();
        let talk = converse(soak, who, round, lasts, url, transport);
        runtime.block_on(async { tokio::time::timeout(most, talk).await.expect("a session comes to its end") });
    }
}

/// Publishes to a room of its own and hears it all, once and in order; others come and go in a room that all share.
async fn converse(soak: &Soak, who: u64, round: u64, lasts: u64, url: String, transport: Transport) {
    let options = Options::new().transports(&[transport]).call_timeout(Duration::from_secs(30)).ca(soak.ways.root());
    let client = loop {
        match Client::connect(&url, options.clone()).await {
            Ok(client) => break client,
            // Cut as it opened: there is nothing yet to go on with.
            Err(Error::Unreachable(_)) => count(&soak.counts.unopened),
            Err(other) => panic!("session {who}: {other:?}"),
        }
    };
    client.handle("double", |(n,): (u64,)| async move { Ok::<_, RpcError>(2 * n) });
    let own = format!("room/{who}-{round}");
    let mut heard = client.channel(&*own).subscribe().since("earliest").await.unwrap();
    let _all = client.channel("room/all").subscribe().presence().await.unwrap();
    for n in 0..lasts {
        client.channel(&*own).publish(n).await.unwrap();
        count(&soak.counts.others);
        match heard.next().await {
            Some(Item::Event(event)) => assert_eq!(event.json::<u64>().unwrap(), n, "session {who}: once and in order"),
            other => panic!("session {who}: {other:?}"),
        }
        if n % 10 == 0 {
            let _: serde_json::Value = client.call("ping", ()).await.unwrap();
            count(&soak.counts.calls);
        }
        if soak.is_over() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Who was cut, and came back, is there, and is there once.
    let there = soak.server.page(&format!("/api/presence/{own}"));
    assert_eq!(there["count"], 1, "session {who}: {there}");
    match lasts % 2 {
        0 => client.close().await,
        // It is gone without a word, and lingers.
        _ => drop(client),
    }
}
