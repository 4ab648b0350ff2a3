//! TLS by other people's programs: curl, openssl and sslscan, as Debian has them, against the real server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]
#![allow(clippy::print_stdout, reason = "what is measured is printed")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use support::run;
use switchboard_testkit::crowd::all_files;
use switchboard_testkit::issuer::{Authority, Conduct, Issuer, Term};
use switchboard_testkit::tls::{Files, VERSIONS, client, connect};
use switchboard_testkit::{Server, Signal, eventually};

/// The real server, with TLS and without, and a socket in the file system.
struct Real {
    server: Server,
    files: Files,
    authority: Authority,
}

impl Real {
    fn start() -> Real {
        let authority = Authority::new("an authority");
        let files = Files::new(&authority);
        let config = files.directory().join("switchboard.toml");
        let socket = files.directory().join("http.sock");
        let text = format!(
            "heartbeat = \"1s\"\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]\n[tls]\nlisten = \"127.0.0.1:0\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
            socket.display(),
            files.certificate().display(),
            files.key().display()
        );
        std::fs::write(&config, text).unwrap();
        let program = env!("CARGO_BIN_EXE_switchboard");
        let server = Server::process(program, &["serve", "--config", config.to_str().unwrap()]);
        eventually("it says where it speaks TLS", || server.said().contains("listening on unix:"));
        Real { server, files, authority }
    }

    /// `https://localhost:PORT`
    fn url(&self) -> String {
        eventually("it says where it speaks TLS", || self.server.said().contains("listening on https://"));
        let said = self.server.said();
        let port = said.split("listening on https://127.0.0.1:").nth(1).unwrap().lines().next().unwrap();
        format!("https://localhost:{port}")
    }

    fn port(&self) -> String {
        self.url().rsplit(':').next().unwrap().to_owned()
    }

    fn root(&self) -> String {
        self.files.root().display().to_string()
    }

    /// What `openssl s_client` says of a connection to which this is said.
    fn openssl(&self, options: &[&str], input: &str) -> String {
        let (connect, root) = (format!("localhost:{}", self.port()), self.root());
        let words = [&["s_client", "-connect", &connect, "-CAfile", &root], options].concat();
        program("openssl", &words, input)
    }
}

/// Everything that a program says, which is given this.
fn program(name: &str, words: &[&str], input: &str) -> String {
    let child =
        Command::new(name).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{name} is to be installed: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn curl_publishes_and_reads_over_tls_and_through_the_socket() {
    let real = Real::start();
    let (url, root) = (format!("{}/channels/a", real.url()), real.root());
    let told = program("curl", &["-sS", "--cacert", &root, "-d", "over TLS", &url], "");
    assert!(told.contains("\"id\":"), "{told}");
    let socket = real.files.directory().join("http.sock").display().to_string();
    let local = "http://localhost/channels/a";
    let told = program("curl", &["-sS", "--unix-socket", &socket, "-d", "through the socket", local], "");
    assert!(told.contains("\"id\":"), "{told}");
    real.server.end("a");
    for version in ["--http1.1", "--http2"] {
        let words = ["-sSN", version, "--cacert", &root, "-H", "Accept: text/event-stream"];
        let stream = program("curl", &[&words[..], &[&format!("{url}?since=earliest")]].concat(), "");
        let said = stream.lines().filter_map(|line| line.strip_prefix("data: "));
        // Notices are JSON.
        let said: Vec<&str> = said.filter(|data| !data.starts_with('{')).collect();
        assert_eq!(said, ["over TLS", "through the socket"], "{stream}");
    }
    // Without the root it is nobody's word.
    let refused = program("curl", &["-sS", &url], "");
    assert!(refused.contains("certificate"), "{refused}");
    let plain = program("curl", &["-sS", &url.replace("https:", "http:")], "");
    assert!(plain.contains("begins https://"), "{plain}");
}

#[test]
fn the_commands_speak_tls() {
    let real = Real::start();
    let (url, root) = (real.url(), real.root());
    let words = |words: &[&str]| run(&[words, &["--server", &url, "--ca", &root]].concat());
    let published = words(&["publish", "a", "hello"]);
    assert_eq!(published.code, Some(0), "{published:?}");
    for transport in ["websocket", "sse", "stream", "poll"] {
        let tail = words(&["tail", "a", "--since", "earliest", "--limit", "1", "--data", "--transport", transport]);
        assert_eq!((tail.code, &*tail.out), (Some(0), "hello\n"), "{transport}: {tail:?}");
    }
    let called = words(&["call", "ping"]);
    assert_eq!(called.code, Some(0), "{called:?}");
    let load = words(&["bench", "load test", "--subscribers", "20", "--rate", "200", "--seconds", "0.1"]);
    assert!(load.code == Some(0) && load.out.contains("delivered      400\n"), "{load:?}");
    let distrusted = run(&["publish", "a", "hello", "--server", &url]);
    let why = "an issuer that is not trusted here. --ca FILE or SWITCHBOARD_CA names a file of further ones\n";
    assert!(distrusted.code == Some(3) && distrusted.err.ends_with(why), "{distrusted:?}");
    let called = run(&["call", "ping", "--server", &url]);
    assert!(called.code == Some(3) && called.err.ends_with(why), "{called:?}");
}

#[test]
fn the_commands_say_that_tls_is_spoken_where_they_do_not() {
    let real = Real::start();
    let url = real.url().replace("https:", "http:");
    let tail = |transport: &'static str| ["tail", "a", "--transport", transport];
    let tails = ["websocket", "sse", "stream", "poll"].map(tail);
    let others = [&["publish", "a", "hello"][..], &["call", "ping"], &["channels"], &["bench"]];
    for command in others.into_iter().chain(tails.iter().map(|words| &words[..])) {
        let said = run(&[command, &["--server", &url]].concat());
        let why = "here TLS is spoken, and this was not: the URL begins https:// (400)\n";
        assert!(said.code == Some(1) && said.err.ends_with(why), "{command:?}: {said:?}");
    }
}

#[test]
fn the_commands_say_what_is_wrong_with_a_certificate() {
    let authority = Authority::new("an authority");
    let files = Files::new(&authority);
    let root = files.root().display().to_string();
    let offers = || Conduct::Answers("HTTP/1.1 204 No Content\r\n\r\n".into());
    for (tls, why) in [
        (authority.certify("localhost", Term::Past), "its certificate has expired"),
        (
            authority.certify("localhost", Term::Future),
            "its certificate is not valid yet, by the clock of this machine",
        ),
        (authority.certify("other.example", Term::Now), "its certificate is for another name"),
        (authority.certify_authority("localhost"), "its certificate is one that signs others (CA:TRUE)"),
    ] {
        let issuer = Issuer::secure(offers(), tls);
        let url = format!("https://localhost:{}", issuer.address().port());
        let said = run(&["publish", "a", "hello", "--server", &url, "--ca", &root]);
        assert!(said.code == Some(3) && said.err.contains(&format!("cannot be reached: {why}")), "{why}: {said:?}");
    }
}

/// As it comes out of `openssl req -x509` unless that is told otherwise, and with what the message says to add.
#[test]
fn a_certificate_that_signs_others_is_not_a_servers_and_what_to_do_is_said() {
    let files = Files::new(&Authority::new("nobody asks for it"));
    let (certificate, key) = (files.certificate().display().to_string(), files.key().display().to_string());
    let make = |more: &[&str]| {
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost -addext \
            subjectAltName=DNS:localhost";
        let words: Vec<&str> = words.split_whitespace().chain(["-keyout", &key, "-out", &certificate]).collect();
        program("openssl", &[&words[..], more].concat(), "")
    };
    let publish = || {
        let variables = [
            ("SWITCHBOARD_TLS_LISTEN", "127.0.0.1:0"),
            ("SWITCHBOARD_TLS_CERTIFICATE", &*certificate),
            ("SWITCHBOARD_TLS_KEY", &*key),
        ];
        let server =
            Server::process_with(env!("CARGO_BIN_EXE_switchboard"), &["serve", "--listen", "127.0.0.1:0"], &variables);
        let real = Real {
            server,
            authority: Authority::new("nobody asks for it"),
            files: Files::new(&Authority::new("nor for it")),
        };
        run(&["publish", "a", "hello", "--server", &real.url(), "--ca", &certificate])
    };
    make(&[]);
    let refused = publish();
    assert!(refused.code == Some(3) && refused.err.contains("(CA:TRUE)"), "{refused:?}");
    let advice = refused.err.split('`').nth(1).unwrap();
    make(&advice.split_whitespace().collect::<Vec<_>>());
    let taken = publish();
    assert_eq!(taken.code, Some(0), "{taken:?}");
}

/// What the documentation has to try TLS with, word by word, but for the port.
#[test]
fn the_commands_of_the_documentation_work() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tls.md")).unwrap();
    let block = page.split("```sh\n").find(|block| block.starts_with("openssl req")).unwrap();
    let commands = block.split("```").next().unwrap().replace("\\\n", "");
    let commands: Vec<&str> = commands.lines().collect();
    let [make, serve, publish, tail] = commands[..] else { panic!("{commands:?}") };
    let files = Files::new(&Authority::new("nobody asks for it"));
    let home = files.directory().join("by-hand");
    std::fs::create_dir(&home).unwrap();
    let shell = |command: &str| {
        let output = Command::new("sh").args(["-c", command]).current_dir(&home).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    shell(make);
    let variables: Vec<(&str, &str)> =
        serve.split(' ').filter_map(|word| word.strip_prefix("SWITCHBOARD_")?.split_once('=')).collect();
    let path = |name: &str| home.join(name).display().to_string();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    assert_eq!(
        variables,
        [("TLS_LISTEN", "127.0.0.1:8443"), ("TLS_CERTIFICATE", "certificate.pem"), ("TLS_KEY", "key.pem")]
    );
    let variables = [
        ("SWITCHBOARD_LISTEN", "127.0.0.1:0"),
        ("SWITCHBOARD_TLS_LISTEN", "127.0.0.1:0"),
        ("SWITCHBOARD_TLS_CERTIFICATE", &*certificate),
        ("SWITCHBOARD_TLS_KEY", &*key),
    ];
    let program = env!("CARGO_BIN_EXE_switchboard");
    let server = Server::process_with(program, &["serve"], &variables);
    let real = Real { server, authority: Authority::new("nobody asks for it"), files };
    let here = |command: &str| command.replace("8443", &real.port());
    assert!(shell(&here(publish)).contains("\"channel\":\"hello\""));
    assert!(shell(&here(tail).replacen("switchboard", program, 1)).ends_with("hello Hello!\n"));
}

#[test]
fn a_reload_shows_the_new_certificate_or_says_why_not() {
    let real = Real::start();
    let (url, root) = (format!("{}/healthz", real.url()), real.root());
    let shown = || program("openssl", &["s_client", "-connect", &format!("localhost:{}", real.port())], "");
    let certificate = |said: &str| Some(said.split("-----BEGIN").nth(1)?.split("-----END").next()?.to_owned());
    let old = certificate(&shown());
    assert!(old.is_some());
    std::fs::write(real.files.key(), "no key").unwrap();
    real.server.signal(Signal::HUP);
    eventually("it says why not", || real.server.said().contains("holds no key in PEM"));
    assert_eq!(certificate(&shown()), old);
    assert_eq!(program("curl", &["-sS", "--cacert", &root, &url], ""), "ok\n");
    real.files.replace(&real.authority);
    real.server.signal(Signal::HUP);
    eventually("the new one is shown", || certificate(&shown()) != old);
    assert_eq!(program("curl", &["-sS", "--cacert", &root, &url], ""), "ok\n");
}

#[test]
fn openssl_finds_what_is_spoken_and_what_is_not() {
    let real = Real::start();
    for version in ["-tls1_3", "-tls1_2"] {
        let said = real.openssl(&[version, "-alpn", "http/1.1"], "");
        assert!(said.contains("Verify return code: 0 (ok)") && said.contains("ALPN protocol: http/1.1"), "{said}");
    }
    for (options, why) in [
        (&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"][..], "alert handshake failure"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], "alert handshake failure"),
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "alert handshake failure"),
        (&["-alpn", "mqtt"], "alert no application protocol"),
    ] {
        let said = real.openssl(options, "");
        assert!(said.contains(why), "{options:?}: {said}");
    }
    // A letter on a line of its own is a command: to shake hands again, to change the keys and ask for the same.
    let again = real.openssl(&["-tls1_2"], "R\n");
    assert!(again.contains("no renegotiation"), "{again}");
    let said = change_keys(&real);
    assert!(said.contains("HTTP/1.1 200 OK") && said.contains("\nok\n"), "{said}");
}

/// Has openssl change its keys and ask for the same, and then ask for something: what it was answered.
fn change_keys(real: &Real) -> String {
    let (connect, root) = (format!("localhost:{}", real.port()), real.root());
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &connect, "-CAfile", &root, "-tls1_3", "-crlf"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"K\n").unwrap();
    // What comes in the same piece as the command is dropped, so it is to have said that it did.
    let mut told = BufReader::new(child.stderr.take().unwrap());
    read_to(&mut told, |line| line.contains("KEYUPDATE"));
    stdin.write_all(b"GET /healthz HTTP/1.1\nHost: localhost\nConnection: close\n\n").unwrap();
    let mut said = String::new();
    // The server closes, and with that openssl ends.
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    said
}

#[test]
fn openssl_takes_a_session_up_again() {
    let real = Real::start();
    let request = "GET /healthz HTTP/1.1\nHost: localhost\nConnection: close\n\n";
    for version in ["-tls1_3", "-tls1_2"] {
        let kept = real.files.directory().join(format!("session{version}")).display().to_string();
        let first = real.openssl(&[version, "-crlf", "-ign_eof", "-sess_out", &kept], request);
        assert!(first.contains("\nNew, TLSv1") && first.contains("\nok\n"), "{first}");
        let second = real.openssl(&[version, "-crlf", "-ign_eof", "-sess_in", &kept], request);
        assert!(second.contains("\nReused, TLSv1") && second.contains("\nok\n"), "{second}");
    }
}

/// Whatever was seen was seen with these.
#[test]
fn the_programs_are_there_in_some_version() {
    for (name, word) in [("curl", "--version"), ("openssl", "version"), ("sslscan", "--version")] {
        let said = program(name, &[word], "");
        assert!(said.contains('.'), "{name}: {said}");
        println!("{name}: {}", said.split_whitespace().take(12).collect::<Vec<_>>().join(" "));
    }
}

/// What sslscan 2 finds, line by line: protocols, ciphers, renegotiation, compression, and the flaw of 2014.
#[test]
fn sslscan_finds_nothing_amiss() {
    let real = Real::start();
    // It waits for three seconds for an answer unless it is told otherwise.
    let words = ["--no-colour", "--show-sigs", "--timeout=30", &format!("localhost:{}", real.port())];
    let said = program("sslscan", &words, "");
    for line in [
        "SSLv2     disabled",
        "SSLv3     disabled",
        "TLSv1.0   disabled",
        "TLSv1.1   disabled",
        "TLSv1.2   enabled",
        "TLSv1.3   enabled",
        "TLSv1.3 not vulnerable to heartbleed",
        "TLSv1.2 not vulnerable to heartbleed",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(
        said.contains("Session renegotiation not supported") || said.contains("Secure session renegotiation"),
        "{said}"
    );
    let ciphers: Vec<&str> =
        said.lines().filter(|line| line.starts_with("Preferred") || line.starts_with("Accepted")).collect();
    assert!(ciphers.len() >= 6, "{said}");
    for cipher in ciphers {
        let forward = cipher.contains("TLSv1.3") || cipher.contains("ECDHE");
        let sealed = cipher.contains("GCM") || cipher.contains("CHACHA20") || cipher.contains("POLY1305");
        assert!(forward && sealed, "{cipher}");
    }
}

/// Connections that are measured.
const MANY: usize = 5_000;

/// Memory of an idle stream without TLS and in each of its versions, in bytes of the server's proportional set size.
#[test]
#[ignore = "it measures: cargo test --release -p switchboard-cli --test tls -- --ignored --nocapture"]
fn memory_of_an_idle_connection() {
    let _files = all_files();
    let plain = Real::start();
    let address = plain.server.address();
    println!("without TLS: {} bytes", grown(&plain, || TcpStream::connect(address).unwrap()));
    for version in VERSIONS {
        let real = Real::start();
        let config = std::sync::Arc::new(client(&real.authority, &[version]));
        let address = format!("127.0.0.1:{}", real.port()).parse().unwrap();
        println!("{version:?}: {} bytes", grown(&real, || connect(address, &config)));
    }
}

/// By how much the server grows for each idle stream, once all of them had a heartbeat.
fn grown<S: Read + Write>(real: &Real, open: impl Fn() -> S) -> u64 {
    let subscribe = || {
        let mut stream = open();
        let request = "GET /channels/idle HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::with_capacity(1024, stream);
        read_to(&mut stream, |line| line.contains("$open"));
        stream
    };
    let gather = |count: usize| {
        let mut streams: Vec<_> = (0..count).map(|_| subscribe()).collect();
        // A heartbeat is a comment.
        streams.iter_mut().for_each(|stream| read_to(stream, |line| line.starts_with(':')));
        streams
    };
    let few = gather(100);
    let before = proportional(real);
    let many = gather(MANY);
    let after = proportional(real);
    drop((few, many));
    after.saturating_sub(before) / MANY as u64
}

fn read_to(stream: &mut impl BufRead, found: impl Fn(&str) -> bool) {
    let mut line = String::new();
    while !found(&line) {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream has ended");
    }
}

/// The proportional set size of the server, in bytes.
fn proportional(real: &Real) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", real.server.pid().as_raw_nonzero())).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
