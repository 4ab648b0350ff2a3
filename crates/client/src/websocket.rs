//! A WebSocket to a server (RFC 6455), over its HTTP connection.

use crate::http::{self, Lost, plain};
use crate::url::Server;
use ::http::{Request, Response};
use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::Empty;
use hyper::body::Incoming as Body;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use switchboard_wire::websocket::deflate::Inflaters;
use switchboard_wire::websocket::handshake::Offer;
use switchboard_wire::websocket::header::Opcode;
pub use switchboard_wire::websocket::message::Incoming;
use switchboard_wire::websocket::message::{Limits, Reader};
use switchboard_wire::websocket::{Role, close, write};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

/// Bytes read at a time.
const BUFFER: usize = 64 << 10;

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    reading: ReadHalf<TokioIo<Upgraded>>,
    writing: WriteHalf<TokioIo<Upgraded>>,
    reader: Reader,
    inflaters: Inflaters,
    input: Vec<u8>,
    read: VecDeque<Incoming>,
    out: BytesMut,
}

/// What became of a handshake.
#[derive(Debug)]
pub enum Handshake {
    Open(Box<Socket>),
    /// The server answered otherwise.
    Answered(Box<Response<Body>>),
    /// It switched to something else than was asked for.
    Foul(String),
}

/// Shakes hands. `protocols` are the subprotocols on offer; where there are any, one has to be chosen. Messages of up to
/// `most` bytes are taken.
pub async fn open(server: &Server, target: String, protocols: &[&str], most: usize) -> Result<Handshake, Lost> {
    let mut random = [0; 16];
    if let Err(error) = getrandom::fill(&mut random) {
        return Ok(Handshake::Foul(format!("the system gives no random numbers: {error}")));
    }
    let offer = Offer::new(random, protocols, true);
    let request = Request::get(target);
    let request = offer.fields().into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let request = match request.body(Empty::<Bytes>::new()) {
        Ok(request) => request,
        Err(error) => return Ok(Handshake::Foul(format!("the request cannot be written: {error}"))),
    };
    let response = http::send(server, request).await?;
    if response.status() != 101 {
        return Ok(Handshake::Answered(Box::new(response)));
    }
    let headers: Vec<_> = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let agreed = match offer.check(101, headers.into_iter()) {
        Ok(agreed) if agreed.protocol.is_none() && !protocols.is_empty() => {
            return Ok(Handshake::Foul("the server chose none of the subprotocols".to_owned()));
        }
        Ok(agreed) => agreed.deflate.is_some(),
        Err(problem) => return Ok(Handshake::Foul(problem.detail.into_owned())),
    };
    let upgraded = hyper::upgrade::on(response).await;
    let upgraded = upgraded.map_err(|error| Lost::connected(http::explain(server, &error)))?;
    let (reading, writing) = tokio::io::split(TokioIo::new(upgraded));
    let limits = Limits { message: most, ..Limits::default() };
    Ok(Handshake::Open(Box::new(Socket {
        reading,
        writing,
        reader: Reader::new(Role::Client, agreed, limits),
        inflaters: Inflaters::new(),
        input: vec![0; BUFFER],
        read: VecDeque::new(),
        out: BytesMut::new(),
    })))
}

impl Socket {
    /// The next message or control frame; meanwhile what was said is sent. Pings are answered, and given as well: they
    /// show that the server lives. It may be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Result<Incoming, String> {
        loop {
            if let Some(incoming) = self.ready() {
                return Ok(incoming);
            }
            let lost = |error: std::io::Error| format!("the connection was lost: {}", plain(&error));
            tokio::select! {
                read = self.reading.read(&mut self.input) => match read.map_err(lost)? {
                    0 => return Err("the server dropped the connection".to_owned()),
                    taken => self.take(taken)?,
                },
                written = self.writing.write(&self.out), if !self.out.is_empty() => {
                    self.out.advance(written.map_err(lost)?);
                    if self.out.is_empty() {
                        self.writing.flush().await.map_err(lost)?;
                    }
                }
            }
        }
    }

    /// The next of what has arrived already.
    pub fn ready(&mut self) -> Option<Incoming> {
        let incoming = self.read.pop_front()?;
        if let Incoming::Ping(payload) = &incoming {
            let mut frame = Vec::new();
            write::write_pong(payload, Some(mask()), &mut frame);
            self.out.extend_from_slice(&frame);
        }
        Some(incoming)
    }

    fn take(&mut self, taken: usize) -> Result<(), String> {
        let mut input = &mut self.input[..taken];
        loop {
            match self.reader.read(&mut input, &mut self.inflaters) {
                Ok(Some(incoming)) => self.read.push_back(incoming),
                Ok(None) => return Ok(()),
                Err(problem) => {
                    let mut frame = Vec::new();
                    close::write_failure(&problem, Some(mask()), &mut frame);
                    self.out.extend_from_slice(&frame);
                    return Err(format!("the server breaks the WebSocket protocol: {}", problem.detail));
                }
            }
        }
    }

    /// Says a text message: it is sent while the next is waited for.
    pub fn say(&mut self, text: &[u8]) {
        let mut frame = Vec::with_capacity(text.len() + 14);
        write::write_message(Opcode::Text, text, Some(mask()), &mut frame);
        self.out.extend_from_slice(&frame);
    }

    /// Bytes that were said and not sent yet.
    pub fn unsent(&self) -> usize {
        self.out.len()
    }

    /// Answers a close frame, or closes with this code, and sends what was said before.
    pub async fn close(&mut self, received: Option<&close::Close>, code: u16) {
        let mut frame = Vec::new();
        match received {
            Some(received) => close::write_answer(received, Some(mask()), &mut frame),
            None => close::write_close(code, "", Some(mask()), &mut frame),
        }
        self.out.extend_from_slice(&frame);
        // A connection that is lost is closed as well.
        let _ = self.writing.write_all(&self.out).await;
        let _ = self.writing.flush().await;
        self.out.clear();
    }
}

/// A new mask key (RFC 6455 section 5.3). What is masked here was chosen by the server or by this side, never by a third
/// party, so that a fast generator does.
fn mask() -> [u8; 4] {
    fastrand::u32(..).to_be_bytes()
}
