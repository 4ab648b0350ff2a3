//! What is behind the pages, from the outside: both addresses. The pages themselves are tried in a browser by
//! `clients/typescript/e2e`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do: by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc;
use switchboard_examples::{Files, Started, start};
use switchboard_testkit::{Conn, Field, Value, WebSocket, json};

/// Runs the program with a client that is not built, and gives its addresses: axum's, and Switchboard's.
fn run() -> (SocketAddr, SocketAddr) {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let files = Files { client: PathBuf::from("nowhere"), ..Files::of_the_repository() };
            let Started { switchboard, listener, routes } = start(anywhere, anywhere, files).await.unwrap();
            tell.send((listener.local_addr().unwrap(), switchboard.addresses()[0])).unwrap();
            axum::serve(listener, routes).await.unwrap();
        });
    });
    told.recv().unwrap()
}

/// A session of somebody who asked for a token by this name.
struct Visitor {
    socket: WebSocket,
    asked: u64,
    events: Vec<Value>,
    /// Whether a channel's end came: the server may tell it before the answer to the call that made it.
    ended: bool,
}

impl Visitor {
    fn open(web: SocketAddr, realtime: SocketAddr, name: &str) -> Visitor {
        let json: [Field<'_>; 1] = [("Content-Type", "application/json")];
        let answer = Conn::open(web).post("/token", &json, json!({"name": name}).to_string()).expect(200);
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        let protocols = format!("switchboard.v1, switchboard.token.{token}");
        let origin = format!("http://{web}");
        let fields: [Field<'_>; 2] = [("Sec-WebSocket-Protocol", &protocols), ("Origin", &origin)];
        let socket = Conn::open(realtime).handshake("/session", &fields).unwrap();
        Visitor { socket, asked: 0, events: Vec::new(), ended: false }
    }

    /// The answer to a call; what came before it is kept.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params});
        self.socket.send_text(&request.to_string());
        loop {
            let message = self.socket.json();
            if message["id"] == json!(self.asked) {
                return message;
            }
            self.keep(&message);
        }
    }

    fn keep(&mut self, message: &Value) {
        if message["method"] == json!("event") {
            self.events.push(message["params"].clone());
        }
        self.ended |= message["method"] == json!("end");
    }

    fn subscribe(&mut self, channel: &str) {
        let answer = self.call("subscribe", json!({"channel": channel, "since": "earliest"}));
        assert!(answer["result"]["position"].is_string(), "{answer}");
    }

    /// Waits for the end of a channel, and gives what came on it.
    fn until_end(&mut self) -> Vec<Value> {
        while !self.ended {
            let message = self.socket.json();
            self.keep(&message);
        }
        self.ended = false;
        std::mem::take(&mut self.events)
    }
}

#[test]
fn a_job_says_how_far_it_is_and_ends_with_its_result() {
    let (web, realtime) = run();
    let mut ann = Visitor::open(web, realtime, "Ann");
    let begun = ann.call("job.start", json!({"below": 100_000}));
    let channel = begun["result"]["channel"].as_str().unwrap().to_owned();
    ann.subscribe(&channel);
    let said = ann.until_end();
    let done: Vec<u64> = said.iter().map(|event| event["data"]["done"].as_u64().unwrap()).collect();
    assert!(done.is_sorted() && done.len() == 61, "{done:?}");
    let last = said.last().unwrap();
    assert_eq!((&last["event"], &last["data"]["primes"]), (&json!("result"), &json!(9_592)));
    assert_eq!(ann.call("job.start", json!({"below": 1}))["error"]["code"], -32602);
}

#[test]
fn an_answer_comes_word_by_word_and_stops_when_it_is_told_to() {
    let (web, realtime) = run();
    let mut ann = Visitor::open(web, realtime, "Ann");
    let asked = ann.call("answer.ask", json!({"question": "What is a session?"}));
    let channel = asked["result"]["channel"].as_str().unwrap().to_owned();
    ann.subscribe(&channel);
    while ann.events.len() < 3 {
        let message = ann.socket.json();
        ann.keep(&message);
    }
    assert_eq!(ann.call("answer.stop", json!({"channel": channel}))["result"]["stopped"], true);
    let words = ann.until_end();
    assert!((3..40).contains(&words.len()), "{words:?}");
    assert_eq!(ann.call("answer.stop", json!({"channel": channel}))["result"]["stopped"], false);
}

#[test]
fn who_speaks_in_the_chat_is_the_servers_word() {
    let (web, realtime) = run();
    let (mut ann, mut ben) = (Visitor::open(web, realtime, "Ann"), Visitor::open(web, realtime, "Ben"));
    ann.subscribe("chat/lobby");
    let said = ben.call("publish", json!({"channel": "chat/lobby", "data": {"text": " hello "}}));
    assert!(said["result"]["id"].is_string(), "{said}");
    while ann.events.is_empty() {
        let message = ann.socket.json();
        ann.keep(&message);
    }
    assert_eq!(ann.events[0]["data"], json!({"from": "Ben", "text": "hello"}));
    for data in [json!({"text": "x", "from": "Ann"}), json!({"text": ""}), json!("x")] {
        let refused = ben.call("publish", json!({"channel": "chat/lobby", "data": data}));
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    let foreign = ben.call("publish", json!({"channel": "price/tin", "data": 1}));
    assert_eq!(foreign["error"]["code"], 40_300);
}

#[test]
fn prices_and_the_log_are_there_at_once() {
    let (web, realtime) = run();
    let mut ann = Visitor::open(web, realtime, "Ann");
    ann.subscribe("price/*");
    ann.subscribe("log");
    let has = |ann: &Visitor, is: fn(&Value) -> bool| ann.events.iter().any(is);
    while !(has(&ann, |event| event["channel"] == "price/tin")
        && has(&ann, |event| event["data"]["text"].as_str().is_some_and(|text| text.starts_with("POST /token 200"))))
    {
        let message = ann.socket.json();
        ann.keep(&message);
    }
}

#[test]
fn a_name_that_cannot_be_gets_no_token() {
    let (web, _) = run();
    let json: [Field<'_>; 1] = [("Content-Type", "application/json")];
    for name in ["", " ", "a name that is longer than it may be", "a\nb"] {
        Conn::open(web).post("/token", &json, json!({"name": name}).to_string()).expect(400);
    }
    Conn::open(web).get("/chat").expect(200);
    Conn::open(web).get("/..%2fsrc%2fmain.js").expect(404);
}
