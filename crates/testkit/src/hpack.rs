//! HPACK (RFC 7541), as far as a client needs it that keeps no dynamic table: it says everything as literals, and has told
//! the server by `SETTINGS_HEADER_TABLE_SIZE` that it remembers nothing.

use std::sync::LazyLock;

/// Appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Bits of each symbol's code (Appendix B); the last symbol is the end of a string. Among codes of one length the order is
/// that of the symbols, so that the lengths are all there is to know.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

const END_OF_STRING: u16 = 256;

/// By length: the first code, and the symbols of that length in their order.
static CODES: LazyLock<Vec<(u32, Vec<u16>)>> = LazyLock::new(|| {
    let mut code = 0;
    let of_length = |length: u8| {
        let symbols: Vec<u16> = (0..=END_OF_STRING).filter(|symbol| LENGTHS[usize::from(*symbol)] == length).collect();
        code <<= 1;
        let first = code;
        code += symbols.len() as u32;
        (first, symbols)
    };
    (1..=30).map(of_length).collect()
});

/// Fields as literals that are not to be indexed (section 6.2.2), without Huffman's code.
pub fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name.as_bytes());
        string(&mut block, value.as_bytes());
    }
    block
}

/// A string literal (section 5.2), in plain.
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

/// An integer (section 5.1) behind the bits of a first byte.
pub fn integer(out: &mut Vec<u8>, first: u8, bits: u8, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        return out.push(first | value as u8);
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Reads a field block (section 3.2).
///
/// # Panics
/// If it is malformed, or refers to a dynamic table, which has no entries.
#[track_caller]
pub fn decode(block: &[u8]) -> Vec<(String, String)> {
    let mut rest = block;
    let mut fields = Vec::new();
    while let Some(first) = rest.first().copied() {
        if first & 0x80 != 0 {
            let (name, value) = entry(take_integer(&mut rest, 7));
            fields.push((name.to_owned(), value.to_owned()));
        } else if first & 0xe0 == 0x20 {
            let size = take_integer(&mut rest, 5);
            assert_eq!(size, 0, "a dynamic table larger than was allowed");
            assert!(fields.is_empty(), "an update of the table's size behind a field");
        } else {
            let name = match take_integer(&mut rest, if first & 0x40 != 0 { 6 } else { 4 }) {
                0 => take_string(&mut rest),
                index => entry(index).0.to_owned(),
            };
            let value = take_string(&mut rest);
            fields.push((name, value));
        }
    }
    fields
}

#[track_caller]
fn entry(index: usize) -> (&'static str, &'static str) {
    assert!((1..=STATIC.len()).contains(&index), "no entry {index}: a client that remembers nothing has 61");
    STATIC[index - 1]
}

#[track_caller]
fn take_byte(rest: &mut &[u8]) -> u8 {
    let (first, behind) = rest.split_first().expect("a field block that is whole");
    *rest = behind;
    *first
}

#[track_caller]
fn take_integer(rest: &mut &[u8], bits: u8) -> usize {
    let most = (1 << bits) - 1;
    let mut value = usize::from(take_byte(rest)) & most;
    let mut shift = 0;
    while value >= most {
        let byte = take_byte(rest);
        value += usize::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            break;
        }
    }
    value
}

#[track_caller]
fn take_string(rest: &mut &[u8]) -> String {
    let coded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = take_integer(rest, 7);
    let (text, behind) = rest.split_at_checked(length).expect("a string that is whole");
    *rest = behind;
    let text = if coded { unhuffman(text) } else { text.to_vec() };
    String::from_utf8(text).expect("a field of the server's is UTF-8")
}

/// Reads a string in Huffman's code (section 5.2).
#[track_caller]
fn unhuffman(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut code, mut length) = (0u32, 0);
    for bit in text.iter().flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1))) {
        (code, length) = (code << 1 | bit, length + 1);
        let (first, symbols) = &CODES[length - 1];
        if let Some(symbol) = code.checked_sub(*first).and_then(|at| symbols.get(at as usize)) {
            assert_ne!(*symbol, END_OF_STRING, "the end of a string within a string");
            out.push(*symbol as u8);
            (code, length) = (0, 0);
        }
    }
    assert!(length < 8 && code == (1 << length) - 1, "padding that is not the beginning of the end of a string");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn integers_are_those_of_appendix_c_1() {
        for (bits, value, coded) in [(5, 10, "0a"), (5, 1337, "1f9a0a"), (8, 42, "2a")] {
            let mut out = Vec::new();
            integer(&mut out, 0, bits, value);
            assert_eq!(out, bytes(coded));
            assert_eq!(take_integer(&mut &out[..], bits), value);
        }
    }

    #[test]
    fn fields_are_those_of_appendix_c_2() {
        let one = |hex: &str| decode(&bytes(hex)).remove(0);
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let custom = one("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572");
        assert_eq!(custom, field("custom-key", "custom-header"));
        assert_eq!(one("040c 2f73 616d 706c 652f 7061 7468"), field(":path", "/sample/path"));
        assert_eq!(one("1008 7061 7373 776f 7264 0673 6563 7265 74"), field("password", "secret"));
        assert_eq!(one("82"), field(":method", "GET"));
    }

    #[test]
    fn strings_in_huffmans_code_are_those_of_appendices_c_4_and_c_6() {
        for (coded, text) in [
            ("f1e3 c2e5 f23a 6ba0 ab90 f4ff", "www.example.com"),
            ("a8eb 1064 9cbf", "no-cache"),
            ("25a8 49e9 5ba9 7d7f", "custom-key"),
            ("25a8 49e9 5bb8 e8b4 bf", "custom-value"),
            ("6402", "302"),
            ("640e ff", "307"),
            ("aec3 771a 4b", "private"),
            ("d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3", "https://www.example.com"),
            (
                "94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 \
                 b106 3d50 07",
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ),
        ] {
            assert_eq!(String::from_utf8(unhuffman(&bytes(coded))).unwrap(), text);
        }
    }

    #[test]
    fn every_code_has_one_symbol() {
        assert_eq!(CODES.iter().map(|(_, symbols)| symbols.len()).sum::<usize>(), 257);
        let (first, last) = CODES.last().unwrap();
        assert_eq!(first + last.len() as u32, 1 << 30, "the codes leave nothing over");
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let long = "x".repeat(70_000);
        let fields = [(":status", "200"), ("a", ""), ("b", long.as_str())];
        let told: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(decode(&encode(&fields)), told);
    }
}
