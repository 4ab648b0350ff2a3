//! Calls that wait for their answers.

/// Open calls by numbers of ours, which are never given twice, each until a deadline. They are few, and mostly none, so
/// that a list does: one without calls takes no memory.
#[derive(Debug)]
pub(super) struct Calls<T> {
    last: u64,
    /// In the order of their numbers.
    open: Vec<Call<T>>,
}

#[derive(Debug)]
struct Call<T> {
    number: u64,
    deadline: u64,
    what: T,
}

impl<T> Calls<T> {
    pub(super) fn new() -> Calls<T> {
        Calls { last: 0, open: Vec::new() }
    }

    /// Opens a call and gives its number.
    pub(super) fn open(&mut self, deadline: u64, what: T) -> u64 {
        self.last += 1;
        self.open.push(Call { number: self.last, deadline, what });
        self.last
    }

    /// The call of this number is answered. `None` if it is not open: it was answered before, or is none of ours.
    pub(super) fn close(&mut self, number: u64) -> Option<T> {
        let at = self.open.binary_search_by_key(&number, |call| call.number).ok()?;
        let Call { what, .. } = self.open.remove(at);
        if self.open.is_empty() {
            self.open = Vec::new();
        }
        Some(what)
    }

    /// A call whose deadline has come, closed: the one that was due first.
    pub(super) fn expire(&mut self, now: u64) -> Option<(u64, T)> {
        let due = self.open.iter().filter(|call| call.deadline <= now).min_by_key(|call| (call.deadline, call.number));
        let number = due?.number;
        self.close(number).map(|what| (number, what))
    }

    pub(super) fn is_open(&self, number: u64) -> bool {
        self.open.binary_search_by_key(&number, |call| call.number).is_ok()
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.open.iter().map(|call| call.deadline).min()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Closes all calls and gives their numbers.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.open).into_iter().map(|call| call.number).collect()
    }
}
