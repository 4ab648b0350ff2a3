//! Which channels have subscribers, for an application that is told of the first and the last of them.
//!
//! Counted are, over all shards, the sessions that name a channel, connected or not, and the shards with other readers that
//! name it. Nothing is counted where nobody is told, and nothing per event in any case.

use super::{Application, Event, Kind, Link};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use switchboard_wire::ChannelName;

/// Channels that wait to be told of as vacated. Beyond it the one that has waited longest is told of before its time.
pub(crate) const WAITING: usize = 1 << 16;

/// The channels that are occupied.
pub(crate) struct Occupancy {
    application: Option<Arc<dyn Application>>,
    debounce: Duration,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    channels: HashMap<ChannelName, Occupied>,
    /// Channels that have lost their last subscriber, and until when they may have one again. They may have one by now.
    waiting: VecDeque<(Instant, ChannelName)>,
}

struct Occupied {
    count: usize,
    /// When it is told of as vacated, if nobody comes before.
    until: Option<Instant>,
}

impl Occupancy {
    pub(crate) fn new(link: &Link) -> Occupancy {
        let told =
            |application: &&Arc<dyn Application>| application.tells(Kind::Occupied) || application.tells(Kind::Vacated);
        let application = link.get().filter(told).cloned();
        let debounce = application.as_ref().map(|application| application.debounce()).unwrap_or_default();
        Occupancy { application, debounce, book: Mutex::default() }
    }

    /// Whether anybody is told.
    pub(crate) fn is_told(&self) -> bool {
        self.application.is_some()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody subscribes to a channel.
    pub(crate) fn enter(&self, channel: &ChannelName) {
        let Some(application) = self.application.as_ref().filter(|_| !channel.is_reserved()) else { return };
        // It is told under the lock, so that the order in which it is told is the order in which it was.
        let mut book = self.book();
        match book.channels.get_mut(channel) {
            Some(occupied) => {
                occupied.count += 1;
                occupied.until = None;
            }
            None => {
                book.channels.insert(channel.clone(), Occupied { count: 1, until: None });
                application.tell(Event::Occupied { channel: channel.clone() });
            }
        }
    }

    /// One of those is a subscriber no longer.
    pub(crate) fn leave(&self, channel: &ChannelName, now: Instant) {
        let Some(application) = &self.application else { return };
        let mut book = self.book();
        let Some(occupied) = book.channels.get_mut(channel).filter(|occupied| occupied.count > 0) else { return };
        occupied.count -= 1;
        if occupied.count == 0 {
            let until = now + self.debounce;
            occupied.until = Some(until);
            book.waiting.push_back((until, channel.clone()));
            if book.waiting.len() > WAITING {
                book.settle(&**application);
            }
        }
    }

    /// Tells of those whose time is up.
    pub(crate) fn tick(&self, now: Instant) {
        let Some(application) = &self.application else { return };
        let mut book = self.book();
        while book.waiting.front().is_some_and(|(until, _)| *until <= now) {
            book.settle(&**application);
        }
    }

    /// Channels that wait to be told of as vacated.
    pub(crate) fn waiting(&self) -> usize {
        if self.is_told() { self.book().waiting.len() } else { 0 }
    }
}

impl Book {
    /// The first that waits is vacated, unless somebody has come.
    fn settle(&mut self, application: &dyn Application) {
        let Some((until, channel)) = self.waiting.pop_front() else { return };
        if self.channels.get(&channel).is_some_and(|occupied| occupied.until == Some(until)) {
            self.channels.remove(&channel);
            application.tell(Event::Vacated { channel });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Backend, Handlers};
    use super::*;

    const DEBOUNCE: Duration = Duration::from_secs(5);

    fn name(text: &str) -> ChannelName {
        ChannelName::new(text).unwrap()
    }

    /// Does something with the book, and gives what was told.
    fn told(deeds: impl FnOnce(&Occupancy, Instant)) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let handlers = Handlers::new(runtime.handle().clone()).debounce(DEBOUNCE).on_event(move |event| {
            let tell = tell.clone();
            async move {
                tell.send(event).unwrap();
            }
        });
        let link = Link::start(&Backend::Embedded(Arc::new(handlers)), 0).unwrap();
        deeds(&Occupancy::new(&link), Instant::now());
        runtime.block_on(async {
            while link.figures().notices > 0 {
                tokio::task::yield_now().await;
            }
        });
        told.try_iter()
            .map(|event| match event {
                Event::Occupied { channel } => format!("+{channel}"),
                Event::Vacated { channel } => format!("-{channel}"),
                other @ Event::Disconnected { .. } => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn the_first_and_the_last_are_told_and_who_comes_back_in_time_is_not() {
        let all = told(|occupancy, now| {
            occupancy.enter(&name("a"));
            occupancy.enter(&name("a"));
            occupancy.enter(&name("$presence/a"));
            occupancy.leave(&name("a"), now);
            occupancy.leave(&name("a"), now);
            occupancy.leave(&name("never"), now);
            occupancy.tick(now + DEBOUNCE / 2);
            occupancy.enter(&name("a"));
            occupancy.tick(now + DEBOUNCE);
            occupancy.leave(&name("a"), now + DEBOUNCE);
            occupancy.tick(now + 2 * DEBOUNCE - Duration::from_millis(1));
            assert_eq!(occupancy.waiting(), 1);
            occupancy.enter(&name("b"));
            occupancy.tick(now + 2 * DEBOUNCE);
            assert_eq!(occupancy.waiting(), 0);
        });
        assert_eq!(all, ["+a", "+b", "-a"]);
    }

    #[test]
    fn beyond_as_many_as_may_wait_the_first_is_told_early() {
        let all = told(|occupancy, now| {
            for i in 0..=WAITING {
                let channel = name(&format!("c/{i}"));
                occupancy.enter(&channel);
                occupancy.leave(&channel, now);
            }
            assert_eq!(occupancy.waiting(), WAITING);
        });
        assert_eq!(all.last().unwrap(), "-c/0");
    }

    #[test]
    fn nothing_is_kept_where_nobody_is_told() {
        let link = Link::start(&Backend::None, 0).unwrap();
        let occupancy = Occupancy::new(&link);
        occupancy.enter(&name("a"));
        assert!(!occupancy.is_told() && occupancy.book().channels.is_empty());
    }
}
