//! Sessions that open, as far as the application has a say in it.

use crate::application::{self, Application, Caller, Connecting, Event, Granted, Kind, Question, refusal};
use crate::auth::{Identity, Welcome, on_one_line};
use crate::listen::Head;
use crate::node::Node;
use crate::shard::Turns;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use switchboard_store::{Opened, Pause as _, Since};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::Json;
use switchboard_wire::name::Selection;

/// What a session begins to read.
pub(crate) struct Begin {
    pub(crate) selection: Arc<Selection>,
    pub(crate) since: Option<String>,
}

impl Begin {
    pub(crate) fn since(&self) -> Since<'_> {
        since_of(self.since.as_deref())
    }

    /// Whether it may take long to find where it begins.
    pub(crate) fn is_long(&self) -> bool {
        !self.selection.patterns.is_empty() && self.since() != Since::Latest
    }

    /// Finds where it begins, step by step, if that may take long: the first step, too, in its turn.
    pub(crate) async fn find(&self, node: &Node, turns: &Turns) -> Option<Opened> {
        if !self.is_long() {
            return None;
        }
        turns.pause().await;
        Some(node.log.open_in_steps(node.now(), &self.selection, self.since(), false, turns).await)
    }
}

/// Where a text says that reading begins.
pub(crate) fn since_of(text: Option<&str>) -> Since<'_> {
    match text {
        None | Some("") => Since::Default,
        Some("earliest") => Since::Earliest,
        Some("latest") => Since::Latest,
        Some(text) => Since::At(text),
    }
}

/// What a session begins with, and where that begins as far as it was looked for.
pub(crate) type Beginning = Vec<(Begin, Option<Opened>)>;

/// Finds where each of these begins that may take long to find, before there is a session to hold up.
pub(crate) async fn find(node: &Node, turns: &Turns, subscriptions: Vec<Begin>) -> Beginning {
    let mut beginning = Vec::with_capacity(subscriptions.len());
    for begin in subscriptions {
        let opened = begin.find(node, turns).await;
        beginning.push((begin, opened));
    }
    beginning
}

/// Somebody who may open a session.
pub(crate) struct Admitted {
    pub(crate) identity: Identity,
    pub(crate) subscriptions: Vec<Begin>,
    /// Whether the application was asked.
    pub(crate) asked: bool,
}

/// Asks the application, where it wants to be asked, whether a session of this name may open.
pub(crate) async fn admit(
    node: &Node,
    head: &Head,
    session: String,
    identity: Identity,
    address: IpAddr,
) -> Result<Admitted, Problem> {
    let Some(application) = node.application.get().filter(|application| application.asks(Question::Connect)) else {
        return Ok(Admitted { identity, subscriptions: Vec::new(), asked: false });
    };
    let fields = shown(application.fields(), head);
    let user = identity.user().map(str::to_owned);
    let granted = application.connect(Connecting { session: session.clone(), user, address, fields }).await;
    let granted = granted.map_err(|error| refusal(&error))?;
    welcome(&identity, granted, node.config.limits.channels).map_err(|problem| {
        // It has said yes, and is not to wait for a session that never comes.
        farewell(&**application, || caller(&session, &identity, address), problem.code.row().name);
        tracing::warn!("{}", problem.detail);
        problem.code.into()
    })
}

/// The fields of a request that the application wants to see.
fn shown(names: &[String], head: &Head) -> BTreeMap<String, String> {
    let values = |name: &String| {
        let all: Vec<_> =
            head.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        (!all.is_empty()).then(|| (name.clone(), all.join(", ")))
    };
    names.iter().filter_map(values).collect()
}

/// Makes of an identity what the application says that it is.
fn welcome(identity: &Identity, granted: Granted, channels: usize) -> Result<Admitted, Problem> {
    let bad = |why: String| Code::ApplicationFailed.because(format!("the application's answer to `connect`: {why}"));
    granted.check()?;
    let mut all = Selection::default();
    let mut subscriptions: Vec<(Option<String>, Selection)> = Vec::new();
    for application::Begin { channel, since } in granted.subscriptions {
        let add = |to: &mut Selection| to.add(&channel).map_err(|why| bad(format!("`{channel}`: {why}")));
        add(&mut all)?;
        // Those that begin at one place are one.
        match subscriptions.iter_mut().find(|(other, _)| *other == since) {
            Some((_, selection)) => add(selection)?,
            None => {
                let mut selection = Selection::default();
                add(&mut selection)?;
                subscriptions.push((since, selection));
            }
        }
    }
    if all.len() > channels {
        return Err(bad(format!("a session names at most {channels} channels")));
    }
    let info = granted.info.as_ref().map(|info| on_one_line(info.as_str()));
    let info = info.map(|info| info.ok_or_else(|| bad("`info` is too long".into()))).transpose()?;
    let begin = |(since, selection)| Begin { selection: Arc::new(selection), since };
    let welcome =
        Welcome { user: granted.user, info, grants: granted.grants, subscriptions: all, ..Welcome::default() };
    Ok(Admitted {
        identity: identity.welcomed(welcome),
        subscriptions: subscriptions.into_iter().map(begin).collect(),
        asked: true,
    })
}

/// How the application is told of a session.
pub(crate) fn caller(session: &str, identity: &Identity, address: IpAddr) -> Caller {
    Caller {
        session: session.into(),
        user: identity.user().map(Into::into),
        info: identity.info().and_then(Json::parse).map(Json::into_owned),
        address,
    }
}

/// Tells the application that a session is over.
pub(crate) fn farewell(application: &dyn Application, caller: impl FnOnce() -> Caller, reason: &'static str) {
    if application.tells(Kind::Disconnected) {
        application.tell(Event::Disconnected { caller: caller(), reason });
    }
}
