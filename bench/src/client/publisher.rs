//! A kept-alive connection that publishes, one request at a time.

use super::line::Line;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

/// How a publish is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answers {
    /// By an HTTP response with a length and a status of success.
    Http,
    /// By a line; one that begins with `-` is a refusal, and a `PING` is no answer.
    Line,
}

/// The connection.
#[derive(Debug)]
pub struct Publisher {
    line: Line,
    pub(super) answers: Answers,
    /// When the request that waits for its answer was sent.
    waiting: Option<u64>,
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// The server closed the connection while nothing was asked of it, as HTTP servers do after some seconds.
    pub(super) closed: bool,
    pub(super) address: SocketAddr,
}

impl Publisher {
    /// `waiting`: when something was sent already whose answer must come first.
    pub(super) fn new(line: Line, address: SocketAddr, answers: Answers, waiting: Option<u64>) -> Publisher {
        Publisher { line, answers, waiting, unsent: Vec::new(), received: Vec::new(), closed: false, address }
    }

    /// Whether it waits for no answer.
    pub fn is_free(&self) -> bool {
        self.waiting.is_none()
    }

    /// When the request was sent that waits for its answer, if one does.
    pub fn waits_since(&self) -> Option<u64> {
        self.waiting
    }

    /// Sends a request.
    pub(super) fn send(&mut self, request: &[u8], now: u64) -> Result<(), String> {
        self.waiting = Some(now);
        self.unsent.extend_from_slice(request);
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<(), String> {
        while !self.unsent.is_empty() {
            match self.line.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("publishing: {error}")),
            }
        }
        self.line.flush().map_err(|error| format!("publishing: {error}"))
    }

    /// Reads what has come: when the request was sent whose answer is complete now, if one is.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Result<Option<u64>, String> {
        loop {
            match self.line.read(scratch) {
                Ok(0) if self.waiting.is_none() && self.answers == Answers::Http => {
                    self.closed = true;
                    break;
                }
                Ok(0) => return Err("the server closed the publisher's connection".into()),
                Ok(count) => self.received.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("the publisher's connection: {error}")),
            }
        }
        let answered = match self.answers {
            Answers::Http => response(&mut self.received)?,
            Answers::Line => line(&mut self.received)?,
        };
        Ok(if answered { self.waiting.take() } else { None })
    }
}

/// Whether a whole response was received; takes it away.
fn response(received: &mut Vec<u8>) -> Result<bool, String> {
    let Some(end) = memchr::memmem::find(received, b"\r\n\r\n") else { return Ok(false) };
    let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let whole = end + 4 + length.unwrap_or(0);
    if received.len() < whole {
        return Ok(false);
    }
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        return Err(format!("a publish was refused: {}", String::from_utf8_lossy(&received[..whole]).trim()));
    }
    received.drain(..whole);
    Ok(true)
}

/// Whether a line was received that answers; takes it away.
fn line(received: &mut Vec<u8>) -> Result<bool, String> {
    while let Some(end) = memchr::memchr(b'\n', received) {
        let line = String::from_utf8_lossy(&received[..end]).trim().to_owned();
        received.drain(..=end);
        if line.starts_with('-') {
            return Err(format!("a publish was refused: {line}"));
        }
        if line.starts_with('+') {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_taken_when_it_is_whole() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello".to_vec();
        for cut in 0..whole.len() {
            assert_eq!(response(&mut whole[..cut].to_vec()), Ok(false));
        }
        let mut received = [whole.clone(), b"HTTP".to_vec()].concat();
        assert_eq!(response(&mut received), Ok(true));
        assert_eq!(received, b"HTTP");
        let mut refused = b"HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\nended".to_vec();
        assert!(response(&mut refused).unwrap_err().ends_with("ended"));
    }

    #[test]
    fn a_line_answers_unless_it_says_something_else() {
        assert_eq!(line(&mut b"INFO {}\r\nPING\r\n".to_vec()), Ok(false));
        assert_eq!(line(&mut b"PING\r\n+OK\r\n".to_vec()), Ok(true));
        assert!(line(&mut b"-ERR 'no'\r\n".to_vec()).is_err());
    }
}
