//! JSON-RPC: a text is the messages that a reader who takes it apart value by value finds in it, and what is written reads
//! back.

use crate::choices::Choices;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use switchboard_wire::Code;
use switchboard_wire::jsonrpc::{BatchWriter, Id, Incoming, Invalid, Json, Member, Message, Params, Response, parse};
use switchboard_wire::limits::{BATCH_MAX, DEPTH_MAX, ID_MAX};

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    // Bytes as they are seldom come to a message; tokens do.
    let text = if choices.flag() { tokens(&mut choices) } else { choices.rest().to_vec() };
    let read = parse(&text);
    match (&read, twin(&text)) {
        (Err(problem), Twin::Refused(code)) => assert_eq!(problem.code, code, "{problem}"),
        (Ok(Incoming::One(member)), Twin::One(twin)) => assert_eq!(said(member), twin),
        (Ok(Incoming::Batch(batch)), Twin::Batch(twin)) => {
            assert_eq!(batch.members().map(|member| said(&member)).collect::<Vec<_>>(), twin);
        }
        (read, twin) => panic!("{read:?}, not {twin:?}"),
    }
    match read {
        Err(problem) => reads_back(&Message::Response(Incoming::refusal(&problem))),
        Ok(Incoming::One(member)) => member_holds(member),
        Ok(Incoming::Batch(batch)) => {
            assert!((1..=BATCH_MAX).contains(&batch.members().len()));
            batch.members().for_each(member_holds);
            batch_reads_back(&batch.members().flatten().collect::<Vec<_>>());
        }
    }
}

/// What is true of any member.
fn member_holds(member: Member<'_>) {
    match member {
        Ok(message) => {
            if let Message::Request(request) = &message {
                assert!(request.id.as_str().len() <= ID_MAX);
                assert!(request.id.as_u64().is_none_or(|number| Id::from(number) == request.id));
            }
            reads_back(&message);
        }
        Err(invalid) => {
            let is_request = matches!(invalid, Invalid::Request { .. });
            let answer = invalid.answer();
            assert_eq!(answer.is_some(), is_request, "what is meant as an answer is not answered");
            if let Some(answer) = answer {
                reads_back(&Message::Response(answer));
            }
        }
    }
}

/// What is written is one line, and is read as what it was.
fn reads_back(message: &Message<'_>) {
    let mut out = Vec::new();
    message.write(&mut out);
    assert!(!out.iter().any(|b| matches!(b, b'\n' | b'\r')));
    let Ok(Incoming::One(Ok(again))) = parse(&out) else { panic!("{} is no message", out.escape_ascii()) };
    assert!(is_same(message, &again), "{message:?}, not {again:?}");
}

fn batch_reads_back(messages: &[Message<'_>]) {
    let mut writer = BatchWriter::new();
    messages.iter().for_each(|message| writer.push(message));
    let Some(out) = writer.finish() else {
        assert!(messages.is_empty());
        return;
    };
    let Ok(Incoming::Batch(batch)) = parse(&out) else { panic!("{} is no batch", out.escape_ascii()) };
    assert_eq!(batch.members().len(), messages.len());
    for (message, again) in messages.iter().zip(batch.members()) {
        assert!(again.is_ok_and(|again| is_same(message, &again)));
    }
}

/// The same but for line breaks between tokens.
fn is_same(one: &Message<'_>, other: &Message<'_>) -> bool {
    format!("{one:?}").replace("\\n", " ").replace("\\r", " ")
        == format!("{other:?}").replace("\\n", " ").replace("\\r", " ")
}

const TOKENS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "\"jsonrpc\":\"2.0\"",
    "\"jsonrpc\":",
    "\"2.0\"",
    "\"method\":",
    "\"params\":",
    "\"id\":",
    "\"result\":",
    "\"error\":",
    "\"code\":",
    "\"message\":",
    "\"data\":",
    "\"\\u0069d\":",
    "\"x\":",
    "\"m\"",
    "\"\"",
    "\"\\ud800\"",
    "1",
    "-0",
    "1.50",
    "1e400",
    "12345678901234567890",
    "null",
    "true",
    "[]",
    "{}",
    "[1,2]",
    "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":1}",
    "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}",
    "{\"code\":1,\"message\":\"m\"}",
    "[[[[[[[[",
    "]]]]]]]]",
    "\"jsonrpc\":\"2.0\",\"id\":1,",
];

/// Tokens one after the other, of which many come to a message.
fn tokens(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    while !choices.is_empty() {
        let token = choices.pick(&TOKENS);
        let times = if choices.one_in(16) { choices.below(140) } else { 1 };
        text.extend(token.bytes().cycle().take(token.len() * times));
    }
    text
}

/// A message, its values as they are written.
#[derive(Clone, PartialEq, Debug)]
enum Said {
    Request(String, String, Option<String>),
    Notification(String, Option<String>),
    Result(String, String),
    Error(String, i64, String, Option<String>),
    InvalidRequest(String),
    InvalidResponse(Option<String>),
}

fn said(member: &Member<'_>) -> Said {
    let id = |id: &Id<'_>| id.as_str().to_owned();
    let json = |json: &Json<'_>| json.as_str().to_owned();
    let params = |params: &Params<'_>| params.as_json().map(json);
    match member {
        Ok(Message::Request(call)) => Said::Request(id(&call.id), call.method.to_string(), params(&call.params)),
        Ok(Message::Notification(call)) => Said::Notification(call.method.to_string(), params(&call.params)),
        Ok(Message::Response(Response { id: of, outcome: Ok(result) })) => Said::Result(id(of), json(result)),
        Ok(Message::Response(Response { id: of, outcome: Err(error) })) => {
            Said::Error(id(of), error.code, error.message.to_string(), error.data.as_ref().map(json))
        }
        Err(Invalid::Request { id: of, .. }) => Said::InvalidRequest(id(of)),
        Err(Invalid::Response { id: of, .. }) => Said::InvalidResponse(of.as_ref().map(id)),
    }
}

#[derive(Debug)]
enum Twin {
    Refused(Code),
    One(Said),
    Batch(Vec<Said>),
}

fn twin(text: &[u8]) -> Twin {
    let Some(whole) = std::str::from_utf8(text).ok().and_then(|text| serde_json::from_str::<&RawValue>(text).ok())
    else {
        return Twin::Refused(Code::ParseError);
    };
    if is_deeper(whole, DEPTH_MAX) {
        return Twin::Refused(Code::ParseError);
    }
    match items(whole) {
        None => Twin::One(twin_of(whole)),
        Some(items) if items.is_empty() => Twin::Refused(Code::InvalidRequest),
        Some(items) if items.len() > BATCH_MAX => Twin::Refused(Code::TooLarge),
        Some(items) => Twin::Batch(items.into_iter().map(twin_of).collect()),
    }
}

/// The items of an array.
fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// The members of an object, those of the same name as well. A name that is no text is `None`.
fn members(value: &RawValue) -> Option<Vec<(Option<String>, &RawValue)>> {
    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(Option<String>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((name, value)) = map.next_entry::<&RawValue, _>()? {
                members.push((serde_json::from_str(name.get()).ok(), value));
            }
            Ok(members)
        }
    }

    serde_json::Deserializer::from_str(value.get()).deserialize_map(Pairs).ok()
}

fn is_deeper(value: &RawValue, most: usize) -> bool {
    let inner: Vec<&RawValue> = match (items(value), members(value)) {
        (Some(items), _) => items,
        (None, Some(members)) => members.into_iter().map(|(_, value)| value).collect(),
        (None, None) => return false,
    };
    most == 0 || inner.into_iter().any(|value| is_deeper(value, most - 1))
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn is_id(value: &RawValue) -> bool {
    value.get().len() <= ID_MAX && !value.get().starts_with(['[', '{', 't', 'f'])
}

/// Rule by rule, as the documentation of the codec lists them.
fn twin_of(value: &RawValue) -> Said {
    let null = || "null".to_owned();
    let Some(members) = members(value).filter(|members| members.iter().all(|(name, _)| name.is_some())) else {
        return Said::InvalidRequest(null());
    };
    let all = |name: &str| {
        let these = members.iter().filter(|(other, _)| other.as_deref() == Some(name));
        these.map(|(_, value)| *value).collect::<Vec<&RawValue>>()
    };
    let names = ["jsonrpc", "method", "params", "id", "result", "error"];
    let [version, method, params, ids, results, errors] = names.map(all);
    let written = |values: &[&RawValue]| values.first().map(|value| value.get().to_owned());
    let id = if ids.len() == 1 && is_id(ids[0]) { written(&ids) } else { None };
    let is_fine = names.iter().all(|name| all(name).len() < 2)
        && version.first().and_then(|version| text(version)).as_deref() == Some("2.0")
        && (id.is_some() || ids.is_empty());
    match (method.first(), results.first(), errors.first()) {
        (Some(method), None, None) => {
            let has_params = params.iter().all(|params| params.get().starts_with(['[', '{']));
            match (text(method).filter(|_| is_fine && has_params), id) {
                (Some(method), Some(id)) => Said::Request(id, method, written(&params)),
                (Some(method), None) => Said::Notification(method, written(&params)),
                (None, id) => Said::InvalidRequest(id.unwrap_or_else(null)),
            }
        }
        (None, Some(result), None) => match id.clone().filter(|_| is_fine) {
            Some(id) => Said::Result(id, result.get().to_owned()),
            None => Said::InvalidResponse(id),
        },
        (None, None, Some(error)) => {
            let broken = Said::InvalidResponse(id.clone());
            id.filter(|_| is_fine).and_then(|id| twin_of_error(id, error)).unwrap_or(broken)
        }
        (None, Some(_), Some(_)) => Said::InvalidResponse(id),
        _ => Said::InvalidRequest(null()),
    }
}

fn twin_of_error(id: String, error: &RawValue) -> Option<Said> {
    let members = members(error)?;
    let one = |name: &str| {
        let mut these = members.iter().filter(|(other, _)| other.as_deref() == Some(name)).map(|(_, value)| *value);
        let first = these.next();
        these.next().is_none().then_some(first)
    };
    let is_text = members.iter().all(|(name, _)| name.is_some());
    // The reader of JSON takes -0 for a fraction, as only a fraction has that.
    let code = Some(one("code")??.get()).filter(|code| *code != "-0")?.parse::<i64>().ok()?;
    let (message, data) = (text(one("message")??)?, one("data")?.map(|data| data.get().to_owned()));
    is_text.then_some(Said::Error(id, code, message, data))
}
