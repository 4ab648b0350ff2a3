//! Which paths are served, and that none leads out.

use super::Files;
use std::os::unix::fs::symlink;
use switchboard::site::Symlinks;
use switchboard_testkit::{Server, config};

/// A site with a secret beside it and hidden files in it.
fn files() -> Files {
    let files = Files::new();
    std::fs::write(files.0.join("secret"), "secret").unwrap();
    files.write("a.txt", "a");
    files.write("sub/b.txt", "b");
    files.write(".env", "secret");
    files.write(".git/config", "secret");
    files.write("sub/.hidden", "secret");
    files.write(".well-known/security.txt", "Contact: x");
    files.write("%2e%2e", "a name like any other");
    files.write("api/channels", "never");
    files.write("channels/x", "never");
    symlink("../secret", files.site().join("out")).unwrap();
    symlink(files.0.join("secret"), files.site().join("absolute")).unwrap();
    symlink("..", files.site().join("up")).unwrap();
    symlink("sub/b.txt", files.site().join("within")).unwrap();
    files
}

const OUT: [&str; 33] = [
    "/../secret",
    "/sub/../../secret",
    "/%2e%2e/secret",
    "/%2e./secret",
    "/.%2E/secret",
    "/..%2fsecret",
    "/%2e%2e%2fsecret",
    "/sub/..%2f..%2fsecret",
    "/..%5csecret",
    "/..\\secret",
    "/sub\\..\\..\\secret",
    "/%252e%252e/secret",
    "/%252e%252e%252fsecret",
    "/%c0%ae%c0%ae/secret",
    "/..;/secret",
    "/./../secret",
    "//secret",
    "/sub//b.txt",
    "/./a.txt",
    "/sub/../a.txt",
    "/a.txt%00",
    "/a.txt%00.html",
    "/%00",
    "/a.txt%0d%0a",
    "/.env",
    "/%2eenv",
    "/.git/config",
    "/sub/.hidden",
    "/sub/.well-known/x",
    "/out",
    "/absolute",
    "/up/secret",
    "/up/site/a.txt",
];

#[test]
fn no_path_leads_out_or_to_what_is_hidden() {
    let files = files();
    let server = files.serve();
    let mut conn = server.connect();
    for path in OUT {
        let response = conn.get(path).expect(404);
        assert!(!response.text().contains("secret") || response.json()["code"] == "not_found", "{path}: {response}");
        conn.request("HEAD", path, &[], None).expect(404);
    }
    for absolute in ["http://localhost/../secret", "http://localhost/%2e%2e/secret"] {
        conn.get(absolute).expect(404);
    }
    for (path, content) in [
        ("/a.txt", "a"),
        ("/within", "b"),
        ("/.well-known/security.txt", "Contact: x"),
        ("/%252e%252e", "a name like any other"),
        ("/%61.txt", "a"),
    ] {
        assert_eq!(conn.get(path).expect(200).text(), content, "{path}");
    }
}

#[test]
fn links_that_lead_out_are_followed_where_that_is_said() {
    let files = files();
    let server = files.serve_as(|site| site.symlinks = Symlinks::Anywhere);
    let mut conn = server.connect();
    for path in ["/out", "/absolute", "/up/secret"] {
        assert_eq!(conn.get(path).expect(200).text(), "secret", "{path}");
    }
    for path in ["/../secret", "/%2e%2e/secret", "/.env"] {
        conn.get(path).expect(404);
    }
}

#[test]
fn the_servers_own_paths_are_answered_by_the_server() {
    let files = files();
    files.write("index.html", "the site");
    let server = files.serve();
    server.publish("x", "event");
    let mut conn = server.connect();
    assert_eq!(conn.get("/channels/x").expect(200).json()["events"][0]["data"], "event");
    assert!(conn.get("/api/channels").expect(200).json()["channels"].is_array());
    conn.get("/healthz").expect(200);
    conn.get("/readyz").expect(200);
    assert!(conn.get("/metrics").expect(200).text().contains("switchboard_"));
    for other in ["/%61pi/channels", "/ap%69/channels", "/channels%2Fx"] {
        conn.get(other).expect(404);
    }
    assert_eq!(conn.get("/").expect(200).text(), "the site");
    // The console makes room.
    assert!(conn.get("/console").expect(200).text().contains("Switchboard"));
    conn.get("/console/page.js").expect(200);
}

#[test]
fn below_a_prefix_all_else_stays_as_it_is() {
    let files = files();
    files.write("index.html", "the site");
    let server = files.serve_as(|site| site.prefix = "/app/v1/".into());
    let mut conn = server.connect();
    assert_eq!(conn.get("/app/v1/").expect(200).text(), "the site");
    assert_eq!(conn.get("/app/v1/sub/b.txt").expect(200).text(), "b");
    // Its own names are free there.
    assert_eq!(conn.get("/app/v1/api/channels").expect(200).text(), "never");
    for (path, to) in [("/app/v1", "/app/v1/"), ("/app/v1?x=1", "/app/v1/?x=1"), ("/app/v1/sub", "/app/v1/sub/")] {
        assert_eq!(conn.get(path).expect(307).field("location"), Some(to), "{path}");
    }
    for path in ["/app/v1/../secret", "/app/v1/%2e%2e/secret", "/app/v1/.env", "/app/v1x", "/app/a.txt", "/a.txt"] {
        conn.get(path).expect(404);
    }
    assert!(conn.get("/").expect(200).text().contains("Switchboard"), "the console");
}

#[test]
fn a_site_that_cannot_be_served_stops_the_start() {
    let files = Files::new();
    let mut config = config();
    config.site = Some(switchboard::site::Settings::new(files.0.join("none")));
    let error = switchboard::start(config).unwrap_err().to_string();
    assert!(error.contains("there is no such directory"), "{error}");
}

#[test]
fn strangers_are_kept_out_of_open_mode_here_too() {
    let files = files();
    let server: Server = files.serve();
    let mut conn = server.connect();
    super::get(&mut conn, "/a.txt", &[("Origin", "https://example.com")]).expect(403);
    conn.send("GET /a.txt HTTP/1.1\r\nHost: example.com\r\n\r\n");
    conn.response_to("GET").expect(421);
}
