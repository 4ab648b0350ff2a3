//! What a file is served as.

use super::{Files, age, get, numbered};
use http::HeaderValue;
use switchboard::site::CacheRule;
use switchboard_testkit::http2::setting;
use switchboard_testkit::{Http2, Server, config, eventually};

#[test]
fn a_file_is_served_with_what_there_is_to_know_of_it() {
    let files = Files::new();
    files.write("index.html", "<!doctype html><title>Ä</title>");
    files.write("style.css", "a {}");
    files.write("app.3f2a9c1b.js", "1");
    files.write("font.woff2", "font");
    files.write("data.bin", [0, 255]);
    files.write("empty.txt", "");
    files.write("with space é.txt", "name");
    let server = files.serve();
    let mut conn = server.connect();
    for (path, media, control, length) in [
        ("/", "text/html; charset=utf-8", "no-cache", "32"),
        ("/index.html", "text/html; charset=utf-8", "no-cache", "32"),
        ("/style.css", "text/css; charset=utf-8", "no-cache", "4"),
        ("/app.3f2a9c1b.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "1"),
        ("/font.woff2", "font/woff2", "no-cache", "4"),
        ("/data.bin", "application/octet-stream", "no-cache", "2"),
        ("/empty.txt", "text/plain; charset=utf-8", "no-cache", "0"),
        ("/with%20space%20%C3%A9.txt?v=3&broken=%zz", "text/plain; charset=utf-8", "no-cache", "4"),
    ] {
        let response = conn.get(path).expect(200);
        let field = |name| response.field(name).unwrap_or_default();
        assert_eq!((field("content-type"), field("cache-control")), (media, control), "{path}");
        assert_eq!((field("content-length"), field("accept-ranges")), (length, "bytes"), "{path}");
        assert_eq!((field("x-content-type-options"), field("vary")), ("nosniff", "Accept-Encoding"), "{path}");
        let tag = field("etag");
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "a strong tag: {tag}");
        assert!(field("last-modified").ends_with(" GMT"), "{path}");
        // HEAD says the same and sends nothing.
        let head = conn.request("HEAD", path, &[], None).expect(200);
        for name in ["content-type", "content-length", "etag", "cache-control", "last-modified"] {
            assert_eq!(head.field(name), response.field(name), "{path} {name}");
        }
    }
}

#[test]
fn nobody_is_shown_a_file_by_another_origin_nor_a_directory() {
    let files = Files::new();
    files.write("a.css", "a {}");
    files.write("docs/index.html", "docs");
    files.write("bare/x.txt", "x");
    let server = files.serve();
    let mut conn = server.connect();
    let from_page = get(&mut conn, "/a.css", &[("Origin", "http://localhost:1")]).expect(200);
    assert_eq!(from_page.field("access-control-allow-origin"), None);
    for (path, to) in [("/docs", "/docs/"), ("/docs?a=b&c", "/docs/?a=b&c")] {
        assert_eq!(conn.get(path).expect(307).field("location"), Some(to));
    }
    assert_eq!(conn.get("/docs/").expect(200).text(), "docs");
    for nothing in ["/bare/", "/", "/none", "/a.css/", "/a.css/x"] {
        let response = conn.get(nothing).expect(404);
        assert_eq!(response.json()["code"], "not_found", "{nothing}");
    }
    conn.get("/bare/x.txt").expect(200);
}

#[test]
fn other_methods_are_told_which_there_are() {
    let files = Files::new();
    files.write("a.css", "a {}");
    let server = files.serve();
    let mut conn = server.connect();
    for (method, status) in [("POST", 405), ("DELETE", 405), ("PUT", 405), ("OPTIONS", 204)] {
        let response = conn.request(method, "/a.css", &[], None).expect(status);
        assert_eq!(response.field("allow"), Some("GET, HEAD, OPTIONS"), "{method}");
    }
}

#[test]
fn a_coding_that_the_client_takes_is_sent_if_it_lies_beside_the_file() {
    let files = Files::new();
    for (name, content) in [
        ("a.js", "plain"),
        ("a.js.br", "brotli"),
        ("a.js.gz", "gzip"),
        ("a.js.zst", "zstd"),
        ("b.js", "plain"),
        ("b.js.gz", "gzip"),
        ("index.html", "plain"),
        ("index.html.br", "brotli"),
    ] {
        files.write(name, content);
    }
    let server = files.serve();
    let mut conn = server.connect();
    let mut tags = Vec::new();
    for (path, accept, coding, content) in [
        ("/a.js", "", None, "plain"),
        ("/a.js", "gzip, deflate, br, zstd", Some("zstd"), "zstd"),
        ("/a.js", "gzip, br", Some("br"), "brotli"),
        ("/a.js", "gzip;q=1.0, br;q=0.5", Some("gzip"), "gzip"),
        ("/a.js", "zstd", Some("zstd"), "zstd"),
        ("/a.js", "br;q=0, gzip;q=0", None, "plain"),
        ("/b.js", "br, gzip", Some("gzip"), "gzip"),
        ("/b.js", "br", None, "plain"),
        ("/", "br", Some("br"), "brotli"),
    ] {
        let response = get(&mut conn, path, &[("Accept-Encoding", accept)]).expect(200);
        assert_eq!(
            (response.field("content-encoding"), response.text().as_str()),
            (coding, content),
            "{path} {accept}"
        );
        let media = if path == "/" { "text/html; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        assert_eq!((response.field("content-type"), response.field("vary")), (Some(media), Some("Accept-Encoding")));
        if path == "/a.js" {
            tags.push((content, response.field("etag").unwrap().to_owned()));
        }
    }
    // A coding is another representation, with a tag of its own.
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4, "{tags:?}");
    assert_eq!(tags.iter().map(|(_, tag)| tag).collect::<std::collections::HashSet<_>>().len(), 4, "{tags:?}");
    let gzip = &tags.iter().find(|(content, _)| *content == "gzip").unwrap().1;
    let accept = ("Accept-Encoding", "gzip");
    let unchanged = get(&mut conn, "/a.js", &[accept, ("If-None-Match", gzip)]).expect(304);
    assert_eq!(unchanged.field("vary"), Some("Accept-Encoding"));
    get(&mut conn, "/a.js", &[("If-None-Match", gzip)]).expect(200);
}

#[test]
fn how_long_a_copy_lasts_is_said_by_pattern_and_the_first_counts() {
    let files = Files::new();
    for name in ["assets/x.js", "assets/y.css", "index.html"] {
        files.write(name, "x");
    }
    let rule =
        |path: &str, control| CacheRule { path: path.parse().unwrap(), control: HeaderValue::from_static(control) };
    let server = files.serve_as(|site| {
        site.cache = vec![rule("/**/*.css", "max-age=1"), rule("/assets/**", "max-age=2"), rule("/", "no-store")];
    });
    let mut conn = server.connect();
    for (path, control) in
        [("/assets/x.js", "max-age=2"), ("/assets/y.css", "max-age=1"), ("/", "no-store"), ("/index.html", "no-cache")]
    {
        assert_eq!(conn.get(path).expect(200).field("cache-control"), Some(control), "{path}");
    }
}

#[test]
fn a_file_that_is_replaced_is_served_anew_and_one_that_is_gone_is_not() {
    let files = Files::new();
    let path = files.write("a.txt", "old");
    age(&path, 100);
    let server = files.serve();
    let mut conn = server.connect();
    let old = conn.get("/a.txt").expect(200);
    files.write("a.txt", "new");
    let tag = old.field("etag").unwrap().to_owned();
    let new = get(&mut conn, "/a.txt", &[("If-None-Match", &tag)]).expect(200);
    assert_eq!(new.text(), "new");
    std::fs::remove_file(&path).unwrap();
    conn.get("/a.txt").expect(404);
    // A release beside the old one, put in its place.
    std::fs::rename(files.site(), files.0.join("before")).unwrap();
    std::fs::create_dir(files.0.join("after")).unwrap();
    std::fs::write(files.0.join("after/a.txt"), "after").unwrap();
    std::os::unix::fs::symlink("after", files.site()).unwrap();
    assert_eq!(conn.get("/a.txt").expect(200).text(), "after");
}

#[test]
fn what_is_counted_is_shown() {
    let files = Files::new();
    files.write("a.css", "a {}");
    let server = files.serve();
    let mut conn = server.connect();
    conn.get("/a.css").expect(200);
    conn.get("/none.css").expect(404);
    let metrics = conn.get("/metrics").expect(200).text();
    for line in
        ["switchboard_site_answered_total 1", "switchboard_site_transfers 0", "switchboard_site_transfers_limit 256"]
    {
        assert!(metrics.lines().any(|each| each == line), "{line}\n{metrics}");
    }
    let none = Server::new();
    assert_eq!(none.connect().get("/a.css").expect(404).json()["code"], "not_found");
}

#[test]
fn files_that_nobody_takes_take_no_more_than_may_be_on_its_way() {
    let files = Files::new();
    files.write("short.bin", numbered(60_000));
    let mut config = config();
    config.site = Some(files.settings());
    config.transit = 1 << 20;
    let server = Server::start(config);
    let mut client = Http2::open_with(server.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
    let streams = || (0..10).map(|n| 2 * n + 1);
    streams().for_each(|stream| client.ask(stream, "GET", "/short.bin", &[], None));
    let statuses: Vec<u16> = streams().map(|stream| client.head(stream).status).collect();
    // A quarter of that is what may leave, and of each file 16 KiB do not count.
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), (1 << 18) / (60_000 - (16 << 10)));
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 4);
    client.cut();
    let metrics = || server.connect().get("/metrics").expect(200).text();
    eventually("they are let go", || metrics().contains("\nswitchboard_transit_bytes 0\n"));
    server.connect().get("/short.bin").expect(200);
}
