//! The real program in a process of its own, and a publisher that talks to it directly.

use crate::within;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const VARIABLE: &str = "CONFORMANCE_SERVER";
const REMEDY: &str = "`cargo xtask clients` sets it. By hand, in the project's top folder: \
    cargo build && export CONFORMANCE_SERVER=\"$PWD/target/debug/switchboard\"";

/// The path of the program under test.
fn program() -> PathBuf {
    let path = std::env::var_os(VARIABLE).map(PathBuf::from);
    let path = path.unwrap_or_else(|| panic!("{VARIABLE} is not set: it names the switchboard program. {REMEDY}"));
    assert!(path.is_file(), "{VARIABLE} names {}, and there is no such program. {REMEDY}", path.display());
    path
}

/// A port that nobody listens on, and that nobody is given by chance while a server that is to come back is away: below those
/// that systems deal out. Each process begins somewhere else, and gives none a second time.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let at = std::process::id().wrapping_mul(128).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_240 + (at % 20_480) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// Starts on a free port.
    pub async fn start() -> Server {
        Server::listen(free_port()).await
    }

    async fn listen(port: u16) -> Server {
        let mut command = Command::new(program());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SWITCHBOARD_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--shards", "2", "--listen", &format!("127.0.0.1:{port}")]);
        command.envs([("SWITCHBOARD_RETRY", "100ms"), ("SWITCHBOARD_LOG_LEVEL", "warn")]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let listening = async {
            let mut text = String::new();
            loop {
                assert_ne!(said.read_line(&mut text).await.unwrap(), 0, "the server ended: {text}");
                let port = text.split_once("listening on http://127.0.0.1:").map(|(_, rest)| rest.trim_end());
                if let Some(port) = port {
                    return port.parse().unwrap();
                }
            }
        };
        let port = within("the server says where it listens", listening).await;
        // It goes on writing, and nobody reads: a full pipe would stop it.
        tokio::spawn(async move { said.read_to_end(&mut Vec::new()).await });
        Server { child, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks it to stop, waits, and starts it again on the same port.
    pub async fn restart(&mut self) {
        let id = self.child.id().unwrap().to_string();
        let asked = Command::new("kill").args(["-s", "TERM", &id]).status().await.unwrap();
        assert!(asked.success());
        let status = within("the server drains", self.child.wait()).await.unwrap();
        assert_eq!(status.code(), Some(0));
        *self = Server::listen(self.port).await;
    }

    /// Publishes text, and gives the event's id.
    pub async fn publish(&self, channel: &str, text: &str) -> String {
        self.post(channel, "text/plain", text.as_bytes()).await
    }

    /// Publishes bytes.
    pub async fn publish_bytes(&self, channel: &str, bytes: &[u8]) -> String {
        self.post(channel, "application/octet-stream", bytes).await
    }

    /// Publishes the last event of a channel.
    pub async fn end(&self, channel: &str, text: &str) -> String {
        self.post(&format!("{channel}?end=true"), "text/plain", text.as_bytes()).await
    }

    async fn post(&self, target: &str, content_type: &str, body: &[u8]) -> String {
        let head = format!(
            "POST /channels/{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = within("the answer to a publish", exchange).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 201"), "{answer}");
        let body: Value = serde_json::from_str(body).unwrap();
        body["id"].as_str().unwrap().to_owned()
    }
}
