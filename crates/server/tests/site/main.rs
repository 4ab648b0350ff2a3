//! A directory that is served, from the outside: over real sockets, with files that change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do: by panicking"
)]

mod conditions;
mod files;
mod http2;
mod long;
mod paths;
mod push;
mod ranges;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use switchboard::site::Settings;
use switchboard_testkit::{Conn, Server, config};

/// A directory of this test's own, gone when it ends.
struct Files(PathBuf);

impl Files {
    fn new() -> Files {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("switchboard-site-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("site")).unwrap();
        Files(path)
    }

    /// What is served.
    fn site(&self) -> PathBuf {
        self.0.join("site")
    }

    /// Writes a file of the site, and the directories above it.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.site().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn settings(&self) -> Settings {
        Settings::new(self.site())
    }

    fn serve(&self) -> Server {
        self.serve_as(|_| {})
    }

    /// A server of this directory, with settings that are changed first.
    fn serve_as(&self, change: impl FnOnce(&mut Settings)) -> Server {
        let mut settings = self.settings();
        change(&mut settings);
        let mut config = config();
        config.site = Some(settings);
        Server::start(config)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes a file look as if it was written so long ago.
fn age(path: &Path, seconds: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

/// Bytes in which every part differs from every other of its length.
fn numbered(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(u32::to_be_bytes).take(length).collect()
}

/// Asks with fields.
#[track_caller]
fn get(conn: &mut Conn, target: &str, fields: &[switchboard_testkit::Field<'_>]) -> switchboard_testkit::Response {
    conn.request("GET", target, fields, None)
}
