//! `switchboard call`: calls a method in a session of its own, and prints the result.

use crate::arguments::ServerFlag;
use crate::failure::Failure;
use crate::http::{self, Lost};
use clap::Args;
use serde_json::value::RawValue;
use std::io::Write as _;
use std::time::Duration;
use switchboard_client::{Client, Error, Options};
use switchboard_wire::code::TABLE;

const MORE: &str = "\
Methods of the server are publish, history, ping and others; what it does not know goes to the application. PARAMS are a \
JSON array or object. The result is printed as JSON on one line.

Exit codes: 0 ok; 1 answered with an error, or refused by the server; 2 wrong usage; 3 no server answered, or not in time.

Examples:
  switchboard call ping
  switchboard call history '{\"channel\":\"hello\",\"limit\":10}'
  switchboard call publish '[\"hello\", {\"n\":1}]'";

/// Call a method, and print its result
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct Arguments {
    /// The method, such as history
    method: String,
    /// Its params: a JSON array or object
    params: Option<String>,
    /// Wait so long for the answer, in seconds [default: 30]
    #[arg(long, value_name = "SECONDS", default_value_t = 30, hide_default_value = true,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    #[command(flatten)]
    server: ServerFlag,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.server.resolve()?;
    let params = arguments.params.as_deref().map(read).transpose()?;
    let options = Options::new().call_timeout(Duration::from_secs(arguments.timeout));
    let shown = server.credential.is_some();
    let failure = |error| failure(error, shown);
    let result: Box<RawValue> = http::run(async {
        let client = Client::connect_to(server, options).await.map_err(failure)?;
        let result = client.call(&arguments.method, params).await.map_err(failure);
        client.close().await;
        result
    })?;
    writeln!(std::io::stdout(), "{}", result.get())?;
    Ok(())
}

/// The params, as they were written.
fn read(text: &str) -> Result<Box<RawValue>, Failure> {
    let usage = |why: String| Failure::Usage(format!("PARAMS are a JSON array or object: {why}"));
    let params: Box<RawValue> = serde_json::from_str(text).map_err(|error| usage(error.to_string()))?;
    match params.get().starts_with(['[', '{']) {
        true => Ok(params),
        false => Err(usage(format!("`{}` is neither", params.get()))),
    }
}

fn failure(error: Error, shown: bool) -> Failure {
    match error {
        Error::Unreachable(Lost { problem: Some(problem), .. }) => Failure::Refused(http::told(&problem)),
        Error::Unreachable(lost) => http::advised(lost).into(),
        Error::TimedOut | Error::Lost => Failure::Unreachable(error.to_string()),
        Error::Invalid(why) => Failure::Usage(why),
        Error::Turned(problem) => Failure::Refused(http::told(&problem)),
        Error::Refused(refusal) => {
            let row = TABLE.iter().map(|(_, row)| row).find(|row| i64::from(row.rpc) == refusal.code);
            let advice = row.and_then(|row| http::advice(row.http, row.name, shown));
            Failure::Refused(http::advised_with(refusal.to_string(), advice))
        }
        Error::Closed => Failure::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_an_array_or_an_object() {
        assert!(read("[1]").is_ok() && read(r#"{"a":1}"#).is_ok());
        for foul in ["", "1", "null", "\"a\"", "{", "[1] 2"] {
            assert!(matches!(read(foul), Err(Failure::Usage(_))), "{foul}");
        }
    }
}
