//! Header compression (RFC 7541) without a dynamic table: requests are written as references to the static table and
//! literals, and of a response the status is read.

/// Where the static table (appendix A) has what is needed here.
mod table {
    pub(super) const AUTHORITY: u8 = 1;
    pub(super) const METHOD_GET: u8 = 2;
    pub(super) const PATH: u8 = 4;
    pub(super) const SCHEME_HTTP: u8 = 6;
    /// The first entry for `:status`, which is 200; six more follow.
    pub(super) const STATUS: u64 = 8;
    pub(super) const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    /// The last entry; beyond it is the dynamic table.
    pub(super) const LAST: u64 = 61;
}

/// `:status` in the code of appendix B, which has one way to write it.
const STATUS_CODED: [u8; 5] = [0xb8, 0x84, 0x8d, 0x36, 0xa3];

/// A request without a body. Names of fields must be in lower case.
pub fn get(authority: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0x80 | table::METHOD_GET, 0x80 | table::SCHEME_HTTP];
    for (index, value) in [(table::AUTHORITY, authority), (table::PATH, path)] {
        // A literal without indexing whose name is in the table (section 6.2.2).
        block.push(index);
        write_string(value, &mut block);
    }
    for (name, value) in fields {
        block.push(0);
        write_string(name, &mut block);
        write_string(value, &mut block);
    }
    block
}

/// As it is, not in the code of appendix B.
fn write_string(text: &str, out: &mut Vec<u8>) {
    write_integer(0, 7, text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// An integer with a prefix of so many bits (section 5.1).
fn write_integer(high: u8, prefix: u32, value: u64, out: &mut Vec<u8>) {
    let full = (1_u64 << prefix) - 1;
    if value < full {
        return out.push(high | value as u8);
    }
    out.push(high | full as u8);
    let mut rest = value - full;
    while rest >= 128 {
        out.push(0x80 | rest as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The status that a response's header block says, or what is wrong with the block. Nothing in it can refer to the
/// dynamic table, which was agreed to hold nothing.
pub fn status(block: &[u8]) -> Result<u16, &'static str> {
    const CUT: &str = "a header block is cut off";
    let (mut rest, mut status) = (block, None);
    while let Some(first) = rest.first().copied() {
        // Sections 6.1, 6.2.1, 6.3, and 6.2.2 with 6.2.3, which differ in how proxies treat them.
        let prefix = match first {
            0x80.. => 7,
            0x40.. => 6,
            0x20.. => 5,
            _ => 4,
        };
        let index = take_integer(&mut rest, prefix).ok_or(CUT)?;
        match first {
            0x20..0x40 if index == 0 => continue,
            0x20..0x40 => return Err("a header table is used that was refused"),
            0x80.. if index == 0 => return Err("a header field has the index 0"),
            _ if index > table::LAST => return Err("a header field refers to a table that holds nothing"),
            0x80.. => {
                let at = index.checked_sub(table::STATUS).and_then(|at| table::STATUSES.get(at as usize));
                status = status.or(at.copied());
            }
            _ => {
                let is_status = match index {
                    0 => take_string(&mut rest).ok_or(CUT)?.is(b":status", &STATUS_CODED),
                    _ => (table::STATUS..table::STATUS + table::STATUSES.len() as u64).contains(&index),
                };
                let value = take_string(&mut rest).ok_or(CUT)?;
                if is_status {
                    status = Some(value.number().ok_or("a response's status is no number")?);
                }
            }
        }
    }
    status.ok_or("a response has no status")
}

/// A string as it came.
struct Text<'a> {
    bytes: &'a [u8],
    is_coded: bool,
}

impl Text<'_> {
    fn is(&self, plain: &[u8], coded: &[u8]) -> bool {
        self.bytes == if self.is_coded { coded } else { plain }
    }

    /// Three digits.
    fn number(&self) -> Option<u16> {
        let digits = if self.is_coded { coded_digits(self.bytes)? } else { self.bytes.try_into().ok()? };
        digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u16::from(digit - b'0')))
    }
}

/// Three digits in the code of appendix B, and the ones that fill the last byte.
fn coded_digits(bytes: &[u8]) -> Option<[u8; 3]> {
    if bytes.len() > 3 {
        return None;
    }
    let mut bits = bytes.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (32 - 8 * bytes.len().max(1));
    let mut left = 8 * bytes.len();
    let mut digits = [0; 3];
    for digit in &mut digits {
        // 0, 1 and 2 have five bits, 00000 to 00010; 3 to 9 have six, 011001 to 011111.
        let (length, value) = match (bits >> 27, bits >> 26) {
            (short @ 0..3, _) => (5, short),
            (_, long @ 25..32) => (6, long - 22),
            _ => return None,
        };
        left = left.checked_sub(length)?;
        bits <<= length;
        *digit = b'0' + value as u8;
    }
    let filled = left < 8 && bits.leading_ones() as usize == left;
    filled.then_some(digits)
}

fn take_string<'a>(input: &mut &'a [u8]) -> Option<Text<'a>> {
    let is_coded = input.first()? & 0x80 != 0;
    let length = usize::try_from(take_integer(input, 7)?).ok()?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(Text { bytes, is_coded })
}

fn take_integer(input: &mut &[u8], prefix: u32) -> Option<u64> {
    let (first, mut rest) = input.split_first()?;
    let full = (1_u64 << prefix) - 1;
    let mut value = u64::from(*first) & full;
    if value == full {
        for shift in (0..35).step_by(7) {
            let (next, more) = rest.split_first()?;
            rest = more;
            value += u64::from(next & 0x7f) << shift;
            if next & 0x80 == 0 {
                *input = rest;
                return Some(value);
            }
        }
        // Longer than any header block here can be.
        return None;
    }
    *input = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Codes of appendix B that are needed here: the character, its code and the code's length.
    const CODES: [(u8, u32, u32); 17] = [
        (b'0', 0x0, 5),
        (b'1', 0x1, 5),
        (b'2', 0x2, 5),
        (b'3', 0x19, 6),
        (b'4', 0x1a, 6),
        (b'5', 0x1b, 6),
        (b'6', 0x1c, 6),
        (b'7', 0x1d, 6),
        (b'8', 0x1e, 6),
        (b'9', 0x1f, 6),
        (b':', 0x5c, 7),
        (b'a', 0x3, 5),
        (b's', 0x8, 5),
        (b't', 0x9, 5),
        (b'u', 0x2d, 6),
        (b'.', 0x17, 6),
        (b'/', 0x18, 6),
    ];

    fn coded(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for byte in text {
            let (_, code, length) = CODES.iter().find(|(of, ..)| of == byte).unwrap();
            bits.push_str(&format!("{code:0width$b}", width = *length as usize));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        bits.as_bytes()
            .chunks(8)
            .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
            .collect()
    }

    fn literal(first: u8, strings: &[(bool, &[u8])]) -> Vec<u8> {
        let mut block = vec![first];
        for (is_coded, text) in strings {
            let text = if *is_coded { coded(text) } else { text.to_vec() };
            write_integer(if *is_coded { 0x80 } else { 0 }, 7, text.len() as u64, &mut block);
            block.extend_from_slice(&text);
        }
        block
    }

    #[test]
    fn a_request_is_written_in_literals() {
        // The fields of the example in appendix C.3.1, without indexing.
        let expected = b"\x82\x86\x01\x0fwww.example.com\x04\x01/\x00\x06accept\x11text/event-stream";
        assert_eq!(get("www.example.com", "/", &[("accept", "text/event-stream")]), expected);
    }

    #[test]
    fn integers_are_those_of_the_standard() {
        // Appendix C.1: 10 and 1337 with five bits, 42 with eight.
        for (prefix, value, bytes) in [(5, 10, &[0x0a][..]), (5, 1337, &[0x1f, 0x9a, 0x0a]), (8, 42, &[0x2a])] {
            let mut out = Vec::new();
            write_integer(0, prefix, value, &mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn the_status_is_found_however_it_is_written() {
        // Appendices C.5.1 and C.6.1: 302 as a literal with indexing, plain and coded.
        assert_eq!(status(b"\x48\x03302"), Ok(302));
        assert_eq!(status(b"\x48\x82\x64\x02"), Ok(302));
        assert_eq!(coded(b":status"), STATUS_CODED);
        for first in [0x40, 0x00, 0x10] {
            for (name, value) in [(false, false), (false, true), (true, false), (true, true)] {
                let block = literal(first, &[(name, b":status"), (value, b"503")]);
                assert_eq!(status(&block), Ok(503), "{block:x?}");
            }
        }
        for (index, expected) in (0x88..).zip(table::STATUSES) {
            // After a change of the table's size to nothing, and before a field with coded name and value.
            assert_eq!(
                status(&[&[0x20, index][..], &literal(0x40, &[(true, b"tata"), (true, b"/.0")])].concat()),
                Ok(expected)
            );
        }
    }

    #[test]
    fn a_block_that_cannot_be_is_refused() {
        for block in [
            &b""[..],
            b"\x80",
            b"\xbe",
            b"\x48\x033",
            b"\x48\x0330x",
            b"\x3f\xe1\x1f\x88",
            b"\x7e\x01a",
            b"\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert!(status(block).is_err(), "{block:x?}");
        }
        // A fourth digit, a filler of zeros, and one of a whole byte.
        for bytes in [&coded(b"2000")[..], &[0x10, 0x00], &[0x10, 0x01, 0xff]] {
            assert_eq!(coded_digits(bytes), None, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn integers_are_read_as_they_were_written(value in 0..1_u64 << 34, shift in 0..34, prefix in 1..8_u32) {
            let value = value >> shift;
            let mut out = Vec::new();
            write_integer(0, prefix, value, &mut out);
            for cut in 0..out.len() {
                prop_assert_eq!(take_integer(&mut &out[..cut], prefix), None);
            }
            let mut input = &out[..];
            prop_assert_eq!(take_integer(&mut input, prefix), Some(value));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn every_status_is_read_in_code(number in 100..1000_u16) {
            let block = literal(0x08, &[(true, number.to_string().as_bytes())]);
            prop_assert_eq!(status(&block), Ok(number));
        }

        #[test]
        fn no_block_panics(block in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = status(&block);
        }
    }
}
