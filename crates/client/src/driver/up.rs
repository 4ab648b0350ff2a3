//! The way up: frames of a WebSocket, or POSTs one after the other.

use super::Driver;
use super::link::Link;
use crate::error::RpcError;
use crate::http::{Kept, Problem};
use crate::transport::{self, Posted, Transport};
use serde_json::json;
use switchboard_wire::code::TABLE;
use tokio::time::Instant;

/// Bytes that may wait to be written to a WebSocket before more messages are put behind them.
const UNSENT: usize = 64 << 10;

/// A POST that has come to something: its message, what it acknowledged, what became of it.
pub(super) struct Done {
    kept: Kept,
    number: Option<u64>,
    acknowledged: u64,
    posted: Posted,
}

impl Driver {
    /// Sends what there is to send.
    pub(super) fn send(&mut self) {
        let now = self.now();
        match &mut self.link {
            Link::Open { down, greeted: true, .. } if down.is_socket() => {
                let Some(socket) = down.socket() else { return };
                while socket.unsent() < UNSENT
                    && let Some((number, message)) = self.session.next_up(now)
                {
                    if number != self.frame {
                        let why = format!("the server goes on with message {}, and {number} comes next", self.frame);
                        return self.broken(crate::session::Broken(why));
                    }
                    self.frame += 1;
                    socket.say(&message);
                }
            }
            _ if self.choice.transport() != Transport::WebSocket => self.post(now),
            _ => {}
        }
    }

    fn post(&mut self, now: u64) {
        if self.posting.is_some() || self.post_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        let Some(location) = self.session.said().map(|said| said.location.clone()) else { return };
        let message = self.session.next_up(now);
        if message.is_none() && self.session.acknowledgement().is_none() {
            return;
        }
        self.post_at = None;
        let (server, mut kept) = (self.server.clone(), std::mem::take(&mut self.kept));
        let (number, acknowledged) = (message.as_ref().map(|(number, _)| *number), self.session.place().control);
        self.posting = Some(Box::pin(async move {
            let posted = transport::post(&mut kept, &server, &location, message, acknowledged).await;
            Done { kept, number, acknowledged, posted }
        }));
    }

    pub(super) fn posted(&mut self, Done { kept, number, acknowledged, posted }: Done) {
        self.posting = None;
        self.kept = kept;
        match (posted, number) {
            (Posted::Applied, number) => {
                self.post_backoff.reset();
                self.session.acknowledged(acknowledged);
                if let Some(number) = number {
                    self.session.applied(number);
                }
            }
            (Posted::Expected(seq), _) => {
                if let Err(broken) = self.session.expected(seq) {
                    self.broken(broken);
                }
            }
            (Posted::Refused(problem), Some(number)) => self.session.refused(number, error_of(&problem)),
            // What was acknowledged is acknowledged with the next message, or when the session is taken up again.
            (Posted::Refused(_), None) => self.session.acknowledged(acknowledged),
            (Posted::Gone, _) => {
                self.session.lost();
                self.connect();
            }
            (Posted::Lost(wait), _) => {
                self.session.dropped();
                self.post_at = Some(Instant::now() + self.post_backoff.next_wait() + wait.unwrap_or_default());
            }
        }
    }
}

/// A refusal over HTTP as the error of a call.
pub(super) fn error_of(problem: &Problem) -> RpcError {
    let row = TABLE.iter().map(|(_, row)| row).find(|row| row.name == problem.code);
    let code = row.map_or(i64::from(problem.status) * 100, |row| row.rpc.into());
    let message = if problem.title.is_empty() { row.map_or("", |row| row.sentence) } else { &problem.title };
    let data = if problem.detail.is_empty() { None } else { Some(json!({ "detail": problem.detail })) };
    RpcError { code, message: message.to_owned(), data }
}
