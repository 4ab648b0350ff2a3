//! Sessions that subscribe, publish, call and are called, over connections that are cut.

use crate::{Soak, count, work};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use switchboard_client::{Client, Item, Options, RpcError, Transport};

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
        let most = Duration::from_secs(60);
        let talk = converse(soak, who, round, lasts, transport);
        runtime.block_on(async { tokio::time::timeout(most, talk).await.expect("a session comes to its end") });
    }
}

/// Publishes to a room of its own and hears it all, once and in order; others come and go in a room that all share.
async fn converse(soak: &Soak, who: u64, round: u64, lasts: u64, transport: Transport) {
    let url = format!("http://{}", soak.server.address());
    let options = Options::new().transports(&[transport]).call_timeout(Duration::from_secs(30));
    let client = Client::connect(&url, options).await.unwrap();
    client.handle("double", |(n,): (u64,)| async move { Ok::<_, RpcError>(2 * n) });
    let own = format!("room/{who}-{round}");
    let mut heard = client.channel(&*own).subscribe().since("earliest").await.unwrap();
    let _all = client.channel("room/all").subscribe().presence().await.unwrap();
    for n in 0..lasts {
        client.channel(&*own).publish(n).await.unwrap();
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
    match lasts % 2 {
        0 => client.close().await,
        // It is gone without a word, and lingers.
        _ => drop(client),
    }
}
