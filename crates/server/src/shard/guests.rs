//! Whose a stream is, and when it is taken from them. Kept beside the connections, so that those of anyone, and what is
//! delivered to whomever, cost nothing for it.

use super::{Shard, Slot};
use crate::auth::Identity;
use crate::transport::Ending;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};
use switchboard_hub::Token;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// Whoever a stream was opened for.
pub(crate) struct Guest {
    pub(crate) identity: Identity,
    /// What the connection is called, as its `$open` tells.
    pub(crate) connection: u64,
}

/// The streams and waiting polls that are somebody's.
#[derive(Default)]
pub(super) struct Guests {
    held: HashMap<Token, Guest>,
    waiting: HashMap<Token, Identity>,
    named: HashMap<u64, Token>,
    /// When streams end: in milliseconds since the Unix epoch, with the name of the connection. What is no longer so was
    /// renewed or has gone, and is passed over when its time comes.
    ends: BinaryHeap<Reverse<(u64, u64)>>,
}

impl Guests {
    pub(super) fn add(&mut self, token: Token, guest: Guest) {
        if let Some(expires) = guest.identity.expires() {
            self.ends.push(Reverse((expires, guest.connection)));
        }
        self.named.insert(guest.connection, token);
        self.held.insert(token, guest);
    }

    pub(super) fn add_waiting(&mut self, token: Token, identity: &Identity) {
        self.waiting.insert(token, identity.clone());
    }

    pub(super) fn remove(&mut self, token: Token) {
        self.waiting.remove(&token);
        if let Some(guest) = self.held.remove(&token) {
            self.named.remove(&guest.connection);
        }
        // Streams that come and go must not leave their ends behind for as long as their tokens last.
        if self.ends.len() > 64 && self.ends.len() > 4 * self.held.len() {
            let named = &self.named;
            self.ends.retain(|Reverse((_, connection))| named.contains_key(connection));
        }
    }

    /// Whose a stream is.
    pub(super) fn identity(&self, token: Token) -> Identity {
        self.held.get(&token).map(|guest| guest.identity.clone()).unwrap_or_default()
    }

    /// The next stream that has come to its end by now.
    fn expired(&mut self, now: u64) -> Option<Token> {
        while self.ends.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, connection))) = self.ends.pop() else { return None };
            if let Some(token) = self.named.get(&connection)
                && let Some(guest) = self.held.get(token)
                && guest.identity.expires().is_some_and(|expires| expires <= now)
            {
                return Some(*token);
            }
        }
        None
    }
}

impl Shard {
    /// When the next stream comes to its end, at the earliest.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let Reverse((at, _)) = self.guests.ends.peek()?;
        // A little later than its millisecond begins, so that the wait is not for nothing.
        let left = Duration::from_millis(at.saturating_sub(self.node.now()) + 1);
        Some(Instant::now() + left)
    }

    /// Ends the streams whose tokens have expired.
    pub(super) fn end_expired(&mut self) {
        if self.guests.ends.is_empty() {
            return;
        }
        let now = self.node.now();
        while let Some(token) = self.guests.expired(now) {
            self.begin_close(token, Ending::Closing(Code::TokenExpired));
        }
    }

    /// Looks at every stream and waiting poll again, and ends those that are no longer allowed. Returns how many.
    pub(crate) fn reconsider(&mut self) -> usize {
        let now = self.node.now();
        let tokens: Vec<Token> = self.slots.iter().map(|(token, _)| token as Token).collect();
        let mut ended = 0;
        for token in tokens {
            let waits = matches!(self.slots.get(token as usize), Some(Slot::Waiting(_)));
            let Some(refused) = self.refused(token, waits, now) else { continue };
            ended += 1;
            match waits {
                // It asks again whether it may wait, and is told why not.
                true => self.wake(token, Vec::new()),
                false => self.begin_close(token, Ending::Closing(refused.code)),
            }
        }
        ended
    }

    /// Why a stream is to end, if it is.
    fn refused(&self, token: Token, waits: bool, now: u64) -> Option<Problem> {
        // One that is closing has no selection any more.
        let selection = self.readers.selection(token)?;
        let identity = match waits {
            true => self.guests.waiting.get(&token).cloned().unwrap_or_default(),
            false => self.guests.identity(token),
        };
        let auth = &self.node.auth;
        auth.standing(&identity, now).and_then(|()| auth.allow_reading(&identity, selection)).err()
    }

    /// Ends a connection as revoked, and tells whose it was. `None` if it is not here.
    pub(crate) fn end(&mut self, connection: u64) -> Option<Identity> {
        let token = *self.guests.named.get(&connection)?;
        let identity = self.guests.identity(token);
        self.begin_close(token, Ending::Closing(Code::TokenRevoked));
        Some(identity)
    }

    /// Lets a connection go on as long as `identity` does, which must be of the same user and allow what is read. `None`
    /// if it is not here.
    pub(crate) fn renew(&mut self, connection: u64, identity: Identity) -> Option<Result<(), Problem>> {
        let token = *self.guests.named.get(&connection)?;
        let selection = self.readers.selection(token)?;
        let guest = self.guests.held.get_mut(&token)?;
        if identity.user().is_none() || identity.user() != guest.identity.user() {
            let why = "a connection is renewed by a token with the `sub` of the one that opened it";
            return Some(Err(Code::Forbidden.because(why)));
        }
        if let Err(problem) = self.node.auth.allow_reading(&identity, selection) {
            return Some(Err(problem));
        }
        if let Some(expires) = identity.expires() {
            self.guests.ends.push(Reverse((expires, connection)));
        }
        guest.identity = identity;
        Some(Ok(()))
    }
}
