//! A Switchboard that somebody runs somewhere: it is neither started nor stopped, and its CPUs and memory are not seen.

use super::switchboard::Protocol;
use super::{Running, Target, Transport, Wish};
use crate::client::Dialogue;
use crate::client::connections::Secure;
use std::net::SocketAddr;

/// Where it is.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub address: SocketAddr,
    pub protocol: Protocol,
    /// How it speaks TLS, if it does.
    pub secure: Option<Secure>,
}

impl Target for Deployment {
    fn name(&self) -> String {
        self.address.to_string()
    }

    fn start(&self, _: &Wish) -> Result<Running, String> {
        Ok(Running::elsewhere(self.address))
    }

    fn subscription(&self, transport: Transport, channel: &str) -> Option<Dialogue> {
        Some(self.protocol.subscription(transport, channel))
    }

    fn publication(&self, channel: &str, payload: &[u8]) -> Vec<u8> {
        self.protocol.publication(channel, payload)
    }

    fn secure(&self, transport: Transport) -> Option<Secure> {
        let secure = self.secure.clone()?;
        let mut config = rustls::ClientConfig::clone(&secure.subscribers);
        if transport == Transport::SseH2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        Some(Secure { subscribers: config.into(), ..secure })
    }
}
