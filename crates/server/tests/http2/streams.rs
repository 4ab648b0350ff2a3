//! Section 5.1: the states of a stream.

use crate::{connect, ends_the_connection, goes_on, is_ignored};
use switchboard_testkit::http2::{
    Ended, data, error, fields, flag, frame, headers, kind, rst_stream, setting, settings, window_update,
};
use switchboard_testkit::{Http2, Server, config};

fn begun(stream: u32) -> Vec<u8> {
    headers(stream, &fields("POST", "/channels/a", &[]), false)
}

/// Expects one of the two ways that section 5.1 has for a frame that comes too late.
#[track_caller]
fn is_closed(client: &mut Http2, stream: u32) {
    let ended = client.ended(stream);
    let by_order = ended == Ended::GoAway(error::PROTOCOL_ERROR);
    let closed = matches!(ended, Ended::Reset(error::STREAM_CLOSED) | Ended::GoAway(error::STREAM_CLOSED));
    assert!(closed || by_order, "{ended:?}");
}

#[test]
fn idle_takes_nothing_but_headers_and_priority() {
    let server = Server::new();
    ends_the_connection(&server, error::PROTOCOL_ERROR, data(1, "x", true));
    ends_the_connection(&server, error::PROTOCOL_ERROR, rst_stream(1, error::CANCEL));
    ends_the_connection(&server, error::PROTOCOL_ERROR, window_update(1, 1));
    ends_the_connection(&server, error::PROTOCOL_ERROR, frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]));
    is_ignored(&server, frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 15]));
}

#[test]
fn half_closed_takes_no_more_of_a_message() {
    let server = Server::new();
    for more in [data(1, "more", true), headers(1, &fields("GET", "/healthz", &[]), true)] {
        let mut client = connect(&server);
        client.sse(1, "/channels/a", &[]);
        client.send(more);
        is_closed(&mut client, 1);
    }
    server.await_readers("a", 0);
}

#[test]
fn half_closed_takes_window_updates_priority_and_resets() {
    let server = Server::new();
    let mut client = connect(&server);
    client.sse(1, "/channels/a", &[]);
    client.send([window_update(1, 1), frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 15])].concat());
    server.publish("a", "heard");
    client.text_through(1, "data: heard\n");
    client.send(rst_stream(1, error::CANCEL));
    server.await_readers("a", 0);
    goes_on(&mut client, 3);
}

#[test]
fn closed_by_both_sides_takes_no_more_of_a_message() {
    let server = Server::new();
    for more in [data(1, "more", true), headers(1, &fields("GET", "/healthz", &[]), true)] {
        let mut client = connect(&server);
        client.get(1, "/healthz").expect(200);
        client.send(more);
        let ended = client.ended(1);
        let by_number = ended == Ended::GoAway(error::PROTOCOL_ERROR);
        assert!(matches!(ended, Ended::GoAway(error::STREAM_CLOSED) | Ended::Reset(error::STREAM_CLOSED)) || by_number);
    }
}

#[test]
fn closed_takes_what_may_have_been_on_its_way() {
    let server = Server::new();
    let mut client = connect(&server);
    client.get(1, "/healthz").expect(200);
    let late = [window_update(1, 1), rst_stream(1, error::CANCEL), frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 15])];
    client.send(late.concat());
    goes_on(&mut client, 3);
}

#[test]
fn closed_by_the_clients_reset_takes_nothing() {
    let server = Server::new();
    for more in [data(1, "more", true), headers(1, &fields("GET", "/healthz", &[]), true)] {
        let mut client = connect(&server);
        client.sse(1, "/channels/a", &[]);
        client.send([rst_stream(1, error::CANCEL), more].concat());
        let ended = client.ended(1);
        let closed = matches!(ended, Ended::Reset(error::STREAM_CLOSED) | Ended::GoAway(error::STREAM_CLOSED));
        assert!(closed || ended == Ended::GoAway(error::PROTOCOL_ERROR), "{ended:?}");
    }
    server.await_readers("a", 0);
}

#[test]
fn closed_by_the_servers_reset_ignores_what_was_on_its_way() {
    let server = Server::new();
    let mut client = connect(&server);
    // Malformed, so it is reset; the rest of the request comes all the same.
    client.send(
        [headers(1, &fields("POST", "/channels/a", &[("connection", "close")]), false), data(1, "x", false)].concat(),
    );
    assert_eq!(client.ended(1), Ended::Reset(error::PROTOCOL_ERROR));
    client.send([data(1, "y", true), window_update(1, 9)].concat());
    goes_on(&mut client, 3);
}

#[test]
fn s5_1_1_a_clients_streams_are_odd_and_go_up() {
    let server = Server::new();
    let healthz = |stream| headers(stream, &fields("GET", "/healthz", &[]), true);
    ends_the_connection(&server, error::PROTOCOL_ERROR, healthz(2));
    let mut client = connect(&server);
    client.send(healthz(5));
    client.response(5).expect(200);
    client.send(healthz(3));
    let ended = client.ended(3);
    assert!(matches!(ended, Ended::GoAway(error::PROTOCOL_ERROR | error::STREAM_CLOSED)), "{ended:?}");
}

#[test]
fn s5_1_1_the_last_stream_of_all_is_served_and_none_behind_it() {
    let server = Server::new();
    let mut client = connect(&server);
    let last = 0x7fff_ffff;
    client.send(headers(last, &fields("GET", "/healthz", &[]), true));
    client.response(last).expect(200);
    client.ping();
}

#[test]
fn s5_1_2_streams_beyond_the_limit_are_refused_and_there_is_room_again_behind_them() {
    let mut config = config();
    config.limits.streams = 4;
    let server = Server::start(config);
    let mut client = connect(&server);
    for stream in [1, 3, 5, 7] {
        client.sse(stream, "/channels/a", &[]);
    }
    client.ask(9, "GET", "/healthz", &[], None);
    assert_eq!(client.ended(9), Ended::Reset(error::REFUSED_STREAM));
    server.publish("a", "1");
    for stream in [1, 3, 5, 7] {
        client.text_through(stream, "data: 1\n");
    }
    client.send(rst_stream(5, error::CANCEL));
    server.await_readers("a", 3);
    client.get(11, "/healthz").expect(200);
    // Another connection has a count of its own.
    connect(&server).get(1, "/healthz").expect(200);
}

#[test]
fn s5_1_2_the_clients_limit_is_on_what_the_server_opens_which_is_nothing() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send(settings(&[(setting::MAX_CONCURRENT_STREAMS, 0)]));
    goes_on(&mut client, 1);
}

#[test]
fn s5_4_2_a_reset_is_not_answered_with_a_reset() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send([begun(1), rst_stream(1, error::CANCEL)].concat());
    client.ping();
    client.send(rst_stream(1, error::CANCEL));
    client.ping();
    goes_on(&mut client, 3);
}
