//! A connection, as its task and its shard have it.
//!
//! The task reads requests from it, and sends what its streams say at any time. While the shard has its turn, it has the
//! connections of its thread [take on](Link::take_on) what was said a few streams at a time, so that they need room for a
//! few, and [send](Link::send) it together when the turn ends.

use super::outlet::{Outlet, Outlets};
use super::wire::{End, Meters, Wire};
use super::{Limits, handshake};
use crate::listen::Socket;
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// So many more requests than a client lets stand may it take back before they were looked at.
const TAKEN_BACK_MAX: u32 = 20;

/// A connection of this thread.
pub(crate) type SharedLink = Rc<RefCell<Link>>;

/// A request, and where its answer goes.
pub(crate) type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// A connection that speaks HTTP/2.
pub(crate) struct Link {
    connection: Connection<End<Socket>, Bytes>,
    wire: Rc<RefCell<Wire<Socket>>>,
    outlet: Arc<Outlet>,
    /// The outlet as whom streams wake.
    nudge: Waker,
    /// The task has gone to sleep since it last looked for requests.
    rested: bool,
    /// Requests that were taken back unseen, less those that were not.
    taken_back: u32,
    /// How it ended, if it has and its task does not know yet.
    over: Option<Result<(), h2::Error>>,
}

impl Link {
    /// Exchanges the prefaces. `arrived` was read from the connection before, and `number` is what its shard calls it.
    pub(crate) async fn open(
        io: Socket,
        arrived: Bytes,
        limits: Limits,
        meters: Meters,
        (number, outlets): (u32, Arc<Outlets>),
    ) -> Result<Link, h2::Error> {
        let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let wire = Rc::new(RefCell::new(Wire::new(io, arrived, meters, &task)));
        let outlet = Outlet::new(outlets, number, &task);
        let mut shaking = pin!(handshake(End(wire.clone()), limits));
        let connection = poll_fn(|cx| {
            wire.borrow_mut().follow(cx.waker());
            let shaken = shaking.as_mut().poll(cx);
            wire.borrow_mut().send();
            shaken
        });
        let connection = connection.await?;
        let nudge = Waker::from(outlet.clone());
        Ok(Link { connection, wire, outlet, nudge, rested: true, taken_back: 0, over: None })
    }

    /// For the task: the next request, or how the connection ended.
    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Asked, h2::Error>>> {
        if let Some(over) = self.over.take() {
            return Poll::Ready(over.err().map(Err));
        }
        {
            let mut wire = self.wire.borrow_mut();
            wire.follow(cx.waker());
            if std::mem::take(&mut self.rested) {
                wire.begin_anew();
            }
        }
        self.outlet.follow(cx.waker());
        let asked = loop {
            let mut asked = self.look(Connection::poll_accept);
            let is_taken_back = match &mut asked {
                Poll::Ready(Some(Ok(asked))) => self.is_taken_back(asked),
                _ => false,
            };
            if !is_taken_back {
                break asked;
            }
        };
        // What a request that is at hand leads to may leave with what came before.
        if !matches!(asked, Poll::Ready(Some(Ok(_)))) {
            self.rested = true;
            self.send();
        }
        asked
    }

    /// Whether a client has taken back what it asked for before that was looked at. One that does little else has to go:
    /// asking costs it less than it costs to find out.
    fn is_taken_back(&mut self, (_, respond): &mut Asked) -> bool {
        let is_taken_back = respond.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready();
        self.taken_back = if is_taken_back { self.taken_back + 1 } else { self.taken_back.saturating_sub(1) };
        if self.taken_back > TAKEN_BACK_MAX {
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
        is_taken_back
    }

    /// For the shard: takes on what streams have said. It is not sent yet, unless it is much.
    pub(crate) fn take_on(&mut self) {
        if self.over.is_some() {
            return;
        }
        self.wire.borrow_mut().reads = false;
        let ended = self.look(Connection::poll_closed);
        self.wire.borrow_mut().reads = true;
        if let Poll::Ready(ended) = ended {
            self.over = Some(ended);
            self.wire.borrow().wake();
        }
    }

    fn look<T>(
        &mut self,
        mut poll: impl FnMut(&mut Connection<End<Socket>, Bytes>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let waiting = self.outlet.look();
        self.wire.borrow_mut().full = false;
        let polled = poll(&mut self.connection, &mut Context::from_waker(&self.nudge));
        self.outlet.settle(self.wire.borrow().full, waiting);
        polled
    }

    /// Sends what was taken on, as far as the client takes it.
    pub(crate) fn send(&mut self) {
        self.wire.borrow_mut().send();
    }

    /// Bytes that the client has taken until now.
    pub(crate) fn sent(&self) -> u64 {
        self.wire.borrow().sent
    }

    pub(crate) fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    pub(crate) fn has_streams(&self) -> bool {
        self.connection.has_streams()
    }

    /// Tells the client to go once its streams are done.
    pub(crate) fn say_goodbye(&mut self) {
        self.connection.graceful_shutdown();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.outlet.close();
    }
}
