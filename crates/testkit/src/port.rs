//! Ports for what is to listen where it is told to, or where nobody is to listen.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that systems deal out to whoever asks for any, and above those that programs are known by.
const FIRST: u16 = 10_240;
const COUNT: u32 = 20_480;

/// A port that nobody listens on, and that nobody is given by chance: what is started on it may be away for a moment and
/// come back. Each process begins somewhere else, and gives none a second time.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let at = std::process::id().wrapping_mul(128).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + (at % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
