//! Positions: what is minted reads back, what is read was written that one way, and text sorts as numbers do.

use crate::choices::Choices;
use switchboard_wire::limits::{LOGS_MAX, MARK_MAX, POSITION_MAX};
use switchboard_wire::{Epoch, Mark, Position};

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    if choices.flag() {
        minted(&mut choices);
    } else if let Ok(text) = std::str::from_utf8(choices.rest()) {
        given(text);
    }
}

fn minted(choices: &mut Choices<'_>) {
    let count = choices.below(LOGS_MAX + 3);
    let marks: Vec<Mark> =
        (0..count).map(|_| Mark { epoch: Epoch::new(choices.number()), seq: choices.number() }).collect();
    let Some(position) = Position::of(&marks) else {
        assert!(count == 0 || count > LOGS_MAX);
        return;
    };
    assert_eq!(position.marks().collect::<Vec<_>>(), marks);
    let text = position.to_string();
    assert!(text.len() <= POSITION_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
    assert_eq!(text.parse(), Ok(position.clone()));
    given(&text);
    for mark in &marks {
        let first = marks.iter().find(|other| other.epoch == mark.epoch).unwrap();
        assert_eq!(position.in_log(mark.epoch), Some(first.seq));
        assert!(mark.to_string().len() <= MARK_MAX);
        for other in &marks {
            let [a, b] = [mark, other].map(|mark| Mark { epoch: marks[0].epoch, ..*mark });
            assert_eq!(a.seq.cmp(&b.seq), a.to_string().as_bytes().cmp(b.to_string().as_bytes()), "{a} {b}");
        }
    }
}

/// Any text is a position exactly if it keeps the rules, and then it is the one way to write it.
fn given(text: &str) {
    let position = text.parse::<Position>();
    let marks: Vec<Option<(u128, u128)>> = text.split('.').map(slow_mark).collect();
    let fine = text.len() <= POSITION_MAX && marks.len() <= LOGS_MAX && marks.iter().all(Option::is_some);
    assert_eq!(position.is_ok(), fine, "{text:?}");
    let Ok(position) = position else { return };
    assert_eq!(position.to_string(), text);
    for (mark, slow) in position.marks().zip(marks) {
        let (epoch, seq) = slow.unwrap();
        assert_eq!((mark.epoch, u128::from(mark.seq)), (Epoch::new(u64::try_from(epoch).unwrap()), seq));
    }
}

/// Epoch and number of a mark: ten characters of epoch, one that counts the digits, and the digits without zeros in
/// front, all in base 32.
fn slow_mark(text: &str) -> Option<(u128, u128)> {
    let digits: Vec<u128> =
        text.chars().map(|c| "0123456789abcdefghijklmnopqrstuv".find(c).map(|at| at as u128)).collect::<Option<_>>()?;
    let number = |digits: &[u128]| digits.iter().fold(0, |number, digit| number * 32 + digit);
    let (epoch, count, seq) = (digits.get(..10)?, *digits.get(10)?, digits.get(11..)?);
    let plain = seq.len() == 1 || *seq.first()? != 0;
    let fits = seq.len() <= 13 && number(seq) <= u128::from(u64::MAX);
    (plain && fits && count == seq.len() as u128).then(|| (number(epoch), number(seq)))
}
