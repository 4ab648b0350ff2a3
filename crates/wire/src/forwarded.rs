//! Whose a request is, and what host it was asked of, as proxies on its way say: `Forwarded` (RFC 7239),
//! `X-Forwarded-For` and `X-Forwarded-Host`.
//!
//! Each proxy adds, at the end, whom it got the request from. So the list is read from its end, as long as those who
//! wrote it are trusted: what stands before that, anybody may have written.

use std::net::{IpAddr, SocketAddr};

/// One step of the way, as a proxy says it: who asked it, where it could tell.
pub type Step = Option<IpAddr>;

/// The steps of `X-Forwarded-For`: addresses between commas, of all its fields in their order.
pub fn x_forwarded_for<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<Step> {
    let elements = fields.into_iter().flat_map(|field| field.split(|b| *b == b','));
    elements.map(|element| std::str::from_utf8(element).ok().and_then(node)).collect()
}

/// The steps of `Forwarded` (RFC 7239 section 4): the `for` of each element.
pub fn forwarded<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<Step> {
    parameters(fields, "for").into_iter().map(|value| node(&value?)).collect()
}

/// The host that the nearest proxy was asked for: the last of `X-Forwarded-Host`.
pub fn x_forwarded_host<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
    let last = fields.into_iter().flat_map(|field| field.split(|b| *b == b',')).last()?;
    std::str::from_utf8(last.trim_ascii()).ok().filter(|host| !host.is_empty()).map(str::to_owned)
}

/// The same of `Forwarded`: the `host` of its last element.
pub fn forwarded_host<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
    parameters(fields, "host").pop().flatten()
}

/// A parameter of each element of `Forwarded`, in their order.
fn parameters<'a>(fields: impl IntoIterator<Item = &'a [u8]>, wanted: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    for field in fields {
        // An open quote, which a client may have left for a proxy to write behind, leaves nothing in the field to rely on.
        let text = std::str::from_utf8(field).ok().filter(|text| is_balanced(text)).unwrap_or_default();
        for element in split(text, ',') {
            let mut pairs = split(element, ';').into_iter().filter_map(|pair| pair.split_once('='));
            let named = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.push(named.map(|(_, value)| unquote(value.trim())));
        }
    }
    found
}

/// Whom the request is from: the last step that is not `trusted`, where the first of them that wrote is. `None` where no
/// step says more than that `peer` asks.
pub fn origin(steps: &[Step], trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut known = None;
    for step in steps.iter().rev() {
        // Whoever wrote this does not say whom it is from: what stands before it may be anybody's.
        let Some(address) = *step else { return known };
        known = Some(address);
        if !trusted(address) {
            return known;
        }
    }
    known
}

/// Whether every quote that is opened is closed.
fn is_balanced(text: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

/// Splits at a separator outside of quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            _ => {
                escaped = false;
                out.push(c);
            }
        }
    }
    out
}

/// An address, with a port or without (RFC 7239 section 6). `unknown` and obfuscated names are none.
fn node(text: &str) -> Step {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix('[') {
        let (address, rest) = inner.split_once(']')?;
        let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| !port.is_empty());
        return address.parse().ok().filter(IpAddr::is_ipv6).filter(|_| port);
    }
    let plain = text.parse::<IpAddr>().ok();
    plain.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Step {
        Some(text.parse().unwrap())
    }

    #[test]
    fn elements_of_forwarded() {
        let fields: [&[u8]; 2] = [
            br#"for=192.0.2.60;proto=http;by=203.0.113.43, For="[2001:db8:cafe::17]:4711""#,
            br#"for=_hidden, for=unknown, proto=https, host="a,b;for=9.9.9.9";for="198.51.100.7:80""#,
        ];
        let expected = [ip("192.0.2.60"), ip("2001:db8:cafe::17"), None, None, None, ip("198.51.100.7")];
        assert_eq!(forwarded(fields), expected);
        assert_eq!(forwarded([&b"for=\"1.2.3.4\\\", for=5.6.7.8"[..]]), [None]);
        assert_eq!(forwarded([&b"\xff"[..]]), [None]);
        assert_eq!(forwarded([&b"for=9.9.9.9;by=\", for=192.0.2.1"[..]]), [None], "not what the client wrote");
        assert_eq!(forwarded([&b"by=\""[..], b"for=192.0.2.1"]), [None, ip("192.0.2.1")]);
    }

    #[test]
    fn the_host_that_the_nearest_proxy_was_asked_for() {
        assert_eq!(x_forwarded_host([&b"a.example, b.example:8443 "[..]]).as_deref(), Some("b.example:8443"));
        assert_eq!(x_forwarded_host([&b"a.example,"[..]]), None);
        assert_eq!(x_forwarded_host([]), None);
        let fields: [&[u8]; 1] = [b"for=1.2.3.4;host=a.example, for=1.2.3.4;Host=\"b.example:80\";proto=https"];
        assert_eq!(forwarded_host(fields).as_deref(), Some("b.example:80"));
        assert_eq!(forwarded_host([&b"host=a.example, for=1.2.3.4"[..]]), None);
    }

    #[test]
    fn addresses_of_x_forwarded_for() {
        let fields: [&[u8]; 2] = [b"203.0.113.195, 2001:db8::1,unknown", b" ::ffff:192.0.2.1 ,[2001:db8::2]:1,x"];
        let expected = [ip("203.0.113.195"), ip("2001:db8::1"), None, ip("192.0.2.1"), ip("2001:db8::2"), None];
        assert_eq!(x_forwarded_for(fields), expected);
    }

    #[test]
    fn the_last_that_is_not_trusted_is_whose_it_is() {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let of = |steps: &[Step]| origin(steps, trusted);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[ip("9.9.9.9"), ip("192.0.2.1"), ip("10.0.0.2")]), ip("192.0.2.1"));
        assert_eq!(of(&[ip("9.9.9.9"), None, ip("10.0.0.2")]), ip("10.0.0.2"));
        assert_eq!(of(&[ip("9.9.9.9"), None]), None);
        assert_eq!(of(&[ip("10.0.0.1"), ip("10.0.0.2")]), ip("10.0.0.1"));
    }
}
