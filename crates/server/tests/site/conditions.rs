//! Conditional requests (RFC 9110 section 13).

use super::{Files, age, get};

#[test]
fn who_has_a_file_is_told_that_it_is_unchanged() {
    let files = Files::new();
    age(&files.write("a.txt", "content"), 100);
    let server = files.serve();
    let mut conn = server.connect();
    let first = conn.get("/a.txt").expect(200);
    let (tag, date) = (first.field("etag").unwrap().to_owned(), first.field("last-modified").unwrap().to_owned());
    let weak = format!("W/{tag}");
    let listed = format!("\"x\", {tag}");
    for fields in [
        vec![("If-None-Match", tag.as_str())],
        vec![("If-None-Match", &weak)],
        vec![("If-None-Match", &listed)],
        vec![("If-None-Match", "\"x\""), ("If-None-Match", &tag)],
        vec![("If-None-Match", "*")],
        vec![("If-Modified-Since", &date)],
        // The tag counts, and not the date.
        vec![("If-None-Match", &tag), ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")],
    ] {
        for method in ["GET", "HEAD"] {
            let response = conn.request(method, "/a.txt", &fields, None).expect(304);
            assert_eq!((response.field("etag"), response.field("cache-control")), (Some(&*tag), Some("no-cache")));
            assert!(response.body.is_empty() && response.field("content-type").is_none(), "{fields:?}");
        }
    }
    for fields in [
        vec![("If-None-Match", "\"x\"")],
        vec![("If-None-Match", "\"x\""), ("If-Modified-Since", &date)],
        vec![("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")],
        vec![("If-Modified-Since", "never")],
        vec![("If-Match", tag.as_str())],
        vec![("If-Match", "*")],
        vec![("If-Unmodified-Since", &date)],
    ] {
        assert_eq!(get(&mut conn, "/a.txt", &fields).expect(200).text(), "content", "{fields:?}");
    }
    for fields in [
        vec![("If-Match", "\"x\"")],
        vec![("If-Match", weak.as_str())],
        vec![("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")],
    ] {
        assert!(get(&mut conn, "/a.txt", &fields).expect(412).body.is_empty(), "{fields:?}");
    }
}
