//! Who may do what. The server asks for tokens; this program signs them, as an application's backend does for its users.

use serde::Deserialize;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use switchboard::Config;
use switchboard::application::Pattern;
use switchboard::auth::Settings;
use switchboard::auth::keys::{Algorithm, Key};
use switchboard::auth::settings::Secret;
use switchboard::auth::sign::SigningKey;
use switchboard::config::Presence;
use switchboard_hub::presence::{Track, Tracking};
use switchboard_store::{Class, Policy};

/// Seconds that a token lasts. The client comes for the next one by itself, and the page notices nothing.
const LIFETIME: u64 = 600;

/// How long somebody who left may take to come back before the others are told: a reload takes less.
const AWAY: Duration = Duration::from_secs(2);

/// A secret that lives as long as this program.
pub(crate) struct Access {
    secret: Secret,
    signer: SigningKey,
}

/// What a page asks a token for: who somebody wants to be called. An application of yours would know its users.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Visitor {
    /// Two windows of one name are one member of a channel.
    name: String,
}

impl Access {
    pub(crate) fn new() -> Result<Access, String> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
        let secret = Secret::new(bytes);
        let signer = SigningKey::secret(None, Algorithm::HS256, &secret)?;
        Ok(Access { secret, signer })
    }

    /// The configuration with all that concerns channels: what they hold, who is told of, and who may do what.
    pub(crate) fn config(&self, config: Config, pages: SocketAddr) -> Result<Config, String> {
        let auth = Settings {
            keys: vec![Key::secret(None, Algorithm::HS256, &self.secret)?],
            origins: vec![format!("http://{pages}"), format!("http://localhost:{}", pages.port())],
            ..Settings::default()
        };
        let policy = Policy {
            rules: vec![(pattern("price/*")?, Class::State), (pattern("cursors/*")?, Class::Ephemeral)],
            ..Policy::default()
        };
        let tracked = ["chat/*", "cursors/*"];
        let rules =
            tracked.iter().map(|text| Ok((pattern(text)?, Some(Track::Members)))).collect::<Result<_, String>>()?;
        let presence = Presence { tracking: Tracking { rules }, debounce: AWAY };
        Ok(Config { auth, policy, presence, ..config })
    }

    /// A token for somebody, or why there is none.
    pub(crate) fn token(&self, visitor: &Visitor) -> Result<String, String> {
        let name = visitor.name.trim();
        if name.is_empty() || name.chars().count() > 24 || name.chars().any(char::is_control) {
            return Err("a name has 1 to 24 characters".into());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let everywhere = ["chat/*", "cursors/*", "price/*", "jobs/*", "answers/*", "log"];
        self.signer.sign(&json!({
            "sub": name,
            "iat": now,
            "exp": now + LIFETIME,
            "channels": { "subscribe": everywhere, "publish": ["chat/*", "cursors/*"], "presence": ["chat/*", "cursors/*"] },
        }))
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|bad| format!("{text}: {bad}"))
}
