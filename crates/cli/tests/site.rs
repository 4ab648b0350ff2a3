//! A site served by the real program: from a file of settings, in bounded memory.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod support;

use std::fs::File;
use std::path::PathBuf;
use support::run;
use switchboard_testkit::{Server, eventually};

const SLOW: usize = 40;
/// Of all that is asked for, next to nothing: pieces of 64 KiB, and the allocator's slack.
const GROWTH: u64 = 48 << 20;
const LENGTH: u64 = 256 << 20;

/// A directory with a page, what it needs, and a file that is long and takes up no room.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Site {
        let path = std::env::temp_dir().join(format!("switchboard-cli-site-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("public")).unwrap();
        std::fs::write(path.join("public/index.html"), "<!doctype html>").unwrap();
        std::fs::write(path.join("public/style.css"), "a {}").unwrap();
        File::create(path.join("public/long.bin")).unwrap().set_len(LENGTH).unwrap();
        Site(path)
    }

    /// Writes settings, and gives the file's path.
    fn settings(&self, files: &str) -> String {
        let path = self.0.join("site.toml");
        let directory = self.0.join("public");
        let text = format!(
            "listen = \"127.0.0.1:0\"\n[site]\ndirectory = {directory:?}\n[[site.push]]\npage = \"/\"\nfiles = [{files}]\n"
        );
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn slow_readers_of_long_files_cost_little_memory_and_delay_nobody() {
    let site = Site::new("slow");
    let program = env!("CARGO_BIN_EXE_switchboard");
    let server = Server::process(program, &["serve", "--config", &site.settings("\"/style.css\"")]);
    let mut conn = server.connect();
    conn.get("/").expect(200);
    let before = server.resident();
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut conn = server.connect();
        conn.ask("GET", "/long.bin", &[], None);
        assert_eq!(conn.head().field("content-length"), Some(&*LENGTH.to_string()));
        slow.push(conn);
    }
    eventually("all are being sent", || {
        let metrics = conn.get("/metrics").expect(200).text();
        metrics.lines().any(|line| line == format!("switchboard_site_transfers {SLOW}"))
    });
    let mut most = before;
    let mut streamed = server.connect().stream("/long.bin", &[]);
    let mut length = 0;
    while length < LENGTH {
        let data = streamed.data();
        assert!(data.iter().all(|b| *b == 0));
        length += data.len() as u64;
        most = most.max(server.resident());
    }
    assert_eq!(length, LENGTH);
    assert!(most - before < GROWTH, "it grew from {before} to {most} bytes");
}

#[test]
fn a_list_that_cannot_be_kept_is_refused_when_it_is_read() {
    let site = Site::new("refused");
    let path = site.settings("\"/style.css\", \"/channels/news\", \"/none.css\"");
    for words in [vec!["serve", "--config", &path, "--check"], vec!["serve", "--config", &path]] {
        let said = run(&words);
        assert_ne!(said.code, Some(0));
        for why in [
            "site.toml:6: `/channels/news` cannot be pushed: the server answers there itself",
            "there is no file `none.css`",
        ] {
            assert!(said.err.contains(why), "{}", said.err);
        }
    }
    let path = site.settings("\"/style.css\"");
    assert_eq!(run(&["serve", "--config", &path, "--check"]).code, Some(0));
    // The server's own paths stay its own, and whoever has such a directory is told.
    std::fs::create_dir(site.0.join("public/channels")).unwrap();
    let said = run(&["serve", "--config", &path, "--check"]);
    assert!(
        said.code == Some(0) && said.err.contains("`channels` in the site's directory is never served"),
        "{}",
        said.err
    );
}
