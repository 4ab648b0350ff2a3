//! Tokens and API keys, for servers that ask for them.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use switchboard::auth::apikey::{ApiKey, Hash};
use switchboard::auth::keys::{self, Key};
use switchboard::auth::settings::{Secret, Settings};
use switchboard_hub::access::Grants;
use switchboard_wire::Pattern;

/// The secret that [`settings`] knows.
pub const SECRET: &str = "the-secret-of-all-tests-with-32-bytes-and-more";
/// Another, that it does not know.
pub const OTHER_SECRET: &str = "another-secret-of-32-bytes-that-nobody-knows";
/// An API key that may do everything on `a/**`.
pub const API_KEY: &str = "swk_an-api-key-of-tests-for-the-channels-below-a";
/// An API key that may do everything.
pub const MASTER_KEY: &str = "swk_an-api-key-of-tests-for-everything-there-is";
/// The audience that tokens have to name.
pub const AUDIENCE: &str = "tests";

/// Seconds since the Unix epoch, with their fraction.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A token of these claims.
pub fn sign(claims: &Value, secret: &str) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("claims are JSON")
}

/// The claims of a token of `sub` that may do everything on these patterns, for a minute.
pub fn claims(sub: &str, patterns: &[&str]) -> Value {
    let channels = json!({"subscribe": patterns, "publish": patterns, "presence": patterns, "manage": patterns});
    json!({"sub": sub, "aud": AUDIENCE, "exp": now() + 60.0, "iat": now(), "channels": channels})
}

/// A token of `sub` that may do everything on these patterns, for a minute.
pub fn token(sub: &str, patterns: &[&str]) -> String {
    sign(&claims(sub, patterns), SECRET)
}

/// As [`token`], for so long.
pub fn token_for(time: Duration, sub: &str, patterns: &[&str]) -> String {
    let mut claims = claims(sub, patterns);
    claims["exp"] = json!(now() + time.as_secs_f64());
    sign(&claims, SECRET)
}

/// What goes into `Authorization`.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn scope(pattern: &str) -> Grants {
    let patterns = vec![Pattern::new(pattern).expect("a pattern")];
    Grants { subscribe: patterns.clone(), publish: patterns.clone(), presence: patterns.clone(), manage: patterns }
}

/// Settings that know [`SECRET`], [`API_KEY`] and [`MASTER_KEY`], for the audience [`AUDIENCE`], with no skew.
pub fn settings() -> Settings {
    let key = Key::secret(None, keys::Algorithm::HS256, &Secret::new(SECRET.as_bytes())).expect("a strong secret");
    let api_key =
        |name: &str, key: &str, pattern: &str| ApiKey { name: name.into(), hash: Hash::of(key), scope: scope(pattern) };
    Settings {
        keys: vec![key],
        api_keys: vec![api_key("a", API_KEY, "a/**"), api_key("master", MASTER_KEY, "**")],
        audiences: vec![AUDIENCE.to_owned()],
        skew: Duration::ZERO,
        cookie: Some("session".to_owned()),
        ..Settings::default()
    }
}
