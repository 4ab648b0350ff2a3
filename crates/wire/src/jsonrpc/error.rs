//! The error of an answer.

use super::Json;
use crate::code::{Code, Problem};
use serde::Serialize;
use std::borrow::Cow;

/// Why a call failed (section 5.1 of the specification).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorObject<'a> {
    /// The table's number, or whatever the peer's application gave.
    pub code: i64,
    pub message: Cow<'a, str>,
    pub data: Option<Json<'a>>,
}

impl ErrorObject<'_> {
    /// The same, to be kept.
    pub fn into_owned(self) -> ErrorObject<'static> {
        ErrorObject {
            code: self.code,
            message: Cow::Owned(self.message.into_owned()),
            data: self.data.map(Json::into_owned),
        }
    }
}

/// The particulars of an error of ours.
#[derive(Serialize)]
struct Detail<'a> {
    detail: &'a str,
}

/// The table's number and sentence, and the problem's detail, if it has one, as `{"detail"}` in `data`.
impl From<&Problem> for ErrorObject<'static> {
    fn from(problem: &Problem) -> ErrorObject<'static> {
        let detail = Detail { detail: &problem.detail };
        ErrorObject {
            code: problem.code.row().rpc.into(),
            message: Cow::Borrowed(message(problem.code)),
            data: if problem.detail.is_empty() { None } else { Json::of(&detail).ok() },
        }
    }
}

/// The specification has words of its own for its errors; the others have their sentence.
fn message(code: Code) -> &'static str {
    match code {
        Code::ParseError => "Parse error",
        Code::InvalidRequest => "Invalid Request",
        Code::MethodNotFound => "Method not found",
        Code::InvalidParams => "Invalid params",
        Code::Internal => "Internal error",
        other => other.row().sentence,
    }
}
