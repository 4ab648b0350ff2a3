//! Why somebody may do something or may not, for people: without a server, from the same settings and by the same
//! decision.

use super::identity::Identity;
use super::settings::{ChannelLimit, Settings};
use super::token::{self, Fault};
use super::{Kind, apikey, holder_of_key};
use std::fmt;
use switchboard_hub::access::{Action, Decision, Target, Whom};
use switchboard_wire::code::Problem;
use switchboard_wire::name::BadName;
use switchboard_wire::{ChannelName, Code, Pattern};

/// Who shows a token or an API key.
pub struct Shown(Identity);

impl Shown {
    /// Somebody who shows nothing.
    pub fn nothing() -> Shown {
        Shown(Identity::default())
    }

    /// Whoever shows this, at a time in milliseconds since the Unix epoch. Revocations are the server's to know.
    pub fn of(text: &str, settings: &Settings, now: u64) -> Result<Shown, Problem> {
        let holder = if text.starts_with(apikey::PREFIX) {
            holder_of_key(text, settings)?
        } else {
            Kind::Token(token::check(text, settings, &settings.keys, now).map_err(problem_of)?)
        };
        Ok(Shown(Identity::of(holder)))
    }

    /// Checks a token that was made to be shown at a server with these settings. Where no key is in them, or some are
    /// fetched, its signature is for the server to check.
    pub fn check_made(text: &str, settings: &Settings, now: u64) -> Result<(), Problem> {
        if settings.jwks.is_none() && !settings.keys.is_empty() {
            return Shown::of(text, settings, now).map(drop);
        }
        token::check_claims(text, settings, now).map_err(problem_of)
    }

    /// Whether the settings let them do this to a channel or to all channels of a pattern.
    pub fn may(&self, settings: &Settings, action: Action, target: &str) -> Result<Answer, BadName> {
        let pattern = Pattern::new(target)?;
        let name = ChannelName::new(target);
        let asked = name.as_ref().map_or(Target::Pattern(&pattern), Target::Channel);
        let decision = settings.access.decide(self.0.who(settings), action, asked);
        let rule = decision.rule.and_then(|index| settings.access.rules.get(index));
        Ok(Answer {
            open: settings.is_open(),
            limits: match (action, &name) {
                (Action::Publish, Ok(channel)) => limits_of(settings, channel),
                _ => Vec::new(),
            },
            who: self.describe(),
            sentence: format!("{} `{target}`", action.as_str()),
            rule: rule.map(|rule| rule.pattern.to_string()),
            action,
            decision,
        })
    }

    /// Who it is.
    pub fn describe(&self) -> String {
        match self.0.kind() {
            None | Some(Kind::Welcomed(_)) => "anyone".into(),
            Some(Kind::Key { name, .. }) => format!("the API key {name:?}"),
            Some(Kind::Token(signed)) => match &signed.user {
                Some(user) => format!("the token of {user:?}"),
                None => "the token".into(),
            },
        }
    }

    /// What others see of the user, as JSON.
    pub fn info(&self) -> Option<&str> {
        self.0.info()
    }

    /// When it ends, in milliseconds since the Unix epoch.
    pub fn expires(&self) -> Option<u64> {
        self.0.expires()
    }
}

fn problem_of(fault: Fault) -> Problem {
    match fault {
        Fault::Refused(problem) => problem,
        Fault::UnknownKey => Code::Unauthorized.because("the token was refused: no key has its `kid`"),
    }
}

/// Yes or no, and what decided. Written out, it is a sentence.
pub struct Answer {
    open: bool,
    who: String,
    sentence: String,
    action: Action,
    rule: Option<String>,
    decision: Decision,
    /// What the channel takes of whoever publishes, each with its rule.
    limits: Vec<String>,
}

/// How much and how fast may be published to a channel, by the rules that say so.
fn limits_of(settings: &Settings, channel: &ChannelName) -> Vec<String> {
    let said = |what: fn(&ChannelLimit) -> Option<String>| {
        ChannelLimit::of(&settings.channel_limits, channel, |limit| {
            what(limit).map(|sentence| format!("[[channel]] `{}` {sentence}", limit.pattern))
        })
    };
    let rate = said(|limit| limit.publishes.map(|most| format!("takes {most} events a second of all together")));
    let size = said(|limit| limit.message.map(|most| format!("takes messages of at most {most} bytes")));
    rate.into_iter().chain(size).collect()
}

impl Answer {
    pub fn is_yes(&self) -> bool {
        self.open || self.decision.allowed
    }

    /// Whether a rule lets nobody do it, whatever they show.
    pub fn is_for_nobody(&self) -> bool {
        self.decision.whom == Whom::Nobody
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (yes, may) = if self.is_yes() { ("yes", "may") } else { ("no", "may not") };
        write!(f, "{yes}: {} {may} {}: ", self.who, self.sentence)?;
        self.explain(f)?;
        match self.is_yes() {
            true => self.limits.iter().try_for_each(|limit| write!(f, "; {limit}")),
            false => Ok(()),
        }
    }
}

impl Answer {
    /// What decided.
    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.open {
            return f.write_str("nothing about authentication is configured, and everyone may do everything");
        }
        match &self.rule {
            Some(pattern) => {
                write!(
                    f,
                    "[[channel]] `{pattern}` has {} = \"{}\"",
                    self.action.as_str(),
                    self.decision.whom.as_str()
                )?;
            }
            None => write!(f, "no [[channel]] says who may {} there, so that it takes a claim", self.action.as_str())?,
        }
        match (&self.decision.grant, self.decision.whom) {
            (Some(grant), _) => write!(f, ", and `{grant}` was granted"),
            (None, Whom::Claim) => f.write_str(", and nothing that was granted covers it"),
            (None, _) => Ok(()),
        }
    }
}
