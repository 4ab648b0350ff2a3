//! What a reload does not take over.

use super::written::{Rule, SETTINGS, Said, Written};

/// Settings that a reload takes over, or those in tables that begin so.
const RELOADED: [&str; 3] = ["auth.", "tls.certificate", "tls.key"];
/// Those among them that it does not.
const KEPT: &str = "auth.jwks";

/// What differs between two configurations and takes a restart: keys, and `[[channel]]` where it is what rules say of history.
pub fn needed(before: &Written, after: &Written) -> Vec<&'static str> {
    let mut differing: Vec<&'static str> = SETTINGS
        .iter()
        .filter(|setting| {
            let takes = setting.key.starts_with(KEPT) || !RELOADED.iter().any(|begin| setting.key.starts_with(begin));
            takes && !(setting.is_same)(before, after)
        })
        .map(|setting| setting.key)
        .collect();
    let lists = [
        ("[[channel]]", history(before) != history(after)),
        ("[[site.cache]]", before.caches != after.caches),
        ("[[site.push]]", before.pushes != after.pushes),
    ];
    differing.extend(lists.into_iter().filter_map(|(list, differs)| differs.then_some(list)));
    differing
}

/// What rules say that is not of access.
fn history(written: &Written) -> Vec<impl PartialEq + '_> {
    let rules = written.rules.iter().filter(|rule| rule.class.is_some() || rule.track.is_some());
    rules
        .map(|Rule { pattern, class, events, age, bytes, track, .. }| {
            (value(pattern), value(class), value(events), value(age), value(bytes), value(track))
        })
        .collect()
}

fn value<T>(said: &Option<Said<T>>) -> Option<&T> {
    said.as_ref().map(|said| &said.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{file, meant};

    fn of(text: &str) -> Written {
        let (written, problems) = file::read("s.toml", text);
        assert_eq!(problems, []);
        written.over(meant::defaults())
    }

    #[test]
    fn what_a_reload_takes_over_needs_no_restart() {
        let plain = of("");
        for (text, expected) in [
            ("\n\n", &[][..]),
            ("[auth]\nlifetime = \"1h\"", &[]),
            ("[tls]\nlisten = \"127.0.0.1:0\"", &["tls.listen"]),
            ("[[channel]]\npattern = \"a\"\nsubscribe = \"anyone\"\npublishes = 3", &[]),
        ] {
            assert_eq!(needed(&plain, &of(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_takes_a_restart_is_named() {
        let before = of("[[channel]]\npattern = \"a\"\nclass = \"history\"\nevents = 3");
        let after = of("shards = 2\n[limits]\nuser = 7\n[auth]\njwks = \"https://example.com/keys\"\n\
                        [[channel]]\npattern = \"a\"\nclass = \"history\"\nevents = 4");
        let mut named = needed(&before, &after);
        named.sort_unstable();
        assert_eq!(named, ["[[channel]]", "auth.jwks", "limits.user", "shards"]);
        assert_eq!(needed(&after, &after), [""; 0]);
        let signed = |secret: &str| {
            of(&format!("[application]\nurl = \"http://127.0.0.1:1\"\nsecret = \"{secret}{}\"", "x".repeat(32)))
        };
        assert_eq!(needed(&signed("a"), &signed("b")), ["application.secret"], "though it is not shown");
    }
}
