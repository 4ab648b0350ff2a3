//! A server that stops tells every client.

use std::time::{Duration, Instant};
use switchboard_testkit::{Conn, Item, PATIENCE, Piece, Server, config, eventually, free_port, json, prometheus};

/// Drains the server on a thread, and gives the thread.
fn draining(server: Server) -> std::thread::JoinHandle<Duration> {
    std::thread::spawn(move || {
        let began = Instant::now();
        server.drain();
        began.elapsed()
    })
}

#[test]
fn every_client_is_told_within_3_seconds() {
    let mut config = config();
    config.drain = Duration::from_secs(60);
    config.timeouts.close = Duration::from_secs(60);
    let server = Server::start(config);
    let first = server.publish("a", "1");
    let mut sse = server.sse("/channels/a");
    let mut lines = server.lines("/channels/a");
    let mut raw = server.websocket("/channels/a");
    let mut event = server.websocket("/channels?channel=a");
    let mut body = server.stream("/channels/a?form=raw", &[("Accept", "application/x-ndjson")]);
    let mut poll = server.connect();
    poll.ask("GET", &format!("/channels/a?since={first}&wait=60"), &[], None);
    let mut idle = server.connect();
    idle.get("/healthz").expect(200);
    sse.notice("$open");
    lines.notice("$open");
    event.notice("$open");
    server.await_readers("a", 6);
    let began = Instant::now();
    let thread = draining(server);

    let mut retry = None;
    let closing = loop {
        match sse.next() {
            Item::Retry(told) => retry = Some(told),
            Item::Block(block) => break block,
            Item::Comment(_) => {}
            end => panic!("{end:?}"),
        }
    };
    assert!(retry.is_some_and(|retry| retry > 0), "a `retry:` comes before `$closing`");
    assert_eq!((closing.event.as_str(), closing.id), ("$closing", None));
    let told: switchboard_testkit::Value = serde_json::from_str(&closing.data).unwrap();
    assert_eq!((&told["code"], &told["reconnect"]), (&json!("draining"), &json!(true)));
    assert!(told["reason"].is_string());
    assert_eq!(sse.rest(), (vec![], true));
    assert_eq!(lines.notice("$closing"), told);
    assert_eq!(lines.rest(), (vec![], true));
    raw.expect_close(1012);
    assert_eq!(event.notice("$closing"), told);
    event.expect_close(1012);
    assert_eq!(body.next(), Piece::Cut, "the channel has not ended, so a raw body is not complete");
    let page = poll.response_to("GET");
    assert!(matches!(page.status(), 200 | 503), "a poll is answered: {page}");
    if page.status() == 200 {
        assert_eq!((&page.json()["events"], &page.json()["position"]), (&json!([]), &json!(first)));
    }
    idle.expect_close();
    assert!(began.elapsed() < Duration::from_secs(3), "told after {:?}", began.elapsed());
    let took = thread.join().unwrap();
    assert!(took < PATIENCE, "{took:?}");
}

#[test]
fn retry_is_jittered_when_a_crowd_is_sent_away() {
    let server = Server::new();
    let mut crowd: Vec<_> = (0..20)
        .map(|_| {
            let mut sse = server.sse("/channels/a");
            sse.notice("$open");
            sse
        })
        .collect();
    let thread = draining(server);
    let mut told: Vec<u64> = crowd
        .iter_mut()
        .map(|sse| {
            loop {
                match sse.next() {
                    Item::Retry(told) => break told,
                    Item::Comment(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        })
        .collect();
    told.sort_unstable();
    told.dedup();
    assert!(told.len() > 5, "they would all come back at once: {told:?}");
    drop(crowd);
    thread.join().unwrap();
}

#[test]
fn a_drain_does_not_wait_for_clients_that_do_not_read_or_answer() {
    let mut config = config();
    config.drain = Duration::from_secs(2);
    config.timeouts.close = Duration::from_secs(1);
    let server = Server::start(config);
    let silent = server.websocket("/channels/a");
    let hanging = server.sse("/channels/a");
    let mut begun = server.connect();
    begun.ask("POST", "/channels/a", &[("Content-Length", "10")], None);
    begun.send("half");
    let mut conn = server.connect();
    for _ in 0..50 {
        conn.publish("a", "x".repeat(500_000));
    }
    let took = draining(server).join().unwrap();
    assert!(took < PATIENCE, "{took:?}");
    drop((silent, hanging));
}

#[test]
fn a_request_that_is_being_answered_is_answered() {
    let server = Server::new();
    let mut conn = server.connect();
    conn.ask("POST", "/channels/a", &[("Content-Length", "5"), ("Expect", "100-continue")], None);
    // It is being answered once the server asks for the body.
    assert_eq!(conn.take_through(b"\r\n\r\n").unwrap(), b"HTTP/1.1 100 Continue\r\n\r\n");
    conn.send("hel");
    let mut other = server.sse("/channels/b");
    other.notice("$open");
    let thread = draining(server);
    // The drain has begun once another client is told.
    other.notice("$closing");
    conn.send("lo");
    let answer = conn.response_to("POST");
    assert!(matches!(answer.status(), 201 | 503), "{answer}");
    assert!(!answer.head.keeps_alive(), "{answer}");
    conn.expect_close();
    thread.join().unwrap();
}

#[test]
fn after_a_drain_nobody_is_accepted_and_the_port_is_free() {
    let mut config = config();
    config.listen = vec![([127, 0, 0, 1], free_port()).into()];
    let server = Server::start(config.clone());
    let address = server.address();
    assert_eq!([address], config.listen[..]);
    server.drain();
    assert!(std::net::TcpStream::connect_timeout(&address, PATIENCE).is_err());
    let again = Server::start(config);
    Conn::open(again.address()).get("/healthz").expect(200);
}

#[test]
fn events_published_before_a_drain_reach_readers_before_closing() {
    let server = Server::new();
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    let mut conn = server.connect();
    for i in 0..100 {
        conn.publish("a", i.to_string());
    }
    let thread = draining(server);
    for i in 0..100 {
        assert_eq!(sse.event().data, i.to_string());
    }
    sse.notice("$closing");
    drop(conn);
    thread.join().unwrap();
}

#[test]
fn a_stream_of_events_is_told_between_two_of_them_and_keeps_what_was_appended() {
    let server = Server::new();
    let mut reader = server.lines("/channels/a");
    reader.notice("$open");
    let mut conn = server.connect();
    let fields = [("Transfer-Encoding", "chunked"), ("Content-Type", "application/x-ndjson")];
    conn.ask("POST", "/channels/a", &fields, None);
    conn.send("b\r\n{\"data\":1}\n\r\n");
    assert_eq!(reader.event()["data"], 1);
    let thread = draining(server);
    let answer = conn.response_to("POST").expect(503);
    assert_eq!((&answer.json()["code"], &answer.json()["appended"]), (&json!("draining"), &json!(1)));
    assert!(thread.join().unwrap() < PATIENCE);
}

#[test]
fn a_drain_does_not_wait_for_newcomers_who_have_yet_to_be_let_in() {
    let mut config = config();
    config.drain = Duration::from_secs(60);
    config.limits.accepts = Some(1);
    let server = Server::start(config);
    let mut newcomers: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    newcomers[0].get("/healthz").expect(200);
    let took = draining(server).join().unwrap();
    // One a second of them would take twenty.
    assert!(took < PATIENCE, "{took:?}");
    newcomers.iter_mut().for_each(Conn::expect_close);
}

#[test]
fn a_drain_does_not_wait_for_the_header_of_a_proxy() {
    let mut config = config();
    config.proxies.protocol = vec!["127.0.0.1".parse().unwrap()];
    config.drain = Duration::from_secs(60);
    config.timeouts.head = Duration::from_secs(60);
    let server = Server::start(config);
    let (mut silent, mut begun) = (server.connect(), server.connect());
    begun.send("PROXY TCP4 192.0.2.1 ");
    let mut known = server.connect();
    known.send("PROXY UNKNOWN\r\n");
    known.get("/healthz").expect(200);
    let took = draining(server).join().unwrap();
    assert!(took < PATIENCE, "{took:?}");
    for conn in [&mut silent, &mut begun, &mut known] {
        conn.expect_close();
    }
}

/// A look along all that the log holds goes on step by step, beside those of all others: nobody is to wait for it to its end.
#[test]
fn a_drain_does_not_wait_for_long_looks_and_who_asked_is_told() {
    let mut config = config();
    config.shards = Some(1);
    config.drain = Duration::from_secs(60);
    let server = Server::start(config);
    let target = "/channels?channel=none/*&since=earliest";
    let waiting = format!("{target}&wait=60");
    let mut polls: Vec<Conn> = (0..64).map(|_| server.connect()).collect();
    polls.iter_mut().for_each(|conn| conn.ask("GET", &waiting, &[], None));
    let figure = |server: &Server, name| prometheus::parse(&server.get("/metrics").expect(200).text())[name];
    eventually("all polls wait", || figure(&server, "switchboard_readers_poll") == 64.0);
    let channels: Vec<String> = (0..5000).map(|number| format!("other/{number}")).collect();
    let batch = json!([{ "channels": channels, "data": 1 }]).to_string();
    for _ in 0..4 {
        server.post("/api/publish", &[("Content-Type", "application/json")], &batch).expect(201);
    }
    let asked = |server: &Server| figure(server, "switchboard_requests_total");
    let before = asked(&server);
    let ask = |fields: &[_]| {
        let mut conn = server.connect();
        conn.ask("GET", target, fields, None);
        conn
    };
    let mut pages: Vec<Conn> = (0..128).map(|_| ask(&[])).collect();
    let mut streams: Vec<Conn> = (0..128).map(|_| ask(&[("Accept", "text/event-stream")])).collect();
    let mut more = 0.0;
    eventually("all have asked", || {
        more += 1.0;
        asked(&server) - more >= before + 256.0
    });
    let took = draining(server).join().unwrap();
    // Their turns together would take half a minute.
    assert!(took < PATIENCE, "{took:?}");
    for poll in &mut polls {
        poll.response_to("GET").expect(200);
    }
    for page in &mut pages {
        let answer = page.response_to("GET");
        assert!(matches!(answer.status(), 200 | 503), "{answer}");
    }
    for stream in &mut streams {
        let told = stream.take_through(b"$closing").unwrap();
        assert!(told.starts_with(b"HTTP/1.1 200 "), "{}", told.escape_ascii());
    }
}
