//! `switchboard publish`: an event, or lines as they come.

mod input;
mod lines;
mod tally;

use crate::arguments::ServerFlag;
use crate::failure::{Failure, note, plain};
use crate::http::{self, Lost, Problem};
use ::http::{Request, header};
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use input::Encoding;
use serde::Deserialize;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use switchboard_client::url::{Server, channel_path, query};
use switchboard_wire::ChannelName;

const MORE: &str = "\
Without DATA and --file, the event is all of standard input, byte for byte. With --end and neither, the channel ends \
without a last event. The data is text if it is UTF-8, else binary, unless --json or --type says what it is.

--lines publishes each line of standard input as soon as it is there, as text, or as JSON with --json. A lost \
connection is taken up where it stopped, and no line is lost or doubled while the server keeps its log: up to 64 MiB of \
lines that are not yet acknowledged are kept (beyond that standard input is left unread), the server acknowledges every \
1,000 lines, 1 MiB or second of quiet, and after two minutes without a server the command gives up. A server that keeps \
its log in memory loses it when it stops: lines it had acknowledged are gone with it, and those not yet acknowledged are \
sent to the new one, so that who read them before sees them twice. How many is told on standard error.

Prints the id of the event; with --lines how many there were, and the ids of the first and the last in the log that the \
server has now.
Exit codes: 0 ok, 1 refused by the server, 2 wrong usage or input, 3 no server answered.

Examples:
  switchboard publish hello 'Hello!'
  switchboard publish chat/room-1 --event joined --json '{\"who\":\"ada\"}'
  switchboard publish camera --type image/jpeg --file photo.jpg
  make 2>&1 | switchboard publish logs/build --lines --end";

/// Publish an event, or lines as they come
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct Arguments {
    /// The channel, such as chat/room-1
    channel: String,
    /// The data of the event [default: standard input]
    #[arg(conflicts_with_all = ["file", "lines"], allow_negative_numbers = true)]
    data: Option<String>,
    /// The event's type, which EventSource listeners select by
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,
    /// The content type of the data
    #[arg(long = "type", value_name = "MIME")]
    content_type: Option<String>,
    /// The data is JSON; with --lines, each line is
    #[arg(long, conflicts_with = "content_type")]
    json: bool,
    /// Read the data from a file; - is standard input
    #[arg(long, value_name = "PATH", conflicts_with = "lines")]
    file: Option<PathBuf>,
    /// End the channel after this event, or without one if there is none
    #[arg(long)]
    end: bool,
    /// Publish once however often this is repeated: the server keeps the key for 10 minutes or more
    #[arg(long, value_name = "KEY", conflicts_with = "lines")]
    key: Option<String>,
    /// Publish each line of standard input as it comes
    #[arg(long)]
    lines: bool,
    #[command(flatten)]
    server: ServerFlag,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let server = arguments.server.resolve()?;
    let channel = ChannelName::new(&arguments.channel)
        .map_err(|bad| Failure::Usage(format!("`{}` is not a channel: {bad}", arguments.channel)))?;
    if arguments.lines {
        let encoding = Encoding { event: arguments.event, content_type: arguments.content_type, json: arguments.json };
        return http::run(lines::run(&server, &channel, encoding, arguments.end));
    }
    let data = arguments.read()?;
    let receipt = http::run(publish(&server, &channel, &arguments, data))?;
    match receipt.id {
        Some(id) => Ok(writeln!(std::io::stdout(), "{id}")?),
        None => Ok(()),
    }
}

impl Arguments {
    /// The data of the one event.
    fn read(&self) -> Result<Bytes, Failure> {
        let data = match (&self.data, &self.file) {
            (Some(data), _) => data.clone().into_bytes(),
            (None, Some(path)) if path.as_os_str() != "-" => std::fs::read(path)
                .map_err(|error| Failure::Usage(format!("{} cannot be read: {}", path.display(), plain(&error))))?,
            (None, None) if self.end => return Ok(Bytes::new()),
            (None, _) => read_stdin()?,
        };
        if self.json
            && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&data)
        {
            return Err(Failure::Usage(format!("the data is not JSON: {error}")));
        }
        Ok(data.into())
    }
}

fn read_stdin() -> Result<Vec<u8>, Failure> {
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        note("type the event; Ctrl-D on a line of its own publishes it");
    }
    let mut data = Vec::new();
    stdin
        .read_to_end(&mut data)
        .map_err(|error| Failure::Usage(format!("standard input cannot be read: {}", plain(&error))))?;
    Ok(data)
}

/// What the server says of an event it appended. Without an id the channel ended without a last event.
#[derive(Debug, Deserialize)]
struct Receipt {
    #[serde(default)]
    id: Option<String>,
}

async fn publish(server: &Server, channel: &ChannelName, what: &Arguments, data: Bytes) -> Result<Receipt, Failure> {
    let pairs = [what.event.as_deref().map(|event| ("event", event)), what.end.then_some(("end", "true"))];
    let target = server.target(&format!("{}{}", channel_path(channel.as_str()), query(pairs.into_iter().flatten())));
    let mut request = Request::post(target);
    match (&what.content_type, what.json) {
        (Some(mime), _) => request = request.header(header::CONTENT_TYPE, mime),
        (None, true) => request = request.header(header::CONTENT_TYPE, "application/json"),
        (None, false) => {}
    }
    if let Some(key) = &what.key {
        request = request.header("idempotency-key", key);
    }
    let request = request
        .body(Full::new(data))
        .map_err(|_| Failure::Usage("--type or --key holds a character that no header can carry".to_owned()))?;
    let doubt = |lost: Lost| match (lost.connected, &what.key) {
        (true, None) => Failure::Unreachable(format!(
            "{}; the event may have been published all the same. With --key, publishing it again is safe",
            lost.sentence
        )),
        _ => Failure::from(lost),
    };
    let response = http::send(server, request).await.map_err(doubt)?;
    if response.status() != 201 {
        return Err(Failure::Refused(http::told(&Problem::read(server, response).await)));
    }
    let body = http::body(server, response).await.map_err(doubt)?;
    serde_json::from_slice(&body)
        .map_err(|_| Failure::Refused(format!("{server} answered as no Switchboard does; look what listens there")))
}
