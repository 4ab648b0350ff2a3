//! Which part of a file a request asks for (RFC 9110 section 14.2). The library serves one range that fits; what of a
//! request is one, and whether its condition holds, is decided here.

use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};

/// One range of bytes, as it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// From a byte on, to another or to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

/// The range that a request asks for. What is no range of bytes, or several at once, counts as if it had not been asked:
/// then the answer is the whole, which is always right.
pub(super) fn wanted(headers: &HeaderMap) -> Option<Wanted> {
    let mut fields = headers.get_all(RANGE).iter();
    let (field, None) = (fields.next()?, fields.next()) else { return None };
    let (unit, set) = field.to_str().ok()?.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Some(Wanted::From(first, Some(last))),
        (Some(first), None) if last.is_empty() => Some(Wanted::From(first, None)),
        (None, Some(last)) if first.is_empty() => Some(Wanted::Last(last)),
        _ => None,
    }
}

/// A number too large for the type is beyond any file.
fn number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Whether the part is wanted of this file, or the whole if it has changed (RFC 9110 section 13.1.5). A date never holds:
/// a file may change twice within a second, and the parts of two files must not be put together.
pub(super) fn holds(headers: &HeaderMap, tag: Option<&[u8]>) -> bool {
    match headers.get(IF_RANGE).map(|field| field.as_bytes()) {
        None => true,
        Some(wanted) => Some(wanted) == tag && !wanted.starts_with(b"W/"),
    }
}

impl Wanted {
    /// The range in a file of `length` bytes, in the words that the library reads. `None`: the file has no bytes of which
    /// this could be a range, so it is given as it is.
    pub(super) fn within(self, length: u64) -> Option<String> {
        if length == 0 {
            return None;
        }
        Some(match self {
            // Beyond the end there is nothing, which the library says.
            Wanted::From(first, _) if first >= length => format!("bytes={length}-"),
            Wanted::Last(0) => format!("bytes={length}-"),
            Wanted::From(first, last) => format!("bytes={first}-{}", last.unwrap_or(u64::MAX).min(length - 1)),
            Wanted::Last(count) => format!("bytes={}-{}", length.saturating_sub(count), length - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(field: &'static str, length: u64) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static(field));
        wanted(&headers).and_then(|wanted| wanted.within(length))
    }

    #[test]
    fn one_range_is_cut_to_the_file() {
        for (field, expected) in [
            ("bytes=0-499", "bytes=0-499"),
            ("Bytes=500-999", "bytes=500-999"),
            ("bytes=9500-", "bytes=9500-9999"),
            ("bytes=-500", "bytes=9500-9999"),
            ("bytes=-20000", "bytes=0-9999"),
            ("bytes=0-99999999999999999999", "bytes=0-9999"),
            ("bytes= 1-2 ", "bytes=1-2"),
            ("bytes=10000-", "bytes=10000-"),
            ("bytes=99999999999999999999-", "bytes=10000-"),
            ("bytes=-0", "bytes=10000-"),
        ] {
            assert_eq!(of(field, 10_000).as_deref(), Some(expected), "{field}");
        }
    }

    #[test]
    fn what_is_no_single_range_of_bytes_is_not_asked_for() {
        for field in [
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=a-b",
            "bytes=1",
            "bytes=+1-2",
            "items=0-1",
            "0-1",
            "bytes=0-0,2-3",
        ] {
            assert_eq!(of(field, 10_000), None, "{field}");
        }
        assert_eq!(of("bytes=0-", 0), None);
        let mut twice = HeaderMap::new();
        twice.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        twice.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        assert_eq!(wanted(&twice), None);
    }

    #[test]
    fn a_condition_holds_for_the_very_same_file_alone() {
        let holds = |field: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_RANGE, HeaderValue::from_static(field));
            super::holds(&headers, Some(b"\"a\""))
        };
        assert!(holds("\"a\"") && super::holds(&HeaderMap::new(), None));
        assert!(!holds("\"b\"") && !holds("W/\"a\"") && !holds("Thu, 26 Nov 2026 00:00:00 GMT"));
    }
}
