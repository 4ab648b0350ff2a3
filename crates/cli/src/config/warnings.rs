//! What can be meant, and seldom is.

use super::access::{is_configured, jwks_of, says_who};
use super::meant::{defaults, retention, said_first};
use super::value::Texts;
use super::written::{Origin, Problem, SETTINGS, Said, Written};
use super::{listening, site};
use crate::units::{show_duration, show_size};
use std::time::Duration;
use switchboard::Config;
use switchboard_wire::Pattern;

/// Below it, every reader is written to more often than anything gains by.
const HEARTBEAT_LEAST: Duration = Duration::from_millis(100);

pub fn of(written: &Written, config: &Config) -> Vec<Problem> {
    let mut out = access(written);
    out.extend(hidden_rules(written));
    out.extend(listening::warnings(written, config));
    out.extend(site::warning(written, config.site.as_ref()));
    out.extend(sizes(written, config));
    if let Some(said) = written.heartbeat.as_ref().filter(|said| said.value.0 < HEARTBEAT_LEAST) {
        let sentence = format!(
            "`heartbeat` is {}: every connection is written to that often; below {} that is load and helps nobody",
            show_duration(said.value.0),
            show_duration(HEARTBEAT_LEAST)
        );
        out.push(Problem::at(&said.origin, sentence));
    }
    out
}

/// What is larger than that in which it is to find room.
fn sizes(written: &Written, config: &Config) -> Vec<Problem> {
    let mut out = Vec::new();
    let message = config.limits.message;
    let alone = |key: &str, bytes: usize| {
        format!(
            "`limits.message` is {}, more than `{key}` with {}: an event larger than that is held alone, and only until \
             the next on its channel",
            show_size(message),
            show_size(bytes)
        )
    };
    let history = retention(&config.policy).bytes;
    if message > history {
        let origin = said_first(&written.limits_message, &written.history_bytes);
        out.push(Problem::at(origin, alone("history.bytes", history)));
    }
    // A rule that says nothing of it takes what was complained of already.
    for rule in &written.rules {
        let Some(bytes) = &rule.bytes else { continue };
        // What a rule says of its own messages goes before what holds for all.
        let largest = rule.message.as_ref().map_or(message, |own| own.value.0);
        if largest > bytes.value.0 {
            out.push(Problem::at(&bytes.origin, alone("bytes", bytes.value.0)));
        }
    }
    let (token, head) = (config.auth.token_bytes, config.limits.head);
    if token >= head && is_configured(written) {
        let origin = said_first(&written.auth_token_size, &written.limits_head);
        let sentence = format!(
            "`auth.token_size` is {}, and a head with its token is to fit into `limits.head` with {}: longer tokens are \
             answered 431",
            show_size(token),
            show_size(head)
        );
        out.push(Problem::at(origin, sentence));
    }
    out
}

/// Who can show who they are, and what for.
fn access(written: &Written) -> Vec<Problem> {
    let mut out = Vec::new();
    let shown = jwks_of(written).is_some() || !written.keys.is_empty() || !written.api_keys.is_empty();
    let first = written.rules.iter().find(|rule| says_who(rule)).and_then(|rule| rule.pattern.as_ref());
    if let (Some(pattern), false) = (first, shown) {
        out.push(Problem::at(
            &pattern.origin,
            "rules say who may do what, and there is no [[auth.key]], `auth.jwks` or [[auth.api_key]]: nobody can show who they are, \
             so that what is not for anyone is for nobody",
        ));
    }
    if !is_configured(written)
        && let Some((key, origin)) = said_of_auth(written)
    {
        let sentence = format!(
            "`{key}` counts for nothing: there is no [[auth.key]], `auth.jwks`, [[auth.api_key]] or rule, so that everyone may do \
             everything (open mode)"
        );
        out.push(Problem::at(origin, sentence));
    }
    let names = |said: &Option<Said<Texts>>| said.as_ref().is_some_and(|said| !said.value.0.is_empty());
    for key in &written.api_keys {
        let may = [&key.subscribe, &key.publish, &key.presence, &key.manage].into_iter().any(names);
        if let (false, Some(name)) = (may, &key.name) {
            let sentence = format!(
                "the API key `{}` may do nothing: `subscribe`, `publish`, `presence` and `manage` list what a key may",
                name.value
            );
            out.push(Problem::at(&name.origin, sentence));
        }
    }
    out
}

/// The first thing that `[auth]` says otherwise than everybody has it.
fn said_of_auth(written: &Written) -> Option<(&'static str, &Origin)> {
    // Pages of other origins are let in or not in open mode as well, and figures are shown or not.
    let elsewhere = ["auth.origins", "auth.metrics"];
    let defaults = defaults();
    SETTINGS.iter().filter(|setting| setting.key.starts_with("auth.") && !elsewhere.contains(&setting.key)).find_map(
        |setting| {
            let (_, origin) = (setting.show)(written)?;
            (!(setting.is_same)(written, &defaults)).then_some((setting.key, origin))
        },
    )
}

/// Rules that say a class and never come to it, because an earlier one selects all that they do.
fn hidden_rules(written: &Written) -> Vec<Problem> {
    let mut earlier: Vec<Pattern> = Vec::new();
    let mut out = Vec::new();
    for rule in written.rules.iter().filter(|rule| rule.class.is_some()) {
        let Some(said) = &rule.pattern else { continue };
        let Ok(pattern) = Pattern::new(&said.value) else { continue };
        match earlier.iter().find(|wider| wider.covers(&pattern)) {
            Some(wider) => {
                let sentence = format!(
                    "the class of `{pattern}` never counts: `{wider}` stands before it and selects all its channels"
                );
                out.push(Problem::at(&said.origin, sentence));
            }
            None => earlier.push(pattern),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::config::{file, meant};

    fn of(text: &str) -> Vec<String> {
        let (written, problems) = file::read("s.toml", text);
        assert_eq!(problems, []);
        let meant = meant::resolve(&written.over(meant::defaults())).unwrap();
        meant.warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_seldom_meant_is_warned_of_where_it_stands() {
        assert_eq!(of("heartbeat = \"100ms\"\n[limits]\nmessage = \"8MiB\""), Vec::<String>::new());
        let text = "heartbeat = \"99ms\"\n[limits]\nmessage = \"9MiB\"\n[[channel]]\npattern = \"a\"\n\
                    class = \"history\"\nbytes = \"1MiB\"";
        let warned = of(text);
        assert_eq!(warned.len(), 3, "{warned:?}");
        for (warning, begins) in
            warned.iter().zip(["s.toml:3: `limits.message`", "s.toml:7: ", "s.toml:1: `heartbeat`"])
        {
            assert!(warning.starts_with(begins), "{warned:?}");
        }
        assert!(of("[history]\nbytes = \"1000\"")[0].starts_with("s.toml:2: "));
    }

    #[test]
    fn what_counts_for_nothing_is_warned_of() {
        let hash = "0".repeat(64);
        let key = format!("[[auth.api_key]]\nname = \"idle\"\nhash = \"sha256:{hash}\"\n");
        let classes = |first: &str, second: &str| {
            let rule = |pattern: &str| format!("[[channel]]\npattern = \"{pattern}\"\nclass = \"state\"\n");
            rule(first) + &rule(second)
        };
        for (text, begins, holds) in [
            ("[auth]\ncookie = \"session\"", "s.toml:2: `auth.cookie` counts for nothing", "open mode"),
            (
                &*format!("[auth]\ntoken_size = \"64KiB\"\n{key}publish = [\"**\"]"),
                "s.toml:2: `auth.token_size` is 64KiB",
                "",
            ),
            (&key, "s.toml:2: the API key `idle` may do nothing", "`manage`"),
            (&classes("**", "a"), "s.toml:5: the class of `a` never counts: `**` stands before it", ""),
            (&classes("a/*", "a/*"), "s.toml:5: the class of `a/*` never counts", ""),
        ] {
            let warned = of(text);
            assert!(
                !warned.is_empty() && warned[0].starts_with(begins) && warned[0].contains(holds),
                "{text}: {warned:?}"
            );
        }
        let fine = classes("a/*", "**") + "[auth]\norigins = [\"https://example.com\"]";
        assert_eq!(of(&fine), Vec::<String>::new());
    }
}
