//! The commands together with the server, as a user runs them.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use support::{PATIENCE, Said, Server, cutting, finish, run, run_with, switchboard};
use switchboard_testkit::free_port;

const TRANSPORTS: [&str; 4] = ["sse", "stream", "poll", "websocket"];

/// Publishes, and gives the id.
fn publish(server: &Server, words: &[&str]) -> String {
    let said = run(&[&["publish", "--server", &server.url], words].concat());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{words:?}");
    said.out.trim().to_owned()
}

fn tail(server: &Server, words: &[&str]) -> Said {
    run(&[&["tail", "--server", &server.url], words].concat())
}

/// Sends a request as it stands, and reads the answer to its end.
fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_greeting_is_true() {
    let server = Server::start();
    for hint in [
        format!("curl -N -H 'Accept: text/event-stream' {}/channels/hello", server.url),
        format!("curl -d 'Hello!' {}/channels/hello", server.url),
        format!("{}/\n", server.url),
    ] {
        assert!(server.greeting.contains(&hint), "{hint}: {}", server.greeting);
    }
    let host = server.address();
    let health = raw(&server, &format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    // What curl -d sends.
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\nConnection: close";
    let created = raw(&server, &format!("POST /channels/hello HTTP/1.1\r\nHost: {host}\r\n{form}\r\n\r\nHello!"));
    assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
    let said = tail(&server, &["hello", "--since", "earliest", "--limit", "1", "--data"]);
    assert_eq!(said.out, "Hello!\n");
}

#[test]
fn what_is_published_is_followed_on_every_transport() {
    let server = Server::start();
    publish(&server, &["a/1", "text"]);
    publish(&server, &["a/2", "{\"n\":  1}", "--json", "--event", "count"]);
    publish(&server, &["b", "not for a"]);
    let last = publish(&server, &["a/1", "tëxt\nin lines"]);
    for transport in TRANSPORTS {
        let words = ["a/**", "--since", "earliest", "--limit", "3", "--data", "--transport", transport];
        let said = tail(&server, &words);
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(0), "text\n{\"n\":  1}\ntëxt\nin lines\n"),
            "{transport} {said:?}"
        );
        let words = ["a/**", "--since", "earliest", "--limit", "3", "--format", "json", "--transport", transport];
        let said = tail(&server, &words);
        assert!(said.out.lines().last().unwrap().starts_with(&format!("{{\"id\":\"{last}\"")), "{transport} {said:?}");
    }
}

#[test]
fn following_goes_on_as_events_come_until_the_end() {
    let server = Server::start();
    for transport in TRANSPORTS {
        let channel = format!("live/{transport}");
        let since = publish(&server, &[&channel, "before"]);
        let mut child = switchboard(&["tail", &channel, "--data", "--since", &since, "--transport", transport])
            .env("SWITCHBOARD_URL", &server.url)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        for n in 0..3 {
            publish(&server, &[&channel, &n.to_string()]);
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{n}\n"), "{transport}");
        }
        publish(&server, &[&channel, "last", "--end"]);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("last\n", Some(0)), "{transport}");
    }
}

#[test]
fn lines_are_published_as_they_come() {
    let server = Server::start();
    let mut publisher =
        switchboard(&["publish", "logs/build", "--lines", "--end", "--server", &server.url]).spawn().unwrap();
    let mut input = publisher.stdin.take().unwrap();
    let mut follower =
        switchboard(&["tail", "logs/build", "--since", "earliest", "--data", "--server", &server.url]).spawn().unwrap();
    let mut out = BufReader::new(follower.stdout.take().unwrap());
    for n in 0..20 {
        input.write_all(format!("line {n}\n").as_bytes()).unwrap();
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, format!("line {n}\n"));
    }
    let many: String = (20..5020).map(|n| format!("line {n}\n")).collect();
    input.write_all(many.as_bytes()).unwrap();
    drop(input);
    let said = finish(publisher);
    assert!(said.code == Some(0) && said.out.starts_with("5020 events: "), "{said:?}");
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}

#[test]
fn lines_are_published_once_each_through_cuts() {
    let server = Server::start();
    // The first is cut before the first line is whole, the others in the middle of lines.
    let url = cutting(server.address(), true, &[250, 5_000, 20_001, 9_999]);
    let input: String = (0..900).map(|n| format!("line {n} {}\n", "x".repeat(n % 200))).collect();
    let said = run_with(&["publish", "cut", "--lines", "--server", &url], input.as_bytes());
    assert!(said.code == Some(0) && said.out.starts_with("900 events: "), "{said:?}");
    let said = tail(&server, &["cut", "--since", "earliest", "--limit", "900", "--data"]);
    assert_eq!(said.out, input);
    let said = run(&["channels", "--json", "--server", &server.url]);
    assert!(said.out.contains("\"events\":900"), "{said:?}");
}

#[test]
fn events_are_followed_once_each_through_cuts() {
    let server = Server::start();
    let input: String = (0..900).map(|n| format!("line {n} {}\n", "x".repeat(n % 200))).collect();
    let said = run_with(&["publish", "cut", "--lines", "--server", &server.url], input.as_bytes());
    assert_eq!(said.code, Some(0), "{said:?}");
    for transport in TRANSPORTS {
        // The head, the opening, and events are cut in the middle.
        let url = cutting(server.address(), false, &[100, 400, 3_000, 30_001, 9_999]);
        let words = ["tail", "cut", "--since", "earliest", "--limit", "900", "--data", "--transport", transport];
        let said = run(&[&words[..], &["--server", &url]].concat());
        assert_eq!((said.code, said.out == input), (Some(0), true), "{transport}: {}", said.err);
    }
}

#[test]
fn lines_of_json_and_of_bytes_arrive_as_they_were() {
    let server = Server::start();
    let said = run_with(&["publish", "j", "--lines", "--json", "--server", &server.url], b"{\"a\": 1.0}\n[]\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = tail(&server, &["j", "--since", "earliest", "--limit", "2", "--data"]);
    assert_eq!(said.out, "{\"a\": 1.0}\n[]\n");
    let said = run_with(&["publish", "bytes", "--server", &server.url], b"\xff\0\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    let words = ["tail", "bytes", "--since", "earliest", "--limit", "1", "--data", "--server", &server.url];
    assert_eq!(switchboard(&words).output().unwrap().stdout, b"\xff\0\n\n");
}

#[test]
fn a_key_publishes_once() {
    let server = Server::start();
    let first = publish(&server, &["k", "x", "--key", "one"]);
    assert_eq!(publish(&server, &["k", "x", "--key", "one"]), first);
    let said = run(&["publish", "k", "y", "--key", "one", "--server", &server.url]);
    assert!(said.code == Some(1) && said.err.contains("idempotency_key_reused"), "{said:?}");
}

#[test]
fn an_ended_channel_takes_nothing_and_reads_to_its_end() {
    let server = Server::start();
    publish(&server, &["e", "only"]);
    assert_eq!(publish(&server, &["e", "--end"]), "");
    let said = run(&["publish", "e", "more", "--server", &server.url]);
    assert!(said.code == Some(1) && said.err.contains("channel_ended"), "{said:?}");
    for transport in TRANSPORTS {
        let said = tail(&server, &["e", "--since", "earliest", "--data", "--transport", transport]);
        assert_eq!((said.code, said.out.as_str()), (Some(0), "only\n"), "{transport} {said:?}");
    }
}

#[test]
fn a_restart_is_told_as_a_gap_and_nothing_else_is_lost() {
    for transport in TRANSPORTS {
        let address = format!("127.0.0.1:{}", free_port());
        let server = Server::listen(&address);
        publish(&server, &["r", "one"]);
        let words = ["tail", "r", "--since", "earliest", "--limit", "2", "--data", "--transport", transport];
        let mut child = switchboard(&words).env("SWITCHBOARD_URL", &server.url).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        drop(server);
        let server = Server::listen(&address);
        publish(&server, &["r", "two"]);
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "one\ntwo\n", "{transport}");
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{transport}: {told}");
        assert!(told.contains("(epoch, from"), "{transport}: {told}");
        // Between two polls there is no connection to lose.
        assert!(transport == "poll" || told.contains("trying again"), "{transport}: {told}");
    }
}

#[test]
fn channels_are_listed_with_what_they_hold() {
    let server = Server::start();
    publish(&server, &["c/1", "12345"]);
    publish(&server, &["c/2", "1"]);
    publish(&server, &["c/2", "2"]);
    let said = run(&["channels", "--server", &server.url]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let rows: Vec<Vec<&str>> = said.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["CHANNEL", "CLASS", "READERS", "EVENTS", "BYTES"]);
    assert_eq!(rows[1][..4], ["c/1", "history", "0", "1"]);
    assert_eq!(rows[2][..4], ["c/2", "history", "0", "2"]);
    let said = run(&["channels", "--json", "--server", &server.url]);
    assert_eq!(said.out.lines().count(), 2, "{said:?}");
}

#[test]
fn refusals_are_the_servers_sentences() {
    let server = Server::start();
    let said = run(&["publish", "$sys", "x", "--server", &server.url]);
    assert!(said.code == Some(1) && said.err.contains("(400 channel_name)"), "{said:?}");
    let said = run(&["publish", "a", "x", "--event", "$x", "--server", &server.url]);
    assert!(said.code == Some(1) && said.err.contains("(400 event_type)"), "{said:?}");
    for transport in TRANSPORTS {
        let said = tail(&server, &["$sys", "--transport", transport]);
        assert!(said.code == Some(1) && said.err.contains("(400 channel_name)"), "{transport} {said:?}");
    }
}

#[test]
fn a_port_in_use_is_explained() {
    let server = Server::start();
    let said = run(&["serve", "--listen", server.address()]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    let port = server.address().rsplit(':').next().unwrap().to_owned();
    for hint in [
        format!("port {port} on 127.0.0.1 is in use: switchboard listens there, as process "),
        format!("ss -ltnp 'sport = :{port}'"),
        "--listen".into(),
    ] {
        assert!(said.err.contains(&hint), "{hint}: {said:?}");
    }
}

#[test]
fn signals_drain_and_the_exit_is_clean() {
    for signal in ["TERM", "INT"] {
        let server = Server::start();
        let since = publish(&server, &["s", "x"]);
        let mut child =
            switchboard(&["tail", "s", "--since", "earliest", "--data", "--server", &server.url]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!((line.as_str(), since.is_empty()), ("x\n", false));
        server.signal(signal);
        assert_eq!(server.wait(), Some(0), "{signal}");
        let mut told = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut told).unwrap();
        assert!(told.contains("the server closes: ") && told.contains("trying again"), "{signal}: {told}");
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let server = Server::start();
        let host = server.address();
        // A body that does not come to its end keeps the drain waiting, …
        let mut publisher = TcpStream::connect(host).unwrap();
        publisher.set_read_timeout(Some(PATIENCE)).unwrap();
        let fields = "Content-Length: 10\r\nExpect: 100-continue";
        let head = format!("POST /channels/s HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n");
        publisher.write_all(head.as_bytes()).unwrap();
        let mut told = [0; 25];
        publisher.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n", "the server waits for it");
        publisher.write_all(b"x").unwrap();
        // … and a reader sees it begin.
        let mut child =
            switchboard(&["tail", "s", "--since", "earliest", "--data", "--server", &server.url]).spawn().unwrap();
        publish(&server, &["s", "x"]);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        server.signal(signal);
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        server.signal(signal);
        assert_eq!(server.wait(), Some(code));
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[test]
fn interrupted_a_follower_says_where_it_was() {
    let server = Server::start();
    let id = publish(&server, &["i", "x"]);
    let mut child =
        switchboard(&["tail", "i", "--since", "earliest", "--data", "--server", &server.url]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let killed = std::process::Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(
        (told, child.wait().unwrap().code()),
        (format!("switchboard: stopped; --since {id} goes on from here\n"), Some(130))
    );
}

#[test]
fn a_method_is_called_and_its_result_printed() {
    let server = Server::start();
    let call = |words: &[&str]| run(&[&["call", "--server", &server.url], words].concat());
    let said = call(&["publish", r#"{"channel":"a","data":{"n":1.50}}"#]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.out.starts_with('{') && said.out.contains(r#""channel":"a""#), "{said:?}");
    let said = call(&["history", r#"["a"]"#]);
    assert!(said.out.contains(r#""data":{"n":1.50}"#) && said.out.ends_with("}\n"), "{said:?}");
    assert_eq!(call(&["ping"]).code, Some(0));
    for (words, code, why) in [
        (&["no/such"][..], 1, "`no/such` is no method here (-32601 method_not_found)"),
        (&["publish", "[]"], 1, "-32602"),
        (&["ping", "1"], 2, "PARAMS are a JSON array or object"),
        (&["ping", "{"], 2, "PARAMS are a JSON array or object"),
        (&["ping", "--timeout", "0"], 2, "--timeout"),
    ] {
        let said = call(words);
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{said:?}");
        assert!(said.err.contains(why), "{why}: {said:?}");
    }
}
