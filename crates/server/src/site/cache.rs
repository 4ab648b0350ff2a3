//! How long whoever keeps a copy of a file may use it without asking.

use super::settings::CacheRule;
use http::HeaderValue;
use std::fmt;
use std::str::FromStr;

/// For a name that holds a hash of the content: another content has another name.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// For all else: it may be kept, and is asked about each time, which costs a short answer.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// A pattern of paths: `*` is any part of a segment, `**` any number of whole segments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Glob(String);

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Glob {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Glob, &'static str> {
        if !text.starts_with('/') {
            return Err("a pattern of paths begins with a slash, as `/assets/**` does");
        }
        if text.split('/').any(|segment| segment != "**" && segment.contains("**")) {
            return Err("`**` stands alone between slashes");
        }
        Ok(Glob(text.to_owned()))
    }
}

impl Glob {
    /// Whether a path, decoded, is one of those.
    pub fn matches(&self, path: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let segments: Vec<&str> = path.split('/').collect();
        wild(
            &pattern,
            &segments,
            |part| *part == "**",
            |part, segment| wild(part.as_bytes(), segment.as_bytes(), |b| *b == b'*', |one, other| one == other),
        )
    }
}

/// Whether `text` is `pattern`, in which stars stand for any number of things. Only the last star that was met is ever
/// tried again, so that no pattern takes longer than the product of both lengths.
fn wild<P, T>(pattern: &[P], text: &[T], is_star: impl Fn(&P) -> bool, is: impl Fn(&P, &T) -> bool) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(part) if is_star(part) => {
                star = Some((at, read));
                at += 1;
            }
            Some(part) if is(part, &text[read]) => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((before, taken)) = star else { return false };
                star = Some((before, taken + 1));
                (at, read) = (before + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(is_star)
}

/// What `Cache-Control` says of a path.
pub(super) fn control(rules: &[CacheRule], path: &str) -> HeaderValue {
    if let Some(rule) = rules.iter().find(|rule| rule.path.matches(path)) {
        return rule.control.clone();
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    if is_hashed(name) { IMMUTABLE } else { REVALIDATE }
}

/// Whether a name holds a hash, as those do that tools for web sites make: `app.3f2a9c1b.js`, `app-3f2a9c1b5d.css`. A copy of a
/// name that only looks so would be used for a year, so this is strict: eight hexadecimal digits or more, letters among them
/// and figures, behind a dot or a hyphen and before the extension. A page is asked for by name and has none.
fn is_hashed(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    if matches!(extension, "html" | "htm") {
        return false;
    }
    stem.split(['.', '-']).skip(1).any(|part| {
        part.len() >= 8
            && part.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
            && part.bytes().any(|b| b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_are_parts_of_segments_and_two_are_whole_ones() {
        for (pattern, path, expected) in [
            ("/assets/**", "/assets/a/b.js", true),
            ("/assets/**", "/assets/", true),
            ("/assets/**", "/assetsx", false),
            ("/**/*.css", "/a.css", true),
            ("/**/*.css", "/x/y/a.css", true),
            ("/**/*.css", "/x/a.cssx", false),
            ("/*.css", "/x/a.css", false),
            ("/**/img/*-*.png", "/a/img/b/img/x-y.png", true),
            ("/a", "/a", true),
            ("/a", "/a/b", false),
            ("/**", "/", true),
        ] {
            assert_eq!(pattern.parse::<Glob>().unwrap().matches(path), expected, "{pattern} {path}");
        }
        for bad in ["", "a", "*.css", "/a**", "/**.css"] {
            assert!(bad.parse::<Glob>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_with_a_hash_in_it_lasts_and_others_are_asked_about() {
        for hashed in ["/app.3f2a9c1b.js", "/a/app-3f2a9c1b5d.css", "/font.0a0a0a0a0a.min.woff2"] {
            assert_eq!(control(&[], hashed), IMMUTABLE, "{hashed}");
        }
        for plain in [
            "/",
            "/index.html",
            "/page.3f2a9c1b.html",
            "/app.js",
            "/jquery-3.7.1.min.js",
            "/report-20261126.pdf",
            "/3f2a9c1b.js",
            "/app-deadbeef.js",
            "/acme-release.v1234567.zip",
        ] {
            assert_eq!(control(&[], plain), REVALIDATE, "{plain}");
        }
        let rule = CacheRule { path: "/**".parse().unwrap(), control: HeaderValue::from_static("no-store") };
        assert_eq!(control(&[rule], "/app.3f2a9c1b.js"), "no-store");
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_slow_twin_does(pattern in "/[ab*]{0,3}(/(\\*\\*|[ab*]{0,2})){0,3}", path in "/[ab]{0,3}(/[ab]{0,2}){0,3}") {
            fn slow(pattern: &[&str], path: &[&str]) -> bool {
                match pattern.split_first() {
                    None => path.is_empty(),
                    Some((&"**", rest)) => (0..=path.len()).any(|taken| slow(rest, &path[taken..])),
                    Some((first, rest)) => path.split_first().is_some_and(|(one, others)| part(first.as_bytes(), one.as_bytes()) && slow(rest, others)),
                }
            }
            fn part(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|taken| part(rest, &text[taken..])),
                    Some((first, rest)) => text.split_first().is_some_and(|(one, others)| first == one && part(rest, others)),
                }
            }
            if let Ok(glob) = pattern.parse::<Glob>() {
                let (segments, parts): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), pattern.split('/').collect());
                prop_assert_eq!(glob.matches(&path), slow(&parts, &segments));
            }
        }
    }
}
