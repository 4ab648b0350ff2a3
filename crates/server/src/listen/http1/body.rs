//! The request body as it is framed on the wire (RFC 9112 sections 6 and 7.1): which bytes are data.

use crate::listen::Framing;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// Longest line that begins a chunk, extensions included, in bytes.
pub const CHUNK_LINE_MAX: usize = 512;
/// Longest trailer section, in bytes.
pub const TRAILERS_MAX: usize = 4096;

/// Tells the data of a body from its framing, piece by piece.
///
/// ```text
///             ┌───────────────────────────────┐
///             ▼                               │
/// Line ──► Data(n) ──► Data(0): CRLF ─────► Line
///   └──► Trailers ──► Done ◄── Length(0)
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyDecoder(State);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Bytes left of a body of known length.
    Length(u64),
    /// At the line that begins a chunk.
    Line,
    /// Bytes left of the chunk; its CRLF is still to come.
    Data(u64),
    /// Behind the last chunk.
    Trailers,
    Done,
}

/// What lies at the front of the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// Not enough to tell; nothing is consumed.
    More,
    /// `skip` bytes of framing, then `len` of data (never 0): the caller takes them all off the buffer.
    Data { skip: usize, len: usize },
    /// The body ends behind `skip` bytes of framing, which the caller takes off the buffer.
    Done { skip: usize },
}

impl BodyDecoder {
    pub fn new(framing: Framing) -> BodyDecoder {
        BodyDecoder(match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Line,
        })
    }

    /// Whether the end of the body was reached.
    pub fn is_done(&self) -> bool {
        self.0 == State::Done
    }

    /// Bytes that are certain to come, framing aside.
    pub fn expected(&self) -> u64 {
        match self.0 {
            State::Length(left) | State::Data(left) => left,
            State::Line | State::Trailers | State::Done => 0,
        }
    }

    /// Whether the length of the whole body is known beforehand.
    pub fn is_sized(&self) -> bool {
        matches!(self.0, State::Length(_) | State::Done)
    }

    /// Looks at the front of `buf`. What it reports counts as taken off.
    pub fn decode(&mut self, buf: &[u8]) -> Result<Decoded, Problem> {
        let (mut state, mut skip) = (self.0, 0);
        loop {
            let rest = &buf[skip..];
            let taken = match state {
                State::Done => {
                    self.0 = State::Done;
                    return Ok(Decoded::Done { skip });
                }
                State::Length(_) if rest.is_empty() => None,
                State::Length(left) => {
                    let len = within(left, rest);
                    let left = left - len as u64;
                    self.0 = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(Decoded::Data { skip, len });
                }
                State::Line => chunk_line(rest)?.map(|(size, taken)| match size {
                    0 => (State::Trailers, taken),
                    size => (State::Data(size), taken),
                }),
                State::Data(0) => chunk_end(rest)?.then_some((State::Line, 2)),
                State::Data(_) if rest.is_empty() => None,
                State::Data(left) => {
                    let len = within(left, rest);
                    self.0 = State::Data(left - len as u64);
                    return Ok(Decoded::Data { skip, len });
                }
                State::Trailers => trailers(rest)?.map(|taken| (State::Done, taken)),
            };
            let Some((next, taken)) = taken else { return Ok(Decoded::More) };
            state = next;
            skip += taken;
        }
    }
}

fn within(left: u64, buf: &[u8]) -> usize {
    usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()))
}

/// The line `size [;extensions] CRLF`: the size and the line's bytes.
fn chunk_line(buf: &[u8]) -> Result<Option<(u64, usize)>, Problem> {
    let Some(end) = line_end(buf, CHUNK_LINE_MAX)? else { return Ok(None) };
    let line = &buf[..end];
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let extensions = line[digits..].trim_ascii_start();
    if digits == 0 || digits > 16 || !(digits == end || extensions.starts_with(b";")) {
        return Err(Code::BadRequest.because("the size of a chunk is malformed"));
    }
    let text = std::str::from_utf8(&line[..digits]).unwrap_or_default();
    let size = u64::from_str_radix(text, 16).map_err(|_| Code::BadRequest.because("a chunk is too large"))?;
    Ok(Some((size, end + 2)))
}

/// Whether the CRLF that ends a chunk's data is there.
fn chunk_end(buf: &[u8]) -> Result<bool, Problem> {
    match buf {
        [b'\r', b'\n', ..] => Ok(true),
        [] | [b'\r'] => Ok(false),
        _ => Err(Code::BadRequest.because("a chunk is longer than its size")),
    }
}

/// The bytes of the trailer section with the empty line that ends it. Its fields are dropped: RFC 9110 section 6.5.1
/// lets nobody merge fields they do not know.
fn trailers(buf: &[u8]) -> Result<Option<usize>, Problem> {
    let mut at = 0;
    loop {
        let Some(end) = line_end(&buf[at..], TRAILERS_MAX - at)? else { return Ok(None) };
        let line = &buf[at..at + end];
        at += end + 2;
        if line.is_empty() {
            return Ok(Some(at));
        }
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        if name.len() == line.len() || name.is_empty() || !name.iter().all(|b| is_token(*b)) || at >= TRAILERS_MAX {
            return Err(Code::BadRequest.because("the trailers of a chunked body are malformed or too long"));
        }
    }
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Where the line ends, before its CRLF; `None` if it does not yet. A bare CR or LF, or another control character, is
/// where parsers part ways, so it is refused.
fn line_end(buf: &[u8], max: usize) -> Result<Option<usize>, Problem> {
    let Some(at) = buf.iter().take(max).position(|b| b.is_ascii_control() && *b != b'\t') else {
        return if buf.len() < max {
            Ok(None)
        } else {
            Err(Code::BadRequest.because("a line in the framing of the chunked body is too long"))
        };
    };
    match &buf[at..] {
        [b'\r', b'\n', ..] => Ok(Some(at)),
        [b'\r'] => Ok(None),
        _ => Err(Code::BadRequest.because("a line in the framing of the chunked body does not end in CRLF")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes `wire` given in pieces that end at `cuts`: the data, and what is left behind the body.
    fn decode(framing: Framing, wire: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Option<Vec<u8>>), Problem> {
        let (mut decoder, mut buf, mut data) = (BodyDecoder::new(framing), Vec::new(), Vec::new());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).chain([0, wire.len()]).collect();
        cuts.sort_unstable();
        for piece in cuts.windows(2) {
            buf.extend_from_slice(&wire[piece[0]..piece[1]]);
            loop {
                match decoder.decode(&buf)? {
                    Decoded::More => break,
                    Decoded::Data { skip, len } => {
                        assert!(len > 0);
                        data.extend(buf.drain(..skip + len).skip(skip));
                    }
                    Decoded::Done { skip } => {
                        buf.drain(..skip);
                        buf.extend_from_slice(&wire[piece[1]..]);
                        assert_eq!(decoder.decode(&buf), Ok(Decoded::Done { skip: 0 }));
                        return Ok((data, Some(buf)));
                    }
                }
            }
        }
        Ok((data, None))
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        type Case<'a> = (Framing, &'a [u8], &'a [u8], Option<&'a [u8]>);
        let cases: &[Case<'_>] = &[
            (Framing::None, b"GET", b"", Some(b"GET")),
            (Framing::Length(0), b"", b"", Some(b"")),
            (Framing::Length(3), b"abcdef", b"abc", Some(b"def")),
            (Framing::Length(9), b"abc", b"abc", None),
            (Framing::Chunked, b"0\r\n\r\nrest", b"", Some(b"rest")),
            (Framing::Chunked, b"3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n00\r\n\r\n", b"abc0123456789", Some(b"")),
            (Framing::Chunked, b"1 ; a\r\nx\r\n0\r\nTrailer: 1\r\nB:\r\n\r\n-", b"x", Some(b"-")),
            (Framing::Chunked, b"5\r\nabc", b"abc", None),
            (Framing::Chunked, b"ffffffffffffffff\r\nabc", b"abc", None),
            (Framing::Chunked, b"0\r\n\r", b"", None),
        ];
        for (framing, wire, data, rest) in cases {
            let expected = (data.to_vec(), rest.map(<[u8]>::to_vec));
            assert_eq!(decode(*framing, wire, &[]), Ok(expected), "{:?}", wire.escape_ascii().to_string());
        }
    }

    #[test]
    fn framing_that_could_be_read_in_two_ways_is_refused() {
        let long = [b"1;".as_slice(), &[b'x'; CHUNK_LINE_MAX]].concat();
        let trailers = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(TRAILERS_MAX / 6 + 1)].concat();
        let cases: &[&[u8]] = &[
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\na\r\n",
            b"1 \r\na\r\n",
            b"1\na\r\n",
            b"1\r\r\n",
            b"10000000000000000\r\n",
            b"00000000000000001\r\na",
            b"1\r\nab\r\n",
            b"1\r\na\n0\r\n\r\n",
            b"1;\0\r\n",
            b"1;a\rb\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\na : b\r\n\r\n",
            b"0\r\n b: c\r\n\r\n",
            b"0\r\n\n",
            &long,
            &trailers,
        ];
        for wire in cases {
            let outcome = decode(Framing::Chunked, wire, &[]);
            assert_eq!(outcome.unwrap_err().code, Code::BadRequest, "{:?}", wire.escape_ascii().to_string());
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_data_is_the_same(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            extension in "(;[a-z]{1,8}(=[a-z]{1,8})?)?",
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\nx: y\r\n\r\nrest");
            let expected = (chunks.concat(), Some(b"rest".to_vec()));
            prop_assert_eq!(decode(Framing::Chunked, &wire, &cuts), Ok(expected));
            let all: Vec<usize> = (0..wire.len()).collect();
            prop_assert_eq!(decode(Framing::Chunked, &wire, &all), Ok((chunks.concat(), Some(b"rest".to_vec()))));
        }

        #[test]
        fn garbage_ends_in_data_or_a_problem(wire in "[0-3a;\r\n:\\PC]{0,60}", cuts in prop::collection::vec(any::<usize>(), 0..9)) {
            let _ = decode(Framing::Chunked, wire.as_bytes(), &cuts);
        }
    }
}
