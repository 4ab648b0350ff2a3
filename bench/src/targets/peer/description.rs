//! What `bench/peers/*/peer.toml` says of a peer: how it is had, started, read and published to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::targets::Transport;

/// A peer as its file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub name: String,
    /// Whether a reader that comes back can have what it missed.
    pub resumes: bool,
    /// The pinned version; absent where the system's package decides.
    pub version: Option<String>,
    pub install: Install,
    pub server: Server,
    /// Makes a channel, where one does not come into being by being used.
    pub create: Option<Create>,
    pub publish: Publish,
    #[serde(rename = "reader")]
    pub readers: Vec<Reader>,
}

/// How the peer is had.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Install {
    /// Debian packages, unpacked into the peer's own folder: nothing is installed on the system, and nothing started.
    pub debian: Vec<String>,
    /// Files beside the description that the steps want in the peer's folder.
    pub copy: Vec<String>,
    /// Commands, one after the other.
    pub steps: Vec<Vec<String>>,
}

/// How the peer is started.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub command: Vec<String>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Files beside the description whose placeholders are filled in, and which are written into the folder of the run.
    #[serde(default)]
    pub files: Vec<String>,
}

/// The request that makes a channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    pub method: String,
    pub path: String,
    #[serde(rename = "type")]
    pub content_type: String,
}

/// How an event is published.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    #[serde(default)]
    pub protocol: Protocol,
    /// Of HTTP: where to.
    #[serde(default)]
    pub path: String,
    #[serde(rename = "type", default = "plain_text")]
    pub content_type: String,
    /// What stands before and after the data.
    #[serde(default)]
    pub around: (String, String),
}

/// What a publisher speaks.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// `POST` requests on a connection that is kept.
    #[default]
    Http,
    /// `PUB` on the second port.
    Nats,
}

/// How a subscriber reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reader {
    #[serde(deserialize_with = "transport")]
    pub transport: Transport,
    pub path: String,
    /// A text message to send after the handshake.
    pub hello: Option<String>,
    /// What the block or message contains after which the reader is in; absent where the response's head says so.
    pub ready: Option<String>,
}

fn transport<'de, D: Deserializer<'de>>(value: D) -> Result<Transport, D::Error> {
    let word = String::deserialize(value)?;
    Transport::from_str(&word, false).map_err(D::Error::custom)
}

fn plain_text() -> String {
    "text/plain".into()
}

/// A peer and the folder that describes it.
#[derive(Clone, Debug)]
pub struct Described {
    pub folder: PathBuf,
    pub description: Description,
}

impl Described {
    /// The name of its folder, by which a run is asked for it.
    pub fn key(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// All the peers that `folder` describes, by name.
    pub fn all(folder: &Path) -> Result<Vec<Described>, String> {
        let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut peers = Vec::new();
        for entry in entries.flatten() {
            let file = entry.path().join("peer.toml");
            if file.is_file() {
                let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
                let description = toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
                peers.push(Described { folder: entry.path(), description });
            }
        }
        peers.sort_by_key(Described::key);
        Ok(peers)
    }
}

/// What stands for the placeholders in a description.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(Vec<(&'static str, String)>);

impl Values {
    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Values {
        self.0.push((name, value.to_string()));
        self
    }

    /// The text with its placeholders filled in. Other braces are left alone: configurations are full of them.
    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Vec<Described> {
        Described::all(&super::super::sources()).unwrap()
    }

    #[test]
    fn every_description_reads_and_names_files_that_are_there() {
        let peers = peers();
        assert!(peers.len() >= 7, "only {} peers are described", peers.len());
        for Described { folder, description } in peers {
            for file in description.install.copy.iter().chain(&description.server.files) {
                assert!(folder.join(file).is_file(), "{}: {file} is not there", folder.display());
            }
            assert!(!description.server.command.is_empty() && !description.readers.is_empty(), "{}", folder.display());
            for reader in description.readers {
                assert!(reader.hello.is_none() || reader.ready.is_some(), "{}: a hello is answered", folder.display());
            }
        }
    }

    /// A version in the table of results is the one that was run.
    #[test]
    fn a_pinned_version_is_the_one_that_is_installed() {
        for Described { folder, description } in peers() {
            let Some(version) = description.version else {
                assert!(!description.install.debian.is_empty(), "{}: who knows its version?", folder.display());
                continue;
            };
            let number = version.rsplit(' ').next().unwrap().trim_end_matches(')');
            let pins = ["Cargo.lock", "package.json"].map(|file| std::fs::read_to_string(folder.join(file)));
            let pinned = pins.iter().flatten().any(|text| text.contains(&format!("\"{number}\"")));
            let asked = description.install.steps.iter().flatten().any(|word| *word == format!("={number}"));
            assert!(pinned || asked, "{}: nothing pins {number}", folder.display());
        }
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_kept() {
        let values = Values::default().with("port", 80).with("channel", "c");
        assert_eq!(values.fill("{ listen {port}; } {\"a\":\"{channel}\"}"), "{ listen 80; } {\"a\":\"c\"}");
    }
}
