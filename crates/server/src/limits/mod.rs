//! What one address, one user or all newcomers together may take up, so that nobody takes it all.
//!
//! - [`tally`]: how many connections and streams somebody has at present;
//! - [`bucket`]: how fast somebody may publish, and how fast newcomers are let in;
//! - [`channel`]: how much, and how fast, one channel takes from all;
//! - [`transit`]: how much may be on its way.
//!
//! What has no limit is not counted: in open mode none of this costs anything.

pub(crate) mod bucket;
mod channel;
pub(crate) mod tally;
pub(crate) mod transit;

use crate::auth::Identity;
use crate::config::Config;
use bucket::{Allowance, Bucket, Buckets, Rate};
use channel::Channels;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use switchboard_wire::code::Problem;
use switchboard_wire::{ChannelName, Code};
use tally::{Seat, Tally};
use transit::{Load, Transits};

/// Streams and waiting polls of one user, where authentication is configured and nothing else is said.
const USER: usize = 100;
/// New connections a second, likewise.
const ACCEPTS: u32 = 2_000;
/// Connections beyond the limit of one address that are told so at once.
const REFUSALS: usize = 8;
/// Events that one user or address publishes a second, likewise.
const PUBLISHES: u32 = 100;

/// The limits of a running server. `None` is no limit.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Connections of one address; through a proxy, streams and waiting polls.
    pub(crate) address: Option<usize>,
    user: Option<usize>,
    publishes: Option<u32>,
    accepts: Option<Rate>,
    /// Long files of the site that are sent to one address at once.
    transfers: Option<usize>,
    addresses: Arc<Tally<IpAddr>>,
    /// Sessions of one address.
    sessions: Arc<Tally<IpAddr>>,
    /// Long files that are being sent to one.
    transferring: Arc<Tally<IpAddr>>,
    /// Connections beyond the limit of their address, which are being told so.
    refusing: Arc<Tally<IpAddr>>,
    users: Arc<Tally<Box<str>>>,
    publishers: Buckets,
    /// The data of one event, on any channel.
    message: usize,
    pub(crate) channels: Channels,
    newcomers: Mutex<Bucket>,
    pub(crate) transit: Transits,
    pub(crate) refused: Refused,
}

/// How often something was refused, or had to wait.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) address: AtomicU64,
    pub(crate) user: AtomicU64,
    pub(crate) publishes: AtomicU64,
    pub(crate) channel: AtomicU64,
    pub(crate) accepts: AtomicU64,
}

/// How long to wait before more is published, and by which limit.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wait {
    pub(crate) time: Duration,
    by: Limit,
}

#[derive(Clone, Copy, Default)]
enum Limit {
    #[default]
    Publisher,
    Channel,
}

/// Who asks, and what they may publish.
pub(crate) struct Asker {
    pub(crate) identity: Identity,
    pub(crate) allowance: Allowance,
}

/// A connection's place among those of its address.
pub(crate) type AddressSeat = Seat<IpAddr>;

/// What a stream or a waiting poll takes up, as long as it is there.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    pub(crate) user: Option<Seat<Box<str>>>,
    pub(crate) address: Option<AddressSeat>,
    /// What its patterns take, where that is much.
    pub(crate) patterns: Option<Box<Load>>,
}

impl Seats {
    pub(crate) fn is_empty(&self) -> bool {
        self.user.is_none() && self.address.is_none() && self.patterns.is_none()
    }
}

impl Limits {
    /// `connections` are held at most.
    pub(crate) fn new(config: &Config, connections: usize, now: u64) -> Limits {
        let closed = !config.auth.is_open();
        let limits = &config.limits;
        // Half of all: whoever has one address leaves room for all others.
        let address = limits.address.or_else(|| closed.then_some(connections.div_ceil(2)));
        let transfers = config.site.as_ref().map_or(0, |site| site.transfers.div_ceil(2));
        let accepts = limits.accepts.or_else(|| closed.then_some(ACCEPTS));
        // A quarter of a second's worth at once, so that a storm comes in evenly.
        let accepts = accepts.map(|per_second| Rate { per_second, burst: per_second.div_ceil(4) });
        let full = Bucket::full(accepts.unwrap_or(Rate { per_second: 1, burst: 1 }), now);
        Limits {
            address,
            user: limits.user.or_else(|| closed.then_some(USER)),
            publishes: limits.publishes.or_else(|| closed.then_some(PUBLISHES)),
            accepts,
            transfers: address.map(|most| most.min(transfers)),
            addresses: Tally::new(),
            sessions: Tally::new(),
            transferring: Tally::new(),
            refusing: Tally::new(),
            users: Tally::new(),
            publishers: Buckets::new(),
            message: limits.message,
            channels: Channels::new(config.auth.channel_limits.clone()),
            newcomers: Mutex::new(full),
            transit: Transits::new(config.transit),
            refused: Refused::default(),
        }
    }

    /// Whether it matters what address somebody is from.
    pub(crate) fn count_addresses(&self) -> bool {
        self.address.is_some() || self.publishes.is_some()
    }

    /// How long the next connection has to wait before it is let in. None that waits is refused.
    pub(crate) fn newcomer(&self, now: u64) -> Result<(), Duration> {
        let Some(rate) = self.accepts else { return Ok(()) };
        self.newcomers.lock().unwrap_or_else(PoisonError::into_inner).take(1, rate, now)
    }

    /// A connection's place among those of its address.
    pub(crate) fn connection(&self, address: IpAddr) -> Result<Option<AddressSeat>, Problem> {
        let Some(most) = self.address else { return Ok(None) };
        match self.addresses.take(&network(address), most) {
            Some(seat) => Ok(Some(seat)),
            None => {
                self.refused.address.fetch_add(1, Ordering::Relaxed);
                Err(Code::TooMany.because("as many connections come from this address as `limits.address` allows"))
            }
        }
    }

    /// A place among those of an address that are told that they are too many. Beyond a few, they are not even told.
    pub(crate) fn refusal(&self, address: IpAddr) -> Option<AddressSeat> {
        self.refusing.take(&network(address), REFUSALS)
    }

    /// A place among the long files that are being sent to an address: it may have half of all, and no more than it may have
    /// connections.
    pub(crate) fn transfer(&self, address: IpAddr) -> Result<Option<AddressSeat>, Problem> {
        let Some(most) = self.transfers else { return Ok(None) };
        self.transferring
            .take(&network(address), most)
            .map(Some)
            .ok_or_else(|| Code::TooMany.because("as many long files are being sent to this address as may be at once"))
    }

    /// What a stream or waiting poll takes up. `proxied` is whose it is, where a proxy says so.
    pub(crate) fn stream(&self, identity: &Identity, proxied: Option<IpAddr>) -> Result<Seats, Problem> {
        let address = match proxied {
            Some(address) => self.connection(address)?,
            None => None,
        };
        let mut user = None;
        // Backends that show an API key are trusted with as many as they want.
        if let (Some(most), Some(own)) = (self.user, identity.limits()) {
            let most = own.streams.unwrap_or(most);
            let seat = self.users.take(&identity.publisher().into(), most).ok_or_else(|| {
                self.refused.user.fetch_add(1, Ordering::Relaxed);
                Code::TooMany.because("this user has as many streams open as `limits.user` allows")
            })?;
            user = Some(seat);
        }
        Ok(Seats { user, address, patterns: None })
    }

    /// What a session takes up: one address has as many of them as it may have connections.
    pub(crate) fn session(&self, identity: &Identity, address: IpAddr) -> Result<Seats, Problem> {
        let seats = self.stream(identity, None)?;
        let Some(most) = self.address else { return Ok(seats) };
        let seat = self.sessions.take(&network(address), most).ok_or_else(|| {
            self.refused.address.fetch_add(1, Ordering::Relaxed);
            Code::TooMany.because("as many sessions are open from this address as `limits.address` allows")
        })?;
        Ok(Seats { address: Some(seat), ..seats })
    }

    /// What somebody may publish. API keys may publish as fast as they like.
    pub(crate) fn publisher(&self, identity: &Identity, address: Option<IpAddr>) -> Allowance {
        let Some(mut per_second) = self.publishes else { return Allowance::default() };
        let whose = match (identity.limits(), address) {
            (Some(own), _) => {
                per_second = own.publishes.unwrap_or(per_second);
                self.publishers.whose(identity.publisher())
            }
            (None, Some(address)) if identity.kind().is_none() => self.publishers.whose(network(address)),
            _ => return Allowance::default(),
        };
        Allowance(Some((whose, Rate::of(per_second))))
    }

    /// The longest message that a channel takes.
    pub(crate) fn message(&self, channel: &ChannelName) -> usize {
        self.channels.message(channel).map_or(self.message, |own| own.min(self.message))
    }

    /// Takes an event of an allowance, and of what the channel takes, for each of these channels; or refuses them all, and
    /// takes nothing.
    pub(crate) fn publish<'a>(
        &self,
        allowance: &Allowance,
        events: impl ExactSizeIterator<Item = &'a ChannelName> + Clone,
        now: u64,
    ) -> Result<(), Problem> {
        if self.channels.are_limited() {
            // Looked at first: who may publish no more is not to use up what the channel takes from others.
            for channel in events.clone() {
                self.ready(channel, now)?;
            }
        }
        if let Allowance(Some((whose, rate))) = *allowance {
            let taken = self.publishers.take(whose, events.len(), rate, now);
            taken.map_err(|time| self.too_fast(Wait { time, by: Limit::Publisher }))?;
        }
        if self.channels.are_limited() {
            for channel in events {
                self.channels.spend(channel, 1, now);
            }
        }
        Ok(())
    }

    /// Refuses to begin a stream of events as long as nothing may be published.
    pub(crate) fn begin(&self, allowance: &Allowance, channel: &ChannelName, now: u64) -> Result<(), Problem> {
        self.ready(channel, now)?;
        self.publish(allowance, std::iter::empty(), now)
    }

    fn ready(&self, channel: &ChannelName, now: u64) -> Result<(), Problem> {
        let ready = self.channels.ready(channel, now);
        ready.map_err(|time| self.too_fast(Wait { time, by: Limit::Channel }))
    }

    /// Takes so many events in any case, and says how long to wait before the next.
    pub(crate) fn spend(&self, allowance: &Allowance, channel: &ChannelName, events: usize, now: u64) -> Wait {
        if events == 0 {
            return Wait::default();
        }
        let own = match *allowance {
            Allowance(Some((whose, rate))) => self.publishers.spend(whose, events, rate, now),
            Allowance(None) => Duration::ZERO,
        };
        match self.channels.spend(channel, events, now) {
            time if time > own => Wait { time, by: Limit::Channel },
            _ => Wait { time: own, by: Limit::Publisher },
        }
    }

    /// The refusal of what is published too fast, counted.
    pub(crate) fn too_fast(&self, wait: Wait) -> Problem {
        let (counter, why) = match wait.by {
            Limit::Publisher => {
                (&self.refused.publishes, "more events are published than `limits.publishes` allows a second")
            }
            Limit::Channel => {
                (&self.refused.channel, "more events are published to the channel than its [[channel]] allows a second")
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Code::RateLimited.because(why).after(wait.time)
    }

    /// Forgets what concerns nobody any more.
    pub(crate) fn tick(&self, now: u64) {
        self.publishers.sweep(now);
        self.channels.sweep(now);
    }

    /// How many addresses, users, publishers and channels are counted at present.
    pub(crate) fn counted(&self) -> [usize; 4] {
        [self.addresses.len(), self.users.len(), self.publishers.len(), self.channels.len()]
    }
}

/// What counts as one address: of IPv6 the /64, which is the least that one customer is given.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_hub::access::{Rule, Whom};

    #[test]
    fn an_ipv6_address_counts_with_its_network_and_a_mapped_one_as_ipv4() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn with_authentication_there_are_limits_that_nobody_set() {
        let mut config = Config::default();
        let pattern = switchboard_wire::Pattern::new("**").unwrap();
        let rule = Rule { pattern, subscribe: Some(Whom::Anyone), publish: None, presence: None };
        config.auth.access.rules.push(rule);
        let limits = Limits::new(&config, 101, 0);
        assert_eq!((limits.address, limits.user, limits.publishes), (Some(51), Some(100), Some(100)));
        assert_eq!((0..10_000).take_while(|_| limits.newcomer(0).is_ok()).count(), 500);
        assert_eq!((0..10_000).take_while(|_| limits.newcomer(1000).is_ok()).count(), 500);
        let home = IpAddr::from([192, 0, 2, 1]);
        let seats: Vec<_> = (0..100).map_while(|_| limits.connection(home).ok()).collect();
        assert_eq!(seats.len(), 51);
        assert_eq!(limits.connection(home).unwrap_err().code, Code::TooMany);
        let allowance = limits.publisher(&Identity::default(), Some(home));
        let channel = ChannelName::new("a").unwrap();
        let publish = || limits.publish(&allowance, std::iter::once(&channel), 0);
        assert_eq!((0..1000).take_while(|_| publish().is_ok()).count(), 200);
        let refused = publish().unwrap_err();
        assert_eq!((refused.code, refused.after), (Code::RateLimited, Some(Duration::from_millis(10))));
    }

    #[test]
    fn open_mode_has_no_limits_that_nobody_set() {
        let limits = Limits::new(&Config::default(), 100, 0);
        assert!((0..10_000).all(|_| limits.newcomer(0).is_ok()));
        assert!(limits.connection(IpAddr::from([192, 0, 2, 1])).unwrap().is_none());
        let allowance = limits.publisher(&Identity::default(), Some(IpAddr::from([192, 0, 2, 1])));
        assert!(!allowance.is_limited());
    }
}
