//! The messages, as they are meant.

use super::{ErrorObject, Id, Json, Params};
use crate::code::{Code, Problem};
use std::borrow::Cow;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    Request(Request<'a>),
    Notification(Notification<'a>),
    Response(Response<'a>),
}

/// A call that is to be answered (section 4 of the specification).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    pub id: Id<'a>,
    pub method: Cow<'a, str>,
    pub params: Params<'a>,
}

/// A call that is not answered, whatever comes of it (section 4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification<'a> {
    pub method: Cow<'a, str>,
    pub params: Params<'a>,
}

/// The answer to a request (section 5). Its id is null where the request's could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response<'a> {
    pub id: Id<'a>,
    pub outcome: Result<Json<'a>, ErrorObject<'a>>,
}

impl Response<'_> {
    /// The call that failed with this problem.
    pub fn refusal<'a>(id: Id<'a>, problem: &Problem) -> Response<'a> {
        Response { id, outcome: Err(problem.into()) }
    }
}

/// JSON that is no message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Invalid<'a> {
    /// To be answered under this id, which is null where that of the request could not be read.
    Request { id: Id<'a>, why: &'static str },
    /// Meant as an answer, so it is not answered. The call of this id, if it can be read and is one of ours, has failed.
    Response { id: Option<Id<'a>>, why: &'static str },
}

impl<'a> Invalid<'a> {
    /// What the peer is told, if anything.
    pub fn answer(self) -> Option<Response<'a>> {
        match self {
            Invalid::Request { id, why } => Some(Response::refusal(id, &Code::InvalidRequest.because(why))),
            Invalid::Response { .. } => None,
        }
    }
}
