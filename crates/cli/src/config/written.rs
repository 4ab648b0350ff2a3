//! Settings as written: what the flags, the environment or the file said, each as the same struct of options, and
//! where it was said. One table holds every setting; the file, the environment and `--print-config` all follow it.

use super::value::{Count, Format, Hidden, Hiddens, Level, Listen, Size, Span, Text, Texts, Value};
use std::fmt;
use std::sync::Arc;
use toml::de::DeValue;

/// Where a value was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A flag, with its dashes.
    Flag(&'static str),
    /// An environment variable.
    Environment(String),
    /// A line of the file, counted from 1.
    File(Arc<str>, usize),
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Environment(variable) => f.write_str(variable),
            Origin::File(path, line) => write!(f, "{path}:{line}"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A value and where it was said.
#[derive(Clone, PartialEq, Debug)]
pub struct Said<T> {
    pub value: T,
    pub origin: Origin,
}

/// Something wrong with the configuration, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// `None` where it cannot be pinned to one place.
    pub origin: Option<Origin>,
    pub sentence: String,
}

impl Problem {
    pub fn at(origin: &Origin, sentence: impl Into<String>) -> Problem {
        Problem { origin: Some(origin.clone()), sentence: sentence.into() }
    }

    pub fn anywhere(sentence: impl Into<String>) -> Problem {
        Problem { origin: None, sentence: sentence.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.sentence),
            None => f.write_str(&self.sentence),
        }
    }
}

/// One `[[channel]]`, as written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rule {
    pub pattern: Option<Said<String>>,
    pub class: Option<Said<String>>,
    pub events: Option<Said<Count>>,
    pub age: Option<Said<Span>>,
    pub bytes: Option<Said<Size>>,
    pub subscribe: Option<Said<String>>,
    pub publish: Option<Said<String>>,
    pub presence: Option<Said<String>>,
    pub publishes: Option<Said<Count>>,
    pub message: Option<Said<Size>>,
    pub track: Option<Said<String>>,
}

/// Keys of a `[[channel]]`.
pub const RULE_KEYS: [&str; 11] =
    ["pattern", "class", "events", "age", "bytes", "subscribe", "publish", "presence", "publishes", "message", "track"];
/// Those beside which a rule may leave the class to another.
pub const CLASSLESS_KEYS: [&str; 6] = ["subscribe", "publish", "presence", "publishes", "message", "track"];

/// One `[[auth.key]]`, as written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Key {
    pub id: Option<Said<String>>,
    pub algorithm: Option<Said<String>>,
    pub secret: Option<Said<Hidden>>,
    pub secret_file: Option<Said<String>>,
    pub public_key: Option<Said<String>>,
    pub public_key_file: Option<Said<String>>,
}

/// Keys of an `[[auth.key]]`.
pub const KEY_KEYS: [&str; 6] = ["id", "algorithm", "secret", "secret_file", "public_key", "public_key_file"];

/// One `[[auth.api_key]]`, as written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ApiKey {
    pub name: Option<Said<String>>,
    pub hash: Option<Said<String>>,
    pub subscribe: Option<Said<Texts>>,
    pub publish: Option<Said<Texts>>,
    pub presence: Option<Said<Texts>>,
    pub manage: Option<Said<Texts>>,
}

/// Keys of an `[[auth.api_key]]`.
pub const API_KEY_KEYS: [&str; 6] = ["name", "hash", "subscribe", "publish", "presence", "manage"];

/// One `[[site.cache]]`, as written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Cache {
    pub path: Option<Said<String>>,
    pub control: Option<Said<String>>,
}

/// Keys of a `[[site.cache]]`.
pub const CACHE_KEYS: [&str; 2] = ["path", "control"];

/// One `[[site.push]]`, as written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PushList {
    pub page: Option<Said<String>>,
    pub files: Option<Said<Texts>>,
}

/// Keys of a `[[site.push]]`.
pub const PUSH_KEYS: [&str; 2] = ["page", "files"];

/// A row of the table of settings.
pub struct Setting {
    /// The key in the file, tables before it: `limits.message`.
    pub key: &'static str,
    /// One sentence for `--print-config`.
    pub about: &'static str,
    /// Takes a value from a flag or the environment.
    pub read_text: fn(&mut Written, &str, Origin) -> Result<(), String>,
    /// Takes a value from the file.
    pub read_toml: fn(&mut Written, &DeValue<'_>, Origin) -> Result<(), String>,
    /// The value as TOML, and where it was said, if it was.
    pub show: fn(&Written) -> Option<(String, &Origin)>,
    /// Whether two say the same, wherever they do.
    pub is_same: fn(&Written, &Written) -> bool,
    /// Whether the value is a secret, which is not printed.
    pub hidden: bool,
}

impl Setting {
    /// The environment variable: the key in capitals, after `SWITCHBOARD_`.
    pub fn variable(&self) -> String {
        format!("SWITCHBOARD_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

macro_rules! settings {
    ($($field:ident: $type:ty = $key:literal, $about:literal;)*) => {
        /// What one source said.
        #[derive(Clone, PartialEq, Debug, Default)]
        pub struct Written {
            $(#[doc = $about] pub $field: Option<Said<$type>>,)*
            /// `[[channel]]`, in order; only a file has them.
            pub rules: Vec<Rule>,
            /// `[[auth.key]]`, likewise.
            pub keys: Vec<Key>,
            /// `[[auth.api_key]]`, likewise.
            pub api_keys: Vec<ApiKey>,
            /// `[[site.cache]]`, likewise.
            pub caches: Vec<Cache>,
            /// `[[site.push]]`, likewise.
            pub pushes: Vec<PushList>,
        }

        impl Written {
            /// This source before another: what this one did not say, the other may.
            #[must_use]
            pub fn over(self, weaker: Written) -> Written {
                Written {
                    $($field: self.$field.or(weaker.$field),)*
                    rules: if self.rules.is_empty() { weaker.rules } else { self.rules },
                    keys: if self.keys.is_empty() { weaker.keys } else { self.keys },
                    api_keys: if self.api_keys.is_empty() { weaker.api_keys } else { self.api_keys },
                    caches: if self.caches.is_empty() { weaker.caches } else { self.caches },
                    pushes: if self.pushes.is_empty() { weaker.pushes } else { self.pushes },
                }
            }
        }

        /// Every setting, in the order of `--print-config`: keys without a table first, then table by table.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            about: $about,
            read_text: |written, text, origin| {
                written.$field = Some(Said { value: <$type>::from_text(text)?, origin });
                Ok(())
            },
            read_toml: |written, value, origin| {
                written.$field = Some(Said { value: <$type>::from_toml(value)?, origin });
                Ok(())
            },
            show: |written| written.$field.as_ref().map(|said| (said.value.to_toml(), &said.origin)),
            is_same: |one, other| {
                one.$field.as_ref().map(|said| &said.value) == other.$field.as_ref().map(|said| &said.value)
            },
            hidden: <$type>::HIDDEN,
        }),*];
    };
}

settings! {
    listen: Listen = "listen",
        "Addresses to listen on, each ADDR:PORT, or unix:PATH for a socket in the file system; port 0 takes any free one.";
    insecure: bool = "insecure", "Listen on public addresses although everyone who reaches them may do everything.";
    socket_mode: Text = "socket_mode", "Who may connect to such a socket, as chmod takes it.";
    shards: Option<Count> = "shards", "Threads that hold connections; \"auto\" is one for each CPU.";
    connections: Option<Count> = "connections",
        "Connections held at most; \"auto\" is the limit of open files less a reserve of 64.";
    drain: Span = "drain", "How long a stop may take: every client is told, and the rest is waited for.";
    heartbeat: Span = "heartbeat", "How often a quiet stream says that it lives.";
    retry: Span = "retry", "What clients are told to wait before they connect again.";
    gzip: bool = "gzip", "Compress SSE and NDJSON for clients that take gzip: once for each event, not for each client.";
    log: Format = "log", "How the log is written: \"text\" for people, \"json\" for machines.";
    log_level: Level = "log_level",
        "What is logged: off, error, warn, info, debug or trace; or by part, such as \"info,switchboard=debug\".";
    tls_listen: Listen = "tls.listen", "Addresses to listen on with TLS; none where this is empty.";
    tls_certificate: Text = "tls.certificate",
        "A file in PEM: the server's certificate, followed by those that lead from it to a root.";
    tls_key: Text = "tls.key", "A file in PEM: the certificate's key.";
    limits_message: Size = "limits.message", "The data of one event, and one WebSocket message, in bytes.";
    limits_fragments: Count = "limits.fragments", "Frames that one WebSocket message may be cut into.";
    limits_head: Size = "limits.head", "Request line and header fields together, in bytes.";
    limits_streams: Count = "limits.streams", "Streams of one HTTP/2 connection that are open at once.";
    limits_batch: Size = "limits.batch", "A whole body of POST /api/publish, in bytes.";
    limits_page: Count = "limits.page", "Events on one page, whatever `limit` asks for.";
    limits_channels: Count = "limits.channels", "Channels and patterns that one reader names.";
    limits_address: Option<Count> = "limits.address",
        "Connections of one address; \"auto\" is half of all, and without authentication no limit.";
    limits_user: Option<Count> = "limits.user",
        "Streams and waiting polls of one user; \"auto\" is 100, and without authentication no limit.";
    limits_accepts: Option<Count> = "limits.accepts",
        "New connections a second, beyond which they wait; \"auto\" is 2000, and without authentication no limit.";
    limits_publishes: Option<Count> = "limits.publishes",
        "Events that one user publishes a second; \"auto\" is 100, and without authentication no limit.";
    session_linger: Span = "session.linger",
        "How long a session is kept without a connection.";
    session_memory: Size = "session.memory",
        "Messages that wait for one session's client, or for their turn: beyond it the session ends.";
    session_count: Option<Count> = "session.count",
        "Sessions in all; auto is the limit of connections.";
    session_calls: Count = "session.calls",
        "Calls of one session that may be open, in each direction.";
    session_call_timeout: Span = "session.call_timeout",
        "The longest that a client's call may be worked on.";
    timeouts_head: Span = "timeouts.head", "To send a request head once it has begun.";
    timeouts_idle: Span = "timeouts.idle", "Between the requests of one connection.";
    timeouts_body: Span = "timeouts.body", "Without a byte of a body, within an event.";
    timeouts_wait: Span = "timeouts.wait", "The longest long poll, whatever `wait` asks for.";
    timeouts_close: Span = "timeouts.close", "To answer a WebSocket close.";
    proxies_addresses: Texts = "proxies.addresses",
        "Proxies that say in a header field whom a request is from, such as \"10.0.0.0/8\".";
    proxies_header: Text = "proxies.header", "Which field counts: \"x-forwarded-for\" or \"forwarded\".";
    proxies_protocol: Texts = "proxies.protocol", "Proxies that begin each connection with the PROXY protocol.";
    history_events: Count = "history.events", "Events a channel holds, unless a [[channel]] below says otherwise.";
    history_age: Span = "history.age", "How old an event that is held may become.";
    history_bytes: Size = "history.bytes", "Bytes a channel holds.";
    memory_bytes: Size = "memory.bytes", "Bytes that all channels hold together; beyond it the oldest events go first.";
    memory_transit: Size = "memory.transit",
        "Bytes on their way: bodies and messages that have arrived in part, answers that have yet to be taken.";
    memory_channels: Count = "memory.channels", "Channels kept; beyond it the longest unused go first.";
    idempotency_keys: Count = "idempotency.keys", "Idempotency keys kept; beyond it a publish with a new key is refused.";
    idempotency_age: Span = "idempotency.age", "How long an idempotency key is kept.";
    presence_debounce: Span = "presence.debounce",
        "How long somebody who left a channel may take to come back before the others are told.";
    auth_issuer: Texts = "auth.issuer", "Issuers (`iss`) whose tokens count; where none is named, any.";
    auth_audience: Texts = "auth.audience", "Audiences (`aud`) of which a token names one; where none is named, any.";
    auth_skew: Span = "auth.skew", "How far the clocks of issuers may be off.";
    auth_lifetime: Span = "auth.lifetime",
        "How long a token may still last when it comes; a revocation is kept for as long.";
    auth_jwks: Text = "auth.jwks", "Where keys are fetched from, as a JSON Web Key Set; nowhere where this is empty.";
    auth_jwks_ca: Text = "auth.jwks_ca",
        "A file of certificates in PEM: roots that the certificate of `auth.jwks` may lead to, besides the built-in ones.";
    auth_jwks_refresh: Span = "auth.jwks_refresh", "How often they are fetched again, whatever happens.";
    auth_token_size: Size = "auth.token_size", "Longest token, in bytes.";
    auth_cookie: Text = "auth.cookie", "The cookie that may carry a token; none where this is empty.";
    auth_revocations: Count = "auth.revocations", "Revocations kept; beyond it another is refused.";
    auth_metrics: bool = "auth.metrics", "Whether /metrics asks for an identity that may manage all channels.";
    auth_origins: Texts = "auth.origins", "Origins of web pages that may use the server besides its own; \"*\" is any.";
    application_url: Text = "application.url",
        "Where the application is that sessions ask, by JSON-RPC over HTTP; nowhere where this is empty.";
    application_secret: Hiddens = "application.secret", "What requests to it are signed with; several while one follows another.";
    application_secret_file: Texts = "application.secret_file", "Files with such secrets, one in each.";
    application_ca: Text = "application.ca",
        "A file of certificates in PEM: roots that its certificate may lead to, besides the built-in ones.";
    application_asks: Texts = "application.asks",
        "What it is asked before it happens: \"connect\", \"subscribe\", \"publish\".";
    application_tells: Texts = "application.tells",
        "What it is told after it happened: \"disconnected\", \"channel.occupied\", \"channel.vacated\".";
    application_fields: Texts = "application.fields",
        "Fields of the request that opens a session, which `connect` shows, such as \"cookie\".";
    application_timeout: Span = "application.timeout", "How long a call to it may take, waiting included.";
    application_concurrency: Count = "application.concurrency", "Requests made to it at once.";
    application_queue: Count = "application.queue", "Calls that wait beyond these; more are refused.";
    application_notices: Count = "application.notices", "Notifications that wait for it; beyond it the oldest go.";
    application_failures: Count = "application.failures", "Failures in a row after which it is given a rest.";
    application_pause: Span = "application.pause", "How long a rest.";
    application_debounce: Span = "application.debounce", "How long a channel may be without subscribers unnoticed.";
    site_directory: Text = "site.directory", "A directory of files that anyone may have; none where this is empty.";
    site_prefix: Text = "site.prefix", "The path that they are served at.";
    site_symlinks: Text = "site.symlinks",
        "Which symbolic links are followed: \"within\" the directory, or \"anywhere\".";
    site_hints: Text = "site.hints",
        "Who gets 103 Early Hints over HTTP/1.1: \"browsers\", \"all\", or nobody with \"off\".";
    site_transfers: Count = "site.transfers", "Long files sent at once; beyond it requests are refused.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stronger_wins_setting_by_setting() {
        let said = |text: &str, origin: Origin| Some(Said { value: Span::from_text(text).unwrap(), origin });
        let strong = Written { drain: said("1s", Origin::Flag("--drain")), ..Written::default() };
        let weak =
            Written { drain: said("2s", Origin::Default), retry: said("3s", Origin::Default), ..Written::default() };
        let merged = strong.over(weak);
        assert_eq!(merged.drain.unwrap().origin, Origin::Flag("--drain"));
        assert_eq!(merged.retry.unwrap().origin, Origin::Default);
    }

    #[test]
    fn keys_and_variables_are_unique_and_tables_stand_together() {
        let mut seen: Vec<&str> = Vec::new();
        for setting in SETTINGS {
            let table = setting.key.split_once('.').map_or("", |(table, _)| table);
            if seen.last() != Some(&table) {
                assert!(!seen.contains(&table), "{} stands apart from its table", setting.key);
                seen.push(table);
            }
            assert!(setting.about.ends_with('.'), "{}", setting.key);
        }
        let mut variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), SETTINGS.len());
    }
}
