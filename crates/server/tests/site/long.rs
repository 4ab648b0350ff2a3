//! Files that are too long to be read as a whole.

use super::{Files, age, get, numbered};
use std::io::Write;
use switchboard::site::Settings;
use switchboard_testkit::{Conn, Server, config, eventually};

/// More than sockets hold between a server and a client that does not read.
const LONG: usize = 16 << 20;

/// Asks for a file and reads no more than the head of the answer, and some of the body.
fn begin(server: &Server, target: &str) -> (Conn, usize) {
    let mut conn = server.connect();
    conn.ask("GET", target, &[], None);
    let head = conn.head();
    assert_eq!(head.status, 200);
    let length = head.field("content-length").unwrap().parse().unwrap();
    (conn, length)
}

#[test]
fn a_long_file_arrives_whole_and_the_connection_goes_on() {
    let files = Files::new();
    let content = numbered(LONG);
    files.write("long.bin", &content);
    let server = files.serve();
    let mut conn = server.connect();
    for _ in 0..2 {
        let response = conn.get("/long.bin").expect(200);
        assert!(response.body == content, "the bytes are the file's");
    }
    assert_eq!(conn.request("HEAD", "/long.bin", &[], None).expect(200).field("content-length"), Some("16777216"));
    conn.get("/healthz").expect(200);
}

#[test]
fn a_slow_reader_gets_it_all_and_delays_nobody() {
    let files = Files::new();
    let content = numbered(LONG);
    files.write("long.bin", &content);
    let mut config = config();
    config.site = Some(files.settings());
    // However long the others take, who is slow is not given up on meanwhile.
    config.timeouts.body = std::time::Duration::from_secs(600);
    let server = Server::start(config);
    let (mut slow, length) = begin(&server, "/long.bin");
    for _ in 0..3 {
        server.connect().get("/healthz").expect(200);
        assert_eq!(server.connect().get("/long.bin").expect(200).body.len(), LONG);
    }
    assert!(slow.take(length).unwrap() == content);
}

#[test]
fn a_reader_that_takes_nothing_is_given_up_on() {
    let files = Files::new();
    files.write("long.bin", numbered(LONG));
    let mut config = config();
    config.site = Some(files.settings());
    config.timeouts.body = std::time::Duration::from_millis(200);
    let server = Server::start(config);
    let (mut conn, length) = begin(&server, "/long.bin");
    // Everything else that the server holds goes with the connection.
    eventually("the file is let go", || transfers(&server) == 0);
    let taken = conn.take_all();
    assert!(taken.len() < length, "{} of {length} bytes", taken.len());
}

#[track_caller]
fn transfers(server: &Server) -> u64 {
    let metrics = server.connect().get("/metrics").expect(200).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("switchboard_site_transfers ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn so_many_long_files_are_sent_at_once_and_no_more() {
    let files = Files::new();
    files.write("long.bin", numbered(LONG));
    files.write("short.txt", "short");
    let server = files.serve_as(|site| site.transfers = 2);
    let held = [begin(&server, "/long.bin").0, begin(&server, "/long.bin").0];
    let mut conn = server.connect();
    let refused = conn.get("/long.bin").expect(503);
    assert!(refused.field("retry-after").is_some() && refused.json()["code"] == "overloaded");
    conn.get("/short.txt").expect(200);
    conn.request("HEAD", "/long.bin", &[], None).expect(200);
    get(&mut conn, "/long.bin", &[("Range", "bytes=0-9")]).expect(206);
    held.into_iter().for_each(Conn::cut);
    eventually("their places are free", || transfers(&server) == 0);
    conn.get("/long.bin").expect(200);
}

#[test]
fn one_address_is_sent_half_of_the_long_files_at_most() {
    let files = Files::new();
    files.write("long.bin", numbered(LONG));
    let mut config = config();
    config.site = Some(Settings { transfers: 3, ..files.settings() });
    config.limits.address = Some(100);
    config.proxies.addresses = vec!["127.0.0.1".parse().unwrap()];
    let server = Server::start(config);
    let ask = |from: &str| {
        let mut conn = server.connect();
        conn.ask("GET", "/long.bin", &[("X-Forwarded-For", from)], None);
        conn
    };
    let begun = |from: &str| {
        let mut conn = ask(from);
        assert_eq!(conn.head().status, 200);
        conn
    };
    let held = [begun("192.0.2.1"), begun("192.0.2.1")];
    let mut refused = ask("192.0.2.1");
    refused.response_to("GET").expect_problem(429, "too_many");
    let _other = begun("192.0.2.2");
    ask("192.0.2.2").response_to("GET").expect_problem(503, "overloaded");
    held.into_iter().for_each(Conn::cut);
    eventually("their places are free", || transfers(&server) == 1);
    begun("192.0.2.1");
    let metrics = server.connect().get("/metrics").expect(200).text();
    assert!(metrics.contains("\nswitchboard_site_refused_total 2\n"), "{metrics}");
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_sent_as_it_was() {
    let files = Files::new();
    let content = numbered(LONG);
    let path = files.write("long.bin", &content);
    let server = files.serve();
    let (mut conn, length) = begin(&server, "/long.bin");
    let other = files.write("other", vec![b'x'; LONG]);
    std::fs::rename(other, path).unwrap();
    assert!(conn.take(length).unwrap() == content);
    assert!(server.connect().get("/long.bin").expect(200).body.iter().all(|b| *b == b'x'));
}

#[test]
fn one_that_is_written_to_or_cut_meanwhile_is_broken_off_and_never_mixed() {
    for cut in [false, true] {
        let files = Files::new();
        let content = numbered(LONG);
        let path = files.write("long.bin", &content);
        age(&path, 100);
        let server = files.serve();
        let (mut conn, length) = begin(&server, "/long.bin");
        let mut file = std::fs::File::options().write(true).open(&path).unwrap();
        match cut {
            true => file.set_len(10).unwrap(),
            false => file.write_all(&vec![b'x'; LONG]).unwrap(),
        }
        let taken = conn.take_all();
        assert!(taken.len() < length, "cut: {cut}");
        assert!(taken[..] == content[..taken.len()], "what was sent is of one file");
    }
}
