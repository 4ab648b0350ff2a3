//! What the log has of those who are refused, on every transport, and of proxies that nobody named.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod support;

use std::path::PathBuf;
use support::run;
use switchboard_testkit::identity::bearer;
use switchboard_testkit::{Conn, Message, Server, eventually, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");
const CONFIG: &str = "
[auth]
skew = \"1ms\"
[[auth.key]]
algorithm = \"HS256\"
secret = \"a-secret-of-the-audit-that-is-long-enough\"
[[channel]]
pattern = \"news\"
subscribe = \"anyone\"
publish = \"nobody\"
";

/// A server with a log, and the file that it was told by.
struct Told {
    server: Server,
    path: PathBuf,
}

impl Told {
    fn serve(name: &str, more: &str, variables: &[(&str, &str)]) -> Told {
        let path = std::env::temp_dir().join(format!("switchboard-audit-{name}-{}.toml", std::process::id()));
        std::fs::write(&path, format!("{more}{CONFIG}")).unwrap();
        let args = ["serve", "--listen", "127.0.0.1:0", "--config", path.to_str().unwrap()];
        Told { server: Server::process_with(PROGRAM, &args, variables), path }
    }

    fn token(&self, words: &[&str]) -> String {
        let said = run(&[&["token", "--config", self.path.to_str().unwrap()][..], words].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        said.out.trim().to_owned()
    }

    /// Waits for a line with all of these words, and gives it.
    fn line(&self, words: &[&str]) -> String {
        let find = || {
            let said = self.server.said();
            said.lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
        };
        eventually(&format!("a line with {words:?} in {}", self.server.said()), || find().is_some());
        find().unwrap()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

const STREAM: &str = "a stream ended";

#[test]
fn a_websocket_that_is_closed_for_what_it_published_leaves_a_line() {
    let told = Told::serve("websocket", "", &[("SWITCHBOARD_LIMITS_PUBLISHES", "1")]);
    let mut anyone = told.server.websocket("/channels/news");
    anyone.send_text("not for me");
    anyone.expect_close(4403);
    let line = told.line(&[STREAM, "code=\"forbidden\""]);
    for word in ["transport=\"websocket\"", "who=\"anyone\"", "channel=\"news\"", "peer=\"127.0.0.1\""] {
        assert!(line.contains(word), "{word}: {line}");
    }
    let token = told.token(&["--sub", "ann", "--subscribe", "a", "--publish", "a"]);
    let mut fast = told.server.handshake("/channels/a", &[("Authorization", &bearer(&token))]).unwrap();
    (0..9).for_each(|n| fast.send_text(&n.to_string()));
    while matches!(fast.next(), Message::Text(_)) {}
    let line = told.line(&[STREAM, "code=\"rate_limited\""]);
    assert!(line.contains("who=\"user ann\"") && line.contains("channel=\"a\""), "{line}");
    assert!(!told.server.said().contains(token.split('.').next_back().unwrap()));
    let metrics = told.server.get("/metrics").expect(200).text();
    assert!(metrics.contains("switchboard_denied_total 2\n"), "{metrics}");
}

#[test]
fn streams_that_end_with_their_tokens_leave_lines() {
    let told = Told::serve("ends", "", &[]);
    let manager = bearer(&told.token(&["--sub", "boss", "--manage", "**"]));
    let shown = |name: &str, time: &str| bearer(&told.token(&["--sub", name, "--for", time, "--subscribe", "room/**"]));
    let bob = shown("bob", "1h");
    let mut revoked = told.server.connect().lines("/channels?channel=room/**", &[("Authorization", &bob)]);
    revoked.notice("$open");
    // Its time begins when it is made, so that it is made last.
    let ann = shown("ann", "5s");
    let mut expires = told.server.connect().sse("/channels/room/1", &[("Authorization", &ann)]);
    expires.notice("$open");
    let taken = told.server.post("/api/revoke", &[("Authorization", &manager)], r#"{"user":"bob"}"#).expect(200);
    assert_eq!(taken.json()["ended"], 1);
    let line = told.line(&[STREAM, "code=\"token_revoked\""]);
    assert!(line.contains("transport=\"stream\" who=\"user bob\" channel=\"room/**\" peer=\"127.0.0.1\""), "{line}");
    assert_eq!(expires.notice("$closing").json()["code"], "token_expired");
    let line = told.line(&[STREAM, "code=\"token_expired\""]);
    assert!(line.contains("transport=\"sse\" who=\"user ann\" channel=\"room/1\""), "{line}");
    for token in [&ann, &bob, &manager] {
        assert!(!told.server.said().contains(token.split('.').next_back().unwrap()));
    }
}

#[test]
fn refusals_within_an_answer_of_200_and_without_a_word_leave_lines() {
    let more = "[proxies]\naddresses = [\"127.0.0.0/8\"]\n";
    let told = Told::serve("within", more, &[("SWITCHBOARD_LIMITS_ADDRESS", "1")]);
    let from = [("X-Forwarded-For", "192.0.2.7")];
    let mut first = told.server.connect().sse("/channels/news", &from);
    first.notice("$open");
    let mut second = told.server.connect().sse("/channels/news", &from);
    assert_eq!(second.notice("$closing").json()["code"], "too_many");
    let line = told.line(&["denied status=200", "code=\"too_many\""]);
    assert!(line.contains("path=\"/channels/news\" peer=\"192.0.2.7\""), "{line}");

    let told = Told::serve("without", "", &[("SWITCHBOARD_LIMITS_ADDRESS", "1")]);
    let _silent: Vec<Conn> = (0..40).map(|_| told.server.connect()).collect();
    told.line(&["closed without a word", "code=\"too_many\"", "peer=127.0.0.1"]);
}

#[test]
fn a_proxy_that_nobody_named_is_told_of_once() {
    let warned = |told: &Told| told.server.said().matches("`addresses` of [proxies]").count();
    let ask = |told: &Told, field: (&str, &str)| told.server.get_with("/channels/news", &[field]).expect(200);
    let told = Told::serve("proxy", "", &[]);
    ask(&told, ("X-Request-Id", "7"));
    for field in [("Forwarded", "for=192.0.2.1"), ("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.2")] {
        ask(&told, field);
    }
    let line = told.line(&["WARN", "`Forwarded`", "peer=127.0.0.1"]);
    assert!(line.contains("list it in `addresses` of [proxies]"), "{line}");
    assert_eq!(warned(&told), 1);
    // One that is named, and a server that counts no addresses, have nothing to be told of.
    let named = Told::serve("named", "[proxies]\naddresses = [\"127.0.0.1\"]\n", &[]);
    ask(&named, ("X-Forwarded-For", "192.0.2.1"));
    let open = Server::process(PROGRAM, &["serve", "--listen", "127.0.0.1:0"]);
    open.get_with("/channels/news", &[("X-Forwarded-For", "192.0.2.1")]).expect(200);
    named.server.get("/channels/room").expect_problem(401, "unauthorized");
    named.line(&["denied status=401"]);
    assert_eq!((warned(&named), open.said().contains("[proxies]")), (0, false));
    assert_eq!(json!(open.terminate()), json!(0));
}

#[test]
fn what_a_session_is_denied_and_why_it_ends_leaves_lines() {
    let told = Told::serve("session", "", &[]);
    let manager = bearer(&told.token(&["--sub", "boss", "--manage", "**"]));
    let token = told.token(&["--sub", "ann", "--subscribe", "room/**"]);
    let shown = bearer(&token);
    let fields = [("Authorization", &*shown), ("Sec-WebSocket-Protocol", "switchboard.v1")];
    let mut socket = told.server.handshake("/session", &fields).unwrap();
    let greeting = socket.json();
    let session = greeting["params"]["id"].as_str().unwrap().to_owned();
    let publish = json!({"jsonrpc": "2.0", "id": 1, "method": "publish", "params": {"channel": "room/1", "data": 1}});
    socket.send_text(&publish.to_string());
    assert_eq!(socket.json()["error"]["code"], 40300);
    let line = told.line(&["a call was denied", "code=\"forbidden\""]);
    for word in ["method=\"publish\"", "who=\"user ann\"", &format!("session={session}"), "peer=\"127.0.0.1\""] {
        assert!(line.contains(word), "{word}: {line}");
    }
    told.server.post("/api/revoke", &[("Authorization", &manager)], r#"{"user":"ann"}"#).expect(200);
    let line = told.line(&["a session ended", "code=\"token_revoked\""]);
    assert!(line.contains("who=\"user ann\"") && line.contains(&session), "{line}");
    let key = greeting["params"]["location"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
    for secret in [token.as_str(), key.as_str()] {
        assert!(!told.server.said().contains(secret), "{secret}: {}", told.server.said());
    }
    let metrics = told.server.get("/metrics").expect(200).text();
    assert!(metrics.contains("switchboard_denied_total 2\n"), "{metrics}");
}
