//! Access from the command line, and a reload while the server runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use support::run;
use switchboard_testkit::{Server, Signal, eventually, identity};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");
const SECRET: &str = "a-secret-of-the-command-line-that-is-long-enough";

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("switchboard-access-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(rules: &str) -> String {
    format!(
        "[auth]\naudience = [\"here\"]\n[[auth.key]]\nid = \"k\"\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n{rules}"
    )
}

fn make(config: &str, words: &[&str]) -> String {
    let said = run(&[&["token", "--config", config][..], words].concat());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    said.out.trim().to_owned()
}

#[test]
fn a_token_is_made_explained_and_judged() {
    let folder = Folder::new("token");
    let config = folder.write("s.toml", &config("[[channel]]\npattern = \"news/**\"\nsubscribe = \"anyone\"\n"));
    let token = make(&config, &["--sub", "ann", "--subscribe", "user/{sub}/**", "--publish", "room/1", "--for", "10m"]);
    let said = run(&["token", "--config", &config, &token]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for part in
        ["\"sub\": \"ann\"", "\"aud\": \"here\"", "\"kid\": \"k\"", "this configuration takes it: the token of \"ann\""]
    {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    for (who, action, channel, code, why) in [
        (
            &*token,
            "subscribe",
            "user/ann/inbox",
            0,
            "yes: the token of \"ann\" may subscribe `user/ann/inbox`: no [[channel]]",
        ),
        (&*token, "subscribe", "user/ann/inbox", 0, "and `user/ann/**` was granted"),
        (&*token, "subscribe", "user/bob/inbox", 1, "nothing that was granted covers it"),
        (&*token, "publish", "room/*", 1, "no: the token of \"ann\" may not publish `room/*`"),
        (&*token, "subscribe", "news/x", 0, "[[channel]] `news/**` has subscribe = \"anyone\""),
        ("-", "subscribe", "news/x", 0, "yes: anyone may subscribe"),
        ("-", "publish", "news/x", 1, "no: anyone may not publish"),
        ("swk_unknown", "publish", "news/x", 1, "the API key is not known here"),
        ("x.y.z", "publish", "news/x", 1, "the token was refused"),
        (&*token, "listen", "news/x", 2, "`listen` is none of subscribe, publish, presence, manage"),
        (&*token, "publish", "a//b", 2, "`a//b`"),
    ] {
        let said = run(&["may", "--config", &config, who, action, channel]);
        assert_eq!(said.code, Some(code), "{action} {channel}: {} {}", said.out, said.err);
        assert!(said.out.contains(why) || said.err.contains(why), "{why}: {} {}", said.out, said.err);
        assert!(!said.err.contains(SECRET) && !said.out.contains(SECRET));
    }
    let limited = folder.write(
        "l.toml",
        "[[channel]]\npattern = \"chat/*\"\npublishes = 5\n[[channel]]\npattern = \"**\"\nmessage = \"4KiB\"\n",
    );
    let judged = |action: &str, channel: &str| run(&["may", "--config", &limited, "-", action, channel]).out;
    assert!(
        judged("publish", "chat/1").ends_with(
            "do everything; [[channel]] `chat/*` takes 5 events a second of all together; [[channel]] `**` takes messages of at most 4096 bytes\n"
        ),
        "{}",
        judged("publish", "chat/1")
    );
    assert!(judged("subscribe", "chat/1").ends_with("do everything\n"));
    assert!(judged("publish", "x").ends_with("do everything; [[channel]] `**` takes messages of at most 4096 bytes\n"));
    let shown = make(&config, &["--sub", "ann", "--info", "{\"name\": \"Ann\"}"]);
    let said = run(&["token", "--config", &config, &shown]);
    assert!(said.out.ends_with("\nwhat others are to see of the user: {\"name\":\"Ann\"}\n"), "{}", said.out);
    // The flag is to blame, and not the file.
    let said = run(&["token", "--key-file", &config, "--algorithm", "ed25519", "--sub", "ann"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("--algorithm: `ed25519` is none of HS256"), "{}", said.err);
    let said = run(&["token", "--config", &config, "--info", "{"]);
    assert_eq!((said.code, said.err.contains("--info: it is no JSON")), (Some(2), true), "{}", said.err);
    let large = format!("\"{}\"", "x".repeat(2000));
    let said = run(&["token", "--config", &config, "--info", &large]);
    assert_eq!((said.code, said.err.contains("`info` has more than 1024 bytes")), (Some(2), true), "{}", said.err);
    let said = run(&["may", "-", "publish", "x"]);
    assert!(said.out.contains("everyone may do everything"), "{}", said.out);
    let said = run(&["token", "--config", &config, &format!("{token}x")]);
    assert_eq!(said.code, Some(1));
    let printed = run(&["serve", "--config", &config, "--print-config"]);
    assert!(printed.out.contains("[[auth.key]]") && !printed.out.contains(SECRET), "{}", printed.out);
}

#[test]
fn no_token_is_made_that_the_configuration_would_refuse() {
    let folder = Folder::new("refused");
    let short = |time: &str| config("").replace("[auth]\n", &format!("[auth]\nlifetime = \"{time}\"\n"));
    let (path, brief) = (folder.write("s.toml", &config("")), folder.write("b.toml", &short("10m")));
    for (path, words, why) in [
        (&path, &["--for", "48h"][..], "`auth.lifetime`"),
        (&brief, &["--for", "11m"], "`auth.lifetime`"),
        (&path, &["--subscribe", "a//b"], "a pattern in its `channels.subscribe` is none: "),
        (&path, &["--manage", ""], "a pattern in its `channels.manage` is none: "),
        (&path, &["--sub", ""], "--sub: it is empty"),
        (&path, &["--audience", "elsewhere"], "its `aud` does not name this server"),
    ] {
        let said = run(&[&["token", "--config", path][..], words].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{words:?}: {said:?}");
        assert!(said.err.contains(why) && !said.err.contains("unauthorized"), "{words:?}: {said:?}");
    }
    // Unless told, a token lasts no longer than it may.
    make(&brief, &["--sub", "ann"]);
    make(&folder.write("d.toml", &short("48h")), &["--for", "48h"]);
}

#[test]
fn a_private_key_signs_what_the_configuration_would_take() {
    let folder = Folder::new("private");
    let openssl = |words: &[&str]| {
        let made = std::process::Command::new("openssl").args(words).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    let place = |name: &str| folder.0.join(name).display().to_string();
    let (private, public, other) = (place("private.pem"), place("public.pem"), place("other.pem"));
    for key in [&private, &other] {
        openssl(&["genpkey", "-algorithm", "ed25519", "-out", key]);
    }
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
    let text = format!("[[auth.key]]\nid = \"k\"\nalgorithm = \"EdDSA\"\npublic_key_file = \"{public}\"\n");
    let config = folder.write("s.toml", &text);
    let with = |key: &str, words: &[&str]| {
        run(&[&["token", "--key-file", key, "--algorithm", "EdDSA", "--sub", "ann"][..], words].concat())
    };
    assert_eq!(with(&private, &["--config", &config, "--kid", "k"]).code, Some(0));
    assert_eq!(with(&private, &[]).code, Some(0), "whoever has the public key is to say");
    for (key, words, why) in [
        (&other, &["--config", &*config, "--kid", "k"][..], "its signature is not that of a known key"),
        (&private, &["--config", &config, "--kid", "l"], "no key has its `kid`"),
        (&private, &["--config", &config, "--for", "48h"], "`auth.lifetime`"),
        (&private, &["--subscribe", "a//b"], "a pattern in its `channels.subscribe` is none: "),
    ] {
        let said = with(key, words);
        assert!(said.code == Some(2) && said.err.contains(why), "{why}: {said:?}");
    }
}

/// One of them may have signed it; what its claims say is another matter.
#[test]
fn where_keys_are_fetched_as_well_no_signature_is_judged() {
    let folder = Folder::new("fetched");
    let own = config("");
    let both = folder.write("s.toml", &own.replace("[auth]\n", "[auth]\njwks = \"https://keys.example/\"\n"));
    let other = folder.write("o.toml", &own.replace(SECRET, "another-secret-of-at-least-32-bytes"));
    let foreign = make(&other, &["--sub", "ann", "--subscribe", "a"]);
    for words in [&["may", &foreign, "subscribe", "a"][..], &["token", &foreign]] {
        let said = run(&[words, &["--config", &both]].concat());
        assert!(said.code == Some(2) && said.err.contains("keys of `auth.jwks` besides"), "{said:?}");
    }
    let elsewhere = folder.write("e.toml", &own.replace("\"here\"", "\"elsewhere\""));
    let elsewhere = make(&elsewhere, &["--sub", "ann"]);
    let said = run(&["may", &elsewhere, "subscribe", "a", "--config", &both]);
    assert!(said.code == Some(1) && said.err.contains("no: "), "{said:?}");
}

#[test]
fn without_a_key_nothing_is_judged() {
    let folder = Folder::new("keyless");
    let token = make(&folder.write("s.toml", &config("")), &["--sub", "ann"]);
    let open = folder.write("o.toml", "");
    let fetched = folder.write("f.toml", "[auth]\njwks = \"https://keys.example/\"\n");
    let named = "name the configuration with the keys: --config FILE";
    for (shown, config, why) in [
        (&*token, None, named),
        ("swk_unknown", None, named),
        (&*token, Some(&open), "says nothing about authentication"),
        (&*token, Some(&fetched), "a server fetches its keys from `auth.jwks`"),
    ] {
        let config = config.map(|config| vec!["--config", config]).unwrap_or_default();
        let said = run(&[&["may", shown, "subscribe", "a"], &config[..]].concat());
        assert!(said.code == Some(2) && said.err.contains(why), "{said:?}");
        assert!(!said.err.contains("no: "), "{said:?}");
        if shown == token {
            let said = run(&[&["token", shown], &config[..]].concat());
            assert!(said.code == Some(2) && said.err.contains(why), "{said:?}");
            assert!(said.out.contains("\"sub\": \"ann\""), "what it says is told all the same: {said:?}");
        }
    }
}

/// The line of a greeting that begins with a word.
fn line<'a>(greeting: &'a str, word: &str) -> Option<&'a str> {
    greeting.lines().find_map(|line| Some(line.trim_start().strip_prefix(word)?.trim_start()))
}

fn greeting(server: &Server) -> String {
    eventually("it has said all", || server.said().contains("Ctrl-C stops it."));
    server.said()
}

#[test]
fn what_the_greeting_has_to_type_is_let_in() {
    let folder = Folder::new("greeting it's");
    let path = folder.write("s.toml", &config(""));
    let server = Server::process(PROGRAM, &["serve", "--listen", "127.0.0.1:0", "--config", &path]);
    let said = greeting(&server);
    let at = |word: &str| line(&said, word).unwrap_or_else(|| panic!("no {word}: {said}"));
    let shell = |command: &str| {
        let path = format!("{}:{}", Path::new(PROGRAM).parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{}\nexec {command}", at("token"))]).env("PATH", path);
        shell.stdout(std::process::Stdio::piped());
        shell.spawn().unwrap()
    };
    let mut reader = shell(at("subscribe"));
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "event: $open"));
    let published = shell(at("publish")).wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&published.stdout).contains("\"channel\":\"hello\""), "{published:?}");
    assert!(lines.any(|line| line.unwrap() == "data: Hello!"));
    let _ = reader.kill();
    let _ = reader.wait();
}

#[test]
fn the_greeting_asks_for_what_is_needed_and_says_what_there_is() {
    const BEARER: &str = "-H \"Authorization: Bearer $TOKEN\"";
    let key = run(&["token", "--api-key"]).out.split_once("\n\n").unwrap().1.to_owned();
    let rule = |rest: &str| format!("[[channel]]\npattern = \"hello\"\n{rest}\n");
    let public = "[[auth.key]]\nid = \"k 1\"\nalgorithm = \"EdDSA\"\npublic_key = \"\"\"-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\"\"\"\n";
    let folder = Folder::new("ways");
    for (text, token, subscribing, publishing) in [
        (String::new(), None, Some(false), Some(false)),
        (key.clone(), Some("TOKEN=...  # an API key: "), Some(true), Some(true)),
        (key.clone() + &rule("subscribe = \"anyone\"\npublish = \"nobody\""), None, Some(false), None),
        (key + &rule("subscribe = \"anyone\""), Some("TOKEN=...  # an API key: "), Some(false), Some(true)),
        (rule("subscribe = \"anyone\""), None, Some(false), None),
        (rule("subscribe = \"anyone\"\npublish = \"anyone\""), None, Some(false), Some(false)),
        (
            public.to_owned(),
            Some(
                "TOKEN=$(switchboard token --config FILE --key-file PRIVATE.pem --algorithm EdDSA --kid 'k 1' --subscribe hello",
            ),
            Some(true),
            Some(true),
        ),
    ] {
        let path = folder.write("s.toml", &text);
        let server = Server::process(PROGRAM, &["serve", "--listen", "127.0.0.1:0", "--config", &path]);
        let said = greeting(&server);
        let shown = line(&said, "token ").map(|line| line.replace(&path, "FILE"));
        assert!(shown.as_deref().unwrap_or("none").starts_with(token.unwrap_or("none")), "{text}{said}");
        for (word, asks) in [("subscribe ", subscribing), ("publish ", publishing)] {
            assert_eq!(line(&said, word).map(|line| line.contains(BEARER)), asks, "{text}{said}");
        }
    }
}

#[test]
fn an_api_key_is_made_with_what_the_configuration_has_of_it() {
    let folder = Folder::new("key");
    let said = run(&["token", "--api-key"]);
    let (key, entry) = said.out.split_once("\n\n").unwrap();
    let config = folder.write("s.toml", entry);
    let judged = run(&["may", "--config", &config, key, "publish", "a/b"]);
    assert_eq!(
        judged.out.trim(),
        "yes: the API key \"backend\" may publish `a/b`: no [[channel]] says who may publish there, so that it takes a claim, and `**` was granted"
    );
    assert!(!entry.contains(key));
}

#[test]
fn a_hangup_reloads_the_rules_and_drops_those_alone_who_lost_theirs() {
    let folder = Folder::new("reload");
    let rules = |secret: &str| {
        config(&format!(
            "[[channel]]\npattern = \"news\"\nsubscribe = \"anyone\"\n[[channel]]\npattern = \"lobby\"\nsubscribe = \"{secret}\"\npublish = \"anyone\"\n"
        ))
    };
    let path = folder.write("s.toml", &rules("anyone"));
    let server = Server::process(PROGRAM, &["serve", "--listen", "127.0.0.1:0", "--config", &path]);
    let (mut stays, mut goes) = (server.sse("/channels/news"), server.sse("/channels/lobby"));
    let mut socket = server.websocket("/channels/lobby");
    stays.notice("$open");
    goes.notice("$open");
    server.get("/channels/lobby").expect(200);

    folder.write("s.toml", "listen = [");
    server.signal(Signal::HUP);
    eventually("the mistake is told", || server.said().contains("stays as it was"));
    server.get("/channels/lobby").expect(200);

    folder.write("s.toml", &format!("connections = 77\n{}[limits]\nuser = 7\n", rules("nobody")));
    server.signal(Signal::HUP);
    eventually("what takes a restart is told", || {
        server.said().contains("of connections, limits.user takes a restart")
    });
    let told = goes.notice("$closing").json();
    assert_eq!((&told["code"], &told["reconnect"]), (&"forbidden".into(), &false.into()));
    socket.expect_close(4403);
    server.get("/channels/lobby").expect_problem(403, "forbidden");
    // Whoever was let in by a key that is gone goes as well, and the others read on.
    let token = make(&path, &["--sub", "ann", "--subscribe", "**"]);
    let mut ann = server.connect().sse("/channels/news", &[("Authorization", &identity::bearer(&token))]);
    ann.notice("$open");
    folder.write("s.toml", &rules("nobody").replace(SECRET, "another-secret-of-at-least-32-bytes"));
    server.signal(Signal::HUP);
    assert_eq!(ann.notice("$closing").json()["code"], "token_revoked");
    let writer = identity::bearer(&make(&path, &["--sub", "ben", "--publish", "**"]));
    server.post("/channels/news", &[("Authorization", &writer)], "read on").expect(201);
    assert_eq!(stays.event().data, "read on");
    assert!(Path::new(&path).exists());
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_flood_of_refusals_is_in_the_log_by_its_number() {
    const MANY: u64 = 400;
    let folder = Folder::new("flood");
    let path = folder.write("s.toml", &config(""));
    let server = Server::process(PROGRAM, &["serve", "--listen", "127.0.0.1:0", "--config", &path]);
    let begin = std::time::Instant::now();
    let mut connection = server.connect();
    for _ in 0..MANY {
        connection.request("GET", "/channels/a", &[], None).expect_problem(401, "unauthorized");
    }
    let told = || {
        let (said, sums) = (server.said(), "more were denied than are told one by one more=");
        let more = said.lines().filter_map(|line| line.split_once(sums)?.1.trim().parse::<u64>().ok()).sum::<u64>();
        (said.matches("denied status=401").count() as u64, more)
    };
    eventually("all are accounted for", || told().0 + told().1 == MANY);
    let seconds = begin.elapsed().as_secs() + 1;
    assert!(told().0 >= 50 && told().0 <= 50 + 10 * seconds, "{:?} in {seconds} s", told());
    let metrics = server.get("/metrics").expect(200).text();
    assert!(metrics.contains(&format!("switchboard_denied_total {MANY}\n")), "{metrics}");
}

#[test]
fn no_secret_is_in_the_log_at_its_most_talkative() {
    let folder = Folder::new("log");
    let key = run(&["token", "--api-key"]).out;
    let (key, entry) = key.split_once("\n\n").unwrap();
    let text = config(&entry.replace("publish", "subscribe")).replace("[auth]", "[auth]\ncookie = \"session\"");
    let path = folder.write("s.toml", &text);
    let options = ["serve", "--listen", "127.0.0.1:0", "--config", &path, "--log-level", "trace"];
    let server = Server::process(PROGRAM, &options);
    let good = make(&path, &["--sub", "ann", "--subscribe", "**", "--publish", "**"]);
    let forged = format!("{good}AA");
    for token in [&*good, &forged, key, "swk_guessed-by-somebody-who-has-no-key"] {
        let shown = identity::bearer(token);
        server.get_with("/channels/a", &[("Authorization", &shown)]);
        server.get(&format!("/channels/a?token={token}"));
        server.get(&format!("/channels/a?token={token}&token=x"));
        server.get(&format!("/channels/a?{token}=%zz"));
        server.get_with("/channels/a", &[("Cookie", &format!("session={token}"))]);
        server.post("/channels/a", &[("Authorization", &shown)], "x");
        let of = [("Authorization", shown.as_str()), ("X-Forwarded-For", token), ("Content-Type", "application/json")];
        server.post("/api/token", &of, "{\"connection\":\"0000000000000000\"}");
        server.post("/api/revoke", &of, format!("{{\"token\":\"{token}\"}}"));
        let entry = format!("switchboard.token.{token}");
        let _ = server.handshake("/channels/a", &[("Sec-WebSocket-Protocol", &entry)]);
        let _ = server.handshake(&format!("/channels/a?token={token}"), &[("Sec-WebSocket-Version", "9")]);
        let mut stream = server.connect();
        stream.ask("GET", &format!("/channels/a?token={token}"), &[("Accept", "text/event-stream")], None);
        stream.head();
    }
    // A session's key is in its location, and a new token in what it says.
    let fields = [("Authorization", &*identity::bearer(&good)), ("Sec-WebSocket-Protocol", "switchboard.v1")];
    let mut socket = server.handshake("/session", &fields).unwrap();
    let location = socket.json()["params"]["location"].as_str().unwrap().to_owned();
    for token in [&*good, &forged] {
        let refresh = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"refresh","params":{{"token":"{token}"}}}}"#);
        socket.send_text(&refresh);
        assert_eq!(socket.json()["id"], 1);
    }
    let mut down = server.connect();
    down.ask("GET", &location, &[("Accept", "text/event-stream")], None);
    down.head();
    server.get(&format!("{location}x"));
    server.post(&location, &[], "{}");
    eventually("refusals are in the log", || server.said().contains("denied"));
    let said = server.said();
    let mut secrets = vec![SECRET.to_owned(), key.to_owned(), "guessed-by-somebody".to_owned()];
    secrets.extend(good.split('.').chain(forged.split('.')).filter(|part| part.len() > 30).map(str::to_owned));
    secrets.push(location.rsplit('.').next().unwrap().to_owned());
    for secret in secrets {
        assert!(!said.contains(&secret), "{secret} is in the log: {said}");
    }
}
