//! Frames (RFC 9113 sections 4 and 6): their headers, and those that a client sends.

/// Bytes of a frame's header.
pub const HEADER: usize = 9;
/// The longest payload that either side may send while nothing else was agreed on.
pub const PAYLOAD_MAX: usize = 16 << 10;
/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The window that streams and the connection begin with.
pub const WINDOW: u32 = 65_535;
/// The largest one.
pub const WINDOW_MAX: u32 = (1 << 31) - 1;

/// Types of frames, as far as they mean something here.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags; ACK and END_STREAM share a bit on different types.
pub mod flag {
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// Identifiers of settings.
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
}

/// A frame that was received whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    /// 0 is the connection.
    pub stream: u32,
    pub payload: &'a [u8],
}

/// A frame that is longer than was agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

impl<'a> Frame<'a> {
    /// Takes the first frame off the input; `None` while it is not whole.
    pub fn take(input: &mut &'a [u8]) -> Result<Option<Frame<'a>>, TooLong> {
        let Some((&[high, middle, low, kind, flags, a, b, c, d], rest)) = input.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        if length > PAYLOAD_MAX {
            return Err(TooLong);
        }
        let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        *input = rest;
        // The highest bit is reserved and ignored.
        Ok(Some(Frame { kind, flags, stream: u32::from_be_bytes([a & 0x7f, b, c, d]), payload }))
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without padding (sections 6.1 and 6.2), or `None` where the padding is longer than the payload.
    pub fn unpadded(&self) -> Option<&'a [u8]> {
        if !self.has(flag::PADDED) {
            return Some(self.payload);
        }
        let (padding, rest) = self.payload.split_first()?;
        rest.get(..rest.len().checked_sub(usize::from(*padding))?)
    }

    /// The settings of a SETTINGS frame, or `None` where its length is none of theirs.
    pub fn settings(&self) -> Option<impl Iterator<Item = (u16, u32)> + use<'a>> {
        let (settings, rest) = self.payload.as_chunks::<6>();
        let read = |&[a, b, c, d, e, f]: &[u8; 6]| (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
        rest.is_empty().then(|| settings.iter().map(read))
    }

    /// A number at the given place of the payload.
    pub fn number(&self, at: usize) -> Option<u32> {
        Some(u32::from_be_bytes(*self.payload.get(at..)?.first_chunk()?))
    }
}

/// Appends a frame.
pub fn write(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends a SETTINGS frame.
pub fn write_settings(settings: &[(u16, u32)], out: &mut Vec<u8>) {
    let payload: Vec<u8> =
        settings.iter().flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes())).collect();
    write(kind::SETTINGS, 0, 0, &payload, out);
}

/// Appends a WINDOW_UPDATE for a stream, or for the connection (0).
pub fn write_window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    write(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_its_header_and_its_payload() {
        let mut out = Vec::new();
        write_settings(&[(setting::INITIAL_WINDOW_SIZE, 6 << 20)], &mut out);
        write_window_update(5, 0x0102_0304, &mut out);
        let expected =
            [&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0x60, 0, 0][..], &[0, 0, 4, 8, 0, 0, 0, 0, 5, 1, 2, 3, 4][..]];
        assert_eq!(out, expected.concat());
        let mut input = &out[..];
        let settings = Frame::take(&mut input).unwrap().unwrap();
        assert_eq!(settings.settings().unwrap().collect::<Vec<_>>(), [(4, 6 << 20)]);
        let update = Frame::take(&mut input).unwrap().unwrap();
        assert_eq!((update.kind, update.stream, update.number(0)), (kind::WINDOW_UPDATE, 5, Some(0x0102_0304)));
        assert!(input.is_empty());
    }

    #[test]
    fn padding_is_taken_off_and_may_not_be_longer_than_the_payload() {
        let padded = |payload| Frame { kind: kind::DATA, flags: flag::PADDED, stream: 1, payload }.unpadded();
        assert_eq!(padded(&[2, b'a', b'b', 0, 0]), Some(&b"ab"[..]));
        assert_eq!(padded(&[0]), Some(&b""[..]));
        assert_eq!(padded(&[2, 0]), None);
        assert_eq!(padded(&[]), None);
    }

    #[test]
    fn a_frame_longer_than_agreed_is_refused_before_it_is_there() {
        let mut input = &[0, 0x40, 1, 0, 0, 0, 0, 0, 1][..];
        assert_eq!(Frame::take(&mut input), Err(TooLong));
    }

    proptest! {
        #[test]
        fn what_is_written_is_taken_once_it_is_whole(
            kind: u8, flags: u8, stream in 0..=WINDOW_MAX, payload in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut out = Vec::new();
            write(kind, flags, stream, &payload, &mut out);
            for cut in 0..out.len() {
                let mut part = &out[..cut];
                prop_assert_eq!(Frame::take(&mut part), Ok(None));
                prop_assert_eq!(part.len(), cut);
            }
            let mut input = &out[..];
            prop_assert_eq!(Frame::take(&mut input), Ok(Some(Frame { kind, flags, stream, payload: &payload })));
            prop_assert!(input.is_empty());
        }
    }
}
