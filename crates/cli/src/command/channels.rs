//! `switchboard channels`: what channels there are.

use crate::arguments::ServerFlag;
use crate::failure::{Failure, visible};
use crate::http::{self, Problem};
use crate::units;
use ::http::{Request, header};
use bytes::Bytes;
use clap::Args;
use http_body_util::Empty;
use serde::Deserialize;
use serde_json::Value;
use std::io::Write;
use switchboard_client::url::{Server, query};

const MORE: &str = "\
Exit codes: 0 ok, 1 refused by the server, 2 wrong usage, 3 no server answered.

Examples:
  switchboard channels
  switchboard channels --json | jq -r 'select(.readers == 0).channel'";

/// List the channels: who reads them, and what they hold
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct Arguments {
    /// Print a JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerFlag,
}

/// One page of the list. What a row holds besides is passed on by `--json`.
#[derive(Debug, Deserialize)]
struct Page {
    channels: Vec<Value>,
    /// The name after which the next page begins.
    #[serde(default)]
    next: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.server.resolve()?;
    let channels = http::run(all(&server))?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        for channel in &channels {
            writeln!(out, "{channel}")?;
        }
        return Ok(());
    }
    Ok(table(&channels, &mut out)?)
}

async fn all(server: &Server) -> Result<Vec<Value>, Failure> {
    let mut channels = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = page(server, after.as_deref()).await?;
        let empty = page.channels.is_empty();
        channels.extend(page.channels);
        // A page that does not lead on would be asked for again and again.
        if empty || page.next.is_none() || page.next == after {
            return Ok(channels);
        }
        after = page.next;
    }
}

async fn page(server: &Server, after: Option<&str>) -> Result<Page, Failure> {
    let target = server.target(&format!("/api/channels{}", query(after.map(|name| ("after", name)))));
    let request = Request::get(target)
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::Usage(format!("the request cannot be written: {error}")))?;
    let response = http::send(server, request).await?;
    if response.status() != 200 {
        return Err(Failure::Refused(http::told(&Problem::read(server, response).await)));
    }
    let body = http::body(server, response).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Failure::Refused(format!("{server} answered with something else than channels: {error}")))
}

const HEADINGS: [&str; 5] = ["CHANNEL", "CLASS", "READERS", "EVENTS", "BYTES"];

/// Names and classes to the left, numbers to the right.
fn table(channels: &[Value], out: &mut impl Write) -> std::io::Result<()> {
    let rows: Vec<[String; 5]> = channels.iter().map(row).collect();
    let mut widths = HEADINGS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = |cells: [&str; 5]| {
        let [name, class, readers, events, bytes] = cells;
        let [a, b, c, d, e] = widths;
        writeln!(out, "{name:<a$}  {class:<b$}  {readers:>c$}  {events:>d$}  {bytes:>e$}")
    };
    line(HEADINGS)?;
    rows.iter().try_for_each(|row| line(row.each_ref().map(String::as_str)))
}

fn row(channel: &Value) -> [String; 5] {
    let text = |key: &str| visible(channel.get(key).and_then(Value::as_str).unwrap_or("-"));
    let number = |key: &str| channel.get(key).and_then(Value::as_u64);
    let shown = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let bytes = number("bytes").map_or_else(|| "-".to_owned(), units::about);
    // A channel that was never published to has readers and no class.
    let ended = channel.get("ended").and_then(Value::as_bool).unwrap_or(false);
    let class = if ended { format!("{}, ended", text("class")) } else { text("class") };
    [text("channel"), class, shown(number("readers")), shown(number("events")), bytes]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_lines_up() {
        let channels = [
            json!({"channel": "chat/room-1", "class": "history", "readers": 12, "events": 1000, "bytes": 1536}),
            json!({"channel": "new", "readers": 3, "events": 0, "bytes": 0}),
            json!({"channel": "é", "class": "state", "readers": 0, "events": 1, "bytes": 9, "ended": true}),
        ];
        let mut out = Vec::new();
        table(&channels, &mut out).unwrap();
        let expected = "\
CHANNEL      CLASS         READERS  EVENTS    BYTES
chat/room-1  history            12    1000  1.5 KiB
new          -                   3       0      0 B
é            state, ended        0       1      9 B
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
