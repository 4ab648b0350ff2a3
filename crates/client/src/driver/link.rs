//! Connections: which to try, when, and what to make of their end.

use super::Driver;
use crate::client::credential;
use crate::error::Error;
use crate::http::Problem;
use crate::session::{Broken, Closing, Next, Said};
use crate::transport::{self, Cut, Down, Heard, Task, Transport};
use std::sync::PoisonError;
use std::time::Duration;
use switchboard_wire::code::TABLE;
use switchboard_wire::websocket::close::Close;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a connection may take to be made, and to say something first: what holds a stream back for longer is no use.
const FIRST: Duration = Duration::from_secs(10);
/// A connection on which nothing comes for so long, not even a heartbeat, is dead, unless the server says how often to expect
/// something.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// A page is waited for, and may be late.
pub(super) const WAITED: Duration = Duration::from_secs(WAIT + 10);
/// How long a page may wait for something to say, in seconds.
const WAIT: u64 = 25;
/// Failures in a row after which a transport that has worked is doubted.
const STRIKES: u32 = 3;
/// The longest that a server is given the word on how long to stay away.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What the client has of a connection.
pub(super) enum Link {
    /// To be tried then.
    Idle(Instant),
    Opening(Task<Result<Opened, Cut>>),
    Open {
        down: Box<Down>,
        since: Instant,
        greeted: bool,
    },
}

pub(super) enum Opened {
    /// A session, whose way down is yet to be opened.
    Session(Said),
    Down(Down),
}

/// What came of a link.
pub(super) enum Turn {
    Due,
    Opened(Result<Opened, Cut>),
    Heard(Result<Heard, Cut>),
}

impl Link {
    /// What comes next. It may be dropped and called again: nothing is lost.
    pub(super) async fn next(&mut self) -> Turn {
        match self {
            Link::Idle(at) => {
                sleep_until(*at).await;
                Turn::Due
            }
            Link::Opening(task) => Turn::Opened(task.await),
            Link::Open { down, .. } => Turn::Heard(down.next().await),
        }
    }

    /// When its silence has lasted too long.
    pub(super) fn deadline(&self, silence: Duration) -> Option<Instant> {
        match self {
            Link::Open { since, greeted: false, .. } => Some(*since + FIRST),
            Link::Open { down, .. } => Some(down.heard + silence),
            Link::Idle(_) | Link::Opening(_) => None,
        }
    }
}

/// Which transport to try.
#[derive(Debug)]
pub(super) struct Choice {
    order: Vec<Transport>,
    at: usize,
    /// It has worked.
    proven: bool,
    strikes: u32,
}

impl Choice {
    pub(super) fn new(order: Vec<Transport>) -> Choice {
        Choice { order, at: 0, proven: false, strikes: 0 }
    }

    pub(super) fn transport(&self) -> Transport {
        // Invariant: there is at least one, and `at` is within.
        self.order.get(self.at).copied().unwrap_or(Transport::Poll)
    }

    fn works(&mut self) {
        (self.proven, self.strikes) = (true, 0);
    }

    /// This one failed where a connection could be made. `true` if another is to be tried at once.
    fn fails(&mut self, for_good: bool) -> bool {
        self.strikes += 1;
        if !for_good && self.strikes < if self.proven { STRIKES } else { 1 } {
            return false;
        }
        let was_proven = std::mem::take(&mut self.proven);
        self.strikes = 0;
        self.at = if was_proven || self.at + 1 == self.order.len() { 0 } else { self.at + 1 };
        self.at != 0
    }
}

impl Driver {
    /// Begins to connect.
    pub(super) fn connect(&mut self) {
        let (server, transport) = (self.server.clone(), self.choice.transport());
        self.session.dropped();
        self.posting = None;
        let location = self.session.said().map(|said| said.location.clone());
        let task: Task<Result<Opened, Cut>> = match location {
            Some(location) => {
                let target = match transport {
                    // Each page is a connection of its own.
                    Transport::Poll => location,
                    _ => self.taking_up(&location),
                };
                Box::pin(async move { Ok(Opened::Down(transport::open(server, transport, Some(target)).await?)) })
            }
            None => {
                let source = self.options.token.clone();
                Box::pin(async move {
                    let mut server = server;
                    if let Some(source) = source {
                        let token =
                            source().await.map_err(|why| transport::lost(format!("there is no token: {why}")))?;
                        server.credential =
                            Some(credential(&token).map_err(|error| transport::lost(error.to_string()))?);
                    }
                    match transport {
                        Transport::WebSocket => Ok(Opened::Down(transport::open(server, transport, None).await?)),
                        _ => Ok(Opened::Session(transport::open_session(server).await?)),
                    }
                })
            }
        };
        self.link = Link::Opening(Box::pin(async move {
            let late = || transport::lost(format!("the server did not answer within {} s", FIRST.as_secs()));
            timeout(FIRST, task).await.unwrap_or_else(|_| Err(late()))
        }));
    }

    /// The address at which the session is taken up where it is.
    fn taking_up(&mut self, location: &str) -> String {
        let attempt = self.session.attempt();
        format!("{location}?since={}&attempt={attempt}", self.session.place())
    }

    pub(super) fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Due => self.connect(),
            Turn::Opened(Ok(Opened::Session(said))) => match self.session.opened(said) {
                Ok(()) => self.connect(),
                Err(broken) => self.broken(broken),
            },
            Turn::Opened(Ok(Opened::Down(down))) => {
                // A poll has nothing to wait for before it is asked.
                self.link = Link::Open { down: Box::new(down), since: Instant::now(), greeted: false };
                self.ask_for_page();
            }
            Turn::Heard(Ok(heard)) => self.hear(heard),
            Turn::Opened(Err(cut)) | Turn::Heard(Err(cut)) => self.cut(cut),
        }
    }

    /// Asks for the next page, if it is by pages that the session is read.
    fn ask_for_page(&mut self) {
        let Some(location) = self.session.said().map(|said| said.location.clone()) else { return };
        if matches!(&self.link, Link::Open { down, .. } if down.wants_page()) {
            let target = self.taking_up(&location);
            if let Link::Open { down, greeted, .. } = &mut self.link {
                // The first page shows that it works, and so is not waited for.
                let wait = if *greeted { WAIT } else { 0 };
                down.ask(&self.server, &format!("{target}&wait={wait}"));
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        let now = self.now();
        match heard {
            Heard::Message { text, place } => {
                if let Err(broken) = self.session.received(&text, place.as_deref(), now) {
                    return self.broken(broken);
                }
                self.act();
                self.greeted();
            }
            Heard::Page(text) => {
                let mut session = std::mem::take(&mut self.session);
                let read = session.received_page(&text, now, |session| {
                    std::mem::swap(&mut self.session, session);
                    self.act();
                    std::mem::swap(&mut self.session, session);
                });
                self.session = session;
                if let Err(broken) = read {
                    return self.broken(broken);
                }
                self.greeted();
                self.ask_for_page();
            }
        }
    }

    /// The first of a connection has come: it works, and the way up goes on with the number that it says.
    fn greeted(&mut self) {
        let Link::Open { down, greeted, .. } = &mut self.link else { return };
        if std::mem::replace(greeted, true) {
            // There is progress, and not a farewell alone.
            if self.closing.is_none() {
                self.backoff.reset();
            }
            return;
        }
        let is_socket = down.is_socket();
        self.choice.works();
        self.denied = 0;
        if let Some(said) = self.session.said() {
            self.id.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&said.id);
        }
        if let Some(ready) = self.ready.take() {
            // Who connects may have given up.
            let _ = ready.send(Ok(()));
        }
        let Some(said) = self.session.said() else { return };
        self.frame = said.seq;
        if std::mem::take(&mut self.too_large) && is_socket {
            let seq = self.frame;
            let problem = Problem { status: 413, code: "too_large".to_owned(), ..Problem::default() };
            self.session.refused(seq, super::up::error_of(&problem));
            self.act();
        }
    }

    /// The server says what cannot be: its session is not understood any more.
    pub(super) fn broken(&mut self, Broken(why): Broken) {
        self.session.lost();
        self.cut(transport::lost(why));
    }

    /// A connection is no more, or never was.
    pub(super) fn cut(&mut self, cut: Cut) {
        let was = std::mem::replace(&mut self.link, Link::Idle(Instant::now()));
        self.session.dropped();
        self.posting = None;
        let is_silent = !matches!(was, Link::Open { greeted: true, .. });
        if let Some(closing) = self.closing.take() {
            return self.sent_away(&closing);
        }
        match cut {
            Cut::Gone => {
                self.session.lost();
                self.wait(None);
            }
            Cut::Lost { lost, wait } => {
                if self.ready.is_some() && !lost.connected {
                    return self.end(Error::Unreachable(lost));
                }
                let again = lost.connected && is_silent && wait.is_none() && self.choice.fails(false);
                match again {
                    true => {}
                    // Who connects for the first time is told, and may try again.
                    false if self.ready.is_some() => self.end(Error::Unreachable(lost)),
                    false => self.wait(wait),
                }
            }
            Cut::Unfit(lost) => {
                if self.choice.fails(true) {
                    return;
                }
                if self.ready.is_some() {
                    return self.end(Error::Unreachable(lost));
                }
                self.wait(None);
            }
            Cut::Refused(problem) => self.refused(problem),
            Cut::Closed(close) => self.closed(&close),
        }
    }

    /// Tries again after a while, and after what the server asked for.
    fn wait(&mut self, asked: Option<Duration>) {
        let wait = self.backoff.next_wait() + asked.unwrap_or_default().min(WAIT_MAX);
        self.link = Link::Idle(Instant::now() + wait);
    }

    fn refused(&mut self, problem: Box<Problem>) {
        let is_of_session = self.session.said().is_some();
        self.session.lost();
        let may_be_renewed = problem.status == 401 && self.options.renews && self.denied < 3;
        if !is_of_session && !may_be_renewed {
            return self.end(Error::Turned(problem));
        }
        self.denied += u32::from(!is_of_session);
        self.wait(None);
    }

    /// The server said why it closes.
    fn sent_away(&mut self, closing: &Closing) {
        match closing.next(self.options.renews) {
            Next::Again => {}
            Next::Anew => self.session.lost(),
            Next::Over => {
                let row = TABLE.iter().map(|(_, row)| row).find(|row| row.name == closing.code);
                let (status, shown) = (row.map_or(0, |row| row.http), self.options.token.is_some());
                let (code, title) = (closing.code.clone(), closing.reason.clone());
                return self.end(Error::Turned(Box::new(Problem { status, code, title, shown, ..Problem::default() })));
            }
        }
        self.wait(None);
    }

    /// The server closed a WebSocket without a word before.
    fn closed(&mut self, close: &Close) {
        self.too_large |= close.code == Some(1009);
        match Closing::of(close) {
            Some(closing) => self.sent_away(&closing),
            None => self.wait(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_tried_in_order_and_what_worked_is_kept() {
        let all = [Transport::WebSocket, Transport::Sse, Transport::Stream, Transport::Poll];
        let mut choice = Choice::new(all.to_vec());
        for next in &all[1..] {
            assert!(choice.fails(true));
            assert_eq!(choice.transport(), *next);
        }
        assert!(!choice.fails(false), "all were tried");
        assert_eq!(choice.transport(), Transport::WebSocket);
        choice.fails(false);
        choice.works();
        for _ in 1..STRIKES {
            assert!(!choice.fails(false));
            assert_eq!(choice.transport(), Transport::Sse);
        }
        assert!(!choice.fails(false), "one that worked is not given up in haste");
        assert_eq!(choice.transport(), Transport::WebSocket);
    }
}
