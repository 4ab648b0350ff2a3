//! What this program logs, published line by line as it is logged.

use serde::Serialize;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use switchboard::Publisher;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

/// Where the log is read.
const CHANNEL: &str = "log";
/// Lines that wait to be published; beyond it the newest are dropped, since to log must never wait.
const WAITING: usize = 1000;

/// A line of the log.
#[derive(Clone, Serialize)]
pub(crate) struct Line {
    level: &'static str,
    /// The part of the program that said it.
    target: String,
    text: String,
}

/// Where lines go: a process has one log, however many servers it runs.
static LINES: Mutex<Vec<mpsc::Sender<Line>>> = Mutex::new(Vec::new());

/// Has everything logged from here on, and gives the lines.
pub(crate) fn start() -> mpsc::Receiver<Line> {
    let (sender, receiver) = mpsc::channel(WAITING);
    LINES.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    // Where there is a subscriber already, it stays.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer()));
    receiver
}

/// Publishes lines for as long as there are any.
pub(crate) async fn publish(mut lines: mpsc::Receiver<Line>, publisher: Publisher) {
    while let Some(line) = lines.recv().await {
        // A line about a line that could not be published would be one more of these.
        let _ = publisher.publish(CHANNEL, None, &line).await;
    }
}

/// What takes lines from everything in this program that logs, Switchboard included.
fn layer<S: Subscriber>() -> impl Layer<S> {
    Lines
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let Text { message, fields } = text;
        let metadata = event.metadata();
        let line =
            Line { level: metadata.level().as_str(), target: metadata.target().to_owned(), text: message + &fields };
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|lines| !lines.is_closed());
        for lines in lines.iter() {
            let _ = lines.try_send(line.clone());
        }
    }
}

/// An event's message, and its other fields as `name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
