//! Proxies in front: whom they say that a connection or a request is from. What anybody else says of that is not heard.

use crate::listen::Head;
use http::HeaderName;
use http::header::FORWARDED;
use std::net::IpAddr;
use std::str::FromStr;
use switchboard_wire::forwarded;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Which addresses are proxies, and how they say whom a request is from. By default none is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proxies {
    /// Those who say it in a header field of each request.
    pub addresses: Vec<Network>,
    /// In which.
    pub header: Header,
    /// Those who begin each connection with the PROXY protocol.
    pub protocol: Vec<Network>,
}

/// The header field that counts: with `X-Forwarded-For` also `X-Forwarded-Host`. Just one does: a proxy that writes one of them passes on what a client wrote in the
/// other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Header {
    #[default]
    XForwardedFor,
    /// RFC 7239
    Forwarded,
}

impl Header {
    pub const ALL: [Header; 2] = [Header::XForwardedFor, Header::Forwarded];

    pub fn as_str(self) -> &'static str {
        match self {
            Header::XForwardedFor => "x-forwarded-for",
            Header::Forwarded => "forwarded",
        }
    }
}

/// Addresses that begin with the same bits: `10.0.0.0/8`, or one alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Whether it holds an address. An IPv4 address is the same written as IPv6.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Network, Self::Err> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| "it is no address, such as 10.0.0.7 or 10.0.0.0/8")?;
        let all: u32 = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), str::parse).map_err(|_| "what follows the `/` is a number of bits")?;
        if bits > all {
            return Err("an IPv4 address has 32 bits, one of IPv6 128");
        }
        // Peers are known by what they are, so an IPv4 address that is written as IPv6 is one of IPv4.
        match (address.to_canonical(), bits.checked_sub(96)) {
            (four @ IpAddr::V4(_), Some(bits)) if address.is_ipv6() => Ok(Network { address: four, bits }),
            _ => Ok(Network { address, bits }),
        }
    }
}

impl Proxies {
    /// Whether connections from there begin with the PROXY protocol.
    pub(crate) fn speaks_protocol(&self, address: IpAddr) -> bool {
        self.protocol.iter().any(|network| network.holds(address))
    }

    /// Whether this is one of the proxies, so that what comes from it is others'.
    pub(crate) fn are(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|network| network.holds(address))
    }

    /// The field in which a request from there says whom it is from, though that is no proxy that is known.
    pub(crate) fn unnamed(&self, peer: IpAddr, head: &Head) -> Option<&'static str> {
        let said = [(X_FORWARDED_FOR, "X-Forwarded-For"), (FORWARDED, "Forwarded")];
        let (_, written) = said.into_iter().find(|(name, _)| head.headers.contains_key(name))?;
        (!self.are(peer)).then_some(written)
    }

    /// Whom a request is from, where the one who made it is a proxy that says so.
    pub(crate) fn origin(&self, peer: IpAddr, head: &Head) -> Option<IpAddr> {
        if !self.are(peer) {
            return None;
        }
        let steps = match self.header {
            Header::XForwardedFor => forwarded::x_forwarded_for(fields(head, X_FORWARDED_FOR)),
            Header::Forwarded => forwarded::forwarded(fields(head, FORWARDED)),
        };
        forwarded::origin(&steps, |address| self.are(address))
    }

    /// The host that a browser calls the server by, where the one who made the request is a proxy that says so.
    pub(crate) fn host(&self, peer: IpAddr, head: &Head) -> Option<String> {
        if !self.are(peer) {
            return None;
        }
        match self.header {
            Header::XForwardedFor => forwarded::x_forwarded_host(fields(head, X_FORWARDED_HOST)),
            Header::Forwarded => forwarded::forwarded_host(fields(head, FORWARDED)),
        }
    }
}

fn fields(head: &Head, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    head.headers.get_all(name).into_iter().map(http::HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_begins_with_their_bits() {
        let holds = |network: &str, address: &str| network.parse::<Network>().unwrap().holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.1.2") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.7", "10.0.0.7") && !holds("10.0.0.7", "10.0.0.6"));
        assert!(holds("0.0.0.0/0", "192.0.2.1") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("::/0", "2001:db8::1") && holds("::1", "::1"));
        assert!(holds("::ffff:10.0.0.7", "10.0.0.7") && holds("::ffff:10.0.0.0/104", "10.9.9.9"));
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/-1", "localhost"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
