//! The commands and recipes of the README do what it says they do, run as they are written. Only the address is another:
//! that of the test's own server. The recipes for browsers are run in one by `conformance/chromium/recipes.test.mjs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use switchboard_testkit::{Server, Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");
const ADDRESS: &str = "127.0.0.1:8000";
/// What is waited for comes long before that, or never.
const PATIENCE: Duration = Duration::from_secs(30);

fn readme() -> String {
    std::fs::read_to_string(format!("{}/../../README.md", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The part under a heading, down to the next of any level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    rest.split("\n## ").next().and_then(|part| part.split("\n### ").next()).unwrap()
}

/// The code blocks in a language, in order.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&*fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The code blocks of a section, and a server for them.
struct Recipe {
    text: String,
    server: Server,
}

impl Recipe {
    fn new(heading: &str) -> Recipe {
        Recipe::with(heading, &[])
    }

    fn with(heading: &str, settings: &[&str]) -> Recipe {
        let flags = [&["serve", "--listen", "127.0.0.1:0", "--shards", "2"], settings].concat();
        Recipe { text: section(&readme(), heading).to_owned(), server: Server::process(PROGRAM, &flags) }
    }

    fn command(&self, shell: &[&str], language: &str, number: usize) -> Command {
        let address = self.server.address().to_string();
        let block = blocks(&self.text, language)[number].replace(ADDRESS, &address);
        let mut command = Command::new(shell[0]);
        let folder = Path::new(PROGRAM).parent().unwrap().display();
        let path = std::env::var("PATH").unwrap();
        command.args(&shell[1..]).arg(block);
        command.env("PATH", format!("{folder}:{path}")).env("SWITCHBOARD_URL", format!("http://{address}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn sh(&self, number: usize) -> Command {
        self.command(&["bash", "-euo", "pipefail", "-c"], "sh", number)
    }

    fn python(&self, number: usize) -> Command {
        self.command(&["python3", "-c"], "python", number)
    }

    /// The data of what a channel holds.
    fn held(&self, channel: &str) -> Vec<Value> {
        let page = self.server.page(&format!("/channels/{channel}"));
        page["events"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect()
    }
}

/// Runs to the end, which must be a good one: what it printed.
fn finished(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{command:?} ended with {status}: {out}{err}");
    out
}

/// A command that reads while the test goes on; stopped when dropped.
struct Reader {
    child: Child,
    lines: Receiver<String>,
}

impl Reader {
    fn start(mut command: Command) -> Reader {
        let mut child = command.spawn().unwrap();
        let (out, mut errors) = (BufReader::new(child.stdout.take().unwrap()), child.stderr.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        // Read to its end, so that the command is never held up by it.
        std::thread::spawn(move || errors.read_to_string(&mut String::new()));
        Reader { child, lines }
    }

    /// The next line.
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    fn line_with(&self, part: &str) {
        while !self.line().contains(part) {}
    }

    /// The lines up to the end, and the exit code.
    fn rest(mut self) -> (Vec<String>, Option<i32>) {
        let mut all = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => all.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(late) => panic!("it did not end ({late}): {all:?}"),
            }
        }
        (all, self.child.wait().unwrap().code())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_session_is_spoken_to_with_curl_alone() {
    let recipe = Recipe::new("## Sessions");
    let printed = finished(recipe.sh(0));
    let page: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let messages = page["messages"].as_array().unwrap();
    assert!(messages[0]["result"]["position"].is_string(), "{page}");
    assert_eq!(messages.last().unwrap()["params"]["data"], "Hello!", "{page}");
}

#[test]
fn every_recipe_is_here_and_none_of_its_blocks_is_left_out() {
    let text = readme();
    let counts = |heading: &str| ["js", "python", "sh"].map(|language| blocks(section(&text, heading), language).len());
    let all = text.split("\n## Recipes\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let headings: Vec<&str> = all.lines().filter(|line| line.starts_with("### ")).collect();
    let found: Vec<_> = headings.iter().map(|heading| (&heading[4..], counts(heading))).collect();
    let run = [
        ("Notifications", [1, 0, 1]),
        ("Progress bar", [1, 0, 1]),
        ("Chat", [2, 0, 1]),
        ("Ticker", [1, 1, 1]),
        ("Token stream", [1, 1, 1]),
        ("Logs", [0, 0, 2]),
    ];
    assert_eq!(found, run);
}

#[test]
fn two_commands_subscribe_and_publish() {
    let recipe = Recipe::new("## Two commands");
    // The first two build, serve and test: they are what runs this.
    let reader = Reader::start(recipe.sh(2));
    reader.line_with("event: $open");
    finished(recipe.sh(3));
    reader.line_with("data: Hello!");
}

#[test]
fn a_notification_repeated_under_its_key_arrives_once() {
    let recipe = Recipe::new("### Notifications");
    let mut reader = recipe.server.sse("/channels/users/ada");
    reader.notice("$open");
    let first = finished(recipe.sh(0));
    assert_eq!(finished(recipe.sh(0)), first);
    let (data, event) = (json!({ "id": 17, "status": "shipped" }), reader.event().event);
    assert_eq!((event.as_str(), recipe.held("users/ada")), ("order", vec![data]));
}

#[test]
fn a_progress_bar_is_brought_up_to_date_and_ends() {
    let recipe = Recipe::new("### Progress bar");
    finished(recipe.sh(0));
    let page = recipe.server.page("/channels/jobs/17?since=earliest");
    assert_eq!(recipe.held("jobs/17"), ["0", "25", "50", "75", "100"]);
    assert_eq!(page["ended"], true);
}

#[test]
fn a_recipe_that_ended_its_channel_is_done_again_once_the_channel_is_deleted() {
    let recipe = Recipe::new("### Progress bar");
    finished(recipe.sh(0));
    assert!(finished(recipe.sh(0)).contains("channel_ended"));
    let text = readme();
    let command = text.split('`').find(|code| code.starts_with("curl -X DELETE ")).unwrap();
    let command = command.replace(ADDRESS, &recipe.server.address().to_string());
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]);
    assert_eq!(finished(shell), "");
    assert!(!finished(recipe.sh(0)).contains("channel_ended"));
    assert_eq!(recipe.held("jobs/17"), ["0", "25", "50", "75", "100"]);
}

#[test]
fn what_is_said_in_a_terminal_is_in_the_chat() {
    let recipe = Recipe::new("### Chat");
    let mut socket = recipe.server.websocket("/channels/chat/lobby");
    finished(recipe.sh(0));
    assert_eq!(socket.text(), "Hello from a terminal");
    assert_eq!(recipe.held("chat/lobby"), ["Hello from a terminal"]);
}

#[test]
fn a_ticker_is_read_by_pattern_and_keeps_the_newest_of_each_channel() {
    let file = std::env::temp_dir().join(format!("switchboard-readme-{}.toml", std::process::id()));
    let text = readme();
    std::fs::write(&file, blocks(section(&text, "## Classes and configuration"), "toml")[0]).unwrap();
    let recipe = Recipe::with("### Ticker", &["--config", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    recipe.server.publish_json("price/abc", "99");

    let reader = Reader::start(recipe.python(0));
    assert_eq!(reader.line(), "price/abc 99");
    finished(recipe.sh(0));
    assert_eq!([reader.line(), reader.line()], ["price/abc 101.5", "price/xyz 7.25"]);
    assert_eq!(recipe.held("price/abc"), [json!(101.5)]);
}

#[test]
fn tokens_are_read_while_they_come_and_again_afterwards() {
    let recipe = Recipe::new("### Token stream");
    let early = Reader::start(recipe.sh(0));
    recipe.server.await_readers("answers/42", 1);
    finished(recipe.python(0));
    let whole = (vec!["A channel is a log.".to_owned()], Some(0));
    assert_eq!(early.rest(), whole);
    assert_eq!(Reader::start(recipe.sh(0)).rest(), whole);
    assert_eq!(recipe.held("answers/42"), ["A channel", " is", " a log."]);
}

#[test]
fn a_log_is_published_line_by_line_and_followed_to_its_end() {
    let recipe = Recipe::new("### Logs");
    let reader = Reader::start(recipe.sh(1));
    recipe.server.await_readers("logs/build", 1);
    finished(recipe.sh(0));
    assert_eq!(reader.rest(), (["step 1", "step 2", "step 3"].map(String::from).to_vec(), Some(0)));
}
