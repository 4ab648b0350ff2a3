//! Who is on which channel of this node, whichever shards their sessions are on; and that those who watch a channel hear
//! who comes and goes.
//!
//! A notice is appended to the log like any event, on a channel of the system's own, so that it takes the way of events to
//! those who hear it. What happens on a channel is told in the order in which it happened, and so it is appended under
//! the lock here.

use crate::config;
use crate::node::now;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use switchboard_hub::presence::{Change, Presence as Book, Profile, Totals, Track, Tracking};
use switchboard_store::{Append, Memory};
use switchboard_wire::ChannelName;
use switchboard_wire::code::{Code, Problem};
use switchboard_wire::presence::{Change as Turn, channel_of, notice, write_members};
use tokio::sync::Notify;
use tokio::time::sleep_until;

/// Changes that wait for their time, at most. Beyond it, those that have waited longest are told before it.
pub(crate) const DUE_MAX: usize = 1 << 16;

pub(crate) struct Presence {
    tracking: Tracking,
    log: Arc<Memory>,
    /// Its times are milliseconds since here.
    began: Instant,
    book: Mutex<Book>,
    /// Rung when something is due earlier than what was.
    sooner: Notify,
}

/// Who is on a channel.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) count: usize,
    /// `None` where they are not told of, but counted.
    pub(crate) members: Option<Vec<Arc<Profile>>>,
}

impl View {
    /// Appends `"count","members"?`, to stand in an object. Members that would take more than `most` bytes are left out.
    pub(crate) fn write(&self, most: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("\"count\":{}", self.count).as_bytes());
        if let Some(members) = &self.members {
            out.push(b',');
            write_members(members.iter().map(|profile| profile.shown()), most, out);
        }
    }
}

impl Presence {
    pub(crate) fn new(config: &config::Presence, log: Arc<Memory>) -> Presence {
        let debounce = u64::try_from(config.debounce.as_millis()).unwrap_or(u64::MAX);
        Presence {
            tracking: config.tracking.clone(),
            log,
            began: Instant::now(),
            book: Mutex::new(Book::new(debounce, DUE_MAX)),
            sooner: Notify::new(),
        }
    }

    /// Refuses where nobody keeps track of who is on a channel. What is kept otherwise.
    pub(crate) fn tracked(&self, channel: &ChannelName) -> Result<Track, Problem> {
        let off =
            || Code::NotFound.because(format!("presence is off on `{channel}`: `track` in a [[channel]] turns it on"));
        self.tracking.of(channel).ok_or_else(off)
    }

    /// A session is on a channel from now on, or shows something else of itself there.
    pub(crate) fn join(&self, channel: &ChannelName, profile: &Arc<Profile>) {
        if let Some(track) = self.tracking.of(channel) {
            self.change(|book, now| book.join(channel, track, profile, now));
        }
    }

    /// A session is not on a channel any longer.
    pub(crate) fn leave(&self, channel: &ChannelName, profile: &Profile) {
        if self.tracking.of(channel).is_some() {
            self.change(|book, now| book.leave(channel, profile, now));
        }
    }

    /// Tells what has become due.
    pub(crate) fn tick(&self) {
        self.change(Book::tick);
    }

    /// Returns once [`Presence::tick`] has something to do.
    pub(crate) async fn due(&self) {
        loop {
            let deadline = self.lock().deadline().and_then(|at| self.began.checked_add(Duration::from_millis(at)));
            let Some(at) = deadline else {
                self.sooner.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(at.into()) => return,
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Who is on a channel, of which the first `limit` are named.
    pub(crate) fn on(&self, channel: &ChannelName, limit: usize) -> Result<View, Problem> {
        let track = self.tracked(channel)?;
        let book = self.lock();
        let crowd = book.on(channel);
        let named = || crowd.iter().flat_map(|crowd| crowd.members()).take(limit).cloned().collect();
        Ok(View { count: crowd.map_or(0, |crowd| crowd.count()), members: (track == Track::Members).then(named) })
    }

    pub(crate) fn totals(&self) -> Totals {
        self.lock().totals()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes who is where, and tells those who watch.
    fn change(&self, change: impl FnOnce(&mut Book, u64)) {
        let mut book = self.lock();
        let before = book.deadline();
        change(&mut book, u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX));
        let mut notices = Vec::new();
        while let Some(change) = book.change() {
            let (channel, turn, profile) = match change {
                Change::Joined(channel, profile) => (channel, Turn::Join, profile),
                Change::Left(channel, profile) => (channel, Turn::Leave, profile),
                // The application hears of all subscribers, members or not, where these are counted: `application::occupancy`.
                Change::Occupied(_) | Change::Vacated(_) => continue,
            };
            let draft = Some(notice(&channel, turn, &profile.shown()));
            notices.push(Append { channel: channel_of(&channel), draft, end: false, key: None });
        }
        if !notices.is_empty() {
            // Refused are keys and channels that have ended, and here are neither.
            let _ = self.log.append(now(), &notices);
        }
        if book.deadline().is_some_and(|at| before.is_none_or(|before| at < before)) {
            self.sooner.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_store::{Policy, What};
    use switchboard_wire::presence::write_params;
    use switchboard_wire::{Epoch, Pattern};

    fn presence(debounce: u64) -> Presence {
        let rule = |pattern, track| (Pattern::new(pattern).unwrap(), Some(track));
        let tracking = Tracking { rules: vec![rule("room/*", Track::Members), rule("crowd", Track::Count)] };
        let log = Arc::new(Memory::new(Epoch::new(1), Policy::default()));
        Presence::new(&config::Presence { debounce: Duration::from_millis(debounce), tracking }, log)
    }

    fn profile(id: u64, user: &str) -> Arc<Profile> {
        Arc::new(Profile::new(0, id, &format!("s{id}"), Some(user)))
    }

    fn name(text: &str) -> ChannelName {
        ChannelName::new(text).unwrap()
    }

    /// The channel and the params of each notice.
    fn told(presence: &Presence) -> Vec<(String, String)> {
        let mut items = Vec::new();
        presence.log.take(0, 1000, &mut items);
        let params = |what: &What| {
            let What::Event(entry) = what else { panic!("{what:?}") };
            let mut out = Vec::new();
            write_params(entry.event(), &mut out);
            String::from_utf8(out).unwrap()
        };
        items.iter().map(|item| (item.channel.to_string(), params(&item.what))).collect()
    }

    #[tokio::test]
    async fn who_comes_and_goes_is_appended_for_those_who_watch() {
        let presence = presence(20);
        let (ann, ben) = (profile(1, "ann"), profile(2, "ben"));
        presence.join(&name("room/1"), &ann);
        presence.join(&name("crowd"), &ann);
        presence.join(&name("other"), &ann);
        presence.join(&name("room/1"), &ben);
        presence.leave(&name("room/1"), &ann);
        presence.leave(&name("crowd"), &ann);
        presence.leave(&name("other"), &ann);
        let view = presence.on(&name("room/1"), 1).unwrap();
        assert_eq!((view.count, view.members.unwrap().len()), (2, 1), "who has just left is not gone");
        while presence.totals().due > 0 {
            presence.due().await;
            presence.tick();
        }
        let notice = |event, user, id| {
            let member = format!(r#"{{"session":"s{id}","user":"{user}"}}"#);
            let params = format!(r#"{{"channel":"room/1","event":"{event}","member":{member}}}"#);
            ("$presence/room/1".to_owned(), params)
        };
        assert_eq!(told(&presence), [notice("join", "ann", 1), notice("join", "ben", 2), notice("leave", "ann", 1)]);
        let mut text = Vec::new();
        presence.on(&name("room/1"), 10).unwrap().write(usize::MAX, &mut text);
        assert_eq!(text, br#""count":1,"members":[{"session":"s2","user":"ben"}]"#);
        let crowd = presence.on(&name("crowd"), 10).unwrap();
        assert_eq!((crowd.count, crowd.members.is_none()), (0, true));
        assert_eq!(presence.on(&name("other"), 10).unwrap_err().code, Code::NotFound);
    }

    #[tokio::test]
    async fn whoever_waits_for_what_is_due_hears_of_what_is_due_sooner() {
        let presence = presence(30);
        let wait = async {
            presence.due().await;
            presence.tick();
        };
        let come_and_go = async {
            tokio::task::yield_now().await;
            presence.join(&name("room/1"), &profile(1, "ann"));
            presence.leave(&name("room/1"), &profile(1, "ann"));
        };
        tokio::join!(wait, come_and_go);
        assert_eq!(presence.totals(), Totals::default());
        assert_eq!(told(&presence).len(), 2);
    }
}
