//! The frame header (RFC 6455 section 5.2).

use super::Role;
use crate::code::{Code, Problem};
use crate::limits::CONTROL_FRAME_MAX;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    /// The opcode of these four bits; `None` for the reserved ones.
    pub fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    /// Whether this is a close, ping or pong (section 5.5).
    pub fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// Longest header: two bytes, a 64-bit length and a mask key.
pub const HEADER_MAX: usize = 14;

/// A frame header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whether the frame is the last of its message.
    pub fin: bool,
    /// RSV1: the message is compressed (RFC 7692 section 6). On the first frame of a message only.
    pub compressed: bool,
    pub opcode: Opcode,
    pub mask: Option<[u8; 4]>,
    /// The length of the payload, in bytes.
    pub length: u64,
}

impl Header {
    /// Reads the header at the beginning of `input` and says how many bytes it took; `None` if there is not enough
    /// yet. `role` is the reader's own, `deflate` whether `permessage-deflate` was negotiated.
    ///
    /// # Errors
    ///
    /// [`Code::WsProtocol`], as soon as the bytes that are there break a rule: a reserved bit or opcode, a frame that
    /// is masked and should not be or the reverse, a length not written in the shortest way or of more than 63 bits,
    /// a control frame that is fragmented, compressed or longer than 125 bytes.
    pub fn parse(input: &[u8], role: Role, deflate: bool) -> Result<Option<(Header, usize)>, Problem> {
        let Some((&first, rest)) = input.split_first() else { return Ok(None) };
        let (fin, compressed) = (first & 0x80 != 0, first & 0x40 != 0);
        let opcode = check_first(first, deflate)?;
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        let (masked, short) = (second & 0x80 != 0, second & 0x7f);
        match (role, masked) {
            (Role::Server, false) => return Err(Code::WsProtocol.because("a frame from a client is not masked")),
            (Role::Client, true) => return Err(Code::WsProtocol.because("a frame from a server is masked")),
            _ => {}
        }
        if opcode.is_control() && usize::from(short) > CONTROL_FRAME_MAX {
            return Err(Code::WsProtocol.because("a control frame is longer than 125 bytes"));
        }
        let Some((length, rest)) = parse_length(short, rest)? else { return Ok(None) };
        let (mask, rest) = match (masked, rest.split_first_chunk::<4>()) {
            (false, _) => (None, rest),
            (true, Some((key, rest))) => (Some(*key), rest),
            (true, None) => return Ok(None),
        };
        Ok(Some((Header { fin, compressed, opcode, mask, length }, input.len() - rest.len())))
    }

    /// Appends the header, with the length written in the shortest way.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.fin) << 7 | u8::from(self.compressed) << 6 | self.opcode as u8);
        let masked = u8::from(self.mask.is_some()) << 7;
        match self.length {
            0..=125 => out.push(masked | self.length as u8),
            126..=0xffff => {
                out.push(masked | 126);
                out.extend_from_slice(&(self.length as u16).to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            out.extend_from_slice(&key);
        }
    }
}

/// Checks the flags and the opcode.
fn check_first(first: u8, deflate: bool) -> Result<Opcode, Problem> {
    let (fin, compressed) = (first & 0x80 != 0, first & 0x40 != 0);
    if first & 0x30 != 0 || compressed && !deflate {
        return Err(Code::WsProtocol.because("a reserved bit is set that no extension gives a meaning"));
    }
    let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
        return Err(Code::WsProtocol.because("a frame has a reserved opcode"));
    };
    if opcode.is_control() && !fin {
        return Err(Code::WsProtocol.because("a control frame is fragmented"));
    }
    if compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
        return Err(Code::WsProtocol.because("a frame is marked compressed that is not the first of a message"));
    }
    Ok(opcode)
}

/// Reads what follows the seven-bit length, and gives the length and the rest; `None` if there is not enough yet.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Problem> {
    let (length, shortest, rest) = match short {
        126 => match rest.split_first_chunk::<2>() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), 126, rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), 0x1_0000, rest),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, rest),
    };
    if length >> 63 != 0 {
        return Err(Code::WsProtocol.because("the most significant bit of a frame's length is set"));
    }
    if length < shortest {
        return Err(Code::WsProtocol.because("a frame's length is not written in the shortest way"));
    }
    Ok(Some((length, rest)))
}

/// Appends the header of a final, unmasked frame.
pub fn write_server_header(opcode: Opcode, compressed: bool, length: usize, out: &mut Vec<u8>) {
    Header { fin: true, compressed, opcode, mask: None, length: length as u64 }.write(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opcodes() -> impl Strategy<Value = Opcode> {
        use Opcode::*;
        prop::sample::select(vec![Continuation, Text, Binary, Close, Ping, Pong])
    }

    #[test]
    fn broken_headers_are_refused_at_the_first_byte_that_tells() {
        let cases: [(&[u8], &str); 12] = [
            (&[0x90], "reserved bit"),
            (&[0xa0], "reserved bit"),
            (&[0xc1], "reserved bit"),
            (&[0x83], "reserved opcode"),
            (&[0x8b], "reserved opcode"),
            (&[0x09], "fragmented"),
            (&[0x81, 0x00], "not masked"),
            (&[0x89, 0xfe], "longer than 125"),
            (&[0x82, 0xfe, 0, 125], "shortest"),
            (&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], "shortest"),
            (&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0], "shortest"),
            (&[0x82, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0], "most significant"),
        ];
        for (input, why) in cases {
            let problem = Header::parse(input, Role::Server, false).unwrap_err();
            assert!(problem.code == Code::WsProtocol && problem.detail.contains(why), "{input:02x?}: {problem}");
            for end in 0..input.len() - 1 {
                assert_eq!(Header::parse(&input[..end], Role::Server, false), Ok(None), "{input:02x?} up to {end}");
            }
        }
    }

    #[test]
    fn only_the_first_frame_of_a_message_may_be_marked_compressed() {
        for (first, good) in [(0xc1, true), (0x42, true), (0xc0, false), (0xc8, false), (0xc9, false), (0xca, false)] {
            let parsed = Header::parse(&[first, 0x80, 0, 0, 0, 0], Role::Server, true);
            assert_eq!(parsed.is_ok(), good, "{first:02x}");
        }
    }

    #[test]
    fn a_client_takes_no_masked_frame() {
        assert!(Header::parse(&[0x81, 0x80, 0, 0, 0, 0], Role::Client, false).is_err());
        assert!(Header::parse(&[0x81, 0x00], Role::Client, false).unwrap().is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_never_from_less(
            opcode in opcodes(),
            fin: bool,
            compressed: bool,
            mask: Option<[u8; 4]>,
            length in prop_oneof![0u64..300, 65_000u64..66_000, 0u64..1 << 63],
        ) {
            let control = opcode.is_control();
            let header = Header {
                fin: fin || control,
                compressed: compressed && matches!(opcode, Opcode::Text | Opcode::Binary),
                opcode,
                mask,
                length: if control { length % 126 } else { length },
            };
            let role = if mask.is_some() { Role::Server } else { Role::Client };
            let mut bytes = Vec::new();
            header.write(&mut bytes);
            prop_assert!(bytes.len() <= HEADER_MAX);
            for end in 0..bytes.len() {
                prop_assert_eq!(Header::parse(&bytes[..end], role, true), Ok(None));
            }
            let end = bytes.len();
            bytes.push(7);
            prop_assert_eq!(Header::parse(&bytes, role, true), Ok(Some((header, end))));
        }

        #[test]
        fn any_bytes_are_read_or_refused(input in prop::collection::vec(any::<u8>(), 0..20), deflate: bool) {
            for role in [Role::Server, Role::Client] {
                if let Ok(Some((header, taken))) = Header::parse(&input, role, deflate) {
                    let mut bytes = Vec::new();
                    header.write(&mut bytes);
                    prop_assert_eq!(&bytes, &input[..taken]);
                }
            }
        }
    }
}
