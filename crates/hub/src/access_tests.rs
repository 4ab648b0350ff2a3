use super::*;
use proptest::prelude::*;

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

fn rule(text: &str, subscribe: Option<Whom>, publish: Option<Whom>) -> Rule {
    Rule { pattern: pattern(text), subscribe, publish, presence: None }
}

fn grants(subscribe: &[&str]) -> Grants {
    Grants { subscribe: subscribe.iter().map(|text| pattern(text)).collect(), ..Grants::default() }
}

fn may(access: &Access, who: Who<'_>, target: &str) -> (bool, Option<usize>) {
    let pattern = pattern(target);
    let name = ChannelName::new(target);
    let target = name.as_ref().map_or(Target::Pattern(&pattern), Target::Channel);
    let decision = access.decide(who, Action::Subscribe, target);
    (decision.allowed, decision.rule)
}

#[test]
fn without_a_rule_a_grant_is_needed() {
    let access = Access::default();
    let held = grants(&["a/**", "b"]);
    for (who, target, allowed) in [
        (Who::Anyone, "a", false),
        (Who::Token(&held), "a/x", true),
        (Who::Token(&held), "a/x/**", true),
        (Who::Token(&held), "**", false),
        (Who::Token(&held), "c", false),
        (Who::Key(&held), "b", true),
    ] {
        assert_eq!(may(&access, who, target), (allowed, None), "{who:?} {target}");
    }
    for action in [Action::Publish, Action::Presence, Action::Manage] {
        let name = ChannelName::new("b").unwrap();
        assert!(!access.decide(Who::Token(&held), action, Target::Channel(&name)).allowed, "{action:?}");
    }
}

#[test]
fn the_first_rule_that_speaks_of_it_decides_and_is_named() {
    let access = Access {
        rules: vec![
            rule("news/secret", Some(Whom::Nobody), None),
            rule("news/**", None, Some(Whom::Nobody)),
            rule("news/**", Some(Whom::Anyone), None),
            rule("members/**", Some(Whom::Token), None),
            rule("**", Some(Whom::Claim), None),
        ],
    };
    let (none, all) = (grants(&[]), grants(&["**"]));
    for (who, target, expected) in [
        (Who::Anyone, "news/today", (true, Some(2))),
        (Who::Token(&all), "news/secret", (false, Some(0))),
        (Who::Anyone, "members/x", (false, Some(3))),
        (Who::Token(&none), "members/x", (true, Some(3))),
        (Who::Key(&none), "members/x", (false, Some(3))),
        (Who::Key(&all), "members/x", (true, Some(3))),
        (Who::Key(&none), "news/today", (true, Some(2))),
        (Who::Token(&none), "other", (false, Some(4))),
        (Who::Token(&all), "other", (true, Some(4))),
        // A pattern is in the hands of every rule it meets.
        (Who::Token(&all), "news/**", (false, Some(0))),
        (Who::Anyone, "news/a/**", (true, Some(2))),
        (Who::Token(&none), "members/**", (true, Some(3))),
        (Who::Token(&all), "**", (false, Some(0))),
        (Who::Token(&all), "*/*/x", (true, Some(4))),
        (Who::Token(&none), "*/*/x", (false, Some(4))),
    ] {
        assert_eq!(may(&access, who, target), expected, "{who:?} {target}");
    }
}

#[test]
fn whom_nothing_is_allowed_on_any_channel() {
    let (none, held) = (grants(&[]), grants(&["a"]));
    let closed =
        Access { rules: vec![rule("a", Some(Whom::Nobody), Some(Whom::Anyone)), rule("b", Some(Whom::Claim), None)] };
    let open = Access { rules: vec![rule("a", Some(Whom::Token), None)] };
    for (access, who, allowed) in [
        (&closed, Who::Anyone, false),
        (&closed, Who::Token(&none), false),
        (&closed, Who::Token(&held), true),
        (&closed, Who::Key(&held), true),
        (&open, Who::Anyone, false),
        (&open, Who::Key(&none), false),
        (&open, Who::Token(&none), true),
    ] {
        assert_eq!(access.may_allow(who, Action::Subscribe), allowed, "{who:?} {access:?}");
    }
    assert!(closed.may_allow(Who::Anyone, Action::Publish));
}

#[test]
fn the_grant_that_decided_is_named() {
    let held = grants(&["x", "a/*", "a/**"]);
    let name = ChannelName::new("a/b").unwrap();
    let decision = Access::default().decide(Who::Token(&held), Action::Subscribe, Target::Channel(&name));
    assert_eq!(decision.grant, Some(pattern("a/*")));
}

#[test]
fn a_selection_is_refused_for_the_first_of_it_that_may_not_be_read() {
    let held = grants(&["a/**"]);
    let mut selection = Selection::default();
    for text in ["a/b", "a/**", "c/*"] {
        selection.add(text).unwrap();
    }
    let refused = Access::default().refused(Who::Token(&held), Action::Subscribe, &selection).unwrap();
    assert_eq!(refused.0.to_string(), "c/*");
    selection.patterns.pop();
    assert!(Access::default().refused(Who::Token(&held), Action::Subscribe, &selection).is_none());
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "**"]), 1..4).prop_map(|parts| parts.join("/"))
}

proptest! {
    /// Whoever may read a pattern may read every channel that it selects: a pattern is no way around the rules.
    #[test]
    fn a_pattern_gives_nothing_that_its_channels_do_not(
        rules in prop::collection::vec((text(), prop::option::of(prop::sample::select(Whom::ALL.to_vec()))), 0..5),
        held in prop::collection::vec(text(), 0..4),
        asked in text(),
        name in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..5),
    ) {
        let access = Access { rules: rules.iter().map(|(text, whom)| rule(text, *whom, None)).collect() };
        let held: Vec<&str> = held.iter().map(String::as_str).collect();
        let held = grants(&held);
        let (asked, name) = (pattern(&asked), ChannelName::new(&name.join("/")).unwrap());
        for who in [Who::Anyone, Who::Token(&held), Who::Key(&held)] {
            let whole = access.decide(who, Action::Subscribe, Target::Pattern(&asked)).allowed;
            let one = access.decide(who, Action::Subscribe, Target::Channel(&name)).allowed;
            prop_assert!(!one || access.may_allow(who, Action::Subscribe), "{name} {who:?} {access:?}");
            prop_assert!(!(whole && asked.matches(&name)) || one, "{asked} {name} {who:?} {access:?}");
        }
    }
}
