//! A directory of files, served as it is: a web site beside the channels.
//!
//! The library, `tower-http`, knows what is customary of files: which of them a path means, their types, entity tags and
//! dates, conditions, codings, and how a part of one is given. What is in front of it is ours: which paths are served at
//! all ([`path`]), how names are resolved ([`open`]), what of a range is one ([`range`]), how long copies last ([`cache`]),
//! and what goes with a page ([`push`]).

mod answer;
mod backend;
mod cache;
mod check;
mod open;
mod path;
pub mod push;
mod range;
mod settings;

pub use cache::Glob;
pub use check::{Key, Refused, check};
pub use path::RESERVED;
pub use settings::{CacheRule, Hints, PushRule, Settings, Symlinks};

use backend::{Files, blocking};
use check::Page;
use http::{HeaderMap, Method};
use open::Directory;
use path::SitePath;
use push::{Digest, Due};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;
use tower_http::services::ServeDir;
use tower_http::services::fs::DefaultServeDirFallback;

/// The file that is served for a directory.
const INDEX: &str = "index.html";
/// Files of up to this many bytes are read as a whole and answered in one piece. A longer one keeps a descriptor and two
/// pieces in memory for as long as its client takes.
pub const WHOLE: u64 = 64 << 10;

/// A site that is served.
pub(crate) struct Site {
    settings: Settings,
    directory: Arc<Directory>,
    pages: Arc<[Page]>,
    library: ServeDir<DefaultServeDirFallback, Files>,
    /// Places for files that are being sent in pieces.
    transfers: Arc<Semaphore>,
    figures: Figures,
}

/// What is counted of the site.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Requests answered with a file, a part of one, or that it is unchanged.
    pub(crate) answered: AtomicU64,
    /// Requests refused because as many long files were being sent as may be, in all or to one address.
    pub(crate) refused: AtomicU64,
    /// Answers before which hints were sent.
    pub(crate) hinted: AtomicU64,
    /// Files that were sent to clients that had not asked yet.
    pub(crate) pushed: AtomicU64,
}

/// A request, whatever version of HTTP it came by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// As written.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    /// Where it comes from.
    pub(crate) address: IpAddr,
}

impl Site {
    /// The site, if it can be served. This reads the file system.
    pub(crate) fn new(settings: Settings) -> Result<Site, Vec<Refused>> {
        let pages = check::pages(&settings)?.into();
        let directory = Arc::new(Directory::new(settings.directory.clone(), settings.symlinks));
        let library = ServeDir::with_backend("", Files(directory.clone()))
            .redirect_path_prefix(settings.prefix.trim_end_matches('/'))
            .with_buf_chunk_size(backend::PIECE)
            .precompressed_br()
            .precompressed_zstd()
            .precompressed_gzip();
        let transfers = Arc::new(Semaphore::new(settings.transfers));
        Ok(Site { directory, pages, library, transfers, figures: Figures::default(), settings })
    }

    /// Whether a path, as written, is the site's to answer.
    pub(crate) fn serves(&self, path: &str) -> bool {
        let prefix = self.settings.prefix.as_str();
        let first = path.strip_prefix('/').and_then(|rest| rest.split('/').next());
        match prefix {
            "/" => first.is_some_and(|first| !path::is_reserved(first)),
            prefix => path.starts_with(prefix) || path == prefix.trim_end_matches('/'),
        }
    }

    /// What is due with a page, if this is a request for one that has a list and the client lacks some of it.
    pub(crate) async fn due(&self, asked: &Asked<'_>) -> Option<Due> {
        if asked.method != Method::GET || self.pages.is_empty() {
            return None;
        }
        let shown = SitePath::of(asked.path, &self.settings.prefix).ok()?.shown(&self.settings.prefix);
        let page = self.pages.iter().position(|page| page.shown == shown)?;
        let pages = self.pages.clone();
        let directory = self.directory.clone();
        let files = blocking(move || Ok(pages[page].files(&directory))).await.ok()?;
        Due::of(&files, Digest::of(asked.headers), &self.settings.prefix)
    }

    /// To whom `103 Early Hints` goes.
    pub(crate) fn hints(&self) -> Hints {
        self.settings.hints
    }

    /// Counts hints that were sent.
    pub(crate) fn hinted(&self) {
        self.figures.hinted.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a file that was pushed.
    pub(crate) fn pushed(&self) {
        self.figures.pushed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Files that are being sent in pieces, and how many may be at once.
    pub(crate) fn transfers(&self) -> (usize, usize) {
        (self.settings.transfers.saturating_sub(self.transfers.available_permits()), self.settings.transfers)
    }
}
