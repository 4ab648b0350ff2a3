//! What `vectors/jsonrpc` says, read and answered.

#![allow(clippy::unwrap_used, reason = "helpers of a test, which the lints cannot tell from other code")]

use serde::Deserialize;
use serde_json::Value;
use switchboard_vectors::jsonrpc::{self, Case, Reads};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{
    BatchWriter, Incoming, Invalid, Json, Member, Message, Params, Request, Response, parse,
};

/// What was read, as the vectors say it.
fn said(member: &Member<'_>) -> jsonrpc::Message {
    let written = |json: &Json<'_>| json.as_str().to_owned();
    let params = |params: &Params<'_>| params.as_json().map(written);
    match member {
        Ok(Message::Request(Request { id, method, params: given })) => {
            jsonrpc::Message::Request { id: id.as_str().to_owned(), method: method.to_string(), params: params(given) }
        }
        Ok(Message::Notification(call)) => {
            jsonrpc::Message::Notification { method: call.method.to_string(), params: params(&call.params) }
        }
        Ok(Message::Response(Response { id, outcome: Ok(result) })) => {
            jsonrpc::Message::Result { id: id.as_str().to_owned(), result: written(result) }
        }
        Ok(Message::Response(Response { id, outcome: Err(error) })) => jsonrpc::Message::Error {
            id: id.as_str().to_owned(),
            code: error.code,
            message: error.message.to_string(),
            data: error.data.as_ref().map(written),
        },
        Err(Invalid::Request { id, .. }) => jsonrpc::Message::InvalidRequest { id: id.as_str().to_owned() },
        Err(Invalid::Response { id, .. }) => {
            jsonrpc::Message::InvalidResponse { id: id.as_ref().map(|id| id.as_str().to_owned()) }
        }
    }
}

fn reads(text: &[u8]) -> Reads {
    match parse(text) {
        Err(problem) => Reads::Problem(problem.code.row().rpc.into()),
        Ok(Incoming::One(member)) => Reads::One(said(&member)),
        Ok(Incoming::Batch(batch)) => Reads::Batch(batch.members().map(|member| said(&member)).collect()),
    }
}

/// The methods of the specification's examples.
fn call(method: &str, params: &Params<'_>) -> Result<Json<'static>, Problem> {
    #[derive(Deserialize)]
    struct Subtract {
        minuend: i64,
        subtrahend: i64,
    }

    let result = match method {
        "subtract" => {
            let Subtract { minuend, subtrahend } = params.read()?;
            Json::of(&(minuend - subtrahend))
        }
        "sum" => Json::of(&params.read::<Vec<i64>>()?.iter().sum::<i64>()),
        "get_data" => Json::of(&("hello", 5)),
        _ => return Err(Code::MethodNotFound.into()),
    };
    Ok(result.unwrap())
}

fn answer(member: Member<'_>) -> Option<Response<'_>> {
    match member {
        Ok(Message::Request(Request { id, method, params })) => {
            Some(Response { id, outcome: call(&method, &params).map_err(|problem| (&problem).into()) })
        }
        Ok(Message::Notification(_) | Message::Response(_)) => None,
        Err(invalid) => invalid.answer(),
    }
}

/// What a peer with those methods answers.
fn answers(text: &[u8]) -> Option<Vec<u8>> {
    let one = |response: Response<'_>| {
        let mut out = Vec::new();
        response.write(&mut out);
        out
    };
    match parse(text) {
        Err(problem) => Some(one(Incoming::refusal(&problem))),
        Ok(Incoming::One(member)) => answer(member).map(one),
        Ok(Incoming::Batch(batch)) => {
            let mut writer = BatchWriter::new();
            batch.members().filter_map(answer).for_each(|response| writer.push(&Message::Response(response)));
            writer.finish()
        }
    }
}

/// The answer as the vectors list it: errors may have a `data` besides.
fn listed(mut answer: Value) -> Value {
    match &mut answer {
        Value::Array(members) => Value::Array(members.drain(..).map(listed).collect()),
        other => {
            if let Some(error) = other.get_mut("error").and_then(Value::as_object_mut) {
                error.remove("data");
            }
            answer
        }
    }
}

#[test]
fn messages_are_read_as_the_vectors_say() {
    let cases: Vec<Case> = jsonrpc::cases().collect();
    for case in &cases {
        assert_eq!(reads(&case.text), case.reads, "{}", case.name);
    }
    assert!(cases.len() >= 140, "only {} vectors were found", cases.len());
}

#[test]
fn messages_are_answered_as_the_vectors_say() {
    let mut count = 0;
    for Case { name, text, answer, .. } in jsonrpc::cases() {
        let Some(expected) = answer else { continue };
        let answer = answers(&text).map_or(Value::Null, |text| listed(serde_json::from_slice(&text).unwrap()));
        assert_eq!(answer, expected, "{name}");
        count += 1;
    }
    assert!(count >= 85, "only {count} answers were found");
}
