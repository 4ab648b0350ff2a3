//! An event as the log holds it, with the encodings its readers share.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use switchboard_wire::{Encoded, Event, Form, form};

/// What an event takes in memory besides its text and data, in bytes: the entry itself and its places in the
/// channel, in the order of the log and on the ring.
pub(crate) const EVENT_OVERHEAD: usize = 200;
/// What an encoding takes besides its bytes.
const ENCODING_OVERHEAD: usize = 96;
/// Set in [`Entry::resident`] once the log holds the entry no longer.
const RELEASED: u64 = 1 << 63;

/// How many bytes the encodings of the events that a log holds take together.
///
/// Encodings are made long after an event was appended and on other threads, so the log learns of them here.
#[derive(Debug, Default)]
pub(crate) struct Ledger(AtomicI64);

impl Ledger {
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes as i64, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: u64) {
        self.0.fetch_sub(bytes as i64, Ordering::Relaxed);
    }
}

/// One event of a log and its encodings. Each is made when it is first asked for, once, and shared from then on.
#[derive(Debug)]
pub struct Entry {
    event: Event,
    /// Bytes of the encodings, and [`RELEASED`]. One word, so that an encoder and the log that lets go of the entry
    /// agree on which of the two keeps the ledger, whoever comes first.
    resident: AtomicU64,
    encodings: Mutex<Vec<(Form, Encoded)>>,
    ledger: Arc<Ledger>,
}

impl Entry {
    /// `held`: whether the log itself keeps the entry, and not only the ring.
    pub(crate) fn new(event: Event, held: bool, ledger: &Arc<Ledger>) -> Entry {
        let resident = AtomicU64::new(if held { 0 } else { RELEASED });
        Entry { event, resident, encodings: Mutex::new(Vec::new()), ledger: Arc::clone(ledger) }
    }

    pub fn event(&self) -> &Event {
        &self.event
    }

    pub fn seq(&self) -> u64 {
        self.event.id.seq
    }

    /// The event in this form. Made under no lock but the entry's own.
    pub fn encoded(&self, form: Form) -> Encoded {
        self.encode(form).0
    }

    /// The same, and whether it had to be made.
    pub fn encode(&self, form: Form) -> (Encoded, bool) {
        let mut encodings = self.encodings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, encoded)) = encodings.iter().find(|(made, _)| *made == form) {
            return (encoded.clone(), false);
        }
        let encoded = form::event(&self.event, form);
        // Most events are heard in one form alone, and a vector that grows by itself begins with room for four.
        encodings.reserve_exact(1);
        encodings.push((form, encoded.clone()));
        drop(encodings);
        let cost = (encoded.cost() + ENCODING_OVERHEAD) as u64;
        if self.resident.fetch_add(cost, Ordering::Relaxed) & RELEASED == 0 {
            self.ledger.add(cost);
        }
        (encoded, true)
    }

    /// Drops the encodings: they are made again for whoever asks.
    pub(crate) fn shed(&self) {
        self.encodings.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let before = self.resident.fetch_and(RELEASED, Ordering::Relaxed);
        if before & RELEASED == 0 {
            self.ledger.subtract(before);
        }
    }

    /// Bytes of text and data.
    pub(crate) fn cost(&self) -> usize {
        self.event.draft.cost()
    }

    /// The log lets go of the entry; its encodings count no longer.
    pub(crate) fn release(&self) {
        let before = self.resident.fetch_or(RELEASED, Ordering::Relaxed);
        if before & RELEASED == 0 {
            self.ledger.subtract(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_wire::event::Draft;
    use switchboard_wire::{ChannelName, Epoch, Kind, Mark};

    fn entry(held: bool, ledger: &Arc<Ledger>) -> Entry {
        let draft = Draft::new(None, Kind::Text, None, "hello".into()).unwrap();
        let id = Mark { epoch: Epoch::new(1), seq: 1 };
        let channel = ChannelName::new("a").unwrap();
        Entry::new(Event { id, resumable: held, channel, time: 0, draft }, held, ledger)
    }

    #[test]
    fn an_encoding_is_made_once_and_shared() {
        let entry = entry(true, &Arc::default());
        let (a, b) = (entry.encoded(Form::SseRaw { gzip: false }), entry.encoded(Form::SseRaw { gzip: false }));
        assert_eq!(a.payload().as_ptr(), b.payload().as_ptr());
    }

    #[test]
    fn the_ledger_counts_encodings_while_the_log_holds_the_entry() {
        let ledger = Arc::default();
        let held = entry(true, &ledger);
        let encoded = held.encoded(Form::NdJson { gzip: false });
        assert_eq!(ledger.bytes(), encoded.cost() + ENCODING_OVERHEAD);
        held.encoded(Form::NdJson { gzip: false });
        assert_eq!(ledger.bytes(), encoded.cost() + ENCODING_OVERHEAD);
        held.release();
        held.release();
        assert_eq!(ledger.bytes(), 0);
        held.encoded(Form::SseRaw { gzip: false });
        entry(false, &ledger).encoded(Form::SseRaw { gzip: false });
        assert_eq!(ledger.bytes(), 0);
    }
}
