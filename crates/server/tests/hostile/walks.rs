//! Cursors from long ago, by name and by pattern.

use crate::figure;
use serde_json::json;
use std::time::Instant;
use switchboard_testkit::{Conn, Server, config, history, is_not_held_up};

/// A server with so many events, all on channels that nobody asks for, and the position before them.
fn full(events: usize) -> (Server, String) {
    let mut config = config();
    config.shards = Some(1);
    config.policy.default = history(events, 64 << 20);
    let server = Server::start(config);
    let start = server.publish("start", "here");
    let lines = "{\"data\":1}\n".repeat(1000);
    for _ in 0..events / 1000 {
        server.post("/channels/x/1", &[("Content-Type", "application/x-ndjson")], &lines).expect(201);
    }
    (server, start)
}

/// Others are answered long before those who have the whole log looked at, of whom there are many.
#[test]
fn whoever_reads_by_pattern_from_long_ago_holds_up_nobody() {
    let (server, start) = full(20_000);
    let mut bystander = server.connect();
    bystander.get("/healthz").expect(200);
    let begun = Instant::now();
    let target = format!("/channels?channel=nothing/*&since={start}");
    let mut walkers: Vec<Conn> = (0..40).map(|_| server.connect()).collect();
    walkers.iter_mut().for_each(|walker| walker.ask("GET", &target, &[], None));
    let mut waits = Vec::new();
    while !walkers.last_mut().unwrap().is_readable() {
        let asked = Instant::now();
        bystander.publish("live", "now");
        waits.push(asked.elapsed());
    }
    let took = begun.elapsed();
    for mut walker in walkers {
        assert_eq!(walker.response_to("GET").expect(200).json()["events"], json!([]));
    }
    is_not_held_up(waits, took);
}

/// The same of backends that have sessions read by pattern from long ago.
#[test]
fn what_backends_have_sessions_read_from_long_ago_holds_up_nobody() {
    let (server, _) = full(20_000);
    let open = || server.post("/session", &[], "").expect(201).json()["id"].as_str().unwrap().to_owned();
    let sessions: Vec<String> = (0..40).map(|_| open()).collect();
    let mut bystander = server.connect();
    bystander.get("/healthz").expect(200);
    let json = [("Content-Type", "application/json")];
    let params = json!({"channel": "nothing/*", "since": "earliest"}).to_string();
    let begun = Instant::now();
    let mut backends: Vec<Conn> = sessions.iter().map(|_| server.connect()).collect();
    for (backend, session) in backends.iter_mut().zip(&sessions) {
        backend.ask("POST", &format!("/api/sessions/{session}/subscribe"), &json, Some(params.as_bytes()));
    }
    let mut waits = Vec::new();
    while !backends.last_mut().unwrap().is_readable() {
        let asked = Instant::now();
        bystander.publish("live", "now");
        waits.push(asked.elapsed());
    }
    let took = begun.elapsed();
    for backend in &mut backends {
        assert!(backend.response_to("POST").expect(200).json()["position"].is_string());
    }
    is_not_held_up(waits, took);
}

#[test]
fn a_stream_and_a_session_find_by_pattern_what_lies_far_behind_much_else() {
    let (server, start) = full(5_000);
    let wanted = server.publish("rare/1", "found");
    let mut stream = server.lines(&format!("/channels?channel=rare/*&since={start}"));
    stream.notice("$open");
    assert_eq!(stream.event()["id"], wanted);
    let mut socket = server.handshake("/session", &[("Sec-WebSocket-Protocol", "switchboard.v1")]).unwrap();
    let mut call = |id: u64, method: &str| {
        let params = json!({"channel": "rare/*", "since": start});
        socket.send_text(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        let mut said = Vec::new();
        // What a subscription brings comes after its answer, the event first.
        while said.last().is_none_or(|last: &serde_json::Value| last["method"] != "caught_up" && last["id"] != 2) {
            said.push(socket.json());
        }
        said
    };
    let said = call(1, "subscribe");
    assert!(said.iter().any(|said| said["params"]["id"] == wanted.as_str()), "{said:?}");
    let said = call(2, "history");
    assert_eq!(said.last().unwrap()["result"]["events"][0]["id"], wanted.as_str());
}

/// A poll looks at the log a few times, however many subscriptions of its session have yet to be read.
#[test]
fn a_poll_of_many_subscriptions_by_pattern_from_long_ago_is_answered_in_parts() {
    const MANY: usize = 60;
    let (server, start) = full(10_000);
    let location = server.post("/session", &[], "").expect(201).json()["location"].as_str().unwrap().to_owned();
    let call = |i| {
        let params = json!({"channel": format!("nothing/{i}/*"), "since": start});
        json!({"jsonrpc": "2.0", "id": i, "method": "subscribe", "params": params})
    };
    server.post(&location, &[], json!((0..MANY).map(call).collect::<Vec<_>>()).to_string()).expect(202);
    let (mut place, mut read) = (String::new(), 0);
    while read < MANY {
        let page = server.page(&format!("{location}?wait=5&since={place}"));
        let messages = page["messages"].as_array().unwrap();
        let here = messages.iter().filter(|message| message["method"] == "caught_up").count();
        assert!(here <= 4, "{here} were looked for in one go");
        read += here;
        page["place"].as_str().unwrap().clone_into(&mut place);
    }
}

#[test]
fn any_number_of_old_positions_is_answered_and_leaves_nothing_behind() {
    let (server, _) = full(2_000);
    let page = server.page("/channels/x/1?limit=1000");
    let ids: Vec<&str> = page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    let mut conn = server.connect();
    for (i, id) in ids.iter().enumerate() {
        let page = conn.get(&format!("/channels/x/1?limit=1&since={id}")).expect(200).json();
        assert_eq!(page["events"].as_array().unwrap().len(), 1, "{i}");
    }
    assert_eq!((figure(&server, "readers_behind"), figure(&server, "transit_bytes")), (0, 0));
}
