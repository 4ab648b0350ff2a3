//! What ends a connection whose handshake is done.

use rustls::AlertDescription;
use std::fmt;

/// Why a connection ends, and what its peer is told of it, if anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub(super) alert: Option<AlertDescription>,
    why: &'static str,
}

impl Fault {
    /// The peer is to blame, and is told so.
    pub(super) const fn told(alert: AlertDescription, why: &'static str) -> Fault {
        Fault { alert: Some(alert), why }
    }

    /// Nothing more is to be said.
    pub(super) const fn silent(why: &'static str) -> Fault {
        Fault { alert: None, why }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why)
    }
}

impl std::error::Error for Fault {}
