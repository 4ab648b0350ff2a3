//! The floor as a target: this program's own command `floor`, which speaks as much of Switchboard's protocol as a
//! subscriber and a publisher need.

use super::switchboard::Protocol;
use super::{Running, Target, Transport, Wish};
use crate::client::Dialogue;
use crate::floor::Policy;
use std::path::PathBuf;
use std::process::Command;

/// A floor.
#[derive(Clone, Debug)]
pub struct Floor {
    pub program: PathBuf,
    pub policy: Policy,
}

/// The policy that a target's name means.
pub fn by_name(name: &str) -> Option<Policy> {
    [Policy::Each, Policy::Four, Policy::Sweep].into_iter().find(|policy| policy.target() == name)
}

impl Target for Floor {
    fn name(&self) -> String {
        self.policy.target().into()
    }

    fn start(&self, wish: &Wish) -> Result<Running, String> {
        let mut command = Command::new(&self.program);
        command.args(["floor", "--policy", self.policy.word()]);
        Running::announced(command, wish.cpu)
    }

    fn subscription(&self, transport: Transport, channel: &str) -> Option<Dialogue> {
        match transport {
            // To the floor a session is a WebSocket like another.
            Transport::Session => Some(Protocol::local().subscription(Transport::Websocket, channel)),
            Transport::SseH2 => None,
            _ => Some(Protocol::local().subscription(transport, channel)),
        }
    }

    fn publication(&self, channel: &str, payload: &[u8]) -> Vec<u8> {
        Protocol::local().publication(channel, payload)
    }
}
