//! The application behind the server: what a session asks that the server cannot know.
//!
//! It is asked about what clients do ([`Question`]), answers the methods that the server has none of, and is told what
//! happens ([`Event`]). Two ways lead to it, with the same words: a [`webhook`] over HTTP, and [`Handlers`] in Rust where
//! the server is embedded in a program.

pub mod answers;
mod breaker;
mod handlers;
mod occupancy;
mod queue;
mod sign;
pub mod webhook;

pub use answers::{Allowed, Begin, Granted, Taken, refusal};
pub use handlers::Handlers;
pub(crate) use occupancy::{Occupancy, WAITING};
pub use sign::{SIGNATURE, sign, verify};
pub use switchboard_hub::access::Grants;
pub use switchboard_wire::code::{Code, Problem};
pub use switchboard_wire::jsonrpc::{ErrorObject, Json, Params};
pub use switchboard_wire::{ChannelName, Pattern};

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What it comes to, when it does. An error is passed on to the client as it is.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, ErrorObject<'static>>> + Send>>;

/// An application. Its methods are called on threads that hold connections, and what they return is polled there: work is
/// done elsewhere, as [`Handlers`] and the webhook do.
pub trait Application: Send + Sync + 'static {
    /// Whether it wants to be asked this. What it does not want to be asked is granted.
    fn asks(&self, question: Question) -> bool;

    /// Which fields of the request that opens a session it wants to see, by their names in lower case.
    fn fields(&self) -> &[String] {
        &[]
    }

    /// A session opens.
    fn connect(&self, connecting: Connecting) -> Answer<Granted>;

    /// A session subscribes to something that the rules let it.
    fn subscribe(&self, caller: Caller, subscribing: Subscribing) -> Answer<Allowed>;

    /// A session publishes something that the rules let it.
    fn publish(&self, caller: Caller, publishing: Publishing) -> Answer<Taken>;

    /// A client's call of a method that the server does not have.
    fn call(&self, caller: Caller, method: &str, params: Params<'static>) -> Answer<Json<'static>>;

    /// A client's notification of a method that the server does not have.
    fn notify(&self, caller: Caller, method: &str, params: Params<'static>);

    /// Whether it wants to be told this. What nobody wants to be told is not watched for.
    fn tells(&self, kind: Kind) -> bool;

    /// How long a channel without subscribers may take to have one again, before it counts as vacated.
    fn debounce(&self) -> Duration {
        DEBOUNCE
    }

    /// Something has happened.
    fn tell(&self, event: Event);

    /// What is counted of it.
    fn figures(&self) -> Figures {
        Figures::default()
    }
}

/// How long a channel may be without subscribers unnoticed, unless it is said.
const DEBOUNCE: Duration = Duration::from_secs(5);

/// Methods that a client cannot call the application by: words of the server's own, to the application and to clients.
const RESERVED: [&str; 14] = [
    "connect",
    "disconnected",
    "session",
    "event",
    "gap",
    "end",
    "position",
    "caught_up",
    "subscribed",
    "unsubscribed",
    "presence",
    "expiring",
    "closing",
    "channel",
];

/// Whether a method is the server's own to speak of, though it has none of that name: what an application hears of
/// `connect` or `channel.occupied` is then never a client's.
pub(crate) fn is_reserved(method: &str) -> bool {
    RESERVED.contains(&method) || method.starts_with("channel.") || method.starts_with("rpc.")
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The session's public id.
    pub session: Arc<str>,
    pub user: Option<Arc<str>>,
    /// What was said of it when it was let in.
    pub info: Option<Json<'static>>,
    pub address: IpAddr,
}

/// What an application is asked before it happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    Connect,
    Subscribe,
    Publish,
}

impl Question {
    pub const ALL: [Question; 3] = [Question::Connect, Question::Subscribe, Question::Publish];

    /// The method, and the word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Question::Connect => "connect",
            Question::Subscribe => "subscribe",
            Question::Publish => "publish",
        }
    }
}

/// What an application is told after it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A session has ended, for this reason: `closed` where its client ended it, `gone` where its client did not come back,
    /// or the name of a row of the table of errors.
    Disconnected { caller: Caller, reason: &'static str },
    /// A channel has its first member, where that is kept track of.
    Occupied { channel: ChannelName },
    /// The last member of a channel has left it.
    Vacated { channel: ChannelName },
}

/// The kinds of [`Event`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Disconnected,
    Occupied,
    Vacated,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Disconnected, Kind::Occupied, Kind::Vacated];

    /// The method, and the word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Disconnected => "disconnected",
            Kind::Occupied => "channel.occupied",
            Kind::Vacated => "channel.vacated",
        }
    }
}

impl Event {
    pub fn kind(&self) -> Kind {
        match self {
            Event::Disconnected { .. } => Kind::Disconnected,
            Event::Occupied { .. } => Kind::Occupied,
            Event::Vacated { .. } => Kind::Vacated,
        }
    }

    /// The params of its notification. `notice` is the notification's own name, where it goes a way on which it may come
    /// twice.
    pub fn params(&self, notice: Option<&str>) -> Params<'static> {
        #[derive(Serialize)]
        struct Said<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            notice: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            session: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            user: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            channel: Option<&'a str>,
        }
        let mut said = Said { notice, session: None, user: None, reason: None, channel: None };
        match self {
            Event::Disconnected { caller, reason } => {
                (said.session, said.user) = (Some(&*caller.session), caller.user.as_deref());
                said.reason = Some(reason);
            }
            Event::Occupied { channel } | Event::Vacated { channel } => said.channel = Some(channel.as_str()),
        }
        params(&said)
    }
}

/// The params of `connect`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Connecting {
    pub session: String,
    /// Whose token it was, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub address: IpAddr,
    /// Fields of the request that are configured to be shown, by their names in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// The params of `subscribe`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Subscribing {
    /// A name or a pattern.
    pub channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// The params of `publish`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Publishing {
    pub channel: String,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Its content type, where the client named one.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// As the client wrote it; or else there is `base64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Json<'static>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// Something as the params of a method.
fn params(value: &impl Serialize) -> Params<'static> {
    // Invariant: what is given here are structs with names for members, which JSON can say.
    Json::of(value).ok().and_then(Params::new).unwrap_or_default()
}

/// Who the application is.
#[derive(Clone, Default)]
pub enum Backend {
    /// There is none: all is granted, and methods that the server does not have are not found.
    #[default]
    None,
    /// It is asked over HTTP.
    Webhook(Box<webhook::Settings>),
    /// It is in this program.
    Embedded(Arc<dyn Application>),
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::None => f.write_str("None"),
            Backend::Webhook(settings) => f.debug_tuple("Webhook").field(settings).finish(),
            Backend::Embedded(_) => f.write_str("Embedded"),
        }
    }
}

/// The application of a running server, if it has one.
pub(crate) struct Link {
    application: Option<Arc<dyn Application>>,
    webhook: Option<Arc<webhook::Webhook>>,
}

impl Link {
    /// `most`: bytes of an answer.
    pub(crate) fn start(backend: &Backend, most: usize) -> io::Result<Link> {
        Ok(match backend {
            Backend::None => Link { application: None, webhook: None },
            Backend::Embedded(application) => Link { application: Some(application.clone()), webhook: None },
            Backend::Webhook(settings) => {
                let webhook = Arc::new(webhook::Webhook::start((**settings).clone(), most)?);
                Link { application: Some(webhook.clone()), webhook: Some(webhook) }
            }
        })
    }

    pub(crate) fn get(&self) -> Option<&Arc<dyn Application>> {
        self.application.as_ref()
    }

    pub(crate) fn figures(&self) -> Figures {
        self.get().map(|application| application.figures()).unwrap_or_default()
    }

    /// Tells what has yet to be told, for as long as this at most.
    pub(crate) fn stop(&self, time: Duration) {
        if let Some(webhook) = &self.webhook {
            webhook.stop(time);
        }
    }
}

/// What is counted of an application, and how much may wait for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Calls that are asked or wait to be.
    pub calls: usize,
    pub calls_limit: usize,
    /// Notifications of the server that wait.
    pub notices: usize,
    pub notices_limit: usize,
    /// Whether it is given a rest because it did not answer.
    pub resting: bool,
    /// Requests made to it.
    pub requests: u64,
    /// Requests made once more.
    pub retried: u64,
    /// Calls refused because too many wait, or because it is given a rest.
    pub refused: u64,
    /// Requests that came to nothing, for whatever reason.
    pub failed: u64,
    /// Notifications of the server that were dropped.
    pub dropped: u64,
}
