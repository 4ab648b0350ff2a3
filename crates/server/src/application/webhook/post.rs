//! A request to the application, from its turn to its answer.

use super::pool::Trouble;
use super::{Inner, in_a_field};
use crate::application::breaker::{Breaker, Change};
use crate::application::sign::{SIGNATURE, sign};
use crate::outward::answer::Answer;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

/// How often a request is made, all in all, where nobody heard it.
const TRIES: u32 = 3;
/// The longest pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// What is sent: a body, and on whose behalf.
pub(super) struct Letter {
    session: String,
    /// As it goes into a field.
    user: String,
    body: Vec<u8>,
    /// Whether it does no harm if it is heard twice.
    repeatable: bool,
    /// Whether an answer is waited for.
    asks: bool,
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The breaker is open.
    Resting,
    /// It did not get its turn in time.
    Waited,
    Unreachable(String),
    Unheard,
    Slow,
    Foul(String),
    Status(u16),
}

impl Letter {
    pub(super) fn new(session: &str, user: Option<&str>, body: Vec<u8>, repeatable: bool) -> Letter {
        let user = user.map(in_a_field).unwrap_or_default();
        Letter { session: session.to_owned(), user, body, repeatable, asks: true }
    }

    /// The same, where nobody waits for the answer.
    pub(super) fn unasked(self) -> Letter {
        Letter { asks: false, ..self }
    }

    pub(super) fn asks(&self) -> bool {
        self.asks
    }
}

impl Failure {
    /// Whether it says of the application that it is not there.
    fn is_absence(&self) -> bool {
        match self {
            Failure::Unreachable(_) | Failure::Unheard | Failure::Slow => true,
            // What a proxy says of an application that it does not reach.
            Failure::Status(status) => matches!(status, 502..=504),
            Failure::Resting | Failure::Waited | Failure::Foul(_) => false,
        }
    }

    /// What the log says.
    fn why(&self) -> String {
        match self {
            Failure::Resting => "it is given a rest".into(),
            Failure::Waited => "others took all the time".into(),
            Failure::Unreachable(why) | Failure::Foul(why) => why.clone(),
            Failure::Unheard => "the connection was closed without an answer".into(),
            Failure::Slow => "it did not answer in time".into(),
            Failure::Status(status) => format!("it answered with status {status}"),
        }
    }

    /// What the client is told, who need not know where the application is.
    fn problem(&self) -> Problem {
        match self {
            Failure::Resting | Failure::Unreachable(_) => Code::Overloaded.because("the application cannot be reached"),
            Failure::Waited => Code::Overloaded.because("the application has too much to do"),
            Failure::Status(503) => Code::Overloaded.because("the application asks to come again later"),
            Failure::Slow => Code::CallTimeout.because("the application did not answer in time"),
            Failure::Unheard | Failure::Foul(_) | Failure::Status(_) => Code::ApplicationFailed.into(),
        }
    }
}

impl Inner {
    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits until another request may be made.
    pub(super) async fn turn(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        match timeout_at(deadline, self.slots.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Failure::Waited),
        }
    }

    /// Makes a request whose answer counts. Gives the body of a success.
    pub(super) async fn carry(&self, letter: &Letter, deadline: Instant) -> Result<Vec<u8>, Failure> {
        let answer = self.make(letter, deadline).await?;
        match answer.status {
            200 => Ok(answer.body),
            201..=299 if !letter.asks => Ok(answer.body),
            status => Err(Failure::Status(status)),
        }
    }

    /// Makes a request, again where that is safe, and counts what comes of it.
    pub(super) async fn make(&self, letter: &Letter, deadline: Instant) -> Result<Answer, Failure> {
        if !self.breaker().admits(self.now()) {
            return Err(Failure::Resting);
        }
        let mut tries = 1;
        let outcome = loop {
            self.counted.requests.fetch_add(1, Ordering::Relaxed);
            let request = self.write(letter);
            let outcome = timeout_at(deadline, self.pool.exchange(&request, letter.repeatable)).await;
            let (failure, safe) = match outcome {
                Ok(Ok(answer)) if matches!(answer.status, 502..=504) => (Failure::Status(answer.status), false),
                Ok(Ok(answer)) => break Ok(answer),
                Ok(Err(Trouble::Unreachable(why))) => (Failure::Unreachable(why), true),
                Ok(Err(Trouble::Unheard)) => (Failure::Unheard, letter.repeatable),
                Ok(Err(Trouble::Foul(why))) => (Failure::Foul(why), false),
                Err(_) => (Failure::Slow, false),
            };
            let pause = PAUSE.mul_f64(fastrand::f64()) * 2_u32.pow(tries - 1);
            if !safe || tries == TRIES || Instant::now() + pause >= deadline {
                break Err(failure);
            }
            sleep(pause).await;
            tries += 1;
            self.counted.retried.fetch_add(1, Ordering::Relaxed);
        };
        self.note(outcome.as_ref().err());
        outcome
    }

    /// Lets the breaker know.
    fn note(&self, failure: Option<&Failure>) {
        let change = match failure {
            Some(failure) if failure.is_absence() => self.breaker().failed(self.now()),
            _ => self.breaker().answered(),
        };
        match (change, failure) {
            (Change::Opened, Some(failure)) => {
                tracing::error!(target: "switchboard", "the application is given a rest: {}", failure.why());
            }
            (Change::Closed, _) => tracing::info!(target: "switchboard", "the application answers again"),
            _ => {}
        }
    }

    /// Counts a failure and tells the log. Gives what the client is told.
    pub(super) fn report(&self, letter: &Letter, failure: Failure) -> Problem {
        self.complain(&failure, &letter.session);
        failure.problem()
    }

    pub(super) fn complain(&self, failure: &Failure, session: &str) {
        let counted = match failure {
            Failure::Resting | Failure::Waited => &self.counted.refused,
            _ => &self.counted.failed,
        };
        counted.fetch_add(1, Ordering::Relaxed);
        // That it is given a rest has been told.
        if !matches!(failure, Failure::Resting) && self.told.admits(self.now()) {
            let more = self.told.take_untold();
            tracing::warn!(target: "switchboard", session, more, "the application failed: {}", failure.why());
        }
    }

    /// The request as it goes over the wire, signed now.
    fn write(&self, letter: &Letter) -> Vec<u8> {
        let Letter { session, user, body, .. } = letter;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let signature = sign(&self.settings.secrets, seconds, session, user, body);
        let address = self.pool.address();
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: switchboard/{}\r\nContent-Type: application/json\r\n\
             Accept: application/json\r\nContent-Length: {}\r\n{SIGNATURE}: {signature}\r\n",
            address.target,
            address.authority,
            env!("CARGO_PKG_VERSION"),
            body.len(),
        );
        for (name, value) in [("Switchboard-Session", session), ("Switchboard-User", user)] {
            if !value.is_empty() {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }
}
