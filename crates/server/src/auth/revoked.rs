//! What was revoked before it expired. It is kept until every token that it could concern has expired by itself, which is
//! known: no token lasts longer than `auth.lifetime`.

use super::identity::Signed;
use std::collections::HashMap;

/// What is taken back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Revocation {
    /// All tokens of this `sub` that were issued up to now.
    User(Box<str>),
    /// The token of this `jti`.
    Token(Box<str>),
    /// The token that a connection has, whatever it says: by [`Signed::print`].
    Print([u8; 32]),
}

/// There are as many revocations as are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

#[derive(Clone, Copy)]
struct Kept {
    /// When it was revoked.
    at: u64,
    until: u64,
}

/// The revocations in force. Times are milliseconds since the Unix epoch.
pub(crate) struct Revoked {
    users: HashMap<Box<str>, Kept>,
    tokens: HashMap<Box<str>, Kept>,
    prints: HashMap<[u8; 32], Kept>,
}

impl Revoked {
    pub(crate) fn new() -> Revoked {
        Revoked { users: HashMap::new(), tokens: HashMap::new(), prints: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len() + self.tokens.len() + self.prints.len()
    }

    /// Takes a revocation in. Beyond `limit` it is refused: to drop an older one would give back what was taken.
    pub(crate) fn add(&mut self, revocation: Revocation, now: u64, until: u64, limit: usize) -> Result<(), Full> {
        let known = match &revocation {
            Revocation::User(user) => self.users.contains_key(user),
            Revocation::Token(id) => self.tokens.contains_key(id),
            Revocation::Print(print) => self.prints.contains_key(print),
        };
        if !known && self.len() >= limit {
            self.sweep(now);
            if self.len() >= limit {
                return Err(Full);
            }
        }
        let kept = Kept { at: now, until };
        match revocation {
            Revocation::User(user) => self.users.insert(user, kept),
            Revocation::Token(id) => self.tokens.insert(id, kept),
            Revocation::Print(print) => self.prints.insert(print, kept),
        };
        Ok(())
    }

    /// Drops what concerns nobody any more.
    pub(crate) fn sweep(&mut self, now: u64) {
        self.users.retain(|_, kept| kept.until > now);
        self.tokens.retain(|_, kept| kept.until > now);
        self.prints.retain(|_, kept| kept.until > now);
    }

    pub(crate) fn holds(&self, signed: &Signed) -> bool {
        let of_user = signed.user.as_deref().and_then(|user| self.users.get(user));
        // Dates of tokens are often cut to seconds: one of the same second counts as issued before.
        let earlier = |kept: &Kept| signed.issued.is_none_or(|issued| issued <= kept.at);
        of_user.is_some_and(earlier)
            || signed.id.as_deref().is_some_and(|id| self.tokens.contains_key(id))
            || self.prints.contains_key(&signed.print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(user: Option<&str>, id: Option<&str>, issued: Option<u64>) -> Signed {
        Signed {
            id: id.map(Into::into),
            user: user.map(Into::into),
            issued,
            expires: 0,
            key: [0; 32],
            fetched: false,
            print: [7; 32],
            grants: switchboard_hub::access::Grants::default(),
            limits: crate::auth::identity::Limits::default(),
            info: None,
        }
    }

    #[test]
    fn a_revocation_concerns_its_user_its_token_or_its_print() {
        let mut revoked = Revoked::new();
        revoked.add(Revocation::User("ann".into()), 1000, 9000, 10).unwrap();
        revoked.add(Revocation::Token("t1".into()), 1000, 9000, 10).unwrap();
        for (user, id, issued, held) in [
            (Some("ann"), None, Some(1000), true),
            (Some("ann"), None, Some(1001), false),
            (Some("ann"), None, None, true),
            (Some("bob"), Some("t1"), Some(5000), true),
            (Some("bob"), Some("t2"), Some(0), false),
            (None, None, None, false),
        ] {
            assert_eq!(revoked.holds(&signed(user, id, issued)), held, "{user:?} {id:?} {issued:?}");
        }
        revoked.add(Revocation::Print([7; 32]), 1000, 9000, 10).unwrap();
        assert!(revoked.holds(&signed(None, None, None)));
    }

    #[test]
    fn they_are_bounded_and_go_when_they_concern_nobody() {
        let mut revoked = Revoked::new();
        revoked.add(Revocation::Token("a".into()), 0, 10, 2).unwrap();
        revoked.add(Revocation::Token("b".into()), 0, 20, 2).unwrap();
        assert_eq!(revoked.add(Revocation::Token("c".into()), 5, 30, 2), Err(Full));
        assert_eq!(revoked.add(Revocation::Token("b".into()), 5, 30, 2), Ok(()));
        assert_eq!(revoked.add(Revocation::Token("c".into()), 10, 30, 2), Ok(()));
        assert!(!revoked.holds(&signed(None, Some("a"), None)));
        revoked.sweep(30);
        assert_eq!(revoked.len(), 0);
    }
}
