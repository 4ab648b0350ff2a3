//! Who may do what. One function decides, [`Access::decide`], from the rules, from what somebody was granted, and from
//! nothing else; it says which rule and which grant decided, so that a person can be told.

use std::fmt;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Pattern};

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Read events, in whatever way.
    Subscribe,
    /// Append events.
    Publish,
    /// See who is there.
    Presence,
    /// End and delete channels. On all channels: list them, and revoke.
    Manage,
}

impl Action {
    pub const ALL: [Action; 4] = [Action::Subscribe, Action::Publish, Action::Presence, Action::Manage];

    /// The word for it, in claims, in the configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Subscribe => "subscribe",
            Action::Publish => "publish",
            Action::Presence => "presence",
            Action::Manage => "manage",
        }
    }
}

/// What it is to be done to.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    Channel(&'a ChannelName),
    /// All channels that the pattern selects, now or ever.
    Pattern(&'a Pattern),
}

impl Target<'_> {
    fn is_covered_by(self, pattern: &Pattern) -> bool {
        match self {
            Target::Channel(name) => pattern.matches(name),
            Target::Pattern(asked) => pattern.covers(asked),
        }
    }

    fn is_met_by(self, pattern: &Pattern) -> bool {
        match self {
            Target::Channel(name) => pattern.matches(name),
            Target::Pattern(asked) => pattern.meets(asked),
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Channel(name) => fmt::Display::fmt(name, f),
            Target::Pattern(pattern) => fmt::Display::fmt(pattern, f),
        }
    }
}

/// Patterns that somebody was given, for each action.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grants {
    pub subscribe: Vec<Pattern>,
    pub publish: Vec<Pattern>,
    pub presence: Vec<Pattern>,
    pub manage: Vec<Pattern>,
}

impl Grants {
    pub fn of(&self, action: Action) -> &[Pattern] {
        match action {
            Action::Subscribe => &self.subscribe,
            Action::Publish => &self.publish,
            Action::Presence => &self.presence,
            Action::Manage => &self.manage,
        }
    }
}

/// Who asks, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// Somebody who showed nothing.
    Anyone,
    /// The holder of a token.
    Token(&'a Grants),
    /// The holder of an API key: it can do what its scope says and, like everyone, what anyone may.
    Key(&'a Grants),
}

impl Who<'_> {
    fn granted(&self, action: Action, target: Target<'_>) -> Option<&Pattern> {
        let (Who::Token(grants) | Who::Key(grants)) = self else { return None };
        grants.of(action).iter().find(|pattern| target.is_covered_by(pattern))
    }
}

/// Whom a rule lets do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whom {
    Anyone,
    /// Whoever has a token, whatever it says of channels.
    Token,
    /// Whoever was granted it: by a claim of a token, or by the scope of an API key.
    Claim,
    Nobody,
}

impl Whom {
    pub const ALL: [Whom; 4] = [Whom::Anyone, Whom::Token, Whom::Claim, Whom::Nobody];

    pub fn as_str(self) -> &'static str {
        match self {
            Whom::Anyone => "anyone",
            Whom::Token => "token",
            Whom::Claim => "claim",
            Whom::Nobody => "nobody",
        }
    }
}

/// What holds on the channels of a pattern. What it does not say, a later rule may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    pub pattern: Pattern,
    pub subscribe: Option<Whom>,
    pub publish: Option<Whom>,
    pub presence: Option<Whom>,
}

impl Rule {
    fn of(&self, action: Action) -> Option<Whom> {
        match action {
            Action::Subscribe => self.subscribe,
            Action::Publish => self.publish,
            Action::Presence => self.presence,
            // To take away what others have is never a matter of the channel alone.
            Action::Manage => None,
        }
    }
}

/// The rules, in their order: the first that matches a channel and speaks of the action decides. Where none does, a
/// grant is needed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    pub rules: Vec<Rule>,
}

/// What was decided, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    pub allowed: bool,
    /// Whom the rule lets do it.
    pub whom: Whom,
    /// The rule that decided, counted from 0; `None` where no rule speaks of it, and a grant is needed.
    pub rule: Option<usize>,
    /// What was granted that covers it, where that was asked for.
    pub grant: Option<Pattern>,
}

impl Access {
    /// Whether `who` may do this.
    ///
    /// A pattern may take in channels of several rules. All of these have to allow it, down to the first rule that
    /// covers the pattern whole; the decision is that of the first rule that refuses, else that of the last.
    pub fn decide(&self, who: Who<'_>, action: Action, target: Target<'_>) -> Decision {
        let mut last = None;
        for (index, rule) in self.rules.iter().enumerate() {
            let Some(whom) = rule.of(action).filter(|_| target.is_met_by(&rule.pattern)) else { continue };
            let decision = judge(who, action, target, whom, Some(index));
            if !decision.allowed || target.is_covered_by(&rule.pattern) {
                return decision;
            }
            last = Some(decision);
        }
        let otherwise = judge(who, action, target, Whom::Claim, None);
        match last {
            Some(decision) if otherwise.allowed => Decision { grant: otherwise.grant.or(decision.grant), ..decision },
            _ => otherwise,
        }
    }

    /// Whether there may be a channel that `who` may do this to. If not, [`Access::decide`] refuses it for every one.
    pub fn may_allow(&self, who: Who<'_>, action: Action) -> bool {
        let granted = match who {
            Who::Anyone => false,
            Who::Token(grants) | Who::Key(grants) => !grants.of(action).is_empty(),
        };
        granted
            || self.rules.iter().any(|rule| match rule.of(action) {
                Some(Whom::Anyone) => true,
                Some(Whom::Token) => matches!(who, Who::Token(_)),
                Some(Whom::Claim | Whom::Nobody) | None => false,
            })
    }

    /// The first of a selection that `who` may not do this to, with the decision.
    pub fn refused<'a>(
        &self,
        who: Who<'_>,
        action: Action,
        selection: &'a Selection,
    ) -> Option<(Target<'a>, Decision)> {
        let channels = selection.channels.iter().map(Target::Channel);
        let patterns = selection.patterns.iter().map(Target::Pattern);
        channels.chain(patterns).find_map(|target| {
            let decision = self.decide(who, action, target);
            (!decision.allowed).then_some((target, decision))
        })
    }
}

fn judge(who: Who<'_>, action: Action, target: Target<'_>, whom: Whom, rule: Option<usize>) -> Decision {
    let granted = || who.granted(action, target).cloned();
    let (allowed, grant) = match (whom, who) {
        (Whom::Anyone, _) | (Whom::Token, Who::Token(_)) => (true, None),
        (Whom::Nobody, _) | (_, Who::Anyone) => (false, None),
        (Whom::Claim | Whom::Token, _) => {
            let grant = granted();
            (grant.is_some(), grant)
        }
    };
    Decision { allowed, whom, rule, grant }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
