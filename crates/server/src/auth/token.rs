//! Tokens: JSON Web Tokens (RFC 7519) in the compact form of RFC 7515, signed. The signature is a library's matter; what
//! a token may say, and who is asked for a key, is decided here. Time is an argument.

use super::identity::{Limits, Signed};
use super::keys::Key;
use super::settings::Settings;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use switchboard_hub::access::{Action, Grants};
use switchboard_wire::code::Problem;
use switchboard_wire::limits::INFO_MAX;
use switchboard_wire::{Code, Pattern};

/// What stands for the token's own `sub` in its patterns.
const SUB: &str = "{sub}";
/// Longest `sub`, `jti` and `kid`, in bytes.
const NAME_MAX: usize = 255;
/// Patterns that a token names for one action.
const PATTERNS_MAX: usize = 256;
/// Keys tried for a token that does not say which.
const TRIES: usize = 8;

/// Why a token is refused.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No key is known by the token's `kid`: there may be one where keys are fetched from.
    UnknownKey,
    Refused(Problem),
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Fault {
        Fault::Refused(problem)
    }
}

/// Nothing of a token is ever said: only what is wrong with it.
fn refused(why: &'static str) -> Fault {
    Fault::Refused(Code::Unauthorized.because(format!("the token was refused: {why}")))
}

/// What a token says of its signature. `jku`, `jwk`, `x5u` and `x5c` are for nobody here: keys come from the
/// configuration alone.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515 section 4.1.11), and none is.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Several {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    aud: Option<Several>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    jti: Option<String>,
    /// Seconds since the Unix epoch, whole or not (RFC 7519 section 2, NumericDate).
    exp: Option<f64>,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    channels: Channels,
    #[serde(default)]
    limits: Limits,
    /// Any JSON, as written.
    #[serde(default)]
    info: Option<Box<RawValue>>,
}

#[derive(Deserialize, Default)]
struct Channels {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    presence: Vec<String>,
    #[serde(default)]
    manage: Vec<String>,
}

/// The parts of a token, decoded and not yet believed.
struct Parts<'a> {
    /// What is signed: header and payload as they were sent.
    message: &'a str,
    signature: &'a str,
    header: Header,
    payload: String,
}

fn split(text: &str) -> Result<Parts<'_>, Fault> {
    let (message, signature) = text.rsplit_once('.').ok_or_else(|| refused("it is not a signed JWT"))?;
    let (header, payload) = message.split_once('.').ok_or_else(|| refused("it is not a signed JWT"))?;
    // RFC 7519 section 7.2. A JSON reader would look into what it needs alone.
    let decode = |part: &str| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| refused("a part of it is not base64url"))?;
        String::from_utf8(bytes).map_err(|_| refused("a part of it is not UTF-8"))
    };
    let header: Header = serde_json::from_str(&decode(header)?).map_err(|_| refused("its header cannot be read"))?;
    if header.crit {
        return Err(refused("its header has `crit`, and no extension is known here"));
    }
    Ok(Parts { message, signature, header, payload: decode(payload)? })
}

/// The key that a token was signed with, among those known.
fn signer<'a>(parts: &Parts<'_>, keys: &'a [Key]) -> Result<&'a Key, Fault> {
    let named = |key: &&Key| match (&parts.header.kid, key.id()) {
        (Some(kid), Some(id)) => kid == id,
        // A key that is not told from others by an id is for all that fit.
        (_, None) | (None, _) => true,
    };
    let mut known = keys.iter().filter(named).peekable();
    if known.peek().is_none() {
        return Err(match parts.header.kid {
            Some(_) => Fault::UnknownKey,
            None => refused("no key is known to check it with"),
        });
    }
    let mut fitting = known.filter(|key| key.algorithm().name() == parts.header.alg).take(TRIES).peekable();
    if fitting.peek().is_none() {
        return Err(refused("its `alg` is not that of the key"));
    }
    let unnamed = parts.header.kid.as_deref().is_some_and(|kid| keys.iter().all(|key| key.id() != Some(kid)));
    match fitting.find(|key| key.verifies(parts.message, parts.signature)) {
        Some(key) => Ok(key),
        // Keys without an id were tried for want of a better one.
        None if unnamed => Err(Fault::UnknownKey),
        None => Err(refused("its signature is not that of a known key")),
    }
}

/// Milliseconds of a date in seconds. A date that no clock shows is the nearest that one does.
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

/// Checks a token and tells who holds it. `now` is in milliseconds since the Unix epoch.
pub(crate) fn check(text: &str, settings: &Settings, keys: &[Key], now: u64) -> Result<Signed, Fault> {
    if text.len() > settings.token_bytes {
        return Err(refused("it is longer than a token may be"));
    }
    let parts = split(text)?;
    let key = signer(&parts, keys)?;
    let Read { claims, expires, grants, info } = read(&parts, settings, now)?;
    Ok(Signed {
        id: claims.jti.map(Into::into),
        user: claims.sub.map(Into::into),
        issued: claims.iat.map(milliseconds),
        expires,
        key: key.print(),
        fetched: key.is_fetched(),
        print: Sha256::digest(parts.message).into(),
        grants,
        limits: claims.limits,
        info,
    })
}

/// Checks what a token says, whoever signed it.
pub(crate) fn check_claims(text: &str, settings: &Settings, now: u64) -> Result<(), Fault> {
    if text.len() > settings.token_bytes {
        return Err(refused("it is longer than a token may be"));
    }
    read(&split(text)?, settings, now).map(drop)
}

/// What a token says that may say it.
struct Read {
    claims: Claims,
    /// With the skew that is allowed.
    expires: u64,
    grants: Grants,
    info: Option<Box<str>>,
}

fn read(parts: &Parts<'_>, settings: &Settings, now: u64) -> Result<Read, Fault> {
    let claims: Claims = serde_json::from_str(&parts.payload).map_err(|_| refused("its claims cannot be read"))?;
    let expires = check_dates(&claims, settings, now)?;
    check_parties(&claims, settings)?;
    let too_long = |name: &Option<String>| name.as_ref().is_some_and(|name| name.len() > NAME_MAX);
    if too_long(&claims.sub) || too_long(&claims.jti) {
        return Err(refused("its `sub` or `jti` is longer than 255 bytes"));
    }
    let info = claims.info.as_deref().map(info).transpose()?;
    let sub = claims.sub.as_deref();
    let grants = Grants {
        subscribe: patterns(Action::Subscribe, &claims.channels.subscribe, sub)?,
        publish: patterns(Action::Publish, &claims.channels.publish, sub)?,
        presence: patterns(Action::Presence, &claims.channels.presence, sub)?,
        manage: patterns(Action::Manage, &claims.channels.manage, sub)?,
    };
    Ok(Read { claims, expires, grants, info })
}

/// When the token ends, skew included.
fn check_dates(claims: &Claims, settings: &Settings, now: u64) -> Result<u64, Fault> {
    let skew = settings.skew.as_millis() as u64;
    let Some(exp) = claims.exp else { return Err(refused("it has no `exp`: it would last for ever")) };
    let expires = milliseconds(exp).saturating_add(skew);
    if expires <= now {
        return Err(Fault::Refused(Code::TokenExpired.into()));
    }
    let longest = settings.lifetime.as_millis() as u64 + skew;
    if expires - now > longest.saturating_add(skew) {
        return Err(refused("its `exp` is further away than a token may last here (`auth.lifetime`)"));
    }
    let early = |date: Option<f64>| date.is_some_and(|date| milliseconds(date) > now.saturating_add(skew));
    if early(claims.nbf) {
        return Err(refused("its `nbf` is yet to come"));
    }
    if early(claims.iat) {
        return Err(refused("its `iat` is yet to come"));
    }
    // Else it would begin to count only near its end, when a revocation from before is forgotten.
    if claims.iat.is_some_and(|iat| milliseconds(exp).saturating_sub(milliseconds(iat)) > longest.saturating_add(skew))
    {
        return Err(refused("it lasts longer than a token may here (`auth.lifetime`)"));
    }
    Ok(expires)
}

fn check_parties(claims: &Claims, settings: &Settings) -> Result<(), Fault> {
    let issued = claims.iss.as_ref().is_some_and(|iss| settings.issuers.contains(iss));
    if !settings.issuers.is_empty() && !issued {
        return Err(refused("its `iss` is not an issuer of this server"));
    }
    let addressed = match &claims.aud {
        None => false,
        Some(Several::One(one)) => settings.audiences.contains(one),
        Some(Several::Many(many)) => many.iter().any(|one| settings.audiences.contains(one)),
    };
    if !settings.audiences.is_empty() && !addressed {
        return Err(refused("its `aud` does not name this server"));
    }
    Ok(())
}

fn info(written: &RawValue) -> Result<Box<str>, Fault> {
    on_one_line(written.get()).ok_or_else(|| refused("its `info` has more than 1024 bytes"))
}

/// What others are to see, as written but for line breaks, which a line of NDJSON has no room for. `None` if it is too long.
pub(crate) fn on_one_line(written: &str) -> Option<Box<str>> {
    let text = written.replace(['\n', '\r'], " ");
    (text.len() <= INFO_MAX).then(|| text.into())
}

/// The patterns of a claim. One with `{sub}` grants nothing to a token that has no `sub`, or one that is no part of a
/// segment.
fn patterns(action: Action, written: &[String], sub: Option<&str>) -> Result<Vec<Pattern>, Fault> {
    if written.len() > PATTERNS_MAX {
        return Err(refused("it names more than 256 patterns for one action"));
    }
    let mut out = Vec::with_capacity(written.len());
    for text in written {
        let pattern = Pattern::new(text).map_err(|bad| {
            let name = action.as_str();
            Code::Unauthorized
                .because(format!("the token was refused: a pattern in its `channels.{name}` is none: {bad}"))
        })?;
        out.extend(if text.contains(SUB) { sub.and_then(|sub| pattern.with(SUB, sub)) } else { Some(pattern) });
    }
    Ok(out)
}

/// What a token says, whoever may have signed it, for people: its header and its claims.
pub fn look_into(text: &str) -> Option<(serde_json::Value, serde_json::Value)> {
    let mut parts = text.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part));
    let mut json = || serde_json::from_slice(&parts.next()?.ok()?).ok();
    Some((json()?, json()?))
}
