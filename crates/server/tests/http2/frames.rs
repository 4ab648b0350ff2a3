//! Sections 4.1, 4.2, 5.5, 6.1 to 6.4, 6.6 to 6.8 and 6.10: what each frame may be.

use crate::{connect, ends_the_connection, ends_the_connection_as, goes_on, is_ignored, resets};
use switchboard_testkit::http2::{Ended, data, error, fields, flag, frame, headers, kind, rst_stream};
use switchboard_testkit::{Server, hpack};

/// A request that is not finished, and one that is.
fn begun(stream: u32) -> Vec<u8> {
    headers(stream, &fields("POST", "/channels/a", &[]), false)
}

fn asked() -> Vec<u8> {
    hpack::encode(&fields("GET", "/healthz", &[]))
}

#[test]
fn s4_1_unknown_flags_and_the_reserved_bit_say_nothing() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send(frame(kind::PING, 0xfe, 0x8000_0000, b"undefine"));
    let answers = |frame: &switchboard_testkit::http2::Frame| frame.kind == kind::PING;
    assert_eq!(client.find(0, answers).unwrap().payload, b"undefine");
    client.send(frame(kind::HEADERS, 0xd2 | flag::END_HEADERS | flag::END_STREAM, 0x8000_0001, &asked()));
    client.response(1).expect(200);
}

#[test]
fn s4_2_frames_have_at_most_16384_bytes() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send([begun(1), data(1, vec![b'x'; 16_384], true)].concat());
    client.response(1).expect(201);
    ends_the_connection(&server, error::FRAME_SIZE_ERROR, [begun(1), data(1, vec![b'x'; 16_385], true)].concat());
    let huge = frame(kind::HEADERS, flag::END_HEADERS, 1, &[0; 16_385]);
    ends_the_connection(&server, error::FRAME_SIZE_ERROR, huge);
    ends_the_connection(&server, error::FRAME_SIZE_ERROR, frame(0x7f, 0, 0, &[0; 16_385]));
}

#[test]
fn s5_5_unknown_types_are_ignored() {
    let server = Server::new();
    let mut client = connect(&server);
    for stream in [0, 1, 77] {
        client.send(frame(0x7f, 0xff, stream, b"whatever"));
    }
    client.send([begun(1), frame(0xee, 0xff, 1, b"between"), data(1, "x", true)].concat());
    client.response(1).expect(201);
}

#[test]
fn s5_5_but_not_within_a_field_block() {
    let server = Server::new();
    let said = [frame(kind::HEADERS, 0, 1, &asked()), frame(0x7f, 0, 1, &[])].concat();
    ends_the_connection(&server, error::PROTOCOL_ERROR, said);
}

#[test]
fn s6_1_data_belongs_to_a_stream() {
    ends_the_connection(&Server::new(), error::PROTOCOL_ERROR, data(0, "x", false));
}

#[test]
fn s6_1_data_may_be_padded_and_padding_fits_the_frame() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send([begun(1), frame(kind::DATA, flag::PADDED, 1, b"\x04hel\0\0\0\0")].concat());
    client.send(frame(kind::DATA, flag::PADDED | flag::END_STREAM, 1, b"\0lo"));
    client.response(1).expect(201);
    assert_eq!(server.page("/channels/a")["events"][0]["data"], "hello");
    for foul in [&b"\x06hello"[..], b"\xffhello", b"\x01", b""] {
        let said = [begun(1), frame(kind::DATA, flag::PADDED | flag::END_STREAM, 1, foul)].concat();
        let code = if foul.is_empty() { error::FRAME_SIZE_ERROR } else { error::PROTOCOL_ERROR };
        let mut client = connect(&server);
        client.send(said);
        let ended = client.goaway();
        assert!(ended == code || (foul.is_empty() && ended == error::PROTOCOL_ERROR), "{foul:?}: {ended}");
    }
}

#[test]
fn s6_2_headers_belong_to_a_stream() {
    let said = frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 0, &asked());
    ends_the_connection(&Server::new(), error::PROTOCOL_ERROR, said);
}

#[test]
fn s6_2_headers_may_have_padding_and_priority() {
    let server = Server::new();
    let ends = flag::END_HEADERS | flag::END_STREAM;
    let mut client = connect(&server);
    let padded = [&[3], &asked()[..], &[0; 3]].concat();
    client.send(frame(kind::HEADERS, ends | flag::PADDED, 1, &padded));
    client.response(1).expect(200);
    let both = [&[2, 0, 0, 0, 1, 255], &asked()[..], &[0; 2]].concat();
    client.send(frame(kind::HEADERS, ends | flag::PADDED | flag::PRIORITY, 3, &both));
    client.response(3).expect(200);
    let most = [&[200], &asked()[..]].concat();
    ends_the_connection(&server, error::PROTOCOL_ERROR, frame(kind::HEADERS, ends | flag::PADDED, 1, &most));
}

#[test]
fn s6_3_priority_is_read_and_says_nothing() {
    let server = Server::new();
    // On idle streams, and on one that has ended.
    let mut client = is_ignored(&server, frame(kind::PRIORITY, 0, 99, &[0, 0, 0, 3, 15]));
    client.send(frame(kind::PRIORITY, 0, 101, &[0x80, 0, 0, 3, 15]));
    goes_on(&mut client, 103);
}

#[test]
fn s6_3_priority_has_five_bytes_and_a_stream() {
    let server = Server::new();
    ends_the_connection(&server, error::PROTOCOL_ERROR, frame(kind::PRIORITY, 0, 0, &[0, 0, 0, 3, 15]));
    let mut client = connect(&server);
    client.send([begun(1), frame(kind::PRIORITY, 0, 1, &[0; 4])].concat());
    let ended = client.ended(1);
    assert!(
        matches!(
            ended,
            Ended::Reset(error::FRAME_SIZE_ERROR) | Ended::GoAway(error::FRAME_SIZE_ERROR | error::PROTOCOL_ERROR)
        ),
        "{ended:?}"
    );
}

#[test]
fn s5_3_1_no_stream_depends_on_itself() {
    let server = Server::new();
    let itself = frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 1, 15]);
    resets(&server, 1, error::PROTOCOL_ERROR, [begun(1), itself].concat());
    let itself = [&[0, 0, 0, 1, 15], &asked()[..]].concat();
    let flags = flag::END_HEADERS | flag::END_STREAM | flag::PRIORITY;
    resets(&server, 1, error::PROTOCOL_ERROR, frame(kind::HEADERS, flags, 1, &itself));
}

#[test]
fn s6_4_rst_stream_has_four_bytes_and_a_stream_that_is_not_idle() {
    let server = Server::new();
    ends_the_connection(&server, error::PROTOCOL_ERROR, rst_stream(0, error::CANCEL));
    ends_the_connection(&server, error::PROTOCOL_ERROR, rst_stream(1, error::CANCEL));
    let short = [begun(1), frame(kind::RST_STREAM, 0, 1, &[0; 3])].concat();
    ends_the_connection_as(&server, error::FRAME_SIZE_ERROR, short);
    is_ignored(&server, [begun(1), rst_stream(1, 0x1234_5678)].concat());
}

#[test]
fn s6_6_a_client_promises_nothing() {
    let server = Server::new();
    let promise = [&[0, 0, 0, 2], &asked()[..]].concat();
    let said = [begun(1), frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &promise)].concat();
    ends_the_connection(&server, error::PROTOCOL_ERROR, said);
}

#[test]
fn s6_7_a_ping_is_answered_with_its_payload() {
    let server = Server::new();
    let mut client = connect(&server);
    client.ping();
    // An answer to what nobody asked is none of the server's business.
    client.send(frame(kind::PING, flag::ACK, 0, b"unasked!"));
    client.ping();
}

#[test]
fn s6_7_a_ping_has_eight_bytes_and_no_stream() {
    let server = Server::new();
    ends_the_connection_as(&server, error::FRAME_SIZE_ERROR, frame(kind::PING, 0, 0, &[0; 6]));
    ends_the_connection_as(&server, error::FRAME_SIZE_ERROR, frame(kind::PING, 0, 0, &[0; 9]));
    ends_the_connection(&server, error::PROTOCOL_ERROR, frame(kind::PING, 0, 1, &[0; 8]));
}

#[test]
fn s6_8_goaway_belongs_to_the_connection() {
    let server = Server::new();
    ends_the_connection(&server, error::PROTOCOL_ERROR, frame(kind::GOAWAY, 0, 1, &[0; 8]));
    ends_the_connection_as(&server, error::FRAME_SIZE_ERROR, frame(kind::GOAWAY, 0, 0, &[0; 7]));
}

#[test]
fn s6_8_what_was_asked_before_a_goaway_is_answered() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send([begun(1), frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0, b'b', b'y', b'e'])].concat());
    client.send(data(1, "the last", true));
    client.response(1).expect(201);
    while client.next().is_some() {}
    assert_eq!(server.page("/channels/a")["events"][0]["data"], "the last");
}

#[test]
fn s6_10_a_field_block_may_come_in_pieces() {
    let server = Server::new();
    let mut client = connect(&server);
    let block = asked();
    // HEADERS itself has none of it, and the last piece has nothing.
    let mut said = frame(kind::HEADERS, flag::END_STREAM, 1, &[]);
    for piece in block.chunks(32) {
        said.extend_from_slice(&frame(kind::CONTINUATION, 0, 1, piece));
    }
    said.extend_from_slice(&frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]));
    client.send(said);
    client.response(1).expect(200);
}

#[test]
fn s6_10_a_field_block_is_continued_by_its_own_stream_and_by_nothing_else() {
    let server = Server::new();
    let open = frame(kind::HEADERS, flag::END_STREAM, 1, &asked());
    for between in [
        frame(kind::CONTINUATION, flag::END_HEADERS, 3, &[]),
        frame(kind::PING, 0, 0, &[0; 8]),
        data(1, "x", false),
        headers(3, &fields("GET", "/healthz", &[]), true),
        rst_stream(1, error::CANCEL),
        frame(kind::SETTINGS, 0, 0, &[]),
        frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 15]),
    ] {
        ends_the_connection(&server, error::PROTOCOL_ERROR, [open.clone(), between].concat());
    }
}

#[test]
fn s6_10_a_continuation_alone_continues_nothing() {
    let server = Server::new();
    let alone = |stream| frame(kind::CONTINUATION, flag::END_HEADERS, stream, &asked());
    ends_the_connection(&server, error::PROTOCOL_ERROR, alone(1));
    ends_the_connection(&server, error::PROTOCOL_ERROR, alone(0));
    ends_the_connection(&server, error::PROTOCOL_ERROR, [begun(1), alone(1)].concat());
    let twice = [frame(kind::HEADERS, 0, 1, &asked()), frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]), alone(1)];
    ends_the_connection(&server, error::PROTOCOL_ERROR, twice.concat());
}
