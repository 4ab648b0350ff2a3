//! What all threads of a server share.

use crate::application::{Link, Occupancy};
use crate::audit;
use crate::auth::{Auth, Identity};
use crate::config::Config;
use crate::limits::Limits;
use crate::listen::tls::Tls;
use crate::listen::{Connections, Settings};
use crate::metrics::Figures;
use crate::origin::Pages;
use crate::presence::Presence;
use crate::session::{self, Ask};
use crate::site::Site;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use switchboard_store::{Item, Memory, What};
use switchboard_wire::code::Problem;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Code, Epoch, Gap, Notice, Reason};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// How long a connection beyond the limit may take to say what it wants.
const REFUSING: Duration = Duration::from_secs(2);

/// Milliseconds that a publisher waits for shards to catch up, at most.
const PACE: usize = 100;

/// Channels whose readers are counted at once: for each of them all patterns may have to be looked at.
const COUNTED: usize = 64;

/// How long a shard may take to answer before the server counts as not ready.
const CHECK: Duration = Duration::from_secs(1);
/// How long a server that drains goes on looking: most of what is asked for is found by then, and every client is to be told within
/// three seconds.
const LOOKING: Duration = Duration::from_secs(1);

/// A running server, as its threads see it.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) log: Arc<Memory>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) presence: Presence,
    pub(crate) application: Link,
    pub(crate) occupancy: Occupancy,
    pub(crate) site: Option<Site>,
    /// Whether a request was seen that a proxy passed on of which the configuration says nothing.
    pub(crate) unnamed_proxy: AtomicBool,
    /// Whether it listens where others reach it.
    reached: bool,
    /// How connections are read.
    pub(crate) serving: Arc<Settings>,
    /// The same for those beyond the limit, who live off the reserve: they are to say quickly what they are refused.
    pub(crate) refusing: Arc<Settings>,
    /// Where TLS is spoken.
    pub(crate) tls: Option<Tls>,
    /// Turns true, once, when the server begins to stop.
    pub(crate) draining: watch::Sender<bool>,
    /// How many shards have told their streams of it, and since when all have.
    told: AtomicUsize,
    all_told: OnceLock<Instant>,
    shards: OnceLock<Vec<ShardHandle>>,
}

/// How other threads reach a shard.
pub(crate) struct ShardHandle {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) bell: Arc<Notify>,
}

impl ShardHandle {
    /// Asks something of the shard. One that has stopped drops the question, and with it the answer.
    pub(crate) fn ask(&self, question: Question) {
        let _ = self.commands.send(Command::Ask(question));
    }
}

/// What other threads send to a shard. Its queue is bounded by the connections and requests the server admits.
pub(crate) enum Command {
    /// A connection to serve.
    Serve(crate::listen::Accepted),
    Ask(Question),
}

/// What other threads ask of a shard.
pub(crate) enum Question {
    /// Answer.
    Ping(oneshot::Sender<()>),
    /// Tell which channels readers select by name: the first so many behind a name.
    Named(Option<String>, usize, oneshot::Sender<Vec<ChannelName>>),
    /// Count the readers of each of these channels.
    CountReaders(Arc<[ChannelName]>, oneshot::Sender<Vec<usize>>),
    /// Look at every stream again: what was taken from it since it was opened ends it. Answers how many that were.
    Reconsider(oneshot::Sender<usize>),
    /// Take over a connection that takes up a session of this shard.
    Adopt(Box<crate::shard::Adopted>),
    /// Ask something of the session of this name: with its key, or as a backend.
    Session(session::Id, Option<session::Key>, session::Ask),
    /// Tell of the sessions of a user, or of all.
    Sessions(Option<String>, oneshot::Sender<Vec<session::Listed>>),
    /// End the connection of this name, and tell whose it was.
    End(u64, oneshot::Sender<Option<Identity>>),
    /// Let the connection of this name last as long as this identity; see [`crate::shard::Shard::renew`].
    Renew(u64, Identity, oneshot::Sender<Option<Result<(), Problem>>>),
}

impl Node {
    pub(crate) fn new(config: Config, site: Option<Site>, shards: usize) -> std::io::Result<Node> {
        let log = Arc::new(Memory::new(Epoch::new(random()?), config.policy.clone()));
        let connections =
            Arc::new(Connections::new(config.connections, site.as_ref().map_or(0, |site| site.transfers().1)));
        let reached = config.addresses().any(|address| !address.ip().to_canonical().is_loopback());
        let application = Link::start(&config.application, config.limits.message)?;
        Ok(Node {
            figures: Arc::new(Figures::new(shards)),
            presence: Presence::new(&config.presence, log.clone()),
            log,
            limits: Limits::new(&config, connections.limit(), now()),
            connections,
            occupancy: Occupancy::new(&application),
            application,
            site,
            auth: Auth::new(config.auth.clone(), random()?),
            unnamed_proxy: AtomicBool::new(false),
            reached,
            serving: Arc::new(Settings::from(&config)),
            refusing: Arc::new(Settings { head: REFUSING, idle: REFUSING, ..Settings::from(&config) }),
            tls: None,
            draining: watch::Sender::new(false),
            told: AtomicUsize::new(0),
            all_told: OnceLock::new(),
            shards: OnceLock::new(),
            config,
        })
    }

    /// The same, with TLS where it is to be spoken.
    pub(crate) fn with_tls(self, tls: Option<Tls>) -> Node {
        Node { tls, ..self }
    }

    /// Makes the shards known, and rings their bells at every append.
    pub(crate) fn attach(&self, shards: Vec<ShardHandle>) {
        for (index, shard) in shards.iter().enumerate() {
            let (bell, figures) = (shard.bell.clone(), self.figures.clone());
            self.log.on_append(Box::new(move || {
                if figures.shard(index).attends() {
                    bell.notify_one();
                }
            }));
        }
        // Attached once, at the start.
        let _ = self.shards.set(shards);
    }

    pub(crate) fn shards(&self) -> &[ShardHandle] {
        self.shards.get().map_or(&[], Vec::as_slice)
    }

    /// Which hosts and web pages are served, at present.
    pub(crate) fn pages(&self) -> Pages {
        Pages::of(self.auth.settings(), self.reached)
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn now(&self) -> u64 {
        now()
    }

    /// Counts a refusal of those that are told, and says whether the log is to have a line for it.
    pub(crate) fn denies(&self, code: Code) -> bool {
        if !audit::is_told(code) {
            return false;
        }
        self.figures.denied.fetch_add(1, Ordering::Relaxed);
        self.auth.audit.admits(self.now())
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// A shard has told every stream of its own that the server drains.
    pub(crate) fn have_told(&self) {
        let told = self.told.fetch_add(1, Ordering::Relaxed) + 1;
        if self.shards.get().is_some_and(|shards| told == shards.len()) {
            self.all_told.get_or_init(Instant::now);
        }
    }

    /// Since when every stream of the server was told.
    pub(crate) fn all_told(&self) -> Option<Instant> {
        self.all_told.get().copied()
    }

    /// What a long look comes to, unless the server drains and it takes much longer: then nobody is to wait for it.
    pub(crate) async fn unless_draining<T>(&self, look: impl Future<Output = T>) -> Result<T, Problem> {
        let too_late = async {
            let mut draining = self.draining.subscribe();
            drop(draining.wait_for(|draining| *draining).await);
            tokio::time::sleep(LOOKING.min(self.config.drain / 2)).await;
        };
        tokio::select! {
            biased;
            found = look => Ok(found),
            () = too_late => Err(Code::Draining.into()),
        }
    }

    /// Whether the log and every shard really answer.
    pub(crate) async fn check(&self) -> Result<(), Problem> {
        // The log answers from under its lock, a shard from its own thread.
        self.log.stats();
        let answers = self.ask_shards(Question::Ping);
        let all = async {
            for answer in answers {
                if answer.await.is_err() {
                    return false;
                }
            }
            true
        };
        match tokio::time::timeout(CHECK, all).await {
            Ok(true) => Ok(()),
            _ => Err(Code::Overloaded.because("a shard does not answer")),
        }
    }

    /// The channels that readers select by name: of each shard, the first so many behind a name.
    pub(crate) async fn named(&self, after: Option<&str>, most: usize) -> BTreeSet<ChannelName> {
        let mut all = BTreeSet::new();
        for named in self.ask_shards(|answer| Question::Named(after.map(str::to_owned), most, answer)) {
            all.extend(named.await.unwrap_or_default());
        }
        all
    }

    /// How many readers each of these channels has, on all shards.
    pub(crate) async fn count_readers(&self, channels: &[ChannelName]) -> Vec<usize> {
        let mut total = Vec::with_capacity(channels.len());
        for some in channels.chunks(COUNTED) {
            let some: Arc<[ChannelName]> = some.into();
            let mut sums = vec![0; some.len()];
            for counted in self.ask_shards(|answer| Question::CountReaders(some.clone(), answer)) {
                let counted = counted.await.unwrap_or_default();
                sums.iter_mut().zip(counted).for_each(|(sum, readers)| *sum += readers);
            }
            total.extend(sums);
        }
        total
    }

    /// Looks at every stream again, on all shards. Returns how many of them ended.
    pub(crate) async fn reconsider(&self) -> usize {
        let mut ended = 0;
        for answer in self.ask_shards(Question::Reconsider) {
            ended += answer.await.unwrap_or_default();
        }
        ended
    }

    /// The first answer of a shard that has one.
    pub(crate) async fn find<T>(&self, question: impl Fn(oneshot::Sender<Option<T>>) -> Question) -> Option<T> {
        for answer in self.ask_shards(question) {
            if let Ok(Some(found)) = answer.await {
                return Some(found);
            }
        }
        None
    }

    /// Asks something of a session.
    pub(crate) async fn ask_session<T>(
        &self,
        id: session::Id,
        key: Option<session::Key>,
        ask: impl FnOnce(session::Reply<T>) -> Ask,
    ) -> Result<T, Problem> {
        let (reply, replied) = oneshot::channel();
        self.tell_session(id, key, ask(reply));
        replied.await.unwrap_or_else(|_| Err(session::not_found()))
    }

    /// Asks something of a session whose answer comes by itself, or does not matter.
    pub(crate) fn tell_session(&self, id: session::Id, key: Option<session::Key>, ask: Ask) {
        if let Some(shard) = self.shards().get(usize::from(id.shard)) {
            shard.ask(Question::Session(id, key, ask));
        }
    }

    /// Hands a connection to the shard that has its session.
    pub(crate) fn hand_over(&self, shard: usize, adopted: crate::shard::Adopted) {
        if let Some(shard) = self.shards().get(shard) {
            // With the question, a shard that has stopped drops the connection.
            shard.ask(Question::Adopt(Box::new(adopted)));
        }
    }

    /// The sessions of a user, or all, on all shards.
    pub(crate) async fn sessions(&self, user: Option<&str>) -> Vec<session::Listed> {
        let mut all = Vec::new();
        for listed in self.ask_shards(|answer| Question::Sessions(user.map(str::to_owned), answer)) {
            all.extend(listed.await.unwrap_or_default());
        }
        all
    }

    fn ask_shards<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Question) -> Vec<oneshot::Receiver<T>> {
        let ask = |shard: &ShardHandle| {
            let (answer, answered) = oneshot::channel();
            shard.ask(question(answer));
            answered
        };
        self.shards().iter().map(ask).collect()
    }

    /// What a live reader is told of something on the ring that is not an event, and whether that is the end of all it
    /// reads.
    pub(crate) fn say(&self, item: &Item, selection: Option<&Arc<Selection>>) -> (Notice, bool) {
        let channel = item.channel.clone();
        match item.what {
            What::Deleted => {
                // It was told everything before, so that this is where it was.
                let (from, to) = (self.log.position(item.seq - 1), self.log.position(item.seq));
                let from = from.to_string().into();
                (Notice::Gap(Gap { channel: Some(channel), from, to, reason: Reason::Deleted }), false)
            }
            What::End | What::Event(_) => {
                let over = selection.is_some_and(|selection| self.log.ended_by(selection, item.seq));
                (Notice::End { channel }, over)
            }
        }
    }

    /// Whether some shard is so far behind the log's head that more might overrun it.
    pub(crate) fn is_outrun(&self) -> bool {
        self.ring_lag() > self.config.policy.ring as u64 / 4
    }

    /// How many items the slowest shard has yet to hand over.
    pub(crate) fn ring_lag(&self) -> u64 {
        let slowest = (0..self.shards().len()).filter_map(|index| self.figures.shard(index).attended()).min();
        slowest.map_or(0, |position| self.log.head().saturating_sub(position))
    }

    /// Lets the shards catch up before more is appended. The ring is short beside what a publisher can send at once, and
    /// readers that keep up are not to fall behind for that. A shard that does not move is not waited for.
    pub(crate) async fn pace(&self) {
        for waited in 0..PACE {
            if !self.is_outrun() {
                return;
            }
            if waited == 0 {
                self.figures.paced.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn random() -> std::io::Result<u64> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(u64::from_ne_bytes(seed))
}
