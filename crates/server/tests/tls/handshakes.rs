//! Handshakes that come to nothing, and very many at once.

use crate::{Both, ask, line_with, subscribe};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use switchboard_testkit::tls::{connect, try_connect};
use switchboard_testkit::{PATIENCE, Stop, config, eventually};

#[test]
fn who_speaks_plain_http_is_told_so() {
    let both = Both::start();
    let mut socket = TcpStream::connect(both.secure()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    ask(&mut socket, "/", "*/*");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())) && body.contains("https://"), "{answer}");
    eventually("it is counted", || both.handshakes("plain") == 1);
}

#[test]
fn who_says_nothing_half_of_it_or_nonsense_is_given_up() {
    let mut config = config();
    config.timeouts.head = Duration::from_millis(300);
    let both = Both::with(config);
    // Of a handshake: its first byte, its header, a hello that never ends.
    let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[7; 100]].concat();
    for begun in [&[][..], &hello[..1], &hello[..5], &hello] {
        let mut socket = TcpStream::connect(both.secure()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(begun).unwrap();
        let begin = Instant::now();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
        assert!(begin.elapsed() < PATIENCE, "{begun:?}");
    }
    eventually("they are counted", || both.handshakes("slow") == 4);
    // A hello that would be 16 MiB, and a record that would be 64 KiB.
    for foul in [&b"\x16\x03\x01\x00\x04\x01\xff\xff\xff"[..], b"\x16\x03\x01\xff\xff"] {
        let mut socket = TcpStream::connect(both.secure()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(foul).unwrap();
        let mut told = Vec::new();
        socket.read_to_end(&mut told).unwrap();
        assert!(told.is_empty() || told[0] == 21, "an alert if anything: {told:?}");
    }
    eventually("these too", || both.handshakes("broken") == 2);
    drop(TcpStream::connect(both.secure()).unwrap());
    eventually("and who went", || both.handshakes("gone") == 1);
    assert_eq!(both.handshakes("done"), 0);
}

#[test]
fn a_handshake_larger_than_a_record_is_not_kept() {
    let both = Both::start();
    let mut socket = TcpStream::connect(both.secure()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // One message of 60,000 bytes, in as many records as it takes.
    let message = [&[1, 0, 0xea, 0x60][..], &[0; 60_000]].concat();
    for piece in message.chunks(16_000) {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        if socket.write_all(&[&[22, 3, 1], &length[..], piece].concat()).is_err() {
            break;
        }
    }
    eventually("it is given up", || both.handshakes("broken") == 1);
}

#[test]
fn what_the_proxy_says_comes_before_tls() {
    let mut config = config();
    config.proxies.protocol = vec!["127.0.0.1/32".parse().unwrap()];
    config.timeouts.head = Duration::from_secs(5);
    let both = Both::with(config);
    let client = both.client();
    for together in [false, true] {
        let mut socket = TcpStream::connect(both.secure()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut session = rustls::ClientConnection::new(Arc::clone(&client), name).unwrap();
        let mut bytes = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec();
        if !together {
            socket.write_all(&std::mem::take(&mut bytes)).unwrap();
        }
        session.write_tls(&mut bytes).unwrap();
        socket.write_all(&bytes).unwrap();
        let mut stream = rustls::StreamOwned::new(session, socket);
        ask(&mut stream, "/healthz", "*/*");
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
}

#[test]
fn a_storm_of_handshakes_holds_up_nobody_who_is_in() {
    let mut config = config();
    config.shards = Some(1);
    let both = Both::with(config);
    let client = both.client();
    let mut readers: Vec<_> = (0..8).map(|_| subscribe(connect(both.secure(), &client), "calm")).collect();
    both.server.await_readers("calm", 8);
    let (stop, done) = (Stop::default(), Arc::new(AtomicU64::new(0)));
    let storm: Vec<_> = (0..8)
        .map(|_| {
            let (stopped, done, client, address) = (stop.watch(), done.clone(), client.clone(), both.secure());
            std::thread::spawn(move || {
                while !stopped() {
                    drop(try_connect(address, &client).unwrap());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    eventually("the storm blows", || done.load(Ordering::Relaxed) > 20);
    // Whoever is in hears all of it, in order, in the midst of it.
    for n in 0..50 {
        both.server.publish("calm", format!("event {n}."));
        for reader in &mut readers {
            line_with(reader, &format!("event {n}."));
        }
    }
    drop(stop);
    storm.into_iter().for_each(|thread| thread.join().unwrap());
    eventually("all that blew are counted", || both.handshakes("done") > 28);
}
