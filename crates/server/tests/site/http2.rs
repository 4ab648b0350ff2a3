//! The site over HTTP/2: what a page needs is pushed to clients that allow it, once, and told ahead to the others.

use super::{Files, numbered};
use h2::RecvStream;
use h2::client::{Builder, PushPromises, ResponseFuture};
use http::{HeaderMap, Request, Response};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use switchboard::site::{Hints, PushRule};
use switchboard_testkit::{PATIENCE, Server, config};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

/// What a client heard that opened a page.
#[derive(Debug, Default)]
struct Opened {
    status: u16,
    headers: HeaderMap,
    /// `Link` of `103 Early Hints`.
    hints: Vec<String>,
    /// Path, status, coding and content of what was pushed.
    pushed: Vec<(String, u16, String, Vec<u8>)>,
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn body(response: Response<RecvStream>) -> Vec<u8> {
    let mut stream = response.into_body();
    let mut bytes = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.unwrap();
        stream.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    bytes
}

async fn pushes(mut promises: PushPromises) -> Vec<(String, u16, String, Vec<u8>)> {
    let mut coming = Vec::new();
    while let Some(promise) = promises.push_promise().await {
        let (request, response) = promise.unwrap().into_parts();
        assert_eq!(request.method(), "GET");
        assert_eq!(request.uri().scheme_str(), Some("http"));
        // Side by side: what is not read takes up the room of the connection.
        coming.push(spawn_local(async move {
            let response = response.await.unwrap();
            let (status, coding) = (response.status().as_u16(), text(response.headers(), "content-encoding"));
            (request.uri().path().to_owned(), status, coding, body(response).await)
        }));
    }
    let mut pushed = Vec::new();
    for each in coming {
        pushed.push(each.await.unwrap());
    }
    pushed.sort();
    pushed
}

async fn hear(mut response: ResponseFuture, push: bool) -> Opened {
    let promises = push.then(|| response.push_promises());
    let mut opened = Opened::default();
    let answer = loop {
        // What comes ahead of the answer comes before it.
        let heard = poll_fn(|cx| match response.poll_informational(cx) {
            Poll::Ready(Some(interim)) => Poll::Ready(Err(interim.unwrap())),
            _ => Pin::new(&mut response).poll(cx).map(Ok),
        });
        match heard.await {
            Ok(answer) => break answer.unwrap(),
            Err(interim) => {
                assert_eq!(interim.status(), 103);
                let links = interim.headers().get_all("link").iter();
                opened.hints = links.map(|link| link.to_str().unwrap().into()).collect();
            }
        }
    };
    (opened.status, opened.headers) = (answer.status().as_u16(), answer.headers().clone());
    body(answer).await;
    if let Some(promises) = promises {
        opened.pushed = pushes(promises).await;
    }
    opened
}

/// Opens pages on a connection of their own, as a client that allows push or not.
fn open(server: SocketAddr, push: bool, pages: &[(&str, &str)]) -> Vec<Opened> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = async {
        let socket = TcpStream::connect(server).await.unwrap();
        let (mut requests, connection) = Builder::new().enable_push(push).handshake::<_, &[u8]>(socket).await.unwrap();
        spawn_local(connection);
        let mut heard = Vec::new();
        for (path, cookie) in pages {
            let request = Request::get(format!("http://localhost{path}"))
                .header("accept-encoding", "gzip")
                .header("cookie", *cookie)
                .body(())
                .unwrap();
            let (response, _) = requests.send_request(request, true).unwrap();
            heard.push(hear(response, push).await);
        }
        heard
    };
    LocalSet::new().block_on(&runtime, async { timeout(PATIENCE, all).await }).unwrap()
}

/// The cookie that a client sends back.
fn kept(opened: &Opened) -> String {
    text(&opened.headers, "set-cookie").split(';').next().unwrap().to_owned()
}

/// A server, and where it speaks HTTP/2 by itself.
fn serve(files: &Files, hints: Hints) -> (Server, SocketAddr) {
    let mut settings = files.settings();
    settings.push = vec![PushRule { page: "/".into(), files: vec!["/style.css".into(), "/app.js".into()] }];
    settings.hints = hints;
    let mut config = config();
    config.site = Some(settings);
    let server = Server::start(config);
    let address = server.addresses()[0];
    (server, address)
}

fn files() -> Files {
    let files = Files::new();
    files.write("index.html", "<!doctype html>");
    files.write("style.css", "a {}");
    files.write("style.css.gz", "gzip");
    files.write("app.js", numbered(300_000));
    files
}

#[test]
fn what_a_page_needs_is_pushed_on_the_first_visit_and_not_on_the_second() {
    let files = files();
    let (server, address) = serve(&files, Hints::Browsers);
    let first = open(address, true, &[("/", "")]).remove(0);
    assert_eq!((first.status, first.hints.len()), (200, 0));
    // As the client would have got them: in a coding that it takes, and whole.
    let app = ("/app.js".to_owned(), 200, String::new(), numbered(300_000));
    let style = ("/style.css".to_owned(), 200, "gzip".to_owned(), b"gzip".to_vec());
    assert_eq!(first.pushed, [app.clone(), style]);
    let cookie = kept(&first);
    // On another connection, and twice on that.
    let pages = [("/", cookie.as_str()), ("/", cookie.as_str())];
    for again in open(address, true, &pages) {
        assert_eq!((again.status, again.pushed.len(), again.hints.len()), (200, 0, 0), "{again:?}");
        assert!(!again.headers.contains_key("link") && !again.headers.contains_key("set-cookie"));
    }
    files.write("app.js", "new");
    let third = open(address, true, &[("/", &cookie)]).remove(0);
    assert_eq!(third.pushed, [("/app.js".to_owned(), 200, String::new(), b"new".to_vec())]);
    let metrics = server.connect().get("/metrics").expect(200).text();
    for line in ["switchboard_site_pushed_total 3", "switchboard_site_hinted_total 0"] {
        assert!(metrics.lines().any(|each| each == line), "{line}");
    }
}

#[test]
fn a_client_that_forbids_push_is_told_ahead_and_only_once() {
    let files = files();
    let (_server, address) = serve(&files, Hints::Browsers);
    let first = open(address, false, &[("/", "")]).remove(0);
    assert_eq!(first.hints, ["</style.css>; rel=preload; as=style", "</app.js>; rel=preload; as=script"]);
    assert_eq!((first.status, first.pushed.len()), (200, 0));
    let second = open(address, false, &[("/", &kept(&first))]).remove(0);
    assert_eq!((second.status, second.hints.len()), (200, 0));
}

#[test]
fn nothing_comes_ahead_where_that_is_off() {
    let files = files();
    let (_server, address) = serve(&files, Hints::Off);
    for push in [true, false] {
        let opened = open(address, push, &[("/", "")]).remove(0);
        assert_eq!((opened.status, opened.pushed.len(), opened.hints.len()), (200, 0, 0));
        assert!(opened.headers.contains_key("link"), "the answer itself says it");
    }
}
