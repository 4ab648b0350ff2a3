//! Who may do what.
//!
//! ```text
//!   what a request carries ──► an identity ──► what it was granted ┐
//!        carried                token, apikey      hub::access     ├──► one decision
//!                                              the rules by pattern┘
//! ```
//!
//! An identity is made once for a request, by [`Auth::identify`]. What the request does is then decided by one pure
//! function, [`switchboard_hub::access::Access::decide`]. What a request opens keeps the identity: a shard ends its
//! streams when a token expires, is revoked, or no longer suffices. Nothing is checked per event that is delivered.

pub mod apikey;
mod carried;
pub mod explain;
mod fetch;
mod identity;
pub(crate) mod jwks;
pub mod keys;
mod revoked;
pub mod settings;
pub mod sign;
mod token;

pub(crate) use carried::{PARAMETER, Way};
pub(crate) use identity::{Identity, Welcome};
pub(crate) use revoked::Revocation;
pub use settings::Settings;
pub use token::look_into;
pub(crate) use token::on_one_line;

use crate::api::query::Query;
use crate::audit::Audit;
use crate::listen::Head;
use identity::{Kind, Signed};
use jwks::Fetched;
use keys::Key;
use revoked::Revoked;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use switchboard_hub::access::{Action, Decision, Target};
use switchboard_wire::code::Problem;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Code, Pattern, presence};
use token::Fault;

/// Milliseconds between two looks at what was revoked.
const SWEEP: u64 = 60_000;

/// All that a server knows about who may do what.
pub(crate) struct Auth {
    /// Replaced as a whole by a reload.
    settings: RwLock<Arc<Settings>>,
    pub(crate) fetched: Fetched,
    /// Whether nothing is configured, which no reload changes.
    open: bool,
    revoked: RwLock<Revoked>,
    /// When what was revoked was last looked through.
    swept: AtomicU64,
    /// Names connections, so that they can be renewed and ended.
    connections: AtomicU64,
    /// What is told of refusals.
    pub(crate) audit: Audit,
}

/// Who asks, and by which way that was shown.
pub(crate) struct Asked {
    pub(crate) identity: Identity,
    pub(crate) way: Option<Way>,
}

impl Auth {
    /// `seed` is random: the names of connections begin there, so that those of an earlier run name none of this one.
    pub(crate) fn new(settings: Settings, seed: u64) -> Auth {
        Auth {
            fetched: Fetched::new(),
            open: settings.is_open(),
            settings: RwLock::new(Arc::new(settings)),
            revoked: RwLock::new(Revoked::new()),
            swept: AtomicU64::new(0),
            connections: AtomicU64::new(seed),
            audit: Audit::new(),
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// A name for a connection that no other has.
    pub(crate) fn name_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Who asks. `now` is in milliseconds since the Unix epoch.
    pub(crate) async fn identify(&self, head: &Head, query: &Query, now: u64) -> Result<Asked, Problem> {
        if self.open {
            return Ok(Asked { identity: Identity::default(), way: None });
        }
        let settings = self.settings();
        let Some(carried) = carried::find(&head.headers, query, &settings)? else {
            return Ok(Asked { identity: Identity::default(), way: None });
        };
        let identity = if carried.text.starts_with(apikey::PREFIX) {
            if carried.way != Way::Authorization {
                return Err(Code::Unauthorized.because("an API key goes into `Authorization`, and nowhere else"));
            }
            Identity::of(holder_of_key(carried.text, &settings)?)
        } else {
            Identity::of(Kind::Token(self.holder_of_token(carried.text, &settings, now).await?))
        };
        self.standing(&identity, now)?;
        Ok(Asked { identity, way: Some(carried.way) })
    }

    /// Who holds a token that came in a message. `now` is in milliseconds since the Unix epoch.
    pub(crate) async fn identify_token(&self, text: &str, now: u64) -> Result<Identity, Problem> {
        if self.open {
            return Err(Code::Unauthorized.because("nothing here looks at tokens: no authentication is configured"));
        }
        let identity = Identity::of(Kind::Token(self.holder_of_token(text, &self.settings(), now).await?));
        self.standing(&identity, now)?;
        Ok(identity)
    }

    /// Who holds a token, by the keys of the configuration or, where it names none of them, by those that are fetched.
    async fn holder_of_token(&self, text: &str, settings: &Settings, now: u64) -> Result<Signed, Problem> {
        let unknown = || Code::Unauthorized.because("the token was refused: no key has its `kid`");
        let check = |keys: &[Key]| match token::check(text, settings, keys, now) {
            Ok(holder) => Ok(Some(holder)),
            Err(Fault::UnknownKey) => Ok(None),
            Err(Fault::Refused(problem)) => Err(problem),
        };
        if settings.jwks.is_none() {
            return check(&settings.keys)?.ok_or_else(unknown);
        }
        let known = |fetched: &[Key]| [&settings.keys[..], fetched].concat();
        let fetched = self.fetched.keys();
        if !(fetched.is_empty() && settings.keys.is_empty())
            && let Some(holder) = check(&known(&fetched))?
        {
            return Ok(holder);
        }
        if !self.fetched.again().await {
            return Err(Code::Overloaded.because("the keys that tokens are checked with could not be fetched yet"));
        }
        check(&known(&self.fetched.keys()))?.ok_or_else(unknown)
    }

    /// Whether an identity still holds: its token has not expired and was not revoked, its key is still there.
    pub(crate) fn standing(&self, identity: &Identity, now: u64) -> Result<(), Problem> {
        let Some(kind) = identity.kind() else { return Ok(()) };
        let settings = self.settings();
        match kind {
            Kind::Welcomed(_) => Ok(()),
            Kind::Key { hash, .. } if settings.api_keys.iter().any(|key| key.hash.is(hash)) => Ok(()),
            Kind::Key { .. } => Err(Code::TokenRevoked.because("the API key is no longer known here")),
            Kind::Token(signed) if signed.expires <= now => Err(Code::TokenExpired.into()),
            Kind::Token(signed) if self.is_revoked(signed) => Err(Code::TokenRevoked.into()),
            // Keys that are fetched change hands in the course of things: a token of an earlier one lasts as long as it says.
            Kind::Token(signed) if signed.fetched && settings.jwks.is_some() => Ok(()),
            Kind::Token(signed) if settings.keys.iter().any(|key: &Key| key.print() == signed.key) => Ok(()),
            Kind::Token(_) => Err(Code::TokenRevoked.because("the key that signed the token is no longer known here")),
        }
    }

    fn is_revoked(&self, signed: &Signed) -> bool {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).holds(signed)
    }

    /// Takes something back, from now on.
    pub(crate) fn revoke(&self, revocation: Revocation, now: u64) -> Result<(), Problem> {
        let settings = self.settings();
        // No token that came by now lasts longer: see `token::check`.
        let longest = settings.lifetime.saturating_add(3 * settings.skew).as_millis() as u64;
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        revoked
            .add(revocation, now, now.saturating_add(longest), settings.revocations)
            .map_err(|_| Code::Overloaded.because("as many revocations are kept as `auth.revocations` allows"))
    }

    pub(crate) fn revocations(&self) -> usize {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sums up refusals that were not told, and forgets what concerns nobody any more, now and then.
    pub(crate) fn tick(&self, now: u64) {
        self.audit.sum_up();
        if now.saturating_sub(self.swept.load(Ordering::Relaxed)) < SWEEP {
            return;
        }
        self.swept.store(now, Ordering::Relaxed);
        self.revoked.write().unwrap_or_else(PoisonError::into_inner).sweep(now);
    }

    /// Refuses what `identity` may not do to a channel.
    pub(crate) fn allow(&self, identity: &Identity, action: Action, channel: &ChannelName) -> Result<(), Problem> {
        if self.open {
            return Ok(());
        }
        let settings = self.settings();
        let target = Target::Channel(channel);
        let decision = settings.access.decide(identity.who(&settings), action, target);
        if decision.allowed { Ok(()) } else { Err(refusal(identity, action, target, &decision)) }
    }

    /// Refuses whoever may publish to no channel at all, whichever it is.
    pub(crate) fn allow_publishing(&self, identity: &Identity) -> Result<(), Problem> {
        let settings = self.settings();
        if self.open || settings.access.may_allow(identity.who(&settings), Action::Publish) {
            return Ok(());
        }
        let code = if identity.is_anyone() { Code::Unauthorized } else { Code::Forbidden };
        Err(code.because("this asks to publish, which takes a grant that covers it"))
    }

    /// Refuses to manage what is everybody's.
    pub(crate) fn allow_managing(&self, identity: &Identity) -> Result<(), Problem> {
        if self.open {
            return Ok(());
        }
        let settings = self.settings();
        let everything = Pattern::new("**").map_err(|_| Code::Internal)?;
        let target = Target::Pattern(&everything);
        let decision = settings.access.decide(identity.who(&settings), Action::Manage, target);
        if decision.allowed { Ok(()) } else { Err(refusal(identity, Action::Manage, target, &decision)) }
    }

    /// Refuses to read what `identity` may not: events, and who comes and goes.
    pub(crate) fn allow_reading(&self, identity: &Identity, selection: &Selection) -> Result<(), Problem> {
        if self.open {
            return Ok(());
        }
        // What the application has granted is beyond the rules.
        let rest = identity.welcome().map(|welcome| selection.without(&welcome.subscriptions));
        let (read, watched) = presence::apart(rest.as_ref().unwrap_or(selection));
        self.allow_all(identity, Action::Subscribe, &read)?;
        self.allow_all(identity, Action::Presence, &watched)
    }

    fn allow_all(&self, identity: &Identity, action: Action, selection: &Selection) -> Result<(), Problem> {
        let settings = self.settings();
        match settings.access.refused(identity.who(&settings), action, selection) {
            Some((target, decision)) => Err(refusal(identity, action, target, &decision)),
            None => Ok(()),
        }
    }
}

/// Who holds an API key.
fn holder_of_key(shown: &str, settings: &Settings) -> Result<Kind, Problem> {
    let key = apikey::find(&settings.api_keys, shown);
    let key = key.ok_or_else(|| Code::Unauthorized.because("the API key is not known here"))?;
    Ok(Kind::Key { name: key.name.clone(), hash: key.hash })
}

/// 401 for somebody who showed nothing and might, 403 for all others.
fn refusal(identity: &Identity, action: Action, target: Target<'_>, decision: &Decision) -> Problem {
    use switchboard_hub::access::Whom;
    let code = match identity.is_anyone() && decision.whom != Whom::Nobody {
        true => Code::Unauthorized,
        false => Code::Forbidden,
    };
    let needs = match decision.whom {
        Whom::Nobody => "which is for nobody",
        Whom::Token => "which takes a token, or an API key with that scope",
        Whom::Claim | Whom::Anyone => "which takes a grant that covers it",
    };
    code.because(format!("this asks to {} `{target}`, {needs}", action.as_str()))
}

#[cfg(test)]
mod tests;
