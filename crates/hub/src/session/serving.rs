//! The client's calls that the application works on, and the batches that they came in.

use super::calls::Calls;
use std::collections::BTreeMap;
use switchboard_wire::jsonrpc::{BatchWriter, Id, Message, Response};

/// Calls of the client's. Its ids may repeat and may be null, so each has a number of ours.
#[derive(Debug)]
pub(super) struct Serving {
    calls: Calls<(Id<'static>, Option<u64>)>,
    batches: BTreeMap<u64, Gathering>,
    last_batch: u64,
    bytes: usize,
}

/// What leaves as one message, and the calls that it answers.
pub(super) struct Leaving {
    pub(super) message: Vec<u8>,
    pub(super) tickets: Vec<u64>,
}

/// The answers to a batch, which leave together.
#[derive(Debug, Default)]
struct Gathering {
    answers: BatchWriter,
    /// The calls that it answers.
    tickets: Vec<u64>,
    open: usize,
    /// All of the batch's members have been read.
    read: bool,
}

impl Serving {
    pub(super) fn new() -> Serving {
        Serving { calls: Calls::new(), batches: BTreeMap::new(), last_batch: 0, bytes: 0 }
    }

    /// Begins a batch, whose members follow.
    pub(super) fn begin_batch(&mut self) -> u64 {
        self.last_batch += 1;
        self.batches.insert(self.last_batch, Gathering::default());
        self.last_batch
    }

    /// All members of the batch were read. Gives what may leave.
    pub(super) fn end_batch(&mut self, batch: u64) -> Option<Leaving> {
        if let Some(gathering) = self.batches.get_mut(&batch) {
            gathering.read = true;
        }
        self.finish(batch)
    }

    /// Takes a call on, and gives its number.
    pub(super) fn open(&mut self, deadline: u64, id: Id<'static>, batch: Option<u64>) -> u64 {
        if let Some(gathering) = batch.and_then(|batch| self.batches.get_mut(&batch)) {
            gathering.open += 1;
        }
        self.calls.open(deadline, (id, batch))
    }

    /// The call is answered. `None` if it was before.
    pub(super) fn close(&mut self, ticket: u64) -> Option<(Id<'static>, Option<u64>)> {
        let (id, batch) = self.calls.close(ticket)?;
        self.closed(batch);
        Some((id, batch))
    }

    /// A call that was worked on for too long: its number, and what [`Serving::close`] gives.
    pub(super) fn expire(&mut self, now: u64) -> Option<(u64, Id<'static>, Option<u64>)> {
        let (ticket, (id, batch)) = self.calls.expire(now)?;
        self.closed(batch);
        Some((ticket, id, batch))
    }

    fn closed(&mut self, batch: Option<u64>) {
        if let Some(gathering) = batch.and_then(|batch| self.batches.get_mut(&batch)) {
            gathering.open -= 1;
        }
    }

    /// Takes an answer, and the call that it is to if it is to one of ours, and gives what may leave now: the answer
    /// itself, or the batch that it was the last of.
    pub(super) fn answer(
        &mut self,
        response: Response<'_>,
        ticket: Option<u64>,
        batch: Option<u64>,
    ) -> Option<Leaving> {
        let Some(batch) = batch else {
            let mut message = Vec::new();
            response.write(&mut message);
            return Some(Leaving { message, tickets: ticket.into_iter().collect() });
        };
        let gathering = self.batches.get_mut(&batch)?;
        let before = gathering.answers.len();
        gathering.answers.push(&Message::Response(response));
        gathering.tickets.extend(ticket);
        self.bytes += gathering.answers.len() - before;
        self.finish(batch)
    }

    /// The batch's answers, once there are all.
    fn finish(&mut self, batch: u64) -> Option<Leaving> {
        if !self.batches.get(&batch).is_some_and(|gathering| gathering.read && gathering.open == 0) {
            return None;
        }
        let Gathering { answers, tickets, .. } = self.batches.remove(&batch)?;
        self.bytes -= answers.len();
        Some(Leaving { message: answers.finish()?, tickets })
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.calls.deadline()
    }

    pub(super) fn is_open(&self, ticket: u64) -> bool {
        self.calls.is_open(ticket)
    }

    /// How many calls are open.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// What answers that wait for others take, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.calls.clear();
        self.batches.clear();
        self.bytes = 0;
    }
}
