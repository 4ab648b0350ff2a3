//! What the protocol allows between two records, and what it does not.

use crate::{Both, ask, line_with, rest, subscribe};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use switchboard_testkit::tls::{VERSIONS, connect};
use switchboard_testkit::{PATIENCE, config, eventually, json};

#[test]
fn a_client_may_change_its_keys_at_any_time() {
    let both = Both::start();
    let mut stream = connect(both.secure(), &both.client_of(&[&rustls::version::TLS13]));
    for round in 0..3 {
        stream.conn.refresh_traffic_keys().unwrap();
        ask(&mut stream, "/healthz", "*/*");
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK", "round {round}");
        let mut rest = [0; 4096];
        let _ = stream.read(&mut rest).unwrap();
    }
    // And while a stream is held.
    let mut reader = subscribe(stream, "keys");
    for round in 0..3 {
        reader.get_mut().conn.refresh_traffic_keys().unwrap();
        reader.get_mut().flush().unwrap();
        both.server.publish("keys", format!("round {round}"));
        line_with(&mut reader, &format!("round {round}"));
    }
}

#[test]
fn records_may_come_byte_by_byte() {
    let both = Both::start();
    for version in VERSIONS {
        let mut socket = TcpStream::connect(both.secure()).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let config = both.client_of(&[version]);
        let mut session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut trickle = |session: &mut ClientConnection| {
            let mut bytes = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut bytes).unwrap();
            }
            for byte in bytes {
                socket.write_all(&[byte]).unwrap();
            }
            socket.try_clone().unwrap()
        };
        while session.is_handshaking() {
            let mut socket = trickle(&mut session);
            if session.wants_read() {
                assert!(session.read_tls(&mut socket).unwrap() > 0);
                session.process_new_packets().unwrap();
            }
        }
        let request =
            "POST /channels/slowly HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nbytes";
        session.writer().write_all(request.as_bytes()).unwrap();
        let socket = trickle(&mut session);
        let mut stream = rustls::StreamOwned::new(session, socket);
        let answer = rest(&mut stream).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 201 "), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(both.server.page("/channels/slowly?since=earliest")["events"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_over_ends_with_a_farewell_and_what_is_not_without() {
    let both = Both::start();
    for version in VERSIONS {
        let channel = format!("over/{version:?}").replace([' ', '{', '}', ':'], "");
        // An end of the stream, of the connection, and of a WebSocket.
        let mut reader = subscribe(connect(both.secure(), &both.client_of(&[version])), &channel);
        both.server.end(&channel);
        let told = rest(&mut reader).unwrap();
        assert!(told.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&told));
        let mut stream = connect(both.secure(), &both.client_of(&[version]));
        stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(rest(&mut stream).unwrap().ends_with(b"ok\n"));
    }
    // A server that is gone in the midst of it.
    let both = Both::with(switchboard_testkit::Config { drain: std::time::Duration::ZERO, ..config() });
    let mut reader = subscribe(both.connect(), "cut");
    reader.get_mut().sock.shutdown(Shutdown::Read).unwrap();
    assert_eq!(rest(&mut reader).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_peer_that_says_farewell_or_is_cut_off_is_gone() {
    let both = Both::start();
    for version in VERSIONS {
        let mut said = subscribe(connect(both.secure(), &both.client_of(&[version])), "gone");
        let cut = subscribe(connect(both.secure(), &both.client_of(&[version])), "gone");
        both.server.await_readers("gone", 2);
        said.get_mut().conn.send_close_notify();
        said.get_mut().flush().unwrap();
        both.server.await_readers("gone", 1);
        cut.get_ref().sock.shutdown(Shutdown::Write).unwrap();
        both.server.await_readers("gone", 0);
    }
}

#[test]
fn a_body_that_is_cut_off_is_not_published() {
    let both = Both::start();
    let mut stream = both.connect();
    stream
        .write_all(b"POST /channels/cut HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .unwrap();
    stream.sock.shutdown(Shutdown::Write).unwrap();
    let answer = rest(&mut stream).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(both.server.page("/channels/cut?since=earliest")["events"], json!([]));
}

#[test]
fn what_is_no_record_ends_the_connection_with_an_alert() {
    let both = Both::start();
    let config = both.client();
    for foul in [
        &b"\x17\x03\x03\x00\x10aaaaaaaaaaaaaaaa"[..],
        b"\x17\x03\x03\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\0\0",
    ] {
        let open = connect(both.secure(), &config);
        let held = subscribe(connect(both.secure(), &config), "foul").into_inner();
        for mut stream in [open, held] {
            stream.sock.write_all(foul).unwrap();
            let error = rest(&mut stream).unwrap_err();
            let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
            assert!(matches!(alert, Some(rustls::Error::AlertReceived(_))), "{foul:?}: {error}");
        }
    }
    both.server.await_readers("foul", 0);
    both.server.is_alive();
}

#[test]
fn one_protocol_is_agreed_on_and_a_stranger_is_refused() {
    let both = Both::start();
    let with = |protocols: &[&[u8]]| {
        let mut config = (*both.client()).clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        switchboard_testkit::tls::try_connect(both.secure(), &Arc::new(config))
    };
    assert_eq!(with(&[b"http/1.1", b"h2"]).unwrap().conn.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(with(&[b"http/1.1"]).unwrap().conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(with(&[]).unwrap().conn.alpn_protocol(), None);
    let refused = with(&[b"mqtt"]).unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    eventually("it is counted", || both.handshakes("mismatch") == 1);
}
