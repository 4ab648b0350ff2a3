//! Headers of the PROXY protocol: what they say is what a twin finds that takes them apart word by word and byte by byte,
//! as HAProxy's `proxy-protocol.txt` has them.

use crate::choices::prefixes;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use switchboard_wire::proxy::{HEADER_MAX, Said, parse};

const SIGNATURE: [u8; 12] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
/// Section 2.1: a line of version 1, its end included, is no longer.
const LINE_MAX: usize = 107;

/// What may be in front of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Header {
    /// Whose the connection is, if it says so; and how long the header is.
    Whole(Option<IpAddr>, usize),
    /// It may yet become one.
    Part,
    Foul,
}

pub(crate) fn run(input: &[u8]) {
    let found = look(input);
    assert_eq!(found, twin(input));
    if let Header::Whole(_, length) = found {
        assert!(length <= input.len() && length <= HEADER_MAX);
        assert_eq!(look(&input[..length]), found, "what follows does not matter");
    }
    let mut foul = false;
    for end in prefixes(input.len()) {
        match (look(&input[..end]), found) {
            (Header::Part, _) if !foul => {}
            (Header::Whole(_, length), Header::Whole(_, whole)) if length == whole && end >= whole => {}
            (Header::Foul, Header::Foul) => foul = true,
            (early, whole) => panic!("{end} bytes: {early:?} before {whole:?}"),
        }
    }
}

fn look(bytes: &[u8]) -> Header {
    match parse(bytes) {
        Ok(Some(Said { source, length })) => Header::Whole(source, length),
        Ok(None) => Header::Part,
        Err(_) => Header::Foul,
    }
}

fn twin(bytes: &[u8]) -> Header {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
    match (begins(&SIGNATURE), begins(b"PROXY ")) {
        (true, _) if bytes.len() >= SIGNATURE.len() => binary(bytes),
        (_, true) if bytes.len() >= 6 => line(bytes),
        (false, false) => Header::Foul,
        _ => Header::Part,
    }
}

fn line(bytes: &[u8]) -> Header {
    let end = (1..bytes.len().min(LINE_MAX)).find(|at| bytes[at - 1] == b'\r' && bytes[*at] == b'\n');
    let Some(end) = end else {
        return if bytes.len() < LINE_MAX { Header::Part } else { Header::Foul };
    };
    let Ok(text) = String::from_utf8(bytes[..end - 1].to_vec()) else { return Header::Foul };
    let mut words = text.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Header::Whole(None, end + 1);
    }
    let rest: Vec<&str> = words.collect();
    let [source, target, from, to] = rest[..] else { return Header::Foul };
    let read = |text: &str| match family {
        Some("TCP4") => four(text).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        Some("TCP6") => six(text).map(|groups| IpAddr::V6(Ipv6Addr::from(groups))),
        _ => None,
    };
    match (read(source), read(target), decimal(from, 65_535), decimal(to, 65_535)) {
        (Some(source), Some(_), Some(_), Some(_)) => Header::Whole(Some(source), end + 1),
        _ => Header::Foul,
    }
}

/// A number up to this, written in the one way there is.
fn decimal(text: &str, most: u32) -> Option<u32> {
    let number: u32 = text.chars().try_fold(0_u32, |number, c| number.checked_mul(10)?.checked_add(c.to_digit(10)?))?;
    (number <= most && number.to_string() == text).then_some(number)
}

fn four(text: &str) -> Option<[u8; 4]> {
    let parts: Vec<u8> = text.split('.').map(|part| Some(decimal(part, 255)? as u8)).collect::<Option<_>>()?;
    parts.try_into().ok()
}

/// RFC 4291 section 2.2: eight groups, of which zeros may be left out once; the last two may be written as IPv4.
fn six(text: &str) -> Option<[u16; 8]> {
    let groups = |text: &str, last: bool| -> Option<Vec<u16>> {
        let mut out = Vec::new();
        let parts: Vec<&str> = if text.is_empty() { Vec::new() } else { text.split(':').collect() };
        for (i, part) in parts.iter().enumerate() {
            if last && i + 1 == parts.len() && part.contains('.') {
                let [a, b, c, d] = four(part)?;
                out.extend([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
            } else if (1..=4).contains(&part.len()) && part.chars().all(|c| c.is_ascii_hexdigit()) {
                out.push(u16::from_str_radix(part, 16).ok()?);
            } else {
                return None;
            }
        }
        Some(out)
    };
    let Some((front, back)) = text.split_once("::") else { return groups(text, true)?.try_into().ok() };
    let (front, back) = (groups(front, false)?, groups(back, true)?);
    let zeros = 8_usize.checked_sub(front.len() + back.len()).filter(|zeros| *zeros > 0)?;
    [front, vec![0; zeros], back].concat().try_into().ok()
}

fn binary(bytes: &[u8]) -> Header {
    if bytes.len() < 16 {
        return Header::Part;
    }
    let length = 16 + usize::from(bytes[14]) * 256 + usize::from(bytes[15]);
    if bytes[12] / 16 != 2 || length > HEADER_MAX {
        return Header::Foul;
    }
    if bytes.len() < length {
        return Header::Part;
    }
    let room = length - 16;
    let command = bytes[12] & 0x0f;
    match bytes[13] {
        _ if command == 0 => Header::Whole(None, length),
        _ if command != 1 => Header::Foul,
        // Unspecified, and Unix sockets.
        0x00 | 0x31 | 0x32 => Header::Whole(None, length),
        // Two addresses and two ports.
        0x11 if room >= 2 * 4 + 4 => {
            Header::Whole(Some(IpAddr::from([bytes[16], bytes[17], bytes[18], bytes[19]])), length)
        }
        0x21 if room >= 2 * 16 + 4 => {
            let mut address = [0; 16];
            address.copy_from_slice(&bytes[16..32]);
            Header::Whole(Some(IpAddr::from(address)), length)
        }
        _ => Header::Foul,
    }
}
