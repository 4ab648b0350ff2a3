use super::*;
use proptest::prelude::*;

const MAX: usize = 16 << 10;

fn read(text: &str) -> Result<Option<(Head, usize)>, Problem> {
    parse(text.as_bytes(), MAX)
}

fn head(text: &str) -> Head {
    read(text).unwrap().unwrap().0
}

fn status(text: &str) -> u16 {
    read(text).unwrap_err().code.row().http
}

#[test]
fn a_head_is_read_as_it_is_written() {
    let text = "\r\n\r\nPOST /a%2fb?x=%20&y HTTP/1.1\r\nHost: h:1\r\nX-One:\t v \r\nx-one: w\r\nEmpty:\r\n\
                Content-Length: 12\r\nExpect: 100-Continue\r\n\r\n";
    let (head, length) = read(&format!("{text}rest")).unwrap().unwrap();
    assert_eq!(length, text.len());
    assert_eq!((head.method.as_str(), head.path.as_str(), head.query.as_deref()), ("POST", "/a%2fb", Some("x=%20&y")));
    assert_eq!((head.version, head.host.as_deref()), (Version::HTTP_11, Some("h:1")));
    let ones: Vec<_> = head.headers.get_all("x-one").iter().collect();
    assert_eq!(ones, ["v", "w"]);
    assert_eq!(head.headers["empty"], "");
    assert_eq!(head.framing, Framing::Length(12));
    assert!(head.keep_alive && head.expect_continue);
}

#[test]
fn the_absolute_form_names_the_host() {
    let head = head("GET http://a:1/x?y HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_eq!((head.path.as_str(), head.query.as_deref(), head.host.as_deref()), ("/x", Some("y"), Some("a:1")));
    assert_eq!(status("GET http://a/ HTTP/1.1\r\n\r\n"), 400);
}

#[test]
fn http_1_0_needs_no_host_and_closes_unless_told() {
    let plain = head("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((plain.host, plain.keep_alive, plain.expect_continue), (None, false, false));
    assert!(head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert!(!head("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n").keep_alive);
    assert!(!head("GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n").keep_alive);
}

#[test]
fn bodies_are_framed_in_one_way_or_not_at_all() {
    use Framing::*;
    let cases: &[(&str, Result<Framing, u16>)] = &[
        ("", Ok(None)),
        ("Content-Length: 0", Ok(Length(0))),
        ("Content-Length: 5\r\nContent-Length: 5", Ok(Length(5))),
        ("Content-Length: 5, 5", Ok(Length(5))),
        ("Content-Length: 18446744073709551615", Ok(Length(u64::MAX))),
        ("Content-Length: 18446744073709551616", Err(400)),
        ("Content-Length: 5\r\nContent-Length: 6", Err(400)),
        ("Content-Length: 5, 05", Err(400)),
        ("Content-Length: 5,", Err(400)),
        ("Content-Length:", Err(400)),
        ("Content-Length: +5", Err(400)),
        ("Content-Length: -5", Err(400)),
        ("Content-Length: 0x5", Err(400)),
        ("Content-Length: 5 5", Err(400)),
        ("Transfer-Encoding: chunked", Ok(Chunked)),
        ("Transfer-Encoding: , CHUNKED ,", Ok(Chunked)),
        ("Transfer-Encoding: gzip, chunked", Err(501)),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", Err(501)),
        ("Transfer-Encoding: xchunked", Err(501)),
        ("Transfer-Encoding: identity", Err(501)),
        ("Transfer-Encoding: chunked;x=y", Err(501)),
        ("Transfer-Encoding:", Err(400)),
        ("Transfer-Encoding: chunked, gzip", Err(400)),
        ("Transfer-Encoding: chunked, chunked", Err(400)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(400)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Err(400)),
        ("Content-Length: 5\r\nTransfer-Encoding: gzip", Err(400)),
    ];
    for (fields, expected) in cases {
        let end = if fields.is_empty() { "" } else { "\r\n" };
        let outcome = read(&format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}{end}\r\n"));
        let outcome = outcome.map(|read| read.unwrap().0.framing).map_err(|problem| problem.code.row().http);
        assert_eq!(outcome, *expected, "{fields}");
    }
    assert_eq!(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /ü HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}", 400),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n", 417),
    ];
    for (text, expected) in cases {
        assert_eq!(status(text), expected, "{text:?}");
        // Byte by byte it ends in the same answer.
        let first = (1..=text.len()).find_map(|end| parse(&text.as_bytes()[..end], MAX).err());
        assert_eq!(first.unwrap().code.row().http, expected, "{text:?}");
    }
}

#[test]
fn a_head_that_is_too_large_is_refused_however_it_arrives() {
    let long = "x".repeat(100);
    let cases = [
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 431),
        (format!("\r\n\r\nGET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        ("\r\n".repeat(60), 431),
    ];
    for (text, expected) in cases {
        let last = (1..=text.len()).find_map(|end| parse(&text.as_bytes()[..end], 100).err());
        assert_eq!(last.unwrap().code.row().http, expected, "{text:?}");
        assert_eq!(parse(text.as_bytes(), 100).unwrap_err().code.row().http, expected, "{text:?}");
    }
    let many = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(status(&many(FIELDS_MAX)), 431);
    assert_eq!(head(&many(FIELDS_MAX - 1)).headers.len(), FIELDS_MAX);
    // Also where its version cannot be right and is not all there yet.
    let text = format!("GET /{} HTTP/3", "a".repeat(60));
    assert!(matches!(parse(text.as_bytes(), text.len() + 1), Ok(None)));
    assert_eq!(parse(text.as_bytes(), 60).unwrap_err().code, Code::HeadTooLarge);
}

fn same(a: &Head, b: &Head) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

proptest! {
    #[test]
    fn however_it_is_cut_a_head_is_the_same(
        method in "[A-Z]{1,7}",
        target in "/[a-z0-9%/]{0,20}(\\?[a-z=&]{0,10})?",
        fields in prop::collection::vec(("X-[A-Za-z]{1,10}", "[ -~]{0,20}"), 0..10),
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        prop_assume!(method != "CONNECT");
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        for end in 0..text.len() {
            prop_assert!(parse(&text.as_bytes()[..end], text.len()).unwrap().is_none());
        }
        let (whole, length) = parse(text.as_bytes(), text.len()).unwrap().unwrap();
        prop_assert_eq!(length, text.len());
        let (longer, length) = parse(&[text.as_bytes(), &rest].concat(), MAX).unwrap().unwrap();
        prop_assert_eq!(length, text.len());
        prop_assert!(same(&whole, &longer));
    }

    #[test]
    fn garbage_is_refused_or_waited_for(bytes in prop::collection::vec(any::<u8>(), 0..200), max in 0..300usize) {
        let _ = parse(&bytes, max);
    }

    #[test]
    fn near_misses_are_refused_or_waited_for(text in "(GET|\\PC|\r\n){0,2} ?(/|\\*|http://)?\\PC{0,5} HTTP/[0-2]\\.[0-2]\r?\n(Host|Content-Length|Transfer-Encoding|\\PC{0,3}):? ?\\PC{0,9}\r?\n\r?\n") {
        let _ = parse(text.as_bytes(), MAX);
    }
}
