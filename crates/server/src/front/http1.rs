//! The requests of an HTTP/1.1 connection, one after the other.

use super::{Client, Front, Outcome};
use crate::listen::http1::{Connection, Next};
use crate::listen::{Body, Socket};
use crate::shard::Answer;
use http::header::CONNECTION;
use http::{HeaderValue, Response};
use std::pin::pin;

/// What became of a connection.
pub(super) enum Ended {
    /// It is to be dropped.
    Done,
    /// It becomes a stream.
    Held(Box<Answer>, Connection<Socket>),
    /// Its client speaks HTTP/2.
    Http2(Connection<Socket>, Client),
}

impl Front<Connection<Socket>> {
    /// Answers requests until one is to be held open, or there are no more.
    pub(super) async fn run(mut self) -> Ended {
        let mut draining = self.desk.node.draining.subscribe();
        let mut is_first = true;
        // One wait for all requests.
        let mut drained = pin!(draining.wait_for(|draining| *draining));
        loop {
            let next = tokio::select! {
                biased;
                next = self.connection.next_request() => next,
                _ = &mut drained => return Ended::Done,
            };
            let mut response: Response<Body> = match next {
                Next::Closed | Next::Idle => return Ended::Done,
                Next::Http2 => return Ended::Http2(self.connection, self.client),
                Next::Refused(problem) => self.problem(&problem).map(Body::from),
                Next::Request(head) => {
                    if std::mem::take(&mut is_first) {
                        self.notice_proxy(&head);
                    }
                    match self.handle(head).await {
                        Outcome::Respond(response) => response.map(Body::from),
                        Outcome::File(response) => response,
                        Outcome::Hold(answer) => return Ended::Held(answer, self.connection),
                        Outcome::Gone => return Ended::Done,
                    }
                }
            };
            if self.refusal().is_some() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let goes_on = self.connection.respond(response).await.unwrap_or(false);
            self.count_read(self.connection.answered());
            if !goes_on {
                return Ended::Done;
            }
        }
    }
}
