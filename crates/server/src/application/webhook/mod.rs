//! The application over HTTP: JSON-RPC 2.0 in a `POST` to one address, signed.
//!
//! ```text
//!   call ──► admitted? ──► waits for a slot ──► breaker? ──► a kept connection, or a new one ──► answer
//!               │ `queue` is full                 │ open
//!               └────────── overloaded ───────────┘
//!   event ──► queue of notices, the oldest go ──► one lane, in order, again until they are taken
//! ```
//!
//! All of it runs on one thread of its own, and no connection of a client waits for it.

mod notices;
mod pool;
mod post;
#[cfg(test)]
mod tests;

use super::answers::{Allowed, Granted, Taken};
use super::breaker::Breaker;
use super::queue::Queue;
use super::sign::in_a_field;
use super::{
    Answer, Application, Caller, Connecting, DEBOUNCE, Event, Figures, Kind, Publishing, Question, Subscribing, params,
};
use crate::audit::Audit;
use crate::auth::settings::Secret;
use crate::outward::Address;
use pool::Pool;
use post::{Failure, Letter};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{ErrorObject, Id, Incoming, Json, Message, Notification, Params, Request, parse};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};

/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// Where the application is, and how it is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub address: Address,
    /// A file of roots in PEM that its certificate may lead to, besides those that are built in.
    pub ca: Option<PathBuf>,
    /// Each signs, so that one can take over from another.
    pub secrets: Vec<Secret>,
    /// What it is asked before it happens.
    pub asks: Vec<Question>,
    /// What it is told after it happened.
    pub tells: Vec<Kind>,
    /// Fields of a request that opens a session, in lower case, that `connect` shows.
    pub fields: Vec<String>,
    pub limits: Limits,
}

/// How much of it, and how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How long a call may take, waiting included.
    pub timeout: Duration,
    /// Requests made at once (a count).
    pub concurrency: usize,
    /// Calls that wait beyond these (a count).
    pub queue: usize,
    /// Notifications of the server that wait (a count).
    pub notices: usize,
    /// Failures in a row after which it is given a rest.
    pub failures: u32,
    /// How long a rest.
    pub pause: Duration,
    /// How long a channel without subscribers may take to have one again, before it counts as vacated.
    pub debounce: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            timeout: Duration::from_secs(5),
            concurrency: 64,
            queue: 1024,
            notices: 10_000,
            failures: 10,
            pause: Duration::from_secs(2),
            debounce: DEBOUNCE,
        }
    }
}

impl Limits {
    /// Calls that may be asked or wait to be.
    fn calls(&self) -> usize {
        self.concurrency.saturating_add(self.queue).min(Semaphore::MAX_PERMITS)
    }
}

/// The application at an address.
pub(crate) struct Webhook {
    inner: Arc<Inner>,
    runtime: Handle,
    /// Says that it is over, and how long what is left may take.
    stopping: watch::Sender<Option<Duration>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What its tasks share.
struct Inner {
    settings: Settings,
    pool: Pool,
    breaker: Mutex<Breaker>,
    /// Who may wait or be asked about.
    admitted: Arc<Semaphore>,
    /// Who may be asked about at once.
    slots: Semaphore,
    notices: Queue<Arc<[u8]>>,
    /// Names this run of the server: ids are its own, whoever else sends to the same address.
    run: String,
    calls: AtomicU64,
    begun: Instant,
    counted: Counted,
    /// Which failures are told one by one.
    told: Audit,
}

#[derive(Default)]
struct Counted {
    requests: AtomicU64,
    retried: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}

impl Webhook {
    /// Starts the thread that asks. `most`: bytes of an answer.
    pub(crate) fn start(settings: Settings, most: usize) -> io::Result<Webhook> {
        let mut run = [0; 4];
        getrandom::fill(&mut run).map_err(|error| io::Error::other(error.to_string()))?;
        let limits = settings.limits;
        let pause = u64::try_from(limits.pause.as_millis()).unwrap_or(u64::MAX);
        let inner = Arc::new(Inner {
            pool: Pool::new(settings.address.clone(), settings.ca.clone(), limits.concurrency, most),
            breaker: Mutex::new(Breaker::new(limits.failures, pause)),
            admitted: Arc::new(Semaphore::new(limits.calls())),
            slots: Semaphore::new(limits.concurrency.min(Semaphore::MAX_PERMITS)),
            notices: Queue::new(limits.notices),
            run: format!("{:08x}", u32::from_ne_bytes(run)),
            calls: AtomicU64::new(0),
            begun: Instant::now(),
            counted: Counted::default(),
            told: Audit::new(),
            settings,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stopping, stopped) = watch::channel(None);
        let shared = inner.clone();
        let thread = thread::Builder::new().name("application".into()).spawn(move || {
            runtime.block_on(attend(&shared, stopped));
            // A look-up of a name may hang in a thread of its own, and is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Webhook { inner, runtime: handle, stopping, thread: Mutex::new(Some(thread)) })
    }

    /// Tells what has yet to be told, for as long as this at most, and asks nothing any more.
    pub(crate) fn stop(&self, time: Duration) {
        self.stopping.send_replace(Some(time));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }

    /// Sends a letter, when it is its turn; `read` says what the answer to it means.
    fn send<T: Send + 'static>(
        &self,
        letter: Letter,
        read: impl FnOnce(Vec<u8>) -> Result<Result<T, ErrorObject<'static>>, Failure> + Send + 'static,
    ) -> Answer<T> {
        let inner = self.inner.clone();
        let Ok(place) = inner.admitted.clone().try_acquire_owned() else {
            inner.counted.refused.fetch_add(1, Ordering::Relaxed);
            let problem = Code::Overloaded.because("as many calls wait for the application as may");
            return Box::pin(std::future::ready(Err((&problem).into())));
        };
        let (mut answer, answered) = oneshot::channel();
        self.runtime.spawn(async move {
            let deadline = tokio::time::Instant::now() + inner.settings.limits.timeout;
            let turn = tokio::select! {
                turn = inner.turn(deadline) => turn,
                // Nobody waits for it any more, and nothing was sent.
                () = answer.closed(), if letter.asks() => return,
            };
            let outcome = match turn {
                Ok(_turn) => inner.carry(&letter, deadline).await.and_then(read),
                Err(failure) => Err(failure),
            };
            let outcome = outcome.unwrap_or_else(|failure| Err((&inner.report(&letter, failure)).into()));
            drop(place);
            // Whoever asked may be gone.
            let _ = answer.send(outcome);
        });
        // The thread has stopped where nothing comes.
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err((&Problem::from(Code::Draining)).into())) })
    }

    /// A call with params, whose result `read` understands.
    fn ask<T: Send + 'static>(
        &self,
        (session, user): (&str, Option<&str>),
        method: &str,
        params: Params<'static>,
        repeatable: bool,
        read: fn(&Json<'_>) -> Result<T, Problem>,
    ) -> Answer<T> {
        let inner = &self.inner;
        let id = format!("{}-{}", inner.run, inner.calls.fetch_add(1, Ordering::Relaxed) + 1);
        // Invariant: these few bytes are no id that is too long.
        let id = Id::string(&id).unwrap_or(Id::NULL);
        let mut body = Vec::new();
        Request { id: id.clone(), method: method.into(), params }.write(&mut body);
        let letter = Letter::new(session, user, body, repeatable);
        self.send(letter, move |body| match result(&id, &body)? {
            Ok(result) => read(&result).map(Ok).map_err(|problem| Failure::Foul(problem.detail.into_owned())),
            Err(error) => Ok(Err(error)),
        })
    }
}

/// Tells notices and keeps the connections, until it is over.
async fn attend(inner: &Inner, mut stopping: watch::Receiver<Option<Duration>>) {
    let mut over = stopping.clone();
    let sweep = async {
        loop {
            tokio::time::sleep(SWEEP).await;
            inner.pool.sweep();
        }
    };
    let rest = async {
        // The server is gone where nobody says anything any more.
        let time = over.wait_for(Option::is_some).await.ok().and_then(|time| *time).unwrap_or_default();
        let _ = tokio::time::timeout(time, inner.notices.empty()).await;
    };
    tokio::select! {
        () = notices::tell(inner, &mut stopping) => {}
        () = sweep => {}
        () = rest => {}
    }
}

/// The result or error that a body has for the call of this id.
fn result(id: &Id<'_>, body: &[u8]) -> Result<Result<Json<'static>, ErrorObject<'static>>, Failure> {
    let foul = |why: &str| Failure::Foul(why.to_owned());
    match parse(body) {
        Ok(Incoming::One(Ok(Message::Response(response)))) => {
            // An application that could not read the id says null.
            if response.id != *id && !(response.id.is_null() && response.outcome.is_err()) {
                return Err(foul("the answer has another id"));
            }
            Ok(response.outcome.map(Json::into_owned).map_err(ErrorObject::into_owned))
        }
        Err(problem) => Err(Failure::Foul(format!("the answer is no JSON: {}", problem.detail))),
        Ok(_) => Err(foul("the answer is no response of JSON-RPC 2.0")),
    }
}

fn whose(caller: &Caller) -> (&str, Option<&str>) {
    (&caller.session, caller.user.as_deref())
}

impl Application for Webhook {
    fn asks(&self, question: Question) -> bool {
        self.inner.settings.asks.contains(&question)
    }

    fn fields(&self) -> &[String] {
        &self.inner.settings.fields
    }

    fn connect(&self, connecting: Connecting) -> Answer<Granted> {
        let whose = (&*connecting.session, connecting.user.as_deref());
        self.ask(whose, Question::Connect.as_str(), params(&connecting), true, Granted::read)
    }

    fn subscribe(&self, caller: Caller, subscribing: Subscribing) -> Answer<Allowed> {
        self.ask(whose(&caller), Question::Subscribe.as_str(), params(&subscribing), true, Allowed::read)
    }

    fn publish(&self, caller: Caller, publishing: Publishing) -> Answer<Taken> {
        self.ask(whose(&caller), Question::Publish.as_str(), params(&publishing), false, Taken::read)
    }

    fn call(&self, caller: Caller, method: &str, params: Params<'static>) -> Answer<Json<'static>> {
        self.ask(whose(&caller), method, params, false, |result| Ok(result.clone().into_owned()))
    }

    fn notify(&self, caller: Caller, method: &str, params: Params<'static>) {
        let mut body = Vec::new();
        Notification { method: method.into(), params }.write(&mut body);
        let (session, user) = whose(&caller);
        // It goes on without anybody who waits for it.
        drop(self.send(Letter::new(session, user, body, false).unasked(), |_| Ok(Ok(()))));
    }

    fn tells(&self, kind: Kind) -> bool {
        self.inner.settings.tells.contains(&kind)
    }

    fn debounce(&self) -> Duration {
        self.inner.settings.limits.debounce
    }

    fn tell(&self, event: Event) {
        let inner = &self.inner;
        if self.tells(event.kind()) {
            inner.notices.push(|number| {
                let notice = format!("{}-{number}", inner.run);
                let mut body = Vec::new();
                let (method, params) = (event.kind().as_str().into(), event.params(Some(&notice)));
                Notification { method, params }.write(&mut body);
                body.into()
            });
        }
    }

    fn figures(&self) -> Figures {
        let Inner { settings, admitted, notices, counted, .. } = &*self.inner;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let calls_limit = settings.limits.calls();
        Figures {
            calls: calls_limit.saturating_sub(admitted.available_permits()),
            calls_limit,
            notices: notices.len(),
            notices_limit: notices.limit(),
            resting: self.inner.breaker().is_open(),
            requests: of(&counted.requests),
            retried: of(&counted.retried),
            refused: of(&counted.refused),
            failed: of(&counted.failed),
            dropped: notices.dropped(),
        }
    }
}
