//! `switchboard may`: whether a token lets its holder do something, and which rule decides.

use crate::config::{self, written::Written};
use crate::failure::Failure;
use clap::Args;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use switchboard::auth::explain::Shown;
use switchboard::auth::{Settings, apikey};
use switchboard_hub::access::Action;
use switchboard_wire::code::Problem;

const MORE: &str = "\
It is decided here, as a server with this configuration would, without asking one. What was revoked is the server's to know.

Exit codes: 0 yes, 1 no, or the token is refused, 2 wrong usage or configuration.

Examples:
  switchboard may --config switchboard.toml eyJhbGciOi… subscribe room/17
  switchboard may --config switchboard.toml - publish 'news/**'";

/// Say whether a token or API key lets its holder do something
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct Arguments {
    /// The token or API key; `-` for whoever shows none
    #[arg(value_name = "TOKEN", allow_hyphen_values = true)]
    token: String,
    /// subscribe, publish, presence or manage
    #[arg(value_name = "ACTION")]
    action: String,
    /// A channel or a pattern
    #[arg(value_name = "CHANNEL")]
    channel: String,
    /// The configuration that decides
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (_, settings) = settings(arguments.config.as_deref())?;
    let action = Action::ALL.into_iter().find(|action| action.as_str() == arguments.action).ok_or_else(|| {
        Failure::Usage(format!("`{}` is none of {}", arguments.action, Action::ALL.map(Action::as_str).join(", ")))
    })?;
    let shown = match arguments.token.as_str() {
        "-" => Shown::nothing(),
        token => {
            ensure_checkable(token.trim(), &settings, arguments.config.as_deref())?;
            Shown::of(token.trim(), &settings, now()).map_err(|problem| {
                match refused(token.trim(), &settings, &problem) {
                    Failure::Refused(why) => Failure::Refused(format!("no: {why}")),
                    other => other,
                }
            })?
        }
    };
    let answer = shown.may(&settings, action, &arguments.channel);
    let answer = answer.map_err(|bad| Failure::Usage(format!("`{}`: {bad}", arguments.channel)))?;
    if !answer.is_yes() {
        return Err(Failure::Refused(answer.to_string()));
    }
    Ok(writeln!(std::io::stdout(), "{answer}")?)
}

/// Fails where nothing is known to check a token or an API key with: what came of it would look like a verdict.
pub fn ensure_checkable(shown: &str, settings: &Settings, config: Option<&Path>) -> Result<(), Failure> {
    let is_key = shown.starts_with(apikey::PREFIX);
    let known = if is_key { !settings.api_keys.is_empty() } else { !settings.keys.is_empty() };
    let lack = match config {
        _ if known => return Ok(()),
        _ if !is_key && settings.jwks.is_some() => {
            "a server fetches its keys from `auth.jwks`, and this command fetches none: name a --config with the key in an \
             [[auth.key]]"
                .to_owned()
        }
        None => "name the configuration with the keys: --config FILE".to_owned(),
        Some(path) if settings.is_open() => {
            format!("{} says nothing about authentication, and everyone may do everything", path.display())
        }
        // There are others, and this is none of them.
        Some(_) => return Ok(()),
    };
    Err(Failure::Usage(format!("there is nothing to check it with: {lack}")))
}

/// Why it counts for nothing. Where a server fetches keys as well, what is wrong with a signature is for the server to say.
pub fn refused(shown: &str, settings: &Settings, problem: &Problem) -> Failure {
    let is_key = shown.starts_with(apikey::PREFIX);
    if !is_key && settings.jwks.is_some() && Shown::check_made(shown, settings, now()).is_ok() {
        return Failure::Usage(format!(
            "{problem}, as far as this command can tell: a server has the keys of `auth.jwks` besides, which it fetches"
        ));
    }
    Failure::Refused(problem.to_string())
}

/// What the file and the environment say of access.
pub fn settings(path: Option<&Path>) -> Result<(Written, Settings), Failure> {
    let (written, meant) = config::read((Written::default(), Vec::new()), std::env::vars_os(), path);
    let meant = meant.map_err(|problems| {
        Failure::Usage(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  "))
    })?;
    Ok((written, meant.server.auth))
}

/// Milliseconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
