//! What a client command shows of who it is: a token or an API key. It is in no message and no log of ours.

use crate::config::environment::TOKEN;
use crate::failure::{Failure, plain};
use clap::Args;
use std::fmt;
use std::path::PathBuf;
use switchboard_client::credential::Credential;

/// Where it is taken from.
#[derive(Args)]
pub struct CredentialFlags {
    /// A token or an API key to show. Others on this machine can read it in the list of processes: prefer --token-file or
    /// $SWITCHBOARD_TOKEN
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// A file that holds the token or API key to show [default: $SWITCHBOARD_TOKEN, if it is set]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Parsed arguments may be printed, and this must not.
impl fmt::Debug for CredentialFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialFlags").field("token_file", &self.token_file).finish_non_exhaustive()
    }
}

impl CredentialFlags {
    /// The flags, else the environment, else nothing.
    pub fn resolve(&self) -> Result<Option<Credential>, Failure> {
        let usage = |from: &str, why: &str| Failure::Usage(format!("{from}: {why}"));
        if let Some(token) = &self.token {
            return Credential::of(token).map(Some).map_err(|why| usage("--token", why));
        }
        if let Some(path) = &self.token_file {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| usage("--token-file", &format!("{shown} cannot be read: {}", plain(&error))))?;
            return Credential::of(&text).map(Some).map_err(|why| usage(&shown, why));
        }
        match std::env::var_os(TOKEN).filter(|value| !value.is_empty()) {
            Some(value) => Credential::of(&value.to_string_lossy()).map(Some).map_err(|why| usage(TOKEN, why)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_in_what_is_printed_of_it() {
        let flags = CredentialFlags { token: Some("swk_secret".into()), token_file: None };
        let shown = format!("{flags:?} {:?}", flags.resolve().unwrap());
        assert!(!shown.contains("swk_"), "{shown}");
    }
}
