//! Calls that wait for their answers.

use super::outbox::Kind;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Who calls, and so what becomes of the answer.
#[derive(Debug)]
pub(super) enum What {
    /// The application. The message is kept if it is safe to send it again in another session.
    Application {
        repeat: Option<Bytes>,
    },
    Subscribe,
    Unsubscribe,
    Refresh,
    /// Its answer shows that what was sent before it was applied.
    Ping,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) what: What,
    pub(super) deadline: Option<u64>,
}

impl Call {
    fn repeat(&self) -> Option<Bytes> {
        match &self.what {
            What::Application { repeat } => repeat.clone(),
            _ => None,
        }
    }
}

/// Open calls by number. A number is never given twice.
#[derive(Debug, Default)]
pub(super) struct Calls {
    last: u64,
    open: BTreeMap<u64, Call>,
}

impl Calls {
    /// The number that the next call has.
    pub(super) fn next(&self) -> u64 {
        self.last + 1
    }

    pub(super) fn open(&mut self, number: u64, call: Call) {
        self.last = number;
        self.open.insert(number, call);
    }

    pub(super) fn close(&mut self, number: u64) -> Option<Call> {
        self.open.remove(&number)
    }

    pub(super) fn is_open(&self, number: u64) -> bool {
        self.open.contains_key(&number)
    }

    pub(super) fn has_ping(&self) -> bool {
        self.open.values().any(|call| matches!(call.what, What::Ping))
    }

    /// The first call whose time is up.
    pub(super) fn expired(&self, now: u64) -> Option<u64> {
        let is_up = |call: &Call| call.deadline.is_some_and(|deadline| deadline <= now);
        self.open.iter().find(|(_, call)| is_up(call)).map(|(number, _)| *number)
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.open.values().filter_map(|call| call.deadline).min()
    }

    /// The session is lost: gives the application's calls that it may have known of, which are all but these. Our own end
    /// with it.
    pub(super) fn lost(&mut self, untried: &[(Kind, Bytes)]) -> Vec<(u64, Option<Bytes>)> {
        self.open.retain(|_, call| matches!(call.what, What::Application { .. }));
        let is_untried = |number: u64| untried.iter().any(|(kind, _)| *kind == Kind::Call(number));
        let tried = self.open.iter().filter(|(number, _)| !is_untried(**number));
        tried.map(|(number, call)| (*number, call.repeat())).collect()
    }
}
