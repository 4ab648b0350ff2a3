//! NDJSON: lines are the same however they arrive, and a line is the event that it says.

use crate::choices::{Choices, everywhere, pieces};
use serde_json::Value;
use serde_json::value::RawValue;
use switchboard_wire::event::Draft;
use switchboard_wire::limits::APPENDS_MAX;
use switchboard_wire::ndjson::{self, Lines, TooLong};
use switchboard_wire::{Code, Kind};

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let limit = choices.pick(&[1 << 20, 40, 3, 0]);
    let cuts = choices.cuts();
    let body = choices.rest();
    let whole = lines(body, &[], limit);
    assert_eq!(whole, lines(body, &cuts, limit), "cut at {cuts:?}");
    assert_eq!(whole, lines(body, &everywhere(body), limit), "byte by byte");
    assert_eq!(whole, twin(body, limit));
    for (_, line) in &whole.0 {
        let draft = ndjson::parse_line(line);
        refused_rightly(&draft.as_ref().err().map(|problem| problem.code));
        said(line, draft.as_ref().ok());
        if let Ok(draft) = draft {
            assert_eq!(ndjson::parse_line(&written(&draft)), Ok(draft), "what is written reads back");
        }
    }
    batch(body);
}

type Read = (Vec<(u64, Vec<u8>)>, Option<TooLong>);

fn lines(body: &[u8], cuts: &[usize], limit: usize) -> Read {
    let (mut lines, mut found) = (Lines::new(limit), Vec::new());
    for piece in pieces(body, cuts) {
        lines.feed(piece);
        loop {
            match lines.next_line() {
                Ok(Some((number, line))) => found.push((number, line.to_vec())),
                Ok(None) => break,
                Err(long) => return (found, Some(long)),
            }
        }
        assert!(lines.line() > found.last().map_or(0, |(number, _)| *number));
    }
    let (number, within) = (lines.line(), lines.is_within_line());
    let last = lines.last_line().map(|(number, line)| (number, line.to_vec()));
    assert_eq!(last.as_ref().map(|(number, _)| *number), within.then_some(number));
    assert!(!lines.is_within_line() && lines.last_line().is_none());
    found.extend(last);
    (found, None)
}

fn twin(body: &[u8], limit: usize) -> Read {
    let mut found = Vec::new();
    for (at, line) in body.split(|b| *b == b'\n').enumerate() {
        let number = at as u64 + 1;
        if line.len() > limit {
            return (found, Some(TooLong { line: number }));
        }
        if line.iter().any(|b| !b" \t\r".contains(b)) {
            found.push((number, line.to_vec()));
        }
    }
    (found, None)
}

fn refused_rightly(code: &Option<Code>) {
    let codes = [
        Code::InvalidItem,
        Code::InvalidText,
        Code::InvalidJson,
        Code::InvalidParameter,
        Code::EventType,
        Code::ChannelName,
    ];
    assert!(code.is_none_or(|code| codes.contains(&code)), "{code:?}");
}

/// Compares what was made of a line with what a JSON reader that knows nothing of events finds in it.
fn said(line: &[u8], draft: Option<&Draft>) {
    let Some(draft) = draft else { return };
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        // The data is kept as it was written: a number may be larger than any that this reader has, and an escape may be half
        // of a pair, which RFC 8259 section 8.2 leaves to the reader.
        Err(error) => {
            let error = error.to_string();
            let known = ["number out of range", "unexpected end of hex escape", "lone leading surrogate"];
            assert!(known.iter().any(|known| error.starts_with(known)), "{error}");
            return;
        }
    };
    let object = value.as_object().expect("a line is an object");
    assert!(object.keys().all(|name| ["data", "base64", "event", "type"].contains(&&**name)));
    assert_eq!(draft.event(), object.get("event").and_then(Value::as_str));
    assert!(draft.event().is_none_or(|event| {
        (1..=255).contains(&event.len()) && !event.starts_with('$') && !event.contains(['\r', '\n', '\0'])
    }));
    match object.get("data") {
        Some(Value::String(text)) => assert_eq!(draft.data(), text),
        Some(data) => {
            assert_eq!(draft.kind(), Kind::Json);
            assert_eq!(serde_json::from_slice::<Value>(draft.data()).unwrap(), *data);
        }
        None => assert_eq!(crate::events::base64(draft.data()), object["base64"].as_str().unwrap()),
    }
    match draft.kind() {
        Kind::Text => assert!(std::str::from_utf8(draft.data()).is_ok()),
        Kind::Json => assert!(serde_json::from_slice::<&serde_json::value::RawValue>(draft.data()).is_ok()),
        Kind::Binary => {}
    }
    assert!(draft.content_type().len() <= 255 && draft.content_type().bytes().all(|b| matches!(b, b' '..=b'~')));
}

/// The line that says this.
pub(crate) fn written(draft: &Draft) -> Vec<u8> {
    let mut members = Vec::new();
    let text = |text: &str| serde_json::to_string(text).unwrap();
    let implied = draft.content_type() == draft.kind().implied_type();
    match (draft.kind(), std::str::from_utf8(draft.data())) {
        // JSON in a string is JSON only where its type says so, and so is a string.
        (Kind::Json, Ok(data)) if data.trim_start().starts_with('"') || !is_bare(data) => {
            members.push(format!("\"data\":{}", text(data)));
            members.push("\"type\":\"application/json\"".to_owned());
        }
        (Kind::Json, Ok(data)) => members.push(format!("\"data\":{data}")),
        (Kind::Text, Ok(data)) => members.push(format!("\"data\":{}", text(data))),
        _ => members.push(format!("\"base64\":\"{}\"", crate::events::base64(draft.data()))),
    }
    if !implied {
        members.retain(|member| !member.starts_with("\"type\""));
        members.push(format!("\"type\":{}", text(draft.content_type())));
    }
    members.extend(draft.event().map(|event| format!("\"event\":{}", text(event))));
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// Whether there is nothing around the JSON, so that it is taken as it stands.
fn is_bare(json: &str) -> bool {
    json.trim_matches([' ', '\t', '\r', '\n']) == json
}

/// A body as a batch: what is taken of it keeps the rules.
fn batch(body: &[u8]) {
    let mut items = Vec::new();
    let cut = ndjson::Batch::new(body).and_then(|mut batch| {
        while let Some(item) = batch.next_item()? {
            items.push(item);
        }
        Ok(())
    });
    // What the library takes for an array is one, and nothing else.
    let whole = std::str::from_utf8(body).ok().and_then(|text| serde_json::from_str::<Vec<&RawValue>>(text).ok());
    match (cut, whole) {
        (Ok(()), Some(whole)) => assert!(whole.iter().map(|item| item.get()).eq(items.iter().map(|item| item.get()))),
        (Err(problem), None) => {
            assert!(matches!(problem.code, Code::InvalidItem | Code::InvalidJson | Code::InvalidText));
            return;
        }
        (cut, _) => panic!("{cut:?}"),
    }
    for item in items {
        match ndjson::parse_item(item) {
            Ok(item) => {
                let mut names: Vec<&str> = item.channels.iter().map(|name| name.as_str()).collect();
                names.sort_unstable();
                names.dedup();
                assert!(!names.is_empty() && names.len() == item.channels.len());
                assert!(item.channels.iter().all(|name| !name.is_reserved()));
                assert_eq!(ndjson::parse_line(&written(&item.draft)), Ok(item.draft));
            }
            // Two bytes are the least that a name and its comma come to.
            Err(problem) if problem.code == Code::TooLarge => assert!(item.get().len() > 2 * APPENDS_MAX),
            Err(problem) => refused_rightly(&Some(problem.code)),
        }
    }
}
