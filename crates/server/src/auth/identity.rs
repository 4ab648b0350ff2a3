//! Who asks. An identity is made once, from what a request carries, and goes along with what the request opens.

use super::settings::Settings;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use switchboard_hub::access::{Grants, Who};

/// Somebody, or anyone. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Identity(Option<Arc<Kind>>);

/// What somebody holds.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it stands behind a pointer, and a token is what most hold")]
pub(crate) enum Kind {
    Token(Signed),
    Key {
        name: Box<str>,
        /// The key itself, by its hash: several may have one name.
        hash: super::apikey::Hash,
    },
}

/// What a token says of itself.
#[derive(Debug)]
pub(crate) struct Signed {
    /// `jti`
    pub(crate) id: Option<Box<str>>,
    /// `sub`
    pub(crate) user: Option<Box<str>>,
    /// `iat`, in milliseconds since the Unix epoch, as all times here.
    pub(crate) issued: Option<u64>,
    /// `exp`, with the skew that is allowed.
    pub(crate) expires: u64,
    /// The key that signed it: see [`super::keys::Key::print`].
    pub(crate) key: [u8; 32],
    /// Whether that key was fetched.
    pub(crate) fetched: bool,
    /// A hash of what is signed: the token, also where it has no id. (The signature has no part in it, because some
    /// can be written in two ways.)
    pub(crate) print: [u8; 32],
    pub(crate) grants: Grants,
    pub(crate) limits: Limits,
    /// `info`: what others see of the user, as JSON on one line.
    pub(crate) info: Option<Box<str>>,
}

/// What a token says of limits (its claim `limits`), in place of what holds for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub(crate) struct Limits {
    /// Streams and waiting polls at once.
    #[serde(default)]
    pub(crate) streams: Option<usize>,
    /// Events published a second.
    #[serde(default)]
    pub(crate) publishes: Option<u32>,
}

impl Identity {
    pub(crate) fn of(kind: Kind) -> Identity {
        Identity(Some(Arc::new(kind)))
    }

    /// The holder of a token that grants nothing.
    #[cfg(test)]
    pub(crate) fn for_tests(expires: u64) -> Identity {
        Identity::of(Kind::Token(Signed {
            id: None,
            user: None,
            issued: None,
            expires,
            key: [0; 32],
            fetched: false,
            print: [0; 32],
            grants: Grants::default(),
            limits: Limits::default(),
            info: None,
        }))
    }

    /// Who it is to the rules. The scope of an API key is what the settings say at present: a reload may have changed it.
    pub(crate) fn who<'a>(&'a self, settings: &'a Settings) -> Who<'a> {
        match self.kind() {
            None => Who::Anyone,
            Some(Kind::Token(signed)) => Who::Token(&signed.grants),
            Some(Kind::Key { hash, .. }) => {
                let known = settings.api_keys.iter().rfind(|key| key.hash.is(hash));
                known.map_or(Who::Anyone, |key| Who::Key(&key.scope))
            }
        }
    }

    pub(crate) fn is_anyone(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn kind(&self) -> Option<&Kind> {
        self.0.as_deref()
    }

    pub(crate) fn signed(&self) -> Option<&Signed> {
        match self.kind() {
            Some(Kind::Token(signed)) => Some(signed),
            _ => None,
        }
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.signed()?.user.as_deref()
    }

    /// What others see of the user: JSON on one line, of at most [`switchboard_wire::limits::INFO_MAX`] bytes.
    pub(crate) fn info(&self) -> Option<&str> {
        self.signed()?.info.as_deref()
    }

    pub(crate) fn expires(&self) -> Option<u64> {
        self.signed().map(|signed| signed.expires)
    }

    /// Who publishes, as far as idempotency keys tell publishers apart.
    pub(crate) fn publisher(&self) -> String {
        match self.kind() {
            None => String::new(),
            Some(Kind::Key { name, .. }) => format!("key {name}"),
            Some(Kind::Token(Signed { user: Some(user), .. })) => format!("user {user}"),
            Some(Kind::Token(Signed { id: Some(id), .. })) => format!("token {id}"),
            // One of many without a name: it shares keys with no other.
            Some(Kind::Token(Signed { print, .. })) => {
                print.iter().fold("print ".to_owned(), |text, byte| format!("{text}{byte:02x}"))
            }
        }
    }
}

/// For the log: names, and nothing that opens anything.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("anyone"),
            Some(_) => f.write_str(&self.publisher()),
        }
    }
}
