//! Other people's servers, as `bench/peers/*/peer.toml` describes them.

mod description;
mod install;

pub use description::Described;
pub use install::Installed;

use super::{Running, Target, Transport, Wish, ask};
use crate::client::dialogue::{Expect, Step, UPGRADE, get, post};
use crate::client::publisher::Answers;
use crate::client::{Dialogue, Framing};
use description::{Protocol, Values};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The peers that could be had, and for each that could not the reason.
#[derive(Debug, Default)]
pub struct Peers {
    pub had: Vec<Installed>,
    pub absent: Vec<(String, String)>,
}

/// The folder that describes the peers.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// Gets the peers that `sources` describes into `folder`; `wanted` says which, by name, and all if it is empty.
pub fn get_all(sources: &Path, folder: &Path, wanted: &[String]) -> Result<Peers, String> {
    let described = Described::all(sources)?;
    if let Some(unknown) = wanted.iter().find(|name| described.iter().all(|peer| peer.key() != **name)) {
        return Err(format!("there is no peer `{unknown}` in {}", sources.display()));
    }
    let mut peers = Peers::default();
    for peer in described.into_iter().filter(|peer| wanted.is_empty() || wanted.contains(&peer.key())) {
        let key = peer.key();
        match install::install(peer, folder) {
            Ok(installed) => peers.had.push(installed),
            Err(why) => peers.absent.push((key, why)),
        }
    }
    Ok(peers)
}

impl Installed {
    /// One line about it.
    pub fn about(&self) -> String {
        let resumes = if self.peer.description.resumes { "resumes" } else { "cannot resume" };
        format!("{}: {} {}, {resumes}", self.name(), self.peer.description.name, self.version)
    }

    /// Writes the configuration and gives the command that starts it.
    fn command(&self, port: u16) -> Result<Command, String> {
        let server = &self.peer.description.server;
        let run = self.out.join("run");
        let failed = |error| format!("{}: {error}", run.display());
        let _ = fs::remove_dir_all(&run);
        fs::create_dir_all(&run).map_err(failed)?;
        let values = Values::default()
            .with("out", self.out.display())
            .with("run", run.display())
            .with("port", port)
            .with("second_port", second(port));
        for file in &server.files {
            let text = fs::read_to_string(self.peer.folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
            fs::write(run.join(file), values.fill(&text)).map_err(failed)?;
        }
        let (program, arguments) = server.command.split_first().ok_or("its description has no command")?;
        let mut command = Command::new(values.fill(program));
        command.args(arguments.iter().map(|argument| values.fill(argument)));
        command.envs(&server.environment).current_dir(&run);
        Ok(command)
    }
}

impl Target for Installed {
    fn name(&self) -> String {
        self.peer.key()
    }

    fn is_optional(&self) -> bool {
        true
    }

    fn start(&self, wish: &Wish) -> Result<Running, String> {
        let port = free_ports().map_err(|error| format!("finding free ports: {error}"))?;
        Running::at(self.command(port)?, wish.cpu, (Ipv4Addr::LOCALHOST, port).into())
    }

    /// Makes the channel, where the peer wants that.
    fn prepare(&self, running: &Running, channel: &str) -> Result<(), String> {
        let Some(create) = &self.peer.description.create else { return Ok(()) };
        let path = in_channel(channel).fill(&create.path);
        let request = format!(
            "{} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            create.method, create.content_type
        );
        ask(running.address, request.as_bytes()).map(drop).map_err(|why| format!("making the channel {channel}: {why}"))
    }

    fn position(&self, _running: &Running, _channel: &str) -> Result<String, String> {
        Err("its description does not say how a reader resumes".into())
    }

    fn subscription(&self, transport: Transport, channel: &str) -> Option<Dialogue> {
        let reader = self.peer.description.readers.iter().find(|reader| reader.transport == transport)?;
        let values = in_channel(channel);
        let path = values.fill(&reader.path);
        let ready = reader.ready.as_deref().unwrap_or_default();
        let Some(hello) = &reader.hello else {
            return Some(match transport {
                Transport::Sse => Dialogue::stream(Framing::Blocks, get(HOST, &path, &EVENT_STREAM), ready),
                _ => Dialogue::websocket(get(HOST, &path, &UPGRADE), ready),
            });
        };
        let mut dialogue = Dialogue::websocket(get(HOST, &path, &UPGRADE), "");
        dialogue.steps.push(Step { send: values.fill(hello).into(), expect: Expect::Piece(ready.into()) });
        Some(dialogue)
    }

    fn publication(&self, channel: &str, payload: &[u8]) -> Vec<u8> {
        let publish = &self.peer.description.publish;
        let (before, after) = (publish.around.0.as_bytes(), publish.around.1.as_bytes());
        match publish.protocol {
            Protocol::Http => {
                let path = in_channel(channel).fill(&publish.path);
                post(HOST, &path, &[("Content-Type", &publish.content_type)], &[before, payload, after].concat())
            }
            Protocol::Nats => {
                let line = format!("PUB {channel} {}\r\n", payload.len());
                [line.as_bytes(), payload, b"\r\n"].concat()
            }
        }
    }

    fn answers(&self) -> Answers {
        match self.peer.description.publish.protocol {
            Protocol::Http => Answers::Http,
            Protocol::Nats => Answers::Line,
        }
    }

    fn greeting(&self) -> Vec<u8> {
        match self.peer.description.publish.protocol {
            Protocol::Http => Vec::new(),
            Protocol::Nats => b"CONNECT {\"verbose\":true,\"lang\":\"bench\",\"version\":\"1\"}\r\n".into(),
        }
    }

    fn publishing_address(&self, running: &Running) -> SocketAddr {
        match self.peer.description.publish.protocol {
            Protocol::Http => running.address,
            Protocol::Nats => (running.address.ip(), second(running.address.port())).into(),
        }
    }
}

const HOST: &str = "127.0.0.1";
const EVENT_STREAM: [(&str, &str); 1] = [("Accept", "text/event-stream")];

fn in_channel(channel: &str) -> Values {
    Values::default().with("channel", channel)
}

/// Where a peer that wants two ports has the other.
fn second(port: u16) -> u16 {
    port + 1
}

/// A port that nobody listens on, and neither on the one after it.
fn free_ports() -> std::io::Result<u16> {
    loop {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if first < u16::MAX && TcpListener::bind((Ipv4Addr::LOCALHOST, second(first))).is_ok() {
            return Ok(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if it had been got into `folder`.
    fn as_if_installed(key: &str, folder: &Path) -> Installed {
        let mut described = Described::all(&sources()).unwrap();
        let peer = described.remove(described.iter().position(|peer| peer.key() == key).unwrap());
        Installed { peer, out: folder.join(key), version: "1".into() }
    }

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("switchboard-bench-{name}-{}", std::process::id()))
    }

    #[test]
    fn configurations_have_no_placeholder_left() {
        let folder = scratch("configurations");
        for described in Described::all(&sources()).unwrap() {
            let peer = as_if_installed(&described.key(), &folder);
            let mut text = format!("{:?}", peer.command(4000).unwrap());
            for file in &described.description.server.files {
                text += &fs::read_to_string(peer.out.join("run").join(file)).unwrap();
            }
            assert!(text.contains("4000"), "{}: nothing tells it the port: {text}", described.key());
            for name in ["{out}", "{run}", "{port}", "{second_port}", "{here}"] {
                assert!(!text.contains(name), "{}: {name} in {text}", described.key());
            }
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn peers_are_spoken_to_as_they_want() {
        let peer = |key| as_if_installed(key, Path::new("nowhere"));
        let nats = peer("nats");
        assert_eq!(nats.publication("bench/0", b"data"), b"PUB bench/0 4\r\ndata\r\n");
        let dialogue = nats.subscription(Transport::Websocket, "bench/0").unwrap();
        assert!(dialogue.steps[1].send.ends_with(b"\r\nSUB bench/0 1\r\nPING\r\n"), "{dialogue:?}");
        assert!(nats.subscription(Transport::Sse, "bench/0").is_none());
        let streams = peer("durable-streams").publication("bench/0", b"data");
        assert!(streams.starts_with(b"POST /bench/0 HTTP/1.1\r\n") && streams.ends_with(b"\r\n\r\n\"data\""));
        let socket = peer("socket.io").subscription(Transport::Websocket, "bench/0").unwrap();
        assert_eq!(socket.steps[1].send, b"40{\"channel\":\"bench/0\"}");
    }

    #[test]
    fn a_peer_that_cannot_be_had_is_told_with_the_reason() {
        let folder = scratch("absent");
        let source = folder.join("sources/odd");
        fs::create_dir_all(&source).unwrap();
        let description = "name = \"Odd\"\nresumes = false\nversion = \"1\"\n\
                           [install]\nsteps = [[\"no-such-program\", \"{out}\"]]\n\
                           [server]\ncommand = [\"odd\"]\n[publish]\npath = \"/\"\n\
                           [[reader]]\ntransport = \"sse\"\npath = \"/\"\n";
        fs::write(source.join("peer.toml"), description).unwrap();
        let peers = get_all(&folder.join("sources"), &folder.join("got"), &[]).unwrap();
        assert!(peers.had.is_empty());
        assert_eq!(peers.absent[0].0, "odd");
        assert!(peers.absent[0].1.contains("could not be started"), "{:?}", peers.absent);
        assert!(get_all(&folder.join("sources"), &folder, &["even".into()]).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
