//! What every log does, in the words of its contract. Each function takes a way to make a log; all times are virtual.

pub(crate) mod classes;
pub(crate) mod ends;
pub(crate) mod gaps;
pub(crate) mod keys;
pub(crate) mod reading;
pub(crate) mod writing;

use switchboard_store::{
    Append, Appended, Budget, Class, Cursor, Item, Opened, Piece, Policy, Read, Refusal, Retention, Since, Store, What,
};
use switchboard_wire::event::Draft;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Kind, Mark, Pattern, Position, Reason};

pub(crate) const PLENTY: Budget = Budget { items: 1000, bytes: 1 << 20 };

pub(crate) fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

/// Names and patterns, separated by spaces.
pub(crate) fn select(texts: &str) -> Selection {
    let mut selection = Selection::default();
    texts.split(' ').for_each(|text| selection.add(text).unwrap());
    selection
}

pub(crate) fn draft(text: &str) -> Draft {
    Draft::new(None, Kind::Text, None, text.to_owned().into()).unwrap()
}

pub(crate) fn item(channel: &str, text: &str) -> Append {
    Append { channel: name(channel), draft: Some(draft(text)), end: false, key: None }
}

pub(crate) fn end_of(channel: &str) -> Append {
    Append { channel: name(channel), draft: None, end: true, key: None }
}

/// Histories of `events` events that live for 100 ms, but `state/…` and `ephemeral/…`.
pub(crate) fn policy(events: usize) -> Policy {
    Policy {
        rules: vec![
            (Pattern::new("state/**").unwrap(), Class::State),
            (Pattern::new("ephemeral/**").unwrap(), Class::Ephemeral),
        ],
        default: Class::History(Retention { events, age: 100, bytes: 1 << 20 }),
        ..Policy::default()
    }
}

pub(crate) fn at(store: &impl Store, seq: u64) -> Mark {
    Mark { epoch: store.epoch(), seq }
}

pub(crate) fn position(store: &impl Store, seq: u64) -> Position {
    Position::from(at(store, seq))
}

pub(crate) fn append(store: &impl Store, now: u64, item: Append) -> Result<Appended, Refusal> {
    store.append(now, &[item]).map(|answers| answers[0]).map_err(|(_, refusal)| refusal)
}

/// Publishes, and returns the event's number.
pub(crate) fn put(store: &impl Store, now: u64, channel: &str, text: &str) -> u64 {
    append(store, now, item(channel, text)).unwrap().id.unwrap().seq
}

pub(crate) fn open(store: &impl Store, now: u64, texts: &str, since: Since<'_>) -> Opened {
    store.open(now, &select(texts), since, false)
}

pub(crate) fn open_at(store: &impl Store, now: u64, texts: &str, seq: u64) -> Opened {
    open(store, now, texts, Since::At(&position(store, seq).to_string()))
}

pub(crate) fn read(store: &impl Store, now: u64, texts: &str, cursor: Cursor) -> Piece {
    store.read(now, &select(texts), cursor, store.head(), PLENTY)
}

/// What a piece says, in words: `a:hello`, `a gap trimmed 3..7`, `a ends`.
pub(crate) fn words(piece: &Piece) -> Vec<String> {
    let said = piece.found.iter().map(|found| match &found.what {
        Read::Event(entry) => {
            let event = entry.event();
            format!("{}:{}", event.channel, String::from_utf8_lossy(event.draft.data()))
        }
        Read::Gap(gap) => {
            let channel = gap.channel.as_ref().map_or("*", ChannelName::as_str);
            format!("{channel} gap {} {}..{}", gap.reason.as_str(), number(&gap.from), number(&gap.to.to_string()))
        }
        Read::End(channel) => format!("{channel} ends"),
    });
    said.collect()
}

fn number(text: &str) -> String {
    let position = text.parse::<Position>().ok();
    position.map_or("?".into(), |position| position.marks().last().unwrap().seq.to_string())
}

/// Opens, and reads all there is: what the reader is told.
pub(crate) fn told(store: &impl Store, now: u64, texts: &str, since: Since<'_>) -> Vec<String> {
    words(&read(store, now, texts, open(store, now, texts, since).cursor))
}

/// The opening gap as reason, `to`, and the channel.
pub(crate) fn gap_of(opened: &Opened) -> Option<(Reason, u64, Option<&str>)> {
    let gap = opened.gap.as_ref()?;
    assert_eq!(opened.position, gap.to, "reading starts after the gap");
    Some((gap.reason, gap.to.marks().next().unwrap().seq, gap.channel.as_ref().map(ChannelName::as_str)))
}
