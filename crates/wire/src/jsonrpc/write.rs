//! From messages to bytes, each on one line.

use super::{ErrorObject, Id, Json, Message, Notification, Params, Request, Response};
use crate::json;

impl Message<'_> {
    /// Appends the message, on one line and without its end.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Message::Request(request) => request.write(out),
            Message::Notification(notification) => notification.write(out),
            Message::Response(response) => response.write(out),
        }
    }
}

impl Request<'_> {
    /// Appends `{"jsonrpc","id","method","params"?}`.
    pub fn write(&self, out: &mut Vec<u8>) {
        begin(Some(&self.id), out);
        call(&self.method, &self.params, out);
    }
}

impl Notification<'_> {
    /// Appends `{"jsonrpc","method","params"?}`.
    pub fn write(&self, out: &mut Vec<u8>) {
        begin(None, out);
        call(&self.method, &self.params, out);
    }
}

impl Response<'_> {
    /// Appends `{"jsonrpc","id","result"|"error"}`.
    pub fn write(&self, out: &mut Vec<u8>) {
        begin(Some(&self.id), out);
        match &self.outcome {
            Ok(result) => value("result", result, out),
            Err(error) => {
                out.extend_from_slice(b",\"error\":");
                error.write(out);
            }
        }
        out.push(b'}');
    }
}

impl ErrorObject<'_> {
    /// Appends `{"code","message","data"?}`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{\"code\":{},\"message\":", self.code).as_bytes());
        json::string(&self.message, out);
        if let Some(data) = &self.data {
            value("data", data, out);
        }
        out.push(b'}');
    }
}

fn begin(id: Option<&Id<'_>>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.as_str().as_bytes());
    }
}

fn call(method: &str, params: &Params<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"method\":");
    json::string(method, out);
    if let Some(params) = params.as_json() {
        value("params", params, out);
    }
    out.push(b'}');
}

fn value(name: &str, value: &Json<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    json::on_one_line(value.as_str().as_bytes(), out);
}

/// Writes a batch, such as the answers to one. A batch is never empty: where there is nothing to say, nothing is said.
#[derive(Clone, Debug, Default)]
pub struct BatchWriter {
    out: Vec<u8>,
}

impl BatchWriter {
    pub fn new() -> BatchWriter {
        BatchWriter::default()
    }

    /// Appends a member.
    pub fn push(&mut self, message: &Message<'_>) {
        self.out.push(if self.out.is_empty() { b'[' } else { b',' });
        message.write(&mut self.out);
    }

    /// How many bytes there are so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The batch, on one line; `None` if it has no members.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        if self.out.is_empty() {
            return None;
        }
        self.out.push(b']');
        Some(self.out)
    }
}
