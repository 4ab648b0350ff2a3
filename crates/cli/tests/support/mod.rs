//! Running the command, and a server that follows a script.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate of its own and uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// What is waited for comes long before that, or never.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The command with no settings of the surroundings.
pub fn switchboard(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SWITCHBOARD_")) {
        command.env_remove(name);
    }
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs to the end, with nothing on standard input.
pub fn run(words: &[&str]) -> Said {
    run_with(words, b"")
}

/// Runs to the end with this on standard input.
pub fn run_with(words: &[&str], input: &[u8]) -> Said {
    let mut child = switchboard(words).spawn().unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    finish(child)
}

/// Waits for the end. A command that does not come to it is stopped, and fails the test instead of hanging it.
pub fn finish(child: Child) -> Said {
    let id = child.id().to_string();
    let (done, is_done) = mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let said = Said::from(child.wait_with_output().unwrap());
        let _ = done.send(());
        said
    });
    if is_done.recv_timeout(PATIENCE).is_err() {
        let _ = Command::new("kill").args(["-s", "KILL", &id]).status();
        panic!("it did not end: {:?}", waiting.join().unwrap());
    }
    waiting.join().unwrap()
}

/// `switchboard serve` on a free port, killed when dropped.
pub struct Server {
    child: Child,
    pub url: String,
    /// What it printed before and after the address.
    pub greeting: String,
}

impl Server {
    /// On a free port.
    pub fn start() -> Server {
        Server::listen("127.0.0.1:0")
    }

    pub fn listen(address: &str) -> Server {
        let words = ["serve", "--listen", address, "--shards", "2"];
        let mut child = switchboard(&words).stderr(Stdio::inherit()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut greeting, mut url) = (String::new(), None);
        while !greeting.contains("Ctrl-C") {
            let mut line = String::new();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended: {greeting}");
            if let Some((_, found)) = line.trim().split_once("listening on ") {
                url = Some(found.to_owned());
            }
            greeting.push_str(&line);
        }
        Server { child, url: url.unwrap(), greeting }
    }

    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection of a scripted server.
pub struct Peer {
    stream: BufReader<TcpStream>,
    pub head: String,
}

impl Peer {
    /// Takes a connection and reads the request's head.
    pub fn accept(listener: &TcpListener) -> Peer {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut stream, mut head) = (BufReader::new(stream), String::new());
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "cut in the head: {head}");
        }
        Peer { stream, head }
    }

    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The next chunk of the body; empty at its end.
    pub fn chunk(&mut self) -> String {
        let mut length = String::new();
        self.stream.read_line(&mut length).unwrap();
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk).unwrap();
        String::from_utf8(chunk[..length].to_vec()).unwrap()
    }

    /// The body to its end.
    pub fn chunks(&mut self) -> String {
        let mut body = String::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                return body;
            }
            body.push_str(&chunk);
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    pub fn answer(&mut self, status: &str, content_type: &str, body: &str) {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}");
        self.send(head.as_bytes());
    }
}

/// A server that runs `script`, and its URL.
pub fn scripted(script: impl FnOnce(TcpListener) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, std::thread::spawn(move || script(listener)))
}

/// A way to a server that is cut: each connection carries as many bytes to one side as the list says for it, and is
/// then dropped in both directions. Connections beyond the list are carried whole. Gives the URL.
pub fn cutting(upstream: &str, upward: bool, cuts: &'static [u64]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = upstream.to_owned();
    std::thread::spawn(move || {
        for (number, near) in listener.incoming().enumerate() {
            let (Ok(near), Ok(far)) = (near, TcpStream::connect(&upstream)) else { return };
            let most = cuts.get(number).copied().unwrap_or(u64::MAX);
            let (up, down) = if upward { (most, u64::MAX) } else { (u64::MAX, most) };
            carry(near.try_clone().unwrap(), far.try_clone().unwrap(), up);
            carry(far, near, down);
        }
    });
    url
}

fn carry(from: TcpStream, mut to: TcpStream, most: u64) {
    std::thread::spawn(move || {
        // However it ends, the connection ends.
        let _ = std::io::copy(&mut (&from).take(most), &mut to);
        let _ = from.shutdown(std::net::Shutdown::Both);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}
