//! How long somebody has a place of those that there are: as long as what takes it up.

use super::limits::{metric, server};
use std::time::Duration;
use switchboard::Config;
use switchboard_testkit::identity::{MASTER_KEY, bearer, token};
use switchboard_testkit::{Conn, Server, WebSocket, config, eventually};

/// A client that is told to go may stay for so long.
const CLOSE: Duration = Duration::from_secs(60);

/// Ends the channel that a client reads, who is told so and neither answers nor goes.
fn told_to_go(server: &Server, mut client: WebSocket, shown: &str) -> Conn {
    server.post("/channels/a?end=true", &[("Authorization", shown)], "").expect(201);
    assert_eq!(client.next_frame().map(|frame| frame.opcode), Some(8));
    client.conn
}

#[test]
fn a_user_has_the_place_of_a_stream_until_its_socket_is_gone() {
    let server = server(|config: &mut Config| {
        config.limits.user = Some(1);
        config.timeouts.close = CLOSE;
    });
    let (ann, master) = (bearer(&token("ann", &["**"])), bearer(MASTER_KEY));
    let fields = [("Authorization", &*ann)];
    let client = server.handshake("/channels/a", &fields).unwrap();
    let leaving = told_to_go(&server, client, &master);
    server.handshake("/channels/b", &fields).unwrap_err().expect_problem(429, "too_many");
    drop(leaving);
    eventually("there is room again", || server.handshake("/channels/b", &fields).is_ok());
}

#[test]
fn an_address_has_the_place_of_a_connection_until_its_socket_is_gone() {
    let mut config = config();
    config.limits.address = Some(2);
    config.timeouts.close = CLOSE;
    let server = Server::start(config);
    let client = server.websocket("/channels/a");
    let leaving = told_to_go(&server, client, "");
    let mut second = None;
    eventually("the connection that ended the channel is gone", || {
        second = server.handshake("/channels/b", &[]).ok();
        second.is_some()
    });
    server.get("/channels/b").expect_problem(429, "too_many");
    drop(leaving);
    eventually("there is room again", || server.get("/channels/b").status() == 200);
    drop(second);
    eventually("nobody is counted any more", || metric(&server, "switchboard_limited_addresses") <= 1.0);
}

#[test]
fn a_poll_that_waits_for_nothing_takes_up_nothing() {
    let server = server(|config: &mut Config| config.limits.user = Some(1));
    let ann = bearer(&token("ann", &["**"]));
    let fields = [("Authorization", &*ann)];
    server.connect().sse("/channels/a", &fields).notice("$open");
    let mut sse = server.connect().sse("/channels/a", &fields);
    eventually("the first is gone", || {
        sse = server.connect().sse("/channels/a", &fields);
        sse.block().event == "$open"
    });
    let page = server.get_with("/channels/a?since=latest&wait=0", &fields).expect(200).json();
    assert_eq!(page["events"], switchboard_testkit::json!([]));
    server.get_with("/channels/a?since=latest&wait=1", &fields).expect_problem(429, "too_many");
}
