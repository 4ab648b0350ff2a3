//! Properties of any message and of any bytes. Examples are in `vectors/jsonrpc`.

use super::*;
use crate::Code;
use crate::limits::{BATCH_MAX, DEPTH_MAX, ID_MAX};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

/// Any JSON of a few levels.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn id() -> impl Strategy<Value = Id<'static>> {
    let text = ".{0,40}".prop_map(|text| Id::string(&text).unwrap());
    prop_oneof![Just(Id::NULL), any::<u64>().prop_map(Id::from), text]
}

fn params() -> impl Strategy<Value = Params<'static>> {
    value().prop_map(|value| Params::new(Json::of(&value).unwrap()).unwrap_or(Params::ABSENT))
}

fn message() -> impl Strategy<Value = Message<'static>> {
    let error = (any::<i64>(), any::<String>(), prop::option::of(value()));
    let outcome = prop_oneof![
        value().prop_map(|value| Ok(Json::of(&value).unwrap())),
        error.prop_map(|(code, message, data)| {
            Err(ErrorObject { code, message: message.into(), data: data.map(|data| Json::of(&data).unwrap()) })
        }),
    ];
    prop_oneof![
        (id(), any::<String>(), params()).prop_map(|(id, method, params)| Message::Request(Request {
            id,
            method: method.into(),
            params
        })),
        (any::<String>(), params())
            .prop_map(|(method, params)| Message::Notification(Notification { method: method.into(), params })),
        (id(), outcome).prop_map(|(id, outcome)| Message::Response(Response { id, outcome })),
    ]
}

fn written(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.write(&mut out);
    out
}

/// What is in there, whichever way it arrived.
fn members(text: &[u8]) -> Vec<Member<'_>> {
    match parse(text) {
        Ok(Incoming::One(member)) => vec![member],
        Ok(Incoming::Batch(batch)) => batch.members().collect(),
        Err(_) => Vec::new(),
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(message in message()) {
        let text = written(&message);
        prop_assert!(!text.iter().any(|b| matches!(b, b'\n' | b'\r')));
        prop_assert_eq!(members(&text), [Ok(message)]);
    }

    #[test]
    fn a_batch_reads_back(messages in prop::collection::vec(message(), 0..8)) {
        let mut writer = BatchWriter::new();
        messages.iter().for_each(|message| writer.push(message));
        let Some(text) = writer.finish() else {
            prop_assert!(messages.is_empty());
            return Ok(());
        };
        prop_assert!(matches!(parse(&text), Ok(Incoming::Batch(_))));
        prop_assert_eq!(members(&text), messages.into_iter().map(Ok).collect::<Vec<_>>());
    }

    #[test]
    fn an_answer_has_a_result_or_an_error_and_never_both(message in message()) {
        let object: Value = serde_json::from_slice(&written(&message)).unwrap();
        let has = |name: &str| object.get(name).is_some();
        prop_assert_eq!(&object["jsonrpc"], "2.0");
        prop_assert_eq!(has("result") ^ has("error"), matches!(message, Message::Response(_)));
        prop_assert_eq!(has("method"), !matches!(message, Message::Response(_)));
        prop_assert_eq!(has("id"), !matches!(message, Message::Notification(_)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        any_text(&bytes);
    }

    #[test]
    fn whatever_is_nearly_a_message_is_read_or_refused(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24),
    ) {
        any_text(pieces.concat().as_bytes());
    }

    #[test]
    fn blanks_between_tokens_change_nothing(message in message(), blank in "[ \t\r\n]{0,3}") {
        let text = String::from_utf8(written(&message)).unwrap();
        let spaced = format!("{blank}{}{blank}", text.replacen("{\"jsonrpc\":", &format!("{{{blank}\"jsonrpc\"{blank}:"), 1));
        prop_assert_eq!(members(spaced.as_bytes()), members(text.as_bytes()));
    }
}

const PIECES: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"jsonrpc\":\"2.0\"",
    "\"id\":",
    "\"method\":",
    "\"params\":",
    "\"result\":",
    "\"error\":",
    "\"code\":",
    "\"message\":",
    "\"data\":",
    "\"m\"",
    "1",
    "-1.5e3",
    "null",
    "\"\\ud800\"",
    " ",
    "\n",
];

/// Whatever the text, what is read of it is what it says, and nothing that is refused is a message.
fn any_text(text: &[u8]) {
    match parse(text) {
        Ok(_) => {
            assert!(serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok(), "only JSON is read");
            for member in members(text) {
                let Ok(message) = member else { continue };
                assert_eq!(members(&written(&message)).len(), 1);
            }
        }
        Err(problem) => {
            assert!(matches!(problem.code, Code::ParseError | Code::InvalidRequest | Code::TooLarge), "{problem}");
            let answer = Message::Response(Incoming::refusal(&problem));
            assert_eq!(members(&written(&answer)), [Ok(answer)]);
        }
    }
}

#[test]
fn limits_hold_to_the_last() {
    let nested = |depth: usize| format!("{{\"params\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(parse(nested(DEPTH_MAX + 1).as_bytes()).unwrap_err().code, Code::ParseError);
    assert!(parse(format!("\"{}\"", "[\\\"".repeat(DEPTH_MAX * 2)).as_bytes()).is_ok(), "strings nest nothing");

    let batch = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(members(batch(BATCH_MAX).as_bytes()).len(), BATCH_MAX);
    assert_eq!(parse(batch(BATCH_MAX + 1).as_bytes()).unwrap_err().code, Code::TooLarge);
    let broken = batch(BATCH_MAX + 9).replace(']', ",]");
    assert_eq!(parse(broken.as_bytes()).unwrap_err().code, Code::ParseError, "it is no JSON, which counts for more");

    assert!(Id::string(&"x".repeat(ID_MAX - 2)).is_some());
    assert!(Id::string(&"x".repeat(ID_MAX - 1)).is_none());
}

#[test]
fn params_are_read_by_name_and_by_position() {
    #[derive(Deserialize, PartialEq, Debug)]
    struct Subscribe {
        channel: String,
        since: Option<String>,
    }

    let read = |text: &str| Params::new(Json::parse(text).unwrap()).unwrap().read::<Subscribe>();
    let a = |since: Option<&str>| Ok(Subscribe { channel: "a".into(), since: since.map(str::to_owned) });
    assert_eq!(read(r#"{"since":"x","channel":"a"}"#), a(Some("x")));
    assert_eq!(read(r#"["a","x"]"#), a(Some("x")));
    assert_eq!(read(r#"{"channel":"a"}"#), a(None));
    for wrong in [r#"{"channel":1}"#, r#"{"channel":"a","channel":"b"}"#, "[]", "{}"] {
        assert_eq!(read(wrong).unwrap_err().code, Code::InvalidParams, "{wrong}");
    }
    let problem = Params::ABSENT.read::<Subscribe>().unwrap_err();
    assert_eq!((problem.code, &*problem.detail), (Code::InvalidParams, "missing field `channel`"));
    assert!(Params::new(Json::parse("null").unwrap()).is_none());
}

#[test]
fn our_errors_have_the_tables_number_and_the_standards_its_words() {
    let error = |problem: &crate::code::Problem| {
        let mut out = Vec::new();
        ErrorObject::from(problem).write(&mut out);
        serde_json::from_slice::<Value>(&out).unwrap()
    };
    assert_eq!(error(&Code::MethodNotFound.into()), json!({"code": -32601, "message": "Method not found"}));
    assert_eq!(
        error(&Code::ChannelName.because("why")),
        json!({"code": 40001, "message": Code::ChannelName.row().sentence, "data": {"detail": "why"}})
    );
}

#[test]
fn values_of_several_lines_are_written_on_one() {
    let result = Json::parse(" [1,\r\n 2.50 ]\n").unwrap();
    assert_eq!(result.as_str(), "[1,\r\n 2.50 ]");
    let mut out = Vec::new();
    Response { id: Id::from(7), outcome: Ok(result) }.write(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"jsonrpc":"2.0","id":7,"result":[1,   2.50 ]}"#);
}
