//! Tokens: none counts that the key did not sign, whatever it says of itself; one that counts grants nothing that its claims
//! do not say; and of one that is refused nothing is told.

use crate::choices::Choices;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use std::time::Duration;
use switchboard::auth::Settings;
use switchboard::auth::explain::Shown;
use switchboard::auth::keys::{self, Key};
use switchboard::auth::settings::Secret;
use switchboard_hub::access::Action;
use switchboard_wire::code::Problem;
use switchboard_wire::{ChannelName, Code, Pattern};

const SECRET: &str = "the-secret-of-the-fuzzer-with-32-bytes-and-more";
/// Seconds since the Unix epoch, in here.
const NOW: u64 = 1_795_000_000;
const SKEW: u64 = 5;
const LIFETIME: u64 = 3600;
const INFO_MAX: usize = 1024;
/// Channels that are asked for.
const CHANNELS: [&str; 6] = ["user/ann/inbox", "user/bob/inbox", "user/ann", "news", "a", "$system/x"];

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.below(4) {
        0 => foreign(&String::from_utf8_lossy(choices.rest())),
        1 => changed(&mut choices),
        2 => signed(header(&mut choices).as_bytes(), choices.rest()),
        _ => claimed(&mut choices),
    }
}

fn settings(id: Option<&str>) -> Settings {
    let key = Key::secret(id, keys::Algorithm::HS256, &Secret::new(SECRET.as_bytes())).unwrap();
    Settings {
        keys: vec![key],
        issuers: vec!["i".into()],
        audiences: vec!["here".into()],
        skew: Duration::from_secs(SKEW),
        lifetime: Duration::from_secs(LIFETIME),
        ..Settings::default()
    }
}

fn judge(text: &str) -> Result<Shown, Problem> {
    Shown::of(text, &settings(Some("k")), NOW * 1000)
}

/// A token of any header and any claims, with the signature of the one key.
fn sign(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(SECRET.as_bytes()), Algorithm::HS256);
    format!("{message}.{}", signature.unwrap())
}

/// What is refused is refused for a reason that says nothing of what was shown.
fn silent(problem: &Problem, text: &str) {
    assert!(matches!(problem.code, Code::Unauthorized | Code::TokenExpired), "{problem}");
    let told = problem.to_string();
    assert!(!told.contains(SECRET));
    for part in text.split('.').filter(|part| part.len() > 20) {
        assert!(!told.contains(part), "{told}");
    }
}

/// What nobody signed.
fn foreign(text: &str) {
    match judge(text) {
        Ok(_) => panic!("a token that nobody signed counts: {text}"),
        Err(problem) => {
            assert_eq!(problem.code, Code::Unauthorized);
            silent(&problem, text);
        }
    }
}

/// A good token, a few bytes of which are others.
fn changed(choices: &mut Choices<'_>) {
    let good = sign(br#"{"alg":"HS256","kid":"k"}"#, plain(&json!({})).to_string().as_bytes());
    assert!(judge(&good).is_ok());
    let mut bytes = good.clone().into_bytes();
    for _ in 0..=choices.below(4) {
        let at = choices.below(bytes.len());
        bytes[at] = choices.byte();
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match judge(&text) {
        // The signature has bits that mean nothing; what is signed has none.
        Ok(_) => assert_eq!(text.rsplit_once('.').unwrap().0, good.rsplit_once('.').unwrap().0),
        Err(problem) => silent(&problem, &text),
    }
}

/// A header, good or bad.
fn header(choices: &mut Choices<'_>) -> String {
    match choices.below(8) {
        0 => String::from_utf8_lossy(choices.take(40)).into_owned(),
        1 => r#"{"alg":"none"}"#.to_owned(),
        2 => r#"{"alg":"HS256","kid":"other"}"#.to_owned(),
        3 => r#"{"alg":"HS256","crit":["exp"]}"#.to_owned(),
        4 => r#"{"alg":"HS256"}"#.to_owned(),
        _ => r#"{"alg":"HS256","kid":"k"}"#.to_owned(),
    }
}

/// Claims that are fine, with others over them.
fn plain(over: &Value) -> Value {
    let mut claims = json!({"sub": "ann", "iss": "i", "aud": "here", "exp": NOW + 60});
    for (name, value) in over.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// Anything signed by the key counts only if header and claims say what they must.
fn signed(header: &[u8], claims: &[u8]) {
    let text = sign(header, claims);
    let shown = match judge(&text) {
        Ok(shown) => shown,
        Err(problem) => return silent(&problem, &text),
    };
    let header: Value = serde_json::from_slice(header).unwrap();
    assert!(header["alg"] == "HS256" && header.get("crit").is_none(), "{header}");
    assert!(header.get("kid").is_none_or(|kid| kid == "k" || kid.is_null()), "{header}");
    let claims: Value = serde_json::from_slice(claims).unwrap();
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
    let exp = seconds("exp").unwrap();
    assert!(exp + SKEW as f64 > NOW as f64 && exp <= (NOW + LIFETIME + 2 * SKEW) as f64, "{exp}");
    for name in ["nbf", "iat"] {
        // To the millisecond, as the server counts.
        assert!(seconds(name).is_none_or(|date| date < (NOW + SKEW) as f64 + 0.001), "{name} {claims}");
    }
    assert_eq!(claims["iss"], "i");
    let named = |value: &Value| value == "here";
    assert!(named(&claims["aud"]) || claims["aud"].as_array().is_some_and(|all| all.iter().any(named)));
    assert!(claims["sub"].as_str().is_none_or(|sub| sub.len() <= 255));
    assert!(shown.info().is_none_or(|info| info.len() <= INFO_MAX && !info.contains(['\n', '\r'])));
    assert_eq!(shown.info().is_some(), claims.get("info").is_some_and(|info| !info.is_null()));
    for action in Action::ALL {
        CHANNELS.iter().for_each(|channel| granted(&shown, &claims, action, channel));
    }
}

/// Who holds a token may do what its claims say, and nothing else: `{sub}` is a part of one segment.
fn granted(shown: &Shown, claims: &Value, action: Action, channel: &str) {
    let may = shown.may(&settings(Some("k")), action, channel).unwrap().is_yes();
    let name = ChannelName::new(channel).unwrap();
    let sub = claims["sub"].as_str();
    let covers = |text: &str| {
        let filled = match (text.contains("{sub}"), sub) {
            (false, _) => text.to_owned(),
            (true, Some(sub)) if !sub.contains('/') => text.replace("{sub}", sub),
            (true, _) => return false,
        };
        // Where it stands in for a segment, it has to be one: of as many wildcards as were written.
        let wild = |text: &str| text.split('/').filter(|segment| ["*", "**"].contains(segment)).count();
        wild(&filled) == wild(text) && Pattern::new(&filled).is_ok_and(|pattern| pattern.matches(&name))
    };
    let patterns = claims["channels"][action.as_str()].as_array().cloned().unwrap_or_default();
    let written = patterns.iter().filter_map(Value::as_str).any(covers);
    assert_eq!(may, written, "{} {channel}: {claims}", action.as_str());
}

/// Claims that are mostly fine: a `sub`, patterns, and one more of any kind.
fn claimed(choices: &mut Choices<'_>) {
    let sub = String::from_utf8_lossy(choices.take(3)).into_owned();
    let sub = choices.pick(&["ann", "*", "**", "..", ".", "", "a/b", "{sub}", "ann\u{0}", &sub]).to_owned();
    let mut patterns = || {
        let words =
            ["user/{sub}/**", "{sub}", "**", "*/{sub}/*", "{sub}/{sub}", "x{sub}y", "news", "$system/**", "{sub}/**"];
        (0..choices.below(4)).map(|_| choices.pick(&words)).collect::<Vec<_>>()
    };
    let channels = json!({"subscribe": patterns(), "publish": patterns(), "manage": patterns()});
    let mut claims = plain(&json!({"sub": sub, "channels": channels}));
    let name = choices.pick(&["exp", "nbf", "iat", "aud", "iss", "info", "limits", "jti", "other"]);
    if let Ok(value) = serde_json::from_slice::<Value>(choices.rest()) {
        claims[name] = value;
    }
    signed(br#"{"alg":"HS256","kid":"k"}"#, claims.to_string().as_bytes());
}
