//! What the configuration says of access, resolved. Everything secret here prints as `[secret]`.

use super::apikey::ApiKey;
use super::keys::Key;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use switchboard_hub::access::Access;
use switchboard_wire::{ChannelName, Pattern};

/// Who may do what, and how they show who they are. The default is open mode: nothing is configured, and everyone may
/// do everything.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Keys that tokens are checked with.
    pub keys: Vec<Key>,
    /// Where more of them are fetched from.
    pub jwks: Option<Jwks>,
    /// What backends show.
    pub api_keys: Vec<ApiKey>,
    /// Who may subscribe, publish and see presence, by pattern.
    pub access: Access,
    /// How much is published to a channel, and how fast, by pattern. They say nothing of who, and do not end open mode.
    pub channel_limits: Vec<ChannelLimit>,
    /// Issuers that tokens may name; where there is none, any or no issuer.
    pub issuers: Vec<String>,
    /// Audiences of which a token must name one; where there is none, any or no audience.
    pub audiences: Vec<String>,
    /// How far the clocks of issuers may be off.
    pub skew: Duration,
    /// How long a token may still last when it comes. A revocation is kept for as long.
    pub lifetime: Duration,
    /// Longest token, in bytes.
    pub token_bytes: usize,
    /// The cookie that may carry a token.
    pub cookie: Option<String>,
    /// Revocations kept at most (a count).
    pub revocations: usize,
    /// Whether `/metrics` asks for an identity that may manage.
    pub metrics: bool,
    /// Origins of web pages that may use the server, besides the server's own.
    pub origins: Vec<String>,
}

/// What a `[[channel]]` allows to be published to each of its channels, whoever publishes. What it does not say, a later one
/// may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelLimit {
    pub pattern: Pattern,
    /// Events a second.
    pub publishes: Option<u32>,
    /// The data of one event, in bytes.
    pub message: Option<usize>,
}

impl ChannelLimit {
    /// What the first says that matches a channel and says anything of this.
    pub fn of<T>(
        limits: &[ChannelLimit],
        channel: &ChannelName,
        what: impl Fn(&ChannelLimit) -> Option<T>,
    ) -> Option<T> {
        limits.iter().filter(|limit| limit.pattern.matches(channel)).find_map(what)
    }
}

/// A JSON Web Key Set (RFC 7517) at a URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jwks {
    pub url: String,
    /// A file of roots in PEM that its certificate may lead to, besides those that are built in. It is read for each fetch.
    pub ca: Option<PathBuf>,
    /// How often it is fetched though nothing asks for it.
    pub refresh: Duration,
    /// How long after a fetch an unknown key id makes for another, at the earliest.
    pub cooldown: Duration,
    /// How long a fetch may take.
    pub time: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            keys: Vec::new(),
            jwks: None,
            api_keys: Vec::new(),
            access: Access::default(),
            channel_limits: Vec::new(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            skew: Duration::from_secs(5),
            lifetime: Duration::from_secs(24 * 3600),
            token_bytes: 8 << 10,
            cookie: None,
            revocations: 100_000,
            metrics: false,
            origins: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether nothing about authentication is configured.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty() && self.jwks.is_none() && self.api_keys.is_empty() && self.access.rules.is_empty()
    }
}

/// Bytes that are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Secret {
        Secret(bytes.into())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
