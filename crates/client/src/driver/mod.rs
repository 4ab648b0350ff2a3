//! The task behind a client: it drives the session, and keeps a connection for it.

mod handlers;
mod link;
mod up;

use crate::backoff::Backoff;
use crate::error::{Error, RpcError};
use crate::event::Item;
use crate::http::Kept;
use crate::options::Options;
use crate::session::{Closing, Happening, ListenerId, Session};
use crate::subscription::Queued;
use crate::transport::{self, Task};
use crate::url::Server;
use handlers::Answer;
pub(crate) use handlers::Handlers;
use link::{Choice, Link};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};
use switchboard_wire::jsonrpc::{Json, Params};
use switchboard_wire::websocket::close;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

/// Notifications that may wait for their handlers before nothing more is read.
const NOTICES: usize = 1024;
/// A token that ends again so soon after it was renewed is renewed without haste.
const RENEWAL: Duration = Duration::from_secs(10);
/// How long a client that is closed takes to send what was said before.
const FAREWELL: Duration = Duration::from_secs(2);

type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the application wants.
pub(crate) enum Command {
    Call {
        method: String,
        params: Params<'static>,
        repeats: bool,
        timeout: Duration,
        reply: Reply<Json<'static>>,
    },
    Notify {
        method: String,
        params: Params<'static>,
    },
    Listen {
        channel: String,
        since: Option<String>,
        presence: bool,
        items: mpsc::Sender<Queued>,
        ready: Reply<(ListenerId, String)>,
    },
}

/// What it does not wait for.
pub(crate) enum Control {
    Leave(ListenerId),
    /// It has taken what waited for it, after it fell behind.
    Drained(ListenerId),
    Close(oneshot::Sender<()>),
}

struct Listener {
    items: mpsc::Sender<Queued>,
    ready: Option<Reply<(ListenerId, String)>>,
}

struct Driver {
    server: Server,
    options: Options,
    handlers: Handlers,
    id: SessionId,
    session: Session,
    started: Instant,
    link: Link,
    choice: Choice,
    backoff: Backoff,
    /// What the server said as it closed.
    closing: Option<Closing>,
    /// How often in a row no session was opened for want of a good token.
    denied: u32,
    /// The number of the next frame.
    frame: u64,
    /// The server closed because of a message: the first that it has not applied.
    too_large: bool,
    kept: Kept,
    posting: Option<Task<up::Done>>,
    post_at: Option<Instant>,
    post_backoff: Backoff,
    /// A token that is on its way.
    token: Option<Task<Result<String, String>>>,
    /// When one was asked for last, within a session.
    renewed: Option<Instant>,
    listeners: HashMap<ListenerId, Listener>,
    calls: HashMap<u64, Reply<Json<'static>>>,
    answers: mpsc::Sender<Answer>,
    notices: mpsc::Sender<(String, Params<'static>)>,
    unheard: VecDeque<(String, Params<'static>)>,
    ready: Option<Reply<()>>,
    leaving: Option<(Instant, oneshot::Sender<()>)>,
    over: Option<Error>,
}

/// What the present session is called, for whoever asks.
pub(crate) type SessionId = Arc<Mutex<String>>;
type Wishes = (mpsc::Receiver<Command>, mpsc::UnboundedReceiver<Control>);

/// Starts the task. `ready` is told when there is a session, or will be none.
pub(crate) fn start(
    server: Server,
    options: Options,
    handlers: Handlers,
    id: SessionId,
    wishes: Wishes,
    ready: Reply<()>,
) {
    let (answers, answered) = mpsc::channel(64);
    let (notices, noticed) = mpsc::channel(NOTICES);
    tokio::spawn(handlers::listen(handlers.clone(), noticed));
    let driver = Driver {
        server,
        choice: Choice::new(options.transports.clone()),
        options,
        handlers,
        id,
        session: Session::default(),
        started: Instant::now(),
        link: Link::Idle(Instant::now()),
        backoff: Backoff::default(),
        closing: None,
        denied: 0,
        frame: 0,
        too_large: false,
        kept: Kept::default(),
        posting: None,
        post_at: None,
        post_backoff: Backoff::default(),
        token: None,
        renewed: None,
        listeners: HashMap::new(),
        calls: HashMap::new(),
        answers,
        notices,
        unheard: VecDeque::new(),
        ready: Some(ready),
        leaving: None,
        over: None,
    };
    tokio::spawn(driver.run(wishes, answered));
}

impl Driver {
    async fn run(mut self, (mut commands, mut control): Wishes, mut answered: mpsc::Receiver<Answer>) {
        loop {
            self.act();
            self.send();
            self.act();
            if let Some(error) = self.over.take() {
                return self.finish(&error).await;
            }
            if self.has_left() {
                return self.finish(&Error::Closed).await;
            }
            let deadline = self.deadline();
            let hears = self.unheard.is_empty() || !matches!(self.link, Link::Open { .. });
            let takes = !self.session.is_full() && self.leaving.is_none();
            let notices = self.notices.clone();
            tokio::select! {
                turn = self.link.next(), if hears => self.turn(turn),
                done = finished(&mut self.posting) => self.posted(done),
                Some(wish) = control.recv() => self.control(wish, &mut commands),
                command = commands.recv(), if takes => match command {
                    Some(command) => self.command(command),
                    // Nobody is left who could want anything.
                    None => self.end(Error::Closed),
                },
                Some((session, id, outcome)) = answered.recv() => self.session.answer(session, id, outcome),
                token = finished(&mut self.token) => self.renew(token),
                room = notices.reserve(), if !self.unheard.is_empty() => {
                    if let (Ok(room), Some(notice)) = (room, self.unheard.pop_front()) {
                        room.send(notice);
                    }
                }
                () = sleep_until(deadline) => self.tick(),
            }
        }
    }

    /// Milliseconds of a clock that does not go back.
    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn deadline(&self) -> Instant {
        let session = self.session.deadline(self.now()).map(|at| self.started + Duration::from_millis(at));
        let leaving = self.leaving.as_ref().map(|(until, _)| *until);
        let all =
            [session, self.link.deadline(self.silence()), self.post_at.filter(|_| self.posting.is_none()), leaving];
        all.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    /// How long a connection may be silent.
    fn silence(&self) -> Duration {
        let heartbeat = self.session.said().and_then(|said| said.heartbeat);
        heartbeat.map_or(link::SILENCE, |every| Duration::from_millis(every.saturating_mul(5) / 2).max(link::WAITED))
    }

    fn tick(&mut self) {
        self.session.tick(self.now());
        let now = Instant::now();
        if self.post_at.is_some_and(|at| at <= now) {
            self.post_at = None;
        }
        if self.link.deadline(self.silence()).is_some_and(|at| at <= now) {
            self.cut(transport::lost("nothing was heard from the server for too long"));
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Call { method, params, repeats, timeout, reply } => {
                let deadline = self.now() + timeout.as_millis() as u64;
                self.calls.insert(self.session.call(&method, params, repeats, Some(deadline)), reply);
            }
            Command::Notify { method, params } => self.session.notify(&method, params),
            Command::Listen { channel, since, presence, items, ready } => {
                match self.session.listen(&channel, since, presence) {
                    Ok(listener) => _ = self.listeners.insert(listener, Listener { items, ready: Some(ready) }),
                    Err(bad) => _ = ready.send(Err(Error::Invalid(format!("`{channel}` is no channel: {bad}")))),
                }
            }
        }
    }

    fn control(&mut self, wish: Control, commands: &mut mpsc::Receiver<Command>) {
        match wish {
            Control::Leave(listener) => {
                if self.listeners.remove(&listener).is_some() {
                    self.session.leave(listener);
                }
            }
            Control::Drained(listener) => self.session.drained(listener),
            Control::Close(done) => {
                while let Ok(command) = commands.try_recv() {
                    self.command(command);
                }
                self.leaving = Some((Instant::now() + FAREWELL, done));
            }
        }
    }

    /// Acts on what has happened in the session.
    fn act(&mut self) {
        while let Some(happening) = self.session.happening() {
            match happening {
                Happening::Answered { call, outcome } => self.reply(call, outcome.map_err(Error::Refused)),
                Happening::Failed { call, error } => self.reply(call, Err(error)),
                Happening::Called { session, id, method, params } => match self.handlers.get(&method) {
                    Some(handler) => handlers::work(&handler, params, (session, id), self.answers.clone()),
                    None => {
                        let error = RpcError::new(-32601, "Method not found");
                        self.session.answer(session, id, Err(error));
                    }
                },
                Happening::Notified { method, params } => self.unheard.push_back((method, params)),
                Happening::Granted { listener, position } => self.granted(listener, position),
                Happening::Refused { listener, error } => self.turned_down(listener, error),
                Happening::Heard { listeners, item } => self.deliver(&listeners, &item),
                Happening::Finished { listener } => _ = self.listeners.remove(&listener),
                Happening::Expiring { expires } => self.expiring(expires),
                // One that is not taken is not the end: when the session ends, another is opened with what there is then.
                Happening::Refreshed(_) => {}
                Happening::Closing(closing) => self.closing = Some(closing),
            }
        }
    }

    fn reply(&mut self, call: u64, outcome: Result<Json<'static>, Error>) {
        if let Some(reply) = self.calls.remove(&call) {
            // Who called may have gone.
            let _ = reply.send(outcome);
        }
    }

    fn granted(&mut self, listener: ListenerId, position: String) {
        let ready = self.listeners.get_mut(&listener).and_then(|known| known.ready.take());
        // Who wanted it may have gone.
        if ready.is_some_and(|ready| ready.send(Ok((listener, position))).is_err()) {
            self.listeners.remove(&listener);
            self.session.leave(listener);
        }
    }

    fn turned_down(&mut self, listener: ListenerId, error: RpcError) {
        let Some(Listener { items, ready }) = self.listeners.remove(&listener) else { return };
        match ready {
            Some(ready) => _ = ready.send(Err(Error::Refused(error))),
            None => _ = items.try_send(Queued::Item(Item::Refused(error))),
        }
    }

    fn deliver(&mut self, listeners: &[ListenerId], item: &Item) {
        for id in listeners {
            let Some(Listener { items, .. }) = self.listeners.get(id) else { continue };
            // The last place is for the word that there is no more room, or for the last item.
            if items.capacity() > 1 || matches!(item, Item::End(_)) {
                let _ = items.try_send(Queued::Item(item.clone()));
            } else {
                let _ = items.try_send(Queued::Behind);
                self.session.behind(*id);
            }
        }
    }

    /// The token ends: another is asked for. Where that was done a moment ago, tokens last so short that their time is used
    /// up to the half first.
    fn expiring(&mut self, expires: u64) {
        let (true, Some(source)) = (self.options.renews, self.options.token.clone()) else { return };
        let left = Duration::from_millis(expires).saturating_sub(UNIX_EPOCH.elapsed().unwrap_or_default());
        let was_now = self.renewed.replace(Instant::now()).is_some_and(|at| at.elapsed() < RENEWAL);
        let wait = if was_now { (left / 2).min(RENEWAL) } else { Duration::ZERO };
        self.token = Some(Box::pin(async move {
            tokio::time::sleep(wait).await;
            source().await
        }));
    }

    fn renew(&mut self, token: Result<String, String>) {
        self.token = None;
        if let Ok(token) = token {
            self.session.refresh(&token);
        }
    }

    fn end(&mut self, error: Error) {
        self.over.get_or_insert(error);
    }

    /// Whether the client was closed, and has said what it had to say or tried for long enough.
    fn has_left(&mut self) -> bool {
        let Some((until, _)) = &self.leaving else { return false };
        let has_said = self.session.has_sent_all() && self.posting.is_none();
        has_said || *until <= Instant::now() || self.session.said().is_none()
    }

    /// The client is over: whoever waits is told, and so is the server.
    async fn finish(mut self, error: &Error) {
        let refusal = match error {
            Error::Turned(problem) => Some(up::error_of(problem)),
            _ => None,
        };
        for (_, Listener { items, ready }) in self.listeners.drain() {
            match (ready, &refusal) {
                (Some(ready), _) => _ = ready.send(Err(error.clone())),
                (None, Some(refusal)) => _ = items.try_send(Queued::Item(Item::Refused(refusal.clone()))),
                (None, None) => {}
            }
        }
        for (_, reply) in self.calls.drain() {
            let _ = reply.send(Err(error.clone()));
        }
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Err(error.clone()));
        }
        let farewell = async {
            match &mut self.link {
                Link::Open { down, .. } if down.is_socket() => {
                    if let Some(socket) = down.socket() {
                        socket.close(None, close::NORMAL).await;
                    }
                }
                _ => {
                    if let Some(said) = self.session.said() {
                        transport::delete(&self.server, &said.location).await;
                    }
                }
            }
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        if let Some((_, done)) = self.leaving.take() {
            let _ = done.send(());
        }
    }
}

/// What a task that there may be comes to.
async fn finished<T>(task: &mut Option<Task<T>>) -> T {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}
