//! Channel names and patterns: what is taken keeps the rules, and a pattern selects what it says.

use crate::choices::Choices;
use switchboard_wire::limits::{NAME_MAX, WILDCARDS_MAX};
use switchboard_wire::name::{BadName, Selection};
use switchboard_wire::{ChannelName, Pattern};

/// What names are made of where they are not text from the input: few, so that patterns and names meet.
const SEGMENTS: [&str; 14] = ["a", "b", "*", "**", "a*", "$", "$a", ".", "..", "", "\u{fc}", "a b", "\u{85}", "..."];

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let texts = match choices.flag() {
        true => joined(&mut choices),
        false => String::from_utf8_lossy(choices.rest()).split('\n').take(12).map(str::to_owned).collect(),
    };
    let names: Vec<ChannelName> = texts.iter().filter_map(|text| name(text)).collect();
    let patterns: Vec<Pattern> = texts.iter().filter_map(|text| pattern(text)).collect();
    for pattern in &patterns {
        let printed = pattern.to_string();
        for name in &names {
            let (segments, wanted): (Vec<&str>, Vec<&str>) = (name.segments().collect(), printed.split('/').collect());
            let hidden = name.is_reserved() && printed.starts_with('*') && matches!(wanted[0], "*" | "**");
            let expected = !hidden && selects(&wanted, &segments);
            assert_eq!(pattern.matches(name), expected, "{printed} on {name}");
        }
    }
    selection(&texts, &names);
}

fn joined(choices: &mut Choices<'_>) -> Vec<String> {
    let count = 1 + choices.below(6);
    let mut one = |_| (0..1 + choices.below(12)).map(|_| choices.pick(&SEGMENTS)).collect::<Vec<_>>().join("/");
    (0..count).map(&mut one).collect()
}

/// The name, once it is certain that it is one exactly if it keeps the rules.
fn name(text: &str) -> Option<ChannelName> {
    let name = ChannelName::new(text);
    let wild = text.split('/').any(|segment| segment == "*" || segment == "**");
    assert_eq!(name.is_ok(), keeps_the_rules(text) && !wild, "{text:?}");
    assert_eq!(name == Err(BadName::Wildcard), keeps_the_rules(text) && wild, "{text:?}");
    let name = name.ok()?;
    assert_eq!(name.as_str(), text);
    assert_eq!(name.segments().collect::<Vec<_>>().join("/"), text);
    assert_eq!(name.is_reserved(), text.split('/').next().unwrap().starts_with('$'));
    // What names no wildcard is the pattern of that one name.
    assert!(Pattern::new(text).unwrap().matches(&name), "{text:?}");
    Some(name)
}

fn pattern(text: &str) -> Option<Pattern> {
    let pattern = Pattern::new(text);
    if !keeps_the_rules(text) {
        assert_eq!(pattern.clone().err(), ChannelName::new(text).err(), "names and patterns are refused alike");
        return None;
    }
    // Between two literals `**` counts once, however often it stands there.
    let mut wildcards = 0;
    for run in text.split('/').collect::<Vec<_>>().split(|segment| *segment != "*" && *segment != "**") {
        wildcards += run.iter().filter(|segment| **segment == "*").count();
        wildcards += usize::from(run.contains(&"**"));
    }
    assert_eq!(pattern.is_ok(), wildcards <= WILDCARDS_MAX, "{text:?}");
    let pattern = pattern.ok()?;
    assert_eq!(Pattern::new(&pattern.to_string()), Ok(pattern.clone()), "{text:?} prints as what it is");
    // It selects what the text as it was written selects.
    for name in ["a", "b", "a/a", "a/b", "b/a/b", "a/a/a/a", "$a/b", "\u{fc}/a"] {
        let (segments, written): (Vec<&str>, Vec<&str>) = (name.split('/').collect(), text.split('/').collect());
        let hidden = name.starts_with('$') && matches!(written[0], "*" | "**");
        let expected = !hidden && selects(&written, &segments);
        assert_eq!(pattern.matches(&ChannelName::new(name).unwrap()), expected, "{text} on {name}");
    }
    Some(pattern)
}

/// `docs/protocol.md`: 1 to 255 bytes, no segment empty, `.` or `..`, no control characters.
fn keeps_the_rules(text: &str) -> bool {
    let control = |c: char| matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f);
    (1..=NAME_MAX).contains(&text.len())
        && text.chars().all(|c| !control(c))
        && text.split('/').all(|segment| !segment.is_empty() && segment != "." && segment != "..")
}

/// The meaning of a pattern, looked up for every pair of a place in it and a place in the name.
fn selects(pattern: &[&str], name: &[&str]) -> bool {
    // `reach[p][n]`: what is left of the pattern from `p` on selects what is left of the name from `n` on.
    let mut reach = vec![vec![false; name.len() + 1]; pattern.len() + 1];
    for p in (0..=pattern.len()).rev() {
        for n in (0..=name.len()).rev() {
            reach[p][n] = match pattern.get(p) {
                None => n == name.len(),
                Some(&"**") => reach[p + 1][n] || (n < name.len() && reach[p][n + 1]),
                Some(&"*") => n < name.len() && reach[p + 1][n + 1],
                Some(literal) => name.get(n) == Some(literal) && reach[p + 1][n + 1],
            };
        }
    }
    reach[0][0]
}

/// A selection selects what one of the texts in it does, and holds none of them twice.
fn selection(texts: &[String], names: &[ChannelName]) {
    let mut selection = Selection::default();
    let mut taken = Vec::new();
    for text in texts {
        let before = selection.clone();
        match selection.add(text) {
            Ok(()) => taken.push(Pattern::new(text).unwrap()),
            Err(_) => assert_eq!(selection, before, "a refused text changes nothing"),
        }
    }
    assert!(selection.len() <= taken.len() && selection.is_empty() == taken.is_empty());
    let again = selection.clone();
    for text in texts {
        let _ = selection.add(text);
    }
    assert_eq!(selection, again);
    for name in names {
        assert_eq!(selection.selects(name), taken.iter().any(|pattern| pattern.matches(name)), "{name}");
    }
}
