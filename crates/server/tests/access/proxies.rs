//! Proxies in front: what they say of whom a connection is from counts, and what anybody else says does not.

use switchboard::Config;
use switchboard::proxies::{Header, Proxies};
use switchboard_testkit::identity::{MASTER_KEY, bearer, settings};
use switchboard_testkit::{Conn, Server, Sse, config};

/// A server that takes one stream of each address.
fn server(proxies: Proxies) -> Server {
    let Config { limits, .. } = config();
    let mut config = Config { proxies, limits, ..config() };
    config.limits.address = Some(1);
    Server::start(config)
}

fn trusting(addresses: &str, header: Header) -> Server {
    server(Proxies { addresses: vec![addresses.parse().unwrap()], header, ..Proxies::default() })
}

/// A stream of an address, or the status that it was refused with.
fn stream(server: &Server, field: &str, value: &str) -> Result<Sse, u16> {
    let mut conn = server.connect();
    conn.ask("GET", "/channels/a", &[("Accept", "text/event-stream"), (field, value)], None);
    stream_of(conn)
}

fn stream_of(conn: Conn) -> Result<Sse, u16> {
    let mut sse = Sse::over(conn.into_streamed());
    let block = sse.block();
    match block.event.as_str() {
        "$open" => Ok(sse),
        "$closing" if block.json()["code"] == "too_many" => Err(429),
        other => panic!("{other}"),
    }
}

#[test]
fn each_address_that_a_proxy_names_has_streams_of_its_own() {
    for (header, field, one, other) in [
        (Header::XForwardedFor, "X-Forwarded-For", "192.0.2.1", "192.0.2.2"),
        (Header::XForwardedFor, "X-Forwarded-For", "9.9.9.9, 192.0.2.1", "9.9.9.9, 192.0.2.2, 127.0.0.9"),
        (Header::Forwarded, "Forwarded", "for=192.0.2.1", "for=\"[2001:db8::1]:80\";proto=https"),
    ] {
        let server = trusting("127.0.0.0/8", header);
        let first = stream(&server, field, one);
        assert!(first.is_ok(), "{field}");
        assert_eq!(stream(&server, field, one).err(), Some(429), "{field}");
        let second = stream(&server, field, other);
        assert!(second.is_ok(), "{field}");
        drop((first, second));
    }
}

#[test]
fn what_a_client_writes_before_the_proxy_is_not_heard() {
    let server = trusting("127.0.0.0/8", Header::XForwardedFor);
    let _first = stream(&server, "X-Forwarded-For", "1.1.1.1, 192.0.2.1").unwrap();
    assert_eq!(stream(&server, "X-Forwarded-For", "2.2.2.2, 192.0.2.1").err(), Some(429));
    // Nor is the other field, which a proxy that writes this one passes on as it came.
    let mut conn = server.connect();
    let fields = [("Accept", "text/event-stream"), ("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=3.3.3.3")];
    conn.ask("GET", "/channels/a", &fields, None);
    assert_eq!(stream_of(conn).err(), Some(429));
}

#[test]
fn what_a_stranger_says_of_whom_it_is_from_is_not_heard() {
    let server = trusting("10.0.0.0/8", Header::XForwardedFor);
    let _first = stream(&server, "X-Forwarded-For", "192.0.2.1").unwrap();
    let mut conn = server.connect();
    let fields = [("Accept", "text/event-stream"), ("X-Forwarded-For", "192.0.2.2")];
    conn.ask("GET", "/channels/a", &fields, None);
    assert_eq!(stream_of(conn).err(), Some(429));
}

#[test]
fn pages_of_the_host_that_a_proxy_was_asked_for_are_the_servers_own() {
    let asks = |addresses: &str, header: Header, field: (&str, &str)| {
        let proxies = Proxies { addresses: vec![addresses.parse().unwrap()], header, ..Proxies::default() };
        let server = Server::start(Config { auth: settings(), proxies, ..config() });
        let shown = bearer(MASTER_KEY);
        let fields = [("Authorization", &*shown), ("Origin", "https://live.example.com"), field];
        server.get_with("/channels/a", &fields).status()
    };
    let said = ("X-Forwarded-Host", "live.example.com");
    assert_eq!(asks("127.0.0.1", Header::XForwardedFor, said), 200);
    assert_eq!(asks("127.0.0.1", Header::Forwarded, said), 403);
    assert_eq!(asks("127.0.0.1", Header::Forwarded, ("Forwarded", "for=192.0.2.1;host=live.example.com")), 200);
    assert_eq!(asks("10.0.0.1", Header::XForwardedFor, said), 403);
    assert_eq!(asks("127.0.0.1", Header::XForwardedFor, ("X-Forwarded-Host", "other.example.com")), 403);
}

fn speaking() -> Server {
    server(Proxies { protocol: vec!["127.0.0.1".parse().unwrap()], ..Proxies::default() })
}

/// A connection that begins with these bytes and then asks for a stream.
fn behind(server: &Server, header: &[u8]) -> Conn {
    let mut conn = server.connect();
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(b"GET /channels/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    conn.send(&bytes);
    conn
}

#[test]
fn the_proxy_protocol_says_whose_a_connection_is() {
    let server = speaking();
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    binary.extend([192, 0, 2, 2, 198, 51, 100, 1, 0, 1, 0, 2]);
    let first = stream_of(behind(&server, line));
    assert!(first.is_ok());
    assert_eq!(stream_of(behind(&server, line)).err(), Some(429));
    let second = stream_of(behind(&server, &binary));
    assert!(second.is_ok());
    assert_eq!(stream_of(behind(&server, &binary)).err(), Some(429));
}

#[test]
fn a_header_may_come_in_pieces() {
    let server = speaking();
    let mut conn = server.connect();
    for piece in [&b"PROXY TC"[..], b"P4 192.0.2.1 198.51.100.1 1 ", b"2\r\nGET /channels/a HTTP/1.1\r\nHost: "] {
        conn.send(piece);
        assert!(conn.is_silent_for(std::time::Duration::from_millis(20)));
    }
    conn.send(b"localhost\r\n\r\n");
    conn.response_to("GET").expect(200);
}

#[test]
fn a_connection_without_the_header_that_it_must_have_is_closed() {
    let server = speaking();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"PROXY TCP4 1.2.3.4\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ] {
        let mut conn = server.connect();
        conn.send(bytes);
        assert_eq!(conn.take_all(), b"", "{bytes:?}");
    }
    let mut conn = behind(&server, b"PROXY UNKNOWN\r\n");
    conn.head();
}

#[test]
fn a_stranger_does_not_speak_the_proxy_protocol() {
    let server = server(Proxies { protocol: vec!["10.0.0.0/8".parse().unwrap()], ..Proxies::default() });
    let mut conn = server.connect();
    conn.send(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    conn.response_to("GET").expect_problem(400, "bad_request");
}

#[test]
fn connections_behind_the_proxy_protocol_count_for_their_address_also_between_requests() {
    let server = speaking();
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
    let page = b"GET /channels/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let ask = |line: &[u8]| {
        let mut conn = server.connect();
        conn.send([line, page].concat());
        (conn.response_to("GET").status(), conn)
    };
    let (first, _kept) = ask(line);
    assert_eq!(first, 200);
    assert_eq!(ask(line).0, 429);
    assert_eq!(ask(b"PROXY TCP4 192.0.2.2 198.51.100.1 56324 443\r\n").0, 200);
}

#[test]
fn where_a_proxy_says_nothing_that_can_be_read_its_own_address_counts() {
    let server = trusting("127.0.0.1", Header::Forwarded);
    let _first = stream(&server, "Forwarded", "for=9.9.9.1;by=\", for=192.0.2.1").unwrap();
    assert_eq!(stream(&server, "Forwarded", "for=9.9.9.2;by=\", for=192.0.2.1").err(), Some(429));
    assert_eq!(stream(&server, "Forwarded", "for=unknown").err(), Some(429));
    stream(&server, "Forwarded", "for=192.0.2.1").unwrap();
}

#[test]
fn of_ipv6_the_network_of_a_customer_counts_as_one_address() {
    let server = speaking();
    let line = |source: &str| format!("PROXY TCP6 {source} 2001:db8:ffff::1 56324 443\r\n").into_bytes();
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".to_vec();
    binary.extend([0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7]);
    binary.extend([0; 20]);
    let first = stream_of(behind(&server, &line("2001:db8:1:2:a:b:c:d")));
    assert!(first.is_ok());
    assert_eq!(stream_of(behind(&server, &line("2001:db8:1:2::1"))).err(), Some(429));
    assert_eq!(stream_of(behind(&server, &binary)).err(), Some(429));
    let second = stream_of(behind(&server, &line("2001:db8:1:3::1")));
    assert!(second.is_ok());
    // An IPv4 address that is written as IPv6 is one of its own.
    let third = stream_of(behind(&server, &line("::ffff:192.0.2.1")));
    assert!(third.is_ok());
    let fourth = stream_of(behind(&server, &line("::ffff:192.0.2.2")));
    assert!(fourth.is_ok());
    let again = behind(&server, b"PROXY TCP4 192.0.2.2 198.51.100.1 56324 443\r\n");
    assert_eq!(stream_of(again).err(), Some(429));
}
