//! Closing: the codes (RFC 6455 section 7.4) and the close frame (section 5.5.1).

use super::header::Opcode;
use super::write;
use crate::code::{Code, Problem};
use crate::limits::CONTROL_FRAME_MAX;

/// Longest reason, in bytes: the payload of a control frame less the code.
pub const REASON_MAX: usize = CONTROL_FRAME_MAX - 2;

/// The purpose of the connection is fulfilled.
pub const NORMAL: u16 = 1000;
/// The peer goes away: a page that is left.
pub const GOING_AWAY: u16 = 1001;

/// What a close frame says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Close {
    /// The code; `None` where the frame was empty (which section 7.1.5 calls 1005).
    pub code: Option<u16>,
    /// At most [`REASON_MAX`] bytes; empty if there is none.
    pub reason: Box<str>,
}

impl Close {
    /// Reads the payload of a close frame, unmasked.
    ///
    /// # Errors
    ///
    /// [`Code::WsProtocol`] if there is half a code, or one that may not be sent; [`Code::InvalidText`] if the reason
    /// is not UTF-8.
    pub fn parse(payload: &[u8]) -> Result<Close, Problem> {
        if payload.is_empty() {
            return Ok(Close::default());
        }
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return Err(Code::WsProtocol.because("a close frame holds half a code"));
        };
        let code = u16::from_be_bytes(*code);
        if !may_be_sent(code) {
            return Err(Code::WsProtocol.because("a close frame holds a code that may not be sent"));
        }
        match std::str::from_utf8(reason) {
            Ok(reason) => Ok(Close { code: Some(code), reason: reason.into() }),
            Err(_) => Err(Code::InvalidText.because("the reason in a close frame is not UTF-8")),
        }
    }
}

/// Whether a close frame may hold this code: those that the protocol defines and the registry has added since
/// (1012 to 1014), but not those that only say what was observed (1005, 1006, 1015); 3000 to 3999 are registered by
/// libraries and frameworks, 4000 to 4999 are anyone's.
pub fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Appends a close frame: masked if a key is given, as a client must. A reason that is too long is cut between two
/// characters. The code should be one that [`may_be_sent`].
pub fn write_close(code: u16, reason: &str, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let reason = &reason[..reason.floor_char_boundary(REASON_MAX)];
    let mut payload = [0; CONTROL_FRAME_MAX];
    let payload = &mut payload[..2 + reason.len()];
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..].copy_from_slice(reason.as_bytes());
    write::write_message(Opcode::Close, payload, mask, out);
}

/// Appends the close frame that says why a connection failed: the row's code, and the detail or else the row's
/// sentence as the reason.
pub fn write_failure(problem: &Problem, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let row = problem.code.row();
    let reason = if problem.detail.is_empty() { row.sentence } else { &problem.detail };
    write_close(row.close, reason, mask, out);
}

/// Appends the answer to a close frame: it gives the code back, without the reason.
pub fn write_answer(received: &Close, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    match received.code {
        Some(code) => write_close(code, "", mask, out),
        None => write::write_message(Opcode::Close, &[], mask, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::TABLE;
    use proptest::prelude::*;

    #[test]
    fn codes_that_may_be_sent() {
        let good = [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
        let bad = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
        assert!(good.into_iter().all(may_be_sent));
        assert!(!bad.into_iter().any(may_be_sent));
        assert!(TABLE.iter().all(|(_, row)| may_be_sent(row.close)), "every row of the error table can close");
    }

    #[test]
    fn half_a_code_and_a_bad_reason_are_refused() {
        assert_eq!(Close::parse(&[]).unwrap(), Close::default());
        assert_eq!(Close::parse(&[3]).unwrap_err().code, Code::WsProtocol);
        assert_eq!(Close::parse(&[3, 0xed]).unwrap_err().code, Code::WsProtocol);
        assert_eq!(Close::parse(&[3, 0xe8, 0xff]).unwrap_err().code, Code::InvalidText);
    }

    #[test]
    fn an_answer_gives_the_code_back() {
        let mut out = Vec::new();
        write_answer(&Close { code: Some(4000), reason: "why".into() }, None, &mut out);
        write_answer(&Close::default(), None, &mut out);
        assert_eq!(out, [0x88, 2, 0x0f, 0xa0, 0x88, 0]);
    }

    proptest! {
        #[test]
        fn a_long_reason_is_cut_between_characters(reason in ".{0,200}") {
            let mut out = Vec::new();
            write_close(NORMAL, &reason, None, &mut out);
            prop_assert!(out.len() <= 2 + CONTROL_FRAME_MAX);
            let close = Close::parse(&out[2..]).unwrap();
            prop_assert!(reason.starts_with(&*close.reason));
            prop_assert!(close.reason.len() == reason.len() || close.reason.len() > REASON_MAX - 4);
        }
    }
}
