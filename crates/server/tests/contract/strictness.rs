//! "Strictness", of HTTP/1.1, and what a connection is kept for.

use std::time::Duration;
use switchboard_testkit::{Conn, Response, Server, config};

/// Sends these bytes on a connection of their own, and expects an answer with this status and then the end.
#[track_caller]
fn refuses(server: &Server, bytes: impl AsRef<[u8]>, status: u16) -> Response {
    let mut conn = server.connect();
    // The server may close while the rest is on its way.
    let _ = conn.try_send(&bytes);
    let shown = String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(200)]).into_owned();
    let head = conn.head();
    assert_eq!(head.status, status, "{shown:?}: {}", conn.seen());
    let answer = conn.body_of(&head);
    let closes = !answer.head.keeps_alive();
    assert!(closes, "it says that it closes: {shown:?}: {}", answer.head.raw);
    let mut answer = answer;
    let (body, _) = answer.rest();
    answer.conn.expect_close();
    Response { head, body }
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /channels/a HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}")
}

fn get(fields: &str) -> String {
    format!("GET /channels/a HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

#[test]
fn content_length_with_transfer_encoding_is_400_and_close() {
    let server = Server::new();
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "transfer-encoding: CHUNKED\r\ncontent-length: 5\r\n",
    ] {
        refuses(&server, post(fields, "5\r\nhello\r\n0\r\n\r\n"), 400).expect_refusal(400);
    }
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), 0);
    server.is_alive();
}

#[test]
fn unlike_lengths_are_400_and_close() {
    let server = Server::new();
    for fields in ["Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5, 6\r\n"] {
        refuses(&server, post(fields, "hello!"), 400).expect_refusal(400);
    }
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), 0);
}

#[test]
fn a_length_that_is_no_number_is_400_and_close() {
    let server = Server::new();
    for bad in ["", "-1", "+5", "0x5", "5 5", "five", "5.0", "99999999999999999999999999", "5,", "1e2"] {
        refuses(&server, post(&format!("Content-Length: {bad}\r\n"), "hello"), 400).expect_refusal(400);
    }
    server.is_alive();
}

#[test]
fn a_transfer_coding_that_cannot_be_read_is_refused() {
    let server = Server::new();
    for (coding, statuses) in [
        ("gzip", [400, 501]),
        ("gzip, chunked", [400, 501]),
        ("chunked, chunked", [400, 400]),
        ("chunked, gzip", [400, 501]),
        ("identity", [400, 501]),
        ("xchunked", [400, 501]),
        ("chunked\r\nTransfer-Encoding: chunked", [400, 400]),
        ("", [400, 501]),
    ] {
        let mut conn = server.connect();
        conn.send(post(&format!("Transfer-Encoding: {coding}\r\n"), "5\r\nhello\r\n0\r\n\r\n"));
        let answer = conn.response_to("POST");
        assert!(statuses.contains(&answer.status()), "{coding}: {answer}");
        conn.expect_close();
    }
    let old =
        "POST /channels/a HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    refuses(&server, old, 400);
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), 0);
}

#[test]
fn chunks_that_cannot_be_are_400_and_close() {
    let server = Server::new();
    for bad in [
        "x\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
    ] {
        refuses(&server, post("Transfer-Encoding: chunked\r\n", bad), 400).expect_refusal(400);
    }
    // A size that fits in 64 bits is believed until more has come than a message may have.
    let endless = post("Transfer-Encoding: chunked\r\n", &format!("ffffffffffffffff\r\n{}", "x".repeat(1 << 21)));
    let mut conn = server.connect();
    let _ = conn.try_send(endless);
    assert!(matches!(conn.response_to("POST").status(), 400 | 413), "{}", conn.seen());
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), 0);
    server.is_alive();
}

#[test]
fn no_host_is_400_and_so_are_two() {
    let server = Server::new();
    refuses(&server, "GET /channels/a HTTP/1.1\r\n\r\n", 400).expect_refusal(400);
    refuses(&server, "GET /healthz HTTP/1.1\r\nAccept: */*\r\n\r\n", 400).expect_refusal(400);
    refuses(&server, get("Host: localhost\r\n"), 400).expect_refusal(400);
    refuses(&server, get("Host: example.com\r\n"), 400).expect_refusal(400);
}

#[test]
fn a_405_carries_allow() {
    let server = Server::new();
    for (target, wrong, right) in [
        ("/channels/a", "PUT", &["GET", "HEAD", "POST", "DELETE"][..]),
        ("/channels/a", "PATCH", &["GET", "POST"]),
        ("/channels/a", "BREW", &["GET", "POST"]),
        ("/channels?channel=a", "POST", &["GET", "HEAD"]),
        ("/channels?channel=a", "DELETE", &["GET"]),
        ("/api/publish", "PUT", &["POST"]),
        ("/api/channels", "POST", &["GET"]),
        ("/healthz", "POST", &["GET"]),
        ("/readyz", "DELETE", &["GET"]),
        ("/metrics", "PUT", &["GET"]),
    ] {
        let answer = server.request(wrong, target, &[], None).expect_problem(405, "method_not_allowed");
        for method in right {
            assert!(answer.head.lists("allow", method), "{wrong} {target}: {answer}");
        }
        assert!(!answer.head.lists("allow", wrong), "{answer}");
    }
    server.is_alive();
}

#[test]
fn methods_are_compared_with_case() {
    let server = Server::new();
    assert!(matches!(server.request("get", "/channels/a", &[], None).status(), 400 | 405 | 501));
}

#[test]
fn an_oversized_head_is_431() {
    let server = Server::new();
    refuses(&server, get(&format!("X-Big: {}\r\n", "x".repeat(20 << 10))), 431).expect_problem(431, "head_too_large");
    let many: String = (0..1000).map(|i| format!("X-{i}: {i}23456789012345\r\n")).collect();
    refuses(&server, get(&many), 431).expect_problem(431, "head_too_large");
    // One that never ends.
    let mut conn = server.connect();
    for _ in 0..64 {
        if conn.try_send("X-Endless: y\r\n".repeat(100)).is_err() {
            break;
        }
    }
    assert!(matches!(conn.head().status, 400 | 431));
    let mut conn = server.connect();
    conn.send(format!("GET /channels/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(20 << 10)));
    assert!(matches!(conn.response_to("GET").status(), 414 | 431), "{}", conn.seen());
    server.get_with("/channels/a", &[("X-Fits", &"x".repeat(8 << 10))]).expect(200);
    server.is_alive();
}

#[test]
fn heads_that_are_not_well_formed_are_400_and_close() {
    let server = Server::new();
    for bad in [
        "garbage\r\n\r\n",
        "GET\r\n\r\n",
        "GET /channels/a\r\n\r\n",
        "GET  /channels/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /channels/a HTTP/1.1 \r\nHost: localhost\r\n\r\n",
        "GET /channels/a HTTQ/1.1\r\nHost: localhost\r\n\r\n",
        "GET channels/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /channels/a\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GE(T /channels/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /channels/a HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET /channels/a HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
        "GET /channels/a HTTP/1.1\r\nHost: localhost\r\nNo colon\r\n\r\n",
        "GET /channels/a HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        "GET /channels/a HTTP/1.1\r\nHost: localhost\r\n: empty\r\n\r\n",
        "GET /channels/a HTTP/1.1\r\nHost: localhost\r\nX Y: z\r\n\r\n",
        "GET /channels/a HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n",
    ] {
        refuses(&server, bad, 400);
    }
    server.is_alive();
}

#[test]
fn versions_that_are_not_spoken_are_refused() {
    let server = Server::new();
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"] {
        let mut conn = server.connect();
        conn.send(format!("GET /healthz {version}\r\nHost: localhost\r\n\r\n"));
        let status = conn.head().status;
        // RFC 9110 section 2.5: a higher minor version is understood as the highest that is.
        assert!(matches!(status, 400 | 505) || version == "HTTP/1.2" && status == 200, "{version}: {status}");
    }
    server.is_alive();
}

#[test]
fn a_head_may_come_in_any_pieces() {
    let server = Server::new();
    let mut conn = server.connect();
    for byte in get("Accept: application/json\r\n").bytes() {
        conn.send([byte]);
    }
    conn.response_to("GET").expect(200);
    // RFC 9112 section 2.2: an empty line before a request is passed over.
    conn.send(format!("\r\n{}", get("")));
    conn.response_to("GET").expect(200);
}

#[test]
fn a_head_that_does_not_come_in_time_is_408_or_closed() {
    let mut config = config();
    config.timeouts.head = Duration::from_millis(200);
    let server = Server::start(config);
    let mut conn = server.connect();
    conn.send("GET /channels/a HT");
    let rest = conn.take_all();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&rest));
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let mut config = config();
    config.timeouts.idle = Duration::from_millis(200);
    let server = Server::start(config);
    let mut conn = server.connect();
    conn.get("/healthz").expect(200);
    conn.expect_close();
}

#[test]
fn a_connection_serves_many_requests_of_every_kind() {
    let server = Server::new();
    let mut conn = server.connect();
    for i in 0..20 {
        let id = conn.publish("a", i.to_string());
        conn.get("/channels/nothing/..").expect(400);
        conn.get(&format!("/channels/a?since={id}")).expect(200);
        conn.request("HEAD", "/channels/a", &[], None).expect(200);
        conn.request("DELETE", "/channels/b", &[], None).expect(204);
        conn.get("/nowhere").expect_problem(404, "not_found");
        conn.request("PUT", "/channels/a", &[], Some(b"refused, but its body is read")).expect(405);
        conn.post("/channels/a?event=$x", &[], "refused, but its body is read").expect(400);
    }
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), 20);
}

#[test]
fn requests_that_come_at_once_are_answered_in_order() {
    let server = Server::new();
    let mut conn = server.connect();
    let mut all = String::new();
    for i in 0..10 {
        all.push_str(&post("Content-Length: 1\r\n", &i.to_string()));
        all.push_str(&get(""));
    }
    conn.send(all);
    for i in 0..10 {
        conn.response_to("POST").expect(201);
        let page = conn.response_to("GET").expect(200).json();
        assert_eq!(page["events"].as_array().unwrap().len(), i + 1, "a request sees what the one before it did");
    }
}

#[test]
fn connection_close_closes_and_http_1_0_closes_by_default() {
    let server = Server::new();
    let mut conn = server.connect();
    conn.send(get("Connection: close\r\n"));
    let answer = conn.response_to("GET").expect(200);
    assert!(!answer.head.keeps_alive(), "{answer}");
    conn.expect_close();
    let mut conn = server.connect();
    conn.send("GET /channels/a HTTP/1.0\r\nHost: localhost\r\n\r\n");
    conn.response_to("GET").expect(200);
    conn.expect_close();
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let server = Server::new();
    let mut conn: Conn = server.connect();
    conn.send(post("Content-Length: 5\r\n", "hello"));
    conn.finish();
    conn.response_to("POST").expect(201);
    conn.expect_close();
}

#[test]
fn what_is_not_there_is_404() {
    let server = Server::new();
    for target in
        ["/nowhere", "/channel/a", "/channelsx", "/apis", "/api/nothing", "/healthz/x", "//channels/a", "/%00"]
    {
        let answer = server.get(target);
        assert!(matches!(answer.status(), 400 | 404), "{target}: {answer}");
        answer.clone().expect_refusal(answer.status());
    }
    server.is_alive();
}
