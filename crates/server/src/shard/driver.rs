//! The thread of a shard: a current-thread runtime whose tasks read requests, and the shard's own poll beside it.

use super::{Shard, SharedShard};
use crate::alarm::Alarm;
use crate::crew::{Crew, Work};
use crate::front::{self, Desk};
use crate::listen::Accepted;
use crate::node::{Command, Node, Question};
use mio::{Events, Poll};
use std::cell::{Cell, RefCell};
use std::future::{poll_fn, ready};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};
use tokio::task::LocalSet;

/// Events taken from the poll at once.
const EVENTS: usize = 1024;
/// What may be done in one round of what other threads ask of the shard.
const OBEYING: Duration = Duration::from_millis(1);

/// Threads of a shard that wait for disks, at most. They come when files are asked for, and go when none are.
const FILE_THREADS: usize = 8;

/// Starts a shard's thread.
pub(crate) fn spawn(
    node: Arc<Node>,
    index: usize,
    commands: mpsc::UnboundedReceiver<Command>,
    bell: Arc<Notify>,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(format!("shard-{index}")).spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().max_blocking_threads(FILE_THREADS).thread_name(format!("files-{index}"));
        let runtime = match builder.build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "a shard cannot start"),
        };
        let tasks = LocalSet::new();
        // A task like those that publish: woken by one of them it runs right after, where the runtime would look for
        // events of sockets before it polls what it was given to block on.
        let shard = tasks.spawn_local(run(node, index, commands, bell));
        match runtime.block_on(tasks.run_until(shard)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a shard stopped"),
            Err(error) => tracing::error!(%error, "a shard failed"),
        }
    })
}

/// The shard's connections that are no streams yet, and the tasks that read their requests.
#[derive(Default)]
struct Requests {
    count: Cell<usize>,
    done: Notify,
    crew: Rc<Crew<Newcomer>>,
}

/// A connection that is to be served, and where.
struct Newcomer {
    accepted: Accepted,
    desk: Desk,
    requests: Rc<Requests>,
}

impl Work for Newcomer {
    async fn done(self) {
        let Newcomer { accepted, desk, requests } = self;
        front::serve(accepted, desk).await;
        requests.count.set(requests.count.get() - 1);
        requests.done.notify_one();
    }
}

async fn run(
    node: Arc<Node>,
    index: usize,
    mut commands: mpsc::UnboundedReceiver<Command>,
    bell: Arc<Notify>,
) -> io::Result<()> {
    let poll = Poll::new()?;
    let registry = poll.registry().try_clone()?;
    let shard: SharedShard = Rc::new(RefCell::new(Shard::new(node.clone(), index, registry, bell.clone())));
    let mut poll = nest(poll)?;
    let mut events = Events::with_capacity(EVENTS);
    let mut draining = node.draining.subscribe();
    let mut drained = pin!(draining.wait_for(|draining| *draining));
    let mut give_up: Option<Instant> = None;
    let mut alarm = Alarm::default();
    let requests = Rc::new(Requests::default());
    let clerk = Clerk { node: node.clone(), shard: shard.clone(), bell: bell.clone(), requests: requests.clone() };
    loop {
        let behind = clerk.obey_some(&mut commands);
        let more = shard.borrow_mut().turn(Instant::now()) || behind;
        for errand in shard.borrow_mut().errands() {
            tokio::task::spawn_local(errand.run(node.clone(), shard.clone(), bell.clone()));
        }
        let left = shard.borrow().len() + requests.count.get();
        if give_up.is_some_and(|at| left == 0 || at <= Instant::now()) {
            shard.borrow().part_with_all();
            return Ok(());
        }
        let deadline = [shard.borrow().deadline(), give_up].into_iter().flatten().min();
        // What a turn did may be news to the next one, such as what was published in it: all else has its turn all the same.
        if more {
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            _ = &mut drained, if give_up.is_none() => {
                give_up = Some(Instant::now() + node.config.drain);
                shard.borrow_mut().drain();
            }
            ready = poll_fn(|cx| poll.poll_read_ready(cx)) => {
                ready?.clear_ready();
                take_events(poll.get_mut(), &mut events, &shard)?;
            }
            Some(command) = commands.recv() => clerk.obey(command),
            () = bell.notified() => {}
            () = requests.done.notified(), if give_up.is_some() => {}
            () = ready(()), if more => {}
            () = alarm.reach(deadline.map(Into::into)), if !more => {}
        }
    }
}

/// Who does what other threads ask of a shard.
struct Clerk {
    node: Arc<Node>,
    shard: SharedShard,
    bell: Arc<Notify>,
    requests: Rc<Requests>,
}

impl Clerk {
    /// Does what is asked for as long as its share of a round lasts, and one thing at least: sockets that have news in every
    /// round are not to keep newcomers and revocations waiting. `true` if there may be more.
    fn obey_some(&self, commands: &mut mpsc::UnboundedReceiver<Command>) -> bool {
        let mut began = None;
        while let Ok(command) = commands.try_recv() {
            let began = *began.get_or_insert_with(Instant::now);
            self.obey(command);
            if began.elapsed() >= OBEYING {
                return true;
            }
        }
        false
    }

    fn obey(&self, command: Command) {
        match command {
            Command::Serve(accepted) => {
                let desk = Desk::new(self.node.clone(), self.shard.clone(), self.bell.clone());
                self.requests.count.set(self.requests.count.get() + 1);
                self.requests.crew.clone().hand(Newcomer { accepted, desk, requests: self.requests.clone() });
            }
            Command::Ask(question) => answer(&mut self.shard.borrow_mut(), question),
        }
    }
}

/// Does what other threads ask of a shard, and tells them. Who asked may have gone.
fn answer(shard: &mut Shard, question: Question) {
    match question {
        Question::Ping(answer) => answer.send(()).unwrap_or_default(),
        Question::Named(after, most, answer) => drop(answer.send(shard.named(after.as_deref(), most))),
        Question::CountReaders(channels, answer) => drop(answer.send(shard.count_readers(&channels))),
        Question::Reconsider(answer) => drop(answer.send(shard.reconsider())),
        Question::Adopt(adopted) => shard.take_over(*adopted),
        Question::Session(id, key, ask) => shard.ask(id, key, ask),
        Question::Sessions(user, answer) => drop(answer.send(shard.list_sessions(user.as_deref()))),
        Question::End(connection, answer) => drop(answer.send(shard.end(connection))),
        Question::Renew(connection, identity, answer) => drop(answer.send(shard.renew(connection, identity))),
    }
}

/// Registers the shard's poll with the runtime's, so that one thread waits for both.
#[allow(unsafe_code, reason = "there is no safe way to register a descriptor that is not `AsFd`")]
fn nest(poll: Poll) -> io::Result<AsyncFd<Poll>> {
    // SAFETY: a `Poll` owns its descriptor, always answers with that one, and closes it only when dropped, which
    // `AsyncFd` does after it has deregistered it.
    let nested = unsafe { AsyncFd::register_with_interest(poll, Interest::READABLE) };
    Ok(nested?)
}

/// Hands the poll's events to the shard. The poll's own descriptor is edge-triggered, so it is emptied.
fn take_events(poll: &mut Poll, events: &mut Events, shard: &SharedShard) -> io::Result<()> {
    loop {
        match poll.poll(events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        let mut shard = shard.borrow_mut();
        let mut count = 0;
        for event in events.iter() {
            shard.on_event(event);
            count += 1;
        }
        if count < EVENTS {
            return Ok(());
        }
    }
}
