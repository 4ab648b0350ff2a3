//! What the configuration says of access, as meant.

use super::suggest::known;
use super::value::{Count, Hidden, Size, Span, Text, Texts};
use super::written::{ApiKey, Key, Origin, Problem, Rule, Said, Written};
use crate::units::show_size;
use std::path::{Path, PathBuf};
use std::time::Duration;
use switchboard::auth::keys::Algorithm;
use switchboard::auth::settings::{ChannelLimit, Jwks, Secret};
use switchboard::auth::sign::SigningKey;
use switchboard::auth::{self, Settings};
use switchboard::outward::{Address, trust};
use switchboard_hub::access::{self, Action, Grants, Whom};
use switchboard_wire::Pattern;

/// How often keys are fetched, unless it is said.
pub const JWKS_REFRESH: Duration = Duration::from_secs(300);
/// How soon after a fetch an unknown key makes for another.
const JWKS_COOLDOWN: Duration = Duration::from_secs(10);
/// How long a fetch may take.
const JWKS_TIME: Duration = Duration::from_secs(10);

/// Whether anything about authentication was written, right or wrong.
pub fn is_configured(written: &Written) -> bool {
    jwks_of(written).is_some()
        || !written.keys.is_empty()
        || !written.api_keys.is_empty()
        || written.rules.iter().any(says_who)
}

/// The URL of keys, if there is one.
pub(super) fn jwks_of(written: &Written) -> Option<&Said<Text>> {
    written.auth_jwks.as_ref().filter(|said| !said.value.0.is_empty())
}

pub(super) fn says_who(rule: &Rule) -> bool {
    [&rule.subscribe, &rule.publish, &rule.presence].into_iter().any(Option::is_some)
}

/// Takes over what was written.
pub fn apply(written: &Written, settings: &mut Settings, problems: &mut Vec<Problem>) {
    macro_rules! put {
        ($($place:ident, $said:ident, $of:expr;)*) => {
            $(if let Some(said) = &written.$said { settings.$place = $of(said.value.clone()); })*
        };
    }
    put! {
        issuers, auth_issuer, |texts: Texts| texts.0;
        audiences, auth_audience, |texts: Texts| texts.0;
        skew, auth_skew, |span: Span| span.0;
        lifetime, auth_lifetime, |span: Span| span.0;
        token_bytes, auth_token_size, |size: Size| size.0;
        cookie, auth_cookie, |text: Text| Some(text.0).filter(|name| !name.is_empty());
        revocations, auth_revocations, |count: Count| count.0;
        metrics, auth_metrics, |metrics| metrics;
        origins, auth_origins, |texts: Texts| texts.0;
    }
    check_names(written, problems);
    take(fetched_of(written), problems, |jwks| settings.jwks = jwks);
    for key in &written.keys {
        take(key_of(key), problems, |key| settings.keys.push(key));
    }
    for key in &written.api_keys {
        take(api_key_of(key), problems, |key| settings.api_keys.push(key));
    }
    for rule in written.rules.iter().filter(|rule| says_who(rule)) {
        take(rule_of(rule), problems, |rule| settings.access.rules.extend(rule));
    }
    for rule in &written.rules {
        take(limit_of(written, rule), problems, |limit| settings.channel_limits.extend(limit));
    }
}

fn take<T>(read: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>, then: impl FnOnce(T)) {
    match read {
        Ok(value) => then(value),
        Err(wrong) => problems.extend(wrong),
    }
}

fn check_names(written: &Written, problems: &mut Vec<Problem>) {
    if let Some(said) = &written.auth_cookie
        && !said.value.0.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        problems.push(Problem::at(&said.origin, "`auth.cookie` is a name of letters, digits, `-`, `_` and `.`"));
    }
    let origins = written.auth_origins.iter().flat_map(|said| said.value.0.iter().map(|text| (text, &said.origin)));
    for (text, origin) in origins.filter(|(text, _)| !is_origin(text)) {
        let sentence =
            format!("`{text}` in `auth.origins` is no origin: write `https://example.com`, with no path behind");
        problems.push(Problem::at(origin, sentence));
    }
}

/// Where keys are fetched from.
fn fetched_of(written: &Written) -> Result<Option<Jwks>, Vec<Problem>> {
    let ca = written.auth_jwks_ca.as_ref().filter(|said| !said.value.0.is_empty());
    let address = jwks_of(written).map(|said| {
        let read = Address::parse(&said.value.0);
        read.map_err(|why| vec![Problem::at(&said.origin, format!("`auth.jwks`: {why}"))])
    });
    let secure = address.transpose()?.is_some_and(|address| address.is_secure());
    if let Some(said) = ca {
        let checked = match secure {
            true => trust::check_roots(Path::new(&said.value.0)),
            false => Err("it goes with an `auth.jwks` that begins with https://".into()),
        };
        checked.map_err(|why| vec![Problem::at(&said.origin, format!("`auth.jwks_ca`: {why}"))])?;
    }
    Ok(jwks_of(written).map(|said| Jwks {
        url: said.value.0.clone(),
        ca: ca.map(|said| PathBuf::from(&said.value.0)),
        refresh: written.auth_jwks_refresh.as_ref().map_or(JWKS_REFRESH, |said| said.value.0),
        cooldown: JWKS_COOLDOWN,
        time: JWKS_TIME,
    }))
}

/// `scheme://host[:port]`, as a browser sends it, or `*`.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    text == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ', '*', '?', '#', '@']))
}

fn key_of(key: &Key) -> Result<auth::keys::Key, Vec<Problem>> {
    // What lacks an algorithm was complained of where it was read.
    let Some(algorithm) = &key.algorithm else { return Err(Vec::new()) };
    let read: Algorithm =
        algorithm.value.parse().map_err(|why| vec![Problem::at(&algorithm.origin, format!("`algorithm`: {why}"))])?;
    let id = key.id.as_ref().map(|said| said.value.as_str());
    let Key { secret, secret_file, public_key, public_key_file, .. } = key;
    let (made, origin) = match (secret, secret_file, public_key, public_key_file) {
        (Some(Said { value: Hidden(text), origin }), None, None, None) => {
            (auth::keys::Key::secret(id, read, &Secret::new(text.as_bytes())), origin)
        }
        (None, Some(file), None, None) => {
            let secret = read_file(file)?;
            (auth::keys::Key::secret(id, read, &Secret::new(secret.trim_ascii_end())), &file.origin)
        }
        (None, None, Some(pem), None) => (auth::keys::Key::pem(id, read, pem.value.as_bytes()), &pem.origin),
        (None, None, None, Some(file)) => (auth::keys::Key::pem(id, read, &read_file(file)?), &file.origin),
        _ => {
            let sentence = "an [[auth.key]] has one of `secret`, `secret_file`, `public_key` and `public_key_file`";
            return Err(vec![Problem::at(&algorithm.origin, sentence)]);
        }
    };
    made.map_err(|why| vec![Problem::at(origin, why)])
}

/// The first secret that was written, to sign tokens with.
pub fn first_secret(written: &Written) -> Result<Option<SigningKey>, String> {
    for key in &written.keys {
        let secret = match (&key.secret, &key.secret_file) {
            (Some(said), _) => said.value.0.clone().into_bytes(),
            (None, Some(file)) => {
                let read =
                    read_file(file).map_err(|problems| problems.iter().map(ToString::to_string).collect::<String>())?;
                read.trim_ascii_end().to_vec()
            }
            (None, None) => continue,
        };
        let algorithm = key.algorithm.as_ref().map_or("", |said| &said.value).parse()?;
        let id = key.id.as_ref().map(|said| said.value.as_str());
        return SigningKey::secret(id, algorithm, &Secret::new(secret)).map(Some);
    }
    Ok(None)
}

pub fn read_file(file: &Said<String>) -> Result<Vec<u8>, Vec<Problem>> {
    std::fs::read(&file.value).map_err(|error| {
        vec![Problem::at(&file.origin, format!("{} cannot be read: {}", file.value, crate::failure::plain(&error)))]
    })
}

fn api_key_of(key: &ApiKey) -> Result<auth::apikey::ApiKey, Vec<Problem>> {
    let mut problems = Vec::new();
    let (Some(name), Some(hash)) = (&key.name, &key.hash) else { return Err(problems) };
    let read = auth::apikey::Hash::parse(&hash.value);
    if read.is_none() {
        let sentence =
            "`hash` is `sha256:` and 64 hexadecimal digits; `switchboard token --api-key` makes a key and its hash";
        problems.push(Problem::at(&hash.origin, sentence));
    }
    let mut patterns = |said: &Option<Said<Texts>>| {
        let Some(said) = said else { return Vec::new() };
        said.value
            .0
            .iter()
            .filter_map(|text| pattern(text, &said.origin).map_err(|bad| problems.push(bad)).ok())
            .collect()
    };
    let scope = Grants {
        subscribe: patterns(&key.subscribe),
        publish: patterns(&key.publish),
        presence: patterns(&key.presence),
        manage: patterns(&key.manage),
    };
    match read {
        Some(hash) if problems.is_empty() => Ok(auth::apikey::ApiKey { name: name.value.as_str().into(), hash, scope }),
        _ => Err(problems),
    }
}

pub(super) fn pattern(text: &str, origin: &Origin) -> Result<Pattern, Problem> {
    Pattern::new(text).map_err(|bad| Problem::at(origin, format!("pattern `{text}`: {bad}")))
}

fn rule_of(rule: &Rule) -> Result<Option<access::Rule>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut whom = |action: Action, said: &Option<Said<String>>| {
        let said = said.as_ref()?;
        let meant = Whom::ALL.into_iter().find(|whom| whom.as_str() == said.value);
        if meant.is_none() {
            let hint = known(&said.value, Whom::ALL.map(Whom::as_str));
            let sentence = format!("unknown word `{}` in `{}`{hint}", said.value, action.as_str());
            problems.push(Problem::at(&said.origin, sentence));
        }
        meant
    };
    let subscribe = whom(Action::Subscribe, &rule.subscribe);
    let publish = whom(Action::Publish, &rule.publish);
    let presence = whom(Action::Presence, &rule.presence);
    // A pattern that is none is complained of with the class, if there is one.
    let read = rule.pattern.as_ref().map(|said| pattern(&said.value, &said.origin)).transpose();
    let read = read.unwrap_or_else(|bad| {
        if rule.class.is_none() {
            problems.push(bad);
        }
        None
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(read.map(|pattern| access::Rule { pattern, subscribe, publish, presence }))
}

/// How much and how fast is published to the channels of a rule, if it says so.
fn limit_of(written: &Written, rule: &Rule) -> Result<Option<ChannelLimit>, Vec<Problem>> {
    let Rule { pattern: Some(said), publishes, message, .. } = rule else { return Ok(None) };
    if publishes.is_none() && message.is_none() {
        return Ok(None);
    }
    let most = written.limits_message.as_ref().map(|said| said.value.0);
    if let (Some(own), Some(most)) = (message, most)
        && own.value.0 > most
    {
        let (own_size, most) = (show_size(own.value.0), show_size(most));
        let sentence =
            format!("`message` is {own_size}, more than `limits.message` with {most}, which holds for all channels");
        return Err(vec![Problem::at(&own.origin, sentence)]);
    }
    let read = pattern(&said.value, &said.origin);
    // A pattern that is none is complained of with the class, or with who may do what, if the rule says any of that.
    let told = rule.class.is_some() || says_who(rule);
    let pattern = read.map_err(|bad| if told { Vec::new() } else { vec![bad] })?;
    let publishes = publishes.as_ref().map(|said| u32::try_from(said.value.0).unwrap_or(u32::MAX));
    Ok(Some(ChannelLimit { pattern, publishes, message: message.as_ref().map(|said| said.value.0) }))
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
