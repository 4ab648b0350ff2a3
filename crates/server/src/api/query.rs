//! Paths and queries, percent-decoded.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use switchboard_wire::code::Problem;
use switchboard_wire::name::BadName;
use switchboard_wire::{ChannelName, Code};

/// The channel that the rest of a path names. `%2F` is a slash like any other: a segment can hold none.
pub(crate) fn channel(path: &str) -> Result<ChannelName, Problem> {
    let Some(bytes) = decoded(path, false) else {
        return Err(Code::ChannelName.because("the path has a `%` that no two hexadecimal digits follow"));
    };
    let name = std::str::from_utf8(&bytes).map_err(|_| BadName::NotUtf8).and_then(|name| {
        let name = ChannelName::new(name)?;
        if name.is_reserved() { Err(BadName::Reserved) } else { Ok(name) }
    });
    name.map_err(|bad| Code::ChannelName.because(bad.to_string()))
}

/// A segment of a path, decoded. `None` if it cannot be.
pub(crate) fn decode(segment: &str) -> Option<String> {
    String::from_utf8(decoded(segment, false)?.into_owned()).ok()
}

/// The parameters of a query, decoded, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query: `name=value` pairs between `&`, where a `+` is a space. One that cannot be decoded is refused,
    /// but for `since`: no cursor is, however foul, so what stands there is taken as well as it can be.
    pub(crate) fn parse(query: Option<&str>) -> Result<Query, Problem> {
        let mut pairs = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = strict("a name in the query", name)?;
            let value = match &*name {
                "since" => lossy(value),
                "channel" => {
                    strict("`channel`", value).map_err(|problem| Problem { code: Code::ChannelName, ..problem })?
                }
                _ => strict(&format!("`{name}`"), value)?,
            };
            pairs.push((name, value));
        }
        Ok(Query { pairs })
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.pairs
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter where it was given last.
    pub(crate) fn last<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).last()
    }

    /// The value of a parameter that may be given once.
    pub(crate) fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, Problem> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() { Err(invalid(name, "is given more than once")) } else { Ok(value) }
    }

    /// A parameter that is `true` or `false`; false where it is not given.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(name, "is `true` or `false`")),
        }
    }

    /// A parameter that is a whole number. One beyond the range counts as its end, but below it is refused.
    pub(crate) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // Digits that are too many for the type are beyond any range.
        let number = if digits { Some(text.parse().unwrap_or(u64::MAX)) } else { None };
        match number.filter(|number| number >= range.start()) {
            Some(number) => Ok(Some(number.min(*range.end()))),
            None => Err(invalid(name, &format!("is a whole number of at least {}", range.start()))),
        }
    }
}

fn invalid(name: &str, why: &str) -> Problem {
    Code::InvalidParameter.because(format!("`{name}` {why}"))
}

fn strict(what: &str, text: &str) -> Result<String, Problem> {
    let refused = |why: &str| Code::InvalidParameter.because(format!("{what} {why}"));
    let bytes = decoded(text, true).ok_or_else(|| refused("has a `%` that no two hexadecimal digits follow"))?;
    String::from_utf8(bytes.into_owned()).map_err(|_| refused("is not UTF-8 once percent-decoded"))
}

/// What cannot be decoded stays as written, and what is not UTF-8 is replaced.
fn lossy(text: &str) -> String {
    let bytes = decoded(text, true).unwrap_or(Cow::Borrowed(text.as_bytes()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The bytes that `text` stands for (RFC 3986 section 2.1), and with `plus` a space for each `+`. `None` if a `%` is
/// not followed by two hexadecimal digits.
fn decoded(text: &str, plus: bool) -> Option<Cow<'_, [u8]>> {
    let written = |b: u8| b != b'%' && !(plus && b == b'+');
    if text.bytes().all(written) {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let hex = |b: u8| char::from(b).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        bytes.push(match b {
            b'%' => (hex(rest.next()?)? * 16 + hex(rest.next()?)?) as u8,
            b'+' if plus => b' ',
            b => b,
        });
    }
    Some(Cow::Owned(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_name_channels() {
        for (path, name) in [
            ("a", "a"),
            ("chat/room-1", "chat/room-1"),
            ("chat%2Froom%2f1", "chat/room/1"),
            ("a+b%20c", "a+b c"),
            ("%C3%BC", "ü"),
            ("a%24", "a$"),
            ("100%25", "100%"),
        ] {
            assert_eq!(channel(path).unwrap().as_str(), name, "{path}");
        }
        for bad in
            ["", "/", "a/", "a//b", "a/%2e%2e/b", "*", "a/**", "%", "%2", "%zz", "%+1", "%FF", "%00", "$a", "%24a/b"]
        {
            assert_eq!(channel(bad).unwrap_err().code, Code::ChannelName, "{bad}");
        }
        assert_eq!(channel("%FF").unwrap_err().detail, BadName::NotUtf8.to_string());
    }

    fn query(text: &str) -> Query {
        Query::parse(Some(text)).unwrap()
    }

    #[test]
    fn parameters_are_found_by_name() {
        let query = query("a=1&b=x+y%2Bz&&c&a=2&%64=%C3%BC&e=a=b");
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.last("a"), Some("2"));
        assert_eq!(query.one("a").unwrap_err().code, Code::InvalidParameter);
        assert_eq!(query.one("b"), Ok(Some("x y+z")));
        assert_eq!(query.one("c"), Ok(Some("")));
        assert_eq!(query.one("d"), Ok(Some("ü")));
        assert_eq!(query.one("e"), Ok(Some("a=b")));
        assert_eq!((query.one("f"), query.last("f")), (Ok(None), None));
        assert_eq!(Query::parse(None).unwrap().one("a"), Ok(None));
    }

    #[test]
    fn what_cannot_be_decoded_is_refused_unless_it_is_a_cursor() {
        for bad in ["a=%zz", "a=%F", "%=a", "a=%FF", "%FF"] {
            assert_eq!(Query::parse(Some(bad)).unwrap_err().code, Code::InvalidParameter, "{bad}");
        }
        for (foul, text) in
            [("since=%zz+", "%zz+"), ("since=%FF", "\u{fffd}"), ("%73ince=%", "%"), ("since=a+b", "a b")]
        {
            assert_eq!(query(foul).last("since"), Some(text), "{foul}");
        }
    }

    #[test]
    fn flags_and_numbers_are_checked() {
        let query = query("t=true&f=false&x=yes&e=&n=5&big=99999999999999999999999&neg=-1&hex=0x1&zero=0");
        assert_eq!((query.flag("t"), query.flag("f"), query.flag("none")), (Ok(true), Ok(false), Ok(false)));
        assert!(query.flag("x").is_err() && query.flag("e").is_err());
        assert_eq!((query.number("n", 1..=9), query.number("none", 1..=9)), (Ok(Some(5)), Ok(None)));
        assert_eq!((query.number("n", 1..=3), query.number("big", 1..=9)), (Ok(Some(3)), Ok(Some(9))));
        for bad in ["neg", "hex", "e", "zero"] {
            assert!(query.number(bad, 1..=9).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in "[a-b=&%+0-9\\PC]{0,40}") {
            let _ = Query::parse(Some(&query));
        }

        #[test]
        fn what_is_encoded_reads_back(text in "\\PC{0,30}") {
            let encoded: String = text.bytes().map(|b| format!("%{b:02x}")).collect();
            let query = query(&format!("a={encoded}"));
            prop_assert_eq!(query.one("a"), Ok(Some(text.as_str())));
        }
    }
}
