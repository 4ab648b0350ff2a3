//! What `switchboard serve` says once it listens: where, and what to type next.

use crate::config::access;
use crate::config::value::Format;
use crate::config::written::{Said, Written};
use crate::failure::note;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use switchboard::Running;
use switchboard::auth::Settings;
use switchboard::auth::explain::Shown;
use switchboard_hub::access::Action;

/// The channel of the greeting.
const CHANNEL: &str = "hello";
/// What a command shows of who it is.
const BEARER: &str = " -H \"Authorization: Bearer $TOKEN\"";
/// What a token is to grant, for what is said.
const GRANTS: &str = "--subscribe hello --publish hello";

/// Where a server listens, as URLs are begun.
pub struct Places {
    plain: Vec<SocketAddr>,
    secure: Vec<SocketAddr>,
    sockets: Vec<PathBuf>,
}

impl Places {
    pub fn of(running: &Running) -> Places {
        Places {
            plain: running.addresses().to_vec(),
            secure: running.secure_addresses().to_vec(),
            sockets: running.sockets().map(Path::to_owned).collect(),
        }
    }

    /// What to give `curl`, and the URL that the rest of a URL follows.
    fn first(&self) -> Option<(String, String)> {
        let plain = self.plain.first().map(|address| (String::new(), format!("http://{}", reachable(*address))));
        let secure = || self.secure.first().map(|address| (String::new(), format!("https://{}", reachable(*address))));
        let socket = || {
            let path = self.sockets.first()?;
            Some((format!(" --unix-socket {}", path.display()), "http://localhost".to_owned()))
        };
        plain.or_else(secure).or_else(socket)
    }
}

/// What is to be shown by whoever types what the greeting says. Without any of it, everyone may.
#[derive(Default)]
pub struct Ways {
    subscribing: Takes,
    publishing: Takes,
    /// How to come by what is shown: a line of a shell that sets `TOKEN`.
    token: Option<String>,
}

impl Ways {
    pub fn of(written: &Written, settings: &Settings, config: Option<&Path>) -> Ways {
        let takes = |action| match Shown::nothing().may(settings, action, CHANNEL) {
            Ok(answer) if answer.is_yes() => Takes::Nothing,
            Ok(answer) if !answer.is_for_nobody() => Takes::Token,
            _ => Takes::More,
        };
        let (subscribing, publishing) = (takes(Action::Subscribe), takes(Action::Publish));
        let token =
            [subscribing, publishing].contains(&Takes::Token).then(|| token(written, settings, config)).flatten();
        Ways { subscribing, publishing, token }
    }

    /// What is typed to show it; `None` where nobody can do it, and it is not said to be typed.
    fn shown(&self, takes: Takes) -> Option<&'static str> {
        match takes {
            Takes::Nothing => Some(""),
            Takes::Token => self.token.is_some().then_some(BEARER),
            Takes::More => None,
        }
    }
}

/// What it takes to do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Takes {
    #[default]
    Nothing,
    Token,
    /// More than anyone has.
    More,
}

/// How to come by a token or an API key. `None` where nobody can have one.
fn token(written: &Written, settings: &Settings, config: Option<&Path>) -> Option<String> {
    let file = || quoted(&config.unwrap_or(Path::new("FILE")).to_string_lossy());
    if let Ok(Some(_)) = access::first_secret(written) {
        return Some(format!("TOKEN=$(switchboard token --config {} {GRANTS})", file()));
    }
    if let Some(key) = written.keys.first() {
        let word = |flag: &str, said: &Option<Said<String>>| {
            said.as_ref().map(|said| format!(" --{flag} {}", quoted(&said.value))).unwrap_or_default()
        };
        let with = format!("--key-file PRIVATE.pem{}{}", word("algorithm", &key.algorithm), word("kid", &key.id));
        return Some(format!("TOKEN=$(switchboard token --config {} {with} {GRANTS})", file()));
    }
    if settings.jwks.is_some() {
        return Some("TOKEN=...  # of the issuer whose keys `auth.jwks` has".to_owned());
    }
    (!settings.api_keys.is_empty())
        .then(|| "TOKEN=...  # an API key: one whose hash an [[auth.api_key]] has".to_owned())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Says where the server is and what to type next. That nobody reads it is no reason to stop.
pub fn announce(places: &Places, ways: &Ways, open_to_all: bool, format: Format) {
    let reached = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
    let open_to_all = open_to_all && places.plain.iter().chain(&places.secure).any(reached);
    match format {
        Format::Json => {
            let version = env!("CARGO_PKG_VERSION");
            for address in &places.plain {
                tracing::info!(target: "switchboard", %address, version, "listening");
            }
            for address in &places.secure {
                tracing::info!(target: "switchboard", %address, tls = true, version, "listening");
            }
            for path in &places.sockets {
                tracing::info!(target: "switchboard", address = format!("unix:{}", path.display()), version, "listening");
            }
            if open_to_all {
                tracing::warn!(target: "switchboard", "{OPEN_TO_ALL}");
            }
        }
        Format::Text => {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(greeting(places, ways).as_bytes()).and_then(|()| out.flush());
            if open_to_all {
                note(OPEN_TO_ALL);
            }
        }
    }
}

const OPEN_TO_ALL: &str = "--insecure: everyone who reaches this server, and every web page open in a browser that reaches it, may read, publish and delete";

fn greeting(places: &Places, ways: &Ways) -> String {
    let mut out = format!("switchboard {}\n", env!("CARGO_PKG_VERSION"));
    for address in &places.plain {
        let _ = writeln!(out, "listening on http://{address}");
    }
    for address in &places.secure {
        let _ = writeln!(out, "listening on https://{address}");
    }
    for path in &places.sockets {
        let _ = writeln!(out, "listening on unix:{}", path.display());
    }
    if let Some((option, url)) = places.first() {
        out.push('\n');
        if let Some(token) = &ways.token {
            let _ = writeln!(out, "  token      {token}");
        }
        if let Some(shown) = ways.shown(ways.subscribing) {
            let _ = writeln!(
                out,
                "  subscribe  curl{option} -N{shown} -H 'Accept: text/event-stream' {url}/channels/{CHANNEL}"
            );
        }
        if let Some(shown) = ways.shown(ways.publishing) {
            let _ = writeln!(out, "  publish    curl{option}{shown} -d 'Hello!' {url}/channels/{CHANNEL}");
        }
        if option.is_empty() {
            let _ = writeln!(out, "  look       {url}/");
        }
        out.push_str("\nCtrl-C stops it.\n");
    }
    out
}

/// The address to type for one that means all addresses of this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(plain: &str) -> Places {
        Places { plain: vec![plain.parse().unwrap()], secure: Vec::new(), sockets: Vec::new() }
    }

    #[test]
    fn it_is_ready_to_paste() {
        let greeting = |places: &Places| greeting(places, &Ways::default());
        let text = greeting(&Places { secure: vec!["127.0.0.1:8443".parse().unwrap()], ..at("127.0.0.1:8000") });
        for line in [
            "listening on http://127.0.0.1:8000",
            "listening on https://127.0.0.1:8443",
            "  subscribe  curl -N -H 'Accept: text/event-stream' http://127.0.0.1:8000/channels/hello",
            "  publish    curl -d 'Hello!' http://127.0.0.1:8000/channels/hello",
            "  look       http://127.0.0.1:8000/",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(greeting(&at("0.0.0.0:80")).contains("http://127.0.0.1:80/channels/hello"));
        assert!(greeting(&at("[::]:80")).contains("http://[::1]:80/channels/hello"));
        let socket = Places { plain: Vec::new(), secure: Vec::new(), sockets: vec!["/run/a.sock".into()] };
        let text = greeting(&socket);
        assert!(text.contains("\nlistening on unix:/run/a.sock\n"), "{text}");
        assert!(
            text.contains("curl --unix-socket /run/a.sock -d 'Hello!' http://localhost/channels/hello\n"),
            "{text}"
        );
    }

    #[test]
    fn words_are_quoted_for_shells() {
        for (word, shown) in [("/etc/s.toml", "/etc/s.toml"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")] {
            assert_eq!(quoted(word), shown);
        }
    }
}
