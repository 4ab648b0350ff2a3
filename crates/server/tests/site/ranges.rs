//! Parts of files (RFC 9110 section 14).

use super::{Files, get, numbered};
use switchboard_testkit::{Conn, Field};

/// A file of 1000 bytes, and one of none.
fn files() -> (Files, Vec<u8>) {
    let files = Files::new();
    let content = numbered(1000);
    files.write("a.bin", &content);
    files.write("long.bin", numbered(300_000));
    files.write("empty.txt", "");
    (files, content)
}

#[track_caller]
fn part(conn: &mut Conn, range: &str, more: &[Field<'_>]) -> (u16, String, Vec<u8>) {
    let fields: Vec<Field<'_>> = [("Range", range)].into_iter().chain(more.iter().copied()).collect();
    let response = get(conn, "/a.bin", &fields);
    let range = response.field("content-range").unwrap_or_default().to_owned();
    (response.status(), range, response.body)
}

#[test]
fn one_range_is_given_as_a_part() {
    let (files, content) = files();
    let server = files.serve();
    let mut conn = server.connect();
    for (range, first, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=500-", 500, 1000),
        ("bytes=-1", 999, 1000),
        ("bytes=-5000", 0, 1000),
        ("bytes=900-5000", 900, 1000),
        ("BYTES=1-2", 1, 3),
    ] {
        let expected = (206, format!("bytes {first}-{}/1000", end - 1), content[first..end].to_vec());
        assert_eq!(part(&mut conn, range, &[]), expected, "{range}");
    }
    // Of a file that is sent in pieces as well, across the seams of these.
    let fields = [("Range", "bytes=65000-265999")];
    let response = get(&mut conn, "/long.bin", &fields).expect(206);
    assert_eq!(response.body, numbered(300_000)[65_000..266_000]);
    assert_eq!(response.field("content-range"), Some("bytes 65000-265999/300000"));
}

#[test]
fn beyond_the_end_there_is_nothing_and_the_length_is_told() {
    let (files, _) = files();
    let server = files.serve();
    let mut conn = server.connect();
    for range in ["bytes=1000-", "bytes=1000-2000", "bytes=99999999999999999999-", "bytes=-0"] {
        assert_eq!(part(&mut conn, range, &[]), (416, "bytes */1000".to_owned(), Vec::new()), "{range}");
    }
}

#[test]
fn what_is_no_range_or_several_gets_the_whole() {
    let (files, content) = files();
    let server = files.serve();
    let mut conn = server.connect();
    for range in ["bytes=0-0,5-6", "bytes=5-2", "bytes=x-", "items=0-1", "bytes", "bytes=0-1-2"] {
        assert_eq!(part(&mut conn, range, &[]), (200, String::new(), content.clone()), "{range}");
    }
    let empty = get(&mut conn, "/empty.txt", &[("Range", "bytes=0-")]).expect(200);
    assert!(empty.body.is_empty() && empty.field("content-range").is_none());
    let head = conn.request("HEAD", "/a.bin", &[("Range", "bytes=0-0")], None).expect(200);
    assert_eq!(head.field("content-length"), Some("1000"));
}

#[test]
fn a_part_is_given_only_of_the_file_that_the_client_has_the_rest_of() {
    let (files, content) = files();
    files.write("a.bin.gz", "gzip");
    let server = files.serve();
    let mut conn = server.connect();
    let response = conn.get("/a.bin").expect(200);
    let (tag, date) = (response.field("etag").unwrap().to_owned(), response.field("last-modified").unwrap().to_owned());
    assert_eq!(part(&mut conn, "bytes=0-4", &[("If-Range", &tag)]).2, content[..5]);
    let weak = format!("W/{tag}");
    // A date never holds: a file may change twice within its second.
    for other in ["\"x\"", &weak, &date] {
        assert_eq!(
            part(&mut conn, "bytes=0-4", &[("If-Range", other)]),
            (200, String::new(), content.clone()),
            "{other}"
        );
    }
    // Neither does the tag of another coding.
    let fields = [("Accept-Encoding", "gzip"), ("Range", "bytes=0-1"), ("If-Range", tag.as_str())];
    assert_eq!(get(&mut conn, "/a.bin", &fields).expect(200).text(), "gzip");
    let fields = [("Range", "bytes=0-1"), ("If-None-Match", tag.as_str())];
    get(&mut conn, "/a.bin", &fields).expect(304);
    let fields = [("Range", "bytes=0-1"), ("If-Match", "\"x\"")];
    get(&mut conn, "/a.bin", &fields).expect(412);
}
