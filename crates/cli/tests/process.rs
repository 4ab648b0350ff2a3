//! The program as a process: where it listens, what it refuses, how it stops.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use switchboard_testkit::{Follower, Item, Said, Server, Signal, Transport};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

fn serve() -> Server {
    Server::process(PROGRAM, &["serve", "--listen", "127.0.0.1:0"])
}

/// Runs the program to its end.
fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).env_remove("SWITCHBOARD_LISTEN").output().unwrap()
}

fn stops_at(signal: Signal) {
    let mut server = serve();
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    let mut socket = server.websocket("/channels/a");
    let mut lines = server.lines("/channels/a");
    lines.notice("$open");
    let began = Instant::now();
    server.signal(signal);
    assert_eq!(sse.notice("$closing").json()["code"], "draining");
    assert!(matches!(sse.next(), Item::End));
    socket.expect_close(1012);
    assert_eq!(lines.notice("$closing")["reconnect"], true);
    assert!(began.elapsed() < Duration::from_secs(3), "told after {:?}", began.elapsed());
    assert_eq!(server.exit_code(), Some(0), "{}", server.said());
    assert!(began.elapsed() < Duration::from_secs(10), "gone after {:?}", began.elapsed());
}

#[test]
fn sigterm_drains_and_exits_with_0() {
    stops_at(Signal::TERM);
}

#[test]
fn sigint_drains_and_exits_with_0() {
    stops_at(Signal::INT);
}

#[test]
fn it_exits_within_the_drain_though_clients_hang() {
    let mut server = Server::process(PROGRAM, &["serve", "--listen", "127.0.0.1:0", "--drain", "3s"]);
    let hanging: Vec<_> = (0..10).map(|_| server.websocket("/channels/a")).collect();
    let mut publisher = server.connect();
    for _ in 0..20 {
        publisher.publish("a", "x".repeat(1_000_000));
    }
    let mut begun = server.connect();
    begun.ask("POST", "/channels/a", &[("Content-Length", "10")], None);
    begun.send("half");
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0), "{}", server.said());
    // Well before the ten seconds that it takes unless it is told otherwise.
    assert!(began.elapsed() < Duration::from_secs(8), "gone after {:?}", began.elapsed());
    drop(hanging);
}

#[test]
fn a_restart_is_told_as_an_epoch_gap() {
    let before = serve();
    let cursor = before.publish("a", "lost");
    assert_eq!(before.terminate(), Some(0));
    let server = serve();
    let mut follower = Follower::open(&server, &["a"], Some(&cursor), Transport::Sse);
    assert!(matches!(follower.next(), Said::Open { gap: Some(gap), .. } if gap.reason == "epoch"));
}

#[test]
fn switchboard_alone_is_switchboard_serve() {
    let server = Server::process_with(PROGRAM, &[], &[("SWITCHBOARD_LISTEN", "127.0.0.1:0")]);
    server.is_alive();
    let server = Server::process(PROGRAM, &["--listen", "127.0.0.1:0"]);
    server.is_alive();
}

#[test]
fn what_it_prints_says_how_to_subscribe_and_how_to_publish() {
    let server = serve();
    let address = server.address().to_string();
    switchboard_testkit::eventually("it shows both commands", || {
        let said = server.said();
        let commands: Vec<&str> =
            said.lines().filter(|line| line.contains("curl") && line.contains(&address)).collect();
        commands.len() >= 2
    });
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let file = std::env::temp_dir().join(format!("switchboard-{}.toml", std::process::id()));
    std::fs::write(&file, "listen = [\"127.0.0.4:0\"]\n").unwrap();
    let path = file.to_str().unwrap();
    let listens_on = |args: &[&str], env: &[(&str, &str)]| {
        let output = Command::new(PROGRAM)
            .args(["serve", "--print-config"])
            .args(args)
            .env_remove("SWITCHBOARD_LISTEN")
            .envs(env.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.trim_start().starts_with("listen")).unwrap_or(&text);
        ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1"].into_iter().find(|ip| line.contains(ip)).map(str::to_owned)
    };
    let env = [("SWITCHBOARD_LISTEN", "127.0.0.3:0")];
    let flag = ["--config", path, "--listen", "127.0.0.2:0"];
    assert_eq!(listens_on(&flag, &env).as_deref(), Some("127.0.0.2"));
    assert_eq!(listens_on(&flag[..2], &env).as_deref(), Some("127.0.0.3"));
    assert_eq!(listens_on(&flag[..2], &[]).as_deref(), Some("127.0.0.4"));
    assert_eq!(listens_on(&[], &[]).as_deref(), Some("127.0.0.1"));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn an_address_that_others_could_reach_refuses_to_start_naming_insecure() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let output = run(&["serve", "--listen", address]);
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("--insecure") && said.contains(address), "{said}");
    }
}

#[test]
fn a_port_in_use_is_explained() {
    let server = serve();
    let address = server.address().to_string();
    let output = run(&["serve", "--listen", &address]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&server.address().port().to_string()) && said.contains("in use"), "{said}");
}

/// Each line of what was written, as the JSON record that it must be.
fn records(text: &[u8]) -> Vec<serde_json::Value> {
    String::from_utf8_lossy(text).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn with_a_log_in_json_all_that_is_written_is_records() {
    let mut child = Command::new(PROGRAM)
        .args(["serve", "--listen", "0.0.0.0:0", "--insecure", "--log", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let (mut said, mut address) = (String::new(), None);
    while address.is_none() {
        let from = said.len();
        assert_ne!(log.read_line(&mut said).unwrap(), 0, "{said}");
        let record: serde_json::Value = serde_json::from_str(&said[from..]).unwrap();
        if record["message"] == "listening" {
            assert_eq!(record["level"], "INFO");
            address = record["address"].as_str().map(str::to_owned);
        }
    }
    let port = address.unwrap().rsplit(':').next().unwrap().to_owned();
    let taken = run(&["serve", "--listen", &format!("127.0.0.1:{port}"), "--log", "json", "--log-level", "off"]);
    assert_eq!((taken.status.code(), taken.stdout.as_slice()), (Some(1), b"".as_slice()));
    let taken = records(&taken.stderr);
    assert_eq!((taken.len(), &taken[0]["level"]), (1, &"ERROR".into()));
    assert!(taken[0]["message"].as_str().unwrap().contains("in use"), "{taken:?}");
    let wrong = run(&["serve", "--log", "json", "--drain", "10"]);
    assert_eq!((wrong.status.code(), records(&wrong.stderr).len()), (Some(2), 1));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    log.read_to_string(&mut said).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(0), b"".as_slice()));
    assert!(records(said.as_bytes()).iter().any(|r| r["level"] == "WARN"), "{said}");
}

#[test]
fn a_low_limit_of_descriptors_never_stops_the_start() {
    for limit in [40, 70, 100] {
        let script = format!("ulimit -n {limit}; exec \"$0\" serve --listen 127.0.0.1:0");
        let server = Server::process("sh", &["-c", &script, PROGRAM]);
        let mut conn = server.connect();
        conn.get("/healthz");
        conn.publish("a", "served");
    }
}

#[test]
fn beyond_the_descriptors_less_a_reserve_connections_are_refused_and_held_ones_live() {
    let script = "ulimit -n 200; exec \"$0\" serve --listen 127.0.0.1:0";
    let server = Server::process("sh", &["-c", script, PROGRAM]);
    let mut readers: Vec<switchboard_testkit::Sse> = Vec::new();
    let refused = loop {
        let mut sse = server.sse("/channels/a");
        if sse.block().event == "$closing" {
            break readers.len();
        }
        readers.push(sse);
        assert!(readers.len() <= 200, "nobody is refused");
    };
    assert_eq!(refused, 200 - 64, "the limit less a reserve of 64");
    readers.pop().unwrap().stream.conn.cut();
    let mut publisher = None;
    switchboard_testkit::eventually("there is a place", || {
        let mut conn = server.connect();
        let taken = conn.get("/channels/a").status() != 503;
        if taken {
            publisher = Some(conn);
        }
        taken
    });
    publisher.unwrap().publish("a", "still served");
    for sse in &mut readers {
        assert_eq!(sse.event().data, "still served");
    }
}

#[test]
fn out_of_descriptors_accepting_pauses_and_held_connections_live() {
    let script = "ulimit -n 70; exec \"$0\" serve --listen 127.0.0.1:0 --connections 10000";
    let server = Server::process("sh", &["-c", script, PROGRAM]);
    let mut publisher = server.connect();
    publisher.get("/healthz");
    let mut held = server.sse("/channels/a");
    held.notice("$open");
    // More than there are descriptors: the kernel takes them, and the program when it can.
    let waiting: Vec<_> = (0..150).map(|_| server.connect()).collect();
    for i in 0..20 {
        publisher.publish("a", i.to_string());
        assert_eq!(held.event().data, i.to_string());
    }
    drop(waiting);
    switchboard_testkit::eventually("it accepts again", || server.get("/healthz").status() == 200);
    let mut late = server.sse("/channels/a");
    late.notice("$open");
    publisher.publish("a", "to both");
    assert_eq!((held.event().data, late.event().data), ("to both".into(), "to both".into()));
}

#[test]
fn it_says_what_it_is() {
    let output = run(&["--version"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("switchboard "), "{output:?}");
}
