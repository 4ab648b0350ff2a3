//! What one address, one user or all newcomers together may take up, so that nobody takes it all.
//!
//! - [`tally`]: how many connections and streams somebody has at present;
//! - [`bucket`]: how fast somebody may publish, and how fast newcomers are let in.
//!
//! What has no limit is not counted: in open mode none of this costs anything.

pub(crate) mod bucket;
pub(crate) mod tally;

use crate::auth::Identity;
use crate::config::Config;
use bucket::{Allowance, Bucket, Buckets, Rate};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use tally::{Seat, Tally};

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
    addresses: Arc<Tally<IpAddr>>,
    /// Connections beyond the limit of their address, which are being told so.
    refusing: Arc<Tally<IpAddr>>,
    users: Arc<Tally<Box<str>>>,
    publishers: Arc<Buckets<Box<str>>>,
    newcomers: Mutex<Bucket>,
    pub(crate) refused: Refused,
}

/// How often something was refused, or had to wait.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) address: AtomicU64,
    pub(crate) user: AtomicU64,
    pub(crate) publishes: AtomicU64,
    pub(crate) accepts: AtomicU64,
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
}

impl Seats {
    pub(crate) fn is_empty(&self) -> bool {
        self.user.is_none() && self.address.is_none()
    }
}

impl Limits {
    /// `connections` are held at most.
    pub(crate) fn new(config: &Config, connections: usize, now: u64) -> Limits {
        let closed = !config.auth.is_open();
        let limits = &config.limits;
        // Half of all: whoever has one address leaves room for all others.
        let address = limits.address.or_else(|| closed.then_some(connections.div_ceil(2)));
        let accepts = limits.accepts.or_else(|| closed.then_some(ACCEPTS));
        // A quarter of a second's worth at once, so that a storm comes in evenly.
        let accepts = accepts.map(|per_second| Rate { per_second, burst: per_second.div_ceil(4) });
        let full = Bucket::full(accepts.unwrap_or(Rate { per_second: 1, burst: 1 }), now);
        Limits {
            address,
            user: limits.user.or_else(|| closed.then_some(USER)),
            publishes: limits.publishes.or_else(|| closed.then_some(PUBLISHES)),
            accepts,
            addresses: Tally::new(),
            refusing: Tally::new(),
            users: Tally::new(),
            publishers: Arc::new(Buckets::new("others".into())),
            newcomers: Mutex::new(full),
            refused: Refused::default(),
        }
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

    /// What a stream or waiting poll takes up. `proxied` is whose it is, where a proxy says so.
    pub(crate) fn stream(&self, identity: &Identity, proxied: Option<IpAddr>) -> Result<Seats, Problem> {
        let address = match proxied {
            Some(address) => self.connection(address)?,
            None => None,
        };
        let mut user = None;
        // Backends that show an API key are trusted with as many as they want.
        if let (Some(most), Some(signed)) = (self.user, identity.signed()) {
            let most = signed.limits.streams.unwrap_or(most);
            let seat = self.users.take(&identity.publisher().into(), most).ok_or_else(|| {
                self.refused.user.fetch_add(1, Ordering::Relaxed);
                Code::TooMany.because("this user has as many streams open as `limits.user` allows")
            })?;
            user = Some(seat);
        }
        Ok(Seats { user, address })
    }

    /// What somebody may publish. API keys may publish as fast as they like.
    pub(crate) fn publisher(&self, identity: &Identity, address: Option<IpAddr>) -> Allowance {
        let Some(mut per_second) = self.publishes else { return Allowance::default() };
        let key = match (identity.signed(), address) {
            (Some(signed), _) => {
                per_second = signed.limits.publishes.unwrap_or(per_second);
                identity.publisher().into()
            }
            (None, Some(address)) if identity.is_anyone() => format!("address {}", network(address)).into(),
            _ => return Allowance::default(),
        };
        let rate = Rate { per_second, burst: per_second.saturating_mul(2) };
        Allowance::new(self.publishers.clone(), key, rate)
    }

    /// Takes so many events from an allowance, or refuses them.
    pub(crate) fn publish(&self, allowance: &Allowance, events: usize, now: u64) -> Result<(), Problem> {
        allowance.take(events, now).map_err(|wait| self.too_fast(wait))
    }

    /// The refusal of what is published too fast, counted.
    pub(crate) fn too_fast(&self, wait: Duration) -> Problem {
        self.refused.publishes.fetch_add(1, Ordering::Relaxed);
        Code::RateLimited.because("more events are published than `limits.publishes` allows a second").after(wait)
    }

    /// Forgets what concerns nobody any more.
    pub(crate) fn tick(&self, now: u64) {
        self.publishers.sweep(now);
    }

    /// How many addresses, users and publishers are counted at present.
    pub(crate) fn counted(&self) -> (usize, usize, usize) {
        (self.addresses.len(), self.users.len(), self.publishers.len())
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

    #[test]
    fn an_ipv6_address_counts_with_its_network_and_a_mapped_one_as_ipv4() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
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
