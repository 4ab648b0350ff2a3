//! What can be measured: how to start it, subscribe to it, and publish to it.

pub mod deployment;
#[cfg(target_os = "linux")]
pub mod floor;
pub mod peer;
pub mod process;
pub mod secure;
pub mod switchboard;

pub use process::Running;

use crate::client::Dialogue;
use crate::client::connections::Secure;
use crate::client::publisher::Answers;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How events come down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, clap::ValueEnum)]
pub enum Transport {
    /// Server-Sent Events, the data as it is
    Sse,
    /// The same over HTTP/2, --streams on a connection
    SseH2,
    /// WebSocket, the data as it is
    Websocket,
    /// WebSocket, JSON events
    WebsocketEvent,
    /// WebSocket, the data as it is, compressed
    WebsocketDeflate,
    /// A session over WebSocket: JSON-RPC notifications
    Session,
    /// A line of JSON for each event
    Stream,
    /// Long polls
    Poll,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Sse => "sse",
            Transport::SseH2 => "sse-h2",
            Transport::Websocket => "websocket",
            Transport::WebsocketEvent => "websocket-event",
            Transport::WebsocketDeflate => "websocket-deflate",
            Transport::Session => "session",
            Transport::Stream => "stream",
            Transport::Poll => "poll",
        })
    }
}

/// What a run wants of a server.
#[derive(Clone, Debug)]
pub struct Wish {
    pub transport: Transport,
    /// How often a quiet stream says that it lives.
    pub heartbeat: std::time::Duration,
    /// The CPU the server is held to; `None` leaves it free.
    pub cpu: Option<usize>,
}

/// A kind of server.
pub trait Target {
    /// What it is called in tables: a word.
    fn name(&self) -> String;

    /// Starts one. It is stopped when the result is dropped.
    fn start(&self, wish: &Wish) -> Result<Running, String>;

    /// Whether a run goes on without it where it cannot be run.
    fn is_optional(&self) -> bool {
        false
    }

    /// Makes a channel, where one does not come into being by being used.
    fn prepare(&self, _running: &Running, _channel: &str) -> Result<(), String> {
        Ok(())
    }

    /// How to subscribe to a channel; `None` if it does not have the transport.
    fn subscription(&self, transport: Transport, channel: &str) -> Option<Dialogue>;

    /// The channel's position now, for readers who will come back; an error where the target cannot resume.
    fn position(&self, _running: &Running, _channel: &str) -> Result<String, String> {
        Err(format!("{} cannot resume a reader", self.name()))
    }

    /// How to subscribe from a position on; `None` if the target cannot, or not on this transport.
    fn resumption(&self, _transport: Transport, _channel: &str, _position: &str) -> Option<Dialogue> {
        None
    }

    /// The request that publishes a payload to a channel.
    fn publication(&self, channel: &str, payload: &[u8]) -> Vec<u8>;

    /// How publishing is answered.
    fn answers(&self) -> Answers {
        Answers::Http
    }

    /// What a publisher says when it connects.
    fn greeting(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Where publishers connect, where that is not where subscribers do.
    fn publishing_address(&self, running: &Running) -> SocketAddr {
        running.address
    }

    /// How subscribers speak TLS, where they do.
    fn secure(&self, _transport: Transport) -> Option<Secure> {
        None
    }
}

/// Asks over HTTP, on a connection of its own, and gives the answer's body, which must have a status of success.
pub fn ask(address: SocketAddr, request: &[u8]) -> Result<Vec<u8>, String> {
    use std::io::{Read as _, Write as _};
    let trouble = |error: std::io::Error| format!("asking {address}: {error}");
    let mut stream = std::net::TcpStream::connect(address).map_err(trouble)?;
    stream.set_read_timeout(Some(crate::client::connections::PATIENCE)).map_err(trouble)?;
    stream.write_all(request).map_err(trouble)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if answer.len() >= end + 4 + length.unwrap_or(0) {
                let ok = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
                return if ok { Ok(answer.split_off(end + 4)) } else { Err(format!("asking {address}: {head}")) };
            }
        }
        match stream.read(&mut buffer).map_err(trouble)? {
            0 => return Err(format!("asking {address}: the answer is cut off")),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    pub switchboard: PathBuf,
    /// This program, which has the floor as a command.
    pub own: PathBuf,
}

/// The targets by name.
pub fn by_name(name: &str, programs: &Programs) -> Result<Box<dyn Target>, String> {
    #[cfg(target_os = "linux")]
    if let Some(policy) = floor::by_name(name) {
        return Ok(Box::new(floor::Floor { program: programs.own.clone(), policy }));
    }
    if let Some(secure) = secure::by_name(name, &programs.switchboard) {
        return Ok(Box::new(secure?));
    }
    match name {
        "switchboard" => Ok(Box::new(switchboard::Switchboard { program: programs.switchboard.clone() })),
        _ => Err(format!(
            "there is no target `{name}`: try switchboard, switchboard-tls, floor, floor-four or floor-sweep"
        )),
    }
}
