//! Where a client's bytes are among its frames: as much is handed on at a time as holds a few requests.
//!
//! Whoever takes frames apart keeps room for all that it has ever had at once. A client may ask for a hundred streams in one
//! segment; taken up a few at a time, and answered in between, they leave behind room for a few.

use super::PREFACE;

/// Requests that are taken up before those in front of them have been looked at.
const REQUESTS: u8 = 4;

/// A frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;
/// The type of frame that begins a request.
const HEADERS: u8 = 1;

/// Follows the frames that a client sends.
#[derive(Debug)]
pub(super) struct Intake {
    head: [u8; HEAD],
    /// How much of the next frame's head has come.
    has: u8,
    /// How much of the present frame is still to come.
    left: u32,
    /// How many requests may yet be handed on.
    requests: u8,
}

impl Intake {
    /// From the preface on.
    pub(super) fn new() -> Intake {
        Intake { head: [0; HEAD], has: 0, left: PREFACE.len() as u32, requests: REQUESTS }
    }

    /// Those that were handed on have been looked at.
    pub(super) fn begin_anew(&mut self) {
        self.requests = REQUESTS;
    }

    /// How many of these bytes may be handed on now. They count as handed on.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.is_full() {
            if self.left > 0 {
                let more = (bytes.len() - at).min(self.left as usize);
                self.left -= more as u32;
                at += more;
                continue;
            }
            let has = usize::from(self.has);
            let more = (bytes.len() - at).min(HEAD - has);
            self.head[has..has + more].copy_from_slice(&bytes[at..at + more]);
            at += more;
            self.has += more as u8;
            if usize::from(self.has) == HEAD {
                self.begin_frame();
            }
        }
        at
    }

    fn begin_frame(&mut self) {
        let [a, b, c, kind, ..] = self.head;
        self.left = u32::from_be_bytes([0, a, b, c]);
        self.has = 0;
        if kind == HEADERS {
            self.requests = self.requests.saturating_sub(1);
        }
    }

    /// Whether nothing more is handed on for now: the last request that may be is there with all of its frame.
    pub(super) fn is_full(&self) -> bool {
        self.requests == 0 && self.left == 0 && self.has == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        out.extend_from_slice(&[kind, 0, 0, 0, 0, 1]);
        out.extend_from_slice(payload);
        out
    }

    /// The lengths in which these bytes are handed on, if they arrive in pieces of so many.
    fn portions(bytes: &[u8], piece: usize) -> Vec<usize> {
        let (mut intake, mut portions) = (Intake::new(), Vec::new());
        let (mut rest, mut portion) = (bytes, 0);
        while !rest.is_empty() {
            let taken = intake.take(&rest[..rest.len().min(piece)]);
            rest = &rest[taken..];
            portion += taken;
            if taken == 0 {
                portions.push(std::mem::take(&mut portion));
                intake.begin_anew();
            }
        }
        portions.push(portion);
        portions
    }

    #[test]
    fn a_few_requests_are_handed_on_at_a_time_and_anything_else_as_it_comes_however_it_arrives() {
        let few: Vec<u8> = (0..REQUESTS).flat_map(|_| frame(HEADERS, b"a request's fields")).collect();
        let others = [frame(0, &[HEADERS; 500]), frame(4, b""), frame(8, &[0; 4])].concat();
        let all = [PREFACE, &others, &few, &few, &others].concat();
        let first = PREFACE.len() + others.len() + few.len();
        for piece in 1..60 {
            assert_eq!(portions(&all, piece), [first, few.len(), others.len()], "in pieces of {piece}");
        }
    }

    #[test]
    fn a_frame_whose_length_cannot_be_is_left_to_others_to_refuse() {
        let mut intake = Intake::new();
        let bytes = [PREFACE, &[0xff; 1000][..]].concat();
        assert_eq!(intake.take(&bytes), bytes.len());
    }
}
