//! Cursors from long ago, by name and by pattern.

use crate::figure;
use serde_json::json;
use std::time::{Duration, Instant};
use switchboard_testkit::{Conn, Server, config, history};

/// A server with so many events, all on channels that nobody asks for, and the position before them.
fn full(events: usize) -> (Server, String) {
    let mut config = config();
    config.shards = Some(1);
    config.policy.default = history(events, 64 << 20);
    let server = Server::start(config);
    let start = server.publish("start", "here");
    let line = "{\"data\":1}\n".repeat(events);
    server.post("/channels/x/1", &[("Content-Type", "application/x-ndjson")], line).expect(201);
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
    let mut most = Duration::ZERO;
    while !walkers.last_mut().unwrap().is_readable() {
        let asked = Instant::now();
        bystander.publish("live", "now");
        most = most.max(asked.elapsed());
    }
    let took = begun.elapsed();
    for mut walker in walkers {
        assert_eq!(walker.response_to("GET").expect(200).json()["events"], json!([]));
    }
    assert!(most < took / 4, "somebody waited {most:?} while that took {took:?}");
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
