//! Places where nobody listens.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// An address of this machine at which nobody listens, until somebody does who was told of it. No port of 127.0.0.1: each of
/// those may be given at any time to whoever asks for a free one, and to whoever connects.
///
/// # Panics
/// If there is none.
pub fn vacant() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [third, fourth] = (std::process::id() as u16).to_be_bytes();
    // Tests of another process that has the same number here are told apart by the port.
    let second = 1 + (NEXT.fetch_add(1, Ordering::Relaxed) % 250) as u8;
    let listener =
        TcpListener::bind((Ipv4Addr::new(127, second, third, fourth.clamp(1, 254)), 0)).expect("a free port");
    listener.local_addr().expect("a listener has an address")
}
