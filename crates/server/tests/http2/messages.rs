//! Section 8: requests and answers.

use crate::{connect, goes_on, is_malformed, resets};
use switchboard_testkit::http2::{Ended, data, error, fields, headers, rst_stream};
use switchboard_testkit::{Field, Server, json};

#[test]
fn s8_2_1_field_names_are_in_lower_case_and_hold_no_odd_bytes() {
    let server = Server::new();
    for name in ["X-Test", "x test", "x:test", "x\ttest", "", "x\u{e9}"] {
        is_malformed(&server, &fields("GET", "/healthz", &[(name, "1")]));
    }
}

#[test]
fn s8_2_1_field_values_hold_no_line_breaks() {
    let server = Server::new();
    for value in ["a\r\nb", "a\nb", "a\rb", "a\0b"] {
        is_malformed(&server, &fields("GET", "/healthz", &[("x-test", value)]));
    }
}

#[test]
fn s8_2_2_fields_of_connections_are_malformed() {
    let server = Server::new();
    for (name, value) in [
        ("connection", "keep-alive"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        is_malformed(&server, &fields("GET", "/healthz", &[(name, value)]));
    }
    connect(&server).request(1, "GET", "/healthz", &[("te", "trailers")]).expect(200);
}

#[test]
fn s8_3_pseudo_fields_come_first_once_and_are_known() {
    let server = Server::new();
    let whole = fields("GET", "/healthz", &[]);
    let late = [&whole[..3], &[("x-test", "1")], &whole[3..]].concat();
    is_malformed(&server, &late);
    for doubled in &whole {
        is_malformed(&server, &[&whole[..], &[*doubled]].concat());
    }
    is_malformed(&server, &[&[(":unknown", "1")], &whole[..]].concat());
    is_malformed(&server, &[&[(":status", "200")], &whole[..]].concat());
    // RFC 8441 section 4.
    is_malformed(&server, &[&whole[..], &[(":protocol", "websocket")]].concat());
}

#[test]
fn s8_3_1_a_request_has_a_method_a_scheme_and_a_path() {
    let server = Server::new();
    for missing in [":method", ":scheme", ":path"] {
        let rest: Vec<Field<'_>> = fields("GET", "/healthz", &[]).into_iter().filter(|(n, _)| *n != missing).collect();
        is_malformed(&server, &rest);
    }
    is_malformed(&server, &fields("GET", "", &[]));
    is_malformed(&server, &fields("G E T", "/healthz", &[]));
}

#[test]
fn s8_3_1_a_path_is_one_as_in_http_1_1() {
    let server = Server::new();
    for (n, path) in ["healthz", "/a b", "*"].into_iter().enumerate() {
        let mut client = connect(&server);
        client.send(headers(1, &fields("GET", path, &[]), true));
        match client.try_response(1) {
            Ok(answer) => assert_eq!(answer.status(), 400, "{n} {path}"),
            Err(ended) => assert_eq!(ended, Ended::Reset(error::PROTOCOL_ERROR), "{n} {path}"),
        }
        goes_on(&mut client, 3);
    }
    connect(&server).request(1, "OPTIONS", "*", &[]).expect(204);
}

#[test]
fn s8_3_1_authority_and_host_name_one_host() {
    let server = Server::new();
    let mut client = connect(&server);
    let without: Vec<Field<'_>> =
        fields("GET", "/healthz", &[]).into_iter().filter(|(name, _)| *name != ":authority").collect();
    let mut stream = 1;
    let mut asks = |first: Option<&str>, hosts: &[&str]| {
        let mut all: Vec<Field<'_>> = first.iter().map(|first| (":authority", *first)).collect();
        all.extend_from_slice(&without);
        all.extend(hosts.iter().map(|host| ("host", *host)));
        client.send(headers(stream, &all, true));
        let answer = client.try_response(stream);
        stream += 2;
        answer.map(|answer| answer.status())
    };
    assert_eq!(asks(Some("localhost:8000"), &[]), Ok(200));
    assert_eq!(asks(None, &["localhost"]), Ok(200));
    assert_eq!(asks(Some("localhost"), &["LocalHost"]), Ok(200));
    assert_eq!(asks(Some("localhost"), &["127.0.0.1"]), Ok(400));
    assert_eq!(asks(None, &["localhost", "localhost"]), Ok(400));
    assert_eq!(asks(None, &[]), Ok(400));
    assert_eq!(asks(Some("example.com"), &[]), Ok(421), "open mode is for loopback");
    assert!(matches!(asks(Some("user@localhost"), &[]), Ok(400) | Err(Ended::Reset(error::PROTOCOL_ERROR))));
    assert!(matches!(asks(Some(""), &["localhost"]), Ok(400) | Err(Ended::Reset(error::PROTOCOL_ERROR))));
}

#[test]
fn s8_1_1_a_body_is_as_long_as_it_says() {
    let server = Server::new();
    let post = |length: &'static str| headers(1, &fields("POST", "/channels/a", &[("content-length", length)]), false);
    for (length, body) in [("5", "hell"), ("5", "hello!"), ("0", "x")] {
        resets(&server, 1, error::PROTOCOL_ERROR, [post(length), data(1, body, true)].concat());
    }
    let none = headers(1, &fields("POST", "/channels/a", &[("content-length", "5")]), true);
    resets(&server, 1, error::PROTOCOL_ERROR, none);
    assert_eq!(server.page("/channels/a")["events"], json!([]), "nothing of that was published");
    let mut client = connect(&server);
    client.send([post("5"), data(1, "he", false), data(1, "llo", false), data(1, "", true)].concat());
    client.response(1).expect(201);
    for (stream, foul) in [(3, "x"), (5, "-1"), (7, "+5"), (9, "5, 6")] {
        let asked = fields("POST", "/channels/a", &[("content-length", foul)]);
        client.send([headers(stream, &asked, false), data(stream, "hello", true)].concat());
        match client.try_response(stream) {
            Ok(answer) => drop(answer.expect(400)),
            Err(ended) => assert_eq!(ended, Ended::Reset(error::PROTOCOL_ERROR), "{foul}"),
        }
    }
    client.ask(11, "POST", "/channels/a", &[("content-length", "5"), ("content-length", "6")], Some(b"hello"));
    match client.try_response(11) {
        Ok(answer) => drop(answer.expect(400)),
        Err(ended) => assert_eq!(ended, Ended::Reset(error::PROTOCOL_ERROR)),
    }
}

#[test]
fn s8_1_a_body_may_have_no_length_and_trailers_behind_it() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send([headers(1, &fields("POST", "/channels/a", &[]), false), data(1, "hel", false)].concat());
    client.send([data(1, "lo", false), headers(1, &[("x-checksum", "17")], true)].concat());
    client.response(1).expect(201);
    client.send(
        [headers(3, &fields("POST", "/channels/a", &[("content-length", "3")]), false), data(3, "two", false)].concat(),
    );
    client.send(headers(3, &[("x-checksum", "17")], true));
    client.response(3).expect(201);
    let page = server.page("/channels/a");
    assert_eq!((&page["events"][0]["data"], &page["events"][1]["data"]), (&json!("hello"), &json!("two")));
}

#[test]
fn s8_1_trailers_end_the_stream() {
    let server = Server::new();
    let post = headers(1, &fields("POST", "/channels/a", &[]), false);
    resets(&server, 1, error::PROTOCOL_ERROR, [post, headers(1, &[("x-checksum", "17")], false)].concat());
    assert_eq!(server.page("/channels/a")["events"], json!([]));
}

#[test]
fn s8_1_pseudo_fields_among_trailers_are_refused_or_say_nothing() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send(headers(1, &fields("POST", "/channels/a", &[]), false));
    client.send(headers(1, &[(":method", "DELETE"), (":path", "/channels/b")], true));
    match client.try_response(1) {
        Ok(answer) => drop(answer.expect(201)),
        Err(ended) => assert_eq!(ended, Ended::Reset(error::PROTOCOL_ERROR)),
    }
    goes_on(&mut client, 3);
}

#[test]
fn s8_2_3_crumbs_of_a_cookie_are_one_cookie() {
    use switchboard_testkit::identity::{settings, token};
    let mut config = switchboard_testkit::config();
    config.auth = settings();
    let server = Server::start(config);
    let cookie = format!("session={}", token("ann", &["a/**"]));
    let mut client = connect(&server);
    let crumbs = [("cookie", "theme=dark"), ("cookie", cookie.as_str()), ("cookie", "lang=en")];
    client.request(1, "GET", "/channels/a/x", &crumbs).expect(200);
    client.request(3, "GET", "/channels/a/x", &[crumbs[0], crumbs[2]]).expect(401);
}

#[test]
fn s8_5_connect_asks_for_a_proxy() {
    let server = Server::new();
    let mut client = connect(&server);
    client.send(headers(1, &[(":method", "CONNECT"), (":authority", "example.com:443")], false));
    client.response(1).expect_problem(400, "bad_request");
    goes_on(&mut client, 3);
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let server = Server::new();
    let mut client = connect(&server);
    let asked = fields("POST", "/channels/a", &[("expect", "100-continue"), ("content-length", "5")]);
    client.send(headers(1, &asked, false));
    let head = client.head(1);
    assert_eq!((head.status, head.fields.len()), (100, 1), "{}", head.raw);
    client.send(data(1, "hello", true));
    client.response(1).expect(201);
    // One that is refused is not asked for its body.
    let asked = fields("POST", "/channels//a", &[("expect", "100-continue"), ("content-length", "5")]);
    client.send(headers(3, &asked, false));
    assert_eq!(client.try_head(3).unwrap().0.status, 400);
}

#[test]
fn a_head_has_the_fields_of_its_get_and_no_body() {
    let server = Server::new();
    server.publish("a", "x");
    let mut client = connect(&server);
    let get = client.get(1, "/channels/a?since=earliest").expect(200);
    let head = client.request(3, "HEAD", "/channels/a?since=earliest", &[]).expect(200);
    assert_eq!(head.field("content-length"), Some(get.body.len().to_string().as_str()), "{head}");
    assert_eq!((head.field("content-type"), head.body.len()), (get.field("content-type"), 0));
}

#[test]
fn requests_stand_side_by_side_and_the_quick_overtake_the_slow() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let mut client = connect(&server);
    client.ask(1, "GET", &format!("/channels/a?since={first}&wait=30"), &[], None);
    client.ask(3, "GET", "/healthz", &[], None);
    client.response(3).expect(200);
    client.ask(5, "POST", "/channels/a", &[], Some(b"2"));
    client.response(5).expect(201);
    assert_eq!(client.response(1).expect(200).json()["events"][0]["data"], "2");
}

#[test]
fn a_publish_that_is_cut_off_or_too_large_is_none() {
    let mut config = switchboard_testkit::config();
    config.limits.message = 1000;
    let server = Server::start(config);
    let mut client = connect(&server);
    client.send([headers(1, &fields("POST", "/channels/a", &[]), false), data(1, "half", false)].concat());
    client.send(rst_stream(1, error::CANCEL));
    client.ping();
    client.ask(3, "POST", "/channels/a", &[], Some(&[b'x'; 1001]));
    client.response(3).expect_problem(413, "too_large");
    let said = fields("POST", "/channels/a", &[("content-length", "1001")]);
    client.send(headers(5, &said, false));
    client.response(5).expect_problem(413, "too_large");
    goes_on(&mut client, 7);
    assert_eq!(server.page("/channels/a")["events"], json!([]));
}
