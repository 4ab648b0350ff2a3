//! Switchboard itself: the release binary, as it is.

use super::{Running, Target, Transport, Wish};
use crate::client::dialogue::{UPGRADE, get, post};
use crate::client::{Dialogue, Framing};
use std::path::PathBuf;
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
        let mut command = Command::new(&self.program);
        let heartbeat = format!("{}ms", wish.heartbeat.as_millis());
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--heartbeat", &heartbeat]);
        Running::announced(command, wish.cpu)
    }

    fn subscription(&self, transport: Transport, channel: &str) -> Option<Dialogue> {
        Some(subscription(transport, channel))
    }

    fn publication(&self, channel: &str, payload: &[u8]) -> Vec<u8> {
        publication(channel, payload)
    }
}

pub(super) fn subscription(transport: Transport, channel: &str) -> Dialogue {
    let target = format!("/channels/{channel}");
    match transport {
        Transport::Sse => {
            Dialogue::stream(Framing::Blocks, get(&target, &[("Accept", "text/event-stream")]), "event: $open")
        }
        Transport::Websocket => Dialogue::websocket(get(&target, &UPGRADE), ""),
    }
}

pub(super) fn publication(channel: &str, payload: &[u8]) -> Vec<u8> {
    post(&format!("/channels/{channel}"), "text/plain", payload)
}
