//! The commands against a server that asks who they are: what they show of it, and what they say where it is not enough.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use support::{Said, finish, run, switchboard};
use switchboard_testkit::identity::{API_KEY, MASTER_KEY, settings, token, token_for};
use switchboard_testkit::{Server, config};

const TRANSPORTS: [&str; 4] = ["sse", "stream", "poll", "websocket"];

fn server() -> (Server, String) {
    let mut config = config();
    config.auth = settings();
    let server = Server::start(config);
    let url = format!("http://{}", server.address());
    (server, url)
}

fn shown(url: &str, token: &str, words: &[&str]) -> Command {
    let mut command = switchboard(words);
    command.env("SWITCHBOARD_URL", url).env("SWITCHBOARD_TOKEN", token);
    command
}

fn say(mut command: Command) -> Said {
    finish(command.spawn().unwrap())
}

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("switchboard-shown-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn each_way_to_show_a_key_or_a_token_does() {
    let (_server, url) = server();
    let file = Scratch::new("file", &format!("{API_KEY}\n"));
    let path = file.0.display().to_string();
    let jwt = token("ann", &["a/**"]);
    for words in [["--token", API_KEY], ["--token", &jwt], ["--token-file", &path]] {
        let said = run(&[&["publish", "a/1", "x", "--server", &url][..], &words].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    }
    assert_eq!(say(shown(&url, API_KEY, &["publish", "a/1", "x"])).code, Some(0));
    // A flag is stronger than the environment.
    let said = say(shown(&url, "swk_nobody-knows-this", &["publish", "a/1", "x", "--token-file", &path]));
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn every_command_shows_it_on_every_transport() {
    let (_server, url) = server();
    let lines = {
        let mut child = shown(&url, API_KEY, &["publish", "a/1", "--lines"]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"one\ntwo\n").unwrap();
        finish(child)
    };
    assert_eq!(lines.code, Some(0), "{}", lines.err);
    for transport in TRANSPORTS {
        let words = ["tail", "a/1", "--since", "earliest", "--limit", "2", "--data", "--transport", transport];
        let said = say(shown(&url, API_KEY, &words));
        assert_eq!((said.out.as_str(), said.err.as_str()), ("one\ntwo\n", ""), "{transport}");
    }
    let said = say(shown(&url, MASTER_KEY, &["channels", "--json"]));
    assert!(said.out.contains("\"a/1\""), "{} {}", said.out, said.err);
    let said = say(shown(&url, API_KEY, &["call", "history", r#"{"channel":"a/1"}"#]));
    assert!(said.out.contains("\"two\""), "{} {}", said.out, said.err);
    for transport in ["sse", "websocket", "websocket-event", "stream", "poll"] {
        let load = ["bench", "a/bench", "-c", "3", "--seconds", "0.2", "--rate", "20", "--transport", transport];
        let said = say(shown(&url, API_KEY, &load));
        assert_eq!(said.code, Some(0), "{transport}: {}", said.err);
        assert!(said.out.contains("faults"), "{}", said.out);
    }
}

#[test]
fn a_refusal_says_what_to_do_next_and_nothing_that_was_shown() {
    let (_server, url) = server();
    let expired = token_for(std::time::Duration::ZERO, "ann", &["a/**"]);
    let (none, unknown) = ("", "swk_nobody-knows-this");
    let advice = [
        (none, "(401 unauthorized); show a token or an API key: --token-file FILE, or SWITCHBOARD_TOKEN"),
        (unknown, "the API key is not known here (401 unauthorized); `switchboard token"),
        (&*expired, "(401 token_expired); show a new one"),
    ];
    let commands: [&[&str]; 5] = [
        &["publish", "a/1", "x"],
        &["tail", "a/1"],
        &["channels"],
        &["bench", "a"],
        &["call", "publish", r#"["a/1","x"]"#],
    ];
    for command in commands {
        for (token, advice) in advice {
            let said = say(shown(&url, token, command));
            assert_eq!(said.code, Some(1), "{command:?}: {}", said.err);
            // Whoever shows nothing may open a session, and what it refuses has its number of JSON-RPC.
            let err = said.err.replace("(40100 unauthorized)", "(401 unauthorized)");
            assert!(err.contains(advice), "{command:?} {advice}: {}", said.err);
            assert!(token.is_empty() || !said.err.contains(token), "{}", said.err);
        }
    }
    for transport in TRANSPORTS {
        let said = say(shown(&url, API_KEY, &["tail", "b", "--transport", transport]));
        assert!(said.err.contains("(403 forbidden); `switchboard may"), "{transport}: {}", said.err);
        assert_eq!(said.code, Some(1));
    }
}

#[test]
fn what_is_no_token_is_not_sent_and_not_shown() {
    let empty = Scratch::new("empty", "\n");
    let empty = empty.0.display().to_string();
    for (words, why) in [
        (&["--token", "a secret"][..], "--token: this is no token"),
        (&["--token-file", &empty], "there is no token in it"),
        (&["--token-file", "/nowhere/token"], "--token-file: /nowhere/token cannot be read: no such file or directory"),
        (&["--token", "a", "--token-file", "b"], "cannot be used with"),
    ] {
        let said = run(&[&["publish", "a", "x", "--server", "http://127.0.0.1:1"][..], words].concat());
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains(why) && !said.err.contains("a secret"), "{why}: {}", said.err);
    }
    let mut command = switchboard(&["publish", "a", "x", "--server", "http://127.0.0.1:1"]);
    let said = say({
        command.env("SWITCHBOARD_TOKEN", "tock\ntick");
        command
    });
    assert!(said.err.contains("SWITCHBOARD_TOKEN: this is no token") && !said.err.contains("tock"), "{}", said.err);
    // To a server it is another program's matter.
    let mut command = switchboard(&["serve", "--check"]);
    command.env("SWITCHBOARD_TOKEN", "x");
    assert_eq!(say(command).code, Some(0));
}
