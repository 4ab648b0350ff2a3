//! `Sec-WebSocket-Extensions` (RFC 6455 section 9.1), and what may be agreed on (RFC 7692 section 7.1).

use super::deflate::{WINDOW_MAX, WINDOW_MIN};
use std::borrow::Cow;

/// One extension as offered or accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Extension<'a> {
    pub(crate) name: &'a str,
    pub(crate) parameters: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// Reads one header value: extensions separated by commas, each with parameters separated by semicolons. `None` if
/// it does not follow the grammar.
pub(crate) fn parse(value: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut scanner = Scanner { rest: std::str::from_utf8(value).ok()? };
    let mut extensions = Vec::new();
    loop {
        // A list may have empty elements (RFC 9110 section 5.6.1.2).
        while scanner.skip(',') {}
        if scanner.rest.is_empty() {
            return Some(extensions);
        }
        let mut extension = Extension { name: scanner.token()?, parameters: Vec::new() };
        while scanner.skip(';') {
            let name = scanner.token()?;
            let value = if scanner.skip('=') { Some(scanner.value()?) } else { None };
            extension.parameters.push((name, value));
        }
        extensions.push(extension);
        scanner.blank();
        if !scanner.rest.is_empty() && !scanner.rest.starts_with(',') {
            return None;
        }
    }
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Skips blanks, then this character if it is next.
    fn skip(&mut self, character: char) -> bool {
        self.blank();
        let next = self.rest.strip_prefix(character);
        self.rest = next.unwrap_or(self.rest);
        self.blank();
        next.is_some()
    }

    fn token(&mut self) -> Option<&'a str> {
        self.blank();
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, plain or quoted: what is in the quotes must be a token too.
    fn value(&mut self) -> Option<Cow<'a, str>> {
        let Some(quoted) = self.rest.strip_prefix('"') else { return self.token().map(Cow::Borrowed) };
        let mut text = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => text.push(characters.next()?),
                other => text.push(other),
            }
        }
        self.rest = characters.as_str();
        (!text.is_empty() && text.chars().all(is_token)).then_some(Cow::Owned(text))
    }
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

/// The parameters of `permessage-deflate` (RFC 7692 section 7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Parameters {
    pub(crate) server_no_context_takeover: bool,
    pub(crate) client_no_context_takeover: bool,
    pub(crate) server_window: Option<u8>,
    /// `Some(None)`: given without a value, which says that the client would honour one.
    pub(crate) client_window: Option<Option<u8>>,
}

impl Parameters {
    /// The parameters, if all are known, none is there twice, and all values are what they may be.
    pub(crate) fn read(extension: &Extension<'_>) -> Option<Parameters> {
        let mut read = Parameters::default();
        for (name, value) in &extension.parameters {
            let twice = match (*name, value.as_deref()) {
                ("server_no_context_takeover", None) => std::mem::replace(&mut read.server_no_context_takeover, true),
                ("client_no_context_takeover", None) => std::mem::replace(&mut read.client_no_context_takeover, true),
                ("server_max_window_bits", Some(bits)) => read.server_window.replace(window(bits)?).is_some(),
                ("client_max_window_bits", None) => read.client_window.replace(None).is_some(),
                ("client_max_window_bits", Some(bits)) => read.client_window.replace(Some(window(bits)?)).is_some(),
                _ => return None,
            };
            if twice {
                return None;
            }
        }
        Some(read)
    }
}

/// 8 to 15, in decimal without leading zeros.
fn window(bits: &str) -> Option<u8> {
    match bits {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

/// What the two sides have agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deflated {
    /// The window that this side compresses with, in bits: 9 to 15.
    pub window: u8,
    /// Whether the answer names the server's window: where the offer asked for one.
    pub(crate) named: bool,
}

/// The first of the offers that the server can accept.
pub(crate) fn choose(offers: &[Extension<'_>]) -> Option<Deflated> {
    let offers = offers.iter().filter(|offer| offer.name == super::handshake::DEFLATE);
    offers.filter_map(Parameters::read).find_map(|offer| match offer.server_window {
        None => Some(Deflated { window: WINDOW_MAX, named: false }),
        Some(window) => (window >= WINDOW_MIN).then_some(Deflated { window, named: true }),
    })
}
