//! Channel names, and the patterns that select several.

use crate::limits::{NAME_MAX, WILDCARDS_MAX};
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A `/`-separated name of 1..=255 bytes, such as `chat/room-1`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// Why a text is not a channel name or not a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadName {
    Empty,
    TooLong,
    EmptySegment,
    DotSegment,
    Wildcard,
    Control,
    /// More than [`WILDCARDS_MAX`] in a pattern.
    TooManyWildcards,
    /// A first segment that begins with `$` is the system's own.
    Reserved,
    /// Not UTF-8 once percent-decoded.
    NotUtf8,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadName::Empty => "a channel name has at least one byte",
            BadName::TooLong => "a channel name has at most 255 bytes",
            BadName::EmptySegment => {
                "a segment of a channel name is empty: look for a slash at either end, or two in a row"
            }
            BadName::DotSegment => "a segment of a channel name is `.` or `..`",
            BadName::Wildcard => {
                "`*` and `**` are wildcards: they select channels in `GET /channels?channel=…` and name none"
            }
            BadName::TooManyWildcards => "a pattern has at most 8 wildcards",
            BadName::Control => "a channel name holds a control character",
            BadName::Reserved => "names that begin with `$` are the system's own",
            BadName::NotUtf8 => "a channel name is UTF-8 once percent-decoded",
        })
    }
}

impl ChannelName {
    /// The name, if it keeps every rule but the reservation of `$`: see [`ChannelName::is_reserved`].
    pub fn new(text: &str) -> Result<ChannelName, BadName> {
        match check(text)? {
            Spelling::Literal => Ok(ChannelName(text.into())),
            Spelling::Wildcards => Err(BadName::Wildcard),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the first segment begins with `$`: such channels are the system's own, and no pattern that begins
    /// with a wildcard selects them.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }

    pub fn segments(&self) -> std::str::Split<'_, char> {
        self.0.split('/')
    }

    /// The name with another segment in front, which may make it longer than a client's name can be.
    pub(crate) fn under(&self, root: &str) -> ChannelName {
        ChannelName(format!("{root}/{}", self.0).into())
    }

    /// The name that this one is [`ChannelName::under`] a segment; `None` if it is not.
    pub(crate) fn beneath(&self, root: &str) -> Option<ChannelName> {
        Some(ChannelName(self.0.strip_prefix(root)?.strip_prefix('/')?.into()))
    }
}

/// How the segments of a checked text are to be taken.
enum Spelling {
    Literal,
    /// At least one of them is a wildcard.
    Wildcards,
}

/// The rules that names and patterns share.
fn check(text: &str) -> Result<Spelling, BadName> {
    if text.is_empty() {
        return Err(BadName::Empty);
    }
    if text.len() > NAME_MAX {
        return Err(BadName::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(BadName::Control);
    }
    let mut spelling = Spelling::Literal;
    for segment in text.as_bytes().split(|b| *b == b'/') {
        match segment {
            b"" => return Err(BadName::EmptySegment),
            b"." | b".." => return Err(BadName::DotSegment),
            b"*" | b"**" => spelling = Spelling::Wildcards,
            _ => {}
        }
    }
    Ok(spelling)
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One step of a [`Pattern`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Segment<'a> {
    Literal(&'a str),
    /// `*`: exactly one segment.
    One,
    /// `**`: any number of segments, none included.
    Any,
}

impl<'a> Segment<'a> {
    /// What a segment of a pattern's text stands for.
    pub fn of(text: &'a str) -> Segment<'a> {
        match text {
            "*" => Segment::One,
            "**" => Segment::Any,
            literal => Segment::Literal(literal),
        }
    }
}

/// A channel name in which `*` stands for one segment and `**` for any number. Kept as its text, and cheap to
/// clone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Reads a pattern; a text without wildcards is a pattern that selects that one name. Wildcards in a row are kept in
    /// one order, so a pattern may print otherwise than it was written.
    pub fn new(text: &str) -> Result<Pattern, BadName> {
        check(text)?;
        let mut segments: Vec<&str> = Vec::new();
        for segment in text.split('/') {
            match segment {
                "**" if segments.last() == Some(&"**") => {}
                // `**/*` selects what `*/**` does, and that way alike patterns are the same.
                "*" if segments.last() == Some(&"**") => segments.insert(segments.len() - 1, "*"),
                other => segments.push(other),
            }
        }
        if segments.iter().filter(|segment| matches!(**segment, "*" | "**")).count() > WILDCARDS_MAX {
            return Err(BadName::TooManyWildcards);
        }
        Ok(Pattern(segments.join("/").into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> + Clone {
        self.0.split('/').map(Segment::of)
    }

    /// The pattern with another segment in front.
    pub(crate) fn under(&self, root: &str) -> Pattern {
        Pattern(format!("{root}/{}", self.0).into())
    }

    /// The pattern that this one is [`Pattern::under`] a segment; `None` if it is not.
    pub(crate) fn beneath(&self, root: &str) -> Option<Pattern> {
        Some(Pattern(self.0.strip_prefix(root)?.strip_prefix('/')?.into()))
    }

    /// The pattern with a value in place of a word, wherever the word stands in a segment. The value becomes a part of
    /// that segment and no more: `None` if it would make it something else, such as two segments or a wildcard.
    pub fn with(&self, word: &str, value: &str) -> Option<Pattern> {
        let fill = |segment: &str| {
            let filled = segment.replace(word, value);
            let alone = !segment.contains(word) || (!filled.contains('/') && ChannelName::new(&filled).is_ok());
            alone.then_some(filled)
        };
        let pattern = self.0.split('/').map(fill).collect::<Option<Vec<_>>>()?.join("/");
        (pattern.len() <= NAME_MAX).then(|| Pattern(pattern.into()))
    }

    /// Whether the pattern selects this channel. Wildcards in front do not select the system's own channels.
    pub fn matches(&self, name: &ChannelName) -> bool {
        self.matches_in(name).0
    }

    /// The same, and how many pairs of segments were looked at for that.
    pub fn matches_in(&self, name: &ChannelName) -> (bool, usize) {
        let (mut steps, mut left) = (self.segments(), name.segments());
        if name.is_reserved() && !matches!(steps.clone().next(), Some(Segment::Literal(_))) {
            return (false, 1);
        }
        // What follows the latest `**`, and from where on: on a mismatch only that one need reach further, so the work
        // is at most the product of the two lengths.
        let (mut any, mut pairs) = (None, 0);
        loop {
            let here = left.clone();
            pairs += 1;
            let Some(text) = left.next() else { return (steps.all(|step| step == Segment::Any), pairs) };
            let fits = match steps.next() {
                Some(Segment::Any) => {
                    any = Some((steps.clone(), here.clone()));
                    left = here;
                    true
                }
                Some(Segment::One) => true,
                Some(Segment::Literal(literal)) => literal == text,
                None => false,
            };
            if !fits {
                let Some((behind, reach)) = &mut any else { return (false, pairs) };
                reach.next();
                (steps, left) = (behind.clone(), reach.clone());
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The channels a reader asked for: some by name, some by pattern.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Selection {
    pub channels: Vec<ChannelName>,
    pub patterns: Vec<Pattern>,
}

impl Selection {
    pub fn one(channel: ChannelName) -> Selection {
        Selection { channels: vec![channel], patterns: Vec::new() }
    }

    /// Adds a name or, if it has a wildcard, a pattern; what is there already is not added again.
    pub fn add(&mut self, text: &str) -> Result<(), BadName> {
        match ChannelName::new(text) {
            Ok(name) if !self.channels.contains(&name) => self.channels.push(name),
            Ok(_) => {}
            Err(BadName::Wildcard) => {
                let pattern = Pattern::new(text)?;
                if !self.patterns.contains(&pattern) {
                    self.patterns.push(pattern);
                }
            }
            Err(bad) => return Err(bad),
        }
        Ok(())
    }

    /// Takes a name or pattern out. `false` if it is not there.
    pub fn remove(&mut self, text: &str) -> Result<bool, BadName> {
        let before = self.len();
        match ChannelName::new(text) {
            Ok(name) => self.channels.retain(|channel| *channel != name),
            Err(BadName::Wildcard) => {
                let pattern = Pattern::new(text)?;
                self.patterns.retain(|other| *other != pattern);
            }
            Err(bad) => return Err(bad),
        }
        Ok(self.len() < before)
    }

    pub fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this name, or pattern as it is written, is there.
    pub fn names(&self, text: &str) -> bool {
        self.channels.iter().any(|name| name.as_str() == text)
            || self.patterns.iter().any(|pattern| pattern.as_str() == text)
    }

    /// The same, but for what the other names as well.
    pub fn without(&self, other: &Selection) -> Selection {
        let channels = self.channels.iter().filter(|name| !other.channels.contains(name)).cloned();
        let patterns = self.patterns.iter().filter(|pattern| !other.patterns.contains(pattern)).cloned();
        Selection { channels: channels.collect(), patterns: patterns.collect() }
    }

    pub fn selects(&self, name: &ChannelName) -> bool {
        self.channels.contains(name) || self.patterns.iter().any(|pattern| pattern.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_keep_the_rules() {
        for good in ["a", "chat/room-1", "a*b", "**x", "...", "ünï/cödé", "$system/x", "a b", &"x".repeat(255)] {
            assert_eq!(ChannelName::new(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(256);
        let cases = [
            ("", BadName::Empty),
            (&*long, BadName::TooLong),
            ("/", BadName::EmptySegment),
            ("/a", BadName::EmptySegment),
            ("a/", BadName::EmptySegment),
            ("a//b", BadName::EmptySegment),
            (".", BadName::DotSegment),
            ("a/../b", BadName::DotSegment),
            ("*", BadName::Wildcard),
            ("a/**", BadName::Wildcard),
            ("a\0b", BadName::Control),
            ("a\nb", BadName::Control),
            ("a\u{85}b", BadName::Control),
        ];
        for (bad, why) in cases {
            assert_eq!(ChannelName::new(bad).unwrap_err(), why, "{bad:?}");
        }
    }

    #[test]
    fn patterns_select_what_they_say() {
        let cases = [
            ("a/*", "a/b", true),
            ("a/*", "a", false),
            ("a/*", "a/b/c", false),
            ("a/**", "a", true),
            ("a/**", "a/b/c", true),
            ("**", "x/y", true),
            ("**", "$sys/x", false),
            ("*/x", "$sys/x", false),
            ("$sys/**", "$sys/x", true),
            ("**/z", "z", true),
            ("**/z", "a/b/z", true),
            ("**/b/**/d", "a/b/c/b/d", true),
            ("**/b/**/d", "a/c/d", false),
            ("*/**", "a", true),
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
        ];
        for (pattern, name, expected) in cases {
            let selects = Pattern::new(pattern).unwrap().matches(&ChannelName::new(name).unwrap());
            assert_eq!(selects, expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn wildcards_are_few_and_kept_in_one_order() {
        for (written, kept) in [("**/**", "**"), ("**/*", "*/**"), ("a/**/*/**/*/b", "a/*/*/**/b"), ("*/a/*", "*/a/*")]
        {
            assert_eq!(Pattern::new(written).unwrap().to_string(), kept);
        }
        let wildcards = |count| Pattern::new(&vec!["*"; count].join("/"));
        assert!(wildcards(WILDCARDS_MAX).is_ok());
        assert_eq!(wildcards(WILDCARDS_MAX + 1), Err(BadName::TooManyWildcards));
    }

    #[test]
    fn a_word_in_a_pattern_is_filled_with_a_part_of_a_segment_and_no_more() {
        let own = Pattern::new("user/{sub}/**").unwrap();
        assert_eq!(own.with("{sub}", "ann|1").unwrap(), Pattern::new("user/ann|1/**").unwrap());
        assert_eq!(Pattern::new("a-{sub}/*").unwrap().with("{sub}", "*").unwrap().to_string(), "a-*/*");
        assert_eq!(Pattern::new("plain/**").unwrap().with("{sub}", "a/b").unwrap().to_string(), "plain/**");
        let long = "x".repeat(NAME_MAX);
        for foul in ["", "*", "**", ".", "..", "a/b", "/", "a\n", &long] {
            assert_eq!(own.with("{sub}", foul), None, "{foul:?}");
        }
    }

    /// The meaning of a pattern, written as plainly as it can be.
    fn twin(pattern: &[Segment<'_>], name: &[&str]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((Segment::Any, rest)), _) => (0..=name.len()).any(|skip| twin(rest, &name[skip..])),
            (Some((Segment::One, rest)), Some((_, name))) => twin(rest, name),
            (Some((Segment::Literal(text), rest)), Some((first, name))) => **text == **first && twin(rest, name),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_slow_twin(
            pattern in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "**"]), 1..7),
            name in prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..8),
        ) {
            let pattern = Pattern::new(&pattern.join("/")).unwrap();
            let expected = twin(&pattern.segments().collect::<Vec<_>>(), &name);
            prop_assert_eq!(pattern.matches(&ChannelName::new(&name.join("/")).unwrap()), expected);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,300}") {
            let _ = ChannelName::new(&text);
            if let Ok(pattern) = Pattern::new(&text) {
                prop_assert_eq!(Pattern::new(&pattern.to_string()), Ok(pattern));
            }
        }
    }
}
