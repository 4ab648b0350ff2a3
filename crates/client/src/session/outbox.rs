//! The way up: messages in the order of their numbers, kept until the server is known to have applied them.

use bytes::Bytes;
use std::collections::VecDeque;

/// What a message is, for the case that its session is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The call of this number.
    Call(u64),
    Notification,
    /// An answer to a call of the server's.
    Answer,
}

/// Messages on their way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    kept: VecDeque<(Kind, Bytes)>,
    /// The number of the first that is kept.
    first: u64,
    /// How many of those were given out on the present connection,
    given: usize,
    /// and on any connection of this session.
    tried: usize,
    bytes: usize,
}

/// The server goes on with a number that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Astray;

impl Outbox {
    pub(super) fn push(&mut self, kind: Kind, message: Bytes) {
        self.bytes += message.len();
        self.kept.push_back((kind, message));
    }

    /// A connection begins, or the server says which number it goes on with: it has those before it. What it says may be
    /// older than what is known already.
    pub(super) fn go_on(&mut self, seq: u64) -> Result<(), Astray> {
        if seq > self.first + self.tried as u64 {
            return Err(Astray);
        }
        self.confirm(seq.saturating_sub(1));
        self.given = 0;
        Ok(())
    }

    /// The next to send, with its number.
    pub(super) fn next(&mut self) -> Option<(u64, Bytes)> {
        let (_, message) = self.kept.get(self.given)?;
        let number = self.first + self.given as u64;
        self.given += 1;
        self.tried = self.tried.max(self.given);
        Some((number, message.clone()))
    }

    pub(super) fn has_next(&self) -> bool {
        self.given < self.kept.len()
    }

    /// What was given out on a connection that is lost is to be given out again.
    pub(super) fn rewind(&mut self) {
        self.given = 0;
    }

    /// All up to this number were applied.
    pub(super) fn confirm(&mut self, number: u64) {
        while self.first <= number && self.tried > 0 {
            self.pop();
        }
    }

    /// The message of this number was refused, and takes none: the next one has it now.
    pub(super) fn refuse(&mut self, number: u64) -> Option<Kind> {
        if number != self.first || self.tried == 0 {
            return None;
        }
        let kind = self.pop();
        self.first = number;
        self.given = 0;
        kind
    }

    /// The number of the message of this kind that was given out and not confirmed, if there is one.
    pub(super) fn number_of(&self, kind: Kind) -> Option<u64> {
        let at = self.kept.iter().take(self.tried).position(|(each, _)| *each == kind)?;
        Some(self.first + at as u64)
    }

    /// Drops a message that nobody has tried to send yet: the server need not hear of it.
    pub(super) fn forget(&mut self, kind: Kind) {
        if let Some(at) = self.kept.iter().skip(self.tried).position(|(each, _)| *each == kind)
            && let Some((_, message)) = self.kept.remove(self.tried + at)
        {
            self.bytes -= message.len();
        }
    }

    /// The session is lost. Gives the messages that were never tried; whether the others were applied is not known.
    pub(super) fn clear(&mut self) -> Vec<(Kind, Bytes)> {
        let untried = self.kept.split_off(self.tried).into();
        self.kept.clear();
        (self.given, self.tried, self.bytes) = (0, 0, 0);
        untried
    }

    /// A session begins, with this number.
    pub(super) fn begin(&mut self, seq: u64) {
        self.first = seq;
    }

    /// Messages that are kept, and their bytes.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    fn pop(&mut self) -> Option<Kind> {
        let (kind, message) = self.kept.pop_front()?;
        self.bytes -= message.len();
        self.first += 1;
        self.tried -= 1;
        self.given = self.given.saturating_sub(1);
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(messages: u64) -> Outbox {
        let mut outbox = Outbox::default();
        outbox.begin(1);
        for number in 1..=messages {
            outbox.push(Kind::Call(number), Bytes::from(number.to_string()));
        }
        outbox
    }

    fn numbers(outbox: &mut Outbox) -> Vec<u64> {
        std::iter::from_fn(|| outbox.next()).map(|(number, _)| number).collect()
    }

    #[test]
    fn what_was_not_applied_is_sent_again_under_its_number() {
        let mut outbox = filled(4);
        assert_eq!(numbers(&mut outbox), [1, 2, 3, 4]);
        outbox.go_on(3).unwrap();
        assert_eq!(numbers(&mut outbox), [3, 4]);
        outbox.confirm(3);
        outbox.rewind();
        assert_eq!(outbox.next().unwrap(), (4, "4".into()));
        assert_eq!(outbox.held(), (1, 1));
    }

    #[test]
    fn a_number_that_cannot_be_is_told() {
        let mut outbox = filled(3);
        outbox.next();
        assert_eq!(outbox.go_on(3), Err(Astray), "the second was never sent");
        outbox.go_on(2).unwrap();
        outbox.go_on(1).unwrap();
        assert_eq!(outbox.next().unwrap(), (2, "2".into()), "the first was applied, whatever is said later");
    }

    #[test]
    fn a_refused_message_leaves_its_number_to_the_next() {
        let mut outbox = filled(3);
        outbox.next();
        assert_eq!(outbox.refuse(2), None);
        assert_eq!(outbox.refuse(1), Some(Kind::Call(1)));
        assert_eq!(outbox.next().unwrap(), (1, "2".into()));
    }

    #[test]
    fn a_lost_session_leaves_what_was_never_sent() {
        let mut outbox = filled(3);
        outbox.next();
        outbox.rewind();
        outbox.forget(Kind::Call(3));
        outbox.forget(Kind::Call(1));
        assert_eq!(outbox.held(), (2, 2), "the first was tried");
        let untried = outbox.clear();
        assert_eq!(untried.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [Kind::Call(2)]);
        assert_eq!((outbox.held(), outbox.next()), ((0, 0), None));
    }

    proptest! {
        #[test]
        fn a_server_that_counts_gets_each_message_once(steps in prop::collection::vec((0..4u8, 0..4usize), 0..60)) {
            let (mut outbox, mut said, mut applied) = (filled(0), 0, Vec::new());
            for (step, many) in steps {
                match step {
                    0 => for _ in 0..many {
                        said += 1;
                        outbox.push(Kind::Call(said), Bytes::from(said.to_string()));
                    },
                    1 => for _ in 0..many {
                        let Some((number, message)) = outbox.next() else { break };
                        if number == applied.len() as u64 + 1 {
                            applied.push(message);
                        }
                    },
                    2 => outbox.go_on(applied.len() as u64 + 1).unwrap(),
                    _ => outbox.confirm((applied.len() - many.min(applied.len())) as u64),
                }
            }
            outbox.go_on(applied.len() as u64 + 1).unwrap();
            applied.extend(std::iter::from_fn(|| outbox.next()).map(|(_, message)| message));
            let expected: Vec<Bytes> = (1..=said).map(|number: u64| Bytes::from(number.to_string())).collect();
            prop_assert_eq!(applied, expected);
        }
    }
}
