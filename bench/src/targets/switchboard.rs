//! Switchboard itself: the release binary, as it is.

use super::{Running, Target, Transport, Wish, ask};
use crate::client::dialogue::{Expect, Step, UPGRADE, get, position, post};
use crate::client::http2::hpack;
use crate::client::{Dialogue, Framing};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The binary `switchboard`.
#[derive(Clone, Debug)]
pub struct Switchboard {
    pub program: PathBuf,
}

impl Target for Switchboard {
    fn name(&self) -> String {
        "switchboard".into()
    }

    fn start(&self, wish: &Wish) -> Result<Running, String> {
        Running::announced(serve(&self.program, wish), wish.cpu)
    }

    fn subscription(&self, transport: Transport, channel: &str) -> Option<Dialogue> {
        Some(Protocol::local().subscription(transport, channel))
    }

    fn position(&self, running: &Running, channel: &str) -> Result<String, String> {
        Protocol::local().position(running, channel)
    }

    fn resumption(&self, transport: Transport, channel: &str, position: &str) -> Option<Dialogue> {
        Protocol::local().resumption(transport, channel, position)
    }

    fn publication(&self, channel: &str, payload: &[u8]) -> Vec<u8> {
        Protocol::local().publication(channel, payload)
    }
}

/// The command that serves on any port.
pub(super) fn serve(program: &Path, wish: &Wish) -> Command {
    let mut command = Command::new(program);
    let heartbeat = format!("{}ms", wish.heartbeat.as_millis());
    command.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--heartbeat", &heartbeat]);
    command
}

/// Switchboard's protocol (docs/protocol.md), as far as subscribers and publishers here need it.
#[derive(Clone)]
pub struct Protocol {
    /// The value of `Host`.
    pub host: String,
    /// What a proxy puts in front of `/channels`: empty, or begins with a slash and ends without one.
    pub prefix: String,
    /// The value of `Authorization`, if there is to be one.
    pub authorization: Option<String>,
}

/// It may be printed, and what it shows must not.
impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protocol").field("host", &self.host).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Protocol {
    pub(super) fn local() -> Protocol {
        Protocol { host: "127.0.0.1".into(), prefix: String::new(), authorization: None }
    }

    fn target(&self, channel: &str, query: &str) -> String {
        format!("{}/channels/{channel}{query}", self.prefix)
    }

    fn shown(&self) -> Vec<(&str, &str)> {
        self.shown_as("Authorization")
    }

    fn shown_as<'s>(&'s self, name: &'s str) -> Vec<(&'s str, &'s str)> {
        self.authorization.iter().map(|value| (name, value.as_str())).collect()
    }

    pub fn subscription(&self, transport: Transport, channel: &str) -> Dialogue {
        self.reading(transport, channel, "")
    }

    pub fn resumption(&self, transport: Transport, channel: &str, position: &str) -> Option<Dialogue> {
        match transport {
            Transport::Poll => None,
            _ => Some(self.reading(transport, channel, &format!("since={position}"))),
        }
    }

    fn reading(&self, transport: Transport, channel: &str, since: &str) -> Dialogue {
        let query = |more: &str| match (since, more) {
            ("", "") => String::new(),
            ("", one) | (one, "") => format!("?{one}"),
            (since, more) => format!("?{since}&{more}"),
        };
        let get = |query: &str, fields: &[(&str, &str)]| {
            get(&self.host, &self.target(channel, query), &[fields, &self.shown()].concat())
        };
        match transport {
            Transport::Sse => {
                let request = get(&query(""), &[("Accept", "text/event-stream")]);
                Dialogue::stream(Framing::Blocks, request, "event: $open")
            }
            Transport::SseH2 => {
                let shown = self.shown_as("authorization");
                let fields = [&[("accept", "text/event-stream")], &*shown].concat();
                let request = hpack::get(&self.host, &self.target(channel, &query("")), &fields);
                Dialogue::stream_of_many(Framing::Blocks, request, "event: $open")
            }
            Transport::Stream => {
                let request = get(&query(""), &[("Accept", "application/x-ndjson")]);
                Dialogue::stream(Framing::Lines, request, "{\"$open\"")
            }
            Transport::Websocket => Dialogue::websocket(get(&query(""), &UPGRADE), ""),
            Transport::WebsocketEvent => Dialogue::websocket(get(&query("form=event"), &UPGRADE), "{\"$open\""),
            Transport::WebsocketDeflate => {
                let deflate = ("Sec-WebSocket-Extensions", "permessage-deflate");
                let fields: Vec<_> = UPGRADE.into_iter().chain([deflate]).collect();
                Dialogue::websocket(get(&query(""), &fields), "")
            }
            Transport::Session => self.session(channel, since),
            Transport::Poll => {
                let again = get("?wait=30&since=\n", &[]);
                let cut = again.iter().position(|b| *b == b'\n').unwrap_or(again.len());
                Dialogue::polls(get("?since=latest", &[]), (again[..cut].to_vec(), again[cut + 1..].to_vec()))
            }
        }
    }

    /// A session's WebSocket, which subscribes once it is open.
    fn session(&self, channel: &str, since: &str) -> Dialogue {
        let fields = [&UPGRADE[..], &[("Sec-WebSocket-Protocol", "switchboard.v1")], &self.shown()].concat();
        let request = get(&self.host, &format!("{}/session", self.prefix), &fields);
        let mut dialogue = Dialogue::websocket(request, "\"method\":\"session\"");
        let since = since.strip_prefix("since=").map(|since| format!(",\"since\":\"{since}\"")).unwrap_or_default();
        let subscribe = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\",\"params\":{{\"channel\":\"{channel}\"{since}}}}}"
        );
        dialogue.steps.push(Step { send: subscribe.into(), expect: Expect::Piece("\"id\":1,".into()) });
        dialogue
    }

    pub(super) fn position(&self, running: &Running, channel: &str) -> Result<String, String> {
        let page = ask(running.plain, &get(&self.host, &self.target(channel, "?since=latest"), &self.shown()))?;
        let position = position(&page).ok_or("a page has no position")?;
        Ok(String::from_utf8_lossy(position).into_owned())
    }

    pub fn publication(&self, channel: &str, payload: &[u8]) -> Vec<u8> {
        let fields = [&[("Content-Type", "text/plain")], &*self.shown()].concat();
        post(&self.host, &self.target(channel, ""), &fields, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_poll_puts_the_position_into_its_next_request() {
        let dialogue = Protocol::local().subscription(Transport::Poll, "a/b");
        let (before, after) = &dialogue.again;
        let position = position(b"{\"events\":[{\"position\":\"no\"}],\"position\":\"06jk\"}\n").unwrap();
        let next = String::from_utf8([before, position, after].concat()).unwrap();
        assert_eq!(next, "GET /channels/a/b?wait=30&since=06jk HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    }

    #[test]
    fn a_reader_comes_back_with_its_position() {
        let shown = Some("Bearer x".to_owned());
        let protocol = Protocol { host: "example.org".into(), prefix: "/live".into(), authorization: shown };
        let request = |transport| {
            let dialogue = protocol.resumption(transport, "a", "06jk").unwrap();
            String::from_utf8(dialogue.steps[0].send.clone()).unwrap()
        };
        assert!(
            request(Transport::Sse).starts_with("GET /live/channels/a?since=06jk HTTP/1.1\r\nHost: example.org\r\n")
        );
        assert!(
            request(Transport::WebsocketEvent).starts_with("GET /live/channels/a?since=06jk&form=event HTTP/1.1\r\n")
        );
        let published = String::from_utf8(protocol.publication("a", b"x")).unwrap();
        for request in [request(Transport::Stream), request(Transport::Websocket), published] {
            assert!(request.contains("\r\nAuthorization: Bearer x\r\n"), "{request}");
        }
        assert!(!format!("{protocol:?}").contains("Bearer"));
    }
}
