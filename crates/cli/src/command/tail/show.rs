//! How events are printed.

use super::follow::{Audience, Event};
use crate::failure::{note, visible};
use clap::ValueEnum;
use std::borrow::Cow;
use std::io::{BufWriter, IsTerminal as _, Stdout, Write};
use switchboard_wire::event::from_base64;

/// How events are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// The JSON event, one a line
    Json,
    /// The data alone
    Data,
}

/// Prints to standard output, held back until there is a pause.
pub struct Printer {
    out: BufWriter<Stdout>,
    format: Format,
    colours: bool,
}

impl Printer {
    pub fn new(format: Format) -> Printer {
        let stdout = std::io::stdout();
        let colours = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        Printer { out: BufWriter::with_capacity(64 << 10, stdout), format, colours }
    }
}

impl Audience for Printer {
    fn event(&mut self, event: &Event<'_>, json: &str) -> std::io::Result<()> {
        match self.format {
            Format::Text => self.out.write_all(text(event, self.colours).as_bytes()),
            Format::Json => self.out.write_all(json.as_bytes()),
            Format::Data => self.out.write_all(&data(event)),
        }?;
        self.out.write_all(b"\n")
    }

    fn notice(&mut self, sentence: &str) {
        // What comes before it should be seen before it; a failure shows at the next event.
        let _ = self.out.flush();
        note(sentence);
    }

    fn pause(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// `TIME CHANNEL [TYPE] DATA`. What publishers wrote does not steer the terminal.
fn text(event: &Event<'_>, colours: bool) -> String {
    let (dim, bold, plain) = if colours { ("\x1b[2m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
    let kind = event.event.as_deref().map(|kind| format!(" {bold}[{}]{plain}", visible(kind))).unwrap_or_default();
    let data = match (string(event), event.data, &event.base64) {
        (Some(text), ..) => visible(&text),
        (None, Some(json), _) => visible(json.get()),
        (None, None, Some(base64)) => match from_base64(base64) {
            Some(bytes) => format!("({} bytes of binary data)", bytes.len()),
            None => "(binary data)".to_owned(),
        },
        (None, None, None) => String::new(),
    };
    format!("{dim}{}{plain} {}{kind} {data}", clock(event.time), visible(&event.channel))
}

/// The data as it was published, as far as a JSON event can tell.
fn data(event: &Event<'_>) -> Vec<u8> {
    match (string(event), event.data, &event.base64) {
        (Some(text), ..) => text.into_owned().into_bytes(),
        (None, Some(json), _) => json.get().as_bytes().to_vec(),
        (None, None, Some(base64)) => from_base64(base64).unwrap_or_default().to_vec(),
        (None, None, None) => Vec::new(),
    }
}

/// The data, if it is a string.
fn string<'a>(event: &Event<'a>) -> Option<Cow<'a, str>> {
    let json = event.data?.get();
    json.starts_with('"').then(|| serde_json::from_str::<String>(json).ok().map(Cow::Owned)).flatten()
}

/// The time of day in UTC, of milliseconds since the Unix epoch.
fn clock(time: u64) -> String {
    let seconds = time / 1000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{:03}", time % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> (String, String) {
        let event: Event<'_> = serde_json::from_str(json).unwrap();
        (text(&event, false), String::from_utf8_lossy(&data(&event)).into_owned())
    }

    #[test]
    fn events_are_shown_to_people_and_to_programs() {
        let cases = [
            (r#"{"id":"1","channel":"a/b","data":"hi\nyou","time":3723004}"#, "01:02:03.004 a/b hi\nyou", "hi\nyou"),
            (
                r#"{"id":"1","channel":"a","event":"x","data":{"n": 1.0},"time":0}"#,
                "00:00:00.000 a [x] {\"n\": 1.0}",
                "{\"n\": 1.0}",
            ),
            (r#"{"id":"1","channel":"a","base64":"aGk=","time":0}"#, "00:00:00.000 a (2 bytes of binary data)", "hi"),
            (r#"{"id":"1","channel":"a","data":"\u001b[2J","time":0}"#, "00:00:00.000 a \\u{1b}[2J", "\u{1b}[2J"),
            (r#"{"id":"1","channel":"a","data":null,"time":0}"#, "00:00:00.000 a null", "null"),
        ];
        for (json, text, data) in cases {
            assert_eq!(event(json), (text.to_owned(), data.to_owned()), "{json}");
        }
    }
}
