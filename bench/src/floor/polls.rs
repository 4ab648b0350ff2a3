//! Long polls of one channel.

use super::request;
use bytes::Bytes;
use std::collections::VecDeque;

/// Events kept for those who are between two polls.
const KEPT: usize = 64;

/// The newest events and who waits for the next.
#[derive(Default)]
pub(super) struct Polls {
    /// Whether anybody ever asked: a channel that is not polled keeps nothing.
    wanted: bool,
    events: VecDeque<(u64, Bytes)>,
    newest: u64,
    waiting: Vec<u32>,
}

impl Polls {
    /// The answer to a poll, or `None` if it waits: then `token` is given back when there is something.
    pub(super) fn ask(&mut self, token: u32, since: Option<u64>, waits: bool) -> Option<Vec<u8>> {
        self.wanted = true;
        let since = since.unwrap_or(self.newest);
        if since < self.newest || !waits {
            let events: Vec<Bytes> =
                self.events.iter().filter(|(seq, _)| *seq > since).map(|(_, line)| line.clone()).collect();
            return Some(request::page(&events, self.newest));
        }
        self.waiting.push(token);
        None
    }

    pub(super) fn forget(&mut self, token: u32) {
        self.waiting.retain(|waiting| *waiting != token);
    }

    /// Takes an event: the page for those who wait, and who they are.
    pub(super) fn publish(&mut self, event: &switchboard_wire::Event, seq: u64) -> Option<(Vec<u8>, Vec<u32>)> {
        if !self.wanted {
            return None;
        }
        let line = request::line(event);
        self.events.push_back((seq, line.clone()));
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
        self.newest = seq;
        Some((request::page(&[line], seq), std::mem::take(&mut self.waiting)))
    }
}
