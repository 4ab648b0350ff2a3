//! What connections are held to before they are streams.

use crate::config::Config;
use std::time::Duration;

/// What holds for all connections of a listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest request head, in bytes.
    pub head_bytes: usize,
    /// To send a head, from its first byte.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
    /// Without a byte of progress, reading a body or writing an answer.
    pub body: Duration,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Settings {
        let timeouts = &config.timeouts;
        Settings { head_bytes: config.limits.head, head: timeouts.head, idle: timeouts.idle, body: timeouts.body }
    }
}
