//! A token that expires while its stream is open: told, closed with its code, and resumed by a new one with nothing lost.

use super::server;
use serde_json::json;
use std::time::{Duration, Instant};
use switchboard_testkit::identity::{API_KEY, bearer, token, token_for};
use switchboard_testkit::{Message, PATIENCE, Server};

/// Long enough to open all that is to end with it, also where the machine is busy.
const LIFE: Duration = Duration::from_secs(4);

fn publish(server: &Server, data: &str) -> String {
    let answer = server.post("/channels/a/x", &[("Authorization", &bearer(API_KEY))], data).expect(201).json();
    answer["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_stream_ends_with_its_token_on_each_transport_and_goes_on_with_the_next() {
    let server = server();
    let began = Instant::now();
    let short = bearer(&token_for(LIFE, "ann", &["a/**"]));
    let long = bearer(&token("ann", &["a/**"]));
    let fields = [("Authorization", short.as_str())];
    let mut sse = server.connect().sse("/channels/a/x", &fields);
    let mut lines = server.connect().lines("/channels?channel=a/**", &fields);
    let mut event = server.connect().websocket("/channels?channel=a/x", &fields);
    let mut raw = server.connect().websocket("/channels/a/x", &fields);
    let mut body = server.connect().stream("/channels/a/x?form=raw", &[fields[0], ("Accept", "application/x-ndjson")]);
    let open = sse.notice("$open").json();
    assert!(open["expires"].as_u64().is_some() && open["connection"].as_str().unwrap().len() == 16, "{open}");
    assert_eq!(lines.notice("$open")["expires"], open["expires"]);
    assert_eq!(event.notice("$open")["expires"], open["expires"]);
    let heard = publish(&server, "heard");
    let mut poll = server.connect();
    poll.ask("GET", &format!("/channels/a/x?since={heard}&wait=30"), &fields, None);
    assert_eq!(sse.event().data, "heard");
    assert_eq!(lines.event()["data"], "heard");
    assert_eq!(event.event()["data"], "heard");
    assert_eq!(raw.text(), "heard");
    assert_eq!(body.data(), b"heard");

    let told = sse.notice("$closing").json();
    assert!(began.elapsed() >= LIFE - Duration::from_millis(100), "not before its time: {:?}", began.elapsed());
    assert_eq!((&told["code"], &told["reconnect"]), (&json!("token_expired"), &json!(false)));
    assert_eq!(sse.rest(), (vec![], true));
    assert_eq!(lines.notice("$closing"), told);
    assert_eq!(lines.rest(), (vec![], true));
    assert_eq!(event.notice("$closing"), told);
    event.expect_close(4401);
    raw.expect_close(4401);
    assert_eq!(body.rest(), (vec![], false), "a body that is cut short does not look complete");
    poll.response_to("GET").expect_problem(401, "token_expired");
    assert!(began.elapsed() < LIFE + PATIENCE, "{:?}", began.elapsed());

    // The old token opens nothing more; the new one goes on where the old one stopped.
    server.get_with("/channels/a/x", &fields).expect_problem(401, "token_expired");
    publish(&server, "missed");
    let fields = [("Authorization", long.as_str())];
    let since = format!("since={heard}");
    let resumed = [fields[0], ("Last-Event-ID", heard.as_str())];
    let mut sse = server.connect().sse("/channels/a/x", &resumed);
    assert_eq!(sse.notice("$open").json()["recovered"], true);
    assert_eq!(sse.event().data, "missed");
    assert_eq!(server.connect().lines(&format!("/channels/a/x?{since}"), &fields).event_after_open()["data"], "missed");
    let mut event = server.connect().websocket(&format!("/channels?channel=a/x&{since}"), &fields);
    event.notice("$open");
    assert_eq!(event.event()["data"], "missed");
    assert_eq!(server.connect().websocket(&format!("/channels/a/x?{since}"), &fields).text(), "missed");
    let page = server.get_with(&format!("/channels/a/x?{since}&wait=5"), &fields).expect(200).json();
    assert_eq!(page["events"][0]["data"], "missed");
}

trait AfterOpen {
    fn event_after_open(self) -> serde_json::Value;
}

impl AfterOpen for switchboard_testkit::Lines {
    fn event_after_open(mut self) -> serde_json::Value {
        self.notice("$open");
        self.event()
    }
}

#[test]
fn a_stream_that_publishes_stops_where_its_token_ends() {
    let server = server();
    let short = bearer(&token_for(LIFE, "ann", &["a/**"]));
    let mut conn = server.connect();
    conn.send(format!(
        "POST /channels/a/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: {short}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    let line = "{\"data\":1}\n";
    conn.send(format!("{:x}\r\n{line}\r\n", line.len()));
    let mut reader = server.connect().sse("/channels/a/x?since=earliest", &[("Authorization", &bearer(API_KEY))]);
    reader.notice("$open");
    assert_eq!(reader.event().data, "1");
    // A stream of that token ends when it does: then the next line is too late.
    let mut witness = server.connect().websocket("/channels/a/x", &[("Authorization", &short)]);
    assert!(matches!(witness.next(), Message::Close(4401, _)));
    conn.send(format!("{:x}\r\n{line}\r\n0\r\n\r\n", line.len()));
    let refused = conn.response_to("POST").expect_problem(401, "token_expired");
    assert_eq!((refused.json()["line"].as_u64(), refused.json()["appended"].as_u64()), (Some(2), Some(1)), "{refused}");
}
