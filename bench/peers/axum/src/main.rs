//! The server that a Rust user would write first: axum, a `tokio::sync::broadcast` per channel, and SSE.
//! Subscribers read `GET /sub/{channel}`; a publish is `POST /pub/{channel}`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

/// Events that a channel holds for receivers that are late; one that is later loses events.
const CAPACITY: usize = 1024;

type Channels = Arc<Mutex<HashMap<String, broadcast::Sender<Arc<str>>>>>;

fn sender(channels: &Channels, name: String) -> broadcast::Sender<Arc<str>> {
    // Invariant: nothing that holds the lock can panic.
    let mut channels = channels.lock().expect("no holder panics");
    channels.entry(name).or_insert_with(|| broadcast::channel(CAPACITY).0).clone()
}

async fn subscribe(
    State(channels): State<Channels>,
    Path(name): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(sender(&channels, name).subscribe());
    // What a receiver missed is passed over: there is nowhere to read it from.
    let events = events.filter_map(async |event| event.ok().map(|data| Ok(Event::default().data(data))));
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn publish(State(channels): State<Channels>, Path(name): Path<String>, data: String) -> StatusCode {
    // An error only says that nobody listens.
    let _ = sender(&channels, name).send(data.into());
    StatusCode::NO_CONTENT
}

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8080);
    let app = Router::new()
        .route("/sub/{*channel}", get(subscribe))
        .route("/pub/{*channel}", post(publish))
        .with_state(Channels::default());
    // One core, so one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        axum::serve(listener, app).await
    })
}
