//! The slow twin of the idempotency keys: everything that was ever published with each, kept as it was.

use switchboard_store::{Append, Appended, Refusal, StreamKey, Sum};
use switchboard_wire::ChannelName;
use switchboard_wire::event::Draft;

/// What a line of a stream is.
pub(super) type Line = (Option<Draft>, bool);

/// A key with what the log cannot be asked about it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Claim {
    pub(super) publisher: u8,
    pub(super) key: u8,
    /// Of a stream: its lines so far, this one included.
    pub(super) lines: Option<Vec<Line>>,
}

/// An item to append, told to both sides.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) append: Append,
    pub(super) claim: Option<Claim>,
}

impl Told {
    fn line(&self) -> Line {
        (self.append.draft.clone(), self.append.end)
    }
}

/// A publisher in the midst of a stream of events.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) channel: ChannelName,
    pub(super) publisher: u8,
    pub(super) key: u8,
    pub(super) stream: StreamKey,
    pub(super) lines: Vec<Line>,
}

#[derive(Clone, Debug)]
enum Made {
    Whole(Line, Appended),
    Stream {
        lines: Vec<Line>,
        /// The answer to each line that was appended; lines that were sent before the key was known have none.
        answers: Vec<Appended>,
        closed: bool,
    },
}

#[derive(Clone, Debug)]
struct Use {
    channel: ChannelName,
    publisher: u8,
    key: u8,
    time: u64,
    made: Made,
}

/// What becomes of an item.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Fate {
    Append,
    Repeat(Appended),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    uses: Vec<Use>,
    limit: usize,
    age: u64,
}

impl Keys {
    pub(super) fn new(limit: usize, age: u64) -> Keys {
        Keys { uses: Vec::new(), limit, age }
    }

    fn find(&self, now: u64, channel: &ChannelName, publisher: u8, key: u8) -> Option<usize> {
        let is = |used: &Use| used.channel == *channel && used.publisher == publisher && used.key == key;
        self.uses.iter().position(|used| is(used) && used.time + self.age > now)
    }

    /// How many keys are remembered.
    pub(super) fn known(&self, now: u64) -> usize {
        self.uses.iter().filter(|used| used.time + self.age > now).count()
    }

    /// Streams that are old and may still take up room: when to look at one again is put off to its age from then on.
    fn lingering(&self, now: u64) -> usize {
        let lingers = |used: &&Use| used.time + self.age <= now && now < used.time + 2 * self.age;
        self.uses.iter().filter(lingers).filter(|used| matches!(used.made, Made::Stream { .. })).count()
    }

    /// What an item is met with. `may_be_full`: whether the log says that there is no room for its key.
    pub(super) fn judge(&self, now: u64, told: &Told, may_be_full: bool) -> Result<Fate, Refusal> {
        let Some(claim) = &told.claim else { return Ok(Fate::Append) };
        let Some(at) = self.find(now, &told.append.channel, claim.publisher, claim.key) else {
            let (most, least) = (self.known(now) + self.lingering(now), self.known(now));
            let full = least >= self.limit || (may_be_full && most >= self.limit);
            return if full { Err(Refusal::KeysFull) } else { Ok(Fate::Append) };
        };
        match (&self.uses[at].made, &claim.lines) {
            (Made::Whole(line, answer), None) if *line == told.line() => Ok(Fate::Repeat(*answer)),
            (Made::Stream { lines, answers, closed }, Some(given)) => {
                let (known, sent) = (lines.len(), given.len());
                if sent == known + 1 && given[..known] == lines[..] && !closed {
                    return Ok(Fate::Append);
                }
                let first = Appended { id: None, ..answers[0] };
                match sent.cmp(&known) {
                    std::cmp::Ordering::Less => Ok(Fate::Repeat(first)),
                    std::cmp::Ordering::Equal if given == lines => Ok(Fate::Repeat(*answers.last().unwrap())),
                    _ => Err(Refusal::KeyReused),
                }
            }
            _ => Err(Refusal::KeyReused),
        }
    }

    /// The item was appended, and this was the answer.
    pub(super) fn record(&mut self, now: u64, told: &Told, answer: Appended) {
        let Some(claim) = &told.claim else { return };
        let (publisher, key, channel) = (claim.publisher, claim.key, told.append.channel.clone());
        let before = self.find(now, &channel, publisher, key).map(|at| self.uses.remove(at).made);
        self.uses.retain(|used| (used.publisher, used.key, &used.channel) != (publisher, key, &channel));
        let made = match (&claim.lines, before) {
            (None, _) => Made::Whole(told.line(), answer),
            (Some(lines), Some(Made::Stream { mut answers, closed, .. })) => {
                answers.push(answer);
                Made::Stream { lines: lines.clone(), answers, closed }
            }
            (Some(lines), _) => Made::Stream { lines: lines.clone(), answers: vec![answer], closed: false },
        };
        self.uses.push(Use { channel, publisher, key, time: now, made });
    }

    /// The stream came to its clean end.
    pub(super) fn finish(&mut self, now: u64, sender: &Sender) -> Result<Option<Sum>, Refusal> {
        let Some(at) = self.find(now, &sender.channel, sender.publisher, sender.key) else { return Ok(None) };
        match &mut self.uses[at].made {
            Made::Stream { lines, answers, closed } if *lines == sender.lines => {
                *closed = true;
                let events: Vec<Appended> = answers.iter().filter(|answer| answer.id.is_some()).copied().collect();
                // Where no line had an event there is none to name.
                let last = events.last().and_then(|answer| answer.id);
                Ok(Some(Sum { count: events.len() as u64, first: answers[0].id, last }))
            }
            _ => Err(Refusal::KeyReused),
        }
    }
}
