//! Which paths name something of the site. What is refused here never gets to the file system.

use std::fmt;

/// First segments of the paths that the server answers itself. No site has them, whatever its directory holds.
pub const RESERVED: [&str; 7] = ["api", "channels", "console", "healthz", "metrics", "readyz", "session"];

/// The one name with a dot in front that is served: it is there to be asked for (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// A path below the site's prefix, decoded and clean: no segment of it is empty, hidden or leads up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SitePath {
    segments: Vec<String>,
    /// Whether it ends with a slash, as that of a directory does. The path of the site itself does.
    directory: bool,
}

/// Why a path names nothing that could be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadPath {
    /// It is not below the prefix.
    Outside,
    /// The server answers it itself.
    Reserved,
    /// It cannot be decoded, or holds what no name may.
    Malformed,
    /// A segment begins with a dot.
    Hidden,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadPath::Outside => "it is not below the prefix of the site",
            BadPath::Reserved => {
                "the server answers there itself, with what changes, and only files can go ahead of being asked for"
            }
            BadPath::Malformed => "it is no path of a file: written as in a URL, without a query",
            BadPath::Hidden => "names that begin with a dot are not served",
        })
    }
}

impl SitePath {
    /// Reads the path of a request, as written.
    pub(crate) fn of(path: &str, prefix: &str) -> Result<SitePath, BadPath> {
        let reserved = path.strip_prefix('/').and_then(|rest| rest.split('/').next());
        if reserved.is_some_and(is_reserved) {
            return Err(BadPath::Reserved);
        }
        let rest = path.strip_prefix(prefix).ok_or(BadPath::Outside)?;
        let mut written: Vec<&str> = rest.split('/').collect();
        // What follows the last slash is nothing where a directory is named.
        let directory = written.last() == Some(&"");
        if directory {
            written.pop();
        }
        let mut segments = Vec::with_capacity(written.len());
        for (index, segment) in written.into_iter().enumerate() {
            let segment = decode(segment).filter(|name| is_name(name)).ok_or(BadPath::Malformed)?;
            if segment.starts_with('.') && !(index == 0 && segment == WELL_KNOWN) {
                return Err(BadPath::Hidden);
            }
            segments.push(segment);
        }
        // Another spelling of a path that is the server's own is not a file either.
        if prefix == "/" && segments.first().is_some_and(|first| is_reserved(first)) {
            return Err(BadPath::Reserved);
        }
        Ok(SitePath { segments, directory })
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.directory
    }

    /// Below the site's directory: `a/b`, empty for the directory itself.
    pub(crate) fn relative(&self) -> String {
        self.segments.join("/")
    }

    /// Decoded, as patterns see it.
    pub(crate) fn shown(&self, prefix: &str) -> String {
        let slash = if self.directory && !self.segments.is_empty() { "/" } else { "" };
        format!("{prefix}{}{slash}", self.relative())
    }

    /// As it is written in a URL, from a slash on, the prefix left away.
    pub(crate) fn encoded(&self) -> String {
        let mut out = String::new();
        for segment in &self.segments {
            out.push('/');
            encode(segment, &mut out);
        }
        if self.directory {
            out.push('/');
        }
        out
    }
}

/// Whether the first segment of a path makes it one that the server answers itself.
pub(crate) fn is_reserved(first: &str) -> bool {
    RESERVED.contains(&first)
}

/// Whether a prefix can be one: `/`, or plain segments between slashes, the first of which is free.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    let Some(inner) = prefix.strip_prefix('/') else { return Err("it begins with a slash") };
    if inner.is_empty() {
        return Ok(());
    }
    let Some(inner) = inner.strip_suffix('/') else { return Err("it ends with a slash") };
    for segment in inner.split('/') {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
        if segment.is_empty() || segment.starts_with('.') || !segment.bytes().all(plain) {
            return Err("its segments are letters, digits, `-`, `_`, `~` and `.`, which does not come first");
        }
    }
    match inner.split('/').next() {
        Some(first) if is_reserved(first) => Err("the server answers there itself"),
        _ => Ok(()),
    }
}

/// Percent-decodes, once. `None` where that cannot be done, or is not UTF-8.
fn decode(segment: &str) -> Option<String> {
    crate::api::query::decode(segment)
}

/// A name of a file on any system: none that a slash of some kind, a NUL or another control character is in.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\'))
}

fn encode(segment: &str, out: &mut String) {
    for b in segment.bytes() {
        match b {
            b'-' | b'.' | b'_' | b'~' => out.push(b.into()),
            b if b.is_ascii_alphanumeric() => out.push(b.into()),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(path: &str) -> Result<String, BadPath> {
        SitePath::of(path, "/").map(|path| path.encoded())
    }

    #[test]
    fn a_path_is_taken_only_if_it_is_clean() {
        for (path, encoded) in [
            ("/", "/"),
            ("/a.css", "/a.css"),
            ("/a/", "/a/"),
            ("/a%20b/c%C3%A9", "/a%20b/c%C3%A9"),
            ("/%252e%252e/x", "/%252e%252e/x"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "hidden"),
        ] {
            match encoded {
                "hidden" => assert_eq!(of(path), Err(BadPath::Hidden), "{path}"),
                encoded => assert_eq!(of(path).as_deref(), Ok(encoded), "{path}"),
            }
        }
        for hidden in ["/..", "/../x", "/a/../b", "/%2e%2e/x", "/.%2E", "/a/.", "/.git/config", "/a/.well-known/x"] {
            assert_eq!(of(hidden), Err(BadPath::Hidden), "{hidden}");
        }
        for bad in
            ["//a", "/a//b", "/a%2Fb", "/a%5cb", "/a\\b", "/a%00", "/%0a", "/%ff", "/%", "/%zz", "/a%2f..%2f..%2fb"]
        {
            assert_eq!(of(bad), Err(BadPath::Malformed), "{bad}");
        }
        for own in ["/api", "/api/x", "/channels", "/console/page.css", "/session/1", "/%61pi/x", "/healthz/"] {
            assert_eq!(of(own), Err(BadPath::Reserved), "{own}");
        }
        assert_eq!(of("/apix").as_deref(), Ok("/apix"));
    }

    #[test]
    fn below_a_prefix_it_is_what_follows() {
        let path = SitePath::of("/a/b/c.css", "/a/").unwrap();
        assert_eq!((path.relative().as_str(), path.shown("/a/").as_str()), ("b/c.css", "/a/b/c.css"));
        assert_eq!(SitePath::of("/a/", "/a/").unwrap().encoded(), "/");
        assert_eq!(SitePath::of("/ab", "/a/"), Err(BadPath::Outside));
        // Its own directories may be called as the server's paths are.
        assert!(SitePath::of("/a/api/x", "/a/").is_ok());
    }

    #[test]
    fn a_prefix_leaves_the_servers_own_paths_alone() {
        for good in ["/", "/a/", "/a-b/c.d/", "/apis/"] {
            assert_eq!(check_prefix(good), Ok(()), "{good}");
        }
        for bad in ["", "a/", "/a", "//", "/a//b/", "/../", "/.a/", "/a b/", "/api/", "/channels/x/", "/console/"] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leads_up_or_to_what_is_hidden(path in "/(\\.|%2[ef]|%5c|/|%00|[a-c]|\\\\|%25){0,12}") {
            if let Ok(path) = SitePath::of(&path, "/") {
                for segment in path.relative().split('/').filter(|segment| !segment.is_empty()) {
                    prop_assert!(!segment.starts_with('.') && !segment.contains(['\\', '\0']));
                }
                prop_assert_eq!(SitePath::of(&path.encoded(), "/"), Ok(path));
            }
        }
    }
}
