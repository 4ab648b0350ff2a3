//! The whole application, from the outside: both its addresses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do: by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use switchboard_embedded::{Started, start};
use switchboard_testkit::{Conn, Field, Value, WebSocket, json};

const PROTOCOL: Field<'static> = ("Sec-WebSocket-Protocol", "switchboard.v1");

/// Runs the application, and gives its addresses: axum's, and Switchboard's.
fn run() -> (SocketAddr, SocketAddr) {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let Started { switchboard, listener, routes } = start(anywhere, anywhere).await.unwrap();
            tell.send((listener.local_addr().unwrap(), switchboard.addresses()[0])).unwrap();
            axum::serve(listener, routes).await.unwrap();
        });
    });
    told.recv().unwrap()
}

/// Opens a session, which is subscribed to the count from the beginning.
fn open(realtime: SocketAddr, cookie: &str) -> WebSocket {
    let mut socket = Conn::open(realtime).handshake("/session", &[PROTOCOL, ("Cookie", cookie)]).unwrap();
    assert_eq!(socket.json()["method"], "session");
    let subscribed = socket.json();
    assert_eq!((&subscribed["method"], &subscribed["params"]["channel"]), (&json!("subscribed"), &json!("hands")));
    socket
}

fn say(socket: &mut WebSocket, method: &str, params: Value) {
    socket.send_text(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string());
}

/// The next answer, and the events before it.
fn answer(socket: &mut WebSocket) -> (Value, Vec<Value>) {
    let mut events = Vec::new();
    loop {
        let message = socket.json();
        match message["method"].as_str() {
            None => return (message, events),
            Some("event") => events.push(message["params"]["data"].clone()),
            Some(_) => {}
        }
    }
}

#[test]
fn hands_go_up_and_everybody_sees_them() {
    let (web, realtime) = run();
    let cookie = |name: &str| {
        let named = Conn::open(web).post(&format!("/names/{name}"), &[], "").expect(204);
        named.field("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    };
    let (mut ann, mut ben) = (open(realtime, &cookie("ann")), open(realtime, &cookie("ben")));
    say(&mut ann, "raise", json!({"answer": "yes"}));
    let count = json!({"answers": {"yes": 1}});
    let (answered, mut seen) = answer(&mut ann);
    assert_eq!(answered["result"], count);
    let event = loop {
        let message = ben.json();
        if message["method"] == "event" {
            break message["params"]["data"].clone();
        }
    };
    assert_eq!(event, count);
    say(&mut ben, "raise", json!({"answer": "no"}));
    let both = json!({"answers": {"no": 1, "yes": 1}});
    assert_eq!(answer(&mut ben).0["result"], both);
    // The count before that may have come to her before her answer, or behind it.
    while !seen.contains(&count) {
        let message = ann.json();
        seen.extend((message["method"] == "event").then(|| message["params"]["data"].clone()));
    }
    assert_eq!(Conn::open(web).get("/hands").expect(200).json(), both);
    assert!(Conn::open(web).get("/").expect(200).text().contains(&format!(":{}/session", realtime.port())));
}

#[test]
fn the_functions_refuse_what_they_do_not_take() {
    let (web, realtime) = run();
    let mut nobody = open(realtime, "other=1");
    for (method, params, code) in [
        ("raise", json!({"answer": "yes"}), 40100),
        ("raise", json!({"hand": "left"}), -32602),
        ("lower", json!({}), -32601),
        ("publish", json!({"channel": "hands", "data": {"answers": {"yes": 99}}}), 40300),
    ] {
        say(&mut nobody, method, params);
        assert_eq!(answer(&mut nobody).0["error"]["code"], code, "{method}");
    }
    say(&mut nobody, "publish", json!({"channel": "chat", "data": "hello"}));
    assert!(answer(&mut nobody).0["result"]["id"].is_string());
    assert_eq!(Conn::open(web).get("/hands").expect(200).json(), json!({"answers": {}}));
    Conn::open(web).post("/names/no%20name", &[], "").expect(400);
}
