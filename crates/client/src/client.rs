//! What applications use.

use crate::credential::Credential;
use crate::driver::{self, Command, Control, Handlers, SessionId};
use crate::error::{Error, RpcError};
use crate::options::Options;
use crate::subscription::Subscription;
use crate::transport::Task;
use crate::url::Server;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, PoisonError};
use switchboard_wire::event::base64;
use switchboard_wire::jsonrpc::{Json, Params};
use tokio::sync::{mpsc, oneshot};

/// A connection to a server that goes on, whatever happens beneath it. Clones are the same client.
///
/// It is driven by a task of tokio's. The client ends when it is [closed](Client::close), when all clones and
/// subscriptions are dropped, or when the server sends it away for good: whatever waits then gets an error, and
/// subscriptions end.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    commands: mpsc::Sender<Command>,
    control: mpsc::UnboundedSender<Control>,
    handlers: Handlers,
    options: Options,
    id: SessionId,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Client {
    /// Opens a session at `http://HOST:PORT` or `https://HOST:PORT`. It fails if no server can be reached there, by none of the transports, or the
    /// server does not let the client in. Once there was a session the client comes back by itself.
    pub async fn connect(url: &str, options: Options) -> Result<Client, Error> {
        Client::connect_to(Server::parse(url).map_err(Error::Invalid)?, options).await
    }

    /// The same, at a server that is known, with what is shown there unless the options have a token.
    pub async fn connect_to(mut server: Server, options: Options) -> Result<Client, Error> {
        if options.ca.is_some() {
            server.ca.clone_from(&options.ca);
        }
        let (commands, taken) = mpsc::channel(64);
        let (control, controlled) = mpsc::unbounded_channel();
        let (ready, is_ready) = oneshot::channel();
        let handlers = Handlers::default();
        let id = SessionId::default();
        driver::start(server, options.clone(), handlers.clone(), id.clone(), (taken, controlled), ready);
        is_ready.await.unwrap_or(Err(Error::Closed))?;
        Ok(Client { shared: Arc::new(Shared { commands, control, handlers, options, id }) })
    }

    /// What the session is called, by which backends reach this client: it may be shown. It changes where a session is
    /// lost and another begins.
    pub fn session_id(&self) -> String {
        self.shared.id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A channel, or all that a pattern selects.
    pub fn channel(&self, name: impl Into<String>) -> Channel {
        Channel { client: self.clone(), name: name.into() }
    }

    /// Calls a method. `params` are an array, an object, or nothing (`()`).
    ///
    /// A call is worked on at most once: where its session is lost in the middle it fails with [`Error::Lost`], and
    /// whether to call again is the application's choice.
    pub async fn call<P: Serialize, R: DeserializeOwned>(&self, method: &str, params: P) -> Result<R, Error> {
        self.call_with(method, &params, false).await
    }

    /// Says something that is not answered. It is on its way then; if its session is lost, so may it be.
    pub async fn notify<P: Serialize>(&self, method: &str, params: P) -> Result<(), Error> {
        let (method, params) = (method.to_owned(), as_params(&params)?);
        self.command(Command::Notify { method, params }).await
    }

    /// Answers calls of the server's, and hears its notifications. Params are read from an array or an object; those that
    /// do not fit are answered with -32602, a method without a handler with -32601. Calls are worked on side by side,
    /// notifications one after the other.
    pub fn handle<P, R, F, T>(&self, method: &str, handler: F)
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize,
        F: Fn(P) -> T + Send + Sync + 'static,
        T: Future<Output = Result<R, RpcError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handle = move |params: Params<'static>| -> Task<Result<Json<'static>, RpcError>> {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let params = params.read::<P>().map_err(|problem| RpcError::from_problem(&problem))?;
                let result = handler(params).await?;
                Json::of(&result).map_err(|error| RpcError::new(-32603, format!("the result is no JSON: {error}")))
            })
        };
        self.shared.handlers.insert(method, Arc::new(handle));
    }

    /// Ends the session. What was said before is sent first.
    pub async fn close(&self) {
        let (done, is_done) = oneshot::channel();
        self.control(Control::Close(done));
        // It may be closed already.
        let _ = is_done.await;
    }

    pub(crate) fn control(&self, control: Control) {
        // A client that has ended has nothing to control.
        let _ = self.shared.control.send(control);
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        self.shared.commands.send(command).await.map_err(|_| Error::Closed)
    }

    async fn call_with<P: Serialize, R: DeserializeOwned>(
        &self,
        method: &str,
        params: &P,
        repeats: bool,
    ) -> Result<R, Error> {
        let (reply, replied) = oneshot::channel();
        let (method, params) = (method.to_owned(), as_params(params)?);
        let timeout = self.shared.options.call_timeout;
        self.command(Command::Call { method, params, repeats, timeout, reply }).await?;
        let result = replied.await.unwrap_or(Err(Error::Closed))?;
        result.read().map_err(|error| Error::Invalid(format!("the result is another than was expected: {error}")))
    }
}

fn as_params<P: Serialize>(params: &P) -> Result<Params<'static>, Error> {
    let json = Json::of(params).map_err(|error| Error::Invalid(format!("the params are no JSON: {error}")))?;
    if json.as_str() == "null" {
        return Ok(Params::ABSENT);
    }
    Params::new(json).ok_or_else(|| Error::Invalid("params are an array or an object".to_owned()))
}

/// A channel of a client, or a pattern.
#[derive(Clone, Debug)]
pub struct Channel {
    client: Client,
    name: String,
}

/// What the server says of an event that it took.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Published {
    pub id: Option<String>,
    pub channel: String,
    pub position: String,
}

/// A page of what a channel holds.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// Oldest first.
    pub events: Vec<crate::Event>,
    /// After the last of them: where the next page begins.
    pub position: String,
    pub gap: Option<crate::Gap>,
    /// The channel has ended, and everything was read.
    #[serde(default)]
    pub ended: bool,
}

impl Channel {
    /// Subscribes: await it, perhaps [from an earlier position on](Subscribe::since).
    pub fn subscribe(&self) -> Subscribe {
        Subscribe { client: self.client.clone(), channel: self.name.clone(), since: None, presence: false }
    }

    /// Publishes data as JSON (a string is text): await it, perhaps with [a type](Publish::event) or
    /// [a key](Publish::key).
    pub fn publish<T: Serialize>(&self, data: T) -> Publish {
        let data = serde_json::to_value(data).map_err(|error| Error::Invalid(format!("the data is no JSON: {error}")));
        self.publish_with(data.map(|data| json!({ "channel": self.name, "data": data })))
    }

    /// Publishes bytes.
    pub fn publish_bytes(&self, data: &[u8]) -> Publish {
        self.publish_with(Ok(json!({ "channel": self.name, "base64": base64(data) })))
    }

    fn publish_with(&self, params: Result<Value, Error>) -> Publish {
        Publish { client: self.client.clone(), params, repeats: false }
    }

    /// Who is there now, where the server keeps track of that.
    pub async fn present(&self) -> Result<Present, Error> {
        self.client.call_with("presence", &json!({ "channel": self.name }), true).await
    }

    /// A page of what the channel holds: `since` is a position, and the earliest if there is none.
    pub async fn history(&self, since: Option<&str>, limit: Option<u64>) -> Result<Page, Error> {
        let mut params = json!({ "channel": self.name });
        if let Some(since) = since {
            params["since"] = since.into();
        }
        if let Some(limit) = limit {
            params["limit"] = limit.into();
        }
        self.client.call_with("history", &params, true).await
    }
}

/// Who is on a channel.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Present {
    /// How many there are, also where they are not all listed.
    pub count: u64,
    #[serde(default)]
    pub members: Vec<crate::event::Member>,
}

/// A subscription that is yet to be made. Await it.
#[derive(Debug)]
#[must_use = "it subscribes when it is awaited"]
pub struct Subscribe {
    client: Client,
    channel: String,
    since: Option<String>,
    presence: bool,
}

impl Subscribe {
    /// Begins after this position, or at `earliest`.
    pub fn since(mut self, position: impl Into<String>) -> Subscribe {
        self.since = Some(position.into());
        self
    }

    /// Hears also who comes to the channel and who leaves it, where the server keeps track of that.
    pub fn presence(mut self) -> Subscribe {
        self.presence = true;
        self
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<Subscription, Error>;
    type IntoFuture = Task<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Subscribe { client, channel, since, presence } = self;
            // One place is for the word that there is no more room.
            let (items, queue) = mpsc::channel(client.shared.options.queue + 1);
            let (ready, is_ready) = oneshot::channel();
            client.command(Command::Listen { channel, since, presence, items, ready }).await?;
            let (listener, position) = is_ready.await.unwrap_or(Err(Error::Closed))?;
            Ok(Subscription { client, listener, queue, position })
        })
    }
}

/// An event that is yet to be published. Await it.
#[derive(Debug)]
#[must_use = "it publishes when it is awaited"]
pub struct Publish {
    client: Client,
    params: Result<Value, Error>,
    repeats: bool,
}

impl Publish {
    fn with(mut self, name: &str, value: Value) -> Publish {
        if let Ok(params) = &mut self.params {
            params[name] = value;
        }
        self
    }

    /// The event's type.
    pub fn event(self, event: &str) -> Publish {
        self.with("event", event.into())
    }

    /// The content type, where the data does not imply it.
    pub fn content_type(self, content_type: &str) -> Publish {
        self.with("type", content_type.into())
    }

    /// A key for idempotency: the event is published once, however often this is repeated, and it is repeated where the
    /// session is lost in the middle.
    pub fn key(mut self, key: &str) -> Publish {
        self.repeats = true;
        self.with("key", key.into())
    }

    /// The client's own subscriptions do not hear it.
    pub fn without_echo(self) -> Publish {
        self.with("echo", false.into())
    }
}

impl IntoFuture for Publish {
    type Output = Result<Published, Error>;
    type IntoFuture = Task<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.client.call_with("publish", &self.params?, self.repeats).await })
    }
}

/// Reads a token for what `Authorization` carries.
pub(crate) fn credential(token: &str) -> Result<Credential, Error> {
    Credential::of(token).map_err(|why| Error::Invalid(why.to_owned()))
}
