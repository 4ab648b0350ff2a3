//! `--print-config`: what holds, as a file that says the same when it is read, and where each value was said.

use super::value::{Value, quoted};
use super::written::{ApiKey, Cache, Key, Origin, PushList, Rule, SETTINGS, Said, Written};
use std::fmt::Write as _;

/// The settings as TOML.
pub fn print(written: &Written) -> String {
    let mut out = format!(
        "# The configuration of switchboard {}, as it holds now. Saved to a file, it can be read with --config.\n\
         # Flags go before the environment, the environment before the file. The variable of a key is the key in\n\
         # capitals: SWITCHBOARD_LIMITS_MESSAGE is `message` in [limits].\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut open = "";
    for setting in SETTINGS {
        let Some((value, origin)) = (setting.show)(written) else { continue };
        let (table, key) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if table != open {
            let _ = write!(out, "\n[{table}]");
            open = table;
        }
        let (hidden, value) = if setting.hidden { ("# ", "it is not shown") } else { ("", &*value) };
        let _ = write!(out, "\n# {}\n{hidden}{key} = {value}  # {}\n", setting.about, from(origin));
    }
    for key in &written.keys {
        print_key(key, &mut out);
    }
    for key in &written.api_keys {
        print_api_key(key, &mut out);
    }
    for rule in &written.rules {
        print_rule(rule, &mut out);
    }
    for Cache { path, control } in &written.caches {
        print_entries("site.cache", [("path", text(path)), ("control", text(control))], &mut out);
    }
    for PushList { page, files } in &written.pushes {
        print_entries("site.push", [("page", text(page)), ("files", value(files))], &mut out);
    }
    out
}

/// A value as TOML, and where it was said.
type Entry = Option<(String, Origin)>;

fn text(said: &Option<Said<String>>) -> Entry {
    said.as_ref().map(|said| (quoted(&said.value), said.origin.clone()))
}

fn value<T: Value>(said: &Option<Said<T>>) -> Entry {
    said.as_ref().map(|said| (said.value.to_toml(), said.origin.clone()))
}

fn print_entries<const N: usize>(list: &str, entries: [(&str, Entry); N], out: &mut String) {
    let _ = writeln!(out, "\n[[{list}]]");
    for (key, entry) in entries {
        if let Some((value, origin)) = entry {
            let _ = writeln!(out, "{key} = {value}  # {}", from(&origin));
        }
    }
}

/// A secret is not shown: what is printed lacks it.
fn print_key(key: &Key, out: &mut String) {
    let entries = [
        ("id", text(&key.id)),
        ("algorithm", text(&key.algorithm)),
        ("secret_file", text(&key.secret_file)),
        ("public_key", text(&key.public_key)),
        ("public_key_file", text(&key.public_key_file)),
    ];
    print_entries("auth.key", entries, out);
    if let Some(secret) = &key.secret {
        let _ = writeln!(out, "# secret = it is not shown  # {}", from(&secret.origin));
    }
}

fn print_api_key(key: &ApiKey, out: &mut String) {
    let entries = [
        ("name", text(&key.name)),
        ("hash", text(&key.hash)),
        ("subscribe", value(&key.subscribe)),
        ("publish", value(&key.publish)),
        ("presence", value(&key.presence)),
        ("manage", value(&key.manage)),
    ];
    print_entries("auth.api_key", entries, out);
}

fn print_rule(rule: &Rule, out: &mut String) {
    let entries = [
        ("pattern", text(&rule.pattern)),
        ("class", text(&rule.class)),
        ("events", value(&rule.events)),
        ("age", value(&rule.age)),
        ("bytes", value(&rule.bytes)),
        ("subscribe", text(&rule.subscribe)),
        ("publish", text(&rule.publish)),
        ("presence", text(&rule.presence)),
        ("publishes", value(&rule.publishes)),
        ("message", value(&rule.message)),
        ("track", text(&rule.track)),
    ];
    print_entries("channel", entries, out);
}

/// The origin as a comment: on one line, whatever the file is called.
fn from(origin: &Origin) -> String {
    let text = match origin {
        Origin::Flag(flag) => format!("flag {flag}"),
        Origin::Environment(variable) => format!("environment {variable}"),
        Origin::File(path, line) => format!("file {path}:{line}"),
        Origin::Default => "default".to_owned(),
    };
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::meant::{self, Meant};
    use crate::config::{file, value::Size};
    use proptest::prelude::*;

    fn reread(written: &Written) -> Written {
        let text = print(written);
        let (read, problems) = file::read("printed.toml", &text);
        assert_eq!(problems, [], "{text}");
        read
    }

    #[test]
    fn each_value_says_where_it_comes_from() {
        let (mut written, _) =
            file::read("a\nb.toml", "drain = \"3s\"\n[[channel]]\npattern = \"x\"\nclass = \"state\"");
        (SETTINGS[1].read_text)(&mut written, "true", Origin::Flag("--insecure")).unwrap();
        let text = print(&written.over(meant::defaults()));
        for line in [
            "listen = \"127.0.0.1:8000\"  # default",
            "insecure = true  # flag --insecure",
            "shards = \"auto\"  # default",
            "drain = \"3s\"  # file a?b.toml:1",
            "message = \"1MiB\"  # default",
            "pattern = \"x\"  # file a?b.toml:3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let (written, problems) = file::read("s.toml", "[application]\nurl = \"http://a/\"\nsecret = [\"hush, hush\"]");
        assert_eq!(problems, []);
        assert_eq!(written.application_secret.as_ref().unwrap().value.0, ["hush, hush"]);
        let text = print(&written);
        assert!(text.contains("# secret = it is not shown  # file s.toml:3\n") && !text.contains("hush"), "{text}");
        assert!(!format!("{written:?}").contains("hush"));
    }

    fn setting_text() -> impl Strategy<Value = Vec<(usize, String)>> {
        let texts = prop::sample::select(vec![
            "1",
            "7",
            "4096",
            "auto",
            "1s",
            "90s",
            "1500ms",
            "2h",
            "64KiB",
            "8MB",
            "12345B",
            "true",
            "false",
            "text",
            "json",
            "debug",
            "warn,switchboard=trace",
            "127.0.0.1:0",
            "[::1]:9,0.0.0.0:1",
        ]);
        prop::collection::vec((0..SETTINGS.len(), texts.prop_map(str::to_owned)), 0..60)
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same_configuration(
            texts in setting_text(),
            rules in prop::collection::vec(("[a-z\"\\\\ é]{1,5}(/[a-z]{1,3}){0,2}(/\\*\\*)?", 1..9usize, any::<bool>()), 0..4),
        ) {
            let mut written = Written::default();
            for (i, text) in &texts {
                let _ = (SETTINGS[*i].read_text)(&mut written, text, Origin::Environment("X".to_owned()));
            }
            (written.tls_listen, written.tls_certificate, written.tls_key) = (None, None, None);
            written.socket_mode = None;
            // None of the texts is a certificate, the mode of a file, an origin, a URL, a secret, a file or a proxy, and few are names of cookies.
            (written.proxies_addresses, written.proxies_header, written.proxies_protocol) = (None, None, None);
            (written.auth_origins, written.auth_cookie, written.auth_jwks) = (None, None, None);
            (written.auth_jwks_ca, written.application_ca, written.application_fields) = (None, None, None);
            (written.application_url, written.application_secret, written.application_secret_file) = (None, None, None);
            (written.application_asks, written.application_tells) = (None, None);
            (written.site_directory, written.site_prefix) = (None, None);
            (written.site_symlinks, written.site_hints) = (None, None);
            written.insecure = Some(Said { value: true, origin: Origin::Flag("--insecure") });
            for (pattern, events, history) in rules {
                let origin = Origin::Flag("--test");
                let said = |value: &str| Some(Said { value: value.to_owned(), origin: origin.clone() });
                written.rules.push(Rule {
                    pattern: said(&pattern),
                    class: said(if history { "history" } else { "state" }),
                    events: history.then(|| Said { value: crate::config::value::Count(events), origin: origin.clone() }),
                    track: if history { said("members") } else { None },
                    ..Rule::default()
                });
            }
            let mut written = written.over(meant::defaults());
            // An event larger than memory is refused.
            let size = |said: &Option<Said<Size>>| said.as_ref().map(|said| said.value.0);
            if size(&written.memory_bytes) < size(&written.limits_message) {
                written.memory_bytes = written.limits_message.clone();
            }
            let meant = |written| {
                let Meant { server, log, level, warnings } = meant::resolve(written).unwrap();
                // A warning says where it stands, and that has changed.
                let warnings: Vec<String> = warnings.into_iter().map(|warning| warning.sentence).collect();
                format!("{server:?} {log:?} {level:?} {warnings:?}")
            };
            prop_assert_eq!(meant(&written), meant(&reread(&written)));
        }
    }
}
