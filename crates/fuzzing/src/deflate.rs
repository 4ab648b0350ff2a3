//! `permessage-deflate`: what is compressed inflates again, any bytes inflate as RFC 1951 says or are refused, and
//! nothing grows beyond its limit.

use crate::choices::{Choices, everywhere, pieces};
use crate::slow_inflate::{self, End};
use flate2::{Decompress, FlushDecompress};
use switchboard_wire::Code;
use switchboard_wire::websocket::deflate::{Deflate, Inflate};

/// What a sender leaves out at the end of a message (RFC 7692 section 7.2.1).
pub(crate) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let compress = choices.flag();
    let cuts = choices.cuts();
    if compress {
        let (window, less) = (choices.below(17) as u8, choices.below(9));
        // Compressors find something to do where the data repeats itself; now and then further back than a window is.
        let times = 1 + if choices.one_in(16) { choices.below(1600) } else { choices.below(4) };
        let payload = choices.rest();
        let times = times.min(1 + 70_000 / payload.len().max(1));
        compressed(&payload.repeat(times), window, less, &cuts);
    } else {
        let limit = choices.below(1 << 12);
        any(choices.rest(), limit, &cuts);
    }
}

/// Inflates a message that arrives in pieces, in an inflater that may have seen others.
fn inflate(inflate: &mut Inflate, message: &[u8], limit: usize, cuts: &[usize]) -> Result<Vec<u8>, Code> {
    let mut out = Vec::new();
    let mut pieces = pieces(message, cuts);
    let pushed = pieces.try_for_each(|piece| inflate.push(piece, limit, &mut out));
    let finished = pushed.and_then(|()| inflate.finish(limit, &mut out));
    assert!(out.len() <= limit && out.capacity() <= limit, "{} bytes with a limit of {limit}", out.capacity());
    if finished.is_err() {
        inflate.reset();
    }
    finished.map(|()| out).map_err(|problem| problem.code)
}

fn compressed(payload: &[u8], window: u8, less: usize, cuts: &[usize]) {
    let mut deflate = Deflate::new(window);
    let message = deflate.message(payload).expect("anything can be compressed");
    assert_eq!(deflate.message(payload).as_ref(), Some(&message), "a message depends on its payload alone");
    assert!(message.len() <= payload.len() + payload.len() / 8 + 32);
    let mut used = Inflate::new();
    for cuts in [cuts, &[], &everywhere(&message)] {
        assert!(inflate(&mut used, &message, payload.len(), cuts).as_deref() == Ok(payload), "cut at {cuts:?}");
    }
    if (1..=payload.len()).contains(&less) {
        assert_eq!(inflate(&mut used, &message, payload.len() - less, cuts), Err(Code::TooLarge));
    }
    let whole = [&message[..], &TAIL].concat();
    let (slow, end) = slow_inflate::inflate(&whole, usize::MAX);
    assert!(slow == payload && end == End::Whole(false), "{end:?}");
    assert!(narrow(&whole, window.clamp(9, 15), payload.len()) == payload, "the window is no larger than was agreed");
}

/// Inflates with no more of a window than was agreed on.
fn narrow(message: &[u8], window: u8, length: usize) -> Vec<u8> {
    let mut narrow = Decompress::new_with_window_bits(false, window);
    let mut out = Vec::new();
    while out.len() < length {
        // Smaller than any window, so that what is referred to is in the inflater's own.
        let mut piece = Vec::with_capacity(200);
        let from = usize::try_from(narrow.total_in()).unwrap();
        narrow.decompress_vec(&message[from..], &mut piece, FlushDecompress::None).expect("it fits the window");
        assert!(!piece.is_empty(), "all of it is there");
        out.extend_from_slice(&piece);
    }
    out
}

/// Any bytes as a message.
fn any(message: &[u8], limit: usize, cuts: &[usize]) {
    let mut used = Inflate::new();
    let whole = inflate(&mut used, message, limit, &[]);
    assert_eq!(inflate(&mut used, message, limit, cuts), whole, "cut at {cuts:?}");
    assert_eq!(inflate(&mut used, message, limit, &everywhere(message)), whole, "byte by byte");
    assert_eq!(whole, twin(message, limit));
}

/// What a message inflates to, as RFC 7692 section 7.2.2 says it.
pub(crate) fn twin(message: &[u8], limit: usize) -> Result<Vec<u8>, Code> {
    if message.is_empty() {
        return Ok(Vec::new());
    }
    let (out, end) = slow_inflate::inflate(message, limit);
    // A message may also end with a final block, and then nothing was left out.
    let (out, end) = match end {
        End::Whole(true) | End::Broken => (out, end),
        End::Whole(false) | End::Cut => slow_inflate::inflate(&[message, &TAIL].concat(), limit),
    };
    match end {
        _ if out.len() > limit => Err(Code::TooLarge),
        End::Whole(_) => Ok(out),
        End::Cut | End::Broken => Err(Code::WsProtocol),
    }
}

/// What is known of a message of which this much has arrived.
pub(crate) fn partly(payload: &[u8], limit: usize, whole: bool) -> Result<Vec<u8>, Code> {
    if whole {
        return twin(payload, limit);
    }
    let (out, end) = slow_inflate::inflate(payload, limit);
    match end {
        _ if out.len() > limit => Err(Code::TooLarge),
        End::Broken => Err(Code::WsProtocol),
        End::Whole(_) | End::Cut => Ok(out),
    }
}
