//! The log: to standard error, for people or for machines.
//!
//! What a machine reads holds records alone, so that what people are told besides the log is a record too then.

use crate::config::value::{Format, Level};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// A record that no level of the log keeps back: why the server does not run. It needs no log that was begun.
pub fn record_failure(sentence: &str) {
    let alone = tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr).finish();
    tracing::subscriber::with_default(alone, || tracing::error!(target: "switchboard", "{sentence}"));
}

/// Begins to write the log. Colours are for terminals alone, and not where `NO_COLOR` is set.
pub fn start(format: Format, level: &Level) {
    // Invariant: the level was parsed when it was read, so that the fallback is never taken.
    let filter = EnvFilter::try_new(&level.0).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Json => builder.json().flatten_event(true).init(),
        Format::Text => {
            let colours =
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
            builder.with_ansi(colours).with_target(false).init();
        }
    }
}
