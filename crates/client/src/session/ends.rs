//! How the server ends a connection, and what is to be done then.

use serde::Deserialize;
use switchboard_wire::code::TABLE;
use switchboard_wire::websocket::close::Close;

/// Closes that leave the session where it is: one because of a message, without which it goes on, and one because another
/// connection has taken it over, of which the next is told what becomes of it.
const HARMLESS: [u16; 2] = [1009, 4409];

/// Why the server closes a connection.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Closing {
    /// A name of the protocol's table of errors.
    pub code: String,
    pub reason: String,
    /// Whether there is a point in coming back.
    pub reconnect: bool,
}

/// What is to be done after the server has closed a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Come back, to the same session if it is still there.
    Again,
    /// Come back with another token, to a new session.
    Anew,
    /// There is no point.
    Over,
}

impl Closing {
    /// What the close of a WebSocket says before which nothing was said. `None` where it does not speak against coming back.
    pub fn of(close: &Close) -> Option<Closing> {
        let code = close.code.filter(|code| !HARMLESS.contains(code))?;
        let row = TABLE.iter().map(|(_, row)| row).find(|row| row.close == code).filter(|row| !row.reconnect)?;
        let (code, reason) = (row.name.to_owned(), close.reason.to_string());
        Some(Closing { code, reason, reconnect: row.name == "not_found" })
    }

    /// What to do then. `renews`: there may be a newer token than the one that was shown.
    pub fn next(&self, renews: bool) -> Next {
        match self.code.as_str() {
            // The next connection is told what becomes of it.
            "stale_attempt" => Next::Again,
            _ if self.reconnect => Next::Again,
            // A close code alone says no more than the first.
            "unauthorized" | "token_expired" | "token_revoked" if renews => Next::Anew,
            _ => Next::Over,
        }
    }
}
