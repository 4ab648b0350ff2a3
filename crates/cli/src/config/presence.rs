//! What the configuration says of presence, as meant.

use super::access::{pattern, says_who};
use super::suggest::known;
use super::written::{Problem, Rule, Written};
use switchboard::config::Presence;
use switchboard_hub::presence::Track;

/// Takes over what was written.
pub fn apply(written: &Written, presence: &mut Presence, problems: &mut Vec<Problem>) {
    if let Some(said) = &written.presence_debounce {
        presence.debounce = said.value.0;
    }
    for rule in &written.rules {
        let Some(track) = &rule.track else { continue };
        let meant = match track.value.as_str() {
            "off" => None,
            "count" => Some(Track::Count),
            "members" => Some(Track::Members),
            unknown => {
                let hint = known(unknown, ["off", "count", "members"]);
                problems.push(Problem::at(&track.origin, format!("unknown `track = \"{unknown}\"`{hint}")));
                continue;
            }
        };
        let Some(said) = &rule.pattern else { continue };
        match pattern(&said.value, &said.origin) {
            Ok(pattern) => presence.tracking.rules.push((pattern, meant)),
            Err(bad) if !is_told(rule) => problems.push(bad),
            Err(_) => {}
        }
    }
}

/// Whether a pattern that is none is complained of elsewhere.
fn is_told(rule: &Rule) -> bool {
    rule.class.is_some() || says_who(rule) || rule.publishes.is_some() || rule.message.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{file, meant};
    use std::time::Duration;
    use switchboard_wire::ChannelName;

    fn of(text: &str) -> Result<Presence, Vec<String>> {
        let (written, problems) = file::read("s.toml", text);
        let told = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<String>>();
        if !problems.is_empty() {
            return Err(told(problems));
        }
        meant::resolve(&written.over(meant::defaults())).map(|meant| meant.server.presence).map_err(told)
    }

    #[test]
    fn the_first_rule_that_speaks_of_it_decides_what_is_kept_track_of() {
        let text = "[presence]\ndebounce = \"1500ms\"\n\
                    [[channel]]\npattern = \"room/secret\"\nclass = \"ephemeral\"\ntrack = \"off\"\n\
                    [[channel]]\npattern = \"room/big\"\nclass = \"state\"\n\
                    [[channel]]\npattern = \"room/*\"\ntrack = \"members\"\n\
                    [[channel]]\npattern = \"**\"\ntrack = \"count\"\npresence = \"anyone\"\n";
        let presence = of(text).unwrap();
        assert_eq!(presence.debounce, Duration::from_millis(1500));
        let track = |channel: &str| presence.tracking.of(&ChannelName::new(channel).unwrap());
        assert_eq!(track("room/secret"), None);
        assert_eq!([track("room/big"), track("room/1")], [Some(Track::Members); 2]);
        assert_eq!(track("other"), Some(Track::Count));
        let nothing = of("").unwrap();
        assert_eq!((nothing.debounce, nothing.tracking.rules.len()), (Duration::from_secs(5), 0));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_where_it_stands() {
        for (text, expected) in [
            (
                "[[channel]]\npattern = \"a\"\ntrack = \"member\"",
                "s.toml:3: unknown `track = \"member\"`; did you mean `members`?",
            ),
            (
                "[[channel]]\npattern = \"a\"\ntrack = \"yes\"",
                "s.toml:3: unknown `track = \"yes\"`; there are off, count, members",
            ),
            ("[[channel]]\ntrack = \"count\"", "s.toml:1: this [[channel]] lacks `pattern`"),
        ] {
            assert_eq!(of(text).unwrap_err(), [expected], "{text}");
        }
        for more in [
            "",
            "publishes = 3",
            "class = \"state\"",
            "presence = \"anyone\"",
            "class = \"state\"\npresence = \"anyone\"",
        ] {
            let problems = of(&format!("[[channel]]\npattern = \"a//b\"\ntrack = \"count\"\n{more}")).unwrap_err();
            assert!(problems.len() == 1 && problems[0].starts_with("s.toml:2: pattern `a//b`"), "{problems:?}");
        }
    }
}
