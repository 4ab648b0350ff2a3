//! The way down: reading what the server says.

use super::calls::What;
use super::place::check_position;
use super::words::{CaughtUp, End, Expires, OneOrMore, Page, Positioned, Said, Subscribed};
use super::{AGAIN, Broken, Closing, Happening, Place, Session};
use crate::error::RpcError;
use crate::event::{Event, Gap, Item, Presence};
use serde::Deserialize;
use std::sync::Arc;
use switchboard_wire::jsonrpc::{Incoming, Invalid, Json, Member, Message, Notification, Params, Response, parse};

/// What the name of the system's own channel begins with that tells of another who comes and goes.
const PRESENCE: &str = "$presence/";

impl Session {
    /// A message arrived; with the place after it, where the transport says one.
    pub fn received(&mut self, text: &[u8], place: Option<&str>, now: u64) -> Result<(), Broken> {
        let place: Option<Place> = match place.filter(|place| !place.is_empty()) {
            Some(place) => Some(place.parse().map_err(|why: &str| Broken(why.to_owned()))?),
            None => None,
        };
        self.before = None;
        let incoming =
            parse(text).map_err(|problem| Broken(format!("what the server sent is no message: {}", problem.detail)))?;
        match incoming {
            Incoming::One(Ok(Message::Notification(said))) if !is_control(&said.method) => self.told(said)?,
            Incoming::One(member) => {
                if self.count(place.as_ref(), text.len())? {
                    self.control(member, now)?;
                }
            }
            Incoming::Batch(batch) => {
                if self.count(place.as_ref(), text.len())? {
                    batch.members().try_for_each(|member| self.control(member, now))?;
                }
            }
        }
        if let Some(place) = place.filter(|place| !place.position.is_empty()) {
            self.moved(place.position)?;
        }
        Ok(())
    }

    /// A page of a long poll arrived. `each` is called after every message of it, and takes what has happened.
    pub fn received_page(&mut self, text: &[u8], now: u64, mut each: impl FnMut(&mut Session)) -> Result<(), Broken> {
        let page: Page<'_> = serde_json::from_slice(text)
            .map_err(|error| Broken(format!("what the server sent is no page of a session: {error}")))?;
        let place: Place = page.place.parse().map_err(|why: &str| Broken(why.to_owned()))?;
        for message in page.messages {
            self.received(message.get().as_bytes(), None, now)?;
            each(self);
        }
        if place.control != self.counted {
            return Err(Broken(format!("a page ends at {}, and its messages at {}", place.control, self.counted)));
        }
        if !place.position.is_empty() {
            self.moved(place.position)?;
        }
        self.applied(page.seq.saturating_sub(1));
        Ok(())
    }

    /// One more control message. `false` if it came on an earlier connection.
    fn count(&mut self, place: Option<&Place>, bytes: usize) -> Result<bool, Broken> {
        self.counted = place.map_or(self.counted + 1, |place| place.control);
        if self.counted <= self.place.control {
            return Ok(false);
        }
        if self.counted > self.place.control + 1 {
            return Err(Broken(format!("control message {} came after {}", self.counted, self.place.control)));
        }
        self.place.control = self.counted;
        self.fresh += bytes;
        Ok(true)
    }

    /// The position that was said last is this.
    fn moved(&mut self, position: String) -> Result<(), Broken> {
        check_position(&position).map_err(|why| Broken(why.to_owned()))?;
        if position != self.place.position {
            let old = std::mem::replace(&mut self.place.position, position);
            self.before.get_or_insert(old);
        }
        Ok(())
    }

    /// What is not control.
    fn told(&mut self, said: Notification<'_>) -> Result<(), Broken> {
        let params = &said.params;
        match &*said.method {
            "session" => return self.begins(read(params)?),
            "event" => {
                let event: Event = read(params)?;
                let listeners = self.subscriptions.hearing(Some(&event.channel), false);
                self.moved(event.position().to_owned())?;
                self.heard(listeners, Item::Event(Arc::new(event)));
            }
            "gap" => {
                let gap: Gap = read(params)?;
                // What is lost of the system's own channel of presence concerns those who hear who comes and goes.
                let of_presence = gap.channel.as_deref().and_then(|channel| channel.strip_prefix(PRESENCE));
                let listeners = match of_presence {
                    Some(channel) => self.subscriptions.hearing(Some(channel), true),
                    None => self.subscriptions.hearing(gap.channel.as_deref(), false),
                };
                self.moved(gap.to.clone())?;
                self.heard(listeners, Item::Gap(Arc::new(gap)));
            }
            "position" => {
                let position = read::<Positioned>(params)?.position;
                self.moved(position)?;
            }
            "caught_up" => {
                let CaughtUp { channel, position } = read(params)?;
                let names: Vec<&str> = match &channel {
                    OneOrMore::One(name) => vec![name],
                    OneOrMore::More(names) => names.iter().map(String::as_str).collect(),
                };
                self.subscriptions.caught_up(&names);
                self.moved(position)?;
            }
            "presence" => {
                let presence: Presence = read(params)?;
                let listeners = self.subscriptions.hearing(Some(&presence.channel), true);
                self.heard(listeners, Item::Presence(Arc::new(presence)));
            }
            "end" => {
                let End { channel } = read(params)?;
                self.ended(&channel);
            }
            "closing" => self.happened.push_back(Happening::Closing(read::<Closing>(params)?)),
            _ => {}
        }
        Ok(())
    }

    fn heard(&mut self, listeners: Vec<super::ListenerId>, item: Item) {
        if !listeners.is_empty() {
            self.happened.push_back(Happening::Heard { listeners, item });
        }
    }

    /// A channel has ended: who listens to it alone has heard everything.
    fn ended(&mut self, channel: &str) {
        let listeners = self.subscriptions.hearing(Some(channel), false);
        self.heard(listeners.clone(), Item::End(channel.into()));
        for listener in listeners {
            if self.subscriptions.is_of(listener, channel) {
                // The server stays subscribed, should the channel be made anew.
                self.leave(listener);
                self.happened.push_back(Happening::Finished { listener });
            }
        }
    }

    /// `session`: a connection begins, of the session that was taken up or of a new one.
    fn begins(&mut self, said: Said) -> Result<(), Broken> {
        if self.said.as_ref().is_none_or(|known| known.id != said.id) {
            return self.opened(said);
        }
        let place: Place = said.place.parse().map_err(|why: &str| Broken(why.to_owned()))?;
        if place.control > self.place.control {
            return Err(Broken(format!("the server goes on after control message {}", place.control)));
        }
        self.counted = place.control;
        self.expected(said.seq)?;
        self.said = Some(said);
        Ok(())
    }

    fn control(&mut self, member: Member<'_>, now: u64) -> Result<(), Broken> {
        match member {
            Ok(Message::Request(call)) => {
                let (id, method) = (call.id.into_owned(), call.method.into_owned());
                let params = call.params.into_owned();
                self.happened.push_back(Happening::Called { session: self.sessions, id, method, params });
            }
            Ok(Message::Notification(said)) => match &*said.method {
                "expiring" => {
                    let Expires { expires } = read(&said.params)?;
                    self.happened.push_back(Happening::Expiring { expires });
                }
                method => {
                    if method == "subscribed" {
                        let position = read::<Positioned>(&said.params)?.position;
                        self.moved(position)?;
                    }
                    let (method, params) = (method.to_owned(), said.params.into_owned());
                    self.happened.push_back(Happening::Notified { method, params });
                }
            },
            Ok(Message::Response(Response { id, outcome })) => {
                if let Some(number) = id.as_u64() {
                    self.answered(number, outcome.map(Json::into_owned).map_err(RpcError::from), now)?;
                }
            }
            Err(Invalid::Response { id, why }) => {
                if let Some(number) = id.and_then(|id| id.as_u64()) {
                    self.answered(number, Err(RpcError::new(-32600, why)), now)?;
                }
            }
            Err(Invalid::Request { why, .. }) => {
                return Err(Broken(format!("what the server sent is no message: {why}")));
            }
        }
        Ok(())
    }

    /// A call of ours is answered. What was sent before it was then applied, too.
    fn answered(&mut self, number: u64, outcome: Result<Json<'static>, RpcError>, now: u64) -> Result<(), Broken> {
        if let Some(seq) = self.outbox.number_of(super::Kind::Call(number)) {
            self.outbox.confirm(seq);
        }
        self.settle_at(number, outcome, now)
    }

    /// The call comes to this without having been applied.
    pub(super) fn settle(&mut self, number: u64, outcome: Result<Json<'static>, RpcError>) {
        // An error is never broken.
        let _ = self.settle_at(number, outcome, 0);
    }

    fn settle_at(&mut self, number: u64, outcome: Result<Json<'static>, RpcError>, now: u64) -> Result<(), Broken> {
        // A second answer, or one that nobody waits for, does no harm.
        let Some(call) = self.calls.close(number) else { return Ok(()) };
        match call.what {
            What::Application { .. } => self.happened.push_back(Happening::Answered { call: number, outcome }),
            What::Subscribe => match outcome {
                Ok(result) => self.granted(number, &result)?,
                Err(error) => {
                    let again = error.passes().then_some(now + AGAIN);
                    for listener in self.subscriptions.refused(number, again) {
                        self.subscriptions.remove(listener);
                        self.happened.push_back(Happening::Refused { listener, error: error.clone() });
                    }
                }
            },
            What::Refresh => self.happened.push_back(Happening::Refreshed(outcome.map(|_| ()))),
            What::Unsubscribe | What::Ping => {}
        }
        Ok(())
    }

    fn granted(&mut self, number: u64, result: &Json<'_>) -> Result<(), Broken> {
        let Subscribed { position, gap, ended } = result
            .read()
            .map_err(|error| Broken(format!("the server answers `subscribe` with something else: {error}")))?;
        let (granted, since) = self.subscriptions.granted(number, &self.place.position);
        for (listener, _) in granted.iter().filter(|(_, is_first)| *is_first) {
            self.happened.push_back(Happening::Granted { listener: *listener, position: position.clone() });
        }
        // Who has no room for the gap asks again, from where it was.
        self.before = Some(since.unwrap_or_else(|| position.clone()));
        self.moved(position)?;
        if let Some(gap) = gap {
            let listeners = self.subscriptions.hearing(gap.channel.as_deref(), false);
            self.heard(listeners, Item::Gap(Arc::new(gap)));
        }
        if ended {
            for channel in self.subscriptions.catching().to_vec() {
                self.ended(&channel);
            }
        }
        Ok(())
    }
}

/// Whether a notification is numbered.
fn is_control(method: &str) -> bool {
    !matches!(method, "session" | "event" | "presence" | "gap" | "end" | "position" | "caught_up" | "closing")
}

fn read<'a, T: Deserialize<'a>>(params: &'a Params<'_>) -> Result<T, Broken> {
    params.read().map_err(|problem| Broken(format!("what the server says cannot be read: {}", problem.detail)))
}
