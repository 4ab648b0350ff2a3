//! Messages as a peer would send them (RFC 6455 section 5.2, RFC 7692 section 7.2.1).

use crate::Side;
use flate2::{Compress, Compression, FlushCompress};

/// Any key will do. This one is from an example of RFC 6455, section 5.7.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A message in frames of `frame` bytes and a last one with what is left, which may be nothing; without `frame`, in one.
/// It is for this side to read, and compressed on its own if `deflate`.
pub(crate) fn message(opcode: u8, data: &[u8], reader: Side, deflate: bool, frame: Option<usize>) -> Vec<u8> {
    let compressed = deflate.then(|| compress(data));
    let payload = compressed.as_deref().unwrap_or(data);
    let full = payload.chunks_exact(frame.unwrap_or(usize::MAX));
    let rest = full.remainder();
    let payloads: Vec<&[u8]> = full.chain([rest]).collect();
    let mut out = Vec::with_capacity(payload.len() + 14 * payloads.len());
    for (at, payload) in payloads.iter().enumerate() {
        let first = if at > 0 { 0 } else { opcode | u8::from(deflate) << 6 };
        let fin = u8::from(at + 1 == payloads.len()) << 7;
        write_frame(fin | first, payload, reader == Side::Server, &mut out);
    }
    out
}

fn write_frame(first: u8, payload: &[u8], masked: bool, out: &mut Vec<u8>) {
    let mask_bit = u8::from(masked) << 7;
    out.push(first);
    match payload.len() {
        length @ ..126 => out.push(mask_bit | length as u8),
        length @ ..0x1_0000 => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if masked {
        out.extend_from_slice(&KEY);
        out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        out.extend_from_slice(payload);
    }
}

fn compress(data: &[u8]) -> Vec<u8> {
    let mut compressor = Compress::new(Compression::default(), false);
    let mut out = Vec::with_capacity(data.len() + data.len() / 8 + 64);
    compressor.compress_vec(data, &mut out, FlushCompress::Sync).unwrap();
    assert!(compressor.total_in() as usize == data.len() && out.len() < out.capacity(), "there was room for all");
    let body = out.strip_suffix(&[0x00, 0x00, 0xff, 0xff]).unwrap();
    body.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_the_specification() {
        assert_eq!(message(1, b"Hello", Side::Client, false, None), b"\x81\x05Hello");
        assert_eq!(message(1, b"Hello", Side::Client, false, Some(3)), b"\x01\x03Hel\x80\x02lo");
        assert_eq!(message(1, b"Hello", Side::Client, false, Some(5)), b"\x01\x05Hello\x80\x00");
        assert_eq!(message(1, b"Hello", Side::Server, false, None), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!(message(1, b"", Side::Client, false, None), b"\x81\x00");
        assert_eq!(message(1, b"Hello", Side::Client, true, None), b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
        assert_eq!(message(2, &[7; 256], Side::Client, false, None)[..4], *b"\x82\x7e\x01\x00");
        assert_eq!(message(2, &[7; 65_536], Side::Client, false, None)[..10], *b"\x82\x7f\0\0\0\0\0\x01\0\0");
    }
}
