//! HTTP bodies: which bytes are data is the same however they arrive, and as RFC 9112 section 7.1 says.

use crate::choices::{Choices, everywhere, pieces};
use switchboard::listen::Framing;
use switchboard::listen::http1::body::{CHUNK_LINE_MAX, TRAILERS_MAX};
use switchboard::listen::http1::{BodyDecoder, Decoded};
use switchboard_wire::Code;

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let framing = match choices.below(4) {
        0 => Framing::None,
        1 => Framing::Length(choices.number()),
        _ => Framing::Chunked,
    };
    let cuts = choices.cuts();
    let encode = choices.one_in(3);
    let bytes = choices.rest();
    if encode {
        let encoded = encoded(bytes, &cuts);
        let (data, rest) = decode(Framing::Chunked, &encoded, &cuts).unwrap();
        assert_eq!((&*data, rest), (bytes, Some(b"rest".to_vec())));
        return;
    }
    let whole = decode(framing, bytes, &[]);
    assert_eq!(decode(framing, bytes, &cuts), whole, "cut at {cuts:?}");
    assert_eq!(decode(framing, bytes, &everywhere(bytes)), whole, "byte by byte");
    let twin = match framing {
        Framing::Chunked => chunked(bytes),
        Framing::None => Ok((Vec::new(), Some(bytes.to_vec()))),
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Ok((bytes[..length.min(bytes.len())].to_vec(), bytes.get(length..).map(<[u8]>::to_vec)))
        }
    };
    assert_eq!(whole, twin);
}

/// The data, and what is left behind the body where it ends; or the data before the framing broke.
type Body = Result<(Vec<u8>, Option<Vec<u8>>), Vec<u8>>;

/// Decodes a body that arrives in pieces.
fn decode(framing: Framing, bytes: &[u8], cuts: &[usize]) -> Body {
    let (mut decoder, mut buf, mut data) = (BodyDecoder::new(framing), Vec::new(), Vec::new());
    for piece in pieces(bytes, cuts) {
        buf.extend_from_slice(piece);
        loop {
            let before = decoder;
            match decoder.decode(&buf) {
                Err(problem) => {
                    assert_eq!(problem.code, Code::BadRequest);
                    return Err(data);
                }
                Ok(Decoded::More) => {
                    assert_eq!(decoder, before, "where there is not enough nothing changes");
                    // Nobody has to keep more for a decoder than it may ask for.
                    assert!(buf.len() < CHUNK_LINE_MAX + TRAILERS_MAX + 2, "{} bytes wait", buf.len());
                    break;
                }
                Ok(Decoded::Data { skip, len }) => {
                    assert!(len > 0 && skip + len <= buf.len());
                    data.extend(buf.drain(..skip + len).skip(skip));
                }
                Ok(Decoded::Done { skip }) => {
                    assert!(decoder.is_done() && decoder.expected() == 0);
                    buf.drain(..skip);
                    // What came with the end, and what would have come behind it.
                    return Ok((data, Some(behind(bytes, &buf, piece))));
                }
            }
        }
    }
    Ok((data, None))
}

/// All that follows the body: the rest of the buffer, and of the bytes behind the piece that was fed last.
fn behind(bytes: &[u8], buf: &[u8], piece: &[u8]) -> Vec<u8> {
    let end = piece.as_ptr().addr() + piece.len() - bytes.as_ptr().addr();
    [buf, &bytes[end..]].concat()
}

/// The data in chunks that end at these places, and more behind them.
fn encoded(data: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, piece) in pieces(data, cuts).filter(|piece| !piece.is_empty()).enumerate() {
        let extension = ["", ";a", " ; a=\"b\"", "\t;"][at % 4];
        let size = if at % 2 == 0 { format!("{:x}", piece.len()) } else { format!("{:05X}", piece.len()) };
        out.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(if cuts.len().is_multiple_of(2) {
        b"0\r\n\r\nrest"
    } else {
        b"000\r\nA: b\r\nc:\r\n\r\nrest"
    });
    out
}

/// A chunked body, read line by line from the whole of it.
fn chunked(bytes: &[u8]) -> Body {
    let (mut data, mut rest) = (Vec::new(), bytes);
    loop {
        let (line, after) = match line(rest, CHUNK_LINE_MAX) {
            Line::Ended(line, after) => (line, after),
            Line::Open => return Ok((data, None)),
            Line::Broken => return Err(data),
        };
        let Some(size) = size(line) else { return Err(data) };
        rest = after;
        if size == 0 {
            break;
        }
        let here = usize::try_from(size).map_or(rest.len(), |size| size.min(rest.len()));
        data.extend_from_slice(&rest[..here]);
        rest = &rest[here..];
        if (here as u64) < size {
            return Ok((data, None));
        }
        match rest {
            [b'\r', b'\n', after @ ..] => rest = after,
            [] | [b'\r'] => return Ok((data, None)),
            _ => return Err(data),
        }
    }
    let trailers = rest.len();
    loop {
        let room = TRAILERS_MAX - (trailers - rest.len());
        match line(rest, room) {
            Line::Ended(b"", after) => return Ok((data, Some(after.to_vec()))),
            Line::Ended(field, after) if is_field(field) && trailers - after.len() < TRAILERS_MAX => rest = after,
            Line::Open => return Ok((data, None)),
            Line::Ended(..) | Line::Broken => return Err(data),
        }
    }
}

enum Line<'a> {
    Ended(&'a [u8], &'a [u8]),
    Open,
    Broken,
}

/// A line of fewer bytes than `max`, all of them printable, and what is behind it.
fn line(bytes: &[u8], max: usize) -> Line<'_> {
    let printable = bytes.iter().take_while(|b| **b == b'\t' || !(**b < 0x20 || **b == 0x7f)).count();
    match &bytes[printable..] {
        _ if printable >= max => Line::Broken,
        [] | [b'\r'] => Line::Open,
        [b'\r', b'\n', after @ ..] => Line::Ended(&bytes[..printable], after),
        _ => Line::Broken,
    }
}

/// The size at the front of a line: up to sixteen hexadecimal digits, then nothing or extensions.
fn size(line: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(line);
    let (size, extensions) = text.split_once(';').map_or((&*text, None), |(size, rest)| (size, Some(rest)));
    let size = if extensions.is_some() { size.trim_end_matches([' ', '\t']) } else { size };
    let digits = (1..=16).contains(&size.len()) && size.chars().all(|c| c.is_ascii_hexdigit());
    if digits { u64::from_str_radix(size, 16).ok() } else { None }
}

fn is_field(line: &[u8]) -> bool {
    let colon = line.iter().position(|b| *b == b':').unwrap_or(0);
    colon > 0 && line[..colon].iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}
