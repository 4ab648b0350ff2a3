//! "WebSocket": raw form, event form, subprotocols, the handshake.

use std::time::Duration;
use switchboard_testkit::websocket::{BINARY, CONTINUATION, PING, TEXT, frame};
use switchboard_testkit::{Field, Message, Response, Server, config, json};

#[test]
fn in_raw_form_each_event_is_one_message_text_or_binary_as_published() {
    let server = Server::new();
    let mut socket = server.websocket("/channels/a");
    server.publish("a", "line\r\nline");
    server.post("/channels/a", &[], [0xff, 0]).expect(201);
    server.publish_json("a", "{\"a\":\n1.50}");
    server.post("/channels/a?event=typed", &[("Content-Type", "image/png")], "text").expect(201);
    server.publish("a", "");
    assert_eq!(socket.next(), Message::Text("line\r\nline".into()));
    assert_eq!(socket.next(), Message::Binary(vec![0xff, 0]));
    assert_eq!(socket.next(), Message::Text("{\"a\":\n1.50}".into()), "JSON is kept as written");
    assert_eq!(socket.next(), Message::Binary(b"text".to_vec()));
    assert_eq!(socket.next(), Message::Text(String::new()));
}

#[test]
fn messages_of_every_length_arrive_whole() {
    let server = Server::new();
    let mut socket = server.websocket("/channels/a");
    let mut conn = server.connect();
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20] {
        let data = vec![b'x'; length];
        conn.publish("a", &data);
        assert_eq!(socket.text().len(), length);
        socket.send_binary(&data);
        assert_eq!(socket.binary(), data);
    }
}

#[test]
fn raw_form_is_without_subprotocol_or_with_switchboard_raw_v1() {
    let server = Server::new();
    let offered = |offer: &str| {
        let mut socket = server.handshake("/channels/a", &[("Sec-WebSocket-Protocol", offer)]).unwrap();
        server.publish("a", "hello");
        assert_eq!(socket.text(), "hello");
        socket.head.field("sec-websocket-protocol").map(str::to_owned)
    };
    assert_eq!(server.websocket("/channels/a").head.field("sec-websocket-protocol"), None);
    assert_eq!(offered("switchboard.raw.v1").as_deref(), Some("switchboard.raw.v1"));
    assert_eq!(offered("graphql-ws, switchboard.raw.v1").as_deref(), Some("switchboard.raw.v1"));
}

#[test]
fn event_form_is_agreed_to_by_its_subprotocol_which_asks_for_it_as_well() {
    let server = Server::new();
    let selected = |target: &str, offer: &str| {
        let mut socket = server.handshake(target, &[("Sec-WebSocket-Protocol", offer)]).unwrap();
        socket.notice("$open");
        socket.head.field("sec-websocket-protocol").map(str::to_owned)
    };
    let event = Some("switchboard.event.v1");
    for target in ["/channels/a", "/channels/a?form=event", "/channels?channel=a&channel=b"] {
        assert_eq!(selected(target, "switchboard.event.v1").as_deref(), event, "{target}");
        assert_eq!(
            selected(target, "chat, switchboard.event.v1, switchboard.token.x.y.z").as_deref(),
            event,
            "{target}"
        );
    }
    assert_eq!(selected("/channels/a?form=event", "switchboard.raw.v1"), None);
    let raw = server.handshake("/channels/a?form=raw", &[("Sec-WebSocket-Protocol", "switchboard.event.v1")]).unwrap();
    assert_eq!(raw.head.field("sec-websocket-protocol"), None);
}

#[test]
fn a_token_may_travel_as_a_further_subprotocol_entry_and_is_never_the_one_selected() {
    let server = Server::new();
    let selected = |fields: &[Field<'_>]| {
        let socket = server.handshake("/channels/a", fields).unwrap();
        socket.head.field("sec-websocket-protocol").map(str::to_owned)
    };
    let token = "bearer.eyJhbGciOiJub25lIn0.e30.x";
    let (one, other) = (format!("switchboard.raw.v1, {token}"), format!("{token},switchboard.raw.v1"));
    for offer in [&one, &other] {
        assert_eq!(selected(&[("Sec-WebSocket-Protocol", offer)]).as_deref(), Some("switchboard.raw.v1"));
    }
    let two = [("Sec-WebSocket-Protocol", token), ("Sec-WebSocket-Protocol", "switchboard.raw.v1")];
    assert_eq!(selected(&two).as_deref(), Some("switchboard.raw.v1"));
}

#[test]
fn what_the_client_sends_is_published_and_it_hears_itself() {
    let server = Server::new();
    let mut socket = server.websocket("/channels/a");
    let mut other = server.websocket("/channels/a");
    let mut lines = server.lines("/channels/a");
    lines.notice("$open");
    socket.send_text("hello");
    socket.send_binary(&[1, 0xff]);
    for reader in [&mut socket, &mut other] {
        assert_eq!(reader.text(), "hello");
        assert_eq!(reader.binary(), [1, 0xff]);
    }
    let event = lines.event();
    assert_eq!((&event["data"], event.get("type")), (&json!("hello"), None), "text is text/plain");
    let event = lines.event();
    assert_eq!((&event["base64"], event.get("type")), (&json!("Af8="), None));
}

#[test]
fn a_client_hears_its_own_messages_and_others_in_one_order() {
    let server = Server::new();
    let mut sockets = [server.websocket("/channels/a"), server.websocket("/channels/a")];
    for i in 0..100 {
        for (n, socket) in sockets.iter_mut().enumerate() {
            socket.send_text(&format!("{n}:{i}"));
        }
    }
    let [first, second] = sockets.each_mut().map(|socket| (0..200).map(|_| socket.text()).collect::<Vec<_>>());
    assert_eq!(first, second);
    for n in 0..2 {
        let own: Vec<String> = first.iter().filter(|text| text.starts_with(&format!("{n}:"))).cloned().collect();
        assert_eq!(own, (0..100).map(|i| format!("{n}:{i}")).collect::<Vec<_>>());
    }
}

#[test]
fn since_works_in_raw_form() {
    let server = Server::new();
    let first = server.publish("a", "1");
    server.publish("a", "2");
    let mut socket = server.websocket("/channels/a?since=earliest");
    assert_eq!([socket.text(), socket.text()], ["1", "2"]);
    let mut socket = server.websocket(&format!("/channels/a?since={first}"));
    assert_eq!(socket.text(), "2");
    let mut socket = server.websocket("/channels/a?since=latest");
    server.publish("a", "3");
    assert_eq!(socket.text(), "3");
}

#[test]
fn a_gap_closes_raw_form_with_4410() {
    let server = Server::new();
    server.publish("a", "1");
    server.websocket("/channels/a?since=nonsense").expect_close(4410);
    let mut socket = server.websocket("/channels/a");
    server.delete("/channels/a").expect(204);
    socket.expect_close(4410);
}

#[test]
fn event_form_is_json_messages_as_on_ndjson_notices_too() {
    let server = Server::new();
    let id = server.publish("a", "1");
    for target in ["/channels?channel=a", "/channels/a?form=event"] {
        let mut socket =
            server.websocket(&format!("{target}{}since={id}", if target.contains('?') { "&" } else { "?" }));
        assert_eq!(socket.text(), format!("{{\"$open\":{{\"position\":\"{id}\",\"recovered\":true}}}}"));
    }
    let mut lines = server.lines("/channels?channel=a");
    let mut socket = server.websocket("/channels?channel=a");
    lines.notice("$open");
    socket.notice("$open");
    server.publish_json("a", "{\"a\":\n1.50}");
    server.post("/channels/a?event=e", &[("Content-Type", "image/png")], "x").expect(201);
    assert_eq!([socket.text(), socket.text()], [lines.text(), lines.text()]);
    let mut socket = server.websocket("/channels?channel=a&since=nonsense");
    let open = socket.notice("$open");
    assert_eq!(open["recovered"], false);
    assert_eq!(socket.notice("$gap"), open["gap"]);
    server.end("a");
    socket.event();
    socket.event();
    socket.event();
    assert_eq!(socket.notice("$end"), json!({"channel": "a"}));
    socket.expect_close(1000);
}

#[test]
fn in_event_form_a_frame_from_the_client_closes_with_1003() {
    let server = Server::new();
    for (opcode, data) in [(TEXT, &b"hello"[..]), (BINARY, b"\0"), (TEXT, b"")] {
        let mut socket = server.websocket("/channels?channel=a");
        socket.notice("$open");
        socket.conn.send(frame(true, opcode, data));
        socket.expect_close(1003);
    }
    assert_eq!(server.page("/channels/a")["events"], json!([]), "nothing was published");
}

#[test]
fn fragments_are_one_message_even_with_control_frames_between() {
    let server = Server::new();
    let mut socket = server.websocket("/channels/a");
    socket.conn.send(frame(false, TEXT, "h\u{e9}".as_bytes().split_at(2).0));
    socket.conn.send(frame(true, PING, b"between"));
    socket.conn.send(frame(false, CONTINUATION, "h\u{e9}".as_bytes().split_at(2).1));
    socket.conn.send(frame(false, CONTINUATION, b""));
    socket.conn.send(frame(true, CONTINUATION, b"llo"));
    assert_eq!(socket.text(), "héllo");
    assert_eq!(socket.pongs, [b"between"]);
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), 1);
}

#[test]
fn a_ping_is_answered_with_its_own_payload_in_both_forms() {
    let server = Server::new();
    let mut raw = server.websocket("/channels/a");
    let mut event = server.websocket("/channels?channel=a");
    event.notice("$open");
    for payload in [&b""[..], b"x", &[0xff; 125]] {
        for socket in [&mut raw, &mut event] {
            socket.conn.send(frame(true, PING, payload));
            let pong = socket.next_frame().unwrap();
            assert_eq!((pong.opcode, pong.payload.as_slice()), (switchboard_testkit::websocket::PONG, payload));
        }
    }
}

#[test]
fn a_pong_that_nobody_asked_for_is_ignored() {
    let server = Server::new();
    let mut socket = server.websocket("/channels/a");
    socket.conn.send(frame(true, switchboard_testkit::websocket::PONG, b"unasked"));
    socket.send_text("x");
    assert_eq!(socket.text(), "x");
}

#[test]
fn a_close_is_answered_with_its_code_and_the_connection_closes() {
    let server = Server::new();
    for target in ["/channels/a", "/channels?channel=a"] {
        for code in [1000, 1001, 1011, 3000, 4999] {
            let mut socket = server.websocket(target);
            socket.send_close(code);
            if target.contains('?') {
                socket.notice("$open");
            }
            assert!(matches!(socket.next(), Message::Close(told, _) if told == code), "{code}");
            assert_eq!(socket.next(), Message::Eof);
        }
        let mut socket = server.websocket(target);
        socket.conn.send(frame(true, switchboard_testkit::websocket::CLOSE, b""));
        if target.contains('?') {
            socket.notice("$open");
        }
        assert!(matches!(socket.next(), Message::Close(1000 | 1005, _)));
        assert_eq!(socket.next(), Message::Eof);
    }
}

#[test]
fn frames_that_come_with_the_handshake_are_not_lost() {
    let server = Server::new();
    let (key, _) = switchboard_testkit::websocket::key();
    let mut bytes = format!(
        "GET /channels/a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    .into_bytes();
    bytes.extend(frame(true, TEXT, b"early"));
    let mut conn = server.connect();
    conn.send(bytes);
    assert_eq!(conn.head().status, 101);
    assert_eq!(conn.take(7).as_deref(), Some(&b"\x81\x05early"[..]));
}

#[test]
fn bytes_that_trickle_are_understood() {
    let server = Server::new();
    let mut socket = server.websocket("/channels/a");
    for byte in frame(true, TEXT, "trickle €".as_bytes()) {
        socket.conn.send([byte]);
    }
    assert_eq!(socket.text(), "trickle €");
}

fn refused(server: &Server, fields: &[Field<'_>]) -> Response {
    match server.handshake("/channels/a", fields) {
        Ok(socket) => panic!("accepted {fields:?}: {}", socket.head.raw),
        Err(refusal) => refusal,
    }
}

#[test]
fn a_wrong_version_is_426_and_names_the_right_one() {
    let server = Server::new();
    for version in ["8", "12", "14", "0", "130"] {
        let refusal = refused(&server, &[("Sec-WebSocket-Version", version)]).expect_problem(426, "upgrade_required");
        assert_eq!(refusal.field("sec-websocket-version"), Some("13"), "RFC 6455 section 4.4");
    }
    server.is_alive();
}

#[test]
fn no_key_or_a_bad_one_is_400() {
    let server = Server::new();
    // Sixteen bytes are 22 characters and two of padding.
    for key in [
        "",
        "x",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAA=AA=",
        "!AAAAAAAAAAAAAAAAAAAAA==",
    ] {
        refused(&server, &[("Sec-WebSocket-Key", key)]).expect_refusal(400);
    }
    let mut conn = server.connect();
    let fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")];
    conn.request("GET", "/channels/a", &fields, None).expect_refusal(400);
    server.is_alive();
}

#[test]
fn a_doubled_handshake_field_is_400() {
    let server = Server::new();
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    refused(&server, &[("Sec-WebSocket-Key", key), ("Sec-WebSocket-Key", key)]).expect_refusal(400);
    let refusal = refused(&server, &[("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Version", "8")]);
    assert!(matches!(refusal.status(), 400 | 426), "{refusal}");
    server.is_alive();
}

#[test]
fn a_missing_handshake_field_is_no_websocket() {
    let server = Server::new();
    // RFC 9110 section 7.8: without `Connection: upgrade` the field `Upgrade` is not for us.
    let answer = refused(&server, &[("Connection", "keep-alive")]);
    assert!(matches!(answer.status(), 200 | 400 | 426), "{answer}");
    let answer = refused(&server, &[("Upgrade", "h2c")]);
    assert!(matches!(answer.status(), 200 | 400 | 426), "{answer}");
    let mut conn = server.connect();
    let fields =
        [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")];
    let answer = conn.request("GET", "/channels/a", &fields, None);
    assert!(matches!(answer.status(), 400 | 426), "no version: {answer}");
    server.is_alive();
}

#[test]
fn the_accept_of_the_specifications_example_is_right() {
    let server = Server::new();
    let socket = server.handshake("/channels/a", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]).unwrap();
    assert_eq!(socket.head.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn names_are_compared_without_case_in_the_handshake() {
    let server = Server::new();
    let fields = [("upgrade", "WebSocket"), ("CONNECTION", "Keep-Alive, UPGRADE")];
    assert_eq!(server.handshake("/channels/a", &fields).unwrap().head.status, 101);
}

#[test]
fn a_message_to_an_ended_channel_is_refused() {
    let server = Server::new();
    let mut socket = server.websocket("/channels/a");
    server.end("a");
    socket.expect_close(1000);
    assert_eq!(server.page("/channels/a")["events"], json!([]));
}

#[test]
fn a_websocket_in_raw_form_says_nothing_until_there_is_something() {
    let server = Server::new();
    let mut socket = server.websocket("/channels/a");
    assert!(socket.is_silent_for(Duration::from_millis(100)));
    socket.ping();
}

#[test]
fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    let mut config = config();
    config.limits.message = 1000;
    let server = Server::start(config);
    let mut socket = server.websocket("/channels/a");
    socket.send_text(&"x".repeat(1000));
    assert_eq!(socket.text().len(), 1000);
    socket.send_text(&"x".repeat(1001));
    socket.expect_close(1009);
    let mut socket = server.websocket("/channels/a");
    socket.conn.send(frame(false, TEXT, &[b'x'; 600]));
    socket.conn.send(frame(true, CONTINUATION, &[b'x'; 401]));
    socket.expect_close(1009);
    assert_eq!(server.page("/channels/a")["events"].as_array().unwrap().len(), 1);
}
