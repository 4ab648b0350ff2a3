//! Keys fetched over HTTPS by the real program: what it takes at the start, and what its log says where it gets none.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod support;

use std::path::PathBuf;
use support::run;
use switchboard_testkit::identity::{bearer, claims};
use switchboard_testkit::issuer::{Authority, Conduct, Issuer, Term, set, token};
use switchboard_testkit::{Server, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("switchboard-keys-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Scratch(path)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn settings<'a>(url: &'a str, ca: &'a str) -> [(&'a str, &'a str); 2] {
    [("SWITCHBOARD_AUTH_JWKS", url), ("SWITCHBOARD_AUTH_JWKS_CA", ca)]
}

fn serve(url: &str, ca: &str) -> Server {
    Server::process_with(PROGRAM, &["serve", "--listen", "127.0.0.1:0"], &settings(url, ca))
}

#[test]
fn keys_are_fetched_over_https_and_count() {
    let authority = Authority::new("ours");
    let ca = Scratch::new("good.pem", authority.pem());
    let issuer = Issuer::secure(Conduct::Offers(set(&["k"])), authority.certify("localhost", Term::Now));
    let server = serve(&format!("{}?key=secret-of-the-query", issuer.https()), &ca.path());
    eventually("it is told", || server.said().contains("keys were fetched"));
    let shown = bearer(&token("k", &claims("ann", &["a"])));
    server.get_with("/channels/a", &[("Authorization", &shown)]).expect(200);
    server.get_with("/channels/b", &[("Authorization", &shown)]).expect_problem(403, "forbidden");
    assert!(!server.said().contains("secret-of-the-query"), "{}", server.said());
}

#[test]
fn the_log_says_why_there_are_no_keys() {
    let authority = Authority::new("ours");
    let ca = Scratch::new("log.pem", authority.pem());
    let offers = || Conduct::Offers(set(&["k"]));
    let secure = |conduct: Conduct, host: &str, term: Term| Issuer::secure(conduct, authority.certify(host, term));
    let moved = Conduct::Answers("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n".into());
    let cases = [
        (secure(offers(), "localhost", Term::Past), true, "its certificate has expired"),
        (secure(offers(), "localhost", Term::Future), true, "its certificate is not valid yet"),
        (secure(offers(), "other.example", Term::Now), true, "its certificate is for another name"),
        (
            Issuer::secure(offers(), Authority::new("another").certify("localhost", Term::Now)),
            true,
            "its certificate is from an issuer that is not trusted here: `auth.jwks_ca` names a file",
        ),
        (
            Issuer::secure(offers(), Authority::new("ours").certify("localhost", Term::Now)),
            true,
            "its certificate is signed with another key than that of the issuer of this name which is trusted here",
        ),
        (
            Issuer::secure(offers(), authority.certify_authority("localhost")),
            true,
            "its certificate is one that signs others (CA:TRUE), and a server is to show one that does not",
        ),
        (Issuer::plain(offers()), true, "what answers there does not speak TLS"),
        (secure(offers(), "localhost", Term::Now), false, "what answers there speaks TLS: write https://"),
        (secure(moved, "localhost", Term::Now), true, "the answer has status 302, and redirections are not followed"),
        (secure(Conduct::Breaks("HTTP/1.1 200 OK\r\n\r\n{"), "localhost", Term::Now), true, "was cut off"),
    ];
    for (issuer, https, why) in cases {
        let server = match https {
            true => serve(&issuer.https(), &ca.path()),
            false => serve(&issuer.http(), ""),
        };
        let expected = format!("keys cannot be fetched: {why}");
        eventually(&format!("the log says {expected:?}"), || server.said().contains(why));
        assert!(server.said().contains("keys cannot be fetched: "), "{}", server.said());
    }
}

#[test]
fn what_is_wrong_with_the_roots_is_said_before_the_start() {
    let check = |url: &str, ca: &str| {
        let text = format!("[auth]\njwks = \"{url}\"\njwks_ca = \"{ca}\"\n");
        let config = Scratch::new("check.toml", &text);
        run(&["serve", "--check", "--config", &config.path()])
    };
    let good = Scratch::new("check.pem", Authority::new("ours").pem());
    let said = check("https://keys.example/jwks.json", &good.path());
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(check("https://keys.example/jwks.json", "").code, Some(0), "the built-in roots do");
    let foul = Scratch::new("foul.pem", "no certificate");
    for (url, ca, why) in [
        ("https://keys.example/", &*foul.path(), "holds no certificate in PEM"),
        ("https://keys.example/", "/nowhere/ca.pem", "/nowhere/ca.pem cannot be read"),
        ("http://keys.example/", &*good.path(), "it goes with an `auth.jwks` that begins with https://"),
        ("ftp://keys.example/", "", "it begins with neither https:// nor http://"),
    ] {
        let said = check(url, ca);
        assert_eq!(said.code, Some(2), "{}", said.out);
        assert!(said.err.contains(why), "{why}: {}", said.err);
    }
}
