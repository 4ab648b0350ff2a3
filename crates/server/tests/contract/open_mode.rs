//! "Open mode": loopback only, for hosts and for web pages.

use std::net::SocketAddr;
use switchboard::StartError;
use switchboard_testkit::{Field, Response, Server, config};

const LOOPBACK_HOSTS: &[&str] = &[
    "localhost",
    "localhost:8000",
    "LOCALHOST",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.1.2.3",
    "127.255.255.254:65535",
    "[::1]",
    "[::1]:8000",
];
const FOREIGN_HOSTS: &[&str] = &[
    "example.com",
    "192.168.1.1",
    "10.0.0.1:8000",
    "0.0.0.0",
    "[::2]",
    "[::]",
    "localhost.example.com",
    "127.0.0.1.example.com",
    "127.example.com",
    "notlocalhost",
    "128.0.0.1",
    "example.com:127",
];

#[test]
fn it_accepts_only_a_loopback_host() {
    let server = Server::new();
    for host in LOOPBACK_HOSTS {
        server.get_with("/channels/a", &[("Host", host)]).expect(200);
    }
    for host in FOREIGN_HOSTS {
        for target in ["/channels/a", "/healthz", "/api/channels", "/nowhere"] {
            server.get_with(target, &[("Host", host)]).expect_problem(421, "misdirected");
        }
        server.post("/channels/a", &[("Host", host)], "x").expect_problem(421, "misdirected");
        server.handshake("/channels/a", &[("Host", host)]).unwrap_err().expect_problem(421, "misdirected");
        server.get_with("/channels/a", &[("Host", host), ("Accept", "text/event-stream")]).expect(421);
    }
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), 0);
    for bad in ["", "local host", "localhost:port", "[::1", "localhost:8000:1", "user@localhost"] {
        let answer = server.get_with("/channels/a", &[("Host", bad)]);
        assert!(matches!(answer.status(), 400 | 421), "{bad:?}: {answer}");
    }
    server.is_alive();
}

#[test]
fn the_host_of_an_absolute_target_counts() {
    let server = Server::new();
    // RFC 9112 section 3.2.2: the field is ignored then.
    server.get("http://example.com/channels/a").expect_problem(421, "misdirected");
    server.get("http://localhost/channels/a").expect(200);
}

const LOOPBACK_ORIGINS: &[&str] = &[
    "http://localhost",
    "http://localhost:3000",
    "https://localhost:8443",
    "http://127.0.0.1:5173",
    "http://127.8.8.8",
    "http://[::1]:3000",
];
const FOREIGN_ORIGINS: &[&str] = &[
    "null",
    "https://example.com",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com:3000",
    "http://192.168.0.1",
    "http://0.0.0.0",
    "file://",
    "http://evil.com#localhost",
    "chrome-extension://localhost.evil",
    "localhost",
    "",
];

#[test]
fn where_there_is_an_origin_it_is_a_loopback_one_on_any_port() {
    let server = Server::new();
    for origin in LOOPBACK_ORIGINS {
        let answer = server.get_with("/channels/a", &[("Origin", origin)]).expect(200);
        assert_eq!(answer.field("access-control-allow-origin"), Some(*origin));
        assert_eq!(server.handshake("/channels/a", &[("Origin", origin)]).unwrap().head.status, 101);
        server.post("/channels/a", &[("Origin", origin)], "x").expect(201);
    }
    let before = server.page("/channels/a")["events"].as_array().unwrap().len();
    for origin in FOREIGN_ORIGINS {
        let fields = [("Origin", *origin)];
        for answer in [
            server.get_with("/channels/a", &fields),
            server.post("/channels/a", &fields, "x"),
            server.request("DELETE", "/channels/a", &fields, None),
            server.post("/api/publish", &fields, r#"[{"channels":["a"],"data":1}]"#),
            server.get_with("/api/channels", &fields),
            server.handshake("/channels/a", &fields).unwrap_err(),
            server.get_with("/channels/a", &[("Origin", origin), ("Accept", "text/event-stream")]),
        ] {
            assert!(answer.field("access-control-allow-origin").is_none(), "{origin:?}: {answer}");
            answer.expect_problem(403, "forbidden_origin");
        }
    }
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), before, "no page drove the server");
}

fn preflight(server: &Server, target: &str, fields: &[Field<'_>]) -> Response {
    server.request("OPTIONS", target, fields, None)
}

#[test]
fn a_preflight_is_answered_with_what_a_page_may_send() {
    let server = Server::new();
    let wanted = "content-type, idempotency-key, last-event-id, prefer, if-none-match";
    for target in ["/channels/a", "/channels?channel=a", "/api/publish"] {
        for method in if target == "/api/publish" { &["POST"][..] } else { &["GET"] } {
            let answer = preflight(
                &server,
                target,
                &[
                    ("Origin", "http://localhost:3000"),
                    ("Access-Control-Request-Method", method),
                    ("Access-Control-Request-Headers", wanted),
                ],
            );
            assert!((200..300).contains(&answer.status()), "{answer}");
            assert_eq!(answer.field("access-control-allow-origin"), Some("http://localhost:3000"));
            let lists = |name: &str, member: &str| answer.head.lists(name, member) || answer.head.lists(name, "*");
            assert!(lists("access-control-allow-methods", method), "{answer}");
            for name in wanted.split(", ") {
                assert!(lists("access-control-allow-headers", name), "{name}: {answer}");
            }
            assert!(answer.head.lists("vary", "origin"), "{answer}");
        }
    }
    for method in ["POST", "DELETE"] {
        let fields = [("Origin", "http://localhost:3000"), ("Access-Control-Request-Method", method)];
        let answer = preflight(&server, "/channels/a", &fields);
        assert!((200..300).contains(&answer.status()), "{answer}");
        assert!(answer.head.lists("access-control-allow-methods", method), "{answer}");
    }
    let fields = [("Origin", "https://example.com"), ("Access-Control-Request-Method", "POST")];
    let answer = preflight(&server, "/channels/a", &fields).expect(403);
    assert!(answer.field("access-control-allow-origin").is_none(), "{answer}");
}

#[test]
fn answers_to_a_page_name_its_origin_and_vary_by_it() {
    let server = Server::new();
    let origin = "http://localhost:3000";
    let fields = [("Origin", origin)];
    let sse = server.connect().sse("/channels/a", &fields);
    let lines = server.connect().lines("/channels/a", &fields);
    for head in [
        sse.stream.head.clone(),
        lines.stream.head.clone(),
        server.get_with("/channels/a", &fields).head,
        server.post("/channels/a", &fields, "x").head,
        server.get_with("/api/channels", &fields).head,
        // A page must be able to read why it was refused.
        server.post("/channels/a/..", &fields, "x").head,
        server.get_with("/nowhere", &fields).head,
    ] {
        assert_eq!(head.field("access-control-allow-origin"), Some(origin), "{}", head.raw);
        assert!(head.lists("vary", "origin"), "{}", head.raw);
    }
    let page = server.get_with("/channels/a", &fields);
    assert!(page.head.lists("access-control-expose-headers", "etag"), "a page may validate: {page}");
}

#[test]
fn a_cacheable_page_varies_by_origin_even_without_one() {
    let server = Server::new();
    let first = server.publish("a", "1");
    server.publish("a", "2");
    // Else a cache gives a page of another origin an answer without the permission that it needs.
    let answer = server.get(&format!("/channels/a?since={first}&transport=poll")).expect(200);
    assert!(answer.head.lists("vary", "origin"), "{answer}");
}

#[test]
fn it_allows_everything_api_too() {
    let server = Server::new();
    server.publish("a", "1");
    server.get("/api/channels").expect(200);
    assert!(server.post("/api/publish", &[], "[]").status() < 300);
    server.delete("/channels/a").expect(204);
}

#[test]
fn addresses_other_than_loopback_refuse_to_start() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let address: SocketAddr = address.parse().unwrap();
        let mut config = config();
        config.listen.push(address);
        match switchboard::start(config) {
            Err(StartError::Public(told)) => assert_eq!(told, address),
            Err(other) => panic!("{address}: {other:?}"),
            Ok(_) => panic!("{address}: it started"),
        }
    }
    let mut config = config();
    config.listen = vec!["0.0.0.0:0".parse().unwrap()];
    config.insecure = true;
    let running = switchboard::start(config).unwrap();
    running.drain();
}

#[test]
fn it_listens_on_every_address_it_is_given() {
    let mut config = config();
    config.listen = vec!["127.0.0.1:0".parse().unwrap(), "127.0.0.2:0".parse().unwrap()];
    let server = Server::start(config);
    let addresses = server.addresses();
    assert_eq!(addresses.len(), 2);
    let mut reader = switchboard_testkit::Conn::open(addresses[1]).lines("/channels/a", &[]);
    reader.notice("$open");
    switchboard_testkit::Conn::open(addresses[0]).publish("a", "x");
    assert_eq!(reader.event()["data"], "x");
}
