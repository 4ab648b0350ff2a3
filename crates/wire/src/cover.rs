//! How patterns stand to each other: whether one selects all that another does, or anything of it. A grant is a pattern,
//! and so is what a reader asks for.

use crate::name::{Pattern, Segment};

impl Pattern {
    /// Whether this pattern selects every name that `other` selects.
    ///
    /// `true` is certain. `false` is not: what only several steps together would cover is not looked for, and whoever
    /// asks for a pattern is to be granted it by one that is plainly wider.
    pub fn covers(&self, other: &Pattern) -> bool {
        // A name has a segment at least, so that `**` alone selects no more than `*/**` does.
        let (wide, narrow) = (steps(self), steps(other));
        if is_reserved(&narrow) && !is_named(&wide) {
            return false;
        }
        match narrow[..] {
            [Segment::Any] => covers(&wide, &narrow) || covers(&wide, &[Segment::One, Segment::Any]),
            _ => covers(&wide, &narrow),
        }
    }

    /// Whether there may be a name that both patterns select. `false` is certain.
    pub fn meets(&self, other: &Pattern) -> bool {
        let (one, other) = (steps(self), steps(other));
        let apart = |one: &[_], other: &[_]| is_reserved(one) && !is_named(other);
        !apart(&one, &other) && !apart(&other, &one) && meets(&one, &other)
    }
}

fn steps(pattern: &Pattern) -> Vec<Segment<'_>> {
    pattern.segments().collect()
}

/// Whether what the pattern selects is the system's own: a pattern that begins with a wildcard selects none of it.
fn is_reserved(segments: &[Segment<'_>]) -> bool {
    matches!(segments.first(), Some(Segment::Literal(text)) if text.starts_with('$'))
}

fn is_named(segments: &[Segment<'_>]) -> bool {
    matches!(segments.first(), Some(Segment::Literal(_)))
}

/// Row by row: `row[w]` tells whether the rest of `wide` from `w` on covers the rest of `narrow`. Both have few segments,
/// and the work is the product of their numbers.
fn covers(wide: &[Segment<'_>], narrow: &[Segment<'_>]) -> bool {
    let mut below = vec![false; wide.len() + 1];
    for n in (0..=narrow.len()).rev() {
        let mut row = vec![false; wide.len() + 1];
        for w in (0..=wide.len()).rev() {
            row[w] = match (wide.get(w), narrow.get(n)) {
                (None, None) => true,
                (None, Some(_)) | (Some(Segment::One | Segment::Literal(_)), None | Some(Segment::Any)) => false,
                (Some(Segment::Any), rest) => row[w + 1] || (rest.is_some() && below[w]),
                (Some(Segment::One), Some(_)) => below[w + 1],
                (Some(literal), Some(other)) => literal == other && below[w + 1],
            };
        }
        below = row;
    }
    below[0]
}

/// As [`covers`]: whether some name is selected by the rests of both.
fn meets(one: &[Segment<'_>], other: &[Segment<'_>]) -> bool {
    let mut below = vec![false; one.len() + 1];
    for b in (0..=other.len()).rev() {
        let mut row = vec![false; one.len() + 1];
        for a in (0..=one.len()).rev() {
            row[a] = match (one.get(a), other.get(b)) {
                (None, None) => true,
                (Some(Segment::Any), rest) => row[a + 1] || (rest.is_some() && below[a]),
                (rest, Some(Segment::Any)) => below[a] || (rest.is_some() && row[a + 1]),
                (None, Some(_)) | (Some(_), None) => false,
                (Some(Segment::One), Some(_)) | (Some(_), Some(Segment::One)) => below[a + 1],
                (Some(literal), Some(other)) => literal == other && below[a + 1],
            };
        }
        below = row;
    }
    below[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChannelName;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        for (wide, narrow) in [
            ("**", "**"),
            ("*/**", "**"),
            ("**", "*/**"),
            ("**", "a/**/b"),
            ("a/**", "a"),
            ("a/**", "a/*/b/**"),
            ("a/**", "a/**"),
            ("*/b", "a/b"),
            ("**/b", "**/a/b"),
            ("a/**/c/**", "a/b/c"),
            ("$s/**", "$s/a"),
        ] {
            assert!(pattern(wide).covers(&pattern(narrow)), "{wide} covers {narrow}");
        }
        for (wide, narrow) in [
            ("*", "**"),
            ("a/**", "**"),
            ("a/*", "a/**"),
            ("a/**", "*/b"),
            ("a/b", "a/*"),
            ("*/*/**", "*/**"),
            ("**", "$s/a"),
            ("*/a", "$s/a"),
            ("a/**/b", "a/**"),
        ] {
            assert!(!pattern(wide).covers(&pattern(narrow)), "{wide} does not cover {narrow}");
        }
    }

    #[test]
    fn patterns_meet_where_a_name_is_selected_by_both() {
        for (one, other) in [("a/*", "*/b"), ("a/**", "**/b"), ("**", "a"), ("a/**/z", "a/b/**"), ("$s/**", "$s/*")] {
            assert!(pattern(one).meets(&pattern(other)) && pattern(other).meets(&pattern(one)), "{one} {other}");
        }
        for (one, other) in [("a/*", "b/**"), ("a", "a/*"), ("**/x", "**/y"), ("**", "$s/a"), ("*/a", "$s/**")] {
            assert!(!pattern(one).meets(&pattern(other)) && !pattern(other).meets(&pattern(one)), "{one} {other}");
        }
    }

    fn joined(alphabet: &'static [&'static str], longest: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(alphabet), 1..longest).prop_map(|segments| segments.join("/"))
    }

    /// Every name of up to so many segments over an alphabet that has one segment no pattern names.
    fn names(longest: usize) -> Vec<ChannelName> {
        let mut texts = vec![String::new()];
        let mut all = Vec::new();
        for _ in 0..longest {
            texts = texts
                .iter()
                .flat_map(|text| {
                    ["a", "b", "x", "$s"]
                        .map(|segment| if text.is_empty() { segment.into() } else { format!("{text}/{segment}") })
                })
                .collect();
            all.extend(texts.iter().map(|text| ChannelName::new(text).unwrap()));
        }
        all
    }

    proptest! {
        #[test]
        fn what_is_covered_is_selected_and_what_is_selected_by_both_meets(
            wide in joined(&["a", "b", "$s", "*", "**"], 4),
            narrow in joined(&["a", "b", "$s", "*", "**"], 4),
        ) {
            let (wide, narrow) = (pattern(&wide), pattern(&narrow));
            let names = names(5);
            if wide.covers(&narrow) {
                prop_assert!(names.iter().all(|name| !narrow.matches(name) || wide.matches(name)), "{wide} {narrow}");
            }
            let both = names.iter().any(|name| narrow.matches(name) && wide.matches(name));
            prop_assert!(wide.meets(&narrow) || !both, "{wide} {narrow}");
            let plain = |pattern: &Pattern| !pattern.to_string().contains('$');
            if plain(&wide) && plain(&narrow) {
                prop_assert_eq!(wide.meets(&narrow), both, "{} {}", wide, narrow);
            }
        }

        #[test]
        fn a_pattern_covers_itself_and_the_names_it_selects(text in joined(&["a", "b", "*", "**"], 6)) {
            let pattern = pattern(&text);
            prop_assert!(pattern.covers(&pattern), "{pattern}");
            for name in names(4).iter().filter(|name| !name.is_reserved()) {
                let alone = Pattern::new(name.as_str()).unwrap();
                prop_assert_eq!(pattern.covers(&alone), pattern.matches(name), "{} {}", pattern, name);
            }
        }
    }
}
