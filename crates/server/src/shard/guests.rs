//! Whose a stream is, and when it is taken from them. Kept beside the connections, so that those of anyone, and what is
//! delivered to whomever, cost nothing for it.

use super::{Shard, Slot};
use crate::auth::Identity;
use crate::limits::Seats;
use crate::limits::bucket::Allowance;
use crate::transport::Ending;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use switchboard_hub::Token;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// Whoever a stream was opened for.
pub(crate) struct Guest {
    pub(crate) identity: Identity,
    /// What the connection is called, as its `$open` tells.
    pub(crate) connection: u64,
    /// What it takes up of the limits of its user and its address.
    pub(crate) seats: Seats,
    /// What it may publish.
    pub(crate) allowance: Allowance,
    /// Where it is from.
    pub(crate) address: IpAddr,
}

impl Guest {
    pub(crate) fn new(identity: Identity, connection: u64) -> Guest {
        let (seats, allowance) = Default::default();
        Guest { identity, connection, seats, allowance, address: Ipv4Addr::UNSPECIFIED.into() }
    }
}

/// Ends that are kept without a look at whether they still hold.
const ENDS_MIN: usize = 64;

/// The streams and waiting polls that are somebody's.
#[derive(Default)]
pub(super) struct Guests {
    held: HashMap<Token, Guest>,
    waiting: HashMap<Token, Identity>,
    /// What connections still take up whose last words were said: it is theirs until their sockets are gone.
    leaving: HashMap<Token, Vec<Seats>>,
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

    /// A stream is nobody's any more, and its connection is still there.
    pub(super) fn retire(&mut self, token: Token) {
        if let Some(guest) = self.take(token) {
            self.keep(token, guest.seats);
        }
    }

    /// Lets something that is over keep its place for as long as the socket of a connection is there.
    pub(super) fn keep(&mut self, token: Token, seats: Seats) {
        if !seats.is_empty() {
            self.leaving.entry(token).or_default().push(seats);
        }
    }

    /// A connection or waiting poll is gone.
    pub(super) fn remove(&mut self, token: Token) {
        self.waiting.remove(&token);
        self.leaving.remove(&token);
        self.take(token);
    }

    fn take(&mut self, token: Token) -> Option<Guest> {
        let guest = self.held.remove(&token)?;
        self.named.remove(&guest.connection);
        self.tidy_ends();
        Some(guest)
    }

    /// Lets a stream be somebody's from now on, and publish what they may. `None` if it is nobody's.
    fn renew(&mut self, token: Token, identity: Identity, allowance: Allowance) -> Option<()> {
        let guest = self.held.get_mut(&token)?;
        if let Some(expires) = identity.expires() {
            self.ends.push(Reverse((expires, guest.connection)));
        }
        (guest.identity, guest.allowance) = (identity, allowance);
        self.tidy_ends();
        Some(())
    }

    /// Streams that go or are renewed must not leave their ends behind for as long as their tokens last.
    fn tidy_ends(&mut self) {
        if self.ends.len() <= ENDS_MIN || self.ends.len() <= 4 * self.held.len() {
            return;
        }
        let (named, held) = (&self.named, &self.held);
        self.ends.retain(|Reverse((at, connection))| {
            let guest = named.get(connection).and_then(|token| held.get(token));
            guest.is_some_and(|guest| guest.identity.expires() == Some(*at))
        });
    }

    /// Whose a stream is.
    pub(super) fn identity(&self, token: Token) -> Identity {
        self.held.get(&token).map(|guest| guest.identity.clone()).unwrap_or_default()
    }

    /// Whose a stream is, and where they are.
    pub(super) fn who(&self, token: Token) -> Option<(&Identity, IpAddr)> {
        self.held.get(&token).map(|guest| (&guest.identity, guest.address))
    }

    /// What the holder of a stream may publish.
    pub(super) fn allowance(&self, token: Token) -> Allowance {
        self.held.get(&token).map(|guest| guest.allowance).unwrap_or_default()
    }

    /// The next stream that has come to its end by now.
    fn expired(&mut self, now: u64) -> Option<Token> {
        while self.ends.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Reverse((_, connection)) = self.ends.pop()?;
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
            if self.sessions_have(token) {
                continue;
            }
            let Some(refused) = self.refused(token, waits, now) else { continue };
            ended += 1;
            match waits {
                // It asks again whether it may wait, and is told why not.
                true => self.wake(token, Vec::new()),
                false => self.begin_close(token, Ending::Closing(refused.code)),
            }
        }
        ended + self.reconsider_sessions()
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
        let guest = self.guests.held.get(&token)?;
        if identity.user().is_none() || identity.user() != guest.identity.user() {
            let why = "a connection is renewed by a token with the `sub` of the one that opened it";
            return Some(Err(Code::Forbidden.because(why)));
        }
        // The token may have been taken back since the request was let in: then streams were looked at before this.
        let auth = &self.node.auth;
        let stands = auth.standing(&identity, self.node.now());
        if let Err(problem) = stands.and_then(|()| auth.allow_reading(&identity, selection)) {
            return Some(Err(problem));
        }
        let allowance = self.node.limits.publisher(&identity, Some(guest.address));
        self.guests.renew(token, identity, allowance).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Identity;

    fn guest(connection: u64, expires: u64) -> Guest {
        Guest::new(Identity::for_tests(expires), connection)
    }

    #[test]
    fn streams_end_in_the_order_of_their_tokens_and_later_where_they_were_renewed() {
        let mut guests = Guests::default();
        for (token, expires) in [(0, 30), (1, 10), (2, 20)] {
            guests.add(token, guest(100 + u64::from(token), expires));
        }
        assert_eq!(guests.expired(9), None);
        assert_eq!(guests.renew(1, Identity::for_tests(40), Allowance::default()), Some(()));
        assert_eq!(guests.expired(20), Some(2));
        guests.remove(2);
        assert_eq!((guests.expired(30), guests.expired(39)), (Some(0), None));
        guests.remove(0);
        assert_eq!(guests.expired(40), Some(1));
        guests.remove(1);
        assert_eq!(guests.expired(u64::MAX), None);
    }

    #[test]
    fn ends_that_are_over_are_not_kept_for_as_long_as_tokens_last() {
        let mut guests = Guests::default();
        guests.add(0, guest(1, 1_000_000));
        for round in 0..10_000 {
            guests.renew(0, Identity::for_tests(1_000_001 + round), Allowance::default());
            guests.add(1, guest(2 + round, 1_000_000));
            guests.remove(1);
        }
        assert!(guests.ends.len() <= ENDS_MIN + 1, "{}", guests.ends.len());
        assert_eq!(guests.expired(1_010_000), Some(0));
    }
}
