//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): what a proxy says in front of a connection
//! about whose it is.
//!
//! Whoever is known to say it says it always: a connection from there that begins otherwise is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest header that is taken. Version 1 has at most 107 bytes; of version 2 the rest is for fields that are skipped.
pub const HEADER_MAX: usize = 2048;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its CRLF included.
const LINE_MAX: usize = 107;

/// What a header said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// Whose the connection is. `None` where it is the proxy's own, or of no address.
    pub source: Option<IpAddr>,
    /// How long the header is, in bytes.
    pub length: usize,
}

/// Bytes that are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

/// Reads a header from the front of `bytes`. `None`: it is not all there.
pub fn parse(bytes: &[u8]) -> Result<Option<Said>, Malformed> {
    if bytes.starts_with(SIGNATURE) {
        return parse_binary(bytes);
    }
    if SIGNATURE.starts_with(bytes) || b"PROXY ".starts_with(&bytes[..bytes.len().min(6)]) && bytes.len() < 6 {
        return Ok(None);
    }
    if bytes.starts_with(b"PROXY ") {
        parse_line(bytes)
    } else {
        Err(Malformed("it does not begin with a PROXY header"))
    }
}

/// Section 2.1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`.
fn parse_line(bytes: &[u8]) -> Result<Option<Said>, Malformed> {
    let room = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = room.windows(2).position(|pair| pair == b"\r\n") else {
        return if room.len() < LINE_MAX { Ok(None) } else { Err(Malformed("its line is too long")) };
    };
    let line = std::str::from_utf8(&room[..end]).map_err(|_| Malformed("its line is not ASCII"))?;
    let length = end + 2;
    let words: Vec<&str> = line.split(' ').collect();
    let source = match words[..] {
        // What follows UNKNOWN is ignored.
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family, source, target, from, to] => {
            let (source, target) = (address(family, source)?, address(family, target)?);
            if !is_port(from) || !is_port(to) {
                return Err(Malformed("a port in it is not a port"));
            }
            let _ = target;
            Some(source)
        }
        _ => return Err(Malformed("its line has not the words that it must")),
    };
    Ok(Some(Said { source, length }))
}

fn address(family: &str, text: &str) -> Result<IpAddr, Malformed> {
    let bad = Malformed("an address in it is not an address of its family");
    match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| bad),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| bad),
        _ => Err(Malformed("its family is not TCP4, TCP6 or UNKNOWN")),
    }
}

fn is_port(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain && text.parse::<u16>().is_ok()
}

/// Section 2.2: a signature, version and command, family and protocol, the length of the rest, addresses, fields.
fn parse_binary(bytes: &[u8]) -> Result<Option<Said>, Malformed> {
    let Some(&[command, family, high, low]) = bytes.get(12..16) else { return Ok(None) };
    if command >> 4 != 2 {
        return Err(Malformed("its version is not 2"));
    }
    let length = 16 + usize::from(u16::from_be_bytes([high, low]));
    if length > HEADER_MAX {
        return Err(Malformed("it is longer than 2,048 bytes"));
    }
    let Some(body) = bytes.get(16..length) else { return Ok(None) };
    let source = match (command & 0xf, family) {
        // LOCAL: the proxy's own connection, to see whether the server lives.
        (0, _) => None,
        (1, 0x11) => {
            let source: [u8; 4] = source(body, 12)?;
            Some(IpAddr::from(source))
        }
        (1, 0x21) => {
            let source: [u8; 16] = source(body, 36)?;
            Some(IpAddr::from(source))
        }
        // Of no address, or of a Unix socket.
        (1, 0x00 | 0x31 | 0x32) => None,
        (1, _) => return Err(Malformed("its family is not TCP over IPv4 or IPv6")),
        _ => return Err(Malformed("its command is not LOCAL or PROXY")),
    };
    Ok(Some(Said { source, length }))
}

/// The source address in front of a block of addresses and ports of so many bytes.
fn source<const N: usize>(body: &[u8], block: usize) -> Result<[u8; N], Malformed> {
    let addresses = body.get(..block).and_then(|addresses| addresses.first_chunk::<N>());
    addresses.copied().ok_or(Malformed("its addresses are cut short"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend([command, family]);
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
        out
    }

    #[test]
    fn lines_of_version_1() {
        let cases = [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET", Some("192.0.2.1"), 45),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", Some("2001:db8::1"), 44),
            ("PROXY UNKNOWN\r\n", None, 15),
            ("PROXY UNKNOWN ffff:f...f:ffff ffff 65535 65535\r\nGET", None, 48),
        ];
        for (text, source, length) in cases {
            let source = source.map(|source| source.parse().unwrap());
            assert_eq!(parse(text.as_bytes()), Ok(Some(Said { source, length })), "{text}");
            for cut in 0..length {
                assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None), "{text} {cut}");
            }
        }
        for text in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
            "PROXY  TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 056 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
            "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
            &format!("PROXY UNKNOWN {}", "x".repeat(100)),
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_of_version_2() {
        let four = [192, 0, 2, 1, 198, 51, 100, 1, 0, 1, 0, 2];
        let mut six = [0; 36];
        six[..2].copy_from_slice(&[0x20, 0x01]);
        let with_fields = [&four[..], &[0x04, 0, 1, 0]].concat();
        let cases = [
            (binary(0x21, 0x11, &four), Some("192.0.2.1")),
            (binary(0x21, 0x11, &with_fields), Some("192.0.2.1")),
            (binary(0x21, 0x21, &six), Some("2001::")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &four), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ];
        for (bytes, source) in cases {
            let source = source.map(|source| source.parse().unwrap());
            let more = [&bytes[..], b"GET"].concat();
            assert_eq!(parse(&more), Ok(Some(Said { source, length: bytes.len() })), "{bytes:?}");
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{bytes:?} {cut}");
            }
        }
        for bytes in [
            binary(0x11, 0x11, &four),
            binary(0x22, 0x11, &four),
            binary(0x21, 0x12, &four),
            binary(0x21, 0x11, &four[..11]),
            binary(0x21, 0x21, &six[..35]),
            binary(0x21, 0x11, &[0; HEADER_MAX]),
        ] {
            assert!(parse(&bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_more_bytes_change_nothing(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            front in 0usize..3,
        ) {
            let front = [&b""[..], b"PROXY TCP4 ", SIGNATURE][front];
            let bytes = [front, &bytes].concat();
            if let Ok(Some(said)) = parse(&bytes) {
                prop_assert!(said.length <= bytes.len());
                prop_assert_eq!(parse(&bytes[..said.length]), Ok(Some(said)));
            }
        }
    }
}
