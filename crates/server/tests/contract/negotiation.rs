//! "Reading: one URL, every transport": the request chooses.

use switchboard_testkit::{Field, Response, Server, Value};

/// The media type that a GET with this `Accept` is answered with.
fn chosen(server: &Server, target: &str, accept: &str) -> String {
    let stream = server.stream(target, &[("Accept", accept)]);
    assert_eq!(stream.head.status, 200, "{accept}: {}", stream.head.raw);
    assert!(stream.head.lists("vary", "accept"), "{}", stream.head.raw);
    stream.head.media_type()
}

const SSE: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const PAGE: &str = "application/json";

#[test]
fn the_request_chooses_the_transport() {
    let server = Server::new();
    for target in ["/channels/a", "/channels?channel=a&channel=b/**"] {
        assert_eq!(chosen(&server, target, SSE), SSE);
        assert_eq!(chosen(&server, target, LINES), LINES);
        assert_eq!(chosen(&server, target, PAGE), PAGE);
        assert_eq!(chosen(&server, target, "image/png"), PAGE, "anything else is a page");
        assert_eq!(server.get(target).expect(200).head.media_type(), PAGE, "no Accept at all is a page");
        assert_eq!(server.websocket(target).head.status, 101);
    }
}

#[test]
fn the_highest_q_wins_then_the_order_of_the_table() {
    let server = Server::new();
    for (accept, expected) in [
        ("application/x-ndjson, text/event-stream", SSE),
        ("application/json, application/x-ndjson", LINES),
        ("application/json, text/event-stream, application/x-ndjson", SSE),
        ("text/event-stream;q=0.5, application/x-ndjson", LINES),
        ("text/event-stream; q=0.5 , application/x-ndjson;q=0.501", LINES),
        ("text/event-stream;q=0.1, application/json;q=0.2", PAGE),
        ("application/x-ndjson;q=0, application/json;q=0.001", PAGE),
        ("text/event-stream;q=0", PAGE),
        ("TEXT/Event-Stream", SSE),
        ("text/event-stream;charset=utf-8", SSE),
    ] {
        assert_eq!(chosen(&server, "/channels/a", accept), expected, "{accept}");
    }
}

#[test]
fn accept_may_be_spread_over_several_fields() {
    let server = Server::new();
    let fields = [("Accept", "application/json;q=0.5"), ("Accept", "text/event-stream")];
    assert_eq!(server.stream("/channels/a", &fields).head.media_type(), SSE);
}

#[test]
fn wildcards_in_accept_never_select_a_stream() {
    let server = Server::new();
    for accept in
        ["*/*", "text/*", "application/*", "text/*, application/json;q=0.1", "*/*;q=1, application/json;q=0.5"]
    {
        assert_eq!(chosen(&server, "/channels/a", accept), PAGE, "{accept}");
    }
    assert_eq!(chosen(&server, "/channels/a", "text/event-stream, */*"), SSE, "a named stream is still selected");
}

#[test]
fn the_transport_parameter_overrides() {
    let server = Server::new();
    for accept in [SSE, LINES, PAGE, "*/*"] {
        assert_eq!(chosen(&server, "/channels/a?transport=sse", accept), SSE);
        assert_eq!(chosen(&server, "/channels/a?transport=stream", accept), LINES);
        assert_eq!(chosen(&server, "/channels/a?transport=poll", accept), PAGE);
    }
    assert_eq!(server.websocket("/channels/a?transport=websocket").head.status, 101);
    server.get("/channels/a?transport=carrier-pigeon").expect_problem(400, "invalid_parameter");
    let refused = server.get("/channels/a?transport=websocket");
    assert!(matches!(refused.status(), 400 | 426), "a WebSocket needs a handshake: {refused}");
}

#[test]
fn a_websocket_handshake_is_a_websocket_whatever_accept_says() {
    let server = Server::new();
    let socket = server.handshake("/channels/a", &[("Accept", "text/event-stream")]).unwrap();
    assert_eq!(socket.head.status, 101);
}

fn head(server: &Server, target: &str, fields: &[Field<'_>]) -> Response {
    let mut conn = server.connect();
    let response = conn.request("HEAD", target, fields, None);
    // What follows on the same connection shows that no byte of a body did.
    conn.get("/healthz");
    response
}

#[test]
fn head_never_waits_or_streams() {
    let server = Server::new();
    let id = server.publish("a", "1");
    for target in ["/channels/a", "/channels?channel=a"] {
        let get = server.get(target);
        let got = head(&server, target, &[]).expect(200);
        assert_eq!(got.field("etag"), get.field("etag"));
        assert_eq!(got.field("cache-control"), get.field("cache-control"));
        assert_eq!(got.head.media_type(), get.head.media_type());
        head(&server, target, &[("Accept", SSE)]).expect(200);
        head(&server, target, &[("Accept", LINES)]).expect(200);
    }
    head(&server, &format!("/channels/a?since={id}&wait=60"), &[]).expect(200);
    head(&server, &format!("/channels/a?since={id}"), &[("Prefer", "wait=60")]).expect(200);
    head(&server, "/channels/a?transport=sse", &[]).expect(200);
}

#[test]
fn one_channel_is_raw_form_on_sse_and_websocket_and_event_form_on_lines_and_pages() {
    let server = Server::new();
    server.publish("a", "hello");
    let mut sse = server.sse("/channels/a?since=earliest");
    sse.notice("$open");
    assert_eq!(sse.event().data, "hello");
    assert_eq!(server.websocket("/channels/a?since=earliest").text(), "hello");
    let mut lines = server.lines("/channels/a?since=earliest");
    lines.notice("$open");
    assert_eq!(lines.event()["data"], "hello");
    assert_eq!(server.page("/channels/a")["events"][0]["data"], "hello");
}

#[test]
fn several_channels_are_event_form() {
    let server = Server::new();
    server.publish("a", "hello");
    for target in ["/channels?channel=a&channel=b/**&since=earliest", "/channels?channel=a&since=earliest"] {
        let mut sse = server.sse(target);
        sse.notice("$open");
        assert_eq!(sse.event().json()["data"], "hello");
        let mut socket = server.websocket(target);
        socket.notice("$open");
        assert_eq!(socket.event()["data"], "hello");
        let mut lines = server.lines(target);
        lines.notice("$open");
        assert_eq!(lines.event()["channel"], "a");
    }
}

#[test]
fn the_form_parameter_overrides() {
    let server = Server::new();
    server.publish("a", "hello");
    let mut sse = server.sse("/channels/a?since=earliest&form=event");
    sse.notice("$open");
    assert_eq!(sse.event().json()["data"], "hello");
    let mut socket = server.websocket("/channels/a?since=earliest&form=event");
    socket.notice("$open");
    assert_eq!(socket.event()["data"], "hello");
    let mut sse = server.sse("/channels/a?since=earliest&form=raw");
    sse.notice("$open");
    assert_eq!(sse.event().data, "hello");
    assert_eq!(server.websocket("/channels/a?since=earliest&form=raw").text(), "hello");
    let mut body = server.stream("/channels/a?since=earliest&form=raw", &[("Accept", LINES)]);
    assert_eq!(body.data_of(5), b"hello");
    server.get("/channels/a?form=cubist").expect_problem(400, "invalid_parameter");
}

#[test]
fn last_event_id_wins_over_since_on_streams() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let second = server.publish("a", "2");
    server.publish("a", "3");
    for since in ["earliest", "latest", first.as_str()] {
        let target = format!("/channels/a?since={since}");
        let mut sse = server.connect().sse(&target, &[("Last-Event-ID", &second)]);
        sse.notice("$open");
        assert_eq!(sse.event().data, "3", "{since}");
        let mut lines = server.connect().lines(&target, &[("Last-Event-ID", &second)]);
        lines.notice("$open");
        assert_eq!(lines.event()["data"], "3", "{since}");
    }
}

#[test]
fn reading_starts_at_latest_by_default_and_a_page_at_earliest() {
    let server = Server::new();
    server.publish("a", "before");
    let (mut sse, mut lines) = (server.sse("/channels/a"), server.lines("/channels/a"));
    let (mut raw, mut socket) = (server.websocket("/channels/a"), server.websocket("/channels?channel=a"));
    assert_eq!(server.page("/channels/a")["events"][0]["data"], "before");
    server.publish("a", "after");
    sse.notice("$open");
    lines.notice("$open");
    socket.notice("$open");
    assert_eq!(sse.event().data, "after");
    assert_eq!(lines.event()["data"], "after");
    assert_eq!(raw.text(), "after");
    assert_eq!(socket.event()["data"], "after");
}

#[test]
fn what_is_published_after_a_client_saw_200_or_101_reaches_it() {
    let server = Server::new();
    let mut publisher = server.connect();
    for i in 0..50 {
        let channel = format!("a/{i}");
        let target = format!("/channels/{channel}");
        // Nothing of the bodies has been read when the event is published.
        let mut sse = server.sse(&target);
        publisher.publish(&channel, "1");
        let mut lines = server.lines(&target);
        publisher.publish(&channel, "2");
        let mut socket = server.websocket(&target);
        publisher.publish(&channel, "3");
        let data = |value: Value| value["data"].as_str().unwrap().to_owned();
        sse.notice("$open");
        assert_eq!([sse.event().data, sse.event().data, sse.event().data], ["1", "2", "3"]);
        lines.notice("$open");
        assert_eq!([data(lines.event()), data(lines.event())], ["2", "3"]);
        assert_eq!(socket.text(), "3");
    }
}

#[test]
fn a_selection_names_channels_that_can_be() {
    let server = Server::new();
    server.get("/channels").expect_refusal(400);
    for bad in ["", "a//b", "..", "a/../b", "a%00", "%FF", "$sys", &"x".repeat(256)] {
        server.get(&format!("/channels?channel={bad}")).expect_problem(400, "channel_name");
        server.get(&format!("/channels?channel=fine&channel={bad}")).expect_problem(400, "channel_name");
    }
    let many = (0..128).map(|i| format!("channel=c{i}")).collect::<Vec<_>>().join("&");
    server.get(&format!("/channels?{many}")).expect(200);
    server.get(&format!("/channels?{many}&channel=more")).expect_refusal(400);
}

#[test]
fn a_query_is_percent_decoded() {
    let server = Server::new();
    server.publish("a%20b/%E2%82%AC", "1");
    for selection in ["a%20b/%E2%82%AC", "a%20b%2F%e2%82%ac", "a%20b/*"] {
        assert_eq!(server.page(&format!("/channels?channel={selection}"))["events"][0]["channel"], "a b/€");
    }
}
