//! Keys that are fetched, over HTTP and HTTPS, rotated, and asked for by tokens with made-up names.

use std::path::PathBuf;
use std::time::Duration;
use switchboard::auth::settings::Jwks;
use switchboard_testkit::identity::{bearer, claims, settings};
use switchboard_testkit::issuer::{self, Authority, Conduct, Issuer, Term, set};
use switchboard_testkit::{PATIENCE, Server, eventually};

const HOUR: Duration = Duration::from_secs(3600);

fn plain(issuer: &Issuer) -> Jwks {
    Jwks { url: issuer.http(), ca: None, refresh: HOUR, cooldown: Duration::ZERO, time: PATIENCE }
}

fn server(jwks: Jwks) -> Server {
    let mut settings = settings();
    settings.keys.clear();
    settings.jwks = Some(jwks);
    super::server_with(settings)
}

fn token(id: &str) -> String {
    issuer::token(id, &claims("ann", &["a/**"]))
}

fn status(server: &Server, token: &str) -> u16 {
    server.get_with("/channels/a/x", &[("Authorization", &bearer(token))]).status()
}

/// A file of roots that goes with the test.
struct Roots(PathBuf);

impl Roots {
    fn new(name: &str, authority: &Authority) -> Roots {
        let roots = Roots(std::env::temp_dir().join(format!("switchboard-{name}-{}.pem", std::process::id())));
        roots.write(authority);
        roots
    }

    fn write(&self, authority: &Authority) {
        std::fs::write(&self.0, authority.pem()).unwrap();
    }

    fn secure(&self, issuer: &Issuer) -> Jwks {
        Jwks { url: issuer.https(), ca: Some(self.0.clone()), ..plain(issuer) }
    }
}

impl Drop for Roots {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn keys_rotate(issuer: &Issuer, server: &Server) {
    assert_eq!(status(server, &token("k1")), 200);
    let mut sse = server.connect().sse("/channels/a/x", &[("Authorization", &bearer(&token("k1")))]);
    sse.notice("$open");
    let before = issuer.asked();
    assert!((0..20).all(|_| status(server, &token("k1")) == 200));
    // The first request may have asked for a fetch beside the one that every start begins with.
    assert!(issuer.asked() <= before + 1, "a key that is known is not fetched again");
    issuer.conduct(Conduct::Offers(set(&["k2"])));
    assert_eq!(status(server, &token("k2")), 200);
    assert_eq!(status(server, &token("k1")), 401);
    server.post("/channels/a/x", &[("Authorization", &bearer(&token("k2")))], "on").expect(201);
    assert_eq!(sse.event().data, "on", "what was opened by the earlier key goes on");
}

#[test]
fn keys_are_fetched_and_rotate_without_a_restart() {
    let issuer = Issuer::plain(Conduct::Offers(set(&["k1"])));
    keys_rotate(&issuer, &server(plain(&issuer)));
}

#[test]
fn so_they_do_over_https() {
    let authority = Authority::new("ours");
    let roots = Roots::new("rotate", &authority);
    let issuer = Issuer::secure(Conduct::Offers(set(&["k1"])), authority.certify("localhost", Term::Now));
    keys_rotate(&issuer, &server(roots.secure(&issuer)));
}

#[test]
fn an_address_of_numbers_is_named_by_a_certificate_too() {
    let authority = Authority::new("ours");
    let roots = Roots::new("numbers", &authority);
    let issuer = Issuer::secure(Conduct::Offers(set(&["k1"])), authority.certify("127.0.0.1", Term::Now));
    let url = format!("https://{}/", issuer.address());
    assert_eq!(status(&server(Jwks { url, ..roots.secure(&issuer) }), &token("k1")), 200);
}

#[test]
fn a_certificate_that_is_not_trusted_brings_no_keys() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("another"));
    let roots = Roots::new("distrust", &authority);
    let bad = [
        ("another name", authority.certify("other.example", Term::Now)),
        ("expired", authority.certify("localhost", Term::Past)),
        ("yet to come", authority.certify("localhost", Term::Future)),
        ("unknown issuer", stranger.certify("localhost", Term::Now)),
        ("another of that name", Authority::new("ours").certify("localhost", Term::Now)),
    ];
    let good = authority.certify("localhost", Term::Now);
    for (what, certificate) in bad {
        let issuer = Issuer::secure(Conduct::Offers(set(&["k1"])), certificate.clone());
        let server = server(roots.secure(&issuer));
        let refused = server.get_with("/channels/a/x", &[("Authorization", &bearer(&token("k1")))]);
        refused.expect_problem(503, "overloaded");
        assert_eq!(issuer.asked(), 0, "{what}: nothing is asked of a stranger");
        issuer.show(good.clone());
        eventually("the keys are fetched", || status(&server, &token("k1")) == 200);
        // It is looked at anew each time, and what was learnt before stays in force.
        issuer.show(certificate);
        issuer.conduct(Conduct::Offers(set(&["k1", "k2"])));
        assert_eq!(status(&server, &token("k2")), 401, "{what}");
        assert_eq!(status(&server, &token("k1")), 200, "{what}");
    }
}

#[test]
fn the_file_of_roots_is_read_anew_for_each_fetch() {
    let (before, after) = (Authority::new("ours"), Authority::new("ours"));
    let roots = Roots::new("anew", &before);
    let issuer = Issuer::secure(Conduct::Offers(set(&["k1"])), before.certify("localhost", Term::Now));
    let server = server(roots.secure(&issuer));
    assert_eq!(status(&server, &token("k1")), 200);
    issuer.show(after.certify("localhost", Term::Now));
    issuer.conduct(Conduct::Offers(set(&["k2"])));
    assert_eq!(status(&server, &token("k2")), 401);
    roots.write(&after);
    assert_eq!(status(&server, &token("k2")), 200);
}

#[test]
fn without_the_file_of_roots_a_private_issuer_is_unknown() {
    let issuer = Issuer::secure(Conduct::Offers(set(&["k1"])), Authority::new("ours").certify("localhost", Term::Now));
    let server = server(Jwks { url: issuer.https(), ..plain(&issuer) });
    assert_eq!(status(&server, &token("k1")), 503);
    assert_eq!(issuer.asked(), 0);
}

#[test]
fn an_issuer_that_stalls_or_breaks_off_brings_no_keys_and_holds_nobody_up_for_long() {
    let authority = Authority::new("ours");
    let roots = Roots::new("stalls", &authority);
    let certificate = authority.certify("localhost", Term::Now);
    let time = Duration::from_millis(300);
    let whole = |text: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    for bad in [
        Conduct::Mute,
        Conduct::Stalls(""),
        Conduct::Stalls("HTTP/1.1 200 OK\r\nContent-Len"),
        Conduct::Stalls("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"keys\":["),
        Conduct::Breaks(""),
        Conduct::Breaks("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"keys\":["),
        Conduct::Answers("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n".into()),
        Conduct::Answers(whole("<html>")),
        Conduct::Answers(whole(&" ".repeat((1 << 20) + 1))),
    ] {
        let secure = Issuer::secure(bad.clone(), certificate.clone());
        let unprotected = Issuer::plain(bad.clone());
        for (issuer, jwks) in [(&secure, roots.secure(&secure)), (&unprotected, plain(&unprotected))] {
            let server = server(Jwks { time, ..jwks });
            assert_eq!(status(&server, &token("k1")), 503, "{bad:?}");
            issuer.conduct(Conduct::Offers(set(&["k1"])));
            eventually("the keys are fetched", || status(&server, &token("k1")) == 200);
        }
    }
}

#[test]
fn an_end_that_is_not_said_does_not_end_a_set_over_https() {
    let authority = Authority::new("ours");
    let roots = Roots::new("cut", &authority);
    let certificate = authority.certify("localhost", Term::Now);
    // To the end of the connection, which anybody on the way can bring about.
    const BODY: &str = "HTTP/1.1 200 OK\r\n\r\n{\"keys\":[]}";
    let issuer = Issuer::secure(Conduct::Breaks(BODY), certificate);
    let server = server(roots.secure(&issuer));
    assert_eq!(status(&server, &token("k1")), 503);
    issuer.conduct(Conduct::Answers(BODY.into()));
    eventually("the set, which has no key, is fetched", || status(&server, &token("k1")) == 401);
}

#[test]
fn tls_and_plain_http_are_not_taken_for_each_other() {
    let authority = Authority::new("ours");
    let roots = Roots::new("confusion", &authority);
    let unprotected = Issuer::plain(Conduct::Offers(set(&["k1"])));
    assert_eq!(status(&server(roots.secure(&unprotected)), &token("k1")), 503);
    let secure = Issuer::secure(Conduct::Offers(set(&["k1"])), authority.certify("localhost", Term::Now));
    assert_eq!(status(&server(plain(&secure)), &token("k1")), 503);
    assert_eq!((unprotected.asked(), secure.asked()), (0, 0));
}

#[test]
fn tokens_with_made_up_names_do_not_make_for_fetches() {
    let issuer = Issuer::plain(Conduct::Offers(set(&["k1"])));
    let server = server(Jwks { cooldown: HOUR, ..plain(&issuer) });
    assert_eq!(status(&server, &token("k1")), 200);
    let made_up: Vec<String> = (0..40).map(|i| token(&format!("made-up-{i}"))).collect();
    std::thread::scope(|scope| {
        for tokens in made_up.chunks(10) {
            let server = &server;
            scope.spawn(move || tokens.iter().for_each(|token| assert_eq!(status(server, token), 401)));
        }
    });
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn requests_that_wait_for_a_fetch_wait_for_the_same_one() {
    const MANY: usize = 20;
    let issuer = Issuer::plain(Conduct::Offers(set(&["k1"])));
    let server = server(plain(&issuer));
    assert_eq!(status(&server, &token("k1")), 200);
    // The first request may have asked for a fetch beside the one that every start begins with; it is over before this is.
    assert_eq!(status(&server, &token("unknown")), 401);
    let before = issuer.asked();
    issuer.conduct(Conduct::Stalls("HTTP/1.1 200 OK\r\n"));
    let read = || switchboard_testkit::prometheus::parse(&server.get("/metrics").text())["switchboard_requests_total"];
    let already = read();
    let shown = bearer(&token("k2"));
    let ask = |mut conn: switchboard_testkit::Conn| {
        conn.ask("GET", "/channels/a/x", &[("Authorization", &shown)], None);
        conn
    };
    let first = ask(server.connect());
    eventually("a fetch is under way", || issuer.asked() > before);
    let others: Vec<_> = (0..MANY).map(|_| ask(server.connect())).collect();
    eventually("all of them wait", || read() >= already + MANY as f64 + 2.0);
    issuer.conduct(Conduct::Offers(set(&["k2"])));
    issuer.hang_up();
    // The fetch that was under way brings nothing; the next is for all who have come since it began.
    for mut conn in others {
        conn.response_to("GET").expect(200);
    }
    let mut first = first;
    assert!(matches!(first.response_to("GET").status(), 200 | 401));
    assert_eq!(issuer.asked(), before + 2);
}

#[test]
fn as_long_as_there_are_no_keys_a_refusal_is_for_now() {
    let broken = Conduct::Answers("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into());
    let issuer = Issuer::plain(broken.clone());
    let server = server(plain(&issuer));
    let shown = bearer(&token("k1"));
    let refused = server.get_with("/channels/a/x", &[("Authorization", &shown)]).expect_problem(503, "overloaded");
    assert!(refused.field("retry-after").is_some());
    let mut sse = server.connect().sse("/channels/a/x", &[("Authorization", &shown)]);
    assert_eq!(sse.notice("$closing").json()["code"], "overloaded", "an EventSource is to come again");
    issuer.conduct(Conduct::Offers(set(&["k1"])));
    eventually("the keys are fetched", || status(&server, &token("k1")) == 200);
    issuer.conduct(broken);
    assert_eq!(status(&server, &token("unknown")), 401);
    assert_eq!(status(&server, &token("k1")), 200, "a set that cannot be fetched leaves the last in force");
}
