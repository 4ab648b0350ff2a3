//! Connections to the application, kept between requests.

use crate::outward::answer::{self, Answer, Broken};
use crate::outward::{Address, Roots, Socket, trust};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

/// How long a connection is kept that nobody uses.
const KEEP: Duration = Duration::from_secs(30);
/// How long it may have been idle for a request that is made once alone: the other side closes it some day, and what is
/// sent meanwhile is lost. Servers wait for two seconds and more.
const YOUNG: Duration = Duration::from_secs(1);
/// The setting that names a file of roots.
const SETTING: &str = "application.ca";

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There was no connection, so nothing was heard.
    Unreachable(String),
    /// The connection was closed before a byte of an answer.
    Unheard,
    /// It is no answer.
    Foul(String),
}

/// The connections that wait for their next request, the one used last at the end.
pub(super) struct Pool {
    address: Address,
    ca: Option<PathBuf>,
    limit: usize,
    /// Bytes of an answer.
    most: usize,
    idle: Mutex<Vec<(Instant, Socket)>>,
}

impl Pool {
    pub(super) fn new(address: Address, ca: Option<PathBuf>, limit: usize, most: usize) -> Pool {
        Pool { address, ca, limit, most, idle: Mutex::default() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Socket)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a whole request and reads its answer. `repeatable`: it may be made again where it was not heard.
    pub(super) async fn exchange(&self, request: &[u8], repeatable: bool) -> Result<Answer, Trouble> {
        let mut socket = match self.take(if repeatable { KEEP } else { YOUNG }) {
            Some(socket) => socket,
            None => {
                let roots = Roots { file: self.ca.as_deref(), setting: SETTING };
                self.address.connect(roots).await.map_err(Trouble::Unreachable)?
            }
        };
        // Whoever closes while we write may have answered before, such as that it is too much: that is read.
        let written = async {
            socket.write_all(request).await?;
            socket.flush().await
        };
        let written = written.await;
        let answer = match answer::read(&mut socket, self.most).await {
            Ok(answer) => answer,
            Err(Broken::Silent) => return Err(Trouble::Unheard),
            Err(Broken::Io(error)) => return Err(Trouble::Foul(trust::explain(&error, SETTING))),
            Err(Broken::Foul(why)) => return Err(Trouble::Foul(why)),
        };
        if answer.kept && written.is_ok() {
            let mut idle = self.idle();
            if idle.len() < self.limit {
                idle.push((Instant::now(), socket));
            }
        }
        Ok(answer)
    }

    /// The connection used last, if it was used within this time and is still open.
    fn take(&self, within: Duration) -> Option<Socket> {
        let mut idle = self.idle();
        loop {
            let (since, mut socket) = idle.pop_if(|(since, _)| since.elapsed() <= within)?;
            if is_quiet(&mut socket) {
                return Some(socket);
            }
            tracing::trace!(target: "switchboard", idle = ?since.elapsed(), "the application has closed a connection");
        }
    }

    /// Closes what nobody used for long, or the other side closed.
    pub(super) fn sweep(&self) {
        self.idle().retain_mut(|(since, socket)| since.elapsed() <= KEEP && is_quiet(socket));
    }
}

/// Whether a connection is open, and says nothing that nobody asked for.
fn is_quiet(socket: &mut Socket) -> bool {
    let mut byte = [0];
    let mut context = Context::from_waker(Waker::noop());
    matches!(Pin::new(socket).poll_read(&mut context, &mut ReadBuf::new(&mut byte)), Poll::Pending)
}
