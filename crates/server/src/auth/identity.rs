//! Who asks. An identity is made once, from what a request carries, and goes along with what the request opens.

use super::settings::Settings;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use switchboard_hub::access::{Grants, Who};
use switchboard_wire::name::Selection;

/// Somebody, or anyone. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Identity(Option<Arc<Kind>>);

/// What somebody holds.
#[derive(Debug)]
pub(crate) enum Kind {
    Token(Signed),
    Key {
        name: Box<str>,
        /// The key itself, by its hash: several may have one name.
        hash: super::apikey::Hash,
    },
    Welcomed(Welcome),
}

/// What the application says of somebody whom it lets in, in place of what they hold themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Welcome {
    /// What they hold: a token or a key. [`Identity::welcomed`] puts it here.
    pub(crate) held: Option<Arc<Kind>>,
    pub(crate) user: Option<Arc<str>>,
    /// JSON on one line.
    pub(crate) info: Option<Box<str>>,
    pub(crate) grants: Option<Grants>,
    /// What they may read, whatever the rules say.
    pub(crate) subscriptions: Selection,
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
        if let Some(grants) = self.welcome().and_then(|welcome| welcome.grants.as_ref()) {
            return Who::Token(grants);
        }
        match self.kind() {
            // No welcome is held.
            None | Some(Kind::Welcomed(_)) => Who::Anyone,
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

    /// What they hold.
    pub(crate) fn kind(&self) -> Option<&Kind> {
        match self.0.as_deref() {
            Some(Kind::Welcomed(welcome)) => welcome.held.as_deref(),
            held => held,
        }
    }

    /// What the application said of them when it let them in.
    pub(crate) fn welcome(&self) -> Option<&Welcome> {
        match self.0.as_deref() {
            Some(Kind::Welcomed(welcome)) => Some(welcome),
            _ => None,
        }
    }

    /// The same, as the application lets them in.
    pub(crate) fn welcomed(&self, welcome: Welcome) -> Identity {
        let held = match self.0.as_deref() {
            Some(Kind::Welcomed(before)) => before.held.clone(),
            _ => self.0.clone(),
        };
        Identity::of(Kind::Welcomed(Welcome { held, ..welcome }))
    }

    pub(crate) fn signed(&self) -> Option<&Signed> {
        match self.kind() {
            Some(Kind::Token(signed)) => Some(signed),
            _ => None,
        }
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.welcome().and_then(|welcome| welcome.user.as_deref()).or_else(|| self.holder())
    }

    /// Whose token it is, whoever the application says that it is.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.signed()?.user.as_deref()
    }

    /// What holds for them as one of many users; `None` for anyone, and for those who show an API key.
    pub(crate) fn limits(&self) -> Option<Limits> {
        match self.kind() {
            Some(Kind::Token(signed)) => Some(signed.limits),
            None if self.user().is_some() => Some(Limits::default()),
            _ => None,
        }
    }

    /// What others see of the user: JSON on one line, of at most [`switchboard_wire::limits::INFO_MAX`] bytes.
    pub(crate) fn info(&self) -> Option<&str> {
        self.welcome().and_then(|welcome| welcome.info.as_deref()).or_else(|| self.signed()?.info.as_deref())
    }

    pub(crate) fn expires(&self) -> Option<u64> {
        self.signed().map(|signed| signed.expires)
    }

    /// Who publishes, as far as idempotency keys tell publishers apart.
    pub(crate) fn publisher(&self) -> String {
        if let Some(user) = self.welcome().and_then(|welcome| welcome.user.as_deref()) {
            return format!("user {user}");
        }
        match self.kind() {
            None | Some(Kind::Welcomed(_)) => String::new(),
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
            Some(_) => match self.publisher() {
                nobody if nobody.is_empty() => f.write_str("anyone"),
                name => f.write_str(&name),
            },
        }
    }
}
