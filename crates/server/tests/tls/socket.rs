//! A socket in the file system.

use crate::{ask, line_with};
use std::io::{BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use switchboard::StartError;
use switchboard::config::Socket;
use switchboard_testkit::{Config, PATIENCE, Server, config};

fn place(name: &str) -> (PathBuf, Config) {
    let path = std::env::temp_dir().join(format!("switchboard-{name}-{}.sock", std::process::id()));
    let sockets = vec![Socket { path: path.clone(), mode: 0o600 }];
    (path, Config { sockets, ..config() })
}

#[test]
fn requests_and_streams_go_through_it_beside_those_of_the_network() {
    let (path, config) = place("both");
    let server = Server::start(config);
    let connect = || {
        let socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let mut reader = BufReader::new(connect());
    ask(reader.get_mut(), "/channels/here", "text/event-stream");
    line_with(&mut reader, "$open");
    server.publish("here", "from the network");
    line_with(&mut reader, "from the network");
    // Many more than the socket has room for, and all of it in order.
    let filler = "x".repeat(10_000);
    for n in 0..200 {
        server.publish("here", format!("{n}.{filler}"));
    }
    for n in 0..200 {
        line_with(&mut reader, &format!("data:{n}.").replace("data:", "data: "));
    }
    let mut socket = connect();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    std::io::Write::write_all(&mut socket, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok\n"), "{answer}");
    drop(reader);
    server.await_readers("here", 0);
    server.drain();
    assert!(!path.exists(), "it goes with the server");
}

#[test]
fn one_that_is_in_use_is_refused() {
    let (path, config) = place("use");
    let server = Server::start(config.clone());
    let Err(StartError::Socket(told, error)) = switchboard::start(config) else { panic!("it starts") };
    assert_eq!((told, error.kind()), (path.clone(), std::io::ErrorKind::AddrInUse));
    drop(server);
    assert!(!path.exists());
}
