//! A body that is a stream of events, each appended as it arrives.
//!
//! At its clean end it is answered 201 `{"count","first","last"}`, where `first` and `last` are ids, or null. A problem
//! has the members `line`, from 1, and `appended`: how many events of this body are in the log. With a key, a line that
//! was appended before is passed over, so that a retry goes on where it stopped.

use super::{json, refuse, refused};
use crate::limits::{Asker, Wait};
use crate::listen::{BodySource, Pace};
use crate::node::Node;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use std::time::Duration;
use switchboard_hub::access::Action;
use switchboard_store::{Append, StreamKey};
use switchboard_wire::code::Problem;
use switchboard_wire::event::{Draft, MediaType};
use switchboard_wire::ndjson::{self, Lines};
use switchboard_wire::sse::decode::{Decoder, SseEvent};
use switchboard_wire::{ChannelName, Code, Kind, Mark};

/// How long a stream that is too fast is kept waiting, at most.
const REST_MAX: Duration = Duration::from_secs(10);
/// Events appended in one step.
const BATCH: usize = 256;
/// Room for what surrounds the data of an event, in bytes.
const AROUND: usize = 4096;

/// How the stream is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// `application/x-ndjson`
    NdJson,
    /// `text/event-stream`
    Sse,
}

impl Format {
    pub(super) fn of(content_type: &str) -> Option<Format> {
        let media_type = MediaType::of(content_type);
        if media_type.is("application/x-ndjson") {
            Some(Format::NdJson)
        } else if media_type.is("text/event-stream") {
            Some(Format::Sse)
        } else {
            None
        }
    }
}

/// What is to be done with the stream.
pub(super) struct Task<'a> {
    pub(super) node: &'a Node,
    pub(super) asker: &'a Asker,
    pub(super) channel: &'a ChannelName,
    pub(super) key: Option<String>,
    /// The channel ends with the stream.
    pub(super) end: bool,
}

/// A problem, and the line it is on.
struct Failure {
    line: u64,
    problem: Problem,
}

#[derive(Serialize)]
struct Sum {
    count: u64,
    first: Option<String>,
    last: Option<String>,
}

impl Task<'_> {
    pub(super) async fn run(self, format: Format, body: &mut impl BodySource) -> Response<Bytes> {
        let mut writer = Writer {
            key: self.key.as_deref().map(|key| StreamKey::new(&self.asker.identity.publisher(), key)),
            task: self,
            waiting: Vec::new(),
            lines: Vec::new(),
            appended: 0,
            wait: Wait::default(),
            first: None,
            last: None,
        };
        let Task { node, asker, channel, .. } = writer.task;
        // Whoever has yet to wait for what they published before begins nothing new.
        let outcome = match node.limits.begin(&asker.allowance, channel, node.now()) {
            Ok(()) => match writer.read(format, body).await {
                Ok(line) => writer.finish(line),
                Err(failure) => Err(failure),
            },
            Err(problem) => Err(Failure { line: 1, problem }),
        };
        outcome.unwrap_or_else(|Failure { line, problem }| {
            refuse(writer.task.node, &problem, &format!(",\"line\":{line},\"appended\":{}", writer.appended))
        })
    }
}

/// Takes events and appends them, several at once where several have arrived.
struct Writer<'a> {
    task: Task<'a>,
    key: Option<StreamKey>,
    waiting: Vec<Append>,
    /// The line of each that waits.
    lines: Vec<u64>,
    appended: u64,
    /// How long until the next may be appended.
    wait: Wait,
    first: Option<Mark>,
    last: Option<Mark>,
}

impl Writer<'_> {
    /// Reads the stream to its clean end and returns the line it ends on. Whatever ends it, what came whole
    /// before that is appended.
    async fn read(&mut self, format: Format, body: &mut impl BodySource) -> Result<u64, Failure> {
        let message = self.task.node.limits.message(self.task.channel);
        let mut reader = match format {
            // JSON may take six bytes to write one, as `\u001b`.
            Format::NdJson => Reader::Lines(Lines::new(message.saturating_mul(6).saturating_add(AROUND))),
            Format::Sse => Reader::Events(Decoder::new(message.saturating_add(AROUND)), Vec::new()),
        };
        let (mut load, mut before) = (self.task.node.limits.transit.arriving.load(), 0);
        loop {
            let piece = if reader.is_within_event() {
                body.piece(Pace::Steady).await
            } else {
                let mut draining = self.task.node.draining.subscribe();
                tokio::select! {
                    biased;
                    // Between two events is a good place to be told that the server stops.
                    _ = draining.wait_for(|draining| *draining) => {
                        return Err(Failure { line: reader.line(), problem: Code::Draining.into() });
                    }
                    piece = body.piece(Pace::Unhurried) => piece,
                }
            };
            let outcome = match &piece {
                Ok(Some(bytes)) => reader.read(bytes, message, &mut |line, draft| self.add(line, draft)),
                Ok(None) => reader.last(message, &mut |line, draft| self.add(line, draft)),
                Err(error) => Err(Failure { line: reader.line(), problem: error.problem() }),
            };
            // Lines before a bad one count.
            self.flush()?;
            outcome?;
            if std::mem::replace(&mut before, reader.line()) != reader.line() {
                body.begin_anew();
            }
            load.resize(reader.held()).map_err(|problem| Failure { line: reader.line(), problem })?;
            self.task.node.pace().await;
            self.rest(reader.line(), body).await?;
            if let Ok(None) = piece {
                return Ok(reader.line());
            }
        }
    }

    /// Waits where events come faster than they may: whoever sends them is hardly read meanwhile. Where that would be
    /// long, they are to come back. Nobody is waited for who has gone: what came of theirs is taken in, and counted.
    async fn rest(&mut self, line: u64, body: &mut impl BodySource) -> Result<(), Failure> {
        let wait = std::mem::take(&mut self.wait);
        if wait.time > REST_MAX {
            return Err(Failure { line, problem: self.task.node.limits.too_fast(wait) });
        }
        if !wait.time.is_zero() {
            let mut draining = self.task.node.draining.subscribe();
            tokio::select! {
                () = tokio::time::sleep(wait.time) => {}
                () = body.gone() => {}
                _ = draining.wait_for(|draining| *draining) => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, line: u64, draft: Draft) -> Result<(), Failure> {
        let key = self.key.as_mut().map(|key| key.line(Some(&draft), false));
        self.waiting.push(Append { channel: self.task.channel.clone(), draft: Some(draft), end: false, key });
        self.lines.push(line);
        if self.waiting.len() < BATCH { Ok(()) } else { self.flush() }
    }

    /// Appends what waits. Where one is refused, those before it are appended.
    fn flush(&mut self) -> Result<(), Failure> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let lines = std::mem::take(&mut self.lines);
        // A stream may go on for long: whoever sends it is to be allowed to at each step.
        let Task { node, asker: Asker { identity, allowance }, channel, .. } = self.task;
        node.auth
            .standing(identity, node.now())
            .and_then(|()| node.auth.allow(identity, Action::Publish, channel))
            .map_err(|problem| Failure { line: lines.first().copied().unwrap_or(1), problem })?;
        let mut count = waiting.len();
        let mut failure = None;
        while count > 0 {
            match self.task.node.log.append(self.task.node.now(), &waiting[..count]) {
                Ok(appended) => {
                    let (first, last) = (appended.first(), appended.last());
                    self.first = self.first.or(first.and_then(|appended| appended.id));
                    self.last = last.and_then(|appended| appended.id).or(self.last);
                    self.appended += count as u64;
                    self.wait = node.limits.spend(allowance, channel, count, node.now());
                    break;
                }
                Err((at, refusal)) => {
                    count = at.min(count - 1);
                    failure = Some(Failure { line: lines[count], problem: refused(refusal) });
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Ends the channel if that was asked for, and answers.
    fn finish(&mut self, line: u64) -> Result<Response<Bytes>, Failure> {
        let Task { node, asker: Asker { identity, .. }, channel, end, .. } = self.task;
        let failure = |refusal| Failure { line, problem: refused(refusal) };
        if end {
            node.auth
                .standing(identity, node.now())
                .and_then(|()| node.auth.allow(identity, Action::Manage, channel))
                .map_err(|problem| Failure { line, problem })?;
            let key = self.key.as_mut().map(|key| key.line(None, true));
            let append = [Append { channel: channel.clone(), draft: None, end: true, key }];
            node.log.append(node.now(), &append).map_err(|(_, refusal)| failure(refusal))?;
        }
        let mut sum = (self.appended, self.first, self.last);
        if let Some(key) = &self.key
            && let Some(known) = node.log.finish(node.now(), channel, key).map_err(failure)?
        {
            sum = (known.count, known.first, known.last);
        }
        let text = |mark: Option<Mark>| mark.map(|mark| mark.to_string());
        Ok(json(StatusCode::CREATED, &Sum { count: sum.0, first: text(sum.1), last: text(sum.2) }))
    }
}

type Sink<'a> = &'a mut dyn FnMut(u64, Draft) -> Result<(), Failure>;

/// Finds events in the bytes of a stream.
enum Reader {
    Lines(Lines),
    Events(Decoder, Vec<SseEvent>),
}

impl Reader {
    fn is_within_event(&self) -> bool {
        match self {
            Reader::Lines(lines) => lines.is_within_line(),
            Reader::Events(decoder, ..) => decoder.is_within_event(),
        }
    }

    /// Bytes held of an event that is not whole.
    fn held(&self) -> usize {
        match self {
            Reader::Lines(lines) => lines.held(),
            Reader::Events(decoder, _) => decoder.held(),
        }
    }

    /// The line that is being read, from 1.
    fn line(&self) -> u64 {
        match self {
            Reader::Lines(lines) => lines.line(),
            Reader::Events(decoder, _) => decoder.line(),
        }
    }

    fn read(&mut self, bytes: &[u8], limit: usize, add: Sink<'_>) -> Result<(), Failure> {
        match self {
            Reader::Lines(lines) => {
                lines.feed(bytes);
                while let Some((line, text)) = lines.next_line().map_err(|long| too_long(long.line, limit))? {
                    add(line, from_line(line, text, limit)?)?;
                }
                Ok(())
            }
            Reader::Events(decoder, events) => {
                let outcome = decoder.feed(bytes, events);
                for event in events.drain(..) {
                    add(event.line, from_event(event, limit)?)?;
                }
                outcome.map_err(|long| too_long(long.line, limit))
            }
        }
    }

    /// The stream has come to its clean end. An event stream has no event there: one without an empty line behind it
    /// is dropped, as EventSource does.
    fn last(&mut self, limit: usize, add: Sink<'_>) -> Result<(), Failure> {
        if let Reader::Lines(lines) = self
            && let Some((line, text)) = lines.last_line()
        {
            add(line, from_line(line, text, limit)?)?;
        }
        Ok(())
    }
}

fn too_long(line: u64, limit: usize) -> Failure {
    let problem = Code::TooLarge.because(format!("an event of the body has more than {limit} bytes of data"));
    Failure { line, problem }
}

fn from_line(line: u64, text: &[u8], limit: usize) -> Result<Draft, Failure> {
    let draft = ndjson::parse_line(text).map_err(|problem| Failure { line, problem })?;
    if draft.data().len() > limit { Err(too_long(line, limit)) } else { Ok(draft) }
}

fn from_event(event: SseEvent, limit: usize) -> Result<Draft, Failure> {
    let line = event.line;
    if event.lossy {
        return Err(Failure { line, problem: Code::InvalidText.into() });
    }
    if event.data.len() > limit {
        return Err(too_long(line, limit));
    }
    // Just the right size: what is published is kept.
    let data = Bytes::from(event.data.into_boxed_str().into_boxed_bytes());
    Draft::new(event.event.as_deref(), Kind::Text, None, data).map_err(|problem| Failure { line, problem })
}
