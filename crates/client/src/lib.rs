//! The Rust client of Switchboard: one conversation with a server that goes on across cuts, takeovers and restarts.
//!
//! ```no_run
//! use switchboard_client::{Client, Item, Options, RpcError};
//!
//! # async fn example() -> Result<(), switchboard_client::Error> {
//! let client = Client::connect("http://127.0.0.1:8000", Options::new()).await?;
//!
//! // What the server calls here is answered here.
//! client.handle("add", |(a, b): (i64, i64)| async move { Ok::<_, RpcError>(a + b) });
//!
//! // A subscription is a stream. What comes meanwhile is not lost, and what is lost is told.
//! let room = client.channel("chat/room-1");
//! let mut said = room.subscribe().since("earliest").await?;
//! room.publish("hello").event("said").await?;
//! while let Some(item) = said.next().await {
//!     match item {
//!         Item::Event(event) => println!("{} {}", event.id, event.json::<String>().unwrap_or_default()),
//!         Item::Gap(gap) => println!("events are missing: {}", gap.reason),
//!         Item::Presence(member) => println!("{} {:?}", member.event, member.member.user),
//!         Item::End(_) | Item::Refused(_) => break,
//!     }
//! }
//! let answer: serde_json::Value = client.call("ping", ()).await?;
//! println!("{answer}");
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Client`] is what applications use; [`Options`] say who it is and how it travels.
//! - [`session`] and [`backoff`] decide, and touch nothing: no socket, no clock.
//! - [`http`], [`websocket`] and [`tls`] are thin, and of use on their own where channels are read without a session.

pub mod backoff;
pub mod client;
pub mod credential;
mod driver;
pub mod error;
pub mod event;
pub mod http;
mod options;
pub mod session;
mod subscription;
pub mod tls;
mod transport;
pub mod url;
pub mod websocket;

pub use client::{Channel, Client};
pub use error::{Error, RpcError};
pub use event::{Data, Event, Gap, Item, Member, Presence};
pub use options::Options;
pub use subscription::Subscription;
pub use transport::Transport;
