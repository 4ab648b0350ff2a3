//! An NDJSON reader.

use crate::conn::{Piece, Streamed};
use serde_json::Value;

/// What a stream of lines gave.
#[derive(Clone, PartialEq, Debug)]
pub enum Line {
    /// An empty line.
    Heartbeat,
    Json(Value),
    /// The stream ended, its body complete.
    End,
    /// The connection closed in the middle of the body.
    Cut,
}

/// A subscription over NDJSON.
#[derive(Debug)]
pub struct Lines {
    pub stream: Streamed,
    inbox: Vec<u8>,
}

impl Lines {
    /// Reads the body of a response.
    ///
    /// # Panics
    /// If the response is not a 200 with NDJSON.
    #[track_caller]
    pub fn over(stream: Streamed) -> Lines {
        let head = &stream.head;
        assert_eq!(head.status, 200, "{} {}", head.raw, stream.conn.seen());
        assert_eq!(head.media_type(), "application/x-ndjson", "{}", head.raw);
        Lines { stream, inbox: Vec::new() }
    }

    /// The next line, as text and without its line break; the end of the stream is an error.
    #[track_caller]
    fn raw(&mut self) -> Result<Vec<u8>, Line> {
        loop {
            if let Some(at) = self.inbox.iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.inbox.drain(..=at).collect();
                line.pop();
                return Ok(line);
            }
            match self.stream.next() {
                Piece::Data(data) => self.inbox.extend_from_slice(&data),
                end => {
                    assert!(
                        self.inbox.is_empty() || end == Piece::Cut,
                        "the last line is unfinished: {:?}",
                        self.inbox
                    );
                    return Err(if end == Piece::End { Line::End } else { Line::Cut });
                }
            }
        }
    }

    /// The next line, whatever it is.
    #[track_caller]
    pub fn next(&mut self) -> Line {
        match self.raw() {
            Ok(line) if line.is_empty() => Line::Heartbeat,
            Ok(line) => match serde_json::from_slice(&line) {
                Ok(value) => Line::Json(value),
                Err(error) => panic!("not JSON ({error}): {:?}", String::from_utf8_lossy(&line)),
            },
            Err(end) => end,
        }
    }

    /// The next line that is neither empty nor `$position`, as it was written.
    #[track_caller]
    pub fn text(&mut self) -> String {
        loop {
            match self.raw() {
                Ok(line) if line.is_empty() || line.starts_with(b"{\"$position\"") => {}
                Ok(line) => return String::from_utf8(line).expect("NDJSON is UTF-8"),
                Err(end) => panic!("the stream is over: {end:?}; received {}", self.stream.conn.seen()),
            }
        }
    }

    /// The next line with anything in it but `$position`.
    ///
    /// # Panics
    /// If the stream ends.
    #[track_caller]
    pub fn json(&mut self) -> Value {
        loop {
            match self.next() {
                Line::Heartbeat => {}
                Line::Json(value) if value.get("$position").is_some() => {}
                Line::Json(value) => return value,
                end => panic!("the stream is over: {end:?}; received {}", self.stream.conn.seen()),
            }
        }
    }

    /// The next line, which is this notice: its value.
    #[track_caller]
    pub fn notice(&mut self, name: &str) -> Value {
        let line = self.json();
        line.get(name).unwrap_or_else(|| panic!("expected {name}: {line}")).clone()
    }

    /// The next line, which is an event.
    #[track_caller]
    pub fn event(&mut self) -> Value {
        let line = self.json();
        assert!(line.get("id").is_some(), "expected an event: {line}");
        line
    }

    /// The rest of the lines with anything in them but `$position`, and whether the body was complete.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<Value>, bool) {
        let mut values = Vec::new();
        loop {
            match self.next() {
                Line::Heartbeat => {}
                Line::Json(value) if value.get("$position").is_some() => {}
                Line::Json(value) => values.push(value),
                end => return (values, end == Line::End),
            }
        }
    }
}
