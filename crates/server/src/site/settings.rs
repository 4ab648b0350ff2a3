//! What is said of the site in the configuration.

use super::cache::Glob;
use http::HeaderValue;
use std::path::PathBuf;

/// A directory of files that anyone may have, and how they are served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the files are.
    pub directory: PathBuf,
    /// Where they are served: `/`, or a path that begins and ends with a slash.
    pub prefix: String,
    pub symlinks: Symlinks,
    pub hints: Hints,
    /// Files of more than [`super::WHOLE`] bytes that are sent at once (a count).
    pub transfers: usize,
    /// What `Cache-Control` says of which files: the first that fits counts.
    pub cache: Vec<CacheRule>,
    /// What goes with which page.
    pub push: Vec<PushRule>,
}

impl Settings {
    /// A directory served at `/`, with nothing else said.
    pub fn new(directory: impl Into<PathBuf>) -> Settings {
        Settings {
            directory: directory.into(),
            prefix: "/".to_owned(),
            symlinks: Symlinks::Within,
            hints: Hints::Browsers,
            transfers: 256,
            cache: Vec::new(),
            push: Vec::new(),
        }
    }
}

/// Which symbolic links are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Symlinks {
    /// Those that stay within the directory.
    Within,
    /// All.
    Anywhere,
}

/// To whom `103 Early Hints` goes over HTTP/1.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hints {
    /// To browsers that open a page, where no proxy is in between.
    Browsers,
    /// To whoever asks for a page.
    All,
    /// To nobody, over any version of HTTP.
    Off,
}

/// `Cache-Control` of the files of a pattern.
#[derive(Clone, Debug)]
pub struct CacheRule {
    /// Of paths as requests name them, prefix included.
    pub path: Glob,
    pub control: HeaderValue,
}

/// Files that a page needs, by paths as requests name them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushRule {
    pub page: String,
    pub files: Vec<String>,
}
