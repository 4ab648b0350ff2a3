//! What can go wrong, and who is to blame.

use crate::http::{Lost, Problem};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use switchboard_wire::jsonrpc::{ErrorObject, Json};

/// The answer to a call was an error: the server's, or the application's behind it. A [handler](crate::Client::handle)
/// answers with one, too.
#[derive(Clone, PartialEq, Debug)]
pub struct RpcError {
    /// The number: of the protocol's table, of JSON-RPC 2.0, or the application's own.
    pub code: i64,
    pub message: String,
    pub data: Option<Value>,
}

impl RpcError {
    pub fn new(code: i64, message: impl Into<String>) -> RpcError {
        RpcError { code, message: message.into(), data: None }
    }

    /// The name of the row of the protocol's table, if the number is one of these.
    pub fn name(&self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// Whether the same call may succeed later, as the table says.
    pub fn passes(&self) -> bool {
        self.row().is_some_and(|row| row.reconnect)
    }

    pub(crate) fn from_problem(problem: &switchboard_wire::code::Problem) -> RpcError {
        ErrorObject::from(problem).into()
    }

    fn row(&self) -> Option<&'static switchboard_wire::code::Row> {
        switchboard_wire::code::TABLE.iter().map(|(_, row)| row).find(|row| i64::from(row.rpc) == self.code)
    }

    pub(crate) fn to_wire(&self) -> ErrorObject<'static> {
        let data = self.data.as_ref().and_then(|data| Json::of(data).ok());
        ErrorObject { code: self.code, message: Cow::Owned(self.message.clone()), data }
    }
}

impl From<ErrorObject<'_>> for RpcError {
    fn from(error: ErrorObject<'_>) -> RpcError {
        let data = error.data.and_then(|data| data.read().ok());
        RpcError { code: error.code, message: error.message.into_owned(), data }
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.data.as_ref().and_then(|data| data.get("detail")?.as_str());
        let text = detail.unwrap_or(&self.message).trim_end_matches('.');
        match self.name() {
            Some(name) => write!(f, "{text} ({} {name})", self.code),
            None => write!(f, "{text} ({})", self.code),
        }
    }
}

impl std::error::Error for RpcError {}

/// Why something did not come about.
#[derive(Clone, PartialEq, Debug)]
pub enum Error {
    /// The call was answered with an error.
    Refused(RpcError),
    /// No answer came in time. The call may have been worked on all the same.
    TimedOut,
    /// The session was lost while the call was under way: it may have been worked on or not.
    Lost,
    /// What was asked for cannot be, such as a name that breaks the rules.
    Invalid(String),
    /// No server could be reached, or none that has room for a session now: then the loss has the server's answer.
    Unreachable(Lost),
    /// The server does not let the client in, or sent it away for good.
    Turned(Box<Problem>),
    /// The client was closed.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(error) => error.fmt(f),
            Error::TimedOut => f.write_str("the call was not answered in time"),
            Error::Lost => {
                f.write_str("the session was lost while the call was under way: whether it was worked on is not known")
            }
            Error::Unreachable(lost) if lost.distrusted => {
                write!(f, "{}: `Options::ca` names a file of further ones", lost.sentence)
            }
            Error::Unreachable(lost) => f.write_str(&lost.sentence),
            Error::Turned(problem) => f.write_str(&problem.sentence()),
            Error::Invalid(why) => f.write_str(why),
            Error::Closed => f.write_str("the client is closed"),
        }
    }
}

impl std::error::Error for Error {}
