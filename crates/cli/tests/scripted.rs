//! The client commands against a server that follows a script: what they send, and what they make of the answers.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod support;

use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use support::{PATIENCE, Peer, finish, run, run_with, scripted, switchboard};
use switchboard_testkit::free_port;
use switchboard_wire::websocket::header::{Opcode, write_server_header};
use switchboard_wire::websocket::{close, handshake};

const PROBLEM: &str = "application/problem+json";
const JSON: &str = "application/json";

#[test]
fn an_event_is_published_and_its_id_printed() {
    let (url, script) = scripted(|listener| {
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.target(), "/channels/chat/room%201?event=greeting");
        assert_eq!(peer.header("content-type"), Some("application/json"));
        assert_eq!(peer.header("idempotency-key"), Some("k1"));
        assert_eq!(peer.header("content-length"), Some("2"));
        peer.answer("201 Created", JSON, r#"{"id":"p7","channel":"chat/room 1","position":"p7"}"#);
    });
    let words = ["publish", "chat/room 1", "{}", "--json", "--event", "greeting", "--key", "k1", "--server", &url];
    let said = run(&words);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "p7\n", ""));
    script.join().unwrap();
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let (url, script) = scripted(|listener| {
        let body = r#"{"title":"The channel has ended; delete it to use its name again.","status":409,"code":"channel_ended"}"#;
        Peer::accept(&listener).answer("409 Conflict", PROBLEM, body);
    });
    let said = run(&["publish", "a", "x", "--server", &url]);
    let expected = "switchboard: The channel has ended; delete it to use its name again (409 channel_ended)\n";
    assert_eq!((said.code, said.err.as_str()), (Some(1), expected));
    script.join().unwrap();
}

#[test]
fn of_a_refusal_in_plain_text_the_first_line_is_told() {
    let long = "x".repeat(10_000);
    for (kind, body, told) in [
        ("text/plain; charset=utf-8", "\n no \x1b[2Jupstream \nand more", "no \u{fffd}[2Jupstream (502)\n".to_owned()),
        ("Text/Plain", &*long, format!("{}… (502)\n", "x".repeat(200))),
        ("text/plain", "", "Bad Gateway (502)\n".to_owned()),
        ("text/html", "<title>no upstream</title>", "Bad Gateway (502)\n".to_owned()),
    ] {
        let body = body.to_owned();
        let (url, script) = scripted(move |listener| Peer::accept(&listener).answer("502 Bad Gateway", kind, &body));
        let said = run(&["publish", "a", "x", "--server", &url]);
        assert_eq!((said.code, said.err), (Some(1), format!("switchboard: {told}")), "{kind}");
        script.join().unwrap();
    }
}

#[test]
fn a_call_to_a_server_that_has_no_room_is_refused() {
    let body = r#"{"title":"The server has no room.","status":503,"code":"overloaded"}"#;
    let told = "switchboard: The server has no room (503 overloaded)\n";
    // With the word on when to come back, and without it, when the other transports are tried as well.
    for (connections, status) in [(1, "503 Service Unavailable\r\nretry-after: 3"), (4, "503 Service Unavailable")] {
        let (url, script) = scripted(move |listener| {
            (0..connections).for_each(|_| Peer::accept(&listener).answer(status, PROBLEM, body));
        });
        let said = run(&["call", "ping", "--server", &url]);
        assert_eq!((said.code, said.err.as_str()), (Some(1), told));
        script.join().unwrap();
    }
}

#[test]
fn a_file_of_roots_that_is_none_is_told_before_a_server_is_asked() {
    let key = std::env::temp_dir().join(format!("switchboard-no-root-{}.pem", std::process::id()));
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let url = format!("https://127.0.0.1:{}", free_port());
    for (path, why) in [("nope", "nope cannot be read: no such file"), (key.to_str().unwrap(), "holds no certificate")]
    {
        for command in [&["publish", "a", "x"][..], &["tail", "a"], &["channels"], &["call", "ping"], &["bench"]] {
            let words = [command, &["--server", &url]].concat();
            let said = run(&[&words[..], &["--ca", path]].concat());
            assert!(said.err.starts_with("switchboard: --ca: ") && said.err.contains(why), "{said:?}");
            assert_eq!(said.code, Some(2), "{said:?}");
            let said = finish(switchboard(&words).env("SWITCHBOARD_CA", path).spawn().unwrap());
            assert!(said.err.starts_with("switchboard: SWITCHBOARD_CA: ") && said.err.contains(why), "{said:?}");
            assert_eq!(said.code, Some(2), "{said:?}");
        }
    }
    // Where no TLS is spoken the variable is of no use, and no harm.
    let plain = url.replace("https:", "http:");
    let child = switchboard(&["publish", "a", "x", "--server", &plain]).env("SWITCHBOARD_CA", "nope").spawn();
    assert_eq!(finish(child.unwrap()).code, Some(3));
    std::fs::remove_file(key).unwrap();
}

#[test]
fn a_server_of_old_versions_of_tls_is_told() {
    let (url, script) = scripted(|listener| {
        let (mut stream, _) = listener.accept().unwrap();
        // A fatal alert, protocol_version (RFC 8446 section 6.2), once something was said.
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let said = run(&["publish", "a", "x", "--server", &url.replace("http:", "https:")]);
    assert!(said.code == Some(3) && said.err.contains("it speaks neither TLS 1.3 nor TLS 1.2"), "{said:?}");
    script.join().unwrap();
}

#[test]
fn a_lost_answer_leaves_a_doubt_that_is_told() {
    let (url, script) = scripted(|listener| drop(Peer::accept(&listener)));
    let said = run(&["publish", "a", "x", "--server", &url]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("--key"), "{said:?}");
    script.join().unwrap();
}

#[test]
fn where_nothing_listens_the_commands_say_so() {
    let url = format!("http://127.0.0.1:{}", free_port());
    for command in
        [&["publish", "a", "x"][..], &["tail", "a"], &["channels"], &["publish", "a", "--lines"], &["call", "ping"]]
    {
        let said = run_with(&[command, &["--server", &url]].concat(), b"line\n");
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.err.contains("switchboard serve"), "{said:?}");
    }
}

#[test]
fn lines_go_out_as_they_come_and_survive_a_lost_connection() {
    let (first_lost, lost) = mpsc::channel();
    let (url, script) = scripted(move |listener| {
        let mut peer = Peer::accept(&listener);
        assert_eq!((peer.target(), peer.header("content-type")), ("/channels/log", Some("application/x-ndjson")));
        let key = peer.header("idempotency-key").unwrap().to_owned();
        assert_eq!(peer.chunk(), "{\"data\":\"one\"}\n");
        drop(peer);
        first_lost.send(()).unwrap();
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.header("idempotency-key"), Some(&*key));
        assert_eq!(peer.chunks(), "{\"data\":\"one\"}\n{\"data\":\"two\"}\n");
        peer.answer("201 Created", JSON, r#"{"count":2,"first":"p1","last":"p2"}"#);
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.target(), "/channels/log?end=true");
        assert_ne!(peer.header("idempotency-key"), Some(&*key));
        peer.answer("201 Created", JSON, r#"{"channel":"log","position":"p2","ended":true}"#);
    });
    let mut child = switchboard(&["publish", "log", "--lines", "--end", "--server", &url]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    lost.recv_timeout(PATIENCE).unwrap();
    input.write_all(b"two\n").unwrap();
    drop(input);
    let said = finish(child);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "2 events: p1 to p2\n"), "{said:?}");
    assert!(said.err.contains("trying again") && said.err.contains("nothing was lost, and"), "{said:?}");
    assert!(said.err.contains("restarted meanwhile: then up to"), "{said:?}");
    script.join().unwrap();
}

/// Publishes two lines, and a third once they are acknowledged; loses the POST of the third, and acknowledges the next in
/// the log that begins its ids with `log`.
fn published_across_a_loss(log: &'static str) -> support::Said {
    let (acknowledged, is_acknowledged) = mpsc::channel();
    let (url, script) = scripted(move |listener| {
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.chunks().lines().count(), 2);
        peer.answer("201 Created", JSON, r#"{"count":2,"first":"aaaaaaaaaa11","last":"aaaaaaaaaa12"}"#);
        acknowledged.send(()).unwrap();
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.chunk(), "{\"data\":\"three\"}\n");
        drop(peer);
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.chunks(), "{\"data\":\"three\"}\n");
        peer.answer("201 Created", JSON, &format!(r#"{{"count":1,"first":"{log}13","last":"{log}13"}}"#));
    });
    let mut child = switchboard(&["publish", "log", "--lines", "--server", &url]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\ntwo\n").unwrap();
    is_acknowledged.recv_timeout(PATIENCE).unwrap();
    input.write_all(b"three\n").unwrap();
    drop(input);
    let said = finish(child);
    script.join().unwrap();
    said
}

#[test]
fn a_lost_connection_loses_and_doubles_nothing_while_the_log_is_the_same() {
    let said = published_across_a_loss("aaaaaaaaaa");
    assert_eq!((said.code, said.out.as_str()), (Some(0), "3 events: aaaaaaaaaa11 to aaaaaaaaaa13\n"), "{said:?}");
    assert!(said.err.contains("connected again; nothing was lost or doubled"), "{said:?}");
}

#[test]
fn what_a_restart_loses_and_doubles_is_told() {
    let said = published_across_a_loss("bbbbbbbbbb");
    let sum = "3 events; 1 of them since the server lost its log: bbbbbbbbbb13 to bbbbbbbbbb13\n";
    assert_eq!((said.code, said.out.as_str()), (Some(0), sum), "{said:?}");
    assert!(!said.err.contains("nothing was lost"), "{said:?}");
    assert!(said.err.contains("no longer holds 2 lines that it had acknowledged"), "{said:?}");
    assert!(said.err.contains("up to 1 line may be seen twice"), "{said:?}");
}

#[test]
fn many_lines_are_several_posts_so_that_little_is_kept() {
    let (url, script) = scripted(|listener| {
        for (count, first) in [(1000, 1), (1000, 1001), (500, 2001)] {
            let mut peer = Peer::accept(&listener);
            let body = peer.chunks();
            assert_eq!(body.lines().count(), count);
            assert_eq!(body.lines().next().unwrap(), format!("{{\"event\":\"n\",\"data\":{first}}}"));
            peer.answer("201 Created", JSON, &format!(r#"{{"count":{count},"first":"p{first}","last":"q{first}"}}"#));
        }
    });
    let input: String = (1..=2500).map(|n| format!("{n}\n")).collect();
    let words = ["publish", "log", "--lines", "--json", "--event", "n", "--server", &url];
    let said = run_with(&words, input.as_bytes());
    assert_eq!((said.code, said.out.as_str()), (Some(0), "2500 events: p1 to q2001\n"), "{said:?}");
    script.join().unwrap();
}

#[test]
fn a_refused_line_is_named_by_its_number() {
    let (url, script) = scripted(|listener| {
        let mut peer = Peer::accept(&listener);
        peer.chunks();
        peer.answer(
            "413 Content Too Large",
            PROBLEM,
            r#"{"title":"Too large.","code":"too_large","line":2,"appended":1}"#,
        );
    });
    let said = run_with(&["publish", "log", "--lines", "--json", "--server", &url], b"1\n\n2\n3\n");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("line 3: Too large (413 too_large)"), "{said:?}");
    script.join().unwrap();
}

#[test]
fn a_line_that_is_not_json_stops_after_those_before_it() {
    let (url, script) = scripted(|listener| {
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.chunks(), "{\"data\":1}\n");
        peer.answer("201 Created", JSON, r#"{"count":1,"first":"p1","last":"p1"}"#);
    });
    let said = run_with(&["publish", "log", "--lines", "--json", "--server", &url], b"1\nnope\n3\n");
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("events known to be published: 1, the last of them p1"), "{said:?}");
    assert!(said.err.contains("line 2 is not JSON"), "{said:?}");
    script.join().unwrap();
}

/// A notice or an event, as a transport frames it.
type Frame = fn(&str, &str) -> Vec<u8>;

fn chunk(text: String) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn ndjson(name: &str, json: &str) -> Vec<u8> {
    chunk(if name.is_empty() { format!("\n{json}\n") } else { format!("{{\"{name}\":{json}}}\n") })
}

fn event_stream(name: &str, json: &str) -> Vec<u8> {
    let event = if name.is_empty() { String::new() } else { format!("event: {name}\n") };
    chunk(format!(": beat\n{event}data: {json}\n\n"))
}

fn websocket(name: &str, json: &str) -> Vec<u8> {
    let text = if name.is_empty() { json.to_owned() } else { format!("{{\"{name}\":{json}}}") };
    let mut frame = Vec::new();
    write_server_header(Opcode::Ping, false, 1, &mut frame);
    frame.push(b'x');
    write_server_header(Opcode::Text, false, text.len(), &mut frame);
    frame.extend_from_slice(text.as_bytes());
    frame
}

fn open(peer: &mut Peer, transport: &str) {
    let content_type = match transport {
        "sse" => "text/event-stream",
        "stream" => "application/x-ndjson",
        _ => {
            let head = peer.head.clone();
            let fields: Vec<_> = head.lines().filter_map(|line| line.split_once(": ")).collect();
            let headers = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
            let accepted = handshake::accept("GET", (1, 1), headers, &[], false).unwrap();
            let fields: String = accepted.fields().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            return peer.send(format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n").as_bytes());
        }
    };
    assert_eq!(peer.header("accept"), Some(content_type));
    peer.send(
        format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes(),
    );
}

fn event(id: &str, data: &str) -> String {
    format!("{{\"id\":\"{id}\",\"channel\":\"a\",\"data\":\"{data}\",\"time\":1}}")
}

#[test]
fn a_lost_stream_is_taken_up_where_it_was() {
    for (transport, frame) in [("stream", ndjson as Frame), ("sse", event_stream), ("websocket", websocket)] {
        let (url, script) = scripted(move |listener| {
            let base = format!("/channels?channel=a&form=event&transport={transport}");
            // Cut before the first event, …
            let mut peer = Peer::accept(&listener);
            assert_eq!(peer.target(), base);
            open(&mut peer, transport);
            peer.send(&frame("$open", r#"{"position":"p1"}"#));
            drop(peer);
            // … cut in the middle of one, …
            let mut peer = Peer::accept(&listener);
            assert_eq!(peer.target(), format!("{base}&since=p1"));
            open(&mut peer, transport);
            peer.send(&frame("$open", r#"{"position":"p1","recovered":true}"#));
            peer.send(&frame("", &event("p2", "one")));
            let cut = frame("", &event("p3", "two"));
            peer.send(&cut[..cut.len() - 9]);
            drop(peer);
            // … told to come again, …
            let mut peer = Peer::accept(&listener);
            assert_eq!(peer.target(), format!("{base}&since=p2"));
            open(&mut peer, transport);
            peer.send(&frame("$closing", r#"{"code":"draining","reason":"Connect again.","reconnect":true}"#));
            drop(peer);
            // … and told of a gap, and of the end.
            let mut peer = Peer::accept(&listener);
            assert_eq!(peer.target(), format!("{base}&since=p2"));
            open(&mut peer, transport);
            let gap = r#"{"channel":"a","from":"p2","to":"p8","reason":"trimmed"}"#;
            peer.send(&frame("$open", &format!(r#"{{"position":"p2","recovered":false,"gap":{gap}}}"#)));
            peer.send(&frame("$gap", gap));
            peer.send(&frame("", &event("p9", "nine")));
            peer.send(&frame("$end", r#"{"channel":"a"}"#));
        });
        let said = run(&["tail", "a", "--data", "--transport", transport, "--server", &url]);
        assert_eq!((said.code, said.out.as_str()), (Some(0), "one\nnine\n"), "{transport}: {said:?}");
        for hint in ["trying again", "connected again", "a: events are missing here"] {
            assert!(said.err.contains(hint), "{transport}: {said:?}");
        }
        script.join().unwrap();
    }
}

#[test]
fn polls_follow_page_by_page() {
    let (url, script) = scripted(|listener| {
        let base = "/channels?channel=a&channel=x/**&form=event&transport=poll";
        let page = |more: &str| format!(r#"{{"events":[{}],"position":"p2"{more}}}"#, event("p2", "two"));
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.target(), format!("{base}&since=latest&wait=30"));
        peer.answer("200 OK", JSON, r#"{"events":[],"position":"p1"}"#);
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.target(), format!("{base}&since=p1&wait=30"));
        peer.answer("200 OK", JSON, &page(""));
        drop(Peer::accept(&listener));
        let mut peer = Peer::accept(&listener);
        assert_eq!(peer.target(), format!("{base}&since=p2&wait=30"));
        peer.answer("200 OK", JSON, &page(r#","ended":true,"gap":{"from":"p2","to":"p4","reason":"epoch"}"#));
    });
    let said = run(&["tail", "a", "x/**", "--format", "json", "--transport", "poll", "--server", &url]);
    let line = event("p2", "two");
    assert_eq!((said.code, said.out), (Some(0), format!("{line}\n{line}\n")));
    assert!(said.err.contains("restart"), "{}", said.err);
    script.join().unwrap();
}

#[test]
fn a_tail_stops_at_its_limit_at_an_end_and_at_a_refusal() {
    let (url, script) = scripted(|listener| {
        let mut peer = Peer::accept(&listener);
        assert!(peer.target().ends_with("&since=earliest"));
        open(&mut peer, "stream");
        for n in 1..=3 {
            peer.send(&ndjson("", &event(&format!("p{n}"), "x")));
        }
        Peer::accept(&listener).send(b"HTTP/1.1 204 No Content\r\n\r\n");
        Peer::accept(&listener).answer("403 Forbidden", PROBLEM, r#"{"title":"No.","code":"forbidden"}"#);
        let mut peer = Peer::accept(&listener);
        open(&mut peer, "websocket");
        let mut frame = Vec::new();
        close::write_close(4403, "No.", None, &mut frame);
        peer.send(&frame);
    });
    let said = run(&["tail", "a", "--since", "earliest", "--limit", "2", "--server", &url]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "00:00:00.001 a x\n00:00:00.001 a x\n"), "{said:?}");
    let said = run(&["tail", "a", "--server", &url]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));
    let said = run(&["tail", "a", "--server", &url]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), "switchboard: No (403 forbidden)\n"));
    let said = run(&["tail", "a", "--transport", "websocket", "--server", &url]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), "switchboard: the server closed the WebSocket: No (4403)\n"));
    script.join().unwrap();
}

#[test]
fn channels_are_listed_page_by_page() {
    let (url, script) = scripted(|listener| {
        for _ in 0..2 {
            let mut peer = Peer::accept(&listener);
            assert_eq!(peer.target(), "/api/channels");
            let row = r#"{"channel":"a/b","class":"history","readers":2,"events":10,"bytes":2048}"#;
            peer.answer("200 OK", JSON, &format!(r#"{{"channels":[{row}],"next":"a/b"}}"#));
            let mut peer = Peer::accept(&listener);
            assert_eq!(peer.target(), "/api/channels?after=a/b");
            peer.answer(
                "200 OK",
                JSON,
                r#"{"channels":[{"channel":"c","class":"state","readers":0,"events":1,"bytes":3}]}"#,
            );
        }
    });
    let said = run(&["channels", "--server", &url]);
    let table = "CHANNEL  CLASS    READERS  EVENTS  BYTES\n\
                 a/b      history        2      10  2 KiB\n\
                 c        state          0       1    3 B\n";
    assert_eq!((said.code, said.out.as_str()), (Some(0), table), "{said:?}");
    let said = run(&["channels", "--json", "--server", &url]);
    assert_eq!(said.out.lines().count(), 2, "{said:?}");
    script.join().unwrap();
}
