//! How a command fails: a sentence for a person, a code for a script.

use std::fmt::Write as _;
use std::process::ExitCode;
pub use switchboard_client::http::plain;

/// Why a command ends badly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The server answered, and the answer was no; or it told something that ends the command. Exit code 1.
    Refused(String),
    /// The command, its input or its configuration is wrong. Exit code 2, as for an unknown flag.
    Usage(String),
    /// No server answered. Exit code 3.
    Unreachable(String),
    /// Interrupted: 128 and the signal's number, as shells count.
    Interrupted(u8),
    /// Told already, as a record of the log: the exit code alone is left.
    Recorded(u8),
    /// Whoever read the output went away (`| head`): nothing to say, and nobody to say it to.
    Closed,
}

impl Failure {
    /// Tells the person, and says how to exit.
    pub fn tell(&self) -> ExitCode {
        match self {
            Failure::Refused(sentence) | Failure::Usage(sentence) | Failure::Unreachable(sentence) => note(sentence),
            Failure::Interrupted(_) | Failure::Recorded(_) | Failure::Closed => {}
        }
        ExitCode::from(self.code())
    }

    /// Tells it as a record of the log, where machines read what is told.
    pub fn record(self) -> Failure {
        match &self {
            Failure::Refused(sentence) | Failure::Usage(sentence) | Failure::Unreachable(sentence) => {
                crate::log::record_failure(sentence);
                Failure::Recorded(self.code())
            }
            Failure::Interrupted(_) | Failure::Recorded(_) | Failure::Closed => self,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Failure::Refused(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unreachable(_) => 3,
            Failure::Interrupted(signal) => 128 + signal,
            Failure::Recorded(code) => *code,
            Failure::Closed => 0,
        }
    }
}

/// What writing to standard output came to.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Refused(format!("standard output cannot be written to: {}", plain(&error))),
        }
    }
}

/// Tells the person something on standard error. The text may come from the network, so that what would steer a
/// terminal is made visible.
pub fn note(sentence: &str) {
    eprintln!("switchboard: {}", visible(sentence));
}

/// The text with its control characters written out, but for line breaks and tabs.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_the_network_steers_the_terminal() {
        assert_eq!(visible("a\x1b[2Jb\n\tc\u{9b}"), "a\\u{1b}[2Jb\n\tc\\u{9b}");
    }
}
