//! The requests of an HTTP/2 connection, side by side.

use super::{Client, Desk, Front, Outcome};
use crate::alarm::Alarm;
use crate::crew::{Crew, Work};
use crate::listen::http2::{Asked, Exchange, Limits, Link, Meters, Promises, SharedLink};
use crate::listen::{Head, Settings, Socket};
use crate::shard::{Adopted, Carrier, LinkPlace};
use bytes::Bytes;
use h2::Reason;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use switchboard_wire::code::Problem;
use tokio::time::{Instant, timeout};

/// How long a connection's streams have for their last words in a drain before the client is told to go.
const PARTING: Duration = Duration::from_secs(1);
/// How often it is looked whether they have said them.
const LOOK: Duration = Duration::from_millis(20);

/// Serves a connection until both sides are done with it. Its streams that are held stay with their shards meanwhile.
/// `arrived` was read from it before.
pub(super) async fn serve(io: Socket, arrived: Bytes, client: Client, desk: &Desk) {
    let Desk { node, shard, .. } = desk;
    let settings = desk.settings(client.refused);
    let limits = Limits { streams: node.config.limits.streams, head: settings.head_bytes as u32 };
    let place = LinkPlace::make(shard);
    let meters = Meters { load: node.limits.transit.stalled.load(), writes: node.figures.http2_writes.clone() };
    let opening = Link::open(io, arrived, limits, meters, place.as_one_of());
    let Ok(Ok(link)) = timeout(settings.head, opening).await else { return };
    node.figures.http2.fetch_add(1, Ordering::Relaxed);
    let link = Rc::new(RefCell::new(link));
    place.take(&link);
    let requests = Requests {
        link,
        crew: shard.borrow().crew(),
        desk: desk.clone(),
        settings,
        client,
        running: Rc::default(),
        working: Rc::default(),
        promises: Promises::default(),
        is_first: Cell::new(true),
    };
    requests.run().await;
}

/// How far a connection is on its way to its end.
///
/// ```text
///             the server drains          all is said, or time is up
///   Serving ────────────────────► Parting ────────────────────────► Leaving { drains: true }
///      │                             └─ idle, or beyond a limit ───────────────▲
///      └─ idle, or beyond a limit ─────────────────────────────────► Leaving { drains: false }
/// ```
#[derive(Clone, Copy)]
enum Phase {
    Serving,
    /// What is in progress is answered, and every stream that is held says its last words, until then at the latest, before
    /// the client is told to go: some hang up on hearing that. What it asks from then on it asks elsewhere.
    Parting(Instant),
    /// The client was told to go.
    Leaving {
        /// Whether that is because the server drains: what is left then is the server's to answer, or the client's to take.
        drains: bool,
    },
}

/// Requests of one connection.
struct Requests {
    link: SharedLink,
    crew: Rc<Crew<Job>>,
    desk: Desk,
    settings: Arc<Settings>,
    /// It keeps the place among those of its address, however many streams it has.
    client: Client,
    /// Requests whose answers are not done.
    running: Count,
    /// Those of them whose answers are not known yet.
    working: Count,
    promises: Promises,
    is_first: Cell<bool>,
}

impl Requests {
    /// Takes requests until the client closes, has been idle for too long or was told to go.
    async fn run(&self) {
        let mut draining = self.desk.node.draining.subscribe();
        let mut drained = pin!(draining.wait_for(|draining| *draining));
        let mut phase = Phase::Serving;
        let (mut idle_since, mut sent, mut busy) = (Instant::now(), 0, false);
        let mut alarm = Alarm::default();
        loop {
            let (patience, look) = match phase {
                Phase::Serving => (self.settings.idle, None),
                Phase::Parting(_) => (self.settings.idle, Some(Instant::now() + LOOK)),
                // A client that is told to go and does not answer is left once nothing of its is open.
                Phase::Leaving { .. } => (self.desk.node.config.timeouts.close, None),
            };
            let idle = idle_since + patience;
            let next = look.map_or(idle, |look| idle.min(look));
            tokio::select! {
                asked = poll_fn(|cx| self.link.borrow_mut().poll_accept(cx)) => match asked {
                    Some(Ok(asked)) => {
                        idle_since = Instant::now();
                        self.answer(asked);
                    }
                    // RFC 9113 section 5.4.1: whoever is to blame was told with GOAWAY.
                    Some(Err(error)) => return tracing::debug!(%error, "an HTTP/2 connection failed"),
                    None => return,
                },
                _ = &mut drained, if matches!(phase, Phase::Serving) => phase = Phase::Parting(Instant::now() + PARTING),
                () = alarm.reach(Some(next)) => if idle <= Instant::now() {
                    idle_since = Instant::now();
                    let before = std::mem::replace(&mut sent, self.link.borrow().sent());
                    let is_still = sent == before && self.working.get() == 0;
                    // Its last stream may have ended just now: it is idle from here on.
                    let was_busy = std::mem::replace(&mut busy, self.link.borrow().has_streams());
                    match phase {
                        Phase::Leaving { drains } if !busy || drains && is_still => return,
                        Phase::Leaving { .. } => {}
                        Phase::Serving | Phase::Parting(_) if busy || was_busy => {}
                        Phase::Serving | Phase::Parting(_) => phase = self.leave(phase),
                    }
                },
            }
            let leaves = match phase {
                Phase::Serving => self.client.refused.is_some(),
                Phase::Parting(until) => self.client.refused.is_some() || self.has_parted() || until <= Instant::now(),
                Phase::Leaving { .. } => false,
            };
            if leaves {
                (phase, idle_since) = (self.leave(phase), Instant::now());
            }
        }
    }

    /// Whether a drain has told its streams, and everybody else's, and polls that waited had a moment for their answers: a pool of
    /// connections may hang up on all of them when it hears on one that it is to go.
    fn has_parted(&self) -> bool {
        !self.link.borrow().has_streams() && self.desk.node.all_told().is_some_and(|since| since.elapsed() >= LOOK)
    }

    /// Tells the client to go.
    fn leave(&self, phase: Phase) -> Phase {
        self.link.borrow_mut().say_goodbye();
        Phase::Leaving { drains: !matches!(phase, Phase::Serving) }
    }

    /// Has a request answered.
    fn answer(&self, (request, mut respond): Asked) {
        if self.running.get() >= self.desk.node.config.limits.streams {
            // A client that resets what it asks for makes room for more streams, not for more work.
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        let (runs, works) = (Counted::new(&self.running), Counted::new(&self.working));
        let outlet = self.link.borrow().outlet().clone();
        let asked = (request, respond);
        let (head, exchange) = Exchange::new(asked, outlet, self.settings.clone(), self.promises.clone());
        let Client { address, secure, refused, .. } = self.client;
        let front = Front::new(exchange, self.desk.clone(), Client { address, secure, seat: None, refused });
        if let (Ok(head), true) = (&head, self.is_first.take()) {
            front.notice_proxy(head);
        }
        self.crew.hand(Job { front, head, works, runs });
    }
}

/// A request that is to be answered.
pub(crate) struct Job {
    front: Front<Exchange>,
    head: Result<Head, Problem>,
    works: Counted,
    runs: Counted,
}

impl Work for Job {
    async fn done(self) {
        let Job { front, head, works, runs } = self;
        front.answer_one(head, works).await;
        drop(runs);
    }
}

impl Front<Exchange> {
    /// Answers the request, or lets a shard hold its answer open.
    async fn answer_one(mut self, head: Result<Head, Problem>, works: Counted) {
        let outcome = match head {
            Ok(head) => self.handle(head).await,
            Err(problem) => Outcome::Respond(self.problem(&problem)),
        };
        drop(works);
        match outcome {
            Outcome::Gone => {}
            Outcome::Respond(response) => match self.connection.respond(response).await {
                Ok(sizes) => self.count_read(sizes),
                Err(error) => tracing::debug!(%error, "an answer was not taken"),
            },
            Outcome::File(response) => {
                if let Err(error) = self.connection.respond(response).await {
                    return tracing::debug!(%error, "a file was not taken");
                }
                for promised in self.promised {
                    let node = self.desk.node.clone();
                    tokio::task::spawn_local(async move { promised.keep(&node).await });
                }
            }
            Outcome::Hold(mut answer) => {
                let Some(parts) = answer.fields.take() else { return };
                let hears = answer.transport.is_websocket();
                let Ok(stream) = self.connection.hold(*parts, hears) else { return };
                let carrier = Carrier::Stream(Box::new(stream));
                let adopted = Adopted { carrier, received: Vec::new(), answer: *answer, admission: None };
                self.desk.hand_over(adopted);
            }
        }
    }
}

/// How many there are of something.
type Count = Rc<Cell<u32>>;

/// One of them, until it is dropped.
struct Counted(Count);

impl Counted {
    fn new(count: &Count) -> Counted {
        count.set(count.get() + 1);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
