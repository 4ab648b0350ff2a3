//! Section 6.5: SETTINGS.

use crate::{connect, ends_the_connection, ends_the_connection_as, goes_on, is_ignored};
use switchboard_testkit::http2::{error, flag, frame, kind, setting, settings};
use switchboard_testkit::{Http2, Server};

#[test]
fn s6_5_an_acknowledgement_has_no_payload() {
    let server = Server::new();
    ends_the_connection_as(&server, error::FRAME_SIZE_ERROR, frame(kind::SETTINGS, flag::ACK, 0, &[0; 6]));
}

#[test]
fn s6_5_settings_are_the_connections() {
    ends_the_connection(&Server::new(), error::PROTOCOL_ERROR, frame(kind::SETTINGS, 0, 1, &[]));
}

#[test]
fn s6_5_settings_have_six_bytes_each() {
    let server = Server::new();
    for length in [1, 5, 7, 13] {
        ends_the_connection_as(&server, error::FRAME_SIZE_ERROR, frame(kind::SETTINGS, 0, 0, &vec![0; length]));
    }
}

#[test]
fn s6_5_2_values_lie_within_their_bounds() {
    let server = Server::new();
    for (name, value, code) in [
        (setting::ENABLE_PUSH, 2, error::PROTOCOL_ERROR),
        (setting::INITIAL_WINDOW_SIZE, 1 << 31, error::FLOW_CONTROL_ERROR),
        (setting::MAX_FRAME_SIZE, 16_383, error::PROTOCOL_ERROR),
        (setting::MAX_FRAME_SIZE, 1 << 24, error::PROTOCOL_ERROR),
        (setting::ENABLE_CONNECT_PROTOCOL, 2, error::PROTOCOL_ERROR),
    ] {
        ends_the_connection_as(&server, code, settings(&[(name, value)]));
    }
    for (name, value) in [
        (setting::ENABLE_PUSH, 0),
        (setting::ENABLE_PUSH, 1),
        (setting::INITIAL_WINDOW_SIZE, (1 << 31) - 1),
        (setting::MAX_FRAME_SIZE, 16_384),
        (setting::MAX_FRAME_SIZE, (1 << 24) - 1),
        (setting::MAX_CONCURRENT_STREAMS, 0),
        (setting::MAX_HEADER_LIST_SIZE, 0),
        (setting::HEADER_TABLE_SIZE, 0),
    ] {
        is_ignored(&server, settings(&[(name, value)]));
    }
}

#[test]
fn s6_5_2_unknown_settings_are_ignored() {
    is_ignored(&Server::new(), settings(&[(0x7fff, 7), (0, 0), (0xffff, u32::MAX)]));
}

#[test]
fn s6_5_3_each_is_acknowledged_in_its_order_and_the_later_value_holds() {
    let server = Server::new();
    server.publish("a", "x".repeat(1000));
    let mut client = connect(&server);
    client.grants = false;
    client.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 5), (setting::INITIAL_WINDOW_SIZE, 100)]));
    client.find(0, |frame| frame.kind == kind::SETTINGS && frame.flags == flag::ACK).unwrap();
    client.send(settings(&[(setting::MAX_FRAME_SIZE, 20_000)]));
    client.find(0, |frame| frame.kind == kind::SETTINGS && frame.flags == flag::ACK).unwrap();
    client.ask(1, "GET", "/channels/a?since=earliest", &[], None);
    client.head(1);
    assert_eq!(client.part(1).unwrap().payload.len(), 100);
    goes_on(&mut client, 3);
}

#[test]
fn s4_2_no_frame_of_the_servers_is_larger_than_the_client_takes() {
    let server = Server::new();
    server.publish("a", "x".repeat(300_000));
    for most in [None, Some(100_000)] {
        let mut own = vec![(setting::INITIAL_WINDOW_SIZE, 1 << 20)];
        own.extend(most.map(|most| (setting::MAX_FRAME_SIZE, most)));
        let mut client = Http2::open_with(server.address(), &own);
        client.ask(1, "GET", "/channels/a?since=earliest", &[], None);
        client.head(1);
        let (mut largest, mut sum) = (0, 0);
        loop {
            let part = client.part(1).unwrap();
            largest = largest.max(part.payload.len());
            sum += part.payload.len();
            if part.ends_stream() {
                break;
            }
        }
        assert!(sum > 300_000 && largest <= most.unwrap_or(16_384) as usize, "{largest} of {sum}");
    }
}
