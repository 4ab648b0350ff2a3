//! `--lines`: a stream of events, as one streamed POST after another.
//!
//! The server acknowledges a POST when it ends, so that what was sent must be kept until then: a lost connection is
//! answered by the same POST again, from its first line, under the same idempotency key, and the server goes on where
//! it stopped. A server that has lost its log has lost the key too and begins anew: the ids show it, and it is told. So
//! that little is kept, a POST ends after so many lines or bytes, or when the input falls quiet.

use super::input::{Encoding, Line, read};
use super::tally::{Acknowledged, Resent, Tally};
use crate::failure::{Failure, note};
use crate::http::{self, Lost, Problem};
use ::http::{Request, Response, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use serde::Deserialize;
use std::convert::Infallible;
use std::io::{BufReader, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use switchboard_client::backoff::Backoff;
use switchboard_client::url::{Server, channel_path, query};
use switchboard_wire::ChannelName;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, sleep, timeout};

/// A POST ends after so many lines,
const BATCH_LINES: usize = 1000;
/// so many bytes,
const BATCH_BYTES: usize = 1 << 20;
/// or so long without a line.
const QUIET: Duration = Duration::from_secs(1);
/// How long an ended POST may remain without an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long the server may be away. Far less than the ten minutes that it keeps keys for.
const PATIENCE: Duration = Duration::from_secs(120);

type Lines = UnboundedReceiver<Result<Line, Failure>>;

/// The answer to a streamed POST.
#[derive(Debug, Deserialize)]
struct Receipt {
    #[serde(default)]
    first: Option<String>,
    #[serde(default)]
    last: Option<String>,
    #[serde(default)]
    position: Option<String>,
}

impl Receipt {
    fn of(self, lines: u64) -> Acknowledged {
        Acknowledged { lines, first: self.first, last: self.last, position: self.position }
    }
}

/// Lines that are not acknowledged yet.
#[derive(Debug)]
struct Batch {
    key: String,
    lines: Vec<Line>,
    bytes: usize,
    /// Lines that the attempt under way has sent.
    sent: usize,
    /// The most that an attempt before it may have brought to a server.
    doubtful: usize,
    /// No line is added any more.
    full: bool,
    /// Why the input ended, if it ended badly.
    failure: Option<Failure>,
}

impl Batch {
    fn new(key: String) -> Batch {
        Batch { key, lines: Vec::new(), bytes: 0, sent: 0, doubtful: 0, full: false, failure: None }
    }

    /// An attempt did not succeed, and yet may have done something.
    fn doubt(&mut self, setback: &Setback) {
        let taken = match setback {
            Setback::Lost(lost) if !lost.connected => 0,
            Setback::Lost(_) => self.sent,
            Setback::Refused(problem) => {
                problem.appended.map_or(self.sent, |appended| usize::try_from(appended).unwrap_or(self.sent))
            }
        };
        self.doubtful = self.doubtful.max(taken);
    }

    fn push(&mut self, line: Result<Line, Failure>) {
        match line {
            Ok(line) => {
                self.bytes += line.item.len();
                self.lines.push(line);
                self.full |= self.lines.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES;
            }
            Err(failure) => {
                self.failure = Some(failure);
                self.full = true;
            }
        }
    }
}

/// Publishes standard input to its end.
pub async fn run(server: &Server, channel: &ChannelName, encoding: Encoding, end: bool) -> Result<(), Failure> {
    let key = random_key()?;
    let publisher = Publisher { server, path: channel_path(channel.as_str()) };
    let mut lines = read(encoding, BufReader::with_capacity(64 << 10, std::io::stdin()));
    let mut tally = Tally::default();
    let outcome = publisher.all(&key, &mut lines, &mut tally).await;
    if let (Err(_), Some(known)) = (&outcome, tally.so_far()) {
        note(&known);
    }
    outcome?;
    if end {
        publisher.end(format!("{key}-end"), &mut tally).await?;
    }
    Ok(writeln!(std::io::stdout(), "{}", tally.sum())?)
}

/// Names this run among all publishers of the channel: 128 random bits.
fn random_key() -> Result<String, Failure> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)
        .map_err(|error| Failure::Usage(format!("the system gives no random numbers: {error}")))?;
    Ok(format!("lines-{:032x}", u128::from_be_bytes(bits)))
}

struct Publisher<'a> {
    server: &'a Server,
    path: String,
}

/// Why an attempt did not succeed.
enum Setback {
    Lost(Lost),
    Refused(Box<Problem>),
}

impl Setback {
    fn sentence(&self) -> String {
        match self {
            Setback::Lost(lost) => lost.sentence.clone(),
            Setback::Refused(problem) => http::told(problem),
        }
    }

    /// What the command ends with where it is the last that is waited for.
    fn given_up(&self) -> Failure {
        let sentence = format!("{}; given up after {} s", self.sentence(), PATIENCE.as_secs());
        match self {
            Setback::Lost(_) => Failure::Unreachable(sentence),
            Setback::Refused(_) => Failure::Refused(sentence),
        }
    }
}

impl Publisher<'_> {
    /// Publishes all lines, batch by batch.
    async fn all(&self, key: &str, lines: &mut Lines, tally: &mut Tally) -> Result<(), Failure> {
        for number in 1u64.. {
            let Some(line) = lines.recv().await else { break };
            let mut batch = Batch::new(format!("{key}-{number}"));
            batch.push(line);
            if !batch.lines.is_empty() {
                self.deliver(&mut batch, lines, tally).await?;
            }
            if let Some(failure) = batch.failure {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Sends the batch, and the lines that come while it is open, until it is acknowledged.
    async fn deliver(&self, batch: &mut Batch, lines: &mut Lines, tally: &mut Tally) -> Result<(), Failure> {
        let mut retry = Retry::new(tally.lines == 0);
        loop {
            match self.attempt(batch, lines).await {
                Ok(receipt) => {
                    let resent = Resent { again: retry.happened(), doubtful: batch.doubtful as u64 };
                    if let Some(said) = tally.add(receipt.of(batch.lines.len() as u64), resent) {
                        note(&said);
                    }
                    return Ok(());
                }
                Err(Setback::Refused(problem)) if !problem.passes() => return Err(refused(&problem, batch)),
                Err(setback) => {
                    batch.doubt(&setback);
                    retry.wait(&setback).await?;
                }
            }
        }
    }

    /// One POST.
    async fn attempt(&self, batch: &mut Batch, lines: &mut Lines) -> Result<Receipt, Setback> {
        let (sender, body) = mpsc::channel(16);
        let request = self.request("", &batch.key, Streamed(body))?;
        let answer = http::send(self.server, request);
        tokio::pin!(answer);
        batch.sent = 0;
        let early = loop {
            while let Some(line) = batch.lines.get(batch.sent) {
                tokio::select! {
                    biased;
                    answer = &mut answer => return self.receipt(answer).await,
                    // A body that nobody reads any more is one whose connection is lost: the answer says how.
                    _ = sender.send(line.item.clone()) => batch.sent += 1,
                }
            }
            if batch.full {
                break None;
            }
            tokio::select! {
                biased;
                answer = &mut answer => break Some(answer),
                line = timeout(QUIET, lines.recv()) => match line {
                    Ok(Some(line)) => batch.push(line),
                    Ok(None) | Err(_) => batch.full = true,
                },
            }
        };
        drop(sender);
        match early {
            Some(answer) => self.receipt(answer).await,
            None => match timeout(ANSWER, answer).await {
                Ok(answer) => self.receipt(answer).await,
                Err(_) => Err(self.lost(format!("{} gave no answer within {} s", self.server, ANSWER.as_secs()))),
            },
        }
    }

    fn request<B>(&self, query: &str, key: &str, body: B) -> Result<Request<B>, Setback> {
        Request::post(self.server.target(&format!("{}{query}", self.path)))
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header("idempotency-key", key)
            .body(body)
            .map_err(|error| self.lost(format!("the request cannot be written: {error}")))
    }

    fn lost(&self, sentence: String) -> Setback {
        Setback::Lost(Lost::connected(sentence))
    }

    async fn receipt(&self, answer: Result<Response<Incoming>, Lost>) -> Result<Receipt, Setback> {
        let response = answer.map_err(Setback::Lost)?;
        if response.status() != 201 {
            return Err(Setback::Refused(Box::new(Problem::read(self.server, response).await)));
        }
        let body = http::body(self.server, response).await.map_err(Setback::Lost)?;
        serde_json::from_slice(&body).map_err(|_| self.lost(format!("{} answered as no Switchboard does", self.server)))
    }

    /// Ends the channel, without a last event.
    async fn end(&self, key: String, tally: &mut Tally) -> Result<(), Failure> {
        let mut retry = Retry::new(false);
        loop {
            let attempt = async {
                let mut request = self.request(&query([("end", "true")]), &key, Full::new(Bytes::new()))?;
                request.headers_mut().remove(header::CONTENT_TYPE);
                self.receipt(http::send(self.server, request).await).await
            };
            match attempt.await {
                Ok(receipt) => {
                    if let Some(said) = tally.add(receipt.of(0), Resent { again: retry.happened(), doubtful: 0 }) {
                        note(&said);
                    }
                    return Ok(());
                }
                Err(Setback::Refused(problem)) if !problem.passes() => {
                    return Err(Failure::Refused(http::told(&problem)));
                }
                Err(setback) => retry.wait(&setback).await?,
            }
        }
    }
}

/// Names the line by its number in the input.
fn refused(problem: &Problem, batch: &Batch) -> Failure {
    let line = problem.line.and_then(|line| batch.lines.get(usize::try_from(line.checked_sub(1)?).ok()?));
    let sentence = http::told(problem);
    Failure::Refused(match line {
        Some(line) => format!("line {}: {sentence}; the lines before it were published", line.number),
        None => match (problem.appended, batch.lines.first()) {
            (Some(appended), Some(first)) => {
                format!("{sentence}; {appended} lines from line {} on were published", first.number)
            }
            _ => sentence,
        },
    })
}

/// Waits between attempts, and loses patience.
struct Retry {
    /// Whether a server that cannot be reached at all ends the command: so it is before the first success.
    strict: bool,
    since: Option<Instant>,
    backoff: Backoff,
}

impl Retry {
    fn new(strict: bool) -> Retry {
        Retry { strict, since: None, backoff: Backoff::default() }
    }

    fn happened(&self) -> bool {
        self.since.is_some()
    }

    async fn wait(&mut self, setback: &Setback) -> Result<(), Failure> {
        if let (true, None, Setback::Lost(lost)) = (self.strict, self.since, setback)
            && !lost.connected
        {
            return Err(Failure::Unreachable(lost.sentence.clone()));
        }
        if self.since.is_none() {
            note(&format!("{}; trying again", setback.sentence()));
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return Err(setback.given_up());
        }
        let asked = match setback {
            Setback::Refused(problem) => problem.retry_after.map(Duration::from_secs),
            Setback::Lost(_) => None,
        };
        sleep(self.backoff.next_wait() + asked.unwrap_or_default().min(PATIENCE)).await;
        Ok(())
    }
}

/// A body of lines as they are sent into a channel; it ends when the sender is dropped.
struct Streamed(mpsc::Receiver<Bytes>);

impl Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_refuses_to_the_last_has_answered() {
        let problem = Problem { status: 503, title: "no room".to_owned(), ..Problem::default() };
        let refused = Setback::Refused(Box::new(problem)).given_up();
        assert_eq!(refused, Failure::Refused("no room (503); given up after 120 s".to_owned()));
        let lost = Setback::Lost(Lost::connected("it is gone")).given_up();
        assert_eq!(lost, Failure::Unreachable("it is gone; given up after 120 s".to_owned()));
    }
}
