//! Bad input: each with its documented answer, and the server alive after.

use std::net::TcpStream;
use switchboard_testkit::{Conn, Field, Follower, Said, Server, Transport, json, seed};

const JSON: Field<'static> = ("Content-Type", "application/json");

#[test]
fn bad_names_are_refused_on_every_transport_and_by_every_method() {
    let server = Server::new();
    let long = "x".repeat(256);
    let bad = [
        "", "..", "a/..", "a//b", "/", "a/", "%00", "a%00b", "%2F", "a%2F", "a%2f%2fb", "*", "**", "a/*", "%2a", "$a",
        &long,
    ];
    for name in bad {
        let target = format!("/channels/{name}");
        server.get(&target).expect_problem(400, "channel_name");
        server.get_with(&target, &[("Accept", "text/event-stream")]).expect_problem(400, "channel_name");
        server.get_with(&target, &[("Accept", "application/x-ndjson")]).expect_problem(400, "channel_name");
        server.get(&format!("{target}?wait=60")).expect_problem(400, "channel_name");
        server.handshake(&target, &[]).unwrap_err().expect_problem(400, "channel_name");
        server.post(&target, &[], "x").expect_problem(400, "channel_name");
        server.delete(&target).expect_problem(400, "channel_name");
        server.request("HEAD", &target, &[], None).expect(400);
        let item = serde_json::to_string(&json!([{"channels": [decoded(name)], "data": 1}])).unwrap();
        server.post("/api/publish", &[JSON], item).expect_refusal(400);
    }
    server.is_alive();
}

/// A percent-decoded name.
fn decoded(name: &str) -> String {
    name.replace("%00", "\0").replace("%2F", "/").replace("%2f", "/").replace("%2a", "*")
}

#[test]
fn percent_signs_that_encode_nothing_are_400() {
    let server = Server::new();
    for bad in ["%", "%2", "%zz", "a%", "a%2", "a%g0b", "%-1"] {
        server.get(&format!("/channels/{bad}")).expect_refusal(400);
        server.post(&format!("/channels/{bad}"), &[], "x").expect_refusal(400);
    }
    server.is_alive();
}

#[test]
fn garbage_foreign_epoch_and_future_positions_are_gaps_on_each_transport() {
    let server = Server::new();
    let id = server.publish("a", "held");
    let foreign = Server::new().publish("a", "x");
    let future = {
        let mark = id.parse::<switchboard_wire::Position>().unwrap().marks().next().unwrap();
        switchboard_wire::Mark { seq: u64::MAX, ..mark }.to_string()
    };
    for (cursor, reason) in [("garbage", "unknown"), (foreign.as_str(), "epoch"), (future.as_str(), "ahead")] {
        for transport in Transport::ALL {
            let mut follower = Follower::open(&server, &["a"], Some(cursor), transport);
            if transport != Transport::Poll {
                assert!(matches!(follower.next(), Said::Open { gap: Some(_), .. }), "{transport:?} {cursor}");
            }
            let said = follower.next();
            assert!(matches!(&said, Said::Gap(gap) if gap.reason == reason), "{transport:?} {cursor}: {said:?}");
            assert_eq!(follower.event().id, id, "{transport:?} {cursor}");
        }
    }
    server.is_alive();
}

#[test]
fn a_body_of_100_mb_is_413_whether_its_length_is_told_or_not() {
    let server = Server::new();
    let piece = vec![b'x'; 1 << 20];
    for target in ["/channels/a", "/api/publish"] {
        let mut conn = server.connect();
        conn.ask("POST", target, &[JSON, ("Content-Length", "104857600")], None);
        send_until_refused(&mut conn, std::iter::repeat_n(piece.clone(), 100));
        conn.response_to("POST").expect_problem(413, "too_large");
        let mut conn = server.connect();
        conn.ask("POST", target, &[JSON, ("Transfer-Encoding", "chunked")], None);
        let chunk = [b"100000\r\n".to_vec(), piece.clone(), b"\r\n".to_vec()].concat();
        send_until_refused(&mut conn, std::iter::repeat_n(chunk, 100));
        conn.response_to("POST").expect_problem(413, "too_large");
    }
    let mut conn = server.connect();
    conn.ask(
        "POST",
        "/channels/a",
        &[("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")],
        None,
    );
    let chunk = [b"100000\r\n".to_vec(), piece, b"\r\n".to_vec()].concat();
    send_until_refused(&mut conn, std::iter::repeat_n(chunk, 100));
    conn.response_to("POST").expect_problem(413, "too_large");
    assert_eq!(server.page("/channels/a")["events"], json!([]));
    server.is_alive();
}

/// Sends what the server takes; it may answer and close while more is on its way.
fn send_until_refused(conn: &mut Conn, pieces: impl Iterator<Item = Vec<u8>>) {
    for piece in pieces {
        if conn.try_send(piece).is_err() {
            return;
        }
    }
}

#[test]
fn a_publish_cut_in_the_middle_appends_nothing_of_its_event() {
    let server = Server::new();
    let mut random = fastrand::Rng::with_seed(seed("a_publish_cut_in_the_middle"));
    let whole = "POST /channels/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\nhello world";
    let chunked = "POST /channels/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                   6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n";
    for request in [whole, chunked] {
        for _ in 0..100 {
            let mut conn = server.connect();
            conn.send(&request[..random.usize(0..request.len())]);
            if random.bool() {
                conn.cut();
            } else {
                conn.finish();
                conn.take_all();
            }
        }
    }
    assert_eq!(server.page("/channels/a")["events"], json!([]), "nothing is half appended");
    server.post("/channels/a", &[], "whole").expect(201);
    server.is_alive();
}

#[test]
fn a_batch_cut_in_the_middle_appends_nothing() {
    let server = Server::new();
    let body = r#"[{"channels":["a"],"data":1},{"channels":["b"],"data":2}]"#;
    for end in [1, 28, 29, 30, body.len() - 1] {
        let mut conn = server.connect();
        conn.ask("POST", "/api/publish", &[JSON, ("Content-Length", &body.len().to_string())], None);
        conn.send(&body[..end]);
        conn.finish();
        conn.take_all();
    }
    assert_eq!(server.page("/channels?channel=**")["events"], json!([]));
    server.is_alive();
}

#[test]
fn invalid_utf_8_is_refused_where_text_must_be() {
    let server = Server::new();
    server.post("/channels/a", &[("Content-Type", "text/plain")], b"\xff").expect_problem(400, "invalid_text");
    server.post("/channels/a", &[JSON], b"\"\xff\"").expect_problem(400, "invalid_json");
    server.post("/channels/a?event=%ff", &[], "x").expect_refusal(400);
    server.post("/channels/%ff", &[], "x").expect_problem(400, "channel_name");
    server.get("/channels?channel=%ff").expect_refusal(400);
    server.is_alive();
}

#[test]
fn types_that_begin_with_a_dollar_are_refused_by_every_way_of_publishing() {
    let server = Server::new();
    server.post("/channels/a?event=$open", &[], "x").expect_problem(400, "event_type");
    let line = ("Content-Type", "application/x-ndjson");
    server.post("/channels/a", &[line], "{\"data\":1,\"event\":\"$gap\"}\n").expect_refusal(400);
    server
        .post("/channels/a", &[("Content-Type", "text/event-stream")], "event: $end\ndata: x\n\n")
        .expect_refusal(400);
    server.post("/api/publish", &[JSON], r#"[{"channels":["a"],"data":1,"event":"$x"}]"#).expect_refusal(400);
    assert_eq!(server.page("/channels/a")["events"], json!([]));
    server.is_alive();
}

#[test]
fn bad_content_types_do_no_harm() {
    let server = Server::new();
    let long = "x/".to_owned() + &"y".repeat(300);
    server.post("/channels/a", &[("Content-Type", &long)], "x").expect_refusal(400);
    for odd in ["", ";", "/", "text", "text/", "nonsense", "text/plain;;;", "application/json; charset=\"\""] {
        let status = server.post("/channels/a", &[("Content-Type", odd)], "1").status();
        assert!(matches!(status, 201 | 400), "{odd:?}: {status}");
    }
    let twice = [("Content-Type", "text/plain"), ("Content-Type", "image/png")];
    assert!(matches!(server.post("/channels/a", &twice, "1").status(), 201 | 400));
    server.is_alive();
}

#[test]
fn doubled_parameters_have_one_answer() {
    let server = Server::new();
    for query in
        ["since=latest&since=earliest", "limit=1&limit=2", "wait=0&wait=0", "form=raw&form=event", "x=1&&=&%3d"]
    {
        let status = server.get(&format!("/channels/a?{query}")).status();
        assert!(matches!(status, 200 | 400), "{query}: {status}");
    }
    server.is_alive();
}

#[test]
fn random_bytes_are_answered_or_closed_and_harm_nobody() {
    let server = Server::new();
    // On a channel whose name no spoiled byte or two make of the one that is published to.
    let mut bystander = server.sse("/channels/bystander");
    bystander.notice("$open");
    let mut random = fastrand::Rng::with_seed(seed("random_bytes"));
    for round in 0..200 {
        let mut bytes: Vec<u8> = match round % 2 {
            0 => (0..random.usize(1..600)).map(|_| random.u8(..)).collect(),
            // A right request, spoiled.
            _ => b"POST /channels/b?event=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
                .to_vec(),
        };
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..bytes.len());
            bytes[at] = random.u8(..);
        }
        let mut conn = Conn::over(TcpStream::connect(server.address()).unwrap());
        let _ = conn.try_send(&bytes);
        conn.finish();
        let answer = conn.take_all();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{bytes:?}: {answer:?}");
    }
    server.publish("bystander", "unharmed");
    assert_eq!(bystander.event().data, "unharmed");
    server.is_alive();
}

#[test]
fn a_flood_of_connections_that_say_nothing_keeps_nobody_out() {
    let server = Server::new();
    let silent: Vec<Conn> = (0..500).map(|_| server.connect()).collect();
    server.is_alive();
    drop(silent);
    server.is_alive();
}
