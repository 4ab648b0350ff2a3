//! "Strictness", on a WebSocket: RFC 6455, refusal by refusal.

use switchboard_testkit::websocket::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, frame_with};
use switchboard_testkit::{Message, Server, config};

/// Sends these bytes on a WebSocket of each form, and expects a close with this code.
#[track_caller]
fn closes(server: &Server, bytes: impl AsRef<[u8]>, code: u16) {
    let mut socket = server.websocket("/channels/a");
    socket.conn.send(bytes.as_ref());
    socket.expect_close(code);
}

#[test]
fn unmasked_frames_close_with_1002() {
    let server = Server::new();
    closes(&server, b"\x81\x05hello", 1002);
    closes(&server, b"\x89\x00", 1002);
    closes(&server, b"\x88\x00", 1002);
    let mut socket = server.websocket("/channels?channel=a");
    socket.notice("$open");
    socket.conn.send(b"\x89\x00");
    socket.expect_close(1002);
    server.is_alive();
}

#[test]
fn reserved_bits_close_with_1002() {
    let server = Server::new();
    for bit in [0x10, 0x20, 0x40, 0x70] {
        closes(&server, frame_with(0x80 | bit | TEXT, b"x"), 1002);
        closes(&server, frame_with(0x80 | bit | PING, b"x"), 1002);
    }
}

#[test]
fn reserved_opcodes_close_with_1002() {
    let server = Server::new();
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        closes(&server, frame(true, opcode, b""), 1002);
    }
}

#[test]
fn oversized_control_frames_close_with_1002() {
    let server = Server::new();
    for opcode in [PING, PONG, CLOSE] {
        closes(&server, frame(true, opcode, &[b'x'; 126]), 1002);
        closes(&server, frame(true, opcode, &[b'x'; 70_000]), 1002);
    }
}

#[test]
fn fragmented_control_frames_close_with_1002() {
    let server = Server::new();
    for opcode in [PING, PONG, CLOSE] {
        closes(&server, frame(false, opcode, b""), 1002);
    }
}

#[test]
fn stray_continuations_close_with_1002() {
    let server = Server::new();
    closes(&server, frame(true, CONTINUATION, b"x"), 1002);
    closes(&server, frame(false, CONTINUATION, b""), 1002);
    let after_a_message = [frame(false, TEXT, b"a"), frame(true, CONTINUATION, b"b"), frame(true, CONTINUATION, b"c")];
    let mut socket = server.websocket("/channels/a");
    socket.conn.send(after_a_message.concat());
    // Its own message may or may not reach it before the close.
    if socket.next() == Message::Text("ab".into()) {
        socket.expect_close(1002);
    }
    assert_eq!(server.page("/channels/a")["events"][0]["data"], "ab", "what was right before is published");
}

#[test]
fn a_message_within_a_message_closes_with_1002() {
    let server = Server::new();
    closes(&server, [frame(false, TEXT, b"a"), frame(true, TEXT, b"b")].concat(), 1002);
    closes(&server, [frame(false, BINARY, b"a"), frame(false, TEXT, b"b")].concat(), 1002);
}

#[test]
fn lengths_that_are_not_minimal_or_too_large_close() {
    let server = Server::new();
    // RFC 6455 section 5.2: the minimal number of bytes must be used.
    closes(&server, b"\x81\xfe\x00\x05\0\0\0\0hello", 1002);
    closes(&server, b"\x81\xff\0\0\0\0\0\0\x00\x05\0\0\0\0hello", 1002);
    // The most significant bit of a 64-bit length is 0.
    closes(&server, b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002);
    closes(&server, b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009);
}

#[test]
fn bad_utf_8_in_text_closes_with_1007() {
    let server = Server::new();
    let bad: [&[u8]; 8] =
        [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok \x80", b"\xe2\x82", b"\xf0\x9f\x98"];
    for text in bad {
        closes(&server, frame(true, TEXT, text), 1007);
        let (a, b) = text.split_at(text.len() / 2);
        closes(&server, [frame(false, TEXT, a), frame(true, CONTINUATION, b)].concat(), 1007);
    }
    let mut socket = server.websocket("/channels/a");
    socket.send_binary(b"\xff");
    assert_eq!(socket.binary(), b"\xff", "binary may be anything");
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), 1, "nothing bad was published");
}

#[test]
fn bad_utf_8_is_found_as_it_arrives_and_not_at_the_end() {
    let server = Server::new();
    closes(&server, frame(false, TEXT, b"\xc0"), 1007);
    closes(&server, [frame(false, TEXT, b"\xe2"), frame(false, CONTINUATION, b"\x28")].concat(), 1007);
}

#[test]
fn characters_may_be_split_between_fragments() {
    let server = Server::new();
    let text = "κόσμε 😀 €";
    let mut socket = server.websocket("/channels/a");
    let mut bytes = frame(false, TEXT, b"");
    for byte in text.as_bytes() {
        bytes.extend(frame(false, CONTINUATION, &[*byte]));
    }
    bytes.extend(frame(true, CONTINUATION, b""));
    socket.conn.send(bytes);
    assert_eq!(socket.text(), text);
}

#[test]
fn a_close_that_cannot_be_closes_with_1002_or_1007() {
    let server = Server::new();
    closes(&server, frame(true, CLOSE, b"\x03"), 1002);
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535] {
        closes(&server, frame(true, CLOSE, &code.to_be_bytes()), 1002);
    }
    closes(&server, frame(true, CLOSE, b"\x03\xe8\xff"), 1007);
}

#[test]
fn what_follows_a_close_is_not_published() {
    let server = Server::new();
    let mut socket = server.websocket("/channels/a");
    let close = frame(true, CLOSE, &1000_u16.to_be_bytes());
    socket.conn.send([frame(true, TEXT, b"before"), close, frame(true, TEXT, b"after")].concat());
    let mut heard = Vec::new();
    loop {
        match socket.next() {
            Message::Text(text) => heard.push(text),
            Message::Close(code, _) => break assert_eq!(code, 1000),
            other => panic!("{other:?}"),
        }
    }
    assert!(!heard.contains(&"after".to_owned()));
    let page = server.page("/channels/a");
    assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
}

#[test]
fn a_message_of_endless_fragments_is_refused() {
    let mut config = config();
    config.limits.fragments = 10;
    let server = Server::start(config);
    let mut bytes = frame(false, TEXT, b"x");
    for _ in 0..10 {
        bytes.extend(frame(false, CONTINUATION, b""));
    }
    let mut socket = server.websocket("/channels/a");
    socket.conn.send(bytes);
    assert!(matches!(socket.next(), Message::Close(1002 | 1008 | 1009, _)), "{}", socket.conn.seen());
    server.is_alive();
}

#[test]
fn garbage_after_the_handshake_closes_and_harms_nobody() {
    let server = Server::new();
    let mut bystander = server.websocket("/channels/a");
    let mut random = fastrand::Rng::with_seed(switchboard_testkit::seed("garbage"));
    for _ in 0..50 {
        let mut socket = server.websocket("/channels/garbage");
        let garbage: Vec<u8> = (0..random.usize(1..2000)).map(|_| random.u8(..)).collect();
        // The server may close before everything is sent.
        let _ = socket.conn.try_send(&garbage);
        socket.conn.finish();
        while !matches!(socket.next(), Message::Eof) {}
    }
    bystander.send_text("still here");
    assert_eq!(bystander.text(), "still here");
    server.is_alive();
}
