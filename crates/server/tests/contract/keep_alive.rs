//! A subscription on a connection that served other requests before works on each transport.

use switchboard_testkit::{Conn, Follower, Item, Said, Server, Transport};

/// A connection that has served requests of several kinds.
fn used(server: &Server) -> Conn {
    let mut conn = server.connect();
    conn.get("/healthz");
    conn.publish("before", "1");
    conn.get("/channels/before").expect(200);
    conn.get("/nowhere").expect(404);
    conn.request("HEAD", "/channels/before", &[], None).expect(200);
    conn.post("/channels/before", &[("Transfer-Encoding", "chunked")], "5\r\nhello\r\n0\r\n\r\n").expect(201);
    conn
}

#[test]
fn a_subscription_works_on_a_kept_alive_connection_on_every_transport() {
    let server = Server::new();
    for transport in Transport::ALL {
        let mut follower = Follower::over(used(&server), &["a"], None, transport);
        let id = server.publish("a", "hello");
        assert_eq!(follower.event().id, id, "{transport:?}");
    }
    let mut sse = used(&server).sse("/channels/a", &[]);
    let mut lines = used(&server).lines("/channels/a", &[]);
    let mut socket = used(&server).websocket("/channels/a", &[]);
    let mut body = used(&server).stream("/channels/a?form=raw", &[("Accept", "application/x-ndjson")]);
    sse.notice("$open");
    lines.notice("$open");
    server.publish("a", "hello");
    assert_eq!(sse.event().data, "hello");
    assert_eq!(lines.event()["data"], "hello");
    assert_eq!(socket.text(), "hello");
    assert_eq!(body.data_of(5), b"hello");
    socket.send_text("from here");
    assert_eq!(socket.text(), "from here");
}

#[test]
fn a_subscription_may_be_asked_for_before_the_answers_to_earlier_requests_are_read() {
    let server = Server::new();
    server.publish("a", "held");
    let mut conn = server.connect();
    conn.send(
        "POST /channels/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx\
         GET /channels/a HTTP/1.1\r\nHost: localhost\r\n\r\n\
         GET /channels/a?since=earliest HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
    );
    conn.response_to("POST").expect(201);
    conn.response_to("GET").expect(200);
    let mut sse = switchboard_testkit::Sse::over(conn.into_streamed());
    sse.notice("$open");
    assert_eq!(sse.event().data, "held");
    server.publish("a", "live");
    assert_eq!(sse.event().data, "live");
}

#[test]
fn a_connection_serves_requests_again_after_a_stream_that_ended() {
    let server = Server::new();
    for accept in ["text/event-stream", "application/x-ndjson"] {
        let channel = accept.replace('/', "-");
        let mut stream = server.stream(&format!("/channels/{channel}"), &[("Accept", accept)]);
        server.post(&format!("/channels/{channel}?end=true"), &[], "last").expect(201);
        assert!(stream.rest().1);
        // RFC 9112 section 9.3: what is not said to close persists; a server may as well say that it closes.
        if stream.head.keeps_alive() {
            stream.conn.get("/healthz");
        } else {
            stream.conn.expect_close();
        }
    }
}

#[test]
fn polls_reuse_their_connection() {
    let server = Server::new();
    let mut follower = Follower::over(server.connect(), &["a"], None, Transport::Poll);
    for i in 0..50 {
        server.publish("a", i.to_string());
        assert_eq!(follower.event().json["data"], i.to_string());
    }
    assert!(matches!(follower.next(), Said::Position(_)));
}

#[test]
fn bytes_that_follow_a_subscription_on_sse_are_no_request_while_it_lasts() {
    let server = Server::new();
    let mut conn = server.connect();
    conn.send(
        "GET /channels/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n\
         POST /channels/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
    );
    let mut sse = switchboard_testkit::Sse::over(conn.into_streamed());
    sse.notice("$open");
    let mut other = server.lines("/channels/a");
    other.notice("$open");
    server.publish("a", "mine");
    assert_eq!(other.event()["data"], "mine");
    assert_eq!(sse.event().data, "mine", "a request is answered after the one before it, and that goes on");
    drop(other);
    server.end("a");
    sse.notice("$end");
    assert!(matches!(sse.next(), Item::End | Item::Cut));
    server.is_alive();
}
