//! Reads `vectors/websocket/*.json`, whose README describes them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test, which the lints cannot tell from other code")]

use serde_json::Value;
use std::path::Path;
use switchboard_wire::websocket::Role;
use switchboard_wire::websocket::close::Close;
use switchboard_wire::websocket::deflate::Inflaters;
use switchboard_wire::websocket::message::{Incoming, Limits, Reader};

/// Bytes in hexadecimal, or a repetition of them.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(hex) => {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        }
        value => bytes(&value["repeat"]).repeat(value["times"].as_u64().unwrap() as usize),
    }
}

fn event(value: &Value) -> Incoming {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), value) {
        ("text", Value::String(text)) => Incoming::Text(text.clone().into()),
        ("text", repetition) => Incoming::Text(bytes(repetition).into()),
        ("binary", value) => Incoming::Binary(bytes(value).into()),
        ("ping", value) => Incoming::Ping(bytes(value).into()),
        ("pong", value) => Incoming::Pong(bytes(value).into()),
        ("close", value) => Incoming::Close(Close {
            code: value["code"].as_u64().map(|code| code as u16),
            reason: value["reason"].as_str().unwrap().into(),
        }),
        (kind, _) => panic!("no event is called {kind}"),
    }
}

/// Reads the pieces; gives the events, and the code and the number of the piece at which it failed.
fn read(case: &Value, pieces: &[&[u8]]) -> (Vec<Incoming>, Option<(u16, usize)>) {
    let role = if case["role"] == "client" { Role::Client } else { Role::Server };
    let mut limits = Limits::default();
    if let Some(limit) = case["limit"].as_u64() {
        limits.message = limit as usize;
    }
    let mut reader = Reader::new(role, case["deflate"] == true, limits);
    let (mut inflaters, mut events) = (Inflaters::new(), Vec::new());
    for (number, piece) in pieces.iter().enumerate() {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        loop {
            match reader.read(&mut rest, &mut inflaters) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(problem) => return (events, Some((problem.code.row().close, number))),
            }
        }
    }
    (events, None)
}

fn check(case: &Value) {
    let name = &case["name"];
    let pieces: Vec<Vec<u8>> = case["pieces"].as_array().unwrap().iter().map(bytes).collect();
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    let events: Vec<Incoming> = case["events"].as_array().unwrap().iter().map(event).collect();
    let fails = case["fails"].as_u64().map(|code| code as u16);

    let found = read(case, &pieces);
    assert_eq!(found, (events.clone(), fails.map(|code| (code, pieces.len() - 1))), "{name}");

    let whole = pieces.concat();
    let cuts: [Vec<&[u8]>; 3] = [vec![&whole], whole.chunks(1).collect(), whole.chunks(7).collect()];
    for cut in cuts {
        let (found, failed) = read(case, &cut);
        assert_eq!((found, failed.map(|(code, _)| code)), (events.clone(), fails), "{name}, cut otherwise");
    }
}

#[test]
fn the_reader_does_what_the_vectors_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/websocket");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for case in file["cases"].as_array().unwrap() {
            check(case);
            count += 1;
        }
    }
    assert!(count >= 200, "only {count} cases were found");
}
