//! Settings from the environment: `SWITCHBOARD_` and the key in capitals, `SWITCHBOARD_LIMITS_MESSAGE`.

use super::suggest::nearest;
use super::value::LEVELS;
use super::written::{Origin, Problem, SETTINGS, Setting, Written};
use std::ffi::OsString;

/// The server that the client commands talk to. `serve` has no use for it, and no quarrel with it.
pub const URL: &str = "SWITCHBOARD_URL";
/// What the client commands show there. The same holds.
pub const TOKEN: &str = "SWITCHBOARD_TOKEN";
/// The roots that they trust besides. The same again.
pub const CA: &str = "SWITCHBOARD_CA";

const PREFIX: &str = "SWITCHBOARD_";

/// Reads the settings among `variables`. An empty variable is as good as none: that is how compose files leave one
/// out.
pub fn read(variables: impl IntoIterator<Item = (OsString, OsString)>) -> (Written, Vec<Problem>) {
    let mut written = Written::default();
    let mut problems = Vec::new();
    let mut ours: Vec<(String, OsString)> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| {
            name.starts_with(PREFIX)
                && !value.is_empty()
                && !matches!(name.as_str(), URL | TOKEN | CA)
                && !is_service_link(name)
        })
        .collect();
    ours.sort();
    for (name, value) in ours {
        let origin = Origin::Environment(name.clone());
        let Ok(value) = value.into_string() else {
            problems.push(Problem::at(&origin, "the value is not UTF-8"));
            continue;
        };
        let Some(setting) = setting(&name, &value) else {
            problems.push(unknown(&name));
            continue;
        };
        if let Err(why) = (setting.read_text)(&mut written, &value, origin.clone()) {
            problems.push(Problem::at(&origin, why));
        }
    }
    (written, problems)
}

fn setting(name: &str, value: &str) -> Option<&'static Setting> {
    // `SWITCHBOARD_LOG=debug` is what hands that know other programs type: a level is taken for one.
    let level = LEVELS.iter().any(|level| value.split(['=', ',']).any(|word| word.eq_ignore_ascii_case(level)));
    let name = if name == "SWITCHBOARD_LOG" && level { "SWITCHBOARD_LOG_LEVEL" } else { name };
    SETTINGS.iter().find(|setting| setting.variable() == name)
}

fn unknown(name: &str) -> Problem {
    let variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let bare = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    let candidates = variables.iter().map(|variable| variable.trim_start_matches(PREFIX));
    let origin = Origin::Environment(name.to_owned());
    if name == "SWITCHBOARD_CONFIG" {
        return Problem::at(&origin, "a file is read only where the command line names it: --config FILE");
    }
    match nearest(&bare(name), candidates) {
        Some(variable) => Problem::at(&origin, format!("no setting has this name; did you mean `{PREFIX}{variable}`?")),
        None => Problem::at(
            &origin,
            format!("no setting has this name, and `{PREFIX}` is kept for settings: unset it, or see --print-config"),
        ),
    }
}

/// Kubernetes and Docker put the address of a service named `switchboard` into the environment of its neighbours, in
/// variables that begin as ours do: `SWITCHBOARD_PORT=tcp://10.0.0.1:8000`, `SWITCHBOARD_SERVICE_HOST`.
fn is_service_link(name: &str) -> bool {
    let rest = name.trim_start_matches(PREFIX);
    let is = |word: &str| rest == word || rest.strip_prefix(word).is_some_and(|rest| rest.starts_with('_'));
    rest == "SERVICE_HOST" || is("SERVICE_PORT") || is("PORT")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn of(pairs: &[(&str, &str)]) -> (Written, Vec<String>) {
        let (written, problems) = read(pairs.iter().map(|(name, value)| (name.into(), value.into())));
        (written, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn variables_are_keys_in_capitals() {
        let (written, problems) = of(&[
            ("SWITCHBOARD_LIMITS_MESSAGE", "2MiB"),
            ("SWITCHBOARD_DRAIN", "3s"),
            ("SWITCHBOARD_HEARTBEAT", ""),
            ("SWITCHBOARD_URL", "http://x"),
            ("SWITCHBOARD_TOKEN", "swk_x"),
            ("SWITCHBOARD_CA", "ca.pem"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(written.limits_message.unwrap().value.0, 2 << 20);
        assert_eq!(written.drain.unwrap().value.0, Duration::from_secs(3));
        assert_eq!(written.heartbeat, None);
    }

    #[test]
    fn an_unknown_variable_is_refused_with_a_suggestion() {
        let (_, problems) =
            of(&[("SWITCHBOARD_HARTBEAT", "3s"), ("SWITCHBOARD_MESSAGE_LIMIT", "1"), ("SWITCHBOARD_XYZ", "1")]);
        assert!(problems[0].contains("did you mean `SWITCHBOARD_HEARTBEAT`?"), "{problems:?}");
        assert_eq!(problems.len(), 3);
    }

    #[test]
    fn a_neighbour_named_switchboard_is_no_setting() {
        let (written, problems) = of(&[
            ("SWITCHBOARD_PORT", "tcp://10.0.0.1:8000"),
            ("SWITCHBOARD_PORT_8000_TCP_ADDR", "10.0.0.1"),
            ("SWITCHBOARD_SERVICE_HOST", "10.0.0.1"),
            ("SWITCHBOARD_SERVICE_PORT_HTTP", "8000"),
        ]);
        assert_eq!((written, problems), (Written::default(), Vec::new()));
    }

    #[test]
    fn the_log_takes_a_level_as_well_as_a_format() {
        let (written, problems) = of(&[("SWITCHBOARD_LOG", "switchboard=debug")]);
        assert_eq!((written.log, problems), (None, Vec::new()));
        assert_eq!(written.log_level.unwrap().value.0, "switchboard=debug");
        assert!(of(&[("SWITCHBOARD_LOG", "json")]).0.log.is_some());
        assert_eq!(of(&[("SWITCHBOARD_LOG", "xml")]).1.len(), 1);
    }
}
