//! `switchboard token`: makes tokens and API keys, and explains tokens.

use super::may::{ensure_checkable, now, refused, settings};
use crate::config::access;
use crate::failure::{Failure, plain};
use crate::units;
use clap::Args;
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use switchboard::auth::apikey::{self, Hash};
use switchboard::auth::explain::Shown;
use switchboard::auth::sign::SigningKey;
use switchboard::auth::{Settings, look_into};

const MORE: &str = "\
With a TOKEN it prints the token's header and claims, and whether a server with this configuration takes it. Without one it \
makes a token: with the first secret of the configuration, or with the private key of --key-file.

Exit codes: 0 made, or taken; 1 refused; 2 wrong usage or configuration.

Examples:
  switchboard token --config switchboard.toml --sub ann --subscribe 'user/{sub}/**' --publish room/17
  switchboard token --key-file private.pem --algorithm EdDSA --kid 2026-11 --sub ann --for 10m --subscribe '**'
  switchboard token --config switchboard.toml eyJhbGciOi…
  switchboard token --api-key";

/// How long a token lasts unless told.
const LASTS: Duration = Duration::from_secs(3600);

/// Make a token or an API key, or explain a token
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct Arguments {
    /// The token to explain
    #[arg(value_name = "TOKEN")]
    token: Option<String>,
    /// The configuration with the keys
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sign with the private key in this file (PEM, PKCS#8)
    #[arg(long, value_name = "FILE", requires = "algorithm", conflicts_with = "token")]
    key_file: Option<PathBuf>,
    /// The algorithm of --key-file: RS256, PS256, ES256, EdDSA and so on
    #[arg(long, value_name = "NAME", requires = "key_file")]
    algorithm: Option<String>,
    /// The id of --key-file
    #[arg(long, value_name = "ID", requires = "key_file")]
    kid: Option<String>,
    /// Who the token is for
    #[arg(long, value_name = "USER", conflicts_with = "token")]
    sub: Option<String>,
    /// The token's own id, by which it can be revoked
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    id: Option<String>,
    /// How long it lasts [default: 1h, or `auth.lifetime` where that is less]
    #[arg(long, value_name = "TIME", conflicts_with = "token")]
    r#for: Option<String>,
    /// Who issues it [default: the first issuer of the configuration]
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    issuer: Option<String>,
    /// What it is for [default: the first audience of the configuration]
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    audience: Option<String>,
    /// A pattern that its holder may subscribe to; give it again for more
    #[arg(long, value_name = "PATTERN", conflicts_with = "token")]
    subscribe: Vec<String>,
    /// A pattern that its holder may publish to
    #[arg(long, value_name = "PATTERN", conflicts_with = "token")]
    publish: Vec<String>,
    /// A pattern whose presence its holder may see
    #[arg(long, value_name = "PATTERN", conflicts_with = "token")]
    presence: Vec<String>,
    /// A pattern that its holder may manage
    #[arg(long, value_name = "PATTERN", conflicts_with = "token")]
    manage: Vec<String>,
    /// What others see of the user, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "token")]
    info: Option<String>,
    /// Make an API key, and what the configuration has of it
    #[arg(long, conflicts_with_all = ["token", "key_file", "sub", "info", "subscribe", "publish", "presence", "manage"])]
    api_key: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.api_key {
        let key = apikey::generate()?;
        let entry = format!(
            "{key}\n\n[[auth.api_key]]\nname = \"backend\"\nhash = \"{}\"\npublish = [\"**\"]\n",
            Hash::of(&key)
        );
        return Ok(std::io::stdout().write_all(entry.as_bytes())?);
    }
    let (written, settings) = settings(arguments.config.as_deref())?;
    if let Some(token) = &arguments.token {
        return explain(token.trim(), &settings, arguments.config.as_deref());
    }
    let key = match &arguments.key_file {
        Some(path) => private_key(arguments, path)?,
        None => access::first_secret(&written).map_err(Failure::Usage)?.ok_or_else(|| {
            let why =
                "there is nothing to sign with: name a --config with a secret in an [[auth.key]], or a --key-file";
            Failure::Usage(why.into())
        })?,
    };
    let token = key.sign(&claims(arguments, &settings)?).map_err(Failure::Usage)?;
    Shown::check_made(&token, &settings, now()).map_err(|problem| {
        let told = problem.to_string();
        let why = told.split_once("the token was refused: ").map_or(&*told, |(_, why)| why);
        Failure::Usage(match &arguments.config {
            Some(_) => format!("a server with this configuration would refuse such a token: {why}"),
            None => format!(
                "a server that is told nothing else would refuse such a token: {why}; --config FILE says what holds"
            ),
        })
    })?;
    Ok(writeln!(std::io::stdout(), "{token}")?)
}

fn private_key(arguments: &Arguments, path: &Path) -> Result<SigningKey, Failure> {
    let shown = path.display();
    let algorithm = arguments.algorithm.as_deref().unwrap_or_default().parse();
    let algorithm = algorithm.map_err(|why| Failure::Usage(format!("--algorithm: {why}")))?;
    let pem =
        std::fs::read(path).map_err(|error| Failure::Usage(format!("{shown} cannot be read: {}", plain(&error))))?;
    let made = SigningKey::pem(arguments.kid.as_deref(), algorithm, &pem);
    made.map_err(|why| Failure::Usage(format!("{shown}: {why}")))
}

fn claims(arguments: &Arguments, settings: &Settings) -> Result<Value, Failure> {
    let time = match &arguments.r#for {
        Some(text) => units::duration(text).map_err(|why| Failure::Usage(format!("--for: {why}")))?,
        None => LASTS.min(settings.lifetime),
    };
    if arguments.sub.as_deref() == Some("") {
        return Err(Failure::Usage(
            "--sub: it is empty; leave it out where the token is for nobody in particular".into(),
        ));
    }
    let issued = now() / 1000;
    let mut claims = Map::new();
    let texts = [
        ("iss", arguments.issuer.as_ref().or(settings.issuers.first())),
        ("aud", arguments.audience.as_ref().or(settings.audiences.first())),
        ("sub", arguments.sub.as_ref()),
        ("jti", arguments.id.as_ref()),
    ];
    claims.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?)))));
    if let Some(info) = &arguments.info {
        let info = serde_json::from_str(info).map_err(|_| Failure::Usage("--info: it is no JSON".into()))?;
        claims.insert("info".into(), info);
    }
    claims.insert("iat".into(), json!(issued));
    claims.insert("exp".into(), json!(issued + time.as_secs()));
    let Arguments { subscribe, publish, presence, manage, .. } = arguments;
    let patterns = [("subscribe", subscribe), ("publish", publish), ("presence", presence), ("manage", manage)];
    let channels = patterns.into_iter().filter(|(_, list)| !list.is_empty());
    let channels: Map<String, Value> = channels.map(|(name, list)| (name.to_owned(), json!(list))).collect();
    if !channels.is_empty() {
        claims.insert("channels".into(), channels.into());
    }
    Ok(claims.into())
}

/// Prints what a token says, and whether it counts.
fn explain(token: &str, settings: &Settings, config: Option<&Path>) -> Result<(), Failure> {
    let (header, claims) = look_into(token).ok_or_else(|| Failure::Refused("this is no JSON Web Token".into()))?;
    let text = serde_json::to_string_pretty(&json!({"header": header, "claims": claims})).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    ensure_checkable(token, settings, config)?;
    let shown = Shown::of(token, settings, now()).map_err(|problem| refused(token, settings, &problem))?;
    let left = shown.expires().unwrap_or_default().saturating_sub(now()) / 1000;
    writeln!(out, "this configuration takes it: {}, for {left} s more", shown.describe())?;
    match shown.info() {
        Some(info) => Ok(writeln!(out, "what others are to see of the user: {info}")?),
        None => Ok(()),
    }
}
