//! A server to test: in this process, or the real program in one of its own.

use crate::issuer::Authority;
use crate::tls::{Files, VERSIONS};
use crate::{Conn, Field, Lines, PATIENCE, Response, Sse, Streamed, WebSocket, bridge, eventually, tls};
use rustix::process::{Pid, Signal, kill_process};
use rustls::SupportedProtocolVersion;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use switchboard::{Config, Running};
use switchboard_store::{Class, Retention};

/// A configuration for tests: port 0, two shards, short farewells.
pub fn config() -> Config {
    let mut config =
        Config { listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], shards: Some(2), ..Config::default() };
    config.drain = Duration::from_secs(3);
    config.timeouts.close = Duration::from_secs(1);
    config
}

/// Channels that hold so many events and bytes, for ten minutes.
pub fn history(events: usize, bytes: usize) -> Class {
    Class::History(Retention { events, bytes, ..Retention::default() })
}

/// Where a server is asked: with `TESTKIT_HTTP2` in the environment through a bridge that speaks HTTP/2 to it.
fn reached(address: SocketAddr) -> SocketAddr {
    if std::env::var_os("TESTKIT_HTTP2").is_some() { bridge::to_http2(address) } else { address }
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    life: Life,
    /// Its certificate, where it is reached over TLS.
    _files: Option<Files>,
}

#[derive(Debug)]
enum Life {
    Thread(Option<Running>),
    Process { child: Child, said: Arc<Mutex<String>> },
}

impl Default for Server {
    fn default() -> Server {
        Server::start(config())
    }
}

impl Server {
    /// A server in this process, with [`config`].
    #[track_caller]
    pub fn new() -> Server {
        Server::start(config())
    }

    /// A server in this process.
    #[track_caller]
    pub fn start(config: Config) -> Server {
        if std::env::var_os("TESTKIT_TLS").is_some() && config.tls.is_none() && config.listen.len() == 1 {
            return Server::secure(config, &VERSIONS);
        }
        let running = switchboard::start(config).unwrap_or_else(|error| panic!("the server did not start: {error:?}"));
        let first = running.addresses().first().or(running.secure_addresses().first());
        let address = reached(*first.expect("the server listens"));
        Server { address, life: Life::Thread(Some(running)), _files: None }
    }

    /// A server in this process that is spoken to in these versions of TLS alone. Its address is that of a bridge, so that
    /// every client here reaches it; with `TESTKIT_TLS` in the environment every server in this process is such a one. Where
    /// that says `alpn`, clients agree on the HTTP that they speak, which nobody knows of one that says nothing.
    #[track_caller]
    pub fn secure(mut config: Config, versions: &[&'static SupportedProtocolVersion]) -> Server {
        let authority = Authority::new("an authority of tests");
        let files = Files::new(&authority);
        config.listen.clear();
        config.tls = Some(files.config());
        let running = switchboard::start(config).unwrap_or_else(|error| panic!("the server did not start: {error:?}"));
        let secure = *running.secure_addresses().first().expect("the server speaks TLS");
        let client = tls::client(&authority, versions);
        let bridge = match std::env::var_os("TESTKIT_TLS") {
            Some(how) if how == "alpn" => tls::Bridge::agreeing(secure, client),
            _ => tls::Bridge::to(secure, client),
        };
        Server { address: reached(bridge.address()), life: Life::Thread(Some(running)), _files: Some(files) }
    }

    /// The server, if it is in this process.
    #[track_caller]
    pub fn running(&self) -> &Running {
        match &self.life {
            Life::Thread(Some(running)) => running,
            _ => panic!("the server is in a process of its own"),
        }
    }

    /// The real program, in a process of its own: `args` follow the name of the program.
    #[track_caller]
    pub fn process(program: &str, args: &[&str]) -> Server {
        Server::process_with(program, args, &[])
    }

    /// The real program with variables in its environment; of the program's own it sees no others.
    #[track_caller]
    pub fn process_with(program: &str, args: &[&str], variables: &[(&str, &str)]) -> Server {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SWITCHBOARD_")) {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = Arc::new(Mutex::new(String::new()));
        let (stdout, stderr) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        listen_to(stdout, Arc::clone(&said));
        listen_to(stderr, Arc::clone(&said));
        let end = Instant::now() + PATIENCE;
        loop {
            let text = said.lock().expect("no listener panics").clone();
            if let Some(address) = address_in(&text) {
                let address = reached(address);
                return Server { address, life: Life::Process { child, said }, _files: None };
            }
            let gone = child.try_wait().expect("a child can be asked for");
            assert!(gone.is_none() && Instant::now() < end, "the program did not say where it listens: {text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All addresses, of a server in this process.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match &self.life {
            Life::Thread(Some(running)) => running.addresses().to_vec(),
            _ => vec![self.address],
        }
    }

    /// What the program has printed so far.
    pub fn said(&self) -> String {
        match &self.life {
            Life::Process { said, .. } => said.lock().expect("no listener panics").clone(),
            Life::Thread(_) => String::new(),
        }
    }

    /// The process id of the program.
    #[track_caller]
    pub fn pid(&self) -> Pid {
        match &self.life {
            Life::Process { child, .. } => Pid::from_child(child),
            Life::Thread(_) => panic!("the server has no process of its own"),
        }
    }

    /// Resident memory of the program, in bytes.
    #[track_caller]
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number of kB") * 1024
    }

    /// Sends a signal to the program.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process lives");
    }

    /// Waits for the program to exit: its exit code, `None` if a signal ended it.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        let said = self.said();
        let Life::Process { child, .. } = &mut self.life else { panic!("the server has no process of its own") };
        let end = Instant::now() + PATIENCE + Duration::from_secs(5);
        loop {
            if let Some(status) = child.try_wait().expect("a child can be asked for") {
                return status.code();
            }
            assert!(Instant::now() < end, "the program did not exit: {said}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM, and waits for the program to exit.
    #[track_caller]
    pub fn terminate(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.exit_code()
    }

    /// Drains a server in this process, blocking until it is gone.
    #[track_caller]
    pub fn drain(mut self) {
        match &mut self.life {
            Life::Thread(running) => running.take().expect("the server runs").drain(),
            Life::Process { .. } => panic!("send it a signal"),
        }
    }

    #[track_caller]
    pub fn connect(&self) -> Conn {
        Conn::open(self.address)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn request(&self, method: &str, target: &str, fields: &[Field<'_>], body: Option<&[u8]>) -> Response {
        self.connect().request(method, target, fields, body)
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.request("GET", target, &[], None)
    }

    #[track_caller]
    pub fn get_with(&self, target: &str, fields: &[Field<'_>]) -> Response {
        self.request("GET", target, fields, None)
    }

    #[track_caller]
    pub fn post(&self, target: &str, fields: &[Field<'_>], body: impl AsRef<[u8]>) -> Response {
        self.request("POST", target, fields, Some(body.as_ref()))
    }

    #[track_caller]
    pub fn delete(&self, target: &str) -> Response {
        self.request("DELETE", target, &[], None)
    }

    /// Publishes to a channel, and gives the event's id.
    #[track_caller]
    pub fn publish(&self, channel: &str, data: impl AsRef<[u8]>) -> String {
        self.connect().publish(channel, data)
    }

    /// Publishes JSON, and gives the event's id.
    #[track_caller]
    pub fn publish_json(&self, channel: &str, data: &str) -> String {
        let told = self.post(&format!("/channels/{channel}"), &[("Content-Type", "application/json")], data);
        told.expect(201).json()["id"].as_str().expect("a publish answers the id").to_owned()
    }

    /// Ends a channel without a last event.
    #[track_caller]
    pub fn end(&self, channel: &str) {
        self.post(&format!("/channels/{channel}?end=true"), &[], "").expect(201);
    }

    /// A page.
    #[track_caller]
    pub fn page(&self, target: &str) -> Value {
        self.get(target).expect(200).json()
    }

    #[track_caller]
    pub fn stream(&self, target: &str, fields: &[Field<'_>]) -> Streamed {
        self.connect().stream(target, fields)
    }

    #[track_caller]
    pub fn sse(&self, target: &str) -> Sse {
        self.connect().sse(target, &[])
    }

    #[track_caller]
    pub fn lines(&self, target: &str) -> Lines {
        self.connect().lines(target, &[])
    }

    #[track_caller]
    pub fn websocket(&self, target: &str) -> WebSocket {
        self.connect().websocket(target, &[])
    }

    #[track_caller]
    pub fn handshake(&self, target: &str, fields: &[Field<'_>]) -> Result<WebSocket, Response> {
        self.connect().handshake(target, fields)
    }

    /// What `GET /api/channels` tells of a channel, if it lists it.
    #[track_caller]
    pub fn channel(&self, name: &str) -> Option<Value> {
        let all = self.page("/api/channels");
        let list = all.as_array().or_else(|| all["channels"].as_array()).expect("a list of channels").clone();
        list.into_iter().find(|each| each["channel"] == name || each["name"] == name)
    }

    /// How many readers a channel has.
    #[track_caller]
    pub fn readers(&self, channel: &str) -> u64 {
        self.channel(channel).map_or(0, |told| told["readers"].as_u64().expect("a number of readers"))
    }

    /// Waits until a channel has this many readers.
    #[track_caller]
    pub fn await_readers(&self, channel: &str, readers: u64) {
        eventually(&format!("{channel} has {readers} readers"), || self.readers(channel) == readers);
    }

    /// Checks that the server still serves.
    #[track_caller]
    pub fn is_alive(&self) {
        let status = self.get("/healthz").status();
        assert!((200..300).contains(&status), "/healthz answers {status}");
        self.publish("alive", "yes");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.life {
            Life::Thread(running) => {
                // While a test fails, what it found matters, and not how the server ends.
                if let Some(running) = running.take()
                    && !std::thread::panicking()
                {
                    running.drain();
                }
            }
            Life::Process { child, .. } => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The first `http://127.0.0.1:PORT` in the text of a finished line.
fn address_in(text: &str) -> Option<SocketAddr> {
    let finished = &text[..=text.rfind('\n')?];
    let after = finished.split_once("http://127.0.0.1:")?.1;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    Some(SocketAddr::from((Ipv4Addr::LOCALHOST, digits.parse().ok()?)))
}

fn listen_to(pipe: impl Read + Send + 'static, said: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if let Ok(mut said) = said.lock() {
                said.push_str(&String::from_utf8_lossy(&line));
            }
            line.clear();
        }
    });
}
