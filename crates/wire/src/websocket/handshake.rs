//! The opening handshake (RFC 6455 section 4), for both sides, from and to header fields.
//!
//! Headers are an iterator of names and values that can be gone through more than once, such as
//! `request.headers.iter().map(|h| (h.name, h.value))` over what `httparse` read.

pub use super::extension::Deflated;
use super::extension::{self, Parameters};
use crate::code::{Code, Problem};
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD as BASE64};
use sha1::{Digest as _, Sha1};

/// The extension's name (RFC 7692 section 7).
pub(crate) const DEFLATE: &str = "permessage-deflate";

/// What a server hashes behind the key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The version there is (section 4.1): its field belongs to the request, and to a refusal with 426.
pub const VERSION: (&str, &str) = ("Sec-WebSocket-Version", "13");

/// Some clients take random characters for random bytes, and so set bits that no byte needs.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Whether the request asks for a WebSocket: `Upgrade` names it, on HTTP/1.1 or a later minor version (an older one
/// is to ignore the field, RFC 9110 section 7.8). Whether it may have one, [`accept`] says.
pub fn is_websocket_request<'h>(version: (u8, u8), headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> bool {
    version.0 == 1 && version.1 >= 1 && has_token(headers, "upgrade", "websocket")
}

/// The subprotocols on offer, in the client's order, across all header lines. The list is the client's own: it may
/// hold anything, a token too.
pub fn protocols<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> impl Iterator<Item = &'h str> {
    elements(headers, "sec-websocket-protocol")
}

/// The first subprotocol on offer that is supported: the client's order counts. What is not supported is never
/// chosen.
pub fn choose_protocol<'s, 'h>(offers: impl Iterator<Item = &'h str>, supported: &[&'s str]) -> Option<&'s str> {
    let mut offers = offers;
    offers.find_map(|offer| supported.iter().find(|known| **known == offer).copied())
}

/// A handshake that the server accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted<'s> {
    /// The value of `Sec-WebSocket-Accept`; where HTTP/2 carries it, only a client that sends a key gets one.
    pub accept: Option<String>,
    /// Whether the connection switches protocols, as HTTP/1.1's does; a stream of HTTP/2 does not.
    pub switches: bool,
    pub protocol: Option<&'s str>,
    /// The server's window, if messages may be compressed.
    pub deflate: Option<Deflated>,
}

/// Checks a client's opening handshake (section 4.2.1) and answers it. `supported` are the subprotocols the server
/// speaks; `deflate` says whether it would compress.
///
/// # Errors
///
/// [`Code::UpgradeRequired`] if the version is not 13, in which case the answer must carry [`VERSION`];
/// [`Code::BadRequest`] for everything else.
pub fn accept<'h, 's>(
    method: &str,
    version: (u8, u8),
    headers: impl Iterator<Item = (&'h str, &'h [u8])> + Clone,
    supported: &[&'s str],
    deflate: bool,
) -> Result<Accepted<'s>, Problem> {
    if method != "GET" {
        return Err(Code::BadRequest.because("a WebSocket handshake is a GET request"));
    }
    if version.0 != 1 || version.1 < 1 {
        return Err(Code::BadRequest.because("a WebSocket handshake needs HTTP/1.1"));
    }
    if !has_token(headers.clone(), "upgrade", "websocket") {
        return Err(Code::BadRequest.because("`Upgrade` does not name websocket"));
    }
    if !has_token(headers.clone(), "connection", "upgrade") {
        return Err(Code::BadRequest.because("`Connection` does not name upgrade"));
    }
    if once(headers.clone(), VERSION.0) != Some(VERSION.1.as_bytes()) {
        return Err(Code::UpgradeRequired.because("`Sec-WebSocket-Version` is to be there once, and to be 13"));
    }
    let Some(key) = once(headers.clone(), "sec-websocket-key").filter(|key| is_key(key)) else {
        return Err(Code::BadRequest.because("`Sec-WebSocket-Key` is to be there once, and to be 16 bytes in base64"));
    };
    let offers = extensions(headers.clone())?;
    Ok(Accepted {
        accept: Some(accept_value(key)),
        switches: true,
        protocol: choose_protocol(protocols(headers), supported),
        deflate: if deflate { extension::choose(&offers) } else { None },
    })
}

/// Checks an opening handshake by extended CONNECT (RFC 8441 section 5), whose method and protocol were looked at already,
/// and answers it as [`accept`] does.
///
/// # Errors
///
/// As those of [`accept`]. A key need not be there, but one that is has to be one.
pub fn accept_stream<'h, 's>(
    headers: impl Iterator<Item = (&'h str, &'h [u8])> + Clone,
    supported: &[&'s str],
    deflate: bool,
) -> Result<Accepted<'s>, Problem> {
    if once(headers.clone(), VERSION.0) != Some(VERSION.1.as_bytes()) {
        return Err(Code::UpgradeRequired.because("`Sec-WebSocket-Version` is to be there once, and to be 13"));
    }
    let accept = match has(headers.clone(), "sec-websocket-key") {
        false => None,
        true => match once(headers.clone(), "sec-websocket-key").filter(|key| is_key(key)) {
            Some(key) => Some(accept_value(key)),
            None => return Err(Code::BadRequest.because("`Sec-WebSocket-Key` is 16 bytes in base64, once")),
        },
    };
    let offers = extensions(headers.clone())?;
    Ok(Accepted {
        accept,
        switches: false,
        protocol: choose_protocol(protocols(headers), supported),
        deflate: if deflate { extension::choose(&offers) } else { None },
    })
}

fn has<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>, name: &str) -> bool {
    let mut headers = headers;
    headers.any(|(field, _)| field.eq_ignore_ascii_case(name))
}

impl Accepted<'_> {
    /// The header fields of the answer, which has status 101, or 200 where nothing is switched.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if self.switches {
            fields.push(("Upgrade", "websocket".to_owned()));
            fields.push(("Connection", "Upgrade".to_owned()));
        }
        fields.extend(self.accept.clone().map(|accept| ("Sec-WebSocket-Accept", accept)));
        fields.extend(self.protocol.map(|protocol| ("Sec-WebSocket-Protocol", protocol.to_owned())));
        fields.extend(self.extensions().map(|extensions| ("Sec-WebSocket-Extensions", extensions)));
        fields
    }

    /// The value of `Sec-WebSocket-Extensions`. Context takeover is declined in both directions, whatever was
    /// offered: for the server's messages so that all subscribers share them, for the client's so that an idle
    /// connection needs no window.
    pub fn extensions(&self) -> Option<String> {
        let Deflated { window, named } = self.deflate?;
        let mut value = format!("{DEFLATE}; server_no_context_takeover; client_no_context_takeover");
        if named {
            value.push_str(&format!("; server_max_window_bits={window}"));
        }
        Some(value)
    }
}

/// A client's opening handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer<'p> {
    key: String,
    protocols: &'p [&'p str],
    deflate: bool,
}

/// What a server has agreed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agreed<'p> {
    pub protocol: Option<&'p str>,
    /// The client's own window, if messages may be compressed.
    pub deflate: Option<Deflated>,
}

impl<'p> Offer<'p> {
    /// `random` is to be new for each connection; `protocols` are the client's, the best first.
    pub fn new(random: [u8; 16], protocols: &'p [&'p str], deflate: bool) -> Offer<'p> {
        Offer { key: BASE64.encode(random), protocols, deflate }
    }

    /// The header fields of the request, besides `Host` and whatever else the caller sends.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("Upgrade", "websocket".to_owned()),
            ("Connection", "Upgrade".to_owned()),
            (VERSION.0, VERSION.1.to_owned()),
            ("Sec-WebSocket-Key", self.key.clone()),
        ];
        if !self.protocols.is_empty() {
            fields.push(("Sec-WebSocket-Protocol", self.protocols.join(", ")));
        }
        if self.deflate {
            let offer = format!("{DEFLATE}; server_no_context_takeover; client_no_context_takeover");
            fields.push(("Sec-WebSocket-Extensions", offer));
        }
        fields
    }

    /// Checks the server's answer (section 4.1).
    ///
    /// # Errors
    ///
    /// [`Code::BadRequest`] if it is no WebSocket, or grants what was not offered.
    pub fn check<'h>(
        &self,
        status: u16,
        headers: impl Iterator<Item = (&'h str, &'h [u8])> + Clone,
    ) -> Result<Agreed<'p>, Problem> {
        let refuse = |why: &'static str| Err(Code::BadRequest.because(why));
        if status != 101 {
            return refuse("the server does not switch protocols");
        }
        if !has_token(headers.clone(), "upgrade", "websocket") || !has_token(headers.clone(), "connection", "upgrade") {
            return refuse("the server switches to something else than a WebSocket");
        }
        if once(headers.clone(), "sec-websocket-accept") != Some(accept_value(self.key.as_bytes()).as_bytes()) {
            return refuse("`Sec-WebSocket-Accept` does not answer the key");
        }
        let mut chosen = protocols(headers.clone());
        let protocol = match (chosen.next(), chosen.next()) {
            (None, _) => None,
            (Some(only), None) => self.protocols.iter().find(|offered| **offered == only).copied(),
            (Some(_), Some(_)) => return refuse("the server chose more than one subprotocol"),
        };
        if protocol.is_none() && protocols(headers.clone()).next().is_some() {
            return refuse("the server chose a subprotocol that was not offered");
        }
        let extensions = extensions(headers)?;
        let deflate = match &extensions[..] {
            [] => None,
            [only] if self.deflate && only.name == DEFLATE => match Parameters::read(only) {
                // A client window was not offered, and a server that accepts must say that it drops its context.
                Some(Parameters { server_no_context_takeover: true, client_window: None, .. }) => {
                    Some(Deflated { window: super::deflate::WINDOW_MAX, named: false })
                }
                _ => return refuse("the server answers `permessage-deflate` with parameters it may not"),
            },
            _ => return refuse("the server uses an extension that was not offered"),
        };
        Ok(Agreed { protocol, deflate })
    }
}

/// The value of `Sec-WebSocket-Accept` that answers a key.
fn accept_value(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Whether this is base64 of sixteen bytes.
fn is_key(key: &[u8]) -> bool {
    let mut bytes = [0; 24];
    key.len() == 24 && LENIENT.decode_slice(key, &mut bytes).is_ok_and(|length| length == 16)
}

/// All the extensions, across all header lines. A line that does not follow the grammar fails the handshake (section
/// 9.1).
fn extensions<'h>(
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
) -> Result<Vec<extension::Extension<'h>>, Problem> {
    let mut found = Vec::new();
    for value in values(headers, "sec-websocket-extensions") {
        match extension::parse(value) {
            Some(extensions) => found.extend(extensions),
            None => return Err(Code::BadRequest.because("`Sec-WebSocket-Extensions` is malformed")),
        }
    }
    Ok(found)
}

/// The values of all header lines of this name.
fn values<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>, name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers.filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim_ascii())
}

/// The elements of a comma-separated list, across all header lines of this name. A value that is not UTF-8 has none.
fn elements<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>, name: &str) -> impl Iterator<Item = &'h str> {
    let texts = values(headers, name).filter_map(|value| std::str::from_utf8(value).ok());
    texts.flat_map(|text| text.split(',')).map(|element| element.trim_matches([' ', '\t'])).filter(|e| !e.is_empty())
}

fn has_token<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>, name: &str, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

/// The value, if there is exactly one header line of this name.
fn once<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>, name: &str) -> Option<&'h [u8]> {
    let mut values = values(headers, name);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests;
