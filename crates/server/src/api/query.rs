//! Paths and queries, percent-decoded.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use switchboard_wire::code::Problem;
use switchboard_wire::name::BadName;
use switchboard_wire::{ChannelName, Code};

/// The channel that the rest of a path names. `%2F` is a slash like any other: a segment can hold none.
pub fn channel(path: &str) -> Result<ChannelName, Problem> {
    let Some(bytes) = decoded(path, false) else {
        return Err(Code::ChannelName.because("the path has a `%` that no two hexadecimal digits follow"));
    };
    let name = std::str::from_utf8(&bytes).map_err(|_| BadName::NotUtf8).and_then(|name| {
        let name = ChannelName::new(name)?;
        if name.is_reserved() { Err(BadName::Reserved) } else { Ok(name) }
    });
    name.map_err(|bad| Code::ChannelName.because(bad.to_string()))
}

/// The parameters of a query, in their order. Nothing is refused before it is asked for.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// Names decoded, values as written.
    pairs: Vec<(Cow<'a, [u8]>, &'a str)>,
}

impl<'a> Query<'a> {
    /// Takes a query apart: `name=value` pairs between `&`, where a `+` is a space.
    pub fn new(query: Option<&'a str>) -> Query<'a> {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name, true).unwrap_or(Cow::Borrowed(name.as_bytes())), value)
        });
        Query { pairs: pairs.collect() }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(other, _)| **other == *name.as_bytes()).map(|(_, value)| *value)
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> Result<Vec<Cow<'a, str>>, Problem> {
        self.values(name).map(|value| strict(name, value)).collect()
    }

    /// The value of a parameter that may be given once.
    pub fn one(&self, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
        let mut values = self.values(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(invalid(name, "is given more than once"));
        }
        strict(name, value).map(Some)
    }

    /// The first value of a parameter, whatever it holds: what cannot be decoded stays as written, and what is not
    /// UTF-8 is replaced.
    pub fn lossy(&self, name: &str) -> Option<String> {
        let value = self.values(name).next()?;
        Some(String::from_utf8_lossy(&decoded(value, true).unwrap_or(Cow::Borrowed(value.as_bytes()))).into_owned())
    }

    /// A parameter that is `true` or `false`; false where it is not given.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(name, "is `true` or `false`")),
        }
    }

    /// A parameter that is a whole number. One beyond the range counts as its end, but below it is refused.
    pub fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
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

fn strict<'a>(name: &str, value: &'a str) -> Result<Cow<'a, str>, Problem> {
    match decoded(value, true) {
        None => Err(invalid(name, "has a `%` that no two hexadecimal digits follow")),
        Some(Cow::Borrowed(_)) => Ok(Cow::Borrowed(value)),
        Some(Cow::Owned(bytes)) => {
            String::from_utf8(bytes).map(Cow::Owned).map_err(|_| invalid(name, "is not UTF-8 once percent-decoded"))
        }
    }
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
        for bad in ["", "/", "a/", "a//b", "a/%2e%2e/b", "*", "a/**", "%", "%2", "%zz", "%+1", "%FF", "%00", "$a", "%24a/b"] {
            assert_eq!(channel(bad).unwrap_err().code, Code::ChannelName, "{bad}");
        }
        assert_eq!(channel("%FF").unwrap_err().detail, BadName::NotUtf8.to_string());
    }

    #[test]
    fn parameters_are_found_by_name() {
        let query = Query::new(Some("a=1&b=x+y%2Bz&&c&a=2&%64=%C3%BC&e=a=b&bad=%zz&worse=%FF"));
        assert_eq!(query.all("a").unwrap(), ["1", "2"]);
        assert_eq!(query.one("a").unwrap_err().code, Code::InvalidParameter);
        assert_eq!(query.one("b").unwrap().unwrap(), "x y+z");
        assert_eq!(query.one("c").unwrap().unwrap(), "");
        assert_eq!(query.one("d").unwrap().unwrap(), "ü");
        assert_eq!(query.one("e").unwrap().unwrap(), "a=b");
        assert_eq!(query.one("f").unwrap(), None);
        assert!(query.one("bad").is_err() && query.all("worse").is_err());
        assert_eq!((query.lossy("bad").unwrap(), query.lossy("worse").unwrap()), ("%zz".into(), "\u{fffd}".into()));
        assert_eq!((query.lossy("a"), query.lossy("f")), (Some("1".into()), None));
        assert_eq!(Query::new(None).one("a").unwrap(), None);
    }

    #[test]
    fn flags_and_numbers_are_checked() {
        let query = Query::new(Some("t=true&f=false&x=yes&e=&n=5&big=99999999999999999999999&neg=-1&hex=0x1&zero=0"));
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
        fn any_query_is_read(query in "[a-b=&%+0-9\\PC]{0,40}") {
            let query = Query::new(Some(&query));
            let _ = (query.all("a"), query.lossy("a"), query.number("a", 0..=1));
        }

        #[test]
        fn what_is_encoded_reads_back(text in "\\PC{0,30}") {
            let encoded: String = text.bytes().map(|b| format!("%{b:02x}")).collect();
            let query = format!("a={encoded}");
            prop_assert_eq!(Query::new(Some(&query)).one("a").unwrap().unwrap(), text);
        }
    }
}
