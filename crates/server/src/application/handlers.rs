//! Handlers in Rust, for a program that the server is embedded in.

use super::answers::{Allowed, Granted, Taken};
use super::queue::Queue;
use super::{
    Answer, Application, Caller, Connecting, DEBOUNCE, Event, Figures, Kind, Publishing, Question, Subscribing,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::jsonrpc::{ErrorObject, Json, Params};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Calls at once, unless it is said.
const CALLS: usize = 1024;
/// Events that wait for [`Handlers::on_event`].
const EVENTS: usize = 10_000;
/// How long a call may take, unless it is said.
const TIMEOUT: Duration = Duration::from_secs(10);

type Handler<I, O> = Arc<dyn Fn(Caller, I) -> Answer<O> + Send + Sync>;

/// An application of functions. They run on a runtime of the program's own, and hold up no connection.
///
/// ```no_run
/// use switchboard::application::{Backend, Caller, Handlers};
///
/// # async fn serve() -> Result<(), switchboard::StartError> {
/// let handlers = Handlers::new(tokio::runtime::Handle::current())
///     .method("add", |_: Caller, (a, b): (i64, i64)| async move { Ok(a + b) });
/// let application = Backend::Embedded(std::sync::Arc::new(handlers));
/// let running = switchboard::start(switchboard::Config { application, ..Default::default() })?;
/// # drop(running); Ok(()) }
/// ```
pub struct Handlers {
    runtime: Handle,
    fields: Vec<String>,
    limit: usize,
    free: Arc<Semaphore>,
    timeout: Duration,
    debounce: Duration,
    methods: HashMap<String, Handler<Params<'static>, Json<'static>>>,
    connect: Option<Arc<dyn Fn(Connecting) -> Answer<Granted> + Send + Sync>>,
    subscribe: Option<Handler<Subscribing, Allowed>>,
    publish: Option<Handler<Publishing, Taken>>,
    events: Option<Arc<Queue<Event>>>,
    counted: Arc<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    requests: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers").field("methods", &self.methods.keys()).finish_non_exhaustive()
    }
}

impl Handlers {
    /// None yet; those that will be run on this runtime, which has timers.
    pub fn new(runtime: Handle) -> Handlers {
        Handlers {
            runtime,
            fields: Vec::new(),
            limit: CALLS,
            free: Arc::new(Semaphore::new(CALLS)),
            timeout: TIMEOUT,
            debounce: DEBOUNCE,
            methods: HashMap::new(),
            connect: None,
            subscribe: None,
            publish: None,
            events: None,
            counted: Arc::default(),
        }
    }

    /// How many may run at once; more are refused with `overloaded`.
    #[must_use]
    pub fn limit(self, limit: usize) -> Handlers {
        Handlers { limit, free: Arc::new(Semaphore::new(limit)), ..self }
    }

    /// How long one may take; then it is given up, with `call_timeout`.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Handlers {
        Handlers { timeout, ..self }
    }

    /// How long a channel without subscribers may take to have one again, before [`Handlers::on_event`] is told that it is
    /// vacated.
    #[must_use]
    pub fn debounce(self, debounce: Duration) -> Handlers {
        Handlers { debounce, ..self }
    }

    /// Fields of the request that opens a session, to be shown to [`Handlers::on_connect`].
    #[must_use]
    pub fn fields<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Handlers {
        Handlers { fields: names.into_iter().map(str::to_ascii_lowercase).collect(), ..self }
    }

    /// Answers a method. Params that are no `P` are refused with `invalid_params`; a struct can be given by name or by
    /// position. A notification goes here as well, and what is answered to it is dropped.
    #[must_use]
    pub fn method<P, R, F, A>(mut self, name: &str, handler: F) -> Handlers
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize + 'static,
        F: Fn(Caller, P) -> A + Send + Sync + 'static,
        A: Future<Output = Result<R, ErrorObject<'static>>> + Send + 'static,
    {
        let handler: Handler<Params<'static>, Json<'static>> = Arc::new(move |caller, params| {
            let params: P = match params.read() {
                Ok(params) => params,
                Err(problem) => return refused(&problem),
            };
            let answer = handler(caller, params);
            Box::pin(async move {
                let answer = answer.await?;
                Json::of(&answer).map_err(|error| failed(&format!("the answer cannot be said in JSON: {error}")))
            })
        });
        self.methods.insert(name.to_owned(), handler);
        self
    }

    /// Is asked about sessions that open.
    #[must_use]
    pub fn on_connect<F, A>(mut self, handler: F) -> Handlers
    where
        F: Fn(Connecting) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Granted, ErrorObject<'static>>> + Send + 'static,
    {
        self.connect = Some(Arc::new(move |connecting| Box::pin(handler(connecting))));
        self
    }

    /// Is asked about subscriptions that the rules allow.
    #[must_use]
    pub fn on_subscribe<F, A>(mut self, handler: F) -> Handlers
    where
        F: Fn(Caller, Subscribing) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Allowed, ErrorObject<'static>>> + Send + 'static,
    {
        self.subscribe = Some(Arc::new(move |caller, subscribing| Box::pin(handler(caller, subscribing))));
        self
    }

    /// Is asked about what sessions publish and the rules allow.
    #[must_use]
    pub fn on_publish<F, A>(mut self, handler: F) -> Handlers
    where
        F: Fn(Caller, Publishing) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Taken, ErrorObject<'static>>> + Send + 'static,
    {
        self.publish = Some(Arc::new(move |caller, publishing| Box::pin(handler(caller, publishing))));
        self
    }

    /// Is told what happens, one after the other. Where 10,000 wait, the oldest are dropped.
    #[must_use]
    pub fn on_event<F, A>(mut self, handler: F) -> Handlers
    where
        F: Fn(Event) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let queue = Arc::new(Queue::new(EVENTS));
        self.events = Some(queue.clone());
        let runtime = self.runtime.clone();
        self.runtime.spawn(async move {
            loop {
                for (number, event) in queue.front(1).await {
                    // On a task of its own, so that one that panics is the only one.
                    let _ = runtime.spawn(handler(event)).await;
                    queue.done(number);
                }
            }
        });
        self
    }

    /// Runs what a handler does on the program's runtime, within the limits.
    fn run<T: Send + 'static>(&self, start: impl FnOnce() -> Answer<T> + Send + 'static) -> Answer<T> {
        let Ok(place) = self.free.clone().try_acquire_owned() else {
            self.counted.refused.fetch_add(1, Ordering::Relaxed);
            return refused(&Code::Overloaded.because("as many calls are being worked on as may be"));
        };
        self.counted.requests.fetch_add(1, Ordering::Relaxed);
        let (timeout, counted) = (self.timeout, self.counted.clone());
        let running = self.runtime.spawn(async move {
            let outcome = tokio::time::timeout(timeout, start()).await;
            drop(place);
            outcome
        });
        Box::pin(async move {
            let problem = match running.await {
                Ok(Ok(outcome)) => return outcome,
                Ok(Err(_)) => Code::CallTimeout.into(),
                // It panicked, and said so, or the runtime is gone.
                Err(_) => Problem::from(Code::Internal),
            };
            counted.failed.fetch_add(1, Ordering::Relaxed);
            Err((&problem).into())
        })
    }
}

fn refused<T: Send + 'static>(problem: &Problem) -> Answer<T> {
    Box::pin(ready(Err(problem.into())))
}

fn failed(why: &str) -> ErrorObject<'static> {
    tracing::error!(target: "switchboard", "a handler failed: {why}");
    (&Problem::from(Code::Internal)).into()
}

fn granted<T: Default + Send + 'static>() -> Answer<T> {
    Box::pin(ready(Ok(T::default())))
}

impl Application for Handlers {
    fn asks(&self, question: Question) -> bool {
        match question {
            Question::Connect => self.connect.is_some(),
            Question::Subscribe => self.subscribe.is_some(),
            Question::Publish => self.publish.is_some(),
        }
    }

    fn fields(&self) -> &[String] {
        &self.fields
    }

    fn connect(&self, connecting: Connecting) -> Answer<Granted> {
        match self.connect.clone() {
            Some(handler) => self.run(move || handler(connecting)),
            None => granted(),
        }
    }

    fn subscribe(&self, caller: Caller, subscribing: Subscribing) -> Answer<Allowed> {
        match self.subscribe.clone() {
            Some(handler) => self.run(move || handler(caller, subscribing)),
            None => granted(),
        }
    }

    fn publish(&self, caller: Caller, publishing: Publishing) -> Answer<Taken> {
        match self.publish.clone() {
            Some(handler) => self.run(move || handler(caller, publishing)),
            None => granted(),
        }
    }

    fn call(&self, caller: Caller, method: &str, params: Params<'static>) -> Answer<Json<'static>> {
        match self.methods.get(method).cloned() {
            Some(handler) => self.run(move || handler(caller, params)),
            None => refused(&Code::MethodNotFound.into()),
        }
    }

    fn notify(&self, caller: Caller, method: &str, params: Params<'static>) {
        if let Some(handler) = self.methods.get(method).cloned() {
            // It goes on without anybody who waits for it.
            drop(self.run(move || handler(caller, params)));
        }
    }

    fn tells(&self, _: Kind) -> bool {
        self.events.is_some()
    }

    fn debounce(&self) -> Duration {
        self.debounce
    }

    fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            events.push(|_| event);
        }
    }

    fn figures(&self) -> Figures {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let events = self.events.as_deref();
        Figures {
            calls: self.limit - self.free.available_permits(),
            calls_limit: self.limit,
            notices: events.map_or(0, Queue::len),
            notices_limit: events.map_or(0, Queue::limit),
            requests: of(&self.counted.requests),
            refused: of(&self.counted.refused),
            failed: of(&self.counted.failed),
            dropped: events.map_or(0, Queue::dropped),
            ..Figures::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use switchboard_wire::ChannelName;

    fn run<A: Future<Output = ()>>(test: impl FnOnce(Handle) -> A) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(test(runtime.handle().clone()));
    }

    fn caller() -> Caller {
        Caller { session: "s".into(), user: None, info: None, address: [127, 0, 0, 1].into() }
    }

    fn params(text: &str) -> Params<'static> {
        Params::new(Json::parse(text).unwrap().into_owned()).unwrap()
    }

    fn code<T>(outcome: Result<T, ErrorObject<'static>>) -> i64 {
        outcome.err().unwrap().code
    }

    #[test]
    fn methods_are_answered_by_functions() {
        run(|runtime| async move {
            let handlers = Handlers::new(runtime)
                .method("add", |_: Caller, (a, b): (i64, i64)| async move { Ok(a + b) })
                .method("refuse", |_: Caller, (): ()| async move {
                    Err::<(), _>(ErrorObject { code: 7, message: "no".into(), data: None })
                })
                .method("panic", |_: Caller, _: [u8; 0]| async move {
                    let none: [i64; 0] = [];
                    Ok(none.iter().copied().max().expect("a handler that panics"))
                });
            assert_eq!(handlers.call(caller(), "add", params("[1,2]")).await.unwrap().as_str(), "3");
            assert_eq!(code(handlers.call(caller(), "add", params("[1]")).await), -32602);
            assert_eq!(code(handlers.call(caller(), "sub", params("[1]")).await), -32601);
            assert_eq!(code(handlers.call(caller(), "panic", params("[]")).await), -32603);
            assert_eq!(handlers.figures().failed, 1);
        });
    }

    #[test]
    fn one_that_takes_too_long_is_given_up_and_too_many_are_refused() {
        run(|runtime| async move {
            let slow = |_: Caller, _: [u8; 0]| std::future::pending::<Result<(), ErrorObject<'static>>>();
            let handlers = Handlers::new(runtime).timeout(Duration::from_millis(1)).limit(1).method("slow", slow);
            let first = handlers.call(caller(), "slow", params("[]"));
            assert_eq!(code(handlers.call(caller(), "slow", params("[]")).await), 50300);
            assert_eq!(code(first.await), 50400);
            assert_eq!(code(handlers.call(caller(), "slow", params("[]")).await), 50400, "its place is free again");
            assert_eq!((handlers.figures().refused, handlers.figures().failed), (1, 2));
        });
    }

    #[test]
    fn what_has_no_handler_is_granted_and_not_asked() {
        run(|runtime| async move {
            let handlers = Handlers::new(runtime).on_subscribe(|_, subscribing| async move {
                Ok(Allowed { since: subscribing.since.map(|_| "earliest".to_owned()) })
            });
            let asked: Vec<bool> = Question::ALL.into_iter().map(|question| handlers.asks(question)).collect();
            assert_eq!(asked, [false, true, false]);
            let subscribing = Subscribing { channel: "a".into(), since: Some("latest".into()) };
            let allowed = handlers.subscribe(caller(), subscribing).await.unwrap();
            assert_eq!(allowed.since.as_deref(), Some("earliest"));
        });
    }

    #[test]
    fn events_are_told_one_after_the_other() {
        run(|runtime| async move {
            let told = Arc::new(Mutex::new(Vec::new()));
            let (heard, all) = (told.clone(), Arc::new(tokio::sync::Notify::new()));
            let last = all.clone();
            let handlers = Handlers::new(runtime).on_event(move |event| {
                let (heard, last) = (heard.clone(), last.clone());
                async move {
                    tokio::task::yield_now().await;
                    let mut heard = heard.lock().unwrap();
                    heard.push(event);
                    if heard.len() == 20 {
                        last.notify_one();
                    }
                }
            });
            let events: Vec<Event> =
                (0..20).map(|i| Event::Occupied { channel: ChannelName::new(&format!("c/{i}")).unwrap() }).collect();
            events.iter().cloned().for_each(|event| handlers.tell(event));
            all.notified().await;
            assert_eq!(*told.lock().unwrap(), events);
        });
    }
}
