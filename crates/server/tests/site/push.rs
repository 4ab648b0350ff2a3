//! What a page needs is told before it, once.

use super::{Files, get};
use switchboard::site::{Hints, PushRule};
use switchboard_testkit::{Conn, Field, Head, Response, Server};

/// A browser that opens a page.
const BROWSER: Field<'static> = ("Sec-Fetch-Mode", "navigate");
const LINKS: [&str; 2] = ["</style.css>; rel=preload; as=style", "</app.js>; rel=preload; as=script"];

fn files() -> Files {
    let files = Files::new();
    for name in ["index.html", "other.html", "style.css", "app.js"] {
        files.write(name, "x");
    }
    files
}

fn serve(files: &Files, hints: Hints) -> Server {
    files.serve_as(|site| {
        let rule = |page: &str, files: &[&str]| PushRule {
            page: page.into(),
            files: files.iter().map(|f| (*f).into()).collect(),
        };
        site.push = vec![rule("/", &["/style.css", "/app.js"]), rule("/other.html", &["/style.css"])];
        site.hints = hints;
    })
}

/// Asks, and tells the hints that came before the answer as well.
#[track_caller]
fn open(conn: &mut Conn, target: &str, fields: &[Field<'_>]) -> (Option<Head>, Response) {
    conn.ask("GET", target, fields, None);
    let head = conn.head();
    if head.status == 103 {
        return (Some(head), conn.response_to("GET"));
    }
    let length = head.field("content-length").unwrap_or("0").parse().unwrap();
    let body = conn.take(length).unwrap();
    (None, Response { head, body })
}

/// What a browser sends back of a cookie.
fn kept(response: &Response) -> String {
    response.field("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn a_browser_is_told_on_its_first_visit_and_not_on_its_second() {
    let files = files();
    let server = serve(&files, Hints::Browsers);
    let mut conn = server.connect();
    let (early, first) = open(&mut conn, "/", &[BROWSER]);
    let early = early.expect("103 Early Hints");
    assert_eq!(early.all("link"), LINKS);
    assert_eq!(early.fields.len(), 2, "{}", early.raw);
    assert_eq!((first.status(), first.head.all("link")), (200, LINKS.to_vec()));
    assert_eq!(first.field("cache-control"), Some("private, no-cache"));
    let cookie = first.field("set-cookie").unwrap().to_owned();
    for attribute in ["Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=2592000"] {
        assert!(cookie.split("; ").any(|each| each == attribute), "{cookie}");
    }
    let cookie = kept(&first);
    let fields = [BROWSER, ("Cookie", cookie.as_str())];
    let (early, second) = open(&mut conn, "/", &fields);
    assert!(early.is_none() && second.field("link").is_none() && second.field("set-cookie").is_none());
    assert_eq!((second.status(), second.field("cache-control")), (200, Some("no-cache")));
    // Another page needs only what the browser has.
    assert!(open(&mut conn, "/other.html", &fields).0.is_none());
    // What changed is told again, alone.
    files.write("app.js", "another");
    let (early, third) = open(&mut conn, "/", &fields);
    assert_eq!(early.unwrap().all("link"), LINKS[1..]);
    let cookie = kept(&third);
    assert!(open(&mut conn, "/", &[BROWSER, ("Cookie", &cookie)]).0.is_none());
}

#[test]
fn only_who_is_known_to_take_hints_gets_them() {
    let files = files();
    let server = serve(&files, Hints::Browsers);
    let mut conn = server.connect();
    for fields in [
        vec![],
        vec![("Sec-Fetch-Mode", "no-cors")],
        vec![BROWSER, ("Via", "1.1 proxy")],
        vec![BROWSER, ("X-Forwarded-For", "192.0.2.1")],
        vec![BROWSER, ("Forwarded", "for=192.0.2.1")],
    ] {
        let (early, response) = open(&mut conn, "/", &fields);
        assert!(early.is_none(), "{fields:?}");
        // The answer itself says it to everyone.
        assert_eq!(response.head.all("link"), LINKS, "{fields:?}");
    }
    assert!(open(&mut conn, "/style.css", &[BROWSER]).0.is_none());
    conn.request("HEAD", "/", &[BROWSER], None).expect(200);
    let mut old = server.connect();
    old.send("GET / HTTP/1.0\r\nHost: localhost\r\nSec-Fetch-Mode: navigate\r\n\r\n");
    old.response_to("GET").expect(200);
    let all = serve(&files, Hints::All);
    assert!(open(&mut all.connect(), "/", &[]).0.is_some());
    let mut old = all.connect();
    old.send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
    old.response_to("GET").expect(200);
    let off = serve(&files, Hints::Off);
    assert!(open(&mut off.connect(), "/", &[BROWSER]).0.is_none());
}

#[test]
fn hints_come_before_whatever_the_answer_is_and_the_connection_goes_on() {
    let files = files();
    let server = serve(&files, Hints::Browsers);
    let mut conn = server.connect();
    let tag = conn.get("/").expect(200).field("etag").unwrap().to_owned();
    let (early, unchanged) = open(&mut conn, "/", &[BROWSER, ("If-None-Match", &tag)]);
    assert_eq!((early.unwrap().all("link").len(), unchanged.status()), (2, 304));
    // A file that is gone is not told of, and a page that is gone needs nothing.
    std::fs::remove_file(files.site().join("app.js")).unwrap();
    assert_eq!(open(&mut conn, "/", &[BROWSER]).0.unwrap().all("link"), LINKS[..1]);
    std::fs::remove_file(files.site().join("index.html")).unwrap();
    let (early, gone) = open(&mut conn, "/", &[BROWSER]);
    assert!(early.is_none() && gone.status() == 404);
    get(&mut conn, "/style.css", &[]).expect(200);
}

#[test]
fn over_tls_the_digest_is_kept_for_tls_alone() {
    let files = files();
    let mut config = switchboard_testkit::config();
    let mut settings = files.settings();
    settings.push = vec![PushRule { page: "/".into(), files: vec!["/style.css".into()] }];
    config.site = Some(settings);
    let server = Server::secure(config, &switchboard_testkit::tls::VERSIONS);
    let response = server.connect().get("/").expect(200);
    let cookie = response.field("set-cookie").unwrap();
    assert!(cookie.ends_with("; Secure"), "{cookie}");
}

#[test]
fn what_cannot_be_pushed_stops_the_start() {
    let files = files();
    let mut config = switchboard_testkit::config();
    let mut settings = files.settings();
    settings.push = vec![PushRule { page: "/".into(), files: vec!["/channels/news".into(), "/none.css".into()] }];
    config.site = Some(settings);
    let error = switchboard::start(config).unwrap_err().to_string();
    assert!(error.contains("`/channels/news` cannot be pushed") && error.contains("no file `none.css`"), "{error}");
}
