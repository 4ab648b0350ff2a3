//! What a peer may do behind its handshake that brings nothing, and what that comes to.

use crate::{Both, ask, line_with, rest, subscribe};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use switchboard_testkit::Stop;
use switchboard_testkit::tls::{VERSIONS, connect};

/// Keys that are changed so often in a row are a flood.
const TOO_MANY: usize = 33;

#[test]
fn keys_that_are_changed_again_and_again_end_the_connection() {
    let both = Both::start();
    let config = both.client_of(&[&rustls::version::TLS13]);
    let open = connect(both.secure(), &config);
    let held = subscribe(connect(both.secure(), &config), "keys").into_inner();
    for mut stream in [open, held] {
        for _ in 0..TOO_MANY {
            stream.conn.refresh_traffic_keys().unwrap();
        }
        stream.flush().unwrap();
        let error = rest(&mut stream).unwrap_err();
        let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let expected = rustls::Error::AlertReceived(rustls::AlertDescription::UnexpectedMessage);
        assert_eq!(alert, Some(&expected), "{error}");
    }
    both.server.await_readers("keys", 0);
}

/// A byte in between is not worth as many new keys.
#[test]
fn keys_that_are_changed_for_a_byte_each_end_the_connection() {
    let both = Both::start();
    let mut stream = connect(both.secure(), &both.client_of(&[&rustls::version::TLS13]));
    let head = "POST /channels/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..TOO_MANY {
        stream.conn.refresh_traffic_keys().unwrap();
        // It may have ended by now, which is read below.
        let _ = stream.write_all(b"x");
    }
    assert!(rest(&mut stream).is_err());
    assert_eq!(both.server.page("/channels/a?since=earliest")["events"], switchboard_testkit::json!([]));
}

#[test]
fn keys_that_are_changed_as_often_as_they_may_be_hold_up_nobody() {
    let mut config = switchboard_testkit::config();
    config.shards = Some(1);
    let both = Both::with(config);
    let mut reader = subscribe(both.connect(), "calm");
    let (stop, changes) = (Stop::default(), Arc::new(AtomicU32::new(0)));
    let config = both.client_of(&[&rustls::version::TLS13]);
    // All of them, before the first begins.
    let streams: Vec<_> = (0..4).map(|_| connect(both.secure(), &config)).collect();
    let floods: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            let (stopped, changes) = (stop.watch(), Arc::clone(&changes));
            thread::spawn(move || {
                let head = "POST /channels/flood HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                // A piece of the body, and the new keys that there may be behind it.
                while !stopped() && stream.write_all(&[b'x'; 256]).is_ok() {
                    stream.conn.refresh_traffic_keys().unwrap();
                    changes.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let (mut heard, changed) = (0, || changes.load(Ordering::Relaxed));
    while heard < 50 || changed() <= 1000 {
        both.server.publish("calm", format!("event {heard}."));
        line_with(&mut reader, &format!("event {heard}."));
        heard += 1;
        assert!(heard < 10_000, "{} are no flood", changed());
    }
    drop(stop);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
}

/// No ticket says that it may be sent, so a client that would like to does not.
#[test]
fn early_data_is_not_taken() {
    let both = Both::start();
    let mut config = (*both.client_of(&VERSIONS)).clone();
    config.enable_early_data = true;
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let config = Arc::new(config);
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let mut stream = connect(both.secure(), &config);
        assert_eq!(stream.conn.handshake_kind(), Some(kind));
        assert!(stream.conn.early_data().is_none() && !stream.conn.is_early_data_accepted());
        // A ticket comes with the first answer.
        ask(&mut stream, "/healthz", "*/*");
        line_with(&mut std::io::BufReader::new(stream), "ok");
    }
}
