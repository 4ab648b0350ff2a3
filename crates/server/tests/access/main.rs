//! Who may do what, from the outside: over real sockets, with tokens and API keys.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do: by panicking"
)]

mod browsers;
mod carried;
mod channels;
mod expiry;
mod jwks;
mod limits;
mod matrix;
mod pacing;
mod presence;
mod proxies;
mod renewal;
mod revocation;
mod rules;
mod seats;

use switchboard::auth::Settings;
use switchboard_testkit::{Server, config, identity};

fn server() -> Server {
    server_with(identity::settings())
}

fn server_with(auth: Settings) -> Server {
    let mut config = config();
    config.auth = auth;
    Server::start(config)
}
