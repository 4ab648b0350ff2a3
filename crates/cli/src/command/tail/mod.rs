//! `switchboard tail`: follows channels, whatever happens to the connection.

mod follow;
mod poll;
mod show;
mod sse;
mod stream;
mod websocket;

use crate::arguments::ServerFlag;
use crate::failure::{Failure, note};
use crate::http::{self, Lost, Problem};
use ::http::{Request, Response, header};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use follow::{Audience, Follow};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use show::{Format, Printer};
use std::time::Duration;
use switchboard_client::backoff::Backoff;
use switchboard_client::url::{Server, query};
use switchboard_wire::name::Selection;
use tokio::time::{sleep, timeout};

const MORE: &str = "\
A channel may be a pattern: * stands for one segment, ** for any number; put it in quotes, or the shell will read it. \
Positions are the ids of events; tail says on Ctrl-C where it stopped.

A lost connection is taken up at the last position, after a wait that grows from half a second to 20 s. What the server \
no longer holds is told on standard error, never skipped in silence.

Formats: text is `TIME CHANNEL [TYPE] DATA`, with times in UTC; json is the JSON event, one a line; data is the data \
alone, each with a line break after it.

Exit codes: 0 the channel ended, or --limit was reached; 1 refused by the server; 2 wrong usage; 3 no server answered; \
130 stopped by Ctrl-C.

Examples:
  switchboard tail hello
  switchboard tail 'chat/**' alerts --since earliest --format json
  switchboard tail logs/build --since earliest --data > build.log";

/// Follow channels: print events as they come
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct Arguments {
    /// Channels or patterns, such as chat/room-1 or 'chat/**'
    #[arg(required = true, value_name = "CHANNEL")]
    channels: Vec<String>,
    /// Where to begin: a position, `earliest` or `latest` [default: latest, and the newest event of a state channel]
    #[arg(long, value_name = "POSITION")]
    since: Option<String>,
    /// How the events travel: sse, stream, poll or websocket [default: stream]
    #[arg(long, value_enum, default_value_t = Transport::Stream, hide_possible_values = true, hide_default_value = true)]
    transport: Transport,
    /// How they are printed: text, json or data [default: text]
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true, hide_default_value = true)]
    format: Format,
    /// Print the data alone, as --format data does
    #[arg(long, conflicts_with = "format")]
    data: bool,
    /// Stop after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    server: ServerFlag,
}

/// How events travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Transport {
    /// Server-Sent Events
    Sse,
    /// A line of JSON for each event
    Stream,
    /// Long polls, a page at a time
    Poll,
    /// A WebSocket
    Websocket,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Transport::Sse => "sse",
            Transport::Stream => "stream",
            Transport::Poll => "poll",
            Transport::Websocket => "websocket",
        }
    }
}

/// A stream on which nothing comes for so long, not even a heartbeat, is dead. A server that is told to beat more
/// slowly is merely connected to again, at the same position.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest line or message, in bytes: what a server may be told to take, and then some.
const MESSAGE_MAX: usize = 256 << 20;

/// Why one connection is no more.
enum Cut {
    /// Connect again.
    Lost { sentence: String, connected: bool, wait: Option<Duration> },
    /// Give up.
    Failed(Failure),
}

impl From<Lost> for Cut {
    fn from(lost: Lost) -> Cut {
        Cut::Lost { sentence: lost.sentence, connected: lost.connected, wait: None }
    }
}

impl From<Failure> for Cut {
    fn from(failure: Failure) -> Cut {
        Cut::Failed(failure)
    }
}

fn cut(sentence: impl Into<String>) -> Cut {
    Cut::Lost { sentence: sentence.into(), connected: true, wait: None }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let server = arguments.server.resolve()?;
    let mut selection = Selection::default();
    for channel in &arguments.channels {
        selection.add(channel).map_err(|bad| Failure::Usage(format!("`{channel}` is not a channel: {bad}")))?;
    }
    for hint in arguments.channels.iter().filter_map(|channel| partial_wildcard(channel)) {
        note(&hint);
    }
    let format = if arguments.data { Format::Data } else { arguments.format };
    let mut follow = Follow::new(selection, arguments.since.clone(), arguments.limit);
    let link = Link { server: &server, channels: &arguments.channels, transport: arguments.transport };
    http::run(async {
        let mut printer = Printer::new(format);
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {}
            result = link.follow(&mut follow, &mut printer) => return result,
        }
        if let Some(position) = follow.position() {
            note(&format!("stopped; --since {position} goes on from here"));
        }
        Err(Failure::Interrupted(2))
    })
}

/// A `*` that shares its segment is an ordinary character, and seldom meant as one.
fn partial_wildcard(channel: &str) -> Option<String> {
    let ordinary = |segment: &str| segment.contains('*') && segment != "*" && segment != "**";
    channel.split('/').any(ordinary).then(|| {
        format!(
            "`{channel}`: `*` within a segment is an ordinary character; patterns take whole segments, as `p/*` or `**`"
        )
    })
}

/// What is read, and from whom.
struct Link<'a> {
    server: &'a Server,
    channels: &'a [String],
    transport: Transport,
}

impl Link<'_> {
    /// Reads until there is nothing more to come.
    async fn follow(&self, follow: &mut Follow, audience: &mut dyn Audience) -> Result<(), Failure> {
        let mut backoff = Backoff::default();
        loop {
            let received = follow.received();
            let end = match self.transport {
                Transport::Stream => stream::read(self, follow, audience).await,
                Transport::Poll => poll::read(self, follow, audience).await,
                Transport::Sse => sse::read(self, follow, audience).await,
                Transport::Websocket => websocket::read(self, follow, audience).await,
            };
            let (sentence, connected, wait) = match end {
                Ok(()) => return Ok(()),
                Err(Cut::Failed(failure)) => return Err(failure),
                Err(Cut::Lost { sentence, connected, wait }) => (sentence, connected, wait),
            };
            if !connected && follow.received() == 0 {
                return Err(Failure::Unreachable(sentence));
            }
            if follow.received() > received {
                backoff.reset();
            }
            follow.lost(&sentence, audience);
            sleep(backoff.next_wait() + wait.unwrap_or_default().min(Duration::from_secs(60))).await;
        }
    }

    /// The request target, at the position reached. `more` are further parameters.
    fn target(&self, since: Option<&str>, more: &[(&str, &str)]) -> String {
        let channels = self.channels.iter().map(|channel| ("channel", channel.as_str()));
        let pairs = channels.chain([("form", "event"), ("transport", self.transport.name())]);
        let pairs = pairs.chain(since.map(|since| ("since", since))).chain(more.iter().copied());
        self.server.target(&format!("/channels{}", query(pairs)))
    }

    /// Opens a streaming answer; `None` where everything has ended already.
    async fn open(&self, accept: &str, since: Option<&str>) -> Result<Option<Response<Incoming>>, Cut> {
        let request = Request::get(self.target(since, &[])).header(header::ACCEPT, accept);
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| bad_request(&error))?;
        let response = timeout(SILENCE, http::send(self.server, request)).await.map_err(|_| silent())??;
        match response.status().as_u16() {
            200 => Ok(Some(response)),
            204 => Ok(None),
            _ => Err(self.refusal(response).await),
        }
    }

    /// An answer that is not the one hoped for: whether to try again is the server's to say.
    async fn refusal(&self, response: Response<Incoming>) -> Cut {
        let problem = Problem::read(self.server, response).await;
        if problem.passes() {
            let wait = problem.retry_after.map(Duration::from_secs);
            return Cut::Lost { sentence: http::told(&problem), connected: true, wait };
        }
        Cut::Failed(Failure::Refused(http::told(&problem)))
    }

    /// The next bytes of a streaming body; `None` at its end.
    async fn bytes(&self, body: &mut Incoming) -> Result<Option<Bytes>, Cut> {
        loop {
            let frame = timeout(SILENCE, body.frame()).await.map_err(|_| silent())?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(cut(http::explain(self.server, &error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

fn silent() -> Cut {
    cut(format!("nothing was heard from the server for {} s", SILENCE.as_secs()))
}

fn bad_request(error: &::http::Error) -> Cut {
    Cut::Failed(Failure::Usage(format!("the request cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::partial_wildcard;

    #[test]
    fn a_wildcard_within_a_segment_is_hinted_at() {
        for hinted in ["p*", "a/*b/c", "a/***"] {
            assert!(partial_wildcard(hinted).is_some_and(|hint| hint.contains("whole segments")), "{hinted}");
        }
        for plain in ["p", "p/*", "**", "a/*/b/**"] {
            assert_eq!(partial_wildcard(plain), None, "{plain}");
        }
    }
}
