//! `permessage-deflate` (RFC 7692): negotiated, and shared without context takeover.

use switchboard_testkit::reach::reach;
use switchboard_testkit::websocket::{CONTINUATION, TEXT, deflate, frame, frame_with, inflate};
use switchboard_testkit::{Message, Server, WebSocket, config};

const RSV1: u8 = 0x40;
const FIN: u8 = 0x80;

fn offering(server: &Server, target: &str, offer: &str) -> WebSocket {
    server.handshake(target, &[("Sec-WebSocket-Extensions", offer)]).expect("an offer is no reason to refuse")
}

/// The parameters that the server answered with.
fn answered(socket: &WebSocket) -> Vec<String> {
    let answer = socket.head.field("sec-websocket-extensions").unwrap_or_default();
    answer.split(';').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[test]
fn both_no_context_takeover_parameters_are_answered() {
    let server = Server::new();
    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "x-unknown, permessage-deflate",
    ] {
        let answer = answered(&offering(&server, "/channels/a", offer));
        assert_eq!(answer.first().map(String::as_str), Some("permessage-deflate"), "{offer}");
        for parameter in ["server_no_context_takeover", "client_no_context_takeover"] {
            assert!(answer.iter().any(|part| part == parameter), "{offer}: {answer:?}");
        }
    }
    assert!(answered(&server.websocket("/channels/a")).is_empty(), "nothing offered, nothing answered");
}

#[test]
fn deflated_messages_are_readable_in_both_forms() {
    let server = Server::new();
    let long = "over and over and ".repeat(200);
    let mut raw = offering(&server, "/channels/a", "permessage-deflate");
    let mut event = offering(&server, "/channels?channel=a", "permessage-deflate");
    let mut plain = server.websocket("/channels/a");
    event.notice("$open");
    for text in ["short", long.as_str(), "", long.as_str()] {
        server.publish("a", text);
        assert_eq!(raw.text(), text);
        assert_eq!(event.event()["data"], text);
        assert_eq!(plain.text(), text);
    }
    server.post("/channels/a", &[], [0xff; 5000]).expect(201);
    assert_eq!(raw.binary(), [0xff; 5000]);
    assert!(raw.inflated >= 3 && event.inflated >= 3, "what repeats itself is compressed");
    assert_eq!(plain.inflated, 0);
}

#[test]
fn window_bits_of_9_to_15_are_honoured() {
    let server = Server::new();
    // What repeats only over a distance is what a small window cannot reach back to.
    let mut random = fastrand::Rng::with_seed(7);
    let mut noise = |n| -> String { (0..n).map(|_| random.alphanumeric()).collect() };
    let text: String = [300, 700, 1500, 3000, 6000, 12_000, 25_000].map(|period| noise(period).repeat(3)).concat();
    for bits in 9..=15 {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        let mut socket = offering(&server, "/channels/a", &offer);
        let answer = answered(&socket);
        let told = answer.iter().find_map(|part| part.strip_prefix("server_max_window_bits="));
        let told: u8 = told.map_or(15, |told| told.parse().unwrap());
        assert!(told <= bits, "RFC 7692 section 7.1.2.1: {answer:?}");
        server.publish("a", &text);
        let frame = socket.next_frame().unwrap();
        assert!(frame.compressed && frame.payload.len() < text.len());
        assert_eq!(inflate(&frame.payload), text.as_bytes());
        assert!(reach(&frame.payload) <= 1 << bits, "{bits} bits: {}", reach(&frame.payload));
    }
}

#[test]
fn an_offer_that_cannot_be_taken_is_declined_and_the_socket_opens_plain() {
    let server = Server::new();
    for offer in [
        "permessage-deflate; what_is_this",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=x",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=99",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-bzip2",
    ] {
        let mut socket = offering(&server, "/channels/a", offer);
        assert!(answered(&socket).is_empty(), "{offer}: {:?}", answered(&socket));
        server.publish("a", "x".repeat(1000));
        assert_eq!(socket.text().len(), 1000);
        assert_eq!(socket.inflated, 0);
    }
}

#[test]
fn the_first_offer_that_can_be_taken_is() {
    let server = Server::new();
    let offer = "permessage-deflate; what_is_this, permessage-deflate; server_max_window_bits=10, permessage-deflate";
    let answer = answered(&offering(&server, "/channels/a", offer));
    assert!(answer.iter().any(|part| part == "server_max_window_bits=10"), "{answer:?}");
}

#[test]
fn a_parameter_that_was_not_offered_is_not_answered() {
    let server = Server::new();
    let answer = answered(&offering(&server, "/channels/a", "permessage-deflate"));
    assert!(!answer.iter().any(|part| part.starts_with("client_max_window_bits")), "{answer:?}");
}

#[test]
fn what_a_client_deflates_is_published_inflated() {
    let server = Server::new();
    let mut socket = offering(&server, "/channels/a", "permessage-deflate");
    let mut plain = server.websocket("/channels/a");
    for text in ["hello", "", &"repeat ".repeat(1000)] {
        socket.conn.send(frame_with(FIN | RSV1 | TEXT, &deflate(text.as_bytes())));
        assert_eq!(socket.text(), text);
        assert_eq!(plain.text(), text);
    }
    // In fragments, only the first has the bit.
    let packed = deflate("in fragments, in fragments, in fragments".as_bytes());
    let (a, b) = packed.split_at(5);
    socket.conn.send(frame_with(RSV1 | TEXT, a));
    socket.conn.send(frame(true, CONTINUATION, b));
    assert_eq!(socket.text(), "in fragments, in fragments, in fragments");
    socket.send_text("plain as well");
    assert_eq!(socket.text(), "plain as well");
}

#[test]
fn a_small_frame_may_not_inflate_to_more_than_a_message() {
    let mut config = config();
    config.limits.message = 100_000;
    let server = Server::start(config);
    let mut socket = offering(&server, "/channels/a", "permessage-deflate");
    socket.conn.send(frame_with(FIN | RSV1 | TEXT, &deflate(&vec![b'x'; 50 << 20])));
    socket.expect_close(1009);
    let mut socket = offering(&server, "/channels/a", "permessage-deflate");
    socket.conn.send(frame_with(FIN | RSV1 | TEXT, &deflate(&vec![b'x'; 100_000])));
    assert_eq!(socket.text().len(), 100_000);
    server.is_alive();
}

#[test]
fn what_does_not_inflate_closes() {
    let server = Server::new();
    for bad in [&b"\xff\xff\xff\xff"[..], b"\x07", b"not deflate"] {
        let mut socket = offering(&server, "/channels/a", "permessage-deflate");
        socket.conn.send(frame_with(FIN | RSV1 | TEXT, bad));
        assert!(matches!(socket.next(), Message::Close(1002 | 1007, _)), "{}", socket.conn.seen());
    }
    let mut socket = offering(&server, "/channels/a", "permessage-deflate");
    socket.conn.send(frame_with(FIN | RSV1 | TEXT, &deflate(b"\xff\xfe")));
    socket.expect_close(1007);
    server.is_alive();
}

#[test]
fn a_compressed_bit_on_a_continuation_or_a_control_frame_closes_with_1002() {
    let server = Server::new();
    let mut socket = offering(&server, "/channels/a", "permessage-deflate");
    socket.conn.send(frame_with(RSV1 | TEXT, &deflate(b"x")));
    socket.conn.send(frame_with(FIN | RSV1 | CONTINUATION, b""));
    socket.expect_close(1002);
    let mut socket = offering(&server, "/channels/a", "permessage-deflate");
    socket.conn.send(frame_with(FIN | RSV1 | 0x9, b""));
    socket.expect_close(1002);
}
