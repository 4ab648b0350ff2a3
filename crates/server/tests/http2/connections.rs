//! What a connection counts for, and what becomes of one that is not let in.

use crate::{connect, goes_on};
use switchboard_testkit::http2::{error, setting};
use switchboard_testkit::{Http2, Server, config, eventually, prometheus};

fn connections(server: &Server) -> f64 {
    prometheus::parse(&server.get("/metrics").expect(200).text())["switchboard_connections"]
}

#[test]
fn one_beyond_the_limit_is_told_so_on_its_first_stream_and_to_go() {
    let mut config = config();
    config.connections = Some(2);
    let server = Server::start(config);
    let mut held: Vec<Http2> = (0..2).map(|_| connect(&server)).collect();
    for client in &mut held {
        client.sse(1, "/channels/a", &[]);
    }
    let mut beyond = connect(&server);
    beyond.ask(1, "GET", "/channels/a", &[], None);
    let answer = beyond.response(1).expect_problem(503, "overloaded");
    assert!(answer.field("retry-after").is_some(), "{answer}");
    assert_eq!(beyond.farewell().1, error::NO_ERROR);
    while beyond.next().is_some() {}
    held.clear();
    eventually("there is room", || {
        let mut client = connect(&server);
        client.ask(1, "GET", "/healthz", &[], None);
        client.try_response(1).is_ok_and(|answer| answer.status() == 200)
    });
}

#[test]
fn a_connection_counts_once_however_many_streams_it_has() {
    let mut config = config();
    config.connections = Some(3);
    let server = Server::start(config);
    let mut client = connect(&server);
    for n in 0..50 {
        client.sse(2 * n + 1, "/channels/a", &[]);
    }
    assert_eq!(connections(&server), 2.0, "this one, and the one that asks");
    assert_eq!(client.setting(setting::MAX_CONCURRENT_STREAMS), Some(256));
}

#[test]
fn one_that_is_dropped_in_whatever_state_leaves_nothing_behind() {
    let server = Server::new();
    let begin: [fn(&mut Http2); 5] = [
        |_| {},
        |client| client.sse(1, "/channels/a", &[]),
        |client| {
            client.send(switchboard_testkit::http2::headers(
                1,
                &switchboard_testkit::http2::fields("POST", "/channels/a", &[]),
                false,
            ));
        },
        |client| client.ask(1, "GET", "/channels/a?wait=60&since=latest", &[], None),
        |client| drop(crate::websocket::open(client, 1, "/channels/a", &[])),
    ];
    for begin in begin {
        let mut client = connect(&server);
        begin(&mut client);
        client.ping();
        client.cut();
    }
    eventually("the one that asks is left", || connections(&server) == 1.0);
    server.await_readers("a", 0);
}

#[test]
fn http_1_1_and_http_2_share_a_port_and_the_log() {
    let server = Server::new();
    let mut client = connect(&server);
    client.sse(1, "/channels/a", &[]);
    let mut old = server.sse("/channels/a");
    old.notice("$open");
    client.ask(3, "POST", "/channels/a", &[], Some(b"from one to the other"));
    let id = client.response(3).expect(201).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(old.event().id.as_deref(), Some(id.as_str()));
    client.text_through(1, &format!("id: {id}\n"));
    goes_on(&mut client, 5);
    assert_eq!(prometheus::parse(&server.get("/metrics").expect(200).text())["switchboard_http2_total"], 1.0);
}
