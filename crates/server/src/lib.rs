//! Switchboard as a library: a realtime delivery server to start inside a program of one's own.
//!
//! ```no_run
//! let running = switchboard::start(switchboard::Config::default())?;
//! println!("listening on http://{}", running.addresses()[0]);
//! running.drain();
//! # Ok::<(), switchboard::StartError>(())
//! ```
//!
//! The rooms: [`listen`] is how bytes arrive and `transport` how an answer is held open; `front` lets a request in and
//! `reading` understands what a read asks for; `api` writes and manages; `auth` tells who may
//! do what and `limits` how much of it; `shard` is where subscribers and sessions live, and `session` how requests reach
//! those; `presence` knows who is on a channel; `site` serves files.

mod alarm;
mod api;
pub mod application;
mod audit;
pub mod auth;
pub mod config;
mod console;
mod crew;
mod front;
mod gate;
mod hold;
#[doc(hidden)]
pub mod inside;
mod limits;
#[doc(hidden)]
pub mod listen;
mod metrics;
mod node;
mod origin;
pub mod outward;
mod presence;
pub mod proxies;
mod publisher;
mod reading;
mod session;
mod shard;
pub mod site;
mod start;
mod traffic;
mod transport;

pub use config::Config;
pub use publisher::Publisher;
pub use start::{ReloadError, Running, StartError, start};
