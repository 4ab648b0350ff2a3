//! What a request to read says: paths and queries decode as RFC 3986 says, and no cursor is an error.

use crate::choices::Choices;
use switchboard::inside;
use switchboard::listen::Head;
use switchboard::listen::http1::head;
use switchboard_wire::{ChannelName, Code};

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let way = choices.below(3);
    let text = String::from_utf8_lossy(choices.rest()).into_owned();
    match way {
        0 => {
            query(&text);
            path(&text);
        }
        1 => round(&text),
        _ => read(&text),
    }
}

/// Decoded as written: `None` if a `%` stands before something else than two hexadecimal digits.
fn decoded(text: &str, plus: bool) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let spaces = |part: &str| if plus { part.replace('+', " ") } else { part.to_owned() };
    let mut bytes = spaces(parts.next()?).into_bytes();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(spaces(&part[2..]).into_bytes());
    }
    Some(bytes)
}

fn query(text: &str) {
    let taken = inside::query(text);
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_at(pair.find('=').unwrap_or(pair.len()));
        let value = value.strip_prefix('=').unwrap_or(value);
        let name = decoded(name, true).and_then(|name| String::from_utf8(name).ok());
        let plain = decoded(value, true);
        let value = match &name {
            Some(name) if name == "since" => {
                Some(String::from_utf8_lossy(&plain.unwrap_or_else(|| value.as_bytes().to_vec())).into_owned())
            }
            _ => plain.and_then(|value| String::from_utf8(value).ok()),
        };
        let (Some(name), Some(value)) = (name, value) else {
            let code = taken.unwrap_err().code;
            assert!(matches!(code, Code::InvalidParameter | Code::ChannelName));
            return;
        };
        pairs.push((name, value));
    }
    assert_eq!(taken, Ok(pairs));
}

fn path(text: &str) {
    let name = decoded(text, false).and_then(|name| String::from_utf8(name).ok());
    let name = name.and_then(|name| ChannelName::new(&name).ok()).filter(|name| !name.is_reserved());
    match inside::channel(text) {
        Ok(channel) => assert_eq!(Some(channel), name),
        Err(problem) => assert_eq!((problem.code, None), (Code::ChannelName, name)),
    }
}

/// What is encoded reads back, whether each byte is or only those that have to be.
fn round(text: &str) {
    let all: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let few: String = text
        .bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else if b == b' ' {
                "+".into()
            } else {
                format!("%{b:02x}")
            }
        })
        .collect();
    for encoded in [&all, &few] {
        for name in ["a", "since", "channel"] {
            assert_eq!(inside::query(&format!("&{name}={encoded}&")), Ok(vec![(name.to_owned(), text.to_owned())]));
        }
    }
    let channel = ChannelName::new(text).ok().filter(|name| !name.is_reserved());
    assert_eq!(inside::channel(&all).ok(), channel);
    assert_eq!(inside::channel(&few.replace('+', "%20")).ok(), channel);
}

/// A target on the first line, a `Last-Event-ID` on the second, and whatever fields on the others.
fn read(text: &str) {
    let mut lines = text.split('\n');
    let (target, id) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let fields: String = lines.map(|line| format!("{line}\r\n")).collect();
    let request = |target: &str, id: &str| {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{id}{fields}\r\n");
        head::parse(text.as_bytes(), 1 << 20).ok().flatten().map(|(head, _)| head)
    };
    let bare = match target.split_once('?') {
        Some((path, query)) => {
            let is_cursor = |pair: &&str| decoded(pair.split('=').next().unwrap(), true).as_deref() == Some(b"since");
            format!("{path}?{}", query.split('&').filter(|pair| !is_cursor(pair)).collect::<Vec<_>>().join("&"))
        }
        None => target.to_owned(),
    };
    let Some(without) = request(&bare, "") else { return };
    let expected = inside::reading(&without);
    for id in [String::new(), format!("Last-Event-ID: {id}\r\n")] {
        let Some(head) = request(target, &id) else { continue };
        same(
            &inside::reading(&head).map(|(selection, _)| selection),
            &expected.clone().map(|(selection, _)| selection),
        );
        resumed(&head);
    }
}

/// No cursor, however foul, turns a request that is understood into one that is refused.
fn same<T: PartialEq + std::fmt::Debug>(
    with: &Result<T, switchboard_wire::code::Problem>,
    without: &Result<T, switchboard_wire::code::Problem>,
) {
    match (with, without) {
        (Ok(with), Ok(without)) => assert_eq!(with, without),
        (Err(with), Err(without)) => assert_eq!(with.code, without.code),
        (with, without) => panic!("{with:?} with a cursor, {without:?} without"),
    }
}

/// The header counts before the query does, and the query where it was given last.
fn resumed(head: &Head) {
    let Ok((selection, since)) = inside::reading(head) else { return };
    assert!(!selection.is_empty());
    let id = head.headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let query = inside::query(head.query.as_deref().unwrap_or_default()).unwrap();
    let query = query.into_iter().rfind(|(name, _)| name == "since").map(|(_, value)| value);
    match since {
        Some(since) => assert!(!since.is_empty() && (id.as_ref() == Some(&since) || query.as_ref() == Some(&since))),
        // A page has no `Last-Event-ID`.
        None => assert!(query.is_none_or(|since| since.is_empty())),
    }
}
