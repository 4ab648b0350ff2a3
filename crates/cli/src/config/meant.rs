//! Settings as meant: checked against each other and resolved into what the server takes.

use super::listening::SOCKET_MODE;
use super::value::{At, Count, Format, Level, Listen, Size, Span, Text, Texts};
use super::written::{Origin, Problem, Rule, Said, Written};
use super::{access, application, listening, presence, site};
use crate::units::show_size;
use std::time::Duration;
use switchboard::Config;
use switchboard::proxies::{Header, Network, Proxies};
use switchboard_store::{Class, Retention};
use switchboard_wire::Pattern;

/// What the settings come to.
#[derive(Clone, Debug)]
pub struct Meant {
    pub server: Config,
    pub log: Format,
    pub level: Level,
    /// What can be meant and seldom is.
    pub warnings: Vec<Problem>,
}

/// A value that nobody said.
pub(super) fn said<T>(value: T) -> Option<Said<T>> {
    Some(Said { value, origin: Origin::Default })
}

/// What holds where nobody says otherwise, as if it had been written.
pub fn defaults() -> Written {
    let config = Config::default();
    let Config { limits, timeouts, policy, auth, .. } = config;
    let history = retention(&policy);
    Written {
        listen: said(Listen(config.listen.into_iter().map(At::Address).collect())),
        socket_mode: said(Text(SOCKET_MODE.to_owned())),
        tls_listen: said(Listen(Vec::new())),
        tls_certificate: said(Text(String::new())),
        tls_key: said(Text(String::new())),
        insecure: said(config.insecure),
        shards: said(config.shards.map(Count)),
        connections: said(config.connections.map(Count)),
        drain: said(Span(config.drain)),
        heartbeat: said(Span(config.heartbeat)),
        retry: said(Span(config.retry)),
        gzip: said(config.gzip),
        log: said(Format::Text),
        log_level: said(Level("info".to_owned())),
        limits_message: said(Size(limits.message)),
        limits_fragments: said(Count(limits.fragments as usize)),
        limits_head: said(Size(limits.head)),
        limits_streams: said(Count(limits.streams as usize)),
        limits_batch: said(Size(limits.batch)),
        limits_page: said(Count(limits.page)),
        limits_channels: said(Count(limits.channels)),
        limits_address: said(limits.address.map(Count)),
        limits_user: said(limits.user.map(Count)),
        limits_accepts: said(limits.accepts.map(|count| Count(count as usize))),
        limits_publishes: said(limits.publishes.map(|count| Count(count as usize))),
        timeouts_head: said(Span(timeouts.head)),
        timeouts_idle: said(Span(timeouts.idle)),
        timeouts_body: said(Span(timeouts.body)),
        timeouts_wait: said(Span(timeouts.wait)),
        timeouts_close: said(Span(timeouts.close)),
        proxies_addresses: said(Texts(Vec::new())),
        proxies_header: said(Text(config.proxies.header.as_str().to_owned())),
        proxies_protocol: said(Texts(Vec::new())),
        history_events: said(Count(history.events)),
        history_age: said(Span(Duration::from_millis(history.age))),
        history_bytes: said(Size(history.bytes)),
        memory_bytes: said(Size(policy.bytes)),
        memory_transit: said(Size(config.transit)),
        memory_channels: said(Count(policy.channels)),
        idempotency_keys: said(Count(policy.keys)),
        idempotency_age: said(Span(Duration::from_millis(policy.key_age))),
        presence_debounce: said(Span(config.presence.debounce)),
        auth_issuer: said(Texts(auth.issuers)),
        auth_audience: said(Texts(auth.audiences)),
        auth_skew: said(Span(auth.skew)),
        auth_lifetime: said(Span(auth.lifetime)),
        auth_jwks: said(Text(String::new())),
        auth_jwks_ca: said(Text(String::new())),
        auth_jwks_refresh: said(Span(access::JWKS_REFRESH)),
        auth_token_size: said(Size(auth.token_bytes)),
        auth_cookie: said(Text(auth.cookie.unwrap_or_default())),
        auth_revocations: said(Count(auth.revocations)),
        auth_metrics: said(auth.metrics),
        auth_origins: said(Texts(auth.origins)),
        rules: Vec::new(),
        keys: Vec::new(),
        api_keys: Vec::new(),
        ..of_sessions(&config.session)
    }
}

fn of_sessions(session: &switchboard::config::Session) -> Written {
    Written {
        session_linger: said(Span(session.linger)),
        session_memory: said(Size(session.memory)),
        session_count: said(session.count.map(Count)),
        session_calls: said(Count(session.calls)),
        session_call_timeout: said(Span(session.call_timeout)),
        ..application::defaults()
    }
}

pub(super) fn retention(policy: &switchboard_store::Policy) -> Retention {
    match policy.default {
        Class::History(retention) => retention,
        Class::Ephemeral | Class::State => Retention::default(),
    }
}

/// Resolves what was written. Every problem is found, not only the first.
pub fn resolve(written: &Written) -> Result<Meant, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut config = Config::default();
    check_nothing_is_zero(written, &mut problems);
    apply(written, &mut config);
    apply_policy(written, &mut config, &mut problems);
    apply_proxies(written, &mut config.proxies, &mut problems);
    access::apply(written, &mut config.auth, &mut problems);
    presence::apply(written, &mut config.presence, &mut problems);
    config.application = application::resolve(written, &mut problems);
    config.site = site::resolve(written, &mut problems);
    listening::apply(written, &mut config, &mut problems);
    check_memory(written, &config, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let log = written.log.as_ref().map_or(Format::Text, |said| said.value);
    let level = written.log_level.as_ref().map_or_else(|| Level("info".to_owned()), |said| said.value.clone());
    let warnings = super::warnings::of(written, &config);
    Ok(Meant { server: config, log, level, warnings })
}

/// Puts `$said`, if it was, in `$place`.
macro_rules! put {
    ($($place:expr, $said:expr, $of:expr;)*) => {
        $(if let Some(said) = &$said { $place = $of(said.value.clone()); })*
    };
}

fn apply(written: &Written, config: &mut Config) {
    put! {
        config.insecure, written.insecure, |insecure| insecure;
        config.shards, written.shards, |shards: Option<Count>| shards.map(|count| count.0);
        config.connections, written.connections, |most: Option<Count>| most.map(|count| count.0);
        config.drain, written.drain, |span: Span| span.0;
        config.heartbeat, written.heartbeat, |span: Span| span.0;
        config.retry, written.retry, |span: Span| span.0;
        config.gzip, written.gzip, |gzip: bool| gzip;
        config.limits.message, written.limits_message, |size: Size| size.0;
        config.limits.fragments, written.limits_fragments, |count: Count| u32::try_from(count.0).unwrap_or(u32::MAX);
        config.limits.head, written.limits_head, |size: Size| size.0;
        config.limits.streams, written.limits_streams, |count: Count| u32::try_from(count.0).unwrap_or(u32::MAX);
        config.limits.batch, written.limits_batch, |size: Size| size.0;
        config.limits.page, written.limits_page, |count: Count| count.0;
        config.limits.channels, written.limits_channels, |count: Count| count.0;
        config.limits.address, written.limits_address, |most: Option<Count>| most.map(|count| count.0);
        config.limits.user, written.limits_user, |most: Option<Count>| most.map(|count| count.0);
        config.limits.accepts, written.limits_accepts, rate;
        config.limits.publishes, written.limits_publishes, rate;
        config.session.linger, written.session_linger, |span: Span| span.0;
        config.session.memory, written.session_memory, |size: Size| size.0;
        config.session.count, written.session_count, |most: Option<Count>| most.map(|count| count.0);
        config.session.calls, written.session_calls, |count: Count| count.0;
        config.session.call_timeout, written.session_call_timeout, |span: Span| span.0;
        config.timeouts.head, written.timeouts_head, |span: Span| span.0;
        config.timeouts.idle, written.timeouts_idle, |span: Span| span.0;
        config.timeouts.body, written.timeouts_body, |span: Span| span.0;
        config.timeouts.wait, written.timeouts_wait, |span: Span| span.0;
        config.timeouts.close, written.timeouts_close, |span: Span| span.0;
    }
}

fn apply_policy(written: &Written, config: &mut Config, problems: &mut Vec<Problem>) {
    let policy = &mut config.policy;
    let mut history = retention(policy);
    put! {
        history.events, written.history_events, |count: Count| count.0;
        history.age, written.history_age, milliseconds;
        history.bytes, written.history_bytes, |size: Size| size.0;
        policy.bytes, written.memory_bytes, |size: Size| size.0;
        config.transit, written.memory_transit, |size: Size| size.0;
        policy.channels, written.memory_channels, |count: Count| count.0;
        policy.keys, written.idempotency_keys, |count: Count| count.0;
        policy.key_age, written.idempotency_age, milliseconds;
    }
    policy.default = Class::History(history);
    for rule in &written.rules {
        // A rule that lacks one of the two was complained of where it was read.
        let (Some(pattern), Some(class)) = (&rule.pattern, &rule.class) else {
            problems.extend(history_without_class(rule));
            continue;
        };
        let class = class_of(rule, class, history).map_err(|problem| problems.push(problem));
        let pattern = Pattern::new(&pattern.value)
            .map_err(|bad| problems.push(Problem::at(&pattern.origin, format!("pattern `{}`: {bad}", pattern.value))));
        if let (Ok(pattern), Ok(class)) = (pattern, class) {
            policy.rules.push((pattern, class));
        }
    }
}

/// A rule that leaves the class to another says nothing of what is held.
fn history_without_class(rule: &Rule) -> Option<Problem> {
    let (key, origin) = history_keys(rule)?;
    let sentence = format!("`{key}` says how much history to hold, and goes with `class = \"history\"`");
    rule.class.is_none().then(|| Problem::at(origin, sentence))
}

/// What a rule says of history, first.
fn history_keys(rule: &Rule) -> Option<(&'static str, &Origin)> {
    let events = rule.events.as_ref().map(|said| ("events", &said.origin));
    let age = rule.age.as_ref().map(|said| ("age", &said.origin));
    events.or(age).or(rule.bytes.as_ref().map(|said| ("bytes", &said.origin)))
}

fn class_of(rule: &Rule, class: &Said<String>, history: Retention) -> Result<Class, Problem> {
    let class = match class.value.as_str() {
        "history" => {
            let mut own = history;
            put! {
                own.events, rule.events, |count: Count| count.0;
                own.age, rule.age, milliseconds;
                own.bytes, rule.bytes, |size: Size| size.0;
            }
            return Ok(Class::History(own));
        }
        "ephemeral" => Class::Ephemeral,
        "state" => Class::State,
        "durable" => {
            let sentence = "class `durable` does not exist yet: this version keeps events in memory alone, and would \
                            lose what it promised to keep; `history` is the nearest";
            return Err(Problem::at(&class.origin, sentence));
        }
        unknown => {
            let hint = super::suggest::known(unknown, ["history", "ephemeral", "state"]);
            return Err(Problem::at(&class.origin, format!("unknown class `{unknown}`{hint}")));
        }
    };
    match history_keys(rule) {
        Some((key, origin)) => {
            let name = rule.class.as_ref().map_or("", |said| &said.value);
            Err(Problem::at(origin, format!("`{key}` says how much history to hold, and class `{name}` holds none")))
        }
        None => Ok(class),
    }
}

fn rate(most: Option<Count>) -> Option<u32> {
    most.map(|count| u32::try_from(count.0).unwrap_or(u32::MAX))
}

fn apply_proxies(written: &Written, proxies: &mut Proxies, problems: &mut Vec<Problem>) {
    let mut networks = |key: &str, said: &Option<Said<Texts>>| -> Vec<Network> {
        let Some(said) = said else { return Vec::new() };
        let read = |text: &String| match text.parse() {
            Ok(network) => Some(network),
            Err(why) => {
                problems.push(Problem::at(&said.origin, format!("`{text}` in `{key}`: {why}")));
                None
            }
        };
        said.value.0.iter().filter_map(read).collect()
    };
    proxies.addresses = networks("proxies.addresses", &written.proxies_addresses);
    proxies.protocol = networks("proxies.protocol", &written.proxies_protocol);
    if let Some(said) = &written.proxies_header {
        match Header::ALL.into_iter().find(|header| header.as_str() == said.value.0) {
            Some(header) => proxies.header = header,
            None => {
                let known = Header::ALL.map(Header::as_str);
                let hint = super::suggest::nearest(&said.value.0, known).map_or_else(
                    || format!("; there are {}", known.join(" and ")),
                    |near| format!("; did you mean `{near}`?"),
                );
                problems.push(Problem::at(
                    &said.origin,
                    format!("`proxies.header`: unknown field `{}`{hint}", said.value.0),
                ));
            }
        }
    }
}

fn milliseconds(span: Span) -> u64 {
    u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)
}

fn check_nothing_is_zero(written: &Written, problems: &mut Vec<Problem>) {
    let mut check = |key: &str, zero: Option<&Origin>| {
        if let Some(origin) = zero {
            problems.push(Problem::at(origin, format!("`{key}` is 0, and the server could do nothing with that")));
        }
    };
    fn count(said: &Option<Said<Count>>) -> Option<&Origin> {
        said.as_ref().filter(|said| said.value.0 == 0).map(|said| &said.origin)
    }
    fn auto(said: &Option<Said<Option<Count>>>) -> Option<&Origin> {
        said.as_ref().filter(|said| said.value == Some(Count(0))).map(|said| &said.origin)
    }
    fn size(said: &Option<Said<Size>>) -> Option<&Origin> {
        said.as_ref().filter(|said| said.value.0 == 0).map(|said| &said.origin)
    }
    fn span(said: &Option<Said<Span>>) -> Option<&Origin> {
        said.as_ref().filter(|said| said.value.0.is_zero()).map(|said| &said.origin)
    }
    check("shards", auto(&written.shards));
    check("connections", auto(&written.connections));
    check("heartbeat", span(&written.heartbeat));
    check("limits.message", size(&written.limits_message));
    check("limits.fragments", count(&written.limits_fragments));
    check("limits.head", size(&written.limits_head));
    check("limits.streams", count(&written.limits_streams));
    check("limits.batch", size(&written.limits_batch));
    check("limits.page", count(&written.limits_page));
    check("limits.channels", count(&written.limits_channels));
    check("limits.address", auto(&written.limits_address));
    check("limits.user", auto(&written.limits_user));
    check("limits.accepts", auto(&written.limits_accepts));
    check("limits.publishes", auto(&written.limits_publishes));
    check("session.memory", size(&written.session_memory));
    check("session.count", auto(&written.session_count));
    check("session.calls", count(&written.session_calls));
    check("session.call_timeout", span(&written.session_call_timeout));
    check("timeouts.head", span(&written.timeouts_head));
    check("timeouts.idle", span(&written.timeouts_idle));
    check("timeouts.body", span(&written.timeouts_body));
    check("timeouts.close", span(&written.timeouts_close));
    check("history.events", count(&written.history_events));
    check("history.age", span(&written.history_age));
    check("history.bytes", size(&written.history_bytes));
    check("memory.bytes", size(&written.memory_bytes));
    check("memory.transit", size(&written.memory_transit));
    check("memory.channels", count(&written.memory_channels));
    check("auth.jwks_refresh", span(&written.auth_jwks_refresh));
    check("auth.lifetime", span(&written.auth_lifetime));
    check("auth.token_size", size(&written.auth_token_size));
    check("application.timeout", span(&written.application_timeout));
    check("application.concurrency", count(&written.application_concurrency));
    check("application.notices", count(&written.application_notices));
    check("application.failures", count(&written.application_failures));
    check("application.pause", span(&written.application_pause));
    check("site.transfers", count(&written.site_transfers));
    for rule in &written.rules {
        check("events", count(&rule.events));
        check("age", span(&rule.age));
        check("bytes", size(&rule.bytes));
        check("publishes", count(&rule.publishes));
        check("message", size(&rule.message));
    }
}

/// The first of two that somebody said, for what is wrong with both together.
pub(super) fn said_first<'a, A, B>(one: &'a Option<Said<A>>, other: &'a Option<Said<B>>) -> &'a Origin {
    let origins = [one.as_ref().map(|said| &said.origin), other.as_ref().map(|said| &said.origin)];
    origins.into_iter().flatten().find(|origin| **origin != Origin::Default).unwrap_or(&Origin::Default)
}

/// An event must have room in memory.
fn check_memory(written: &Written, config: &Config, problems: &mut Vec<Problem>) {
    let (message, memory) = (config.limits.message, config.policy.bytes);
    if message > memory && memory > 0 {
        let origin = said_first(&written.limits_message, &written.memory_bytes);
        problems.push(Problem::at(
            origin,
            format!(
                "`limits.message` is {}, more than `memory.bytes` with {}: the largest event would leave no room for any \
                 other, on any channel",
                show_size(message),
                show_size(memory)
            ),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    fn of(text: &str) -> Result<Meant, Vec<String>> {
        let (written, problems) = file::read("s.toml", text);
        assert_eq!(problems, []);
        resolve(&written.over(defaults())).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_defaults_are_the_servers_own() {
        let meant = resolve(&defaults()).unwrap();
        assert_eq!(format!("{:?}", meant.server), format!("{:?}", Config::default()));
    }

    #[test]
    fn rules_take_what_they_do_not_say_from_the_default_history() {
        let text = "[history]\nevents = 5\n[[channel]]\npattern = \"a/**\"\nclass = \"history\"\nage = \"1h\"\n\
                    [[channel]]\npattern = \"b/*\"\nclass = \"ephemeral\"\n";
        let policy = of(text).unwrap().server.policy;
        let expected = Retention { events: 5, age: 3_600_000, ..Retention::default() };
        assert_eq!(policy.rules[0], (Pattern::new("a/**").unwrap(), Class::History(expected)));
        assert_eq!(policy.rules[1], (Pattern::new("b/*").unwrap(), Class::Ephemeral));
        assert_eq!(policy.default, Class::History(Retention { events: 5, ..Retention::default() }));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_where_it_stands() {
        let cases = [
            ("listen = \"0.0.0.0:80\"", "s.toml:1: ", "--insecure"),
            ("shards = 0", "s.toml:1: `shards` is 0", ""),
            ("\n[[channel]]\npattern = \"a\"\nclass = \"durable\"", "s.toml:4: class `durable` does not exist yet", ""),
            ("[[channel]]\npattern = \"a\"\nclass = \"stat\"", "s.toml:3: ", "did you mean `state`?"),
            ("[[channel]]\npattern = \"a//b\"\nclass = \"state\"", "s.toml:2: pattern `a//b`", "empty"),
            ("[[channel]]\npattern = \"a\"\nclass = \"state\"\nevents = 3", "s.toml:4: `events`", "holds none"),
        ];
        for (text, begins, holds) in cases {
            let problems = of(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(begins) && problems[0].contains(holds), "{problems:?}");
        }
        assert_eq!(of("shards = 0\nconnections = 0\nlisten = [\"0.0.0.0:1\", \"[::]:1\"]").unwrap_err().len(), 4);
    }

    #[test]
    fn an_event_larger_than_memory_is_refused() {
        let problems = of("[limits]\nmessage = \"2MiB\"\n[memory]\nbytes = \"1MiB\"").unwrap_err();
        assert!(problems.len() == 1 && problems[0].starts_with("s.toml:2: `limits.message` is 2MiB"), "{problems:?}");
        assert!(of("[limits]\nmessage = \"1MiB\"\n[memory]\nbytes = \"1MiB\"").is_ok());
    }

    #[test]
    fn public_addresses_need_insecure_and_loopback_ones_do_not() {
        assert!(of("listen = \"0.0.0.0:80\"\ninsecure = true").is_ok());
        for loopback in ["127.8.9.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert!(of(&format!("listen = \"{loopback}\"")).is_ok(), "{loopback}");
        }
    }
}
