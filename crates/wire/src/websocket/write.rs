//! Writing frames, for either side: a client gives a mask key, new and unpredictable for each frame (RFC 6455 section
//! 5.3), a server none. A server's messages to many are written by [`form`](crate::form).

use super::header::{Header, Opcode};
use super::mask;

/// Appends a whole message, or a control frame of at most 125 bytes, in one frame.
pub fn write_message(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    write_frame(true, false, opcode, payload, mask, out);
}

/// Appends one frame. `fin` ends the message; `compressed` marks its first frame if the message's payload came from
/// [`Deflate::message`](super::deflate::Deflate::message).
pub fn write_frame(
    fin: bool,
    compressed: bool,
    opcode: Opcode,
    payload: &[u8],
    mask: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    Header { fin, compressed, opcode, mask, length: payload.len() as u64 }.write(out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        mask::apply(key, 0, &mut out[start..]);
    }
}

/// Appends a ping. A payload longer than 125 bytes is cut.
pub fn write_ping(payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    write_control(Opcode::Ping, payload, mask, out);
}

/// Appends a pong: the answer to a ping, with the ping's payload. A payload longer than 125 bytes is cut.
pub fn write_pong(payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    write_control(Opcode::Pong, payload, mask, out);
}

fn write_control(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(crate::limits::CONTROL_FRAME_MAX)];
    write_message(opcode, payload, mask, out);
}
