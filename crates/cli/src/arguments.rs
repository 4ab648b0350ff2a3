//! The command line: which command, and the flags that several share.

use crate::command::{bench, call, channels, completions, may, publish, serve, tail, token};
use crate::credential::CredentialFlags;
use crate::failure::Failure;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use switchboard_client::tls;
use switchboard_client::url::Server;

/// The server that client commands use unless told.
const DEFAULT: &str = "http://127.0.0.1:8000";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
In one terminal:
  switchboard
  switchboard tail hello

In another:
  switchboard publish hello 'Hello!'

`switchboard` alone is `switchboard serve`. `switchboard help COMMAND` tells more of each.";

/// Realtime delivery: publish an event once, and browsers, curl and any WebSocket or EventSource client receive it,
/// resume where they stopped, and are told when something is gone.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, after_help = EXAMPLES, styles = STYLES, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(Box<serve::Arguments>),
    Publish(publish::Arguments),
    Tail(tail::Arguments),
    Channels(channels::Arguments),
    Call(call::Arguments),
    Bench(bench::Arguments),
    Token(Box<token::Arguments>),
    May(may::Arguments),
    Completions(completions::Arguments),
}

/// The server that a client command talks to, and what is shown there.
#[derive(Debug, Args)]
pub struct ServerFlag {
    /// The server [default: $SWITCHBOARD_URL, else http://127.0.0.1:8000]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Certificates in PEM that the one of an https:// server may lead to, besides those that are built in [default:
    /// $SWITCHBOARD_CA]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    credential: CredentialFlags,
}

impl ServerFlag {
    /// The flag, else the environment, else this machine.
    pub fn resolve(&self) -> Result<Server, Failure> {
        use crate::config::environment::URL;
        let environment = std::env::var(URL).ok().filter(|text| !text.is_empty());
        let (said, from) = match (&self.server, &environment) {
            (Some(flag), _) => (flag.as_str(), "--server"),
            (None, Some(variable)) => (variable.as_str(), URL),
            (None, None) => (DEFAULT, "default"),
        };
        let mut server = Server::parse(said).map_err(|why| Failure::Usage(format!("{from}: {why}")))?;
        server.ca = self.roots(server.secure)?;
        server.credential = self.credential.resolve()?;
        Ok(server)
    }

    /// The file of further roots, from the flag or the environment. It is looked at before any server is asked, so that it
    /// is not taken for the server's fault; one of the environment only where it is of use.
    fn roots(&self, secure: bool) -> Result<Option<PathBuf>, Failure> {
        use crate::config::environment::CA;
        let variable = || std::env::var_os(CA).filter(|path| secure && !path.is_empty()).map(PathBuf::from);
        let (path, from) = match self.ca.clone() {
            Some(path) => (path, "--ca"),
            None => match variable() {
                Some(path) => (path, CA),
                None => return Ok(None),
            },
        };
        tls::config(Some(&path)).map_err(|why| Failure::Usage(format!("{from}: {why}")))?;
        Ok(Some(path))
    }
}

/// Reads the command line; help, version and mistakes end the process.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Command {
    let arguments = Arguments::parse_from(with_command(words.into_iter().collect()));
    arguments.command.unwrap_or_else(|| Command::Serve(Box::default()))
}

/// Flags without a command are those of `serve`.
fn with_command(mut words: Vec<OsString>) -> Vec<OsString> {
    let own = ["-h", "--help", "-V", "--version"];
    let flag = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with('-') && !own.contains(&word));
    if words.get(1).is_some_and(flag) {
        words.insert(1, "serve".into());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(words: &[&str]) -> Result<Command, clap::Error> {
        let words = ["switchboard"].iter().chain(words).map(OsString::from).collect();
        Arguments::try_parse_from(with_command(words))
            .map(|arguments| arguments.command.unwrap_or_else(|| Command::Serve(Box::default())))
    }

    #[test]
    fn the_table_of_flags_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn alone_and_with_flags_it_serves() {
        assert!(matches!(parse(&[]), Ok(Command::Serve(_))));
        assert!(matches!(parse(&["--insecure"]), Ok(Command::Serve(_))));
        assert!(matches!(
            parse(&["serve", "--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"]),
            Ok(Command::Serve(_))
        ));
        assert_eq!(parse(&["--version"]).unwrap_err().to_string(), "switchboard 0.1.0\n");
        assert!(parse(&["publish", "a", "-5"]).is_ok());
        assert!(parse(&["publish", "a", "--evnt"]).is_err(), "a slip in a flag is not data");
        assert_eq!(parse(&["sreve"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn every_command_and_every_flag_has_help() {
        let mut main = Arguments::command();
        main.build();
        let mut commands: Vec<&clap::Command> = vec![&main];
        while let Some(command) = commands.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty(), "{} {}", command.get_name(), argument.get_id());
                assert!(!help.ends_with('.'), "{} {}: {help}", command.get_name(), argument.get_id());
            }
            commands.extend(command.get_subcommands());
        }
    }

    #[test]
    fn the_names_that_are_documented_exist() {
        let main = Arguments::command();
        let documented: [(&str, &[&str]); 9] = [
            (
                "serve",
                &[
                    "listen",
                    "config",
                    "insecure",
                    "shards",
                    "connections",
                    "drain",
                    "heartbeat",
                    "message-limit",
                    "log",
                    "log-level",
                    "check",
                    "print-config",
                ],
            ),
            (
                "publish",
                &["event", "type", "json", "file", "end", "key", "lines", "server", "ca", "token", "token-file"],
            ),
            ("tail", &["since", "transport", "format", "data", "limit", "server", "ca", "token", "token-file"]),
            ("channels", &["json", "server", "ca", "token", "token-file"]),
            ("call", &["timeout", "server", "ca", "token", "token-file"]),
            (
                "token",
                &[
                    "config",
                    "key-file",
                    "algorithm",
                    "kid",
                    "sub",
                    "id",
                    "for",
                    "issuer",
                    "audience",
                    "subscribe",
                    "publish",
                    "presence",
                    "manage",
                    "api-key",
                ],
            ),
            ("may", &["config"]),
            (
                "bench",
                &[
                    "transport",
                    "subscribers",
                    "channels",
                    "rate",
                    "seconds",
                    "size",
                    "server",
                    "ca",
                    "token",
                    "token-file",
                ],
            ),
            ("completions", &[]),
        ];
        for (name, flags) in documented {
            let command = main.find_subcommand(name).unwrap();
            for flag in flags {
                assert!(command.get_arguments().any(|a| a.get_long() == Some(flag)), "{name} --{flag}");
            }
        }
    }
}
