//! `tokio-tungstenite`: both forms of the server's WebSocket.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use switchboard_conformance::{Server, Way, bytes, text, within};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(url: &str) -> Socket {
    let (socket, _) = within("the handshake", connect_async(url.replace("http", "ws"))).await.unwrap();
    socket
}

/// What comes next; `None` at the end.
async fn next(socket: &mut Socket) -> Option<Result<Message, Error>> {
    within("a message", socket.next()).await
}

async fn heard(socket: &mut Socket) -> Message {
    next(socket).await.expect("the socket is open").unwrap()
}

/// A message of the event form.
async fn told(socket: &mut Socket) -> Value {
    serde_json::from_str(heard(socket).await.to_text().unwrap()).unwrap()
}

/// The code with which the server closes, after which nothing comes.
async fn closed(socket: &mut Socket) -> u16 {
    let Message::Close(Some(frame)) = heard(socket).await else { panic!("no close") };
    assert!(next(socket).await.is_none());
    frame.code.into()
}

#[tokio::test]
async fn raw_form_carries_text_and_bytes_as_published() {
    let server = Server::start().await;
    let mut socket = connect(&format!("{}/channels/a", server.url())).await;
    server.publish("a", &text()).await;
    server.publish_bytes("a", &bytes()).await;
    assert_eq!(heard(&mut socket).await, Message::text(text()));
    assert_eq!(heard(&mut socket).await, Message::binary(bytes()));
}

#[tokio::test]
async fn what_it_sends_in_raw_form_is_published_and_it_hears_itself() {
    let server = Server::start().await;
    let mut socket = connect(&format!("{}/channels/a", server.url())).await;
    let messages =
        [Message::text(text()), Message::binary(bytes()), Message::text(""), Message::text("long ".repeat(100_000))];
    for message in &messages {
        socket.send(message.clone()).await.unwrap();
    }
    for message in messages {
        assert_eq!(heard(&mut socket).await, message);
    }
    socket.send(Message::Ping("are you there?".into())).await.unwrap();
    assert_eq!(heard(&mut socket).await, Message::Pong("are you there?".into()));
}

#[tokio::test]
async fn cut_in_the_midst_of_an_event_it_resumes_in_event_form_and_misses_nothing() {
    let server = Server::start().await;
    let way = Way::to(&server).await;
    let url = format!("{}/channels?channel=a&channel=b", way.url());
    let mut before = connect(&url).await;
    assert!(told(&mut before).await["$open"].is_object());
    let id = server.publish("a", "first").await;
    assert_eq!(told(&mut before).await["id"], *id);
    way.cut_after(30);
    server.publish("b", &text()).await;
    way.is_cut().await;
    let cut = next(&mut before).await;
    assert!(matches!(cut, Some(Err(_))), "{cut:?}");
    server.publish_bytes("a", &bytes()).await;
    way.open();
    let mut after = connect(&format!("{url}&since={id}")).await;
    assert_eq!(told(&mut after).await["$open"]["recovered"], true);
    let (one, two) = (told(&mut after).await, told(&mut after).await);
    assert_eq!((&one["channel"], &one["data"], &two["channel"]), (&"b".into(), &text().into(), &"a".into()));
    assert_eq!(BASE64_STANDARD.decode(two["base64"].as_str().unwrap()).unwrap(), bytes());
    server.publish("a", "live again").await;
    assert_eq!(told(&mut after).await["data"], "live again");
}

#[tokio::test]
async fn it_closes_with_1012_at_a_drain_and_is_told_of_the_gap_after_it() {
    let mut server = Server::start().await;
    let url = format!("{}/channels/a?form=event", server.url());
    let mut before = connect(&url).await;
    let position = told(&mut before).await["$open"]["position"].as_str().unwrap().to_owned();
    let (told_before, ()) = tokio::join!(
        async {
            let notice = told(&mut before).await;
            (notice["$closing"]["code"].clone(), closed(&mut before).await)
        },
        server.restart()
    );
    assert_eq!(told_before, ("draining".into(), 1012));
    let mut after = connect(&format!("{url}&since={position}")).await;
    assert_eq!(told(&mut after).await["$open"]["gap"]["reason"], "epoch");
    assert_eq!(told(&mut after).await["$gap"]["from"], *position);
}

#[tokio::test]
async fn it_closes_with_1000_at_the_end_of_a_channel() {
    let server = Server::start().await;
    let url = format!("{}/channels/a", server.url());
    let (mut raw, mut event) = (connect(&url).await, connect(&format!("{url}?form=event")).await);
    assert!(told(&mut event).await["$open"].is_object());
    let last = server.end("a", "last").await;
    assert_eq!(heard(&mut raw).await, Message::text("last"));
    assert_eq!(closed(&mut raw).await, 1000);
    assert_eq!(told(&mut event).await["data"], "last");
    assert_eq!(told(&mut event).await["$end"]["channel"], "a");
    assert_eq!(closed(&mut event).await, 1000);
    assert_eq!(closed(&mut connect(&format!("{url}?since={last}")).await).await, 1000);
}
