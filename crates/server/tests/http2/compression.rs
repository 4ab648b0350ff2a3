//! Section 4.3: field blocks that are none.

use crate::{connect, ends_the_connection};
use switchboard_testkit::http2::{error, fields, flag, frame, kind};
use switchboard_testkit::{Server, hpack};

fn block(bytes: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, bytes)
}

#[test]
fn what_cannot_be_decoded_ends_the_connection() {
    let server = Server::new();
    let request = hpack::encode(&fields("GET", "/healthz", &[]));
    let behind = |foul: &[u8]| [&request[..], foul].concat();
    for (foul, why) in [
        (behind(&[0x80]), "index 0"),
        (behind(&[0xbe]), "an entry that the table does not have"),
        (behind(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), "an integer without end"),
        (behind(&[0x00, 0x03, b'a']), "a name that is cut off"),
        (behind(&[0x00, 0x01, b'a', 0x7f, 0xff]), "a value that is cut off"),
        (behind(&[0x00, 0x01, b'a', 0x81, 0x00]), "padding that is not of ones"),
        (behind(&[0x00, 0x01, b'a', 0x84, 0xff, 0xff, 0xff, 0xff]), "the end of a string within a string"),
        (behind(&[0x20]), "an update of the table's size behind a field"),
        ([&[0x3f, 0xff, 0xff, 0x7f], &request[..]].concat(), "a table larger than was allowed"),
    ] {
        let mut client = connect(&server);
        client.send(block(&foul));
        let code = client.goaway();
        assert!(matches!(code, error::COMPRESSION_ERROR | error::PROTOCOL_ERROR), "{why}: {code}");
    }
}

#[test]
fn a_block_is_decoded_though_its_request_is_refused_so_that_the_table_stays_in_step() {
    let server = Server::new();
    let mut client = connect(&server);
    // `x-kept: kept` goes into the table with a request that is malformed, and is used by the next.
    let mut first = hpack::encode(&fields("GET", "/healthz", &[("connection", "close")]));
    first.push(0x40);
    hpack::string(&mut first, b"last-event-id");
    hpack::string(&mut first, b"latest");
    client.send(block(&first));
    assert_eq!(client.ended(1), switchboard_testkit::http2::Ended::Reset(error::PROTOCOL_ERROR));
    let second = [&hpack::encode(&fields("GET", "/channels/a", &[]))[..], &[0xbe]].concat();
    client.send(frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 3, &second));
    client.response(3).expect(200);
}

#[test]
fn the_table_may_be_made_small_and_large_again() {
    let server = Server::new();
    let mut client = connect(&server);
    let mut said = vec![0x20, 0x3f, 0xe1, 0x1f];
    said.extend_from_slice(&hpack::encode(&fields("GET", "/healthz", &[])));
    client.send(block(&said));
    client.response(1).expect(200);
}

#[test]
fn a_block_that_is_not_finished_when_the_connection_ends_is_no_request() {
    let server = Server::new();
    let mut client = connect(&server);
    let request = hpack::encode(&fields("POST", "/channels/a?end=true", &[]));
    client.send(frame(kind::HEADERS, flag::END_STREAM, 1, &request));
    client.cut();
    server.is_alive();
    assert_eq!(server.page("/channels/a")["ended"], switchboard_testkit::Value::Null);
    let said = [frame(kind::HEADERS, flag::END_STREAM, 1, &request), frame(kind::HEADERS, 0, 3, &request)].concat();
    ends_the_connection(&server, error::PROTOCOL_ERROR, said);
}
