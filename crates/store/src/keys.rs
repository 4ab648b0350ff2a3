//! Idempotency: a publish that is repeated with the same key is answered as the first was, and appends nothing.
//!
//! A key holds within its publisher and channel. What is remembered of it is of a fixed size, whatever was published:
//! a digest of the whole body, or of a stream of events how many lines were appended, where the first and the last
//! of them are, and a digest that chains them all. Digests are 128 bits under a secret of this process.

use crate::log::{Append, Appended, Refusal};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::OnceLock;
use switchboard_wire::event::Draft;
use switchboard_wire::{ChannelName, Epoch, Mark};

/// The key of one append: of a whole body, or of one line of a stream of events (see [`StreamKey`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    publisher: Box<str>,
    key: Box<str>,
    line: Option<Line>,
}

/// A line of a stream: its number, from 1, and the digest of the lines before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    number: u64,
    chain: u128,
}

impl Key {
    /// The key of a whole body.
    pub fn whole(publisher: &str, key: &str) -> Key {
        Key { publisher: publisher.into(), key: key.into(), line: None }
    }
}

/// The key of a stream of events, carried by whoever appends its lines one by one. It gives each line its key, in
/// order, whether the line turns out to be appended or repeated:
///
/// ```
/// # use switchboard_store::{Append, Memory, Policy, StreamKey};
/// # use switchboard_wire::{ChannelName, Epoch, event::Draft};
/// # let log = Memory::new(Epoch::new(1), Policy::default());
/// # let channel = ChannelName::new("logs/build").unwrap();
/// # let lines = ["one", "two"].map(|text| Draft::from_body(None, None, text.into()).unwrap());
/// let mut stream = StreamKey::new("publisher", "key");
/// for draft in lines {
///     let key = stream.line(Some(&draft), false);
///     let append = Append { channel: channel.clone(), draft: Some(draft), end: false, key: Some(key) };
///     log.append(0, &[append]).map_err(|(_, refusal)| refusal)?;
/// }
/// let sum = log.finish(0, &channel, &stream)?;
/// assert_eq!(sum.unwrap().count, 2);
/// # Ok::<(), switchboard_store::Refusal>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamKey {
    publisher: Box<str>,
    key: Box<str>,
    lines: u64,
    chain: u128,
}

impl StreamKey {
    pub fn new(publisher: &str, key: &str) -> StreamKey {
        StreamKey { publisher: publisher.into(), key: key.into(), lines: 0, chain: 0 }
    }

    /// The key of the next line.
    pub fn line(&mut self, draft: Option<&Draft>, end: bool) -> Key {
        let line = Line { number: self.lines + 1, chain: self.chain };
        self.lines = line.number;
        self.chain = chained(line.chain, digest(draft, end));
        Key { publisher: self.publisher.clone(), key: self.key.clone(), line: Some(line) }
    }

    /// Lines that were given a key.
    pub fn lines(&self) -> u64 {
        self.lines
    }
}

/// What a stream of events came to: the answer to it and to each repetition of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    /// Events appended.
    pub count: u64,
    /// `None` where the first line had no event, or was appended so long ago that it is not remembered.
    pub first: Option<Mark>,
    pub last: Option<Mark>,
}

fn hash(value: impl Hash) -> u128 {
    static SECRETS: OnceLock<[RandomState; 2]> = OnceLock::new();
    let secrets = SECRETS.get_or_init(|| [RandomState::new(), RandomState::new()]);
    let [high, low] = secrets.each_ref().map(|secret| u128::from(secret.hash_one(&value)));
    high << 64 | low
}

/// The digest of one append.
fn digest(draft: Option<&Draft>, end: bool) -> u128 {
    hash((draft.map(|draft| (draft.event(), draft.kind(), draft.content_type(), draft.data())), end))
}

fn chained(chain: u128, digest: u128) -> u128 {
    hash((chain, digest))
}

/// A key with everything about its append that the log compares: worked out before the log is locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    scope: u128,
    digest: u128,
    line: Option<Line>,
}

impl Claim {
    pub(crate) fn of(append: &Append) -> Option<Claim> {
        let key = append.key.as_ref()?;
        let scope = scope(&key.publisher, &append.channel, &key.key);
        Some(Claim { scope, digest: digest(append.draft.as_ref(), append.end), line: key.line })
    }
}

fn scope(publisher: &str, channel: &ChannelName, key: &str) -> u128 {
    hash((publisher, channel, key))
}

/// Where the answer to a keyed append is, while a batch is judged before any of it is appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// Already in the log: the event, and the position after it.
    Given { event: Option<u64>, position: u64 },
    /// The answer to the item of the same batch with this number.
    Item(usize),
}

impl Answer {
    pub(crate) fn of(appended: &Appended) -> Answer {
        Answer::Given { event: appended.id.map(|id| id.seq), position: appended.position.seq }
    }

    fn event(self) -> Option<u64> {
        match self {
            Answer::Given { event, .. } => event,
            Answer::Item(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
enum Use {
    Whole {
        digest: u128,
        answer: Answer,
    },
    /// Boxed because few keys are of streams, and what every key takes is what bounds them all.
    Stream(Box<Stream>),
}

#[derive(Clone, Debug)]
struct Stream {
    lines: u64,
    events: u64,
    chain: u128,
    first: Answer,
    /// That of the last line with an event.
    last: Answer,
    /// That of the last line.
    latest: Answer,
    /// The body came to its clean end.
    closed: bool,
}

/// What a claim is met with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Fresh,
    Repeated(Answer),
    /// Repeated, from the midst of a stream: its own answer is not remembered, only that of the stream's first line.
    Within(Answer),
}

impl Use {
    fn judge(&self, claim: &Claim) -> Result<Verdict, Refusal> {
        match (self, claim.line) {
            (Use::Whole { digest, answer }, None) if *digest == claim.digest => Ok(Verdict::Repeated(*answer)),
            (Use::Stream(stream), Some(line)) => stream.judge(line, claim.digest),
            _ => Err(Refusal::KeyReused),
        }
    }

    /// The use of a key once `answer` was given to its claim.
    fn after(before: Option<Use>, claim: &Claim, event: bool, answer: Answer) -> Use {
        let Some(line) = claim.line else { return Use::Whole { digest: claim.digest, answer } };
        let mut stream = match before {
            Some(Use::Stream(stream)) => stream,
            _ => Box::new(Stream {
                lines: 0,
                events: 0,
                chain: 0,
                first: answer,
                last: answer,
                latest: answer,
                closed: false,
            }),
        };
        stream.lines = line.number;
        stream.chain = chained(line.chain, claim.digest);
        stream.latest = answer;
        if event {
            stream.events += 1;
            stream.last = answer;
        }
        Use::Stream(stream)
    }
}

impl Stream {
    fn judge(&self, line: Line, digest: u128) -> Result<Verdict, Refusal> {
        if line.number > self.lines {
            // Lines come one after another, so only the next can be missing.
            let continues = line.number == self.lines + 1 && line.chain == self.chain && !self.closed;
            return if continues { Ok(Verdict::Fresh) } else { Err(Refusal::KeyReused) };
        }
        if line.number < self.lines {
            return Ok(Verdict::Within(self.first));
        }
        let same = chained(line.chain, digest) == self.chain;
        if same { Ok(Verdict::Repeated(self.latest)) } else { Err(Refusal::KeyReused) }
    }
}

#[derive(Debug)]
struct Record {
    /// First use, or of a stream the latest.
    time: u64,
    /// The time of its entry in the queue.
    queued: u64,
    made: Use,
}

/// The keys that a log remembers.
#[derive(Debug)]
pub(crate) struct Keys {
    records: HashMap<u128, Record>,
    /// When to look at which key. An entry that is not its record's (any longer) is passed over.
    queue: VecDeque<(u64, u128)>,
    limit: usize,
    age: u64,
}

/// How a batch would leave the keys it uses, while it is judged.
#[derive(Debug, Default)]
pub(crate) struct Sketch {
    uses: HashMap<u128, Use>,
    /// Those that the log does not know yet.
    fresh: usize,
}

impl Keys {
    /// Most old keys forgotten at once.
    const STEP: usize = 64;
    /// How many times that where there is no room for another.
    const LOOKS: usize = 16;

    pub(crate) fn new(limit: usize, age: u64) -> Keys {
        Keys { records: HashMap::new(), queue: VecDeque::new(), limit, age }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// What the claim of item `i` of a batch is met with, given the batch up to there, which is in `sketch`.
    pub(crate) fn judge(
        &mut self,
        now: u64,
        i: usize,
        item: &Append,
        claim: &Claim,
        sketch: &mut Sketch,
    ) -> Result<Verdict, Refusal> {
        let drawn = sketch.uses.get(&claim.scope);
        let known = drawn.or_else(|| self.known(now, claim.scope).map(|record| &record.made));
        let verdict = known.map_or(Ok(Verdict::Fresh), |known| known.judge(claim))?;
        if verdict == Verdict::Fresh {
            let before = known.cloned();
            if before.is_none() {
                // Only an old use can be there, which this one takes the place of.
                self.records.remove(&claim.scope);
                sketch.fresh += 1;
                self.make_room(now, sketch.fresh)?;
            }
            let made = Use::after(before, claim, item.draft.is_some(), Answer::Item(i));
            sketch.uses.insert(claim.scope, made);
        }
        Ok(verdict)
    }

    /// Remembers the answer to a fresh claim.
    pub(crate) fn record(&mut self, now: u64, claim: &Claim, event: bool, answer: Answer) {
        self.expire(now, Keys::STEP);
        let known = self.known(now, claim.scope).is_some();
        let before = self.records.remove(&claim.scope).filter(|_| known);
        let queued = before.as_ref().map(|record| record.queued);
        if queued.is_none() {
            self.queue.push_back((now, claim.scope));
        }
        let made = Use::after(before.map(|record| record.made), claim, event, answer);
        self.records.insert(claim.scope, Record { time: now, queued: queued.unwrap_or(now), made });
    }

    /// The stream came to its clean end: what it came to, if it is remembered at all.
    pub(crate) fn finish(
        &mut self,
        now: u64,
        epoch: Epoch,
        channel: &ChannelName,
        key: &StreamKey,
    ) -> Result<Option<Sum>, Refusal> {
        let scope = scope(&key.publisher, channel, &key.key);
        if self.known(now, scope).is_none() {
            return Ok(None);
        }
        let Some(Record { made, .. }) = self.records.get_mut(&scope) else { return Ok(None) };
        let Use::Stream(stream) = made else { return Err(Refusal::KeyReused) };
        if stream.lines != key.lines || stream.chain != key.chain {
            return Err(Refusal::KeyReused);
        }
        stream.closed = true;
        let mark = |answer: Answer| answer.event().map(|seq| Mark { epoch, seq });
        Ok(Some(Sum { count: stream.events, first: mark(stream.first), last: mark(stream.last) }))
    }

    /// Forgets keys older than they are kept, at most `most`. Whether there may be more.
    pub(crate) fn expire(&mut self, now: u64, most: usize) -> bool {
        for _ in 0..most {
            let Some((time, scope)) = self.queue.front().copied() else { return false };
            if !is_old(time, self.age, now) {
                return false;
            }
            self.queue.pop_front();
            let Some(record) = self.records.get_mut(&scope).filter(|record| record.queued == time) else { continue };
            if is_old(record.time, self.age, now) {
                self.records.remove(&scope);
            } else {
                // A stream that has gone on since: look again when it would be old.
                record.queued = now;
                self.queue.push_back((now, scope));
            }
        }
        true
    }

    /// When [`Keys::expire`] has something to do.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.queue.front().map(|(time, _)| time.saturating_add(self.age))
    }

    fn known(&self, now: u64, scope: u128) -> Option<&Record> {
        self.records.get(&scope).filter(|record| !is_old(record.time, self.age, now))
    }

    /// Makes room, if a look at some of the oldest is enough for that: whoever publishes does not wait for more. What else
    /// is old goes with the ticks of the log.
    fn make_room(&mut self, now: u64, wanted: usize) -> Result<(), Refusal> {
        for _ in 0..Keys::LOOKS {
            if self.records.len() + wanted <= self.limit {
                return Ok(());
            }
            if !self.expire(now, Keys::STEP) {
                break;
            }
        }
        match self.records.len() + wanted <= self.limit {
            true => Ok(()),
            false => Err(Refusal::KeysFull),
        }
    }
}

fn is_old(time: u64, age: u64, now: u64) -> bool {
    time.saturating_add(age) <= now
}
