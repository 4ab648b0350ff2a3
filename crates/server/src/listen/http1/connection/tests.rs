use super::*;
use std::future::Future;
use tokio::io::{DuplexStream, duplex};

const PIPE: usize = 256 << 10;

fn settings() -> Settings {
    Settings {
        head_bytes: 1024,
        head: Duration::from_secs(20),
        idle: Duration::from_secs(20),
        body: Duration::from_secs(20),
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn pair_with(settings: Settings) -> (Connection<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(PIPE);
    (Connection::new(ours, Arc::new(settings)), theirs)
}

fn pair() -> (Connection<DuplexStream>, DuplexStream) {
    pair_with(settings())
}

fn answer(status: u16, body: &'static str) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap()
}

async fn request(connection: &mut Connection<DuplexStream>) -> Head {
    match connection.next_request().await {
        Next::Request(head) => head,
        other => panic!("{other:?}"),
    }
}

async fn whole_body(connection: &mut Connection<DuplexStream>) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(piece) = connection.body_piece(Pace::Steady).await? {
        assert!(!piece.is_empty());
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What the peer reads, up to and with `end`, without its `Date` line.
async fn until(peer: &mut DuplexStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        assert_eq!(peer.read(&mut byte).await.unwrap(), 1, "{}", text.escape_ascii());
        text.extend_from_slice(&byte);
    }
    let text = String::from_utf8(text).unwrap();
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

#[test]
fn requests_are_answered_one_after_the_other() {
    run(async {
        let (mut connection, mut peer) = pair();
        peer.write_all(
            b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
              POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n\
              HEAD /c HTTP/1.1\r\nHost: h\r\n\r\nGET /d HTTP/1.1\r\nHost: h\r\n\r\nGET /e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
              GET /f HTTP/1.0\r\n\r\nignored",
        )
        .await
        .unwrap();
        assert_eq!(request(&mut connection).await.path, "/a");
        assert_eq!(whole_body(&mut connection).await.unwrap(), b"abc");
        assert!(connection.respond(answer(201, "one")).await.unwrap());
        assert_eq!(until(&mut peer, "one").await, "HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\none");
        assert_eq!(request(&mut connection).await.path, "/b");
        assert_eq!(whole_body(&mut connection).await.unwrap(), b"def");
        assert!(connection.respond(answer(204, "")).await.unwrap());
        assert_eq!(until(&mut peer, "\r\n\r\n").await, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(request(&mut connection).await.path, "/c");
        assert!(connection.respond(answer(200, "unseen")).await.unwrap());
        assert_eq!(until(&mut peer, "\r\n\r\n").await, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
        assert_eq!(request(&mut connection).await.path, "/d");
        assert!(connection.respond(answer(304, "")).await.unwrap());
        assert_eq!(until(&mut peer, "\r\n\r\n").await, "HTTP/1.1 304 Not Modified\r\n\r\n");
        assert_eq!(request(&mut connection).await.path, "/e");
        assert!(connection.respond(answer(200, "")).await.unwrap());
        let kept = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(until(&mut peer, "\r\n\r\n").await, kept);
        assert_eq!(request(&mut connection).await.path, "/f");
        let peer = tokio::spawn(async move {
            let text = until(&mut peer, "\r\n\r\n").await;
            assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
            text
        });
        assert!(!connection.respond(answer(200, "")).await.unwrap());
        assert_eq!(peer.await.unwrap(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert!(matches!(connection.next_request().await, Next::Closed));
    });
}

#[test]
fn bytes_may_come_one_by_one() {
    run(async {
        let (mut connection, mut peer) = pair();
        let text = b"\r\nPOST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nde\r\n1\r\nf\r\n0\r\na: b\r\n\r\n";
        let writer = async {
            for byte in text {
                peer.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let reader = async {
            assert_eq!(request(&mut connection).await.path, "/a");
            assert_eq!(whole_body(&mut connection).await.unwrap(), b"def");
            assert!(connection.respond(answer(200, "")).await.unwrap());
            assert!(timeout(Duration::from_millis(1), connection.next_request()).await.is_err());
            assert_eq!(connection.buf.capacity(), 0);
        };
        tokio::join!(writer, reader);
    });
}

#[test]
fn continue_is_sent_when_the_body_is_asked_for_and_not_before() {
    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    run(async {
        let (mut connection, mut peer) = pair();
        peer.write_all(HEAD).await.unwrap();
        assert!(request(&mut connection).await.expect_continue);
        let writer = async {
            assert_eq!(until(&mut peer, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
            peer.write_all(b"abc").await.unwrap();
        };
        let (body, ()) = tokio::join!(whole_body(&mut connection), writer);
        assert_eq!(body.unwrap(), b"abc");
        assert!(connection.respond(answer(200, "")).await.unwrap());
        until(&mut peer, "\r\n\r\n").await;

        // A peer that does not wait is not told to go on.
        peer.write_all(HEAD).await.unwrap();
        peer.write_all(b"abc").await.unwrap();
        request(&mut connection).await;
        assert_eq!(whole_body(&mut connection).await.unwrap(), b"abc");
        assert!(connection.respond(answer(200, "")).await.unwrap());
        assert!(until(&mut peer, "\r\n\r\n").await.starts_with("HTTP/1.1 200"));

        // Refused before it was asked for, the body never comes, and the connection closes.
        peer.write_all(HEAD).await.unwrap();
        request(&mut connection).await;
        let (kept, ()) = tokio::join!(connection.respond(answer(413, "")), async {
            assert!(until(&mut peer, "\r\n\r\n").await.contains("Connection: close\r\n"));
            drop(peer);
        });
        assert!(!kept.unwrap());
    });
}

#[test]
fn a_little_unread_body_is_skipped_and_a_large_one_closes() {
    run(async {
        let (mut connection, mut peer) = pair();
        peer.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n").await.unwrap();
        request(&mut connection).await;
        let (kept, ()) = tokio::join!(connection.respond(answer(404, "")), async {
            assert!(!until(&mut peer, "\r\n\r\n").await.contains("Connection"));
            peer.write_all(&[b'x'; 1000]).await.unwrap();
            peer.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
                .await
                .unwrap();
        });
        assert!(kept.unwrap());
        request(&mut connection).await;
        assert!(connection.respond(answer(404, "")).await.unwrap());
        until(&mut peer, "\r\n\r\n").await;

        peer.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n").await.unwrap();
        request(&mut connection).await;
        let (kept, ()) = tokio::join!(connection.respond(answer(413, "")), async {
            // The answer is there before the body was sent, and the body can still be sent.
            assert!(until(&mut peer, "\r\n\r\n").await.contains("Connection: close\r\n"));
            for _ in 0..100 {
                peer.write_all(&[b'x'; 100_000]).await.unwrap();
            }
            assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
            drop(peer);
        });
        assert!(!kept.unwrap());
    });
}

#[test]
fn what_is_no_request_is_answered_and_closed() {
    run(async {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("hello\r\n", 400),
            ("GET / HTTP/3.0\r\n", 505),
            (&"x".repeat(5000), 431),
        ] {
            let (mut connection, mut peer) = pair();
            peer.write_all(text.as_bytes()).await.unwrap();
            let Next::Refused(problem) = connection.next_request().await else { panic!("{text}") };
            assert_eq!(problem.code.row().http, status, "{text}");
            let (kept, ()) = tokio::join!(connection.respond(answer(status, "")), async {
                assert!(until(&mut peer, "\r\n\r\n").await.contains("Connection: close\r\n"));
                assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
                drop(peer);
            });
            assert!(!kept.unwrap());
            assert!(matches!(connection.next_request().await, Next::Closed));
        }
    });
}

#[test]
fn a_broken_body_is_told_and_closes() {
    run(async {
        let (mut connection, mut peer) = pair();
        peer.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n").await.unwrap();
        request(&mut connection).await;
        let error = whole_body(&mut connection).await.unwrap_err();
        assert_eq!(error.problem().code, Code::BadRequest);
        let (kept, ()) = tokio::join!(connection.respond(answer(400, "")), async {
            until(&mut peer, "\r\n\r\n").await;
            drop(peer);
        });
        assert!(!kept.unwrap());

        let (mut connection, mut peer) = pair();
        peer.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab").await.unwrap();
        peer.shutdown().await.unwrap();
        request(&mut connection).await;
        assert!(matches!(whole_body(&mut connection).await, Err(BodyError::CutOff)));
        let answered = tokio::join!(connection.respond(answer(400, "")), async { until(&mut peer, "\r\n\r\n").await });
        assert!(!answered.0.unwrap() && answered.1.contains("Connection: close"));
    });
}

#[test]
fn slowness_is_bounded_where_it_should_be() {
    let brief = Duration::from_millis(10);
    run(async {
        let (mut connection, _peer) = pair_with(Settings { idle: brief, ..settings() });
        assert!(matches!(connection.next_request().await, Next::Idle));

        let (mut connection, mut peer) = pair_with(Settings { head: brief, ..settings() });
        peer.write_all(b"GET ").await.unwrap();
        let Next::Refused(problem) = connection.next_request().await else { panic!() };
        assert_eq!(problem.code, Code::RequestTimeout);

        let (mut connection, mut peer) = pair_with(Settings { body: brief, ..settings() });
        peer.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n").await.unwrap();
        request(&mut connection).await;
        let unhurried = timeout(brief * 3, connection.body_piece(Pace::Unhurried)).await;
        assert!(unhurried.is_err());
        assert!(matches!(connection.body_piece(Pace::Steady).await, Err(BodyError::Slow)));
    });
}

#[test]
fn whoever_announces_much_and_says_nothing_is_waited_for_without_a_buffer() {
    run(async {
        let (mut connection, mut peer) = pair();
        peer.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000000\r\n\r\n").await.unwrap();
        request(&mut connection).await;
        for pace in [Pace::Unhurried, Pace::Steady] {
            peer.write_all(b"abc").await.unwrap();
            assert_eq!(connection.body_piece(pace).await.unwrap().unwrap(), "abc");
            let mut more = Box::pin(connection.body_piece(pace));
            assert!(poll_fn(|cx| Poll::Ready(more.as_mut().poll(cx).is_pending())).await);
            drop(more);
            assert_eq!(connection.buf.capacity(), 0, "{pace:?}");
        }
    });
}

#[test]
fn a_peer_that_does_not_read_its_answer_is_given_up() {
    let brief = Duration::from_millis(10);
    run(async {
        let (ours, mut peer) = duplex(64);
        let mut connection = Connection::new(ours, Arc::new(Settings { body: brief, ..settings() }));
        peer.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        request(&mut connection).await;
        assert!(connection.respond(answer(200, "")).await.is_err());
    });
}

#[test]
fn the_time_for_a_head_does_not_start_anew() {
    let brief = Duration::from_millis(40);
    run(async {
        let (mut connection, mut peer) = pair_with(Settings { head: brief, ..settings() });
        let started = Instant::now();
        peer.write_all(b"G").await.unwrap();
        loop {
            // Dropping the wait and sending another byte both leave the deadline where it was.
            match timeout(brief / 8, connection.next_request()).await {
                Err(_) => peer.write_all(b"E").await.unwrap(),
                Ok(Next::Refused(problem)) => break assert_eq!(problem.code, Code::RequestTimeout),
                Ok(other) => panic!("{other:?}"),
            }
            assert!(started.elapsed() < Duration::from_secs(10));
        }
    });
}

#[test]
fn the_socket_can_be_taken_over_with_what_follows_the_head() {
    run(async {
        let (mut connection, mut peer) = pair();
        peer.write_all(b"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n\x81\x80").await.unwrap();
        request(&mut connection).await;
        connection.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
        let (mut socket, leftover) = connection.into_parts();
        assert_eq!(leftover, b"\x81\x80"[..]);
        socket.write_all(b"x").await.unwrap();
        assert_eq!(until(&mut peer, "x").await, "HTTP/1.1 101 Switching Protocols\r\n\r\nx");
    });
}

#[test]
fn a_peer_that_leaves_is_noticed_and_what_it_sent_before_is_kept() {
    run(async {
        let (mut connection, mut peer) = pair();
        peer.write_all(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        request(&mut connection).await;
        assert!(timeout(Duration::from_millis(5), connection.gone()).await.is_err());
        peer.write_all(b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        assert!(timeout(Duration::from_millis(5), connection.gone()).await.is_err());
        assert!(connection.respond(answer(200, "")).await.unwrap());
        assert_eq!(request(&mut connection).await.path, "/b");
        drop(peer);
        connection.gone().await;
        assert!(!connection.respond(answer(200, "")).await.is_ok_and(|kept| kept));
    });
}

#[test]
fn a_connection_stays_small() {
    assert!(size_of::<Connection<()>>() <= 160, "{}", size_of::<Connection<()>>());
}
