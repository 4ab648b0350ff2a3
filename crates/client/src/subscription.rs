//! A subscription, as a stream of what it brings.

use crate::client::Client;
use crate::driver::Control;
use crate::event::Item;
use crate::session::ListenerId;
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// What waits for a subscription.
#[derive(Debug)]
pub(crate) enum Queued {
    Item(Item),
    /// There was room for no more: what follows is in the log.
    Behind,
}

/// What a channel or pattern brings, in order. It ends where the channel does; dropping it unsubscribes.
///
/// Cut connections do not show. What the server no longer holds is told by [`Item::Gap`].
#[derive(Debug)]
pub struct Subscription {
    pub(crate) client: Client,
    pub(crate) listener: ListenerId,
    pub(crate) queue: mpsc::Receiver<Queued>,
    pub(crate) position: String,
}

impl Subscription {
    /// Where the subscription is: after the item that was taken last, or where it began. It is what
    /// [`since`](crate::client::Subscribe::since) takes, also of another subscription, or another day.
    pub fn position(&self) -> &str {
        &self.position
    }

    /// The next item; `None` at the end. It may be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Option<Item> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            match std::task::ready!(self.queue.poll_recv(context)) {
                Some(Queued::Item(item)) => {
                    match &item {
                        Item::Event(event) => event.position().clone_into(&mut self.position),
                        Item::Gap(gap) => gap.to.clone_into(&mut self.position),
                        Item::Presence(_) | Item::End(_) | Item::Refused(_) => {}
                    }
                    return Poll::Ready(Some(item));
                }
                Some(Queued::Behind) => self.client.control(Control::Drained(self.listener)),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for Subscription {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Item>> {
        self.poll(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.client.control(Control::Leave(self.listener));
    }
}
