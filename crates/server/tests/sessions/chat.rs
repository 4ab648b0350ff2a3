//! People of unlike means in one room: what one has a WebSocket for, another does with Server-Sent Events and POST, and a
//! third with nothing but polls.

use crate::talk::{Talk, Way};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;
use switchboard_testkit::Server;

const WAYS: [Way; 3] = [Way::WebSocket, Way::Sse, Way::Poll];
/// What each says.
const SAID: u64 = 100;
const HEARD: u64 = SAID * WAYS.len() as u64;

/// What one of them has got by the end.
struct Transcript {
    /// The events that came, in order.
    events: Vec<Value>,
    /// What its calls were answered, but for what is its own.
    answers: Vec<Result<Value, Value>>,
}

/// Comes into the room, waits for the others, and speaks and listens until everybody has said everything.
fn take_part(server: &Server, way: Way, all_in: &Barrier) -> Transcript {
    let mut talk = Talk::open(server, way);
    talk.call("subscribe", &json!({ "channel": "chat/room" })).unwrap();
    all_in.wait();
    let mut ids = Vec::new();
    for n in 0..SAID {
        let said = json!({ "channel": "chat/room", "event": "said", "data": { "by": format!("{way:?}"), "n": n } });
        ids.push(talk.call("publish", &said).unwrap()["id"].clone());
    }
    let events: Vec<Value> = (0..HEARD).map(|_| talk.notice("event")).collect();
    let own = events.iter().filter(|event| event["data"]["by"] == format!("{way:?}"));
    let own: Vec<Value> = own.map(|event| event["id"].clone()).collect();
    assert_eq!(own, ids, "{way:?} hears itself, under the ids that its calls were answered");
    all_in.wait();
    let history = json!({ "channel": "chat/room", "limit": 1000 });
    let answers = vec![
        talk.call("history", &history),
        talk.call("history", &json!({ "channel": "chat/room", "since": events[9]["id"], "limit": 2 })),
        talk.call("leave", &json!({})),
        talk.call("subscribe", &json!({ "channel": "chat//room" })),
        talk.call("publish", &json!({ "channel": "chat/room", "data": 1, "base64": "" })),
        talk.call("unsubscribe", &json!({ "channel": "chat/other" })),
        talk.call("unsubscribe", &json!(["chat/room"])),
    ];
    Transcript { events, answers }
}

#[test]
fn a_room_is_the_same_over_websocket_over_events_and_posts_and_over_polls_alone() {
    let (server, all_in) = (&Server::new(), &Barrier::new(WAYS.len()));
    let transcripts: Vec<Transcript> = thread::scope(|scope| {
        let people = WAYS.map(|way| scope.spawn(move || take_part(server, way, all_in)));
        people.map(|one| one.join().unwrap()).into()
    });
    let held = server.page("/channels/chat/room?limit=1000")["events"].clone();
    for (way, transcript) in WAYS.iter().zip(&transcripts) {
        assert_eq!(json!(transcript.events), held, "{way:?} heard what was said, in the order in which it was said");
        assert_eq!(transcript.answers, transcripts[0].answers, "{way:?} is answered as the others are");
    }
    let mut said: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in held.as_array().unwrap() {
        let by = event["data"]["by"].as_str().unwrap().to_owned();
        said.entry(by).or_default().push(event["data"]["n"].as_u64().unwrap());
    }
    assert!(said.values().all(|said| said.iter().copied().eq(0..SAID)), "each in the order in which it spoke");
    assert_eq!(said.len(), WAYS.len());
}
