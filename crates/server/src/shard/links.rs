//! The HTTP/2 connections of a shard's thread, and which of them a stream is on.

use super::SharedShard;
use crate::listen::http2::{Outlets, SharedLink};
use slab::Slab;
use std::sync::Arc;
use switchboard_hub::Token;

/// Streams that say something before their connections take it on: what room a connection has for what its streams have to
/// say, it keeps.
const SAID_AT_ONCE: u32 = 16;

/// The connections that are this thread's.
#[derive(Default)]
pub(super) struct Links {
    /// `None` while its preface is waited for.
    links: Slab<Option<SharedLink>>,
    outlets: Arc<Outlets>,
    /// For each token the number of its connection and one more, or 0.
    of: Vec<u32>,
    /// How many streams may have said something since that was last taken on.
    said: u32,
    noted: Vec<u32>,
    /// Those that have taken something on and not sent it.
    to_send: Vec<u32>,
}

impl Links {
    /// A stream of one of them is held under this token.
    pub(super) fn add(&mut self, token: Token, number: u32) {
        let index = token as usize;
        if self.of.len() <= index {
            self.of.resize(index + 1, 0);
        }
        self.of[index] = number + 1;
    }

    pub(super) fn remove(&mut self, token: Token) {
        if let Some(of) = self.of.get_mut(token as usize) {
            *of = 0;
        }
    }

    /// The number of the connection that a stream is on, if it is one of these.
    pub(super) fn of(&self, token: Token) -> Option<u32> {
        self.of.get(token as usize)?.checked_sub(1)
    }

    /// All streams that are on one of these, with the number of the connection.
    pub(super) fn streams(&self) -> impl Iterator<Item = (Token, u32)> {
        let number = |(token, of): (usize, &u32)| Some((token as Token, of.checked_sub(1)?));
        self.of.iter().enumerate().filter_map(number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub(super) fn outlets(&self) -> &Arc<Outlets> {
        &self.outlets
    }

    /// From here on what streams say is taken on by the shard.
    pub(super) fn begin_turn(&mut self) {
        self.outlets.begin();
    }

    /// A stream has said something, or it may have.
    pub(super) fn said(&mut self) {
        self.said += 1;
        if self.said >= SAID_AT_ONCE {
            self.take_on();
        }
    }

    fn take_on(&mut self) {
        self.said = 0;
        self.outlets.take(&mut self.noted);
        for number in self.noted.drain(..) {
            let Some(Some(link)) = self.links.get(number as usize) else { continue };
            link.borrow_mut().take_on();
            if self.to_send.last() != Some(&number) {
                self.to_send.push(number);
            }
        }
    }

    /// Sends what was said. From here on each connection does so by itself.
    pub(super) fn end_turn(&mut self) {
        loop {
            self.take_on();
            if self.outlets.end() {
                break;
            }
        }
        for number in self.to_send.drain(..) {
            if let Some(Some(link)) = self.links.get(number as usize) {
                link.borrow_mut().send();
            }
        }
    }
}

/// A connection's place among those of its thread, given up when dropped.
pub(crate) struct Place {
    shard: SharedShard,
    number: u32,
}

impl Place {
    pub(crate) fn make(shard: &SharedShard) -> Place {
        let number = shard.borrow_mut().links.links.insert(None) as u32;
        Place { shard: shard.clone(), number }
    }

    /// What the connection is called, and among whom.
    pub(crate) fn as_one_of(&self) -> (u32, Arc<Outlets>) {
        (self.number, self.shard.borrow().links.outlets.clone())
    }

    /// Takes it.
    pub(crate) fn take(&self, link: &SharedLink) {
        if let Some(place) = self.shard.borrow_mut().links.links.get_mut(self.number as usize) {
            *place = Some(link.clone());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Outside of the borrow: what ends with it tells the shard's streams.
        let link = self.shard.borrow_mut().links.links.try_remove(self.number as usize);
        drop(link);
    }
}
