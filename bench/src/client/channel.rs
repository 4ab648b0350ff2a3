//! A channel as the load generator sees it: what was published to it, and how much of that is still on its way.

use super::dialogue::Dialogue;
use std::collections::VecDeque;
use std::rc::Rc;

/// A channel: how to subscribe to it, and how far it is.
#[derive(Debug)]
pub struct Channel {
    pub(super) dialogue: Rc<Dialogue>,
    /// Where subscribers begin, if not with the next event.
    pub(super) from: Option<u32>,
    /// Events published so far.
    pub published: u32,
    /// Events received by its subscribers, each by each, doubles not counted.
    pub received: u64,
    /// Live subscribers.
    pub subscribers: u32,
    /// For the oldest event that some have not received and all after it: how many have not.
    missing: VecDeque<u32>,
}

impl Channel {
    pub(super) fn new(dialogue: Dialogue) -> Channel {
        let dialogue = Rc::new(dialogue);
        Channel { dialogue, from: None, published: 0, received: 0, subscribers: 0, missing: VecDeque::new() }
    }

    /// The number of the first event that a new subscriber receives.
    pub(super) fn first(&self) -> u32 {
        self.from.unwrap_or(self.published)
    }

    /// Publishes the next event, and gives its number.
    pub(super) fn publish(&mut self) -> u32 {
        self.published += 1;
        self.missing.push_back(self.subscribers);
        self.settle();
        self.published - 1
    }

    /// Events that some subscriber has not received.
    pub fn outstanding(&self) -> usize {
        self.missing.len()
    }

    /// A live subscriber is no more, which waited for this event and all after it.
    pub(super) fn leave(&mut self, next: u32) {
        self.subscribers -= 1;
        let first = self.published - self.missing.len() as u32;
        self.missing.range_mut(next.saturating_sub(first) as usize..).for_each(|missing| *missing -= 1);
        self.settle();
    }

    pub(super) fn received(&mut self, seq: u32) {
        self.received += 1;
        let first = self.published - self.missing.len() as u32;
        if let Some(missing) = seq.checked_sub(first).and_then(|at| self.missing.get_mut(at as usize)) {
            *missing = missing.saturating_sub(1);
            if *missing == 0 {
                self.settle();
            }
        }
    }

    fn settle(&mut self) {
        while self.missing.front() == Some(&0) {
            self.missing.pop_front();
        }
    }
}
