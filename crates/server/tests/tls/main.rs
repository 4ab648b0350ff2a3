//! TLS towards clients, and the socket in the file system, from the outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do: by panicking"
)]

mod certificate;
mod floods;
mod handshakes;
mod records;
mod socket;
mod transports;

use rustls::{ClientConfig, SupportedProtocolVersion};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use switchboard_testkit::issuer::Authority;
use switchboard_testkit::tls::{self, Files, Secured, VERSIONS};
use switchboard_testkit::{Config, Server, config};

/// A server that speaks TLS and plain HTTP, and what it takes to speak to it.
struct Both {
    server: Server,
    authority: Authority,
    files: Files,
}

impl Both {
    fn start() -> Both {
        Both::with(config())
    }

    fn with(mut config: Config) -> Both {
        let authority = Authority::new("an authority");
        let files = Files::new(&authority);
        config.tls = Some(files.config());
        Both { server: Server::start(config), authority, files }
    }

    fn secure(&self) -> SocketAddr {
        self.server.running().secure_addresses()[0]
    }

    fn client(&self) -> Arc<ClientConfig> {
        self.client_of(&VERSIONS)
    }

    fn client_of(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        Arc::new(tls::client(&self.authority, versions))
    }

    fn connect(&self) -> Secured {
        tls::connect(self.secure(), &self.client())
    }

    /// How many handshakes had this result.
    fn handshakes(&self, result: &str) -> u64 {
        let name = format!("switchboard_tls_handshakes_total{{result=\"{result}\"}} ");
        let metrics = String::from_utf8(self.server.get("/metrics").body).unwrap();
        metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }
}

fn ask(stream: &mut impl Write, target: &str, accept: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
}

/// Opens a stream of Server-Sent Events over TLS, and reads its head.
fn subscribe(stream: Secured, channel: &str) -> BufReader<Secured> {
    let mut reader = BufReader::new(stream);
    ask(reader.get_mut(), &format!("/channels/{channel}"), "text/event-stream");
    assert!(line_with(&mut reader, "HTTP/1.1 ").starts_with("HTTP/1.1 200 "));
    line_with(&mut reader, "$open");
    reader
}

/// Reads lines until one holds this.
#[track_caller]
fn line_with(reader: &mut impl BufRead, part: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream ended before `{part}`");
        if line.contains(part) {
            return line;
        }
    }
}

/// Everything until the end.
fn rest(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).map(|_| all)
}
