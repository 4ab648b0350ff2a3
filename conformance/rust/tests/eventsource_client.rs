//! `eventsource-client`: reconnects by itself with `Last-Event-ID`. It does not stop at 204, so who uses it stops at
//! `$end`.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use eventsource_client::{BoxStream, Client as _, ClientBuilder, Event, ReconnectOptions, Result, SSE};
use futures::StreamExt as _;
use launchdarkly_sdk_transport::HyperTransport;
use serde_json::Value;
use std::time::Duration;
use switchboard_conformance::{LINES, Server, Way, bytes, within};

type Events = BoxStream<Result<SSE>>;

async fn listen(url: &str) -> Events {
    // Its own back-off doubles with every loss of the test's: the server's `retry:` sets it at each opening.
    let reconnect = ReconnectOptions::reconnect(true).delay(Duration::from_millis(100)).backoff_factor(1).build();
    let transport = HyperTransport::builder().build_http().unwrap();
    let client = ClientBuilder::for_url(url).unwrap().reconnect(reconnect).build_with_transport(transport);
    let mut events = client.stream();
    assert_eq!(status(&mut events).await, 200);
    assert_eq!(heard(&mut events).await.event_type, "$open");
    events
}

/// What comes next and is no comment: heartbeats are.
async fn next(events: &mut Events) -> Result<SSE> {
    loop {
        match within("an event", events.next()).await.expect("it reconnects for ever") {
            Ok(SSE::Comment(_)) => {}
            other => return other,
        }
    }
}

async fn heard(events: &mut Events) -> Event {
    match next(events).await.unwrap() {
        SSE::Event(event) => event,
        other => panic!("not an event: {other:?}"),
    }
}

/// Passes over the errors that tell of a lost connection; the status with which the next is answered.
async fn status(events: &mut Events) -> u16 {
    loop {
        match next(events).await {
            Ok(SSE::Connected(details)) => return details.response().status(),
            Ok(other) => panic!("not a connection: {other:?}"),
            Err(_) => {}
        }
    }
}

async fn reopened(events: &mut Events) -> Value {
    assert_eq!(status(events).await, 200);
    let opened = heard(events).await;
    assert_eq!(opened.event_type, "$open");
    serde_json::from_str(&opened.data).unwrap()
}

#[tokio::test]
async fn it_hears_text_of_many_lines_and_bytes_as_base64() {
    let server = Server::start().await;
    let mut events = listen(&format!("{}/channels/a", server.url())).await;
    let id = server.publish("a", LINES).await;
    server.publish_bytes("a", &bytes()).await;
    let event = heard(&mut events).await;
    assert_eq!((event.event_type.as_str(), event.data.as_str(), event.id), ("message", LINES, Some(id)));
    assert_eq!(BASE64_STANDARD.decode(heard(&mut events).await.data).unwrap(), bytes());
}

#[tokio::test]
async fn it_hears_events_of_several_channels_with_their_names() {
    let server = Server::start().await;
    let mut events = listen(&format!("{}/channels?channel=a&channel=b/**", server.url())).await;
    server.publish("a", LINES).await;
    server.publish_bytes("b/c", &bytes()).await;
    let text: Value = serde_json::from_str(&heard(&mut events).await.data).unwrap();
    let binary: Value = serde_json::from_str(&heard(&mut events).await.data).unwrap();
    assert_eq!((&text["channel"], &text["data"]), (&"a".into(), &LINES.into()));
    assert_eq!(BASE64_STANDARD.decode(binary["base64"].as_str().unwrap()).unwrap(), bytes());
}

#[tokio::test]
async fn cut_in_the_midst_of_an_event_it_comes_back_with_last_event_id_and_misses_nothing() {
    let server = Server::start().await;
    let way = Way::to(&server).await;
    let mut events = listen(&format!("{}/channels/a", way.url())).await;
    let first = server.publish("a", "first").await;
    assert_eq!(heard(&mut events).await.data, "first");
    way.cut_after(30);
    server.publish("a", LINES).await;
    way.is_cut().await;
    server.publish("a", "while away").await;
    way.open();
    assert_eq!(reopened(&mut events).await["recovered"], true);
    assert_eq!(heard(&mut events).await.data, LINES);
    assert_eq!(heard(&mut events).await.data, "while away");
    server.publish("a", "live again").await;
    assert_eq!(heard(&mut events).await.data, "live again");
    assert_eq!(way.last_event_ids(), [None, Some(first)]);
}

#[tokio::test]
async fn it_survives_a_drain_and_is_told_that_the_log_is_another() {
    let mut server = Server::start().await;
    let mut events = listen(&format!("{}/channels/a", server.url())).await;
    let before = server.publish("a", "before").await;
    assert_eq!(heard(&mut events).await.id, Some(before.clone()));
    let (closing, ()) = tokio::join!(heard(&mut events), server.restart());
    assert_eq!(closing.event_type, "$closing");
    let opened = reopened(&mut events).await;
    assert_eq!((&opened["gap"]["reason"], &opened["gap"]["from"]), (&"epoch".into(), &before.into()));
    assert_eq!(heard(&mut events).await.event_type, "$gap");
    server.publish("a", "after").await;
    assert_eq!(heard(&mut events).await.data, "after");
}

#[tokio::test]
async fn the_stream_ends_with_the_channel_and_is_answered_204_from_then_on() {
    let server = Server::start().await;
    let mut events = listen(&format!("{}/channels/a", server.url())).await;
    server.end("a", "last").await;
    assert_eq!(heard(&mut events).await.data, "last");
    assert_eq!(heard(&mut events).await.event_type, "$end");
    assert_eq!(status(&mut events).await, 204);
}
